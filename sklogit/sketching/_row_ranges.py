"""Which rows of a matrix have been seen."""

from bisect import bisect


def insert_range(ranges, start, stop):
    """Return sorted disjoint ranges with one more, joined where they touch.

    Parameters
    ----------
    ranges : list of (int, int)
        First and one past the last row of each, in their order.
    start, stop : int
        The new one.

    Returns
    -------
    list of (int, int)
        All of them.

    Raises
    ------
    ValueError
        If it has rows in common with another.
    """
    if start == stop:
        return ranges
    at = bisect(ranges, (start, stop))
    for other in ranges[max(at - 1, 0) : at + 1]:
        first, last = max(start, other[0]), min(stop, other[1])
        if first < last:
            raise ValueError(
                f"Rows {first} to {last - 1} have been sketched already: each row of "
                "the matrix must be given once. Check first_row."
            )
    before, after = list(ranges[:at]), list(ranges[at:])
    if before and before[-1][1] == start:
        start = before.pop()[0]
    if after and after[0][0] == stop:
        stop = after.pop(0)[1]
    return [*before, (start, stop), *after]
