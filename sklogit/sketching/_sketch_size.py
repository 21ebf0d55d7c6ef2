"""How many rows of a sketch a wished accuracy takes."""

from math import ceil
from numbers import Integral, Real

from scipy.special import ndtri
from sklearn.utils._param_validation import Interval, validate_params


@validate_params(
    {
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "eps": [Interval(Real, 0, None, closed="neither")],
        "delta": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def sketch_size(n_features, eps=0.5, delta=0.05):
    r"""Return the number of rows with which a dense sketch keeps every coefficient.

    The solution x' of the sketched least-squares problem then satisfies

    .. math:: \|x' - x^*\|_\infty \le \frac{\epsilon}{\sqrt d} \|A x^* - b\|_2 \|A^+\|_2

    for all d coefficients at once with a probability of about 1 - delta.

    Parameters
    ----------
    n_features : int
        Number d of columns of A; an intercept counts as one.
    eps : float, default=0.5
        Accuracy.
    delta : float, default=0.05
        Probability of a larger error.

    Returns
    -------
    int
        Number of rows m.

    Raises
    ------
    ValueError
        If n_features < 1, eps <= 0, or delta is not between 0 and 1.

    See Also
    --------
    sketch_rows : The sketch.

    Notes
    -----
    The rule is :math:`m = \lceil d + z^2 d / \epsilon^2 \rceil` with the quantile
    :math:`z = \Phi^{-1}(1 - \delta / 2 d)` of the normal distribution: that of one
    coefficient of a Gaussian sketch, for all d by Bonferroni's inequality. It is not a
    theorem but a rule that was measured on Hadamard, pooled and Gaussian sketches. What
    is proved, for the pooled transform [1]_, is that
    :math:`m = O(\epsilon^{-2} d \log(d / \delta))` rows are enough, which is of the
    same order. In [2]_, :math:`\epsilon^{-2} d \log^3(n / \delta)` rows were claimed
    for any sketch with bounds for fixed pairs of vectors; [1]_ shows that the proof is
    incomplete. Sparse sketches do not keep the promise, whatever their size below
    :math:`d^2 / \epsilon^2`.

    References
    ----------
    .. [1] "Hadamard Flattening and Gaussian Pooling Sketch for Least Squares with
       Coordinate-wise Guarantee", 2026.
    .. [2] "A Nearly-Optimal Bound for Fast Regression with l_inf Guarantee",
       arXiv:2302.00248.

    Examples
    --------
    >>> from sklogit.sketching import sketch_size
    >>> sketch_size(100)
    4947
    >>> sketch_size(100, eps=0.1)
    121257
    """
    z = -ndtri(delta / (2 * n_features))
    return ceil(n_features + z**2 * n_features / eps**2)
