"""Augmented covariances of any order and lag from shared lag statistics."""

import numpy as np

from ._shrinkage import ledoit_wolf_shrinkage, oas_shrinkage, shrink_
from ._validation import check_epochs, covariance_samples, embedded_length

FAST_ESTIMATORS = ("cov", "scm", "oas", "lwf", "corr")
STRUCTURES = (None, "toeplitz", "circular")

# Epochs per block. The block's samples, its strips and its matrices then stay in a
# second-level cache: 8 was the fastest of 1, 2, 4, 8, 16, 64 at 22 x 1000, order 10.
_BLOCK = 8


class LagStatistics:
    r"""Lagged products of epochs, shared by the augmented covariances of all orders.

    With x(t) the samples of an epoch, the delay embedding of order p and lag tau has
    the samples :math:`e(t) = [x(t), x(t + \tau), \dots, x(t + (p - 1)\tau)]`,
    :math:`0 \le t < N`, and its second moment has the blocks

    .. math:: G_{ab} = \sum_{t=0}^{N-1} x(t + a\tau)\, x(t + b\tau)^T .

    All of them follow from the lagged products :math:`R_k = \sum_s x(s) x(s + k)^T` by
    two exact corrections. The first block row misses a tail,

    .. math:: G_{0b} = R_{b\tau} - \sum_{s=N}^{T-1-b\tau} x(s)\, x(s + b\tau)^T ,

    and along a block diagonal `lag` samples leave and `lag` samples enter,

    .. math:: G_{a+1,b+1} = G_{ab} - \sum_{t<\tau} x(a\tau + t) x(b\tau + t)^T
              + \sum_{t<\tau} x(N + a\tau + t) x(N + b\tau + t)^T .

    That is :math:`2pc^2T` operations for c channels instead of :math:`2p^2c^2T`, no
    array of embedded signals, and the :math:`R_k` serve every (order, lag) pair that
    needs them: 42 of them serve the whole 10 x 10 grid.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        Epochs; a 2-D array is a set of epochs of one channel.
    assume_centered : bool, default=False
        If False, the covariances are centred with the mean of each embedded row.
    trim : {"moabb", "full"}, default="moabb"
        Number of embedded samples: ``n_times - (order - 1) * lag`` for "full"; "moabb"
        drops `lag` more when ``order > 1``, as MOABB's `AugmentedDataset` does.

    Attributes
    ----------
    n_epochs, n_channels, n_times : int
        Shape of X.

    Notes
    -----
    Each :math:`R_k` is computed at its first use and kept: n_epochs * n_channels ** 2
    numbers in double precision for every distinct ``k = a * lag``.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import LagStatistics
    >>> X = np.random.default_rng(0).standard_normal((5, 3, 200))
    >>> statistics = LagStatistics(X)
    >>> [statistics.covariance(order, lag=2).shape for order in (1, 2, 3)]
    [(5, 3, 3), (5, 6, 6), (5, 9, 9)]
    """

    def __init__(self, X, *, assume_centered=False, trim="moabb"):
        X = check_epochs(X)
        embedded_length(X.shape[2], 1, 1, trim)
        self._dtype = X.dtype
        # Sums are accumulated in double precision whatever comes in. Covariances do
        # not change when a constant is subtracted; without it, an offset of 1e6
        # would cost twelve digits.
        X = np.ascontiguousarray(X, dtype=np.float64)
        if assume_centered:
            # A copy: writing to X later must not mix with products computed before.
            self._x = X.copy()
        else:
            self._x = X - X.mean(axis=2, keepdims=True)
            # The mean of a constant channel may be off in the last digit.
            self._x[np.ptp(X, axis=2) == 0] = 0.0
        self._lag_products = {}
        self.assume_centered = assume_centered
        self.trim = trim

    @property
    def n_epochs(self):
        """Number of epochs."""
        return self._x.shape[0]

    @property
    def n_channels(self):
        """Number of channels."""
        return self._x.shape[1]

    @property
    def n_times(self):
        """Number of samples of an epoch."""
        return self._x.shape[2]

    def __repr__(self):
        return (
            f"{type(self).__name__}(n_epochs={self.n_epochs}, "
            f"n_channels={self.n_channels}, n_times={self.n_times}, trim={self.trim!r})"
        )

    def lag_product(self, k):
        """Return R_k, the sum of x(s) x(s + k)^T over ``s < n_times - k``.

        Parameters
        ----------
        k : int
            Lag in samples, ``0 <= k < n_times``.

        Returns
        -------
        ndarray of shape (n_epochs, n_channels, n_channels)
            The products, float64. Not a copy: do not write to it.
        """
        if k not in self._lag_products:
            self._lag_products[k] = _lag_product(self._x, k)
        return self._lag_products[k]

    def subset(self, indices):
        """Take the statistics of some epochs, without computing anything again.

        Parameters
        ----------
        indices : array-like of int or bool, or slice
            Which epochs.

        Returns
        -------
        LagStatistics
            Statistics of these epochs only.
        """
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._x = self._x[indices]
        part._lag_products = {k: R[indices] for k, R in self._lag_products.items()}
        return part

    def covariance(
        self,
        order=1,
        lag=1,
        estimator="cov",
        *,
        structure=None,
        return_shrinkage=False,
    ):
        """Augmented covariance of every epoch.

        Parameters
        ----------
        order : int, default=1
            Number of delayed copies p; 1 gives the spatial covariance.
        lag : int, default=1
            Delay between two copies, in samples.
        estimator : {"cov", "scm", "oas", "lwf", "corr"}, default="cov"
            Division by N - 1 (by N if `assume_centered`), division by N, oracle
            approximating shrinkage, Ledoit-Wolf shrinkage, correlation.
        structure : {None, "toeplitz", "circular"}, default=None
            None is the exact covariance of the embedded samples, "toeplitz" the
            block-Toeplitz matrix of biased autocovariances, "circular" the one of
            circular shifts. The last two ignore `trim` and use all n_times samples.
        return_shrinkage : bool, default=False
            Whether to return the shrinkage intensities too.

        Returns
        -------
        C : ndarray of shape (n_epochs, d, d)
            ``d = n_channels * order``; float32 if X was.
        shrinkage : ndarray of shape (n_epochs,)
            Only if `return_shrinkage`; 0 for estimators that do not shrink.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the epochs are too short.
        """
        if estimator not in FAST_ESTIMATORS:
            raise ValueError(
                f"estimator must be one of {FAST_ESTIMATORS}, found {estimator!r}."
            )
        if structure not in STRUCTURES:
            raise ValueError(
                f"structure must be one of {STRUCTURES}, found {structure!r}."
            )
        n_samples = covariance_samples(self.n_times, order, lag, self.trim, structure)
        for b in range(order):
            self.lag_product(b * lag)
        d = self.n_channels * order
        C = np.empty((self.n_epochs, d, d), dtype=self._dtype)
        shrinkage = np.zeros(self.n_epochs)
        for start in range(0, self.n_epochs, _BLOCK):
            rows = slice(start, start + _BLOCK)
            block, shrinkage[rows] = _estimate(
                self.subset(rows), order, lag, n_samples, estimator, structure
            )
            C[rows] = block
        return (C, shrinkage) if return_shrinkage else C


