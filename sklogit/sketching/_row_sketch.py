"""What all sketches of the rows of a matrix have in common."""

from inspect import signature
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, check_random_state

from ._row_ranges import insert_range

# Columns of the identity that `toarray` sketches at a time.
_COLUMNS_AT_ONCE = 256


class RowSketch:
    """Sketch S A of a matrix whose rows arrive in any number of chunks.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of S.
    block_size : int or None, default=None
        Number of rows that share random numbers; None takes what suits the sketch.
    random_state : int, RandomState instance or None, default=None
        An int is the key of the random numbers itself; else one is drawn.
    """

    _operator_class = None
    _options = ()

    def __init__(self, sketch_size, *, block_size=None, random_state=None):
        self.sketch_size = check_integer(sketch_size, "sketch_size", 1)
        self.block_size = block_size
        if block_size is not None:
            self.block_size = check_integer(block_size, "block_size", 1)
        self.random_state = random_state
        self.seed = seed_of(random_state)
        self._operator = self._total = None
        self._pending, self._ranges, self._next_row = {}, [], 0
        if self.block_size or not self._operator_class.needs_n_columns:
            self._operator_for(None)  # refuses what does not fit

    @property
    def n_rows_seen_(self):
        """Number of rows sketched so far."""
        return sum(stop - start for start, stop in self._ranges)

    @property
    def n_features_in_(self):
        """Number of columns of the matrix."""
        return self._seen().shape[1]

    @property
    def block_size_(self):
        """Number of rows of a block."""
        if self._operator is None:
            return self._operator_for(None).block_size
        return self._operator.block_size

    def update(self, block, *, first_row=None):
        """Sketch some more rows.

        The result does not depend on how the rows are cut into chunks. A call that
        fails leaves everything as it was.

        Parameters
        ----------
        block : {array-like, sparse matrix} of shape (n_rows, n_columns)
            Rows. Float32 and float64 are sketched as they are, and all later ones are
            converted to the type of the first; anything else to float64.
        first_row : int or None, default=None
            Index in the whole matrix of the first of these rows; None goes on after the
            rows of the last call. Several sketches of one seed, each of other rows, can
            be merged.

        Returns
        -------
        RowSketch
            The sketch itself.

        Raises
        ------
        ValueError
            If a value is not finite, the number of columns is not that of the rows
            before, or a row has been sketched already.
        """
        X = self._check(block)
        start = self._next_row
        if first_row is not None:
            start = check_integer(first_row, "first_row", 0)
        ranges = insert_range(self._ranges, start, start + X.shape[0])
        operator = self._operator or self._operator_for(X.shape[1])
        sums = _Sums(operator, self._total, self._pending, X.shape[1], X.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            sums.add_rows(start, X)
            is_finite = sums.is_finite()
        if not is_finite:
            check_array(X, accept_sparse=True, input_name="block")
            raise ValueError("block has values so large that their sums overflow.")
        self._operator, self._ranges = operator, ranges
        self._total, self._pending = sums.total, sums.pending
        self._next_row = start + X.shape[0]
        return self

    def result(self):
        """Return the sketch of all rows so far; more may follow.

        Returns
        -------
        ndarray of shape (sketch_size, n_columns)
            S A.

        Raises
        ------
        NotFittedError
            If there have been no rows.
        """
        total = self._seen().copy()
        for q, pieces in self._pending.items():
            self._operator.apply(q, _joined(pieces), total)
        return total

    def merge(self, other):
        """Add the rows of another sketch, of the same matrix and the same seed.

        Parameters
        ----------
        other : RowSketch
            Of the same type and parameters; it does not change.

        Returns
        -------
        RowSketch
            The sketch itself.

        Raises
        ------
        ValueError
            If the sketches differ in type, sizes, seed or number of columns, or have
            rows in common.
        """
        self._check_same(other)
        if other._total is None:
            return self
        if self._total is not None and self.n_features_in_ != other.n_features_in_:
            raise ValueError(
                f"The sketches have {self.n_features_in_} and {other.n_features_in_} "
                "columns: only sketches of one matrix can be merged."
            )
        ranges = self._ranges
        for start, stop in other._ranges:
            ranges = insert_range(ranges, start, stop)
        total = (
            other._total.copy() if self._total is None else self._total + other._total
        )
        sums = _Sums(other._operator, total, self._pending, total.shape[1], total.dtype)
        for q, pieces in other._pending.items():
            for offset, piece in pieces:
                sums.add_piece(q, offset, piece)
        self._operator, self._ranges = other._operator, ranges
        self._total, self._pending = sums.total, sums.pending
        self._next_row = ranges[-1][1]
        return self

    def toarray(self, n_rows):
        """Return the matrix S for that many rows.

        Parameters
        ----------
        n_rows : int
            Number of rows of the matrix to sketch.

        Returns
        -------
        ndarray of shape (sketch_size, n_rows)
            S: an array as large as the matrix; sketches never make it.
        """
        n_rows = check_integer(n_rows, "n_rows", 0)
        operator = self._operator or self._operator_for(None)
        c, S = operator.block_size, np.zeros((self.sketch_size, n_rows))
        for start in range(0, n_rows, _COLUMNS_AT_ONCE):
            stop = min(start + _COLUMNS_AT_ONCE, n_rows)
            for q in range(start // c, (stop - 1) // c + 1):
                unit = np.eye(min(c, n_rows - q * c), stop - start, q * c - start)
                part = np.zeros((self.sketch_size, stop - start))
                operator.apply(q, unit, part)
                S[:, start:stop] += part
        return S

    def __repr__(self):
        """Return the constructor with what differs from its defaults."""
        given = [
            f"{name}={getattr(self, name)!r}"
            for name, parameter in signature(type(self)).parameters.items()
            if getattr(self, name) is not parameter.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def _operator_for(self, n_columns):
        """Return S for a matrix of that many columns, which may be unknown."""
        kind, size = self._operator_class, self.block_size
        if size is None:
            if n_columns is None and kind.needs_n_columns:
                raise ValueError(
                    "block_size depends on the number of columns here: call update "
                    "first, or set it."
                )
            size = kind.default_block_size(self.sketch_size, n_columns)
        options = {name: getattr(self, name) for name in self._options}
        return kind(self.sketch_size, size, self.seed, **options)

    def _seen(self):
        if self._total is None:
            raise NotFittedError(
                f"This {type(self).__name__} has sketched no rows yet: call update."
            )
        return self._total

    def _check(self, block):
        dtype = [np.float64, np.float32] if self._total is None else self._total.dtype
        X = check_array(
            block,
            accept_sparse="csr",
            dtype=dtype,
            ensure_all_finite=False,
            ensure_min_samples=0,
            input_name="block",
        )
        if self._total is not None and X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"block has {X.shape[1]} columns, but the rows before have "
                f"{self.n_features_in_}."
            )
        return X

    def _check_same(self, other):
        if type(self) is not type(other):
            raise ValueError(
                f"other is a {type(other).__name__}, and cannot be merged with a "
                f"{type(self).__name__}."
            )
        names = ["sketch_size", "seed", *self._options]
        if self._total is not None and other._total is not None:
            names.append("block_size_")
        for name in names:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(
                    f"{name} is {mine} here and {theirs} in other: only sketches by "
                    "one random matrix can be merged."
                )


class _Sums:
    """Sum over the blocks, and rows that wait for the rest of theirs."""

    def __init__(self, operator, total, pending, n_columns, dtype):
        self.operator = operator
        self.pending = {q: list(pieces) for q, pieces in pending.items()}
        self.is_fresh = total is None  # else to be copied before the first change
        if total is None:
            total = np.zeros((operator.sketch_size, n_columns), dtype=dtype)
        self.total = total
        self.buffered = []

    def add_rows(self, start, X):
        """Add rows that start at a row of the matrix."""
        c, n, position = self.operator.block_size, X.shape[0], 0
        while position < n:
            q, offset = divmod(start + position, c)
            stop = min(position + c - offset, n)
            piece = X[position:stop]
            if stop - position == c:
                self._apply(q, piece)
            else:
                self.buffered.append(piece)
                self.add_piece(q, offset, piece.copy())
            position = stop

    def add_piece(self, q, offset, piece):
        """Add a part of a block."""
        pieces = self.pending.setdefault(q, [])
        pieces.append((offset, piece))
        if sum(part.shape[0] for _, part in pieces) == self.operator.block_size:
            self._apply(q, _joined(self.pending.pop(q)))

    def is_finite(self):
        """Whether the sums and the rows that wait are finite."""
        arrays = [self.total]
        arrays += [p.data if sparse.issparse(p) else p for p in self.buffered]
        # A sum is finite in almost all cases in which all its terms are.
        return all(np.isfinite(a.sum()) or np.isfinite(a).all() for a in arrays)

    def _apply(self, q, Z):
        if not self.is_fresh:
            self.total, self.is_fresh = self.total.copy(), True
        self.operator.apply(q, Z, self.total)


def _joined(pieces):
    """Rows of a block, from parts at their offsets; zeros where there are none."""
    pieces = sorted(pieces, key=lambda piece: piece[0])
    n_rows = pieces[-1][0] + pieces[-1][1].shape[0]
    n_columns, dtype = pieces[0][1].shape[1], pieces[0][1].dtype
    if all(sparse.issparse(part) for _, part in pieces):
        parts, row = [], 0
        for offset, part in pieces:
            parts += [sparse.csr_array((offset - row, n_columns), dtype=dtype), part]
            row = offset + part.shape[0]
        return sparse.vstack(parts, format="csr")
    block = np.zeros((n_rows, n_columns), dtype=dtype)
    for offset, part in pieces:
        dense = part.toarray() if sparse.issparse(part) else part
        block[offset : offset + part.shape[0]] = dense
    return block


def seed_of(random_state):
    """Return the key of random numbers that a `random_state` stands for.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An int of 0 to 2^64 - 1 is the key itself.

    Returns
    -------
    int
        The key.
    """
    if isinstance(random_state, Integral) and not isinstance(random_state, bool):
        if not 0 <= random_state < 1 << 64:
            raise ValueError(
                f"random_state must be from 0 to 2^64 - 1; got {random_state}."
            )
        return int(random_state)
    return int(check_random_state(random_state).randint(1 << 31))


def check_integer(value, name, least):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}; got {value!r}."
        )
    return int(value)
