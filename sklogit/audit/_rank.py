"""The rank of published logits, with a status that says how far to trust it."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from ._random_matrix import (
    gavish_donoho_threshold,
    marchenko_pastur_median,
    marchenko_pastur_quantile,
    noise_edge,
)

METHODS = ("auto", "numerical", "gap", "marchenko_pastur", "gavish_donoho")
# A fall by this factor is none of a smooth spectrum, nor of noise.
_CLEAR_GAP = 10.0
# Rounding of a coarser type (float16) is no round-off: it is noise of that size.
COARSEST_EXACT = 1e-6
# With fewer outputs than this the law of large matrices says nothing of their noise.
_FEWEST_OUTPUTS = 50
# A fitted noise with more of the energy than this may be the signal itself.
_LARGEST_NOISE = 0.1
# Fewer values than this show nothing of the law of noise.
_FEWEST_NOISE = 4
# Noise whose size is known may differ by this part, and by chance.
_NOISE_MISFIT = 0.1
_MOST_ROUNDS = 50


@dataclass
class RankEstimate:
    """Rank of a matrix of logits.

    Attributes
    ----------
    rank : int
        The estimate; only a lower bound if the status is "saturated", and no more than
        a guess if it is "ambiguous".
    status : str
        "exact": a clear gap down to round-off. "noisy": told from the noise.
        "saturated": as large as the number of queries allows. "full_width": as large as
        the number of outputs; nothing is known of the width behind them. "ambiguous":
        signal and noise cannot be told apart.
    noise_std : float
        Standard deviation of the noise of an entry, given or fitted.
    threshold : float
        Singular values above it are signal.
    log_gap : int
        Where the logarithms of the singular values fall most: a second opinion.
    reason : str
        Why the status is what it is.
    """

    rank: int
    status: str
    noise_std: float
    threshold: float
    log_gap: int
    reason: str


def estimate_rank(
    s,
    shape,
    noise_std=None,
    method="auto",
    *,
    eps=None,
    total_energy=None,
    round_off=None,
):
    r"""Estimate the rank of a matrix from its singular values.

    With the smaller side p and the longer side N of the matrix:

    * *Exact data*: the rank is where the singular values fall at least tenfold, to the
      level of round-off, :math:`\sqrt N \epsilon s_1`.
    * *Known noise* :math:`\sigma`: the number of values above the edge of the noise
      that is left when r directions are signal,

      .. math:: \sigma \sqrt{(a + b)^2 + 3.27\,(a + b)(1/a + 1/b)^{1/3}},
          \qquad a = \sqrt{p - r},\; b = \sqrt{N - r},

      which noise exceeds once in a thousand matrices [1]_, iterated from r = 0.
    * *Unknown noise*: the same in turns with a fit of :math:`\sigma` to the values
      below it, by their median, or by the energy of the rest where only the largest
      values are known.

    Parameters
    ----------
    s : array-like of shape (n_values,)
        Singular values, the largest first: all of them, or the largest ones.
    shape : tuple of two int
        Numbers of rows (queries) and columns (outputs) of the matrix. A matrix whose
        column means were subtracted has one independent row less, one whose row means
        were subtracted one column less.
    noise_std : float, default=None
        Standard deviation of the noise; None if unknown.
    method : str, default="auto"
        "auto" is the first of the rules above that applies. "numerical" counts values
        above :math:`N \epsilon s_1`, as `numpy.linalg.matrix_rank`; "gap" takes the
        largest gap of the logarithms; "marchenko_pastur" is the rule for noise;
        "gavish_donoho" counts values above `gavish_donoho_threshold`.
    eps : float, default=None
        Relative precision in which the logits were produced; None is that of the type
        of `s`.
    total_energy : float, default=None
        Sum of all squared singular values, if `s` are only the largest ones.
    round_off : float, default=None
        Largest singular value that round-off can have. None is
        :math:`\sqrt N \epsilon s_1`, or, for types coarser than float32, whose
        rounding is noise, zero.

    Returns
    -------
    RankEstimate
        Rank, status and what they come from.

    Raises
    ------
    ValueError
        If the singular values are not finite, negative or out of order, or more than
        the shape has; if the noise is negative, or the method unknown.

    See Also
    --------
    LogitLeakageAuditor : Also checks that parts of the data give the same rank.

    Notes
    -----
    From singular values alone, those of a signal of more directions than there are rows
    can look like noise. `LogitLeakageAuditor` finds out, as it estimates the rank again
    from parts of the rows and of the columns.

    References
    ----------
    .. [1] I. M. Johnstone, "On the distribution of the largest eigenvalue in principal
       components analysis", Annals of Statistics 29 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.audit import estimate_rank
    >>> rng = np.random.default_rng(0)
    >>> L = rng.standard_normal((100, 8)) @ rng.standard_normal((8, 500))
    >>> s = np.linalg.svdvals(L + 0.1 * rng.standard_normal(L.shape))
    >>> estimate = estimate_rank(s, L.shape)
    >>> estimate.rank, estimate.status, round(estimate.noise_std, 3)
    (8, 'noisy', 0.1)
    """
    spectrum = _Spectrum.checked(
        s, shape, noise_std, method, eps, total_energy, round_off
    )
    if spectrum.s.size == 0 or spectrum.s[0] == 0:
        return spectrum.estimate(0, "exact", "all singular values are zero")
    return {
        "auto": _automatic,
        "numerical": _numerical,
        "gap": _gap,
        "marchenko_pastur": _marchenko_pastur,
        "gavish_donoho": _gavish_donoho,
    }[method](spectrum)


@dataclass
class _Spectrum:
    """Singular values, largest first, and what is known of the others."""

    s: np.ndarray
    n_rows: int
    n_columns: int
    noise_std: float | None
    eps: float
    energy: float
    unknown_energy: float
    round_off: float

    @classmethod
    def checked(cls, s, shape, noise_std, method, eps, total_energy, round_off):
        s = np.asarray(s)
        eps = (
            float(np.finfo(s.dtype if s.dtype.kind == "f" else float).eps)
            if (eps is None)
            else eps
        )
        s = s.astype(np.float64)
        _check_sizes(shape, noise_std, eps, total_energy, round_off)
        n_rows, n_columns = shape
        if s.ndim != 1 or not np.isfinite(s).all() or (s < 0).any():
            raise ValueError("s must be a vector of finite values, not negative.")
        if (np.diff(s) > 0).any():
            raise ValueError("s must have its largest value first.")
        if len(s) > min(shape):
            raise ValueError(f"s has {len(s)} values, more than the shape {shape} has.")
        if method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
        known = float(s @ s)
        unknown = 0.0 if total_energy is None else max(0.0, total_energy - known)
        unknown *= len(s) < min(shape)
        if round_off is None and len(s):
            coarse = eps > COARSEST_EXACT
            round_off = 0.0 if coarse else rounding_level(s[0], max(shape), eps)
        return cls(
            s,
            int(n_rows),
            int(n_columns),
            noise_std,
            float(eps),
            known + unknown,
            unknown,
            round_off,
        )

    @property
    def short(self):
        return min(self.n_rows, self.n_columns)

    @property
    def long(self):
        return max(self.n_rows, self.n_columns)

    @property
    def is_complete(self):
        """Whether no value is unknown."""
        return len(self.s) == self.short

    @property
    def is_wide(self):
        return self.n_rows <= self.n_columns

    def residual_std(self, rank):
        """Noise that explains all energy outside of the first directions."""
        # Of the small values: the difference of two energies would be round-off.
        left = float(self.s[rank:] @ self.s[rank:]) + self.unknown_energy
        return math.sqrt(left / max(1, (self.short - rank) * (self.long - rank)))

    def estimate(self, rank, status, reason, noise_std=None, threshold=0.0):
        """Make the result; ranks that the shape limits are told as such."""
        rank = int(rank)
        if rank > 0 and rank >= self.short:
            status = "saturated" if self.is_wide else "full_width"
            limit = "queries" if self.is_wide else "outputs"
            reason = f"the rank is as large as the number of {limit} allows"
        elif rank > 0 and rank >= len(self.s) and not self.is_complete:
            status, reason = "saturated", "all directions that are kept are signal"
        if noise_std is None:
            noise_std = self.residual_std(rank)
        gap = log_gap(self.s, self.s[0] * self.eps if len(self.s) else 0.0)
        return RankEstimate(
            rank, status, float(noise_std), float(threshold), gap, reason
        )


def _check_sizes(shape, noise_std, eps, total_energy, round_off):
    if len(shape) != 2 or not all(isinstance(n, Integral) and n >= 0 for n in shape):
        raise ValueError(f"shape must be two integers, at least 0, got {shape!r}.")
    given = {"noise_std": noise_std, "total_energy": total_energy}
    for name, value in {**given, "eps": eps, "round_off": round_off}.items():
        if value is not None and not (
            isinstance(value, Real) and 0 <= value < math.inf
        ):
            raise ValueError(
                f"{name} must be None or at least 0 and finite, got {value!r}."
            )


def rounding_level(largest, n_long, eps):
    """Singular value that rounding stays below, of a matrix with this largest one.

    Errors of rounding are nearly independent, and stay far below the bound N eps s_1
    of `matrix_rank`: on 50,000 outputs in float32 that would be 0.6 % of s_1, more
    than the weakest directions of real heads.
    """
    return float(largest) * eps * math.sqrt(n_long)


def log_gap(s, floor):
    """Where log(s) falls most; values below the floor are taken as the floor."""
    if len(s) < 2 or s[0] == 0:
        return int(len(s) and s[0] > 0)
    logs = np.log(np.maximum(s, max(floor, np.finfo(float).tiny)))
    return int(np.argmax(logs[:-1] - logs[1:])) + 1


def _automatic(spectrum):
    if spectrum.noise_std is not None and spectrum.noise_std > 0:
        return _marchenko_pastur(spectrum)
    exact = _exact(spectrum)
    if exact is not None:
        return exact
    if not spectrum.is_wide and spectrum.n_columns < _FEWEST_OUTPUTS:
        reason = "no direction is missing, and too few outputs to tell noise"
        return spectrum.estimate(spectrum.n_columns, "full_width", reason)
    return _marchenko_pastur(spectrum)


def _exact(spectrum):
    """Return the estimate from a clear gap that ends in round-off, or None."""
    s, eps = spectrum.s, spectrum.eps
    n_unknown = spectrum.short - len(s)
    if spectrum.unknown_energy > n_unknown * spectrum.round_off**2:
        return None  # what is not known is more than round-off
    small = np.flatnonzero(s <= spectrum.round_off)
    rank = int(small[0]) if len(small) else len(s)
    if rank == 0:
        return spectrum.estimate(0, "exact", "all singular values are round-off")
    if rank == len(s) or s[rank - 1] < _CLEAR_GAP * s[rank]:
        return None
    # Smooth functions of few numbers (a soft cap of one direction) fall into round-off
    # by leaps too: the last one must not be one of many.
    if rank > 2 and s[rank - 1] / s[rank] < _CLEAR_GAP * s[rank - 2] / s[rank - 1]:
        reason = "the singular values fall into round-off without a gap of its own"
        return spectrum.estimate(rank, "ambiguous", reason)
    reason = (
        f"singular values fall {s[rank - 1] / max(s[rank], s[0] * 1e-300):.1g}-fold"
    )
    threshold = math.sqrt(s[rank - 1] * max(s[rank], s[0] * eps))
    return spectrum.estimate(rank, "exact", reason, threshold=threshold)


def _numerical(spectrum):
    threshold = spectrum.s[0] * spectrum.long * spectrum.eps
    rank = np.count_nonzero(spectrum.s > threshold)
    reason = "values above the bound of round-off"
    return spectrum.estimate(rank, "exact", reason, threshold=threshold)


def _gap(spectrum):
    s = spectrum.s
    floor = s[0] * spectrum.long * spectrum.eps
    rank = log_gap(s, floor)
    clear = rank < len(s) and s[rank - 1] >= _CLEAR_GAP * max(s[rank], floor)
    reason = "the largest gap of the logarithms is " + ("clear" if clear else "small")
    return spectrum.estimate(rank, "exact" if clear else "ambiguous", reason)


def _gavish_donoho(spectrum):
    beta = spectrum.short / spectrum.long
    if spectrum.noise_std is not None:
        noise = {"noise_std": spectrum.noise_std, "n": spectrum.long}
    elif spectrum.is_complete:
        noise = {"median_sv": float(np.median(spectrum.s))}
    else:
        raise ValueError(
            "method='gavish_donoho' needs noise_std, or all singular values: got "
            f"{len(spectrum.s)} of {spectrum.short}."
        )
    threshold = gavish_donoho_threshold(beta, **noise)
    rank = np.count_nonzero(spectrum.s > threshold)
    reason = "values above the threshold of Gavish and Donoho"
    return spectrum.estimate(
        rank, "noisy", reason, spectrum.noise_std, threshold=threshold
    )


def _marchenko_pastur(spectrum):
    if spectrum.noise_std is not None:
        return _above_known_noise(spectrum)
    rank, noise_std, edge = _fitted(spectrum)
    if spectrum.is_complete and not _looks_like_noise(spectrum, rank):
        return spectrum.estimate(spectrum.short, "noisy", "")
    estimate = spectrum.estimate(
        rank, "noisy", "values above the edge of the fitted noise", noise_std, edge
    )
    noise_energy = noise_std**2 * spectrum.n_rows * spectrum.n_columns
    if noise_energy > _LARGEST_NOISE * spectrum.energy:
        estimate.status = "ambiguous"
        share = noise_energy / spectrum.energy
        estimate.reason = f"the fitted noise has {share:.0%} of the energy"
    elif rank >= spectrum.n_rows - 8 and estimate.status == "noisy":
        estimate.status = "saturated"
        estimate.reason = "too few queries above the rank to fit the noise"
    return estimate


def _above_known_noise(spectrum):
    noise_std = spectrum.noise_std
    rank, edge = _rank_above_noise(spectrum, noise_std)
    reason = "values above the edge of the known noise"
    estimate = spectrum.estimate(rank, "noisy", reason, noise_std, edge)
    # Coarse rounding is a function of the logits, not noise that is independent of
    # them, and weak directions hide in it: its energy, or its spread, gives it away.
    found = spectrum.residual_std(rank)
    n_free = (spectrum.short - rank) * (spectrum.long - rank)
    allowed = _NOISE_MISFIT + 2 / math.sqrt(max(1, n_free))
    if estimate.status == "noisy" and noise_std and n_free:
        if abs(found / noise_std - 1) > allowed:
            estimate.status = "ambiguous"
            estimate.reason = (
                f"what is left has a standard deviation of {found:.2g}, where the "
                f"noise has {noise_std:.2g}"
            )
        elif spectrum.is_complete and not _looks_like_noise(spectrum, rank):
            estimate.status = "ambiguous"
            estimate.reason = "what is left is not spread like independent noise"
    return estimate


def _rank_above_noise(spectrum, noise_std):
    """Return the fixed point of counting values above the edge, and the edge."""
    rank = 0
    while True:
        edge = noise_std * noise_edge(spectrum.short - rank, spectrum.long - rank)
        count = int(np.count_nonzero(spectrum.s > edge))
        if count <= rank:  # it only grows, as the edge falls
            return rank, edge
        rank = count


def _fitted(spectrum):
    """Fit the noise below the rank and the rank above the noise, in turns."""
    rank = min(spectrum.short // 2, len(spectrum.s) // 2)
    seen = {}
    for _ in range(_MOST_ROUNDS):
        noise_std = _noise_below(spectrum, rank)
        seen[rank] = _rank_above_noise(spectrum, noise_std)
        if seen[rank][0] in seen:  # a fixed point, or a cycle: its smallest rank
            start = rank = seen[rank][0]
            cycle = [start]
            while seen[rank][0] != start:
                rank = seen[rank][0]
                cycle.append(rank)
            rank = min(cycle)
            break
        rank = seen[rank][0]
    noise_std = _noise_below(spectrum, rank)
    edge = noise_std * noise_edge(spectrum.short - rank, spectrum.long - rank)
    return rank, noise_std, edge


def _looks_like_noise(spectrum, rank):
    """Whether the values below the rank are spread as little as those of noise.

    Those of a signal with more directions than rows (or columns) reach down to zero.
    """
    tail = spectrum.s[rank:] ** 2
    if len(tail) < _FEWEST_NOISE:
        return False
    if not tail.any():  # less than any noise
        return True
    beta = (spectrum.short - rank) / (spectrum.long - rank)
    low, median = (marchenko_pastur_quantile(beta, share) for share in (0.1, 0.5))
    return np.quantile(tail, 0.1) > 0.5 * low / median * np.median(tail)


def _noise_below(spectrum, rank):
    rank = min(rank, spectrum.short - 1)
    if not spectrum.is_complete:
        return spectrum.residual_std(min(rank, len(spectrum.s)))
    long = spectrum.long - rank
    median = marchenko_pastur_median((spectrum.short - rank) / long)
    return math.sqrt(np.median(spectrum.s[rank:] ** 2) / (long * median))
