"""Random maps of one axis to fewer coordinates, which keep lengths in the mean."""

import numpy as np

from ._arrays import is_tensor, like, namespace

# Maps of more numbers than that, 128 MiB in single precision, are made by FFT, not
# by a matrix, which is several times faster for as many rows as projections have.
_FFT_ABOVE = 2**25
# Numbers of a matrix that are computed at once.
_AT_ONCE = 2**20


class RandomMap:
    """A random linear map of one axis.

    Parameters
    ----------
    kind : {"srft", "sign", "gaussian"}
        Its distribution: rows of a Fourier basis behind random signs, drawn without
        replacement; random signs; or normal numbers.
    n_components : int
        Length of the axis behind it. An axis that is no longer stays as it is.
    length : int
        Length of the axis.
    rng : RandomState
        Randomness.
    """

    def __init__(self, kind, n_components, length, rng):
        self.length = length
        self.n_components = min(n_components, length)
        self.signs = self.rows = self.matrix = None
        self._converted = None
        if n_components >= length:
            return
        if kind == "srft":
            self.signs = rng.choice([-1.0, 1.0], size=length)
            self.rows = np.sort(rng.choice(length, n_components, replace=False))
        elif kind == "sign":
            signs = rng.choice([-1.0, 1.0], size=(n_components, length))
            self.matrix = signs / np.sqrt(n_components)
        else:
            normal = rng.standard_normal((n_components, length))
            self.matrix = normal / np.sqrt(n_components)

    def dense(self):
        """Return the map as a matrix.

        Returns
        -------
        ndarray of shape (n_components, length)
            The matrix.
        """
        if self.n_components == self.length and self.signs is None:
            return np.eye(self.length)
        return self._fourier_rows() if self.matrix is None else self.matrix

    def last_axis(self, values):
        """Map the last axis.

        Parameters
        ----------
        values : array of shape (..., length)
            Numbers.

        Returns
        -------
        array of shape (..., n_components)
            Their images.
        """
        if self.n_components == self.length:
            return values
        if self.signs is not None and self.n_components * self.length > _FFT_ABOVE:
            return self._by_fft(values)
        return values @ self._matrix_like(values).mT

    def middle_axis(self, values):
        """Map the last axis but one, which may be shorter: zeros are missing.

        Parameters
        ----------
        values : array of shape (..., n, m)
            Numbers, n at most ``length``.

        Returns
        -------
        array of shape (..., n_components, m)
            Their images.
        """
        n = values.shape[-2]
        if self.n_components == self.length:
            if n == self.length:
                return values
            xp = namespace(values)
            zeros = xp.zeros_like(values[..., :1, :])
            return xp.concatenate([values, *[zeros] * (self.length - n)], axis=-2)
        return self._matrix_like(values)[:, :n] @ values

    def _matrix_like(self, values):
        """Return the matrix in the dtype and on the device of values."""
        kind = (values.dtype, values.device if is_tensor(values) else None)
        if self._converted is None or self._converted[0] != kind:
            self._converted = (kind, like(self.dense(), values))
        return self._converted[1]

    def _frequencies(self):
        """Frequency of each row, and whether it is a sine; of weight one or root two.

        The real Fourier basis has as many cosines as `rfft` has values, and as sines
        those in between: the constant, and the highest frequency of an even length,
        have none, and are longer.
        """
        n_cosines = self.length // 2 + 1
        is_sine = self.rows >= n_cosines
        frequency = np.where(is_sine, self.rows - n_cosines + 1, self.rows)
        single = (frequency == 0) | (2 * frequency == self.length)
        scale = np.sqrt(self.length / self.n_components)
        return frequency, is_sine, scale * np.where(single, 1.0, np.sqrt(2.0))

    def _fourier_rows(self):
        frequency, is_sine, weight = self._frequencies()
        rows = np.empty((self.n_components, self.length))
        size = max(1, _AT_ONCE // self.length)
        for start in range(0, self.n_components, size):
            some = slice(start, start + size)
            # Of integers, so that angles of long axes keep their digits.
            turns = frequency[some, None] * np.arange(self.length) % self.length
            angle = 2 * np.pi * turns / self.length
            basis = np.where(is_sine[some, None], -np.sin(angle), np.cos(angle))
            scale = weight[some, None] / np.sqrt(self.length)
            rows[some] = scale * basis * self.signs
        return rows

    def _by_fft(self, values):
        frequency, is_sine, weight = self._frequencies()
        fft = namespace(values).fft.rfft(
            values * like(self.signs, values), norm="ortho"
        )
        parts = []
        for wanted, part in ((~is_sine, fft.real), (is_sine, fft.imag)):
            parts.append(part[..., frequency[wanted]] * like(weight[wanted], values))
        # The rows are sorted, so that cosines come before sines.
        return namespace(values).concatenate(parts, axis=-1)

    def __getstate__(self):
        return vars(self) | {"_converted": None}
