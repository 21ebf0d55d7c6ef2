"""Completion of censored logits by alternating least squares."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from ._rank import log_gap

# Above this density a product with a dense mask is faster than one with a sparse mask.
_DENSE_SHARE = 0.05
_MOST_DENSE = 1 << 25
# Normal equations of this many numbers at a time.
_SCRATCH = 1 << 24
_SMALLEST_RIDGE = 1e-8
# The held-out error must fall below this part of the spread of the logits; if no power
# of two gets it below the other, nothing between them will.
_DROP = 0.1
_PROMISING = 0.7
_EXACT, _ROUND_OFF = 1e-5, 1e-9
_CLEAR_DROP = 1.5
# Sweeps between looks at the held-out error; what it must fall meanwhile for more than
# max_iter sweeps, and how many times as many at most.
_EVERY, _SLOW, _PATIENCE, _POLISH = 10, 0.95, 4, 8


@dataclass
class Completion:
    """Factors of a completed matrix, L = left right^T on kept rows and columns.

    Attributes
    ----------
    found : bool
        Whether held-out entries are predicted.
    exact, clear : bool
        Whether they are predicted to round-off; whether the rank is sure.
    left, right : ndarray of shape (n_kept_rows, rank), (n_kept_columns, rank)
        The factors.
    rows, columns : ndarray of bool
        Rows and columns with enough entries.
    rmse : float
        Error of held-out entries.
    path : list of (rank, rmse)
        Errors on the way.
    n_iter : int
        Sweeps in all.
    """

    found: bool
    exact: bool = False
    clear: bool = False
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    rmse: float = np.nan
    path: list = field(default_factory=list)
    n_iter: int = 1

    @property
    def rank(self):
        """Number of directions."""
        return self.right.shape[1]

    @property
    def level(self):
        """Largest singular value of errors of this size."""
        return self.rmse * (np.sqrt(len(self.left)) + np.sqrt(len(self.right)))


class _Entries:
    """Observed entries of some rows and columns, and those held out."""

    def __init__(self, shape, row, column, value, held_out):
        self.shape, self.row, self.column = shape, row, column
        self.value, self.held_out = value, held_out

    @classmethod
    def split(cls, X, holdout, rng):
        X = X.tocoo()
        held_out = rng.random_sample(X.nnz) < holdout
        return cls(X.shape, X.row, X.col, X.data, held_out)

    def enough_for(self, rank):
        """Rows and columns with more training entries than the rank, or None."""
        n_rows, n_columns = self.shape
        keep = ~self.held_out
        while True:
            in_row = np.bincount(self.row[keep], minlength=n_rows)
            in_column = np.bincount(self.column[keep], minlength=n_columns)
            rows, columns = in_row > rank, in_column > rank
            fewer = keep & rows[self.row] & columns[self.column]
            if fewer.sum() == keep.sum():
                break
            keep = fewer
        n_free = rank * (rows.sum() + columns.sum() - rank)
        return (rows, columns) if keep.sum() >= max(n_free, 1) else None

    def matrices(self, rows, columns):
        """Mask and values of the training entries; both dense or both sparse."""
        keep = rows[self.row] & columns[self.column] & ~self.held_out
        index = (
            np.cumsum(rows)[self.row[keep]] - 1,
            np.cumsum(columns)[self.column[keep]] - 1,
        )
        shape = int(rows.sum()), int(columns.sum())
        values = sparse.csr_array((self.value[keep], index), shape=shape)
        mask = sparse.csr_array((np.ones(keep.sum()), index), shape=shape)
        size = shape[0] * shape[1]
        if keep.sum() > _DENSE_SHARE * size and size <= _MOST_DENSE:
            return mask.toarray(), values.toarray()
        return mask, values

    def rmse(self, left, right, rows, columns):
        """Error of the held-out entries of these rows and columns."""
        keep = rows[self.row] & columns[self.column] & self.held_out
        if not keep.any():
            return np.inf
        i = np.cumsum(rows)[self.row[keep]] - 1
        j = np.cumsum(columns)[self.column[keep]] - 1
        predicted = np.einsum("ij,ij->i", left[i], right[j])
        return float(np.sqrt(np.mean((predicted - self.value[keep]) ** 2)))


def complete(X, *, max_rank, holdout, max_iter, ridge, random_state):
    """Complete a matrix of low rank from its observed entries.

    Alternating ridge regressions for the ranks 1, 2, 4, ..., each from the factors of
    the best one so far, then for those around the rank that predicts held-out entries
    best. Ranks above the true one help to get there: from below, the iteration may stay
    in a local minimum, and from above the factors are cut.

    Parameters
    ----------
    X : CSR array of shape (n_rows, n_columns)
        What is stored is observed.
    max_rank : int
        Largest rank that is tried.
    holdout : float
        Share of the entries that is held out.
    max_iter : int
        Sweeps for each rank; as long as the held-out error falls, more.
    ridge : float
        First ridge, relative to the mean of the diagonal; it falls to 1e-8.
    random_state : RandomState
        Random numbers.

    Returns
    -------
    Completion
        With ``found=False`` if nothing predicts the held-out entries.
    """
    entries = _Entries.split(X, holdout, random_state)
    spread = float(np.std(entries.value))
    search = _Search(_Fit(entries, max_iter, ridge, spread, random_state), max_rank)
    rank = 1
    while search(rank) and not search.is_past(_DROP * spread):
        rank *= 2
    if search.best is None or not search.best.rmse < _PROMISING * spread:
        return search.result(found=False)
    search.trim()
    if not search.best.rmse < _EXACT * spread:
        search.around()
        search.trim()
    result = search.result(found=search.best.rmse < _DROP * spread)
    result.exact = result.rmse < _EXACT * spread
    result.clear = result.exact or search.is_clear()
    return result


class _Search:
    """Held-out errors of ranks, and the best factors so far."""

    def __init__(self, fit, max_rank):
        self.fit, self.max_rank = fit, max_rank
        self.errors, self.path, self.best = {}, [], None

    def __call__(self, rank, patience=None):
        """Try a rank; return whether it could be."""
        if not 1 <= rank <= self.max_rank:
            return False
        if rank in self.errors and patience is None:
            return True
        state = self.fit(rank, self.best, patience or _PATIENCE)
        if state is None:
            return False
        self.errors[rank] = min(state.rmse, self.errors.get(rank, np.inf))
        self.path.append((rank, state.rmse))
        if self.best is None or state.rmse < self.best.rmse:
            self.best = state
        return True

    def trim(self):
        """Cut the best factors where their singular values have a gap, and go on."""
        s = np.linalg.svdvals(self.best.right)  # the left factor is orthonormal
        self(trimmed_rank(s, self.best.level), _POLISH)

    def around(self):
        """Try ranks around the best one, in steps that are halved down to one."""
        step = max(1, self.best.rank // 2)
        while step:
            centre = self.best.rank
            self(centre - step)
            self(centre + step)
            if step > 1 or self.best.rank == centre:
                step //= 2

    def is_past(self, error):
        """Whether the last rank was worse than one with a small error."""
        return self.best.rmse < error and self.path[-1][1] > self.best.rmse

    def is_clear(self):
        """Whether one direction less is much worse."""
        fewer = self.errors.get(self.best.rank - 1)
        return fewer is not None and fewer > _CLEAR_DROP * self.best.rmse

    def result(self, found):
        """Return the best factors with the path."""
        result = self.best or Completion(False)
        result.found, result.path = found, self.path
        result.n_iter = max(1, self.fit.n_iter)
        return result


class _Fit:
    """Alternating least squares for one rank, from the factors of another."""

    def __init__(self, entries, max_iter, ridge, spread, rng):
        self.entries, self.max_iter, self.ridge = entries, max_iter, ridge
        self.spread, self.rng = spread, rng
        self.n_iter = 0

    def __call__(self, rank, start, patience=_PATIENCE):
        kept = self.entries.enough_for(rank)
        if kept is None:
            return None
        rows, columns = kept
        mask, values = self.entries.matrices(rows, columns)
        right = self._start(rank, start, columns)
        error, i = np.inf, 0
        while True:
            fallen = min(1.0, i / max(1, self.max_iter - 1))
            ridge = self.ridge * (_SMALLEST_RIDGE / self.ridge) ** fallen
            left = np.linalg.qr(_solve(mask, values, right, ridge))[0]
            right = _solve(mask.T, values.T, left, ridge)
            i += 1
            if i % _EVERY and i != self.max_iter:
                continue
            before, error = error, self.entries.rmse(left, right, rows, columns)
            # Beyond max_iter only what converges goes on: the entries that are missing
            # are the small ones, and the less is known of them, the slower it is.
            if error < _ROUND_OFF * self.spread or i >= patience * self.max_iter:
                break
            if i >= self.max_iter and error > min(_SLOW * before, self.spread / 3):
                break
        self.n_iter += i
        return Completion(
            False, left=left, right=right, rows=rows, columns=columns, rmse=error
        )

    def _start(self, rank, start, columns):
        """Right factor: that of the start, cut to its best directions or filled up."""
        n_columns = int(columns.sum())
        right = self.rng.standard_normal((n_columns, rank))
        if start is None:
            return right
        whole = np.zeros((len(columns), start.right.shape[1]))
        whole[start.columns] = start.right
        known = whole[columns]
        U, s, _ = np.linalg.svd(known, full_matrices=False)
        known = (U * s)[:, :rank]
        right[:, known.shape[1] :] *= 1e-2 * s[0] / np.sqrt(n_columns)
        right[:, : known.shape[1]] = known
        return right


def _solve(mask, values, factor, ridge):
    """Ridge regression of each row's observed entries on the factor's rows."""
    n_rows, rank = mask.shape[0], factor.shape[1]
    upper = np.triu_indices(rank)
    products = factor[:, upper[0]] * factor[:, upper[1]]
    right_side = values @ factor
    solution = np.empty((n_rows, rank))
    step = max(1, _SCRATCH // rank**2)
    for start in range(0, n_rows, step):
        block = slice(start, start + step)
        packed = mask[block] @ products
        normal = np.empty((len(packed), rank, rank))
        normal[:, upper[0], upper[1]] = packed
        normal[:, upper[1], upper[0]] = packed
        diagonal = np.einsum("nii->ni", normal)
        diagonal += ridge * diagonal.mean(axis=1, keepdims=True) + 1e-300
        solution[block] = np.linalg.solve(normal, right_side[block][..., None])[..., 0]
    return solution


def trimmed_rank(s, level):
    """Rank at the largest gap that ends near the singular value of the errors."""
    first = int(np.count_nonzero(s > 10 * level))
    if first >= len(s):
        return len(s)
    first = max(first - 1, 0)
    return first + log_gap(s[first:], s[0] * np.finfo(float).eps)
