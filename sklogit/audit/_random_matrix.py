"""What random-matrix theory says of the singular values of noise."""

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

# Quantile of the Tracy-Widom law (real entries) that noise exceeds once in a thousand.
_TRACY_WIDOM_999 = 3.2724
# The integrand is smooth after the substitution below: this many nodes give 12 digits.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)


def marchenko_pastur_median(beta):
    r"""Median of the Marchenko-Pastur law.

    It is the law of the eigenvalues of :math:`E E^\top / N` for large p x N matrices E
    of independent entries with variance one, :math:`\beta = p / N \le 1`, with the
    density

    .. math:: \frac{\sqrt{(\lambda_+ - x)(x - \lambda_-)}}{2 \pi \beta x},
        \qquad \lambda_\pm = (1 \pm \sqrt\beta)^2 .

    Parameters
    ----------
    beta : float
        Ratio of the shorter side to the longer one, above 0 and at most 1.

    Returns
    -------
    float
        The median. With the median singular value s of noise of N columns,
        :math:`s / \sqrt{N \mu_\beta}` estimates its standard deviation.

    Raises
    ------
    ValueError
        If beta is outside (0, 1].

    See Also
    --------
    gavish_donoho_threshold : Threshold that uses it.

    Examples
    --------
    >>> from sklogit.audit import marchenko_pastur_median
    >>> round(marchenko_pastur_median(1.0), 4)
    0.6528
    """
    return marchenko_pastur_quantile(_checked_beta(beta), 0.5)


@lru_cache(maxsize=1024)
def marchenko_pastur_quantile(beta, share):
    """Value below which this share of the law lies."""
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2

    def excess(angle):
        # x = low + (high - low) sin^2 t removes the roots at both ends.
        t = angle * (_NODES + 1) / 2
        x = low + (high - low) * np.sin(t) ** 2
        slope = (high - low) ** 2 * (np.sin(t) * np.cos(t)) ** 2 / (np.pi * beta * x)
        return angle / 2 * (_WEIGHTS @ slope) - share

    angle = brentq(excess, 1e-9, math.pi / 2, xtol=1e-14)
    return low + (high - low) * math.sin(angle) ** 2


def gavish_donoho_threshold(beta, median_sv=None, noise_std=None, n=None):
    r"""Optimal hard threshold for singular values.

    Of all thresholds it has the least error :math:`\|\hat L - L\|_F` in the limit [1]_.
    It is a rule for denoising: more than half of the singular values must be noise if
    these are to give the level of the noise.

    Parameters
    ----------
    beta : float
        Ratio of the shorter side of the matrix to the longer one, in (0, 1].
    median_sv : float, default=None
        Median of all singular values, if the noise is unknown.
    noise_std : float, default=None
        Standard deviation of the noise, if it is known.
    n : int, default=None
        Length of the longer side; goes with `noise_std`.

    Returns
    -------
    float
        The threshold.

    Raises
    ------
    ValueError
        If beta is outside (0, 1], or not exactly one of `median_sv` and (`noise_std`,
        `n`) is given.

    See Also
    --------
    estimate_rank : Rank of noisy logits, which uses other rules by default.

    References
    ----------
    .. [1] "The Optimal Hard Threshold for Singular Values is 4/sqrt(3)",
       arXiv:1305.5870.

    Examples
    --------
    >>> from sklogit.audit import gavish_donoho_threshold
    >>> round(gavish_donoho_threshold(1.0, noise_std=1.0, n=1), 4)
    2.3094
    >>> round(gavish_donoho_threshold(1.0, median_sv=1.0), 3)
    2.858
    """
    beta = _checked_beta(beta)
    if (median_sv is None) == (noise_std is None) or (noise_std is None) != (n is None):
        raise ValueError(
            "gavish_donoho_threshold needs either median_sv, or noise_std and n; got "
            f"median_sv={median_sv}, noise_std={noise_std}, n={n}."
        )
    given = {"median_sv": median_sv, "noise_std": noise_std, "n": n}
    for name, value in given.items():
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value!r}.")
    root = math.sqrt(beta**2 + 14 * beta + 1)
    known = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + root))
    if noise_std is not None:
        return known * math.sqrt(n) * noise_std
    return known / math.sqrt(marchenko_pastur_median(beta)) * median_sv


def noise_edge(short, long):
    """Singular value that noise of variance one exceeds once in a thousand matrices.

    Tracy-Widom law with Johnstone's centre and scale; zero for an empty matrix.
    """
    if min(short, long) < 1:
        return 0.0
    a, b = math.sqrt(short), math.sqrt(long)
    scale = (a + b) * (1 / a + 1 / b) ** (1 / 3)
    return math.sqrt((a + b) ** 2 + _TRACY_WIDOM_999 * scale)


def _checked_beta(beta):
    if not 0 < beta <= 1:
        raise ValueError(f"beta must be above 0 and at most 1, got {beta}.")
    return float(beta)
