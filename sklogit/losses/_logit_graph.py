"""Graphs of logits that fire together, and Gromov-Wasserstein distances by sorting."""

from numbers import Real

import torch

from ._array_twin import as_tensor, check_finite, is_readable, takes_arrays
from ._sorted_transport import sorted_coupling, transport_cost

# Positions that are summed in the dtype of the logits; sums of sums are in float64.
_POSITIONS_AT_ONCE = 4096
SCALES = ("mean", "sum")


@takes_arrays
def coactivation_graph(Z, normalize=True):
    r"""Compute how strongly the columns of logits fire together.

    .. math:: C = \frac1T \sum_t z_t z_t^T = \frac1T Z^T Z

    Parameters
    ----------
    Z : Tensor or array-like of shape (..., T, k)
        Values of k nodes at T positions.
    normalize : bool, default=True
        Whether to divide by T, so that longer sequences do not have larger graphs.

    Returns
    -------
    Tensor or ndarray of shape (..., k, k)
        The graph, symmetric.

    Raises
    ------
    ValueError
        If a value is not finite, or there is none.
    TypeError
        If the values are no real numbers.

    See Also
    --------
    graph_features : Means of its rows, without the graph.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.

    Examples
    --------
    >>> from sklogit.losses import coactivation_graph
    >>> coactivation_graph([[2.0, 0.0], [2.0, 1.0]])
    array([[4. , 1. ],
           [1. , 0.5]])
    """
    Z = _checked_nodes(Z)
    check_finite("Z", Z)
    graph = Z.mT @ Z
    return graph / Z.shape[-2] if normalize else graph


@takes_arrays
def graph_features(Z, *, p=None, normalize=True):
    r"""Compute the mean of each row of the graph of logits, without the graph.

    .. math:: f = C p = \frac1T Z^T (Z p)

    takes :math:`O(Tk)` operations instead of :math:`O(Tk^2)`, and memory for k numbers.

    Parameters
    ----------
    Z : Tensor or array-like of shape (..., T, k)
        Values of k nodes at T positions.
    p : Tensor or array-like of shape (k,), default=None
        Weights of the nodes, scaled to sum to one; None is uniform.
    normalize : bool, default=True
        Whether to divide by T.

    Returns
    -------
    Tensor or ndarray of shape (..., k)
        A number for each node.

    Raises
    ------
    ValueError
        If a value or weight is not allowed.
    TypeError
        If they are no real numbers.

    See Also
    --------
    coactivation_graph : The graph.
    gw_sorted : Compares two graphs by these numbers.

    Examples
    --------
    >>> from sklogit.losses import graph_features
    >>> graph_features([[2.0, 0.0], [2.0, 1.0]])
    array([2.5 , 0.75])
    """
    Z = _checked_nodes(Z)
    p = None if p is None else _node_weights("p", p, Z, "Z")
    features = row_means(Z, p=p)
    # NaN and infinity come through, so that looking at Z itself is seldom needed.
    if is_readable(features) and not features.isfinite().all():
        check_finite("Z", Z)
    return features / Z.shape[-2] if normalize else features


@takes_arrays
def gw_sorted(C, D, *, p=None, q=None, order=1, scale="mean"):
    r"""Bound the Gromov-Wasserstein distance of two graphs from below, by sorting.

    .. math:: W_r(Cp, Dq)^r \;\le\; \mathrm{GW}_r(C, D)^r
        = \min_P \sum_{ijkl} |C_{ij} - D_{kl}|^r\, P_{ik} P_{jl}

    the cost of carrying the means of the rows of one graph to those of the other. Of
    graphs with k nodes each it is :math:`\frac1k \sum_i |f_{(i)} - g_{(i)}|^r`, of
    means in decreasing order.

    Parameters
    ----------
    C : Tensor or array-like of shape (..., k, k)
        A graph, or graphs.
    D : Tensor or array-like of shape (..., m, m)
        Another.
    p : Tensor or array-like of shape (k,), default=None
        Weights of the nodes of C, scaled to sum to one; None is uniform.
    q : Tensor or array-like of shape (m,), default=None
        Weights of the nodes of D.
    order : float, default=1
        The power r, at least 1. No root is taken.
    scale : {"mean", "sum"}, default="mean"
        "sum" is k times the bound, the formula of the paper, of graphs of the same size
        without weights.

    Returns
    -------
    float, ndarray or Tensor of shape (...)
        The bound.

    Raises
    ------
    ValueError
        If shapes, values or weights are not allowed.
    TypeError
        If they are no real numbers.

    See Also
    --------
    gw_sorted_bounds : With a bound from above.

    Notes
    -----
    For a pair of nodes i and k, by the inequality of Jensen, the mean over j and l of
    :math:`|C_{ij} - D_{kl}|^r` is at least :math:`|f_i - g_k|^r`.

    It is a pseudo-distance: graphs whose rows have the same means are not told apart,
    as a ring of six nodes and two rings of three, see the example.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.
    .. [2] "Gromov-Wasserstein Distances and the Metric Approach to Object Matching",
       Foundations of Computational Mathematics 11, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.losses import gw_sorted, gw_sorted_bounds
    >>> gw_sorted(np.diag([1.0, 2.0]), np.diag([2.0, 3.0]))
    0.5
    >>> ring = np.eye(6)[[1, 2, 3, 4, 5, 0]]
    >>> two_rings = np.eye(6)[[1, 2, 0, 4, 5, 3]]
    >>> lower, upper = gw_sorted_bounds(ring + ring.T, two_rings + two_rings.T)
    >>> lower, upper > 0.2
    (0.0, True)
    """
    C, D, p, q = _checked_graphs(C, D, p, q, order)
    cost = transport_cost(_row_means(C, p), _row_means(D, q), p, q, order)
    return scaled(
        cost, scale, C.shape[-1], D.shape[-1], weighted=not (p is None and q is None)
    )


