"""How large the noise of published logits is, if their digits or their owner tell."""

import math
from copy import copy
from numbers import Integral

import numpy as np
from scipy import sparse

_MOST_DECIMALS = 8
# And of those that an owner tells: no floating-point number has more.
_MOST_TOLD = 300
_LEAST = 1e-140
# Entries that are looked at: no other data lie on a grid of decimals by chance.
_LOOKED_AT = 100_000
_FLOAT32, _BFLOAT16 = float(np.finfo(np.float32).eps), 2.0**-7


class NoiseLevel:
    """Standard deviation of the noise, as far as it is known before any fit.

    Parameters
    ----------
    noise_std : "auto", "fit", float or ("decimals", d)
        As of the auditor.
    softcap : float or None
        With it, rounding leaves no noise of one size, and "auto" fits.
    """

    def __init__(self, noise_std, softcap):
        self.noise_std, self.softcap = noise_std, softcap
        self.decimals = -1  # fewest that all entries so far have; None if more

    def look_at(self, X, eps):
        """Find out whether more entries lie on a grid of decimals."""
        if self.noise_std != "auto" or self.softcap is not None:
            self.decimals = None
        if self.decimals is None:
            return
        values = _some_values(X).astype(np.float64)
        if values.any():
            # Float32 that was widened; half precision has no decimals of its own.
            eps = max(eps, min(precision_of(X, eps), _FLOAT32))
            self.decimals = _decimals(values, eps, self.decimals)

    def copy(self):
        """Return an independent copy."""
        return copy(self)

    @property
    def std(self):
        """Standard deviation, or None if it has to be fitted."""
        if self.noise_std in ("auto", "fit"):
            known = self.decimals is not None and self.decimals >= 0
            return _of_rounding(self.decimals) if known else None
        if isinstance(self.noise_std, tuple):
            return _of_rounding(self.noise_std[1])
        return float(self.noise_std)


def precision_of(X, eps):
    """Relative precision of values that may have been stored in a narrower type before.

    Half-precision logits often come as float32: their last bits are zero.
    """
    values = _some_values(X)
    if len(values) and values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            if (values.astype(np.float16) == values).all():
                return max(eps, float(np.finfo(np.float16).eps))
            single = values.astype(np.float32)
        if (single == values).all():
            bits = single.view(np.uint32) & np.uint32(0xFFFF)
            return max(eps, _BFLOAT16 if not bits.any() else _FLOAT32)
    return eps


def check_magnitude(values):
    """Raise ValueError if squares of the values overflow or vanish."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    if largest and not _LEAST <= largest <= 1 / _LEAST:
        raise ValueError(
            f"X must have its largest entry between {_LEAST:g} and {1 / _LEAST:g} in "
            f"size, got {largest:.3g}: scale it."
        )


def check_noise(noise_std):
    """Raise ValueError unless a tuple is ("decimals", d)."""
    if not isinstance(noise_std, tuple):
        return
    if (
        len(noise_std) != 2
        or noise_std[0] != "decimals"
        or not isinstance(noise_std[1], Integral)
        or isinstance(noise_std[1], bool)
        or abs(noise_std[1]) > _MOST_TOLD
    ):
        raise ValueError(
            "noise_std must be 'auto', 'fit', a float or ('decimals', d) with an "
            f"integer d from {-_MOST_TOLD} to {_MOST_TOLD}, got {noise_std!r}."
        )


def _some_values(X):
    values = (X.data if sparse.issparse(X) else np.asarray(X)).ravel()
    values = values[:: max(1, len(values) // _LOOKED_AT)]
    return values[~np.isnan(values)]


def _of_rounding(decimals):
    return 10.0**-decimals / math.sqrt(12)


def _decimals(values, eps, least):
    """Fewest decimals that give these values, or None."""
    largest = np.abs(values).max()
    for decimals in range(max(0, least), _MOST_DECIMALS + 1):
        scaled = values * 10.0**decimals
        # In proportion to the values: tiny ones would lie on any grid else.
        tolerance = 2 * eps * largest * 10.0**decimals
        if tolerance > 0.02:  # their own precision is no finer than the grid
            return None
        if np.abs(scaled - np.round(scaled)).max() <= tolerance:
            return decimals
    return None
