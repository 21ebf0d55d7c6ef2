"""Payments that make true bids a dominant strategy."""

# Parts of the value below which two are the same.
_SAME = 1e-13
_MOST_JUMPS = 10_000


def externality_payment(value, weights, i, placed):
    """Compute what the presence of ad i costs the others, at most its own value.

    Parameters
    ----------
    value : callable
        Function of weights, and of a value that is known to be reachable, to the value
        of the best placement.
    weights : ndarray of shape (n_ads,)
        Bids.
    i : int
        A shown ad.
    placed : AssignmentResult
        Placement of the bids.

    Returns
    -------
    float
        Expected payment per impression.
    """
    own = weights[i] * placed.ctr[i]
    others = placed.value - own
    alone = weights.copy()
    alone[i] = 0.0
    # What is shown brings at least this without i, if others only gain by that.
    reachable = others / (1.0 - placed.ctr[i]) if placed.ctr[i] < 1 else others
    without = value(alone, reachable)
    return float(min(max(without - others, 0.0), own))


def virtual_payment(place, weights, i, placed, virtual_value, bid):
    r"""Integrate the least values at which ad i gets its clicks.

    With others fixed, the best value W is a convex, piecewise linear function of the
    weight w of ad i, whose slope is the click probability. Each jump of the slope, at
    a weight b, costs the value :math:`\phi^{-1}(b)` times the jump.

    Parameters
    ----------
    place : callable
        Function of weights, and of a value that is known to be reachable, to the best
        `AssignmentResult`.
    weights : ndarray of shape (n_ads,)
        Virtual values of the bids.
    i : int
        A shown ad.
    placed : AssignmentResult
        Placement of the weights.
    virtual_value : VirtualValue
        That of ad i.
    bid : float
        Its bid.

    Returns
    -------
    float
        Expected payment per impression.
    """
    payment = 0.0
    for level, jump in _jumps(place, weights, i, placed):
        payment += _price(place, weights, i, virtual_value, level, jump)
    return float(min(max(payment, 0.0), bid * placed.ctr[i]))


def _jumps(place, weights, i, placed):
    """Weights of ad i at which its click probability jumps: (weight, low, high).

    Two lines that touch W, at either end, cross below it: if W is there at the
    crossing, the slope jumps from one to the other; else W has another line there.
    """

    def line(weight):
        changed = weights.copy()
        changed[i] = weight
        found = place(changed, 0.0)
        return found.ctr[i], found.value - weight * found.ctr[i]

    top = (placed.ctr[i], placed.value - weights[i] * placed.ctr[i])
    pending = [(line(0.0), top)]
    scale = max(abs(placed.value), abs(weights[i]) * placed.ctr[i])
    for _ in range(_MOST_JUMPS):
        if not pending:
            return
        (low, at_low), (high, at_high) = pending.pop()
        if high - low <= _SAME:
            continue
        crossing = min(max((at_low - at_high) / (high - low), 0.0), weights[i])
        slope, start = line(crossing)
        above = start + slope * crossing - (at_low + low * crossing)
        if above <= _SAME * scale or not low < slope < high:
            yield crossing, (low, high)
        else:
            pending.append(((slope, start), (high, at_high)))
            pending.append(((low, at_low), (slope, start)))


def _price(place, weights, i, virtual_value, level, jump):
    """Cost of a jump: where the virtual value is flat, of either end of it."""
    low, high = jump
    flat = virtual_value.snap(level)
    if flat is None:
        return (high - low) * float(virtual_value.inverse(level))
    # Ties are likely here, and who wins them is up to the placement: its clicks come
    # with the least value of the flat, those beyond with the greatest.
    tied = weights.copy()
    tied[i] = flat
    middle = min(max(place(tied, 0.0).ctr[i], low), high)
    first = float(virtual_value.inverse(flat, side="left"))
    last = float(virtual_value.inverse(flat, side="right"))
    return (middle - low) * first + (high - middle) * last