@takes_arrays
def gw_sorted_bounds(C, D, *, p=None, q=None, order=1):
    r"""Bound the Gromov-Wasserstein distance of two graphs from both sides.

    From below by `gw_sorted`, from above by the cost of the coupling P that carries the
    sorted means of rows to each other:

    .. math:: W_r(Cp, Dq)^r \le \mathrm{GW}_r(C, D)^r
        \le \sum_{ijkl} |C_{ij} - D_{kl}|^r\, P_{ik} P_{jl} .

    Parameters
    ----------
    C : Tensor or array-like of shape (..., k, k)
        A graph, or graphs.
    D : Tensor or array-like of shape (..., m, m)
        Another.
    p : Tensor or array-like of shape (k,), default=None
        Weights of the nodes of C, scaled to sum to one; None is uniform.
    q : Tensor or array-like of shape (m,), default=None
        Weights of the nodes of D.
    order : float, default=1
        The power r, at least 1. No root is taken.

    Returns
    -------
    lower : float, ndarray or Tensor of shape (...)
        The bound from below.
    upper : float, ndarray or Tensor of shape (...)
        The bound from above.

    Raises
    ------
    ValueError
        If shapes, values or weights are not allowed.
    TypeError
        If they are no real numbers.

    Notes
    -----
    For r = 1 they are never further apart than the mean absolute deviations of the
    entries of the graphs from the means of their rows,
    :math:`\sum_{ij} p_i p_j |C_{ij} - f_i|` and the same of D. It takes
    :math:`O((k + m)^2)` operations and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.losses import gw_sorted_bounds
    >>> gw_sorted_bounds(np.diag([1.0, 2.0]), np.diag([2.0, 3.0]))
    (0.5, 0.5)
    """
    C, D, p, q = _checked_graphs(C, D, p, q, order)
    f, g = _row_means(C, p), _row_means(D, q)
    if p is None and q is None and f.shape[-1] == g.shape[-1]:
        gaps = _sorted_by(C, f) - _sorted_by(D, g)
        upper = (gaps.abs() ** order).mean(dim=(-2, -1))
    else:
        i, k, weight = sorted_coupling(f, g, p, q)
        gaps = _submatrix(C, i) - _submatrix(D, k)
        upper = torch.einsum("...ab,...a,...b", gaps.abs() ** order, weight, weight)
    return transport_cost(f, g, p, q, order), upper


# -- what the loss shares --------------------------------------------------------------


def row_means(Z, weight=None, p=None):
    r"""Compute the means of the rows of a graph that is never made.

    Parameters
    ----------
    Z : Tensor of shape (..., T, k)
        Values of k nodes at T positions.
    weight : Tensor of shape (..., T), default=None
        Weights of the positions, w; None is one. They get no gradient.
    p : Tensor of shape (k,), default=None
        Weights of the nodes, which get no gradient; None is 1 / k.

    Returns
    -------
    Tensor of shape (..., k)
        :math:`Z^T (w \odot Z p)`.
    """
    if p is None:
        p = Z.new_full(Z.shape[-1:], 1 / Z.shape[-1])
    return _RowMeans.apply(Z, weight, p)[0]


class _RowMeans(torch.autograd.Function):
    """Both passes read Z twice, and write nothing else of its size than its gradient.

    The derivative of f = Z' (w * Zp) in the direction g is (w * Zp) g' + (w * Zg) p',
    of rank two.
    """

    @staticmethod
    def forward(Z, weight, p):
        """Compute the means, of shape (..., k), and the sums that backward needs."""
        sums = _times(weight, Z @ p)
        return _weighted_sum(Z, sums), sums

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what backward needs; apart from forward, for torch.func."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    def backward(ctx, gradient, _):
        """Compute the gradient by Z, of shape (..., T, k)."""
        Z, weight, p, sums = ctx.saved_tensors
        if torch.is_grad_enabled():  # for second derivatives it has to depend on Z
            sums = _times(weight, Z @ p)
        along = _times(weight, (Z @ gradient.unsqueeze(-1)).squeeze(-1))
        left = torch.stack([sums, along], dim=-1)
        right = torch.stack([gradient, p.expand(gradient.shape)], dim=-2)
        return left @ right, None, None


