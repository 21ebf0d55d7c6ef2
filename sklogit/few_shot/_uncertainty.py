"""How much a prior model that is not sure should listen to a bias."""

from numbers import Real

import numpy as np
from scipy.special import log_softmax
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

KINDS = ("kurtosis", "entropy", "max", "margin")
# Probabilities this close to equal, relative to their mean, differ by rounding alone.
_EQUAL = 64 * np.finfo(np.float64).eps


@validate_params(
    {
        "z": ["array-like"],
        "kind": [StrOptions(set(KINDS)), None],
        "power": [Interval(Real, 0, None, closed="left")],
        "ref": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def uncertainty_factor(z, kind="kurtosis", power=0.4, ref="auto"):
    r"""Compute the weight of a logit bias from the logits that it is added to.

    With the probabilities :math:`p = \mathrm{softmax}(z)` of C classes and an exponent
    :math:`\rho`, the factor of a row is

    .. math::

        f = (\kappa_0 / \kappa)^\rho, \qquad \kappa = \frac{1}{C} \sum_c
            \left(\frac{p_c - 1/C}{\mathrm{std}(p)}\right)^4

    for "kurtosis", :math:`\exp(\rho\, H(p) / \log C)` for "entropy",
    :math:`(\max_c p_c)^{-\rho}` for "max", and
    :math:`\max(p_{(1)} - p_{(2)},\; 1/C)^{-\rho}` for "margin",

    with the sample deviation std, of C - 1, the entropy H, and the two largest
    probabilities. It is large where the probabilities are flat.

    Parameters
    ----------
    z : array-like of shape (n_samples, n_classes)
        Logits.
    kind : {"kurtosis", "entropy", "max", "margin"} or None, default="kurtosis"
        Which factor; None is 1. Of two classes the kurtosis is the same for all
        probabilities, so that "kurtosis" is the entropy there.
    power : float, default=0.4
        The exponent :math:`\rho`; with 0 all factors are 1.
    ref : "auto" or float, default="auto"
        Kurtosis :math:`\kappa_0` at which the factor is 1; "auto" is C / 4. With 1000
        classes that is 250, the number of the method's authors.

    Returns
    -------
    ndarray of shape (n_samples,)
        The factors, finite and positive, of the dtype of z if it is one of real
        numbers, else float64.

    Raises
    ------
    ValueError
        If z is not a table of finite numbers with at least two columns, or another
        parameter is not allowed.

    See Also
    --------
    LogitBiasClassifier : Uses it.

    Notes
    -----
    The kurtosis measures the *shape* of the probabilities, not how sure they are: it is
    the same for p and for any mixture of p with the uniform distribution, so that
    (0.19, 0.09, ..., 0.09) counts as much as (1, 0, ..., 0). "entropy" and "margin" do
    tell these apart. Its range is :math:`((C-1)/C)^2 \le \kappa \le
    ((C-1)/C)^2\,(C^2-3C+3)/(C-1)`; equal probabilities, which have none, get the lower
    bound and so the largest factor.

    References
    ----------
    .. [1] "AMU-Tuning: Effective Logit Bias for CLIP-based Few-shot Learning",
       arXiv:2404.08958.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.few_shot import uncertainty_factor
    >>> sure, unsure = [9.0, 0.0, 0.0, 0.0], [0.9, 0.8, 0.1, 0.0]
    >>> uncertainty_factor([sure, unsure], kind="entropy").round(2)
    array([1.  , 1.46])
    >>> uncertainty_factor([sure, unsure]).round(2)
    array([0.9 , 1.22])
    """
    z = _checked(z)
    dtype = z.dtype
    n_classes = z.shape[1]
    if kind is None:
        return np.ones(len(z), dtype)
    log_p = log_softmax(z.astype(np.float64), axis=1)
    if kind == "kurtosis" and n_classes > 2:
        ref = n_classes / 4 if ref == "auto" else ref
        factor = (ref / _kurtosis(log_p)) ** power
    elif kind in ("kurtosis", "entropy"):
        factor = np.exp(power * _relative_entropy(log_p))
    elif kind == "max":
        factor = np.exp(-power * log_p.max(axis=1))
    else:
        factor = np.maximum(_margin(log_p), 1 / n_classes) ** -power
    return factor.astype(dtype)


def _checked(z):
    z = np.asarray(z)
    if z.dtype not in (np.float32, np.float64):
        z = z.astype(np.float64)
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(
            f"z must have shape (n_samples, n_classes >= 2), got {z.shape}."
        )
    if not np.isfinite(z).all():
        raise ValueError("z must be finite, found NaN or infinity.")
    return z


def _kurtosis(log_p):
    n_classes = log_p.shape[1]
    # Relative deviations from the mean 1 / C, exact also where they are tiny.
    deviation = np.expm1(log_p + np.log(n_classes))
    square = deviation**2
    variance = square.sum(axis=1) / (n_classes - 1)
    least = ((n_classes - 1) / n_classes) ** 2
    equal = variance < _EQUAL**2
    fourth = (square**2).mean(axis=1) / np.where(equal, 1.0, variance) ** 2
    return np.where(equal, least, np.maximum(fourth, least))


def _relative_entropy(log_p):
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)
    return entropy / np.log(log_p.shape[1])


def _margin(log_p):
    second, first = np.exp(np.partition(log_p, -2, axis=1)[:, -2:]).T
    return first - second
