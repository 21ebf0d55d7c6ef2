"""Optimal transport of numbers on a line, by sorting; differentiable, in batches."""

import torch


def transport_cost(f, g, p=None, q=None, order=1):
    r"""Compute the least cost of carrying one distribution of numbers to another.

    .. math:: \min_P \sum_{ik} |f_i - g_k|^r P_{ik}, \qquad P 1 = p,\; P^T 1 = q

    The coupling that keeps the order is optimal.

    Parameters
    ----------
    f : Tensor of shape (..., k)
        Numbers.
    g : Tensor of shape (..., m)
        Numbers.
    p, q : Tensor of shape (..., k) and (..., m), or None
        Their weights, which sum to one; None is uniform.
    order : float, default=1
        The power r, at least 1.

    Returns
    -------
    Tensor of shape (...)
        The cost.
    """
    if p is None and q is None and f.shape[-1] == g.shape[-1]:
        gaps = f.sort(dim=-1).values - g.sort(dim=-1).values
        return _power(gaps, order).mean(dim=-1)
    i, k, weight = sorted_coupling(f, g, p, q)
    f, g = (x.expand(*i.shape[:-1], x.shape[-1]) for x in (f, g))
    return (weight * _power(f.gather(-1, i) - g.gather(-1, k), order)).sum(dim=-1)


def sorted_coupling(f, g, p=None, q=None):
    """Find the coupling of two distributions of numbers that keeps their order.

    Parameters
    ----------
    f : Tensor of shape (..., k)
        Numbers.
    g : Tensor of shape (..., m)
        Numbers.
    p, q : Tensor of shape (..., k) and (..., m), or None
        Their weights, which sum to one; None is uniform.

    Returns
    -------
    i, k : Tensor of shape (..., k + m)
        Numbers of f and of g that are coupled.
    weight : Tensor of shape (..., k + m)
        By how much, many of them 0.
    """
    batch = torch.broadcast_shapes(f.shape[:-1], g.shape[:-1])
    f, g = (x.detach().expand(*batch, x.shape[-1]) for x in (f, g))
    i_sorted, p_below = _cumulated(f, p)
    k_sorted, q_below = _cumulated(g, q)
    # Between two levels of the cumulated weights, one number of each is at work.
    levels = torch.cat([p_below, q_below], dim=-1).sort(dim=-1).values
    below = torch.cat([torch.zeros_like(levels[..., :1]), levels[..., :-1]], dim=-1)
    middle = (levels + below) / 2
    i = i_sorted.gather(-1, _rank(p_below, middle))
    k = k_sorted.gather(-1, _rank(q_below, middle))
    return i, k, levels - below


def _cumulated(values, weights):
    order = values.sort(dim=-1, stable=True).indices
    if weights is None:
        steps = torch.arange(1, values.shape[-1] + 1, device=values.device)
        cumulated = (steps.to(values.dtype) / values.shape[-1]).expand(values.shape)
    else:
        cumulated = weights.expand(values.shape).gather(-1, order).cumsum(dim=-1)
    return order, cumulated.contiguous()


def _rank(cumulated, level):
    # The last sum may round to less than one.
    last = cumulated.shape[-1] - 1
    return torch.searchsorted(cumulated, level.contiguous()).clamp_max(last)


def _power(gaps, order):
    return gaps.abs() if order == 1 else gaps.abs() ** order