def _estimate(statistics, order, lag, n_samples, estimator, structure):
    """Covariances (float64) and shrinkage intensities of one block of epochs."""
    divisor = n_samples
    # The unbiased division belongs to a centred estimate; numpy.cov has no other.
    if estimator == "cov" and not statistics.assume_centered:
        divisor = n_samples - 1
    if structure is None:
        C, mean = _exact(statistics, order, lag, n_samples, divisor)
    else:
        C = _toeplitz(statistics, order, lag, structure == "circular") / divisor
        mean = np.zeros((len(C), C.shape[1]))
    shrinkage = np.zeros(len(C))
    if estimator == "oas":
        shrinkage = oas_shrinkage(C, n_samples)
    elif estimator == "lwf":
        padding = {None: None, "toeplitz": "zero", "circular": "wrap"}[structure]
        x = statistics._x
        norm4 = _sum_norm4(x, mean, order, lag, n_samples, padding)
        shrinkage = ledoit_wolf_shrinkage(C, n_samples, norm4)
    elif estimator == "corr":
        _normalise_(C)
    if estimator in ("oas", "lwf"):
        shrink_(C, shrinkage)
    return C, shrinkage


def _lag_product(x, k):
    return x[:, :, : x.shape[2] - k] @ x[:, :, k:].transpose(0, 2, 1)


def _exact(statistics, order, lag, n_samples, divisor):
    """Covariance of the embedded samples, (n, pc, pc), and their mean, (n, pc)."""
    x = statistics._x
    n, c, n_times = x.shape
    scale = 1.0 / divisor
    C = np.empty((n, order * c, order * c))
    mean = _window_means(x, order, lag, n_samples)
    if statistics.assume_centered:
        mean[:] = 0.0
    for b in range(order):
        G = statistics.lag_product(b * lag)
        if n_times - b * lag > n_samples:
            tail = x[:, :, n_samples : n_times - b * lag]
            G = G - tail @ x[:, :, n_samples + b * lag :].transpose(0, 2, 1)
        C[:, :c, b * c : (b + 1) * c] = G
    C[:, :c] -= n_samples * mean[:, :c, np.newaxis] * mean[:, np.newaxis, :]
    C[:, :c] *= scale
    if order > 1:
        centred = not statistics.assume_centered
        _fill_from_first_row(
            C, _shift(x, mean, order, lag, n_samples, scale, centred), c
        )
    return C, mean