def _times(weight, values):
    return values if weight is None else weight * values


def _weighted_sum(Z, weight):
    """Sum the rows of matrices with weights, in pieces if they are many."""
    if Z.shape[-2] <= _POSITIONS_AT_ONCE:
        return (weight.unsqueeze(-2) @ Z).squeeze(-2)
    # Single precision would lose digits of long sums.
    pieces = zip(
        Z.split(_POSITIONS_AT_ONCE, dim=-2), weight.split(_POSITIONS_AT_ONCE, dim=-1)
    )
    return sum(_weighted_sum(*piece).double() for piece in pieces).to(Z.dtype)


def scaled(cost, scale, k, m, weighted=False):
    """Scale the cost of transport as the paper has it, or leave the mean.

    Parameters
    ----------
    cost : Tensor
        Means over the nodes.
    scale : {"mean", "sum"}
        Whether to multiply by their number.
    k, m : int
        Numbers of nodes.
    weighted : bool, default=False
        Whether the nodes have weights.

    Returns
    -------
    Tensor
        The cost.

    Raises
    ------
    ValueError
        If there is no such scale, or not one number of nodes.
    """
    if scale == "mean":
        return cost
    if scale != "sum":
        raise ValueError(f"scale must be 'mean' or 'sum', got {scale!r}.")
    if k != m or weighted:
        found = "weights" if weighted else f"{k} and {m} nodes"
        raise ValueError(
            "scale='sum' needs graphs with the same number of nodes and without "
            f"weights, got {found}."
        )
    return k * cost


# -- steps -----------------------------------------------------------------------------


def _checked_nodes(Z):
    Z = as_tensor("Z", Z)
    if Z.ndim < 2 or Z.numel() == 0:
        raise ValueError(
            f"Z must have shape (..., T, k), none of them 0, got {tuple(Z.shape)}."
        )
    return Z


def _checked_graphs(C, D, p, q, order):
    if not (isinstance(order, Real) and 1 <= order < float("inf")):
        raise ValueError(f"order must be a finite number >= 1, got {order!r}.")
    C = _checked_graph("C", C)
    D = _checked_graph("D", D)
    dtype = torch.promote_types(C.dtype, D.dtype)
    C, D = C.to(dtype), D.to(C.device, dtype)
    _check_batches(C.shape[:-2], D.shape[:-2])
    p = None if p is None else _node_weights("p", p, C, "C")
    q = None if q is None else _node_weights("q", q, D, "D")
    return C, D, p, q


def _check_batches(first, second):
    for a, b in zip(reversed(first), reversed(second)):
        if a != b and 1 not in (a, b):
            raise ValueError(
                "C and D must be as many graphs, or one of them a single one, got "
                f"{tuple(first)} and {tuple(second)}."
            )


def _checked_graph(name, graph):
    graph = as_tensor(name, graph)
    if graph.ndim < 2 or graph.shape[-1] != graph.shape[-2] or graph.numel() == 0:
        raise ValueError(
            f"{name} must have shape (..., k, k), got {tuple(graph.shape)}."
        )
    check_finite(name, graph)
    return graph


def _node_weights(name, weight, nodes, of):
    weight = as_tensor(name, weight, like=nodes.detach())
    if weight.shape != nodes.shape[-1:]:
        raise ValueError(
            f"{name} must have shape ({nodes.shape[-1]},), as {of} has so many nodes, "
            f"got {tuple(weight.shape)}."
        )
    total = weight.sum()
    if not (weight >= 0).all() or not 0 < total < float("inf"):
        raise ValueError(
            f"{name} must be finite and not negative, with a sum > 0, got values from "
            f"{weight.min():g} to {weight.max():g}."
        )
    return weight / total


def _row_means(graph, weight):
    return graph.mean(dim=-1) if weight is None else graph @ weight


def _sorted_by(graph, means):
    return _submatrix(graph, means.sort(dim=-1, stable=True).indices)


def _submatrix(graph, nodes):
    size = nodes.shape[-1]
    # Graphs of one side may be common to several of the other.
    graph = graph.expand(*nodes.shape[:-1], *graph.shape[-2:])
    rows = nodes.unsqueeze(-1).expand(*nodes.shape, graph.shape[-1])
    columns = nodes.unsqueeze(-2).expand(*nodes.shape[:-1], size, size)
    return graph.gather(-2, rows).gather(-1, columns)
