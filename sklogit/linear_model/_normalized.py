"""Logistic regression by normalised gradient steps, and its perceptron limit."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from ._separating import SeparatingClassifier
from ._separation import DualMomentum, GradientStep


class NormalizedLogisticRegression(SeparatingClassifier):
    r"""Separate classes by normalised gradient descent on the logistic loss.

    With margins :math:`m_i = y_i \theta^\top a_i` and :math:`s_i = 1/(1+e^{m_i})`, the
    gradient of the logistic loss divided by the mean of the :math:`s_i` is a convex
    combination of the rows:

    .. math:: \theta \leftarrow \theta + \gamma \,
        \frac{\sum_i s_i\, y_i a_i}{\sum_i s_i}, \qquad \gamma = c / R^2,

    with the largest norm R of a row and the step size c. On separable data of margin
    :math:`\mu` it reaches zero training error within
    :math:`\frac{R^2}{\mu^2}\left(1 + \frac{2 \log(2n-1)}{c}\right)` iterations [1]_,
    whatever the number of rows and the balance of the classes. Every iterate bounds
    the largest margin from below and from above.

    It is for data that are, or may be, linearly separable. Where they are not, it
    keeps the iterate with the fewest errors, says so, and
    :class:`~sklearn.linear_model.LogisticRegression` is the better model.

    Parameters
    ----------
    step_size : float, default=100.0
        The c above: large steps need the fewest iterations. Small ones end nearer to
        the largest margin, slowly.
    step_scaling : {"radius", "none"}, default="radius"
        Whether gamma is ``step_size / R**2``, so that nothing depends on the unit of X,
        or ``step_size`` itself.
    normalize : bool, default=True
        False is plain gradient descent on the mean logistic loss.
    acceleration : {None, "dual_momentum"}, default=None
        Momentum on exponential weights [2]_, with a step of 1 / R**2: `step_size`
        and `step_scaling` do not apply. It is the choice for small margins and for
        ``stopping="margin"``.
    stopping : {"separation", "margin", "max_iter"}, default="separation"
        Stop when all rows are on the right side, when the margin is known within
        `margin_tol`, or at `max_iter` only.
    margin_tol : float, default=0.1
        Largest (upper - lower) / upper of the bounds of the margin.
    separability_tol : float, default=1e-6
        Stop when no separating margin above this part of R can exist.
    multi_class : {"multinomial", "ovr"}, default="multinomial"
        With more than two classes: one problem with softmax weights, or one problem
        a class. Data can be separable by the first without being so by the second.
    preconditioner : {None, "diag", "whiten"}, default=None
        Scale the features to unit variance, or whiten them, without a copy of X.
        With an intercept they are centred too. "whiten" needs dense data.
    fit_intercept : bool, default=True
        Whether to append a constant feature.
    intercept_scaling : float, default=1.0
        Value of the constant feature. Small values suit rows of small norm, as those
        of text.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    max_iter : int, default=1000
        Most iterations.
    warm_start : bool, default=False
        Start from the coefficients of the last fit.
    keep : {"best", "last", "average"}, default="best"
        Which iterate to keep when the data were not separated: that of fewest training
        errors, the last, or the mean of all.
    on_nonseparable : {"warn", "ignore", "raise"}, default="warn"
        What to do then: give a `ConvergenceWarning`, nothing, or raise a ValueError.
    verbose : int, default=0
        Print the number of errors at iterations 1, 2, 4, 8, ...

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, of the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_iter_ : int
        Iterations done.
    converged_ : bool
        Whether the stopping rule was met.
    separable_ : bool or None
        True if `coef_` separates the training data, False if no margin above
        `separability_tol` can exist, None if neither is known.
    margin_ : float
        Geometric margin of `coef_`, computed in float64: the least distance of a row,
        with its constant feature, from the wrong side. Not positive if there are
        errors.
    margin_upper_bound_ : float
        No margin can exceed this. Infinite with a preconditioner or after
        `partial_fit`.
    n_train_errors_ : int
        Training rows on the wrong side; a margin of zero is an error.
    train_errors_path_ : ndarray of shape (n_iterates,)
        Errors of all iterates, the first included.
    probability_scale_ : float
        Factor of the scores in `predict_proba`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    BatchPerceptron : The limit of large steps.
    linear_separability : Only the answer, with a certificate.
    sklearn.linear_model.LogisticRegression : Calibrated, penalised.

    Notes
    -----
    The loss is no sign of progress: with large steps it can grow while the errors
    vanish. The only stop test is therefore the sign of the margins.

    With :math:`\theta_t - \theta_0 = \sum_i c_i y_i a_i` and :math:`c_i \ge 0`, every
    iterate certifies :math:`\min_i m_i / \|\theta_t\| \le \mu \le
    \|\theta_t - \theta_0\| / \sum_i c_i`.

    Ctrl-C keeps the best iterate as the fitted state and raises on. Callbacks of
    scikit-learn (``ProgressBar``, ``ScoringMonitor``) follow the iterations.

    References
    ----------
    .. [1] "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient
       Descent with Large Step Sizes", arXiv:2412.08424.
    .. [2] "Fast Margin Maximization via Dual Acceleration", arXiv:2107.00595.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.linear_model import NormalizedLogisticRegression
    >>> X, y = load_digits(n_class=4, return_X_y=True)
    >>> clf = NormalizedLogisticRegression().fit(X, y)
    >>> clf.separable_, clf.n_train_errors_
    (True, 0)
    >>> bool(0 < clf.margin_ <= clf.margin_upper_bound_)
    True
    """

    _parameter_constraints: dict = {
        "step_size": [Interval(Real, 0, None, closed="neither")],
        "step_scaling": [StrOptions({"radius", "none"})],
        "acceleration": [StrOptions({"dual_momentum"}), None],
        **SeparatingClassifier._parameter_constraints,
    }

    def __init__(
        self,
        *,
        step_size=100.0,
        step_scaling="radius",
        normalize=True,
        acceleration=None,
        stopping="separation",
        margin_tol=0.1,
        separability_tol=1e-6,
        multi_class="multinomial",
        preconditioner=None,
        fit_intercept=True,
        intercept_scaling=1.0,
        class_weight=None,
        max_iter=1000,
        warm_start=False,
        keep="best",
        on_nonseparable="warn",
        verbose=0,
    ):
        self.step_size = step_size
        self.step_scaling = step_scaling
        self.normalize = normalize
        self.acceleration = acceleration
        self.stopping = stopping
        self.margin_tol = margin_tol
        self.separability_tol = separability_tol
        self.multi_class = multi_class
        self.preconditioner = preconditioner
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.keep = keep
        self.on_nonseparable = on_nonseparable
        self.verbose = verbose

    def _check_parameters(self):
        if self.acceleration is not None and not self.normalize:
            raise ValueError(
                f"acceleration={self.acceleration!r} takes normalised steps: normalize "
                "must be True, got False."
            )

    def _make_step(self, problem):
        square = problem.radius**2 or 1.0
        if self.acceleration is not None:
            return DualMomentum(1.0 / square)
        gamma = self.step_size
        if self.step_scaling == "radius":
            gamma = gamma / square
        return GradientStep(gamma, self.normalize)


class BatchPerceptron(SeparatingClassifier):
    r"""Separate classes by steps along the mean of all misclassified rows.

    .. math:: \theta \leftarrow \theta + \frac{1}{|S|} \sum_{i \in S} y_i a_i, \qquad
        S = \{i : y_i \theta^\top a_i \le 0\}

    It is the limit of `NormalizedLogisticRegression` for large steps [1]_ and reaches
    zero training error within :math:`R^2 / \mu^2` iterations on data of margin
    :math:`\mu`, the bound of the perceptron. With ``normalize=False`` the sum is
    divided by the number of all rows: the limit of plain gradient descent, which can
    need n times as many iterations where classes are imbalanced.

    Parameters
    ----------
    normalize : bool, default=True
        Whether to divide by the number of misclassified rows, or of all rows.
    stopping : {"separation", "margin", "max_iter"}, default="separation"
        Stop when all rows are on the right side, when the margin is known within
        `margin_tol`, or at `max_iter` only. The steps end with the last error, so
        that the margin grows no further then.
    margin_tol : float, default=0.1
        Largest (upper - lower) / upper of the bounds of the margin.
    separability_tol : float, default=1e-6
        Stop when no separating margin above this part of R can exist.
    multi_class : {"multinomial", "ovr"}, default="multinomial"
        With more than two classes: one problem in which a row corrects its class and
        the best of the others, or one problem a class.
    preconditioner : {None, "diag", "whiten"}, default=None
        See `NormalizedLogisticRegression`.
    fit_intercept : bool, default=True
        Whether to append a constant feature.
    intercept_scaling : float, default=1.0
        Value of the constant feature.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    max_iter : int, default=1000
        Most iterations.
    warm_start : bool, default=False
        Start from the coefficients of the last fit.
    keep : {"best", "last", "average"}, default="best"
        Which iterate to keep when the data were not separated.
    on_nonseparable : {"warn", "ignore", "raise"}, default="warn"
        What to do then: give a `ConvergenceWarning`, nothing, or raise a ValueError.
    verbose : int, default=0
        Print the number of errors at iterations 1, 2, 4, 8, ...

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, of the dtype of X.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_iter_ : int
        Iterations done.
    converged_ : bool
        Whether the stopping rule was met.
    separable_ : bool or None
        True if `coef_` separates the training data, False if no margin above
        `separability_tol` can exist, None if neither is known.
    margin_ : float
        Geometric margin of `coef_`, see `NormalizedLogisticRegression`.
    margin_upper_bound_ : float
        No margin can exceed this.
    n_train_errors_ : int
        Training rows on the wrong side; a margin of zero is an error.
    train_errors_path_ : ndarray of shape (n_iterates,)
        Errors of all iterates, the first included.
    probability_scale_ : float
        Factor of the scores in `predict_proba`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    NormalizedLogisticRegression : Smooth weights.
    sklearn.linear_model.Perceptron : One row at a time, stops on a plateau.

    References
    ----------
    .. [1] "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient
       Descent with Large Step Sizes", arXiv:2412.08424.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklogit.linear_model import BatchPerceptron
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = BatchPerceptron().fit(X, y == 0)
    >>> clf.score(X, y == 0)
    1.0
    """

    def __init__(
        self,
        *,
        normalize=True,
        stopping="separation",
        margin_tol=0.1,
        separability_tol=1e-6,
        multi_class="multinomial",
        preconditioner=None,
        fit_intercept=True,
        intercept_scaling=1.0,
        class_weight=None,
        max_iter=1000,
        warm_start=False,
        keep="best",
        on_nonseparable="warn",
        verbose=0,
    ):
        self.normalize = normalize
        self.stopping = stopping
        self.margin_tol = margin_tol
        self.separability_tol = separability_tol
        self.multi_class = multi_class
        self.preconditioner = preconditioner
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.keep = keep
        self.on_nonseparable = on_nonseparable
        self.verbose = verbose

    def _make_step(self, problem):
        return GradientStep(1.0, self.normalize, weighting="perceptron")
