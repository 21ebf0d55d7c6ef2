"""What an audit finds, from full rows and from censored ones."""

import math
from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from ._completion import complete, trimmed_rank
from ._identifiability import topk_tv_diameter
from ._random_matrix import noise_edge
from ._rank import COARSEST_EXACT, estimate_rank, rounding_level
from ._spectrum import SpectrumStream

_CENSORED_DIRECTIONS = 64
# Part of rows and columns that must give the same rank, and by how much it may differ.
_PART = 0.8
_RELATIVE_CHANGE = 0.02
# Entries of a row, evenly spread, that tell whether it came before.
_COMPARED = 4096


@dataclass
class Audit:
    """Fitted attributes of `LogitLeakageAuditor`, without the underscore."""

    rank: int
    rank_status: str
    rank_reason: str
    singular_values: np.ndarray
    log_gap: int
    noise_std: float
    noise_std_to_hide: float
    components: np.ndarray
    mean: np.ndarray
    n_queries: int
    n_distinct_queries: int
    n_queries_sufficient: int | None
    leaked_parameters: int
    observed_fraction: float
    topk_ratio: float
    seen: np.ndarray
    topk_ambiguity: float = 0.0
    n_iter: int = 1
    cv_path: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))


class AuditStream(SpectrumStream):
    """Spectrum of the rows so far, and how precise they are."""

    def __init__(self, n_columns, dtype, *, solver, **options):
        # In float32 a Gram matrix in float64 shows all that is above round-off.
        precise = solver == "full" or (solver == "auto" and dtype == np.float64)
        super().__init__(n_columns, dtype, precise=precise, **options)
        # Values that a Gram matrix cannot show are no finer than this.
        self.eps = float(np.finfo(np.float64 if precise else np.float32).eps)
        self.noise = None
        self.known_rows, self.n_asked = set(), 0
        self.first_row, self.varies = None, np.zeros(n_columns, dtype=bool)
        self.column_traces = np.zeros(n_columns)

    @property
    def round_off(self):
        """Bound of what rounding the entries does.

        The norm of independent errors is at most the largest norm of a row and the
        largest of a column, of their standard deviations; here with a margin of 3. It
        is that of the entries as they came: what centring takes away was rounded too.
        """
        largest_column = float(np.sqrt(self.column_squares.max()))
        of_entries = self.eps * (self.largest_row + largest_column)
        if self.eps > COARSEST_EXACT or not len(self.s):
            return of_entries
        return max(of_entries, rounding_level(self.s[0], max(self.shape), self.eps))

    def copy(self):
        """Return a copy to add rows to; arrays are replaced, never written to."""
        other = copy(self)
        other.known_rows = set(self.known_rows)
        return other

    def add(self, X):
        """Add rows that are new: who asks again does not learn more.

        Repeated rows would look like queries that the rank does not grow with, and
        their rounding, the same each time, like a direction.
        """
        new = self._new_rows(X)
        self.n_asked += len(X)
        self._look_at_columns(X)
        return super().add(X if new.all() else X[new])

    @property
    def repeats_columns(self):
        """Whether outputs that vary are the same in all rows, and so is their noise."""
        traces = self.column_traces[self.varies]
        return len(np.unique(traces)) < len(traces)

    def _new_rows(self, X):
        # Rows that agree in so many places are the same.
        step = max(1, X.shape[1] // _COMPARED)
        new = np.empty(len(X), dtype=bool)
        for i, row in enumerate(X):
            trace = row[::step] + 0.0  # -0.0 is 0.0
            trace = blake2b(trace.tobytes(), digest_size=16).digest()
            new[i] = trace not in self.known_rows
            self.known_rows.add(trace)
        return new

    def _look_at_columns(self, X):
        if self.first_row is None:
            self.first_row = X[0].copy()
        varies, traces = self.varies.copy(), self.column_traces.copy()
        # Sums of decimals, or of their squares, agree by chance: these do not.
        weights = np.random.default_rng(self.n_asked).standard_normal(len(X))
        for weight, row in zip(weights, X):
            varies |= row != self.first_row
            traces += weight * row
        self.varies, self.column_traces = varies, traces


def new_stream(n_columns, dtype, **options):
    """Start a stream of rows."""
    return AuditStream(n_columns, np.dtype(dtype), **options)


def audit_stream(auditor, stream):
    """Audit what a stream has seen."""
    noise = stream.noise.std
    options = {
        "noise_std": noise,
        "method": auditor.rank_method,
        "eps": stream.eps,
        "round_off": stream.round_off,
    }
    found = estimate_rank(stream.s, stream.shape, total_energy=stream.energy, **options)
    if found.status in ("noisy", "ambiguous") and stream.repeats_columns:
        found.status = "ambiguous"
        found.reason = "outputs repeat each other, noise included: leave them out"
    if auditor.stability_check and found.status == "noisy":
        _check_stability(stream, found, options, auditor._random_state())
    if auditor.rank != "auto":
        found.rank = int(min(auditor.rank, np.count_nonzero(stream.s)))
        found.status, found.reason = "given", "the rank is a parameter"
    n_rows, n_columns = stream.shape
    rank = found.rank
    return Audit(
        rank=rank,
        rank_status=found.status,
        rank_reason=found.reason,
        singular_values=stream.s,
        log_gap=found.log_gap,
        noise_std=found.noise_std,
        noise_std_to_hide=_hiding_noise(stream.s, rank, n_rows, n_columns),
        components=stream.directions(rank),
        mean=stream.mean,
        n_queries=stream.n_asked,
        n_distinct_queries=stream.n_rows,
        n_queries_sufficient=_sufficient(auditor, stream, found),
        leaked_parameters=rank * (n_columns - rank),
        observed_fraction=1.0,
        topk_ratio=_ratio(
            stream.n_rows * stream.factor.shape[1],
            rank,
            stream.n_rows,
            stream.factor.shape[1],
        ),
        seen=np.ones(stream.factor.shape[1], dtype=bool),
    )


def audit_censored(auditor, X, noise):
    """Audit a CSR array of which only what is stored is observed."""
    n_rows, n_columns = X.shape
    largest = auditor.max_rank or _CENSORED_DIRECTIONS
    completion = complete(
        X,
        max_rank=min(largest, n_rows, n_columns),
        holdout=auditor.holdout,
        max_iter=auditor.max_iter,
        ridge=auditor.ridge,
        random_state=auditor._random_state(),
    )
    audit = _no_completion(auditor, X, noise)
    audit.n_iter = completion.n_iter
    audit.cv_path = np.array(completion.path, dtype=float).reshape(-1, 2)
    if completion.found:
        _use_completion(auditor, audit, completion, X)
    return audit


def _no_completion(auditor, X, noise):
    n_rows, n_columns = X.shape
    given = 0 if auditor.rank == "auto" else auditor.rank
    values = X.astype(np.float64)
    ambiguity = [
        topk_tv_diameter(values.data[start:stop], n_columns)
        for start, stop in zip(values.indptr, values.indptr[1:])
        if stop > start
    ]
    return Audit(
        rank=0,
        rank_status="unidentifiable",
        rank_reason="no rank predicts entries that were held out",
        singular_values=np.empty(0),
        log_gap=0,
        noise_std=math.nan if noise.std is None else noise.std,
        noise_std_to_hide=math.nan,
        components=np.empty((0, n_columns), dtype=X.dtype),
        mean=np.zeros(n_columns),
        n_queries=n_rows,
        n_distinct_queries=n_rows,
        n_queries_sufficient=None,
        leaked_parameters=0,
        observed_fraction=X.nnz / (n_rows * n_columns),
        topk_ratio=_ratio(X.nnz, given, n_rows, n_columns),
        seen=np.zeros(n_columns, dtype=bool),
        topk_ambiguity=float(np.mean(ambiguity)) if ambiguity else 1.0,
    )


def _use_completion(auditor, audit, completion, X):
    """Centre and decompose the completed matrix, in its factors."""
    left, right = completion.left, completion.right
    seen = completion.columns
    mean = np.zeros(len(right))
    if auditor._centers_rows:
        right = right - right.mean(axis=0)
    if auditor._centers_columns:
        mean = right @ left.mean(axis=0)
        left = left - left.mean(axis=0)
    (_, R_left), (Q, R_right) = np.linalg.qr(left), np.linalg.qr(right)
    _, s, V = np.linalg.svd(R_left @ R_right.T)
    rank = trimmed_rank(s, completion.level)
    if auditor.rank != "auto":
        rank = min(auditor.rank, len(s))
    audit.rank, audit.singular_values = rank, s
    audit.rank_status, audit.rank_reason = _status_of(completion)
    if auditor.rank != "auto":
        audit.rank_status, audit.rank_reason = "given", "the rank is a parameter"
    audit.log_gap, audit.noise_std = rank, completion.rmse
    audit.components = np.zeros((rank, X.shape[1]), dtype=X.dtype)
    audit.components[:, seen] = (Q @ V[:rank].T).T
    audit.mean[seen] = mean
    audit.seen = seen
    audit.leaked_parameters = rank * (int(seen.sum()) - auditor._centers_rows - rank)
    audit.noise_std_to_hide = _hiding_noise(s, rank, len(left), len(right))
    audit.topk_ratio = _ratio(X.nnz, rank, *X.shape)


def _status_of(completion):
    if completion.exact:
        return "exact", "completion predicts held-out entries to round-off"
    if completion.clear:
        return "noisy", "completion predicts held-out entries, and the rank has a gap"
    return "ambiguous", "completion predicts held-out entries, but the rank has no gap"


def _check_stability(stream, found, options, rng):
    """Call a rank ambiguous that part of the rows or columns does not confirm."""
    allowed = max(1, _RELATIVE_CHANGE * found.rank)
    n_rows, n_columns = stream.shape
    energy = stream.energy
    part = int(_PART * n_rows)
    s = spectrum_of_rows(stream.s, n_rows, part, rng)
    energy_rows = float(s @ s) + stream.dropped * _PART
    checks = [("queries", s, (part, n_columns), energy_rows)]
    chosen = np.sort(rng.permutation(stream.factor.shape[1])[: int(_PART * n_columns)])
    s, energy = stream.column_spectrum(chosen)
    s = s[: min(n_rows, len(chosen))]
    checks.append(("outputs", s, (n_rows, len(chosen)), energy))
    for what, s, shape, energy in checks:
        again = estimate_rank(s, shape, total_energy=energy, **options)
        if abs(again.rank - found.rank) > allowed:
            found.status = "ambiguous"
            found.reason = (
                f"{_PART:.0%} of the {what} give rank {again.rank} in place of "
                f"{found.rank}"
            )
            return


def spectrum_of_rows(s, n_rows, part, rng):
    """Singular values of so many random orthonormal combinations of the rows.

    Rotating normal noise changes nothing of its law, and rotating the signal nothing of
    its rank: this is as good as a random choice of rows, and needs no rows.
    """
    basis = np.linalg.qr(rng.standard_normal((n_rows, min(len(s), n_rows))))[0][:part]
    mixed = basis * s[: basis.shape[1]]
    gram = mixed @ mixed.T if part <= mixed.shape[1] else mixed.T @ mixed
    values = np.linalg.eigvalsh(gram)[::-1]
    return np.sqrt(np.maximum(values, 0.0))


def _sufficient(auditor, stream, found):
    """Least number of queries that would have given the rank.

    Exact data: one more than the rank, and one for the mean. Under noise: where the
    weakest direction is expected to stand above the edge. With m queries its singular
    value is that of a spike of strength t in noise of variance one,
    sqrt((t + m) (t + V) / t), and the root of t grows as that of m less that of r.
    """
    if found.rank == 0:
        return None
    if found.status == "exact":
        return found.rank + 1 + auditor._centers_columns
    if found.status != "noisy" or found.rank == 0 or found.noise_std == 0:
        return None
    rank, (n, V) = found.rank, stream.shape
    excess = (stream.s[rank - 1] / found.noise_std) ** 2 - n - V
    strength = (excess + math.sqrt(max(excess**2 - 4.0 * n * V, 0.0))) / 2

    def is_seen(m):
        t = (
            strength
            * ((math.sqrt(m) - math.sqrt(rank)) / (math.sqrt(n) - math.sqrt(rank))) ** 2
        )
        edge = noise_edge(min(m, V) - rank, max(m, V) - rank)
        return t > 0 and math.sqrt((t + m) * (t + V) / t) > edge and t * t > m * V

    few, enough = rank, n
    while enough - few > 1:
        m = (few + enough) // 2
        few, enough = (few, m) if is_seen(m) else (m, enough)
    return enough + auditor._centers_columns


def _hiding_noise(s, rank, n_rows, n_columns):
    if not 0 < rank <= len(s):
        return math.nan
    edge = math.sqrt(max(n_rows - rank, 0)) + math.sqrt(max(n_columns - rank, 0))
    return float(s[rank - 1] / edge) if edge > 0 else math.inf


def _ratio(n_observed, rank, n_rows, n_columns):
    if not 0 < rank <= min(n_rows, n_columns):
        return math.nan
    return n_observed / (rank * (n_rows + n_columns - rank))
