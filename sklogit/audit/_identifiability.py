"""What the largest k logits of each answer can tell, and how many queries it takes."""

import math
from numbers import Integral

import numpy as np
from scipy.special import logsumexp


def topk_identifiable(n, V, k, h):
    r"""Whether the k largest logits of n answers may determine a head of width h.

    Matrices of rank h have :math:`h (n + V - h)` degrees of freedom, and the answers
    give n k numbers. Fewer numbers than degrees of freedom determine neither rank nor
    subspace. The condition is necessary, and not sufficient. That the other logits are
    smaller is not counted: inequalities leave a set of subspaces, never one.

    Parameters
    ----------
    n : int
        Number of queries.
    V : int
        Number of outputs.
    k : int
        Number of logits in each answer.
    h : int
        Width of the hidden layer, at most V.

    Returns
    -------
    bool
        Whether :math:`n k \ge h (n + V - h)`. It is never so for :math:`k < h`, nor
        for k = h unless V = h.

    Raises
    ------
    ValueError
        If an argument is no positive integer, or k or h above V.

    See Also
    --------
    queries_required : The same, solved for the number of queries.
    topk_tv_diameter : What is left open of one answer.

    Examples
    --------
    >>> from sklogit.audit import topk_identifiable
    >>> [topk_identifiable(10_000, 50_257, k, 768) for k in (4568, 4569)]
    [False, True]
    """
    n, V, k, h = _checked(n=n, V=V, k=k, h=h)
    return n * k >= h * (n + V - h)


def queries_required(h, V, k=None, logit_bias=False, *, rank_only=False):
    r"""Least number of queries from which a head of width h can be recovered.

    * Full answers: h + 1, or with ``rank_only`` the same, as h + 1 answers are needed
      to see that the rank does not grow any more.
    * The k largest logits: :math:`\max(h + 1, \lceil h (V - h) / (k - h) \rceil)`,
      the bound of `topk_identifiable`; infinite for :math:`k \le h < V`.
    * The k largest logits, where each query may add a bias to chosen outputs [1]_: a
      query tells k - 1 differences to a reference output, so that a full answer takes
      :math:`\lceil (V - 1) / (k - 1) \rceil` queries, and the head h + 1 of those. The
      rank alone shows in h + 9 answers of h + 8 outputs.

    Parameters
    ----------
    h : int
        Width of the hidden layer, at most V.
    V : int
        Number of outputs.
    k : int, default=None
        Number of logits in each answer; None is all of them.
    logit_bias : bool, default=False
        Whether queries may bias outputs.
    rank_only : bool, default=False
        Count what the rank takes, and not the subspace. It makes a difference with
        `logit_bias` only.

    Returns
    -------
    int or float
        Number of queries, or infinity.

    Raises
    ------
    ValueError
        If an argument is no positive integer, k or h above V, or k = 1 with biases.

    See Also
    --------
    topk_identifiable : The bound for top-k answers.

    References
    ----------
    .. [1] "Stealing Part of a Production Language Model", arXiv:2403.06634.

    Examples
    --------
    >>> from sklogit.audit import queries_required
    >>> queries_required(512, 5000), queries_required(512, 5000, 5)
    (513, inf)
    >>> queries_required(512, 5000, 5, logit_bias=True)
    641250
    """
    h, V, k = _checked(h=h, V=V, k=V if k is None else k)
    if logit_bias and k < V:
        if k == 1:
            raise ValueError("k must be at least 2 with logit_bias=True, got 1.")
        if rank_only and h + 8 <= V:
            return (h + 9) * math.ceil((h + 7) / (k - 1))
        return (h + 1) * math.ceil((V - 1) / (k - 1))
    if h == V:
        return h + 1 if k == V else math.inf
    return max(h + 1, -(-h * (V - h) // (k - h))) if k > h else math.inf


def topk_tv_diameter(values, n_outputs):
    r"""How far apart the distributions can be that agree with the k largest logits.

    Outputs that are not shown are only known to be at most :math:`\tau`, the smallest
    logit that is. The largest total variation between two distributions that agree
    with the answer is [1]_

    .. math:: \frac{(V - k) e^\tau}{\sum_{i \in A} e^{z_i} + (V - k) e^\tau} .

    Parameters
    ----------
    values : array-like of shape (k,) or (n_queries, k)
        Logits that are shown, in any order; NaN is none.
    n_outputs : int
        Number V of all outputs.

    Returns
    -------
    float or ndarray of shape (n_queries,)
        The diameter, between 0 (all is shown) and 1.

    Raises
    ------
    ValueError
        If there are more values than outputs, none, or infinite ones.

    See Also
    --------
    topk_identifiable : What many answers tell together.

    Notes
    -----
    It is for logits. The k largest *log-probabilities* tell more, the mass that is not
    shown, and the diameter is at most that.

    References
    ----------
    .. [1] "Identified-Set Geometry of Distributional Model Extraction under Top-K
       Censored API Access", arXiv:2605.10407.

    Examples
    --------
    >>> from sklogit.audit import topk_tv_diameter
    >>> round(topk_tv_diameter([3.0, 2.0, 1.0], 6), 10)
    0.2126552873
    """
    values = np.asarray(values, dtype=np.float64)
    shown = np.count_nonzero(~np.isnan(values), axis=-1)
    if np.any(shown < 1) or np.any(shown > n_outputs) or np.isinf(values).any():
        raise ValueError(
            f"values must be 1 to n_outputs={n_outputs} finite logits an answer, got "
            f"shape {values.shape}."
        )
    smallest = np.nanmin(values, axis=-1)
    known = logsumexp(np.where(np.isnan(values), -np.inf, values), axis=-1)
    # Of a difference of logarithms, so that nothing overflows.
    odds = (n_outputs - shown) * np.exp(smallest - known)
    diameter = odds / (1 + odds)
    return float(diameter) if values.ndim == 1 else diameter


def _checked(V, **numbers):
    for name, value in {"V": V, **numbers}.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    for name in ("h", "k"):
        if numbers[name] > V:
            raise ValueError(f"{name} must be at most V={V}, got {numbers[name]}.")
    order = ["n", "V", "k", "h"] if "n" in numbers else ["h", "V", "k"]
    return [int({"V": V, **numbers}[name]) for name in order]
