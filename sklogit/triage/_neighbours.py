"""Pairs of reports within a radius, block by block, and the nearest ones."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import KDTree

from ._geometry import chord_of_km, km_of_chord, unit_vectors

# A block has at most so many queries, and so many pairs if all were neighbours: about
# 0.15 GB with the distances, weights and indices. Four times as many are slower.
_BLOCK_QUERIES = 4096
_BLOCK_PAIRS = 1_000_000


@dataclass(frozen=True)
class Places:
    """Where and when reports are.

    Attributes
    ----------
    vectors : ndarray of shape (n_reports, 3)
        Unit vectors; NaN where the place is not known.
    days : ndarray of shape (n_reports,) or None
        Days; NaN where the time is not known, None if no time counts.
    """

    vectors: np.ndarray
    days: np.ndarray | None = None

    @classmethod
    def from_degrees(cls, latitude, longitude, days=None):
        """Make places of coordinates in degrees."""
        return cls(unit_vectors(latitude, longitude), days)

    def __len__(self):
        return len(self.vectors)

    def __getitem__(self, rows):
        days = None if self.days is None else self.days[rows]
        return Places(self.vectors[rows], days)

    @property
    def known(self):
        """Whether the place of each report is known."""
        return ~np.isnan(self.vectors[:, 0])


@dataclass(frozen=True)
class Pairs:
    """Pairs of a block of queries and all references that influence them.

    Attributes
    ----------
    start, stop : int
        The queries of the block.
    rows : ndarray of shape (n_pairs,)
        Query of each pair, counted from `start`.
    columns : ndarray of shape (n_pairs,)
        Its reference.
    weight : ndarray of shape (n_pairs,)
        Influence, positive.
    """

    start: int
    stop: int
    rows: np.ndarray
    columns: np.ndarray
    weight: np.ndarray

    def sums(self, values):
        """Sum `values` of the references by influence, one sum a query."""
        return np.bincount(
            self.rows,
            weights=self.weight * values[self.columns],
            minlength=self.stop - self.start,
        )


def block_slices(n_queries, n_references):
    """Slices of queries that need bounded memory, whatever the radius."""
    step = int(np.clip(_BLOCK_PAIRS // max(1, n_references), 16, _BLOCK_QUERIES))
    for start in range(0, n_queries, step):
        yield slice(start, min(start + step, n_queries))


def influence_pairs(queries, references, kernel, own=None):
    """Yield the pairs that count, a block of queries at a time.

    Parameters
    ----------
    queries, references : Places
        Reports.
    kernel : Kernel
        Influence.
    own : ndarray of shape (n_queries,), default=None
        Which reference is the query itself, or -1; it does not count. Reports are told
        apart by their row, not by a distance of zero: several come from one address.

    Yields
    ------
    Pairs
        Of consecutive blocks, which cover all queries.
    """
    index = np.flatnonzero(references.known)
    tree = KDTree(references.vectors[index])
    most = len(references)
    if kernel.max_neighbors is not None and kernel.counts_nearest_first:
        most = min(most, kernel.max_neighbors + (own is not None))
    for block in block_slices(len(queries), most):
        part = queries[block]
        find = _within_radius if most == len(references) else _nearest_within_radius
        rows, columns, km = find(part, tree, index, kernel.radius_km, most)
        if own is not None:
            kept = columns != own[block][rows]
            rows, columns, km = rows[kept], columns[kept], km[kept]
        lag = None
        if kernel.needs_time:
            lag = _lags(part, references, rows, columns)
        if kernel.causal:
            # Comparisons with NaN are false: without a date nothing is known before.
            kept = lag > 0
            rows, columns, km, lag = rows[kept], columns[kept], km[kept], lag[kept]
        weight = kernel.weight(km, lag)
        kept = weight > 0
        if kernel.max_neighbors is not None:
            kept &= _among_nearest(rows, km, kept, kernel.max_neighbors)
        yield Pairs(block.start, block.stop, rows[kept], columns[kept], weight[kept])


def _within_radius(part, tree, index, radius_km, most=None):
    """Return all pairs: queries, references, and km."""
    known = np.flatnonzero(part.known)
    if not len(known) or not len(index):
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing, np.zeros(0)
    # Between two trees all pairs are found in one call: twice as fast as the
    # radius queries of a ball tree with the haversine metric, and exact likewise.
    # The margin keeps pairs at the radius itself, up to rounding, which the next
    # lines decide in km.
    found = KDTree(part.vectors[known]).sparse_distance_matrix(
        tree, chord_of_km(radius_km) * (1 + 1e-9) + 1e-15, output_type="ndarray"
    )
    km = km_of_chord(found["v"])
    kept = km <= radius_km
    return known[found["i"][kept]], index[found["j"][kept]], km[kept]


def _nearest_within_radius(part, tree, index, radius_km, most):
    """Return the pairs of each query with its nearest references, `most` of them."""
    known = np.flatnonzero(part.known)
    most = min(most, len(index))
    if not len(known) or not most:
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing, np.zeros(0)
    chord, column = tree.query(part.vectors[known], k=np.arange(1, most + 1))
    km = km_of_chord(chord)
    i, j = np.nonzero(km <= radius_km)
    return known[i], index[column[i, j]], km[i, j]


def _lags(queries, references, rows, columns):
    if queries.days is None or references.days is None:
        return None
    return queries.days[rows] - references.days[columns]


def _among_nearest(rows, km, allowed, most):
    """Mark, of the allowed pairs, the `most` nearest ones of each query."""
    pairs = np.flatnonzero(allowed)
    order = pairs[np.lexsort((km[pairs], rows[pairs]))]
    sorted_rows = rows[order]
    place = np.arange(len(order)) - np.searchsorted(sorted_rows, sorted_rows)
    kept = np.zeros(len(rows), dtype=bool)
    kept[order[place < most]] = True
    return kept


def influence_sums(queries, references, kernel, values, own=None):
    """Sum columns of values over references, weighted by their influence.

    Parameters
    ----------
    queries, references : Places
        Reports.
    kernel : Kernel
        Influence F.
    values : sequence of ndarray of shape (n_references,)
        What to sum.
    own : ndarray of shape (n_queries,), default=None
        See `influence_pairs`.

    Returns
    -------
    sums : ndarray of shape (n_queries, len(values))
        F @ values, without F in memory.
    """
    sums = np.zeros((len(queries), len(values)))
    for pairs in influence_pairs(queries, references, kernel, own):
        for k, column in enumerate(values):
            sums[pairs.start : pairs.stop, k] = pairs.sums(column)
    return sums


def influence_matrix(queries, references, kernel, own=None):
    """Return the influence as CSR of shape (n_queries, n_references)."""
    blocks = [
        sparse.coo_array(
            (pairs.weight, (pairs.rows, pairs.columns)),
            shape=(pairs.stop - pairs.start, len(references)),
        ).tocsr()
        for pairs in influence_pairs(queries, references, kernel, own)
    ]
    if not blocks:
        return sparse.csr_array((0, len(references)))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def nearest_reference(queries, references, own=None, *, causal=False):
    """Find the nearest reference of each query, at any distance.

    Parameters
    ----------
    queries, references : Places
        Reports.
    own : ndarray of shape (n_queries,), default=None
        See `influence_pairs`.
    causal : bool, default=False
        Whether only references before the query count.

    Returns
    -------
    km : ndarray of shape (n_queries,)
        Distance; infinite where there is none, NaN where the place is not known.
    index : ndarray of shape (n_queries,)
        The reference, or -1.
    """
    km = np.where(queries.known, np.inf, np.nan)
    nearest = np.full(len(queries), -1, dtype=np.intp)
    index = np.flatnonzero(references.known)
    if not len(index):
        return km, nearest
    tree = KDTree(references.vectors[index])
    for block in block_slices(len(queries), len(references)):
        part = queries[block]
        part_own = None if own is None else own[block]
        rows, found, chord = _nearest_in(
            part, references, tree, index, part_own, causal
        )
        km[block.start + rows] = km_of_chord(chord)
        nearest[block.start + rows] = found
    return km, nearest


def _nearest_in(part, references, tree, index, own, causal):
    """Ask for more and more neighbours, until one counts or there are no more."""
    rows_left = np.flatnonzero(part.known)
    rows, found, chords = [], [], []
    n_asked = 1 if own is None else 2
    while len(rows_left):
        n_asked = min(n_asked, len(index))
        chord, column = tree.query(part.vectors[rows_left], k=np.arange(1, n_asked + 1))
        column = index[column]
        counts = np.ones(column.shape, dtype=bool)
        if own is not None:
            counts &= column != own[rows_left, np.newaxis]
        if causal:
            counts &= part.days[rows_left, np.newaxis] > references.days[column]
        has = counts.any(axis=1)
        pick = (np.flatnonzero(has), counts[has].argmax(axis=1))
        rows.append(rows_left[has])
        found.append(column[pick])
        chords.append(chord[pick])
        rows_left = rows_left[~has]
        if n_asked == len(index):
            break
        n_asked *= 4
    if not rows:
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing, np.zeros(0)
    return np.concatenate(rows), np.concatenate(found), np.concatenate(chords)
