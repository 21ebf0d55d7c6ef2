"""Zero-shot logits, corrected by what a few rows teach about other features."""

from numbers import Integral, Real

from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ._estimator import LogitBiasEstimator


class LogitBiasClassifier(LogitBiasEstimator):
    r"""Few-shot classifier that adds a learnt bias to the logits of a prior model.

    The prior model is frozen and may be anything that gives a logit for each class: an
    image-text model with prompts, a language model, an older classifier. A second
    frozen encoder gives auxiliary features a. With a handful of labelled rows the
    classifier learns a linear bias b of these features [1]_,

    .. math::

        b = \mathrm{norm}\!\left(W \frac{a}{\|a\|}\right), \qquad
        \ell = z + \alpha\, f(z)\, b,

    where the factor f is larger where the prior logits z are unsure
    (:func:`uncertainty_factor`). Both the fused logits and the bias alone have to
    explain the labels:

    .. math:: \min_W \; \lambda\, \mathrm{CE}(\ell, y) + (1 - \lambda)\,
        \mathrm{CE}(b, y) + \frac{l_2}{2} \Big\|\frac{W - W_0}{s}\Big\|^2 .

    The rows of :math:`W_0` are the class means of the features, so that it is a
    sensible classifier before any training.

    Parameters
    ----------
    n_logits : int, default=0
        Number of columns of X, the first ones, that are logits of the prior model: the
        number of classes, or 0 for none. Then z = 0 and f = 1.
    alpha : float, default=0.5
        Strength of the bias.
    lambda_merge : float, default=0.35
        Share of the loss of the fused logits; the rest is that of the bias alone.
    uncertainty : {"kurtosis", "entropy", "max", "margin"} or None, default="kurtosis"
        Kind of the factor; None is 1. Of two classes "kurtosis" is "entropy".
    power : float, default=0.4
        Its exponent.
    kurtosis_ref : "auto" or float, default="auto"
        Kurtosis at which the factor is 1; "auto" is a quarter of the number of classes.
    normalize : {"auto", "row", "scale"} or None, default="auto"
        What makes a bias of the scores: "row" subtracts the mean of each row and
        divides by its deviation, as the paper does; "scale" divides all by one number
        s, the mean deviation of the rows of initial scores, which keeps the problem
        convex; None does nothing (s = 1). "auto" is "scale", and "row" for the solver
        "adamw" with more than two classes.
    init : {"class_mean", "zeros", "random"} or array-like, default="class_mean"
        Initial coefficients :math:`W_0`, to which the penalty pulls; an array of shape
        (n_classes, n_auxiliary) has them in the order of the columns of logits.
    l2 : "auto" or float, default="auto"
        Strength of that pull; ``inf`` trains nothing. "auto" is
        :math:`4 / (n\,C^2)` for n rows, or their total weight, and C classes. For
        "adamw" it is the weight decay, which pulls to zero, and "auto" is 0.01.
    solver : {"lbfgs", "adamw"}, default="lbfgs"
        "lbfgs" finds the minimum, which is unique for "scale" and l2 > 0. "adamw" is
        the recipe of the paper: minibatches, a cosine schedule, stop at the last epoch.
    learning_rate : float, default=0.001
        First learning rate of "adamw".
    batch_size : int, default=8
        Its batch size.
    max_iter : int, default=None
        Most iterations of "lbfgs", 500 by default, or epochs of "adamw", 50. With 0
        nothing is trained: the bias is then that of the class means.
    tol : float, default=1e-5
        Largest derivative at the end of "lbfgs".
    classes : array-like of shape (n_classes,), default=None
        All labels, in the order of the columns of logits; by default those in y,
        sorted. Labels that no row of the few shots has can be predicted too.
    random_state : int, RandomState instance or None, default=None
        Order of the rows for "adamw", and the coefficients of ``init="random"``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_auxiliary)
        Coefficients W of the unit features, of the dtype of X.
    init_coef_ : ndarray of shape (n_classes, n_auxiliary)
        Their start.
    scale_ : float
        What scores are divided by to make the bias; 1 unless "scale".
    normalize_ : {"row", "scale", None}
        What was done with the scores.
    classes_ : ndarray of shape (n_classes,)
        Labels, **sorted**. All outputs have this order, whatever that of ``classes``.
    n_iter_ : int
        Iterations, or epochs.
    loss_ : float
        The objective at the end; of "adamw" the mean loss of the last epoch.
    loss_curve_ : ndarray
        The objective at the start and after each iteration; of "adamw" the mean loss
        of each epoch.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    LogitBiasClassifierCV : Chooses alpha, lambda_merge, power and l2.
    TipAdapterClassifier : Adds similarities to the labelled rows instead.
    ZeroShotLogits : Makes logits of image features and text embeddings.
    sklogit.heads.LogitBiasHead : The same for torch.

    Notes
    -----
    The prior logits are not normalised: alpha is in their unit. Where they are too
    sure, divide them by a temperature before. The prior model must not have seen the
    few shots: what is right already leaves the bias nothing to learn.

    With more than two features a row, "lbfgs" works in the span of the rows, which the
    solution never leaves. Up to sixteen features (or rows, in their span) a class, it
    works in coordinates that weaken what all rows have in common, the steepest
    direction of the loss. The minimum is the same, and so is the unit of `tol`: no
    gradient is shorter in these coordinates.

    "auto" for l2 is a rule of thumb. With two classes it is that of
    ``LogisticRegression(C=1)``; its dependence on the numbers of rows and classes was
    found on small digits and on validation images of the benchmarks, never on their
    test images.

    From the paper are the model, class-mean start, the two losses and "adamw". The
    convex form, the penalty that pulls to the start, the reference C / 4 of the
    kurtosis and the rule for two classes are ours. Two-class problems, missing
    classes, weights and unequal numbers of rows are not in the paper's code.

    References
    ----------
    .. [1] "AMU-Tuning: Effective Logit Bias for CLIP-based Few-shot Learning",
       arXiv:2404.08958.

    Examples
    --------
    Digits: the left half of each image makes the prior logits, the right half is the
    auxiliary view.

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.few_shot import LogitBiasClassifier, ZeroShotLogits
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X.reshape(-1, 8, 8)
    >>> left, right = images[:, :, :4].reshape(-1, 32), images[:, :, 4:].reshape(-1, 32)
    >>> prior = ZeroShotLogits(scale=20.0).fit(left[:500], y[:500])
    >>> Z = np.hstack([prior.transform(left), right])
    >>> shots, test = slice(500, 540), slice(1000, None)  # four a class, about
    >>> clf = LogitBiasClassifier(n_logits=10, alpha=1.0).fit(Z[shots], y[shots])
    >>> zero_shot = (Z[test, :10].argmax(axis=1) == y[test]).mean()
    >>> bool(clf.score(Z[test], y[test]) > zero_shot + 0.05)
    True
    """

    _parameter_constraints: dict = {
        **LogitBiasEstimator._parameter_constraints,
        "solver": [StrOptions({"lbfgs", "adamw"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_logits=0,
        *,
        alpha=0.5,
        lambda_merge=0.35,
        uncertainty="kurtosis",
        power=0.4,
        kurtosis_ref="auto",
        normalize="auto",
        init="class_mean",
        l2="auto",
        solver="lbfgs",
        learning_rate=1e-3,
        batch_size=8,
        max_iter=None,
        tol=1e-5,
        classes=None,
        random_state=None,
    ):
        self.n_logits = n_logits
        self.alpha = alpha
        self.lambda_merge = lambda_merge
        self.uncertainty = uncertainty
        self.power = power
        self.kurtosis_ref = kurtosis_ref
        self.normalize = normalize
        self.init = init
        self.l2 = l2
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.classes = classes
        self.random_state = random_state

    def _train(self, shots, report):
        rng = check_random_state(self.random_state)
        problem = self._problem(shots, rng)
        l2 = self._l2(shots)
        if self.solver == "adamw" and l2 != float("inf"):
            return self._adamw(problem, l2, rng, report)
        return self._minimise(
            problem, self.alpha, self.lambda_merge, self.power, l2, report
        )

    def _adamw(self, problem, l2, rng, report):
        def on_epoch(fit):
            return report(**self._attributes(problem, fit.parameters.copy()))

        fit = problem.adamw(
            self.alpha * self._factor(problem.shots.prior),
            self.lambda_merge,
            learning_rate=self.learning_rate,
            weight_decay=l2,
            batch_size=self.batch_size,
            n_epochs=self._n_iterations(),
            rng=rng,
            on_epoch=None if report is None else on_epoch,
        )
        self._store(problem, fit.parameters)
        return fit

    def _solver(self):
        return self.solver

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        random = self.solver == "adamw" or (
            isinstance(self.init, str) and self.init == "random"
        )
        tags.non_deterministic = random and self.random_state is None
        return tags


AMUClassifier = LogitBiasClassifier
