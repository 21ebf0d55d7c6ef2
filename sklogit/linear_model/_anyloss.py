"""Linear classifiers trained for a metric of the confusion matrix."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._anyloss_estimator import AnyLossEstimator


class AnyLossClassifier(AnyLossEstimator):
    r"""Linear classifier trained for a metric of the confusion matrix.

    Soft predictions :math:`a_i = \sigma(L z_i)` of the scores :math:`z = Xw + b` make a
    soft confusion matrix, of which F1, G-mean, Matthews correlation, costs and any
    other metric M are differentiable [1]_. It minimises

    .. math:: 1 - M(\mathrm{tn}, \mathrm{fp}, \mathrm{fn}, \mathrm{tp})
        + \frac{\alpha}{2S} \|w - w_0\|^2

    with the total weight S of the rows. The anchor :math:`w_0` is that of a logistic
    regression, so that a large alpha gives logistic regression with the threshold that
    is best for the metric, and a small one training for the metric alone.

    Parameters
    ----------
    metric : str, callable or ConfusionMetric, default="f1"
        A name of :func:`sklogit.metrics.confusion_metric_names`, or a function of
        (tn, fp, fn, tp).
    beta : float, default=1.0
        Weight of recall against precision for ``metric="fbeta"``.
    pos_label : label, default=None
        The positive of two classes; by default the greater label.
    alpha : float, default=3.0
        Pull to the anchor; ``inf`` trains nothing beyond it but the threshold.
    anchor : {"init", "zero"}, default="init"
        Whether the penalty pulls to the start or to zero.
    init : {"logistic", "balanced", "zeros"}, default="logistic"
        Start: a logistic regression, one with balanced classes, or zero.
    C : float, default=1.0
        Inverse strength of the penalty of that logistic regression.
    amplifier : {"logit", "probability"}, default="logit"
        Function that makes soft predictions, see :func:`sklogit.metrics.amplify`.
    L : float, default=1.0
        Its steepness. With "logit" it is the same as an anchor L times as long and a
        pull of alpha / L^2, for coefficients L times as large.
    average : {"macro", "weighted", "multiclass"}, default="macro"
        With more than two classes the metric is the mean of that of each class against
        the others, or weighted by the classes' weights. "multiclass" is the metric of
        the whole confusion matrix of all classes, as scikit-learn computes accuracy,
        balanced accuracy, Cohen's kappa and Matthews correlation, and for these only.
    fit_intercept : bool, default=True
        Whether to fit an intercept. Without it the threshold stays at zero.
    max_iter : int, default=300
        Most iterations of L-BFGS.
    tol : float, default=1e-4
        Largest derivative of the objective at the end.
    warm_start : bool, default=False
        Start from the coefficients of the last fit, with its anchor; with an infinite
        `alpha`, start anew.
    verbose : int, default=0
        Print the objective at iterations 1, 2, 4, 8, ...

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, of the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_iter_ : int
        Iterations; the start is the first.
    loss_ : float
        The objective at the end; never above that of the start.
    loss_curve_ : ndarray of shape (n_iterations,)
        The objective at the start and after each iteration of L-BFGS.
    metric_value_ : float
        The metric of the soft predictions of the training data.
    train_metric_ : float
        The metric of the hard ones.
    init_coef_, init_intercept_ : ndarray
        The start, its best threshold included; of the shape of the coefficients.
    fell_back_ : bool
        Whether the metric failed during training, so that the start was kept.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    AnyLossClassifierCV : Chooses alpha, logistic regression with a threshold included.
    sklogit.losses.AnyLoss : The loss for torch.
    sklearn.model_selection.TunedThresholdClassifierCV : Only moves the threshold.

    Notes
    -----
    It gains over a tuned threshold where the classes are rare and the linear model is
    misspecified, by outliers or classes of several clusters. On data that follow a
    logistic model it gains nothing, and loses a little: `AnyLossClassifierCV` finds
    out.

    The objective is not convex; the same data give the same result. `predict_proba` is
    the logistic function of the scores and is *not* calibrated.

    ``AnyLossClassifier(amplifier="probability", L=73, init="zeros", alpha=0)`` is the
    objective of the paper, with a better optimiser.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import f1_score
    >>> from sklogit.linear_model import AnyLossClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> y = y == 1  # versicolor, between the others
    >>> round(f1_score(y, LogisticRegression().fit(X, y).predict(X)), 2)
    0.51
    >>> clf = AnyLossClassifier("f1").fit(X, y)
    >>> round(f1_score(y, clf.predict(X)), 2)
    0.67
    """

    _parameter_constraints: dict = {
        **AnyLossEstimator._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="both")],  # inf included
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        metric="f1",
        *,
        beta=1.0,
        pos_label=None,
        alpha=3.0,
        anchor="init",
        init="logistic",
        C=1.0,
        amplifier="logit",
        L=1.0,
        average="macro",
        fit_intercept=True,
        max_iter=300,
        tol=1e-4,
        warm_start=False,
        verbose=0,
    ):
        self.metric = metric
        self.beta = beta
        self.pos_label = pos_label
        self.alpha = alpha
        self.anchor = anchor
        self.init = init
        self.C = C
        self.amplifier = amplifier
        self.L = L
        self.average = average
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _choose(self, rows, classes, metric, groups):
        return self.alpha, None

    def _starts_warm(self):
        # With an infinite alpha nothing but the anchor and its threshold is the least.
        return self.warm_start and hasattr(self, "coef_") and not np.isinf(self.alpha)