def _window_means(x, order, lag, n_samples):
    """Mean of every embedded row, (n, pc), by the shift recursion."""
    n, c, _ = x.shape
    sums = np.empty((n, order, c))
    sums[:, 0] = x[:, :, :n_samples].sum(axis=2)
    for a in range(1, order):
        leaving = x[:, :, (a - 1) * lag : a * lag].sum(axis=2)
        entering = x[:, :, n_samples + (a - 1) * lag : n_samples + a * lag].sum(axis=2)
        sums[:, a] = sums[:, a - 1] - leaving + entering
    return sums.reshape(n, order * c) / n_samples


def _shift(x, mean, order, lag, n_samples, scale, centred):
    """Difference C[a + 1, b + 1] - C[a, b] of all blocks, as one matrix product.

    It has rank at most 2 lag + 2: samples that leave, samples that enter, and the two
    means.
    """
    n, c, _ = x.shape
    rest = (order - 1) * c
    W = np.empty((n, rest, 2 * lag + 2 * centred))
    slabs = W.reshape(n, order - 1, c, -1)
    for column, start in ((0, 0), (lag, n_samples)):
        slab = x[:, :, start : start + (order - 1) * lag]
        slabs[..., column : column + lag] = slab.reshape(
            n, c, order - 1, lag
        ).transpose(0, 2, 1, 3)
    signs = np.repeat([-scale, scale], lag)
    if centred:
        W[:, :, 2 * lag] = mean[:, :rest]
        W[:, :, 2 * lag + 1] = mean[:, c:]
        signs = np.append(signs, [scale * n_samples, -scale * n_samples])
    return (W * signs) @ W.transpose(0, 2, 1)


def _fill_from_first_row(C, delta, c):
    """Fill C, whose first block row stands, along its block diagonals."""
    for a in range(c, C.shape[1], c):
        np.add(
            C[:, a - c : a, :-c],
            delta[:, a - c : a],
            out=C[:, a : a + c, c:],
        )
        C[:, a : a + c, :c] = C[:, :c, a : a + c].transpose(0, 2, 1)


def _toeplitz(statistics, order, lag, circular):
    """Block-Toeplitz sums: block (a, b) is R_{(b - a) lag}, wrapped if circular."""
    x = statistics._x
    n, c, n_times = x.shape
    strip = np.empty((n, c, (2 * order - 1) * c))
    for b in range(order):
        R = statistics.lag_product(b * lag)
        if circular and b:
            wrapped = x[:, :, n_times - b * lag :] @ x[:, :, : b * lag].transpose(
                0, 2, 1
            )
            R = R + wrapped
        right, left = order - 1 + b, order - 1 - b
        strip[:, :, right * c : (right + 1) * c] = R
        strip[:, :, left * c : (left + 1) * c] = R.transpose(0, 2, 1)
    C = np.empty((n, order * c, order * c))
    for a in range(order):
        first = (order - 1 - a) * c
        C[:, a * c : (a + 1) * c] = strip[:, :, first : first + order * c]
    return C


def _sum_norm4(x, mean, order, lag, n_samples, padding):
    """Sum over t of ||e(t) - m||^4, without forming the embedded samples e(t)."""
    n, c, n_times = x.shape
    power = np.einsum("nct,nct->nt", x, x)
    if padding is None:
        m = mean.reshape(n, order, c)
        term = power[:, np.newaxis] - 2.0 * (m @ x)
        norm2 = np.zeros((n, n_samples)) + np.sum(mean**2, axis=1)[:, np.newaxis]
        for a in range(order):
            norm2 += term[:, a, a * lag : a * lag + n_samples]
        return np.einsum("nt,nt->n", norm2, norm2)
    length = n_times if padding == "wrap" else n_times + (order - 1) * lag
    norm2 = np.zeros((n, length))
    for a in range(order):
        if padding == "wrap":
            norm2 += np.roll(power, -a * lag, axis=1)
        else:
            norm2[:, a * lag : a * lag + n_times] += power
    return np.einsum("nt,nt->n", norm2, norm2)


def _normalise_(C):
    """Turn covariances into correlations, in place."""
    std = np.sqrt(np.diagonal(C, axis1=1, axis2=2))
    flat = std == 0
    if flat.any():
        epoch, row = np.argwhere(flat)[0]
        raise ValueError(
            f"The correlation of epoch {epoch} is undefined: row {row} of its delay "
            "embedding is constant. Use estimator='oas', or drop the channel."
        )
    C /= std[:, :, np.newaxis]
    C /= std[:, np.newaxis, :]
    diagonal = C.reshape(len(C), -1)[:, :: C.shape[1] + 1]
    diagonal[:] = 1.0
