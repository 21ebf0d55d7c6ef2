"""Training for a metric, with the strength of the pull chosen by cross-validation."""

from inspect import signature
from numbers import Integral

import numpy as np
from sklearn.base import _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length

from ..metrics import soft_confusion
from ..metrics._threshold import best_cut
from ._anyloss import AnyLossClassifier
from ._anyloss_estimator import AnyLossEstimator
from ._rows import Rows


class AnyLossClassifierCV(AnyLossEstimator):
    r"""Linear classifier for a metric, never forced to be more than a threshold.

    Cross-validation chooses the strength alpha of `AnyLossClassifier`, with logistic
    regression at its best threshold (``alpha=inf``) among the candidates: where tuning
    the threshold is as good, that is what it does. This is the one to use without
    further thought.

    Parameters
    ----------
    metric : str, callable or ConfusionMetric, default="f1"
        A name of :func:`sklogit.metrics.confusion_metric_names`, or a function of
        (tn, fp, fn, tp).
    alphas : sequence of float, default=(inf, 30.0, 3.0, 0.3)
        Candidates. Of equal scores the largest wins.
    cv : int, splitter, iterable or None, default=None
        Folds; None is 5 stratified ones.
    scoring : str, callable or None, default=None
        What to choose by: None is the metric of the held-out predictions of all
        folds together, a scorer is averaged over the folds, weighted as the fits are.
        Candidates whose score is nan are not chosen.
    n_jobs : int, default=None
        Folds to train at once.
    beta : float, default=1.0
        Weight of recall against precision for ``metric="fbeta"``.
    pos_label : label, default=None
        The positive of two classes; by default the greater label.
    anchor : {"init", "zero"}, default="init"
        See `AnyLossClassifier`.
    init : {"logistic", "balanced", "zeros"}, default="logistic"
        See `AnyLossClassifier`.
    C : float, default=1.0
        Inverse strength of the penalty of the logistic regression.
    amplifier : {"logit", "probability"}, default="logit"
        See `AnyLossClassifier`.
    L : float, default=1.0
        See `AnyLossClassifier`.
    average : {"macro", "weighted", "multiclass"}, default="macro"
        See `AnyLossClassifier`.
    fit_intercept : bool, default=True
        Whether to fit an intercept; without it there is no threshold to tune.
    max_iter : int, default=300
        Most iterations of L-BFGS.
    tol : float, default=1e-4
        Largest derivative of the objective at the end.
    verbose : int, default=0
        Print the objective of the last training.

    Attributes
    ----------
    alpha_ : float
        The chosen alpha.
    alphas_ : ndarray of shape (n_alphas,)
        The candidates, falling.
    cv_scores_ : ndarray of shape (n_alphas,)
        Their scores.
    threshold_ : float or None
        If `alpha_` is inf, the threshold of the scores of the logistic regression, for
        the positive class, that is best for the held-out ones; `intercept_` contains
        it.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the training on all data. All that follows is of it too, and
        told by `AnyLossClassifier`.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_iter_ : int
        Iterations; the start is the first.
    loss_ : float
        The objective at the end.
    loss_curve_ : ndarray of shape (n_iterations,)
        The objective at the start and after each iteration.
    metric_value_ : float
        The metric of the soft predictions of the training data.
    train_metric_ : float
        The metric of the hard ones.
    init_coef_, init_intercept_ : ndarray
        The start, its threshold included; of the shape of the coefficients.
    fell_back_ : bool
        Whether the metric failed during training, so that the start was kept.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    AnyLossClassifier : One alpha.
    sklearn.model_selection.TunedThresholdClassifierCV : The threshold alone.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklogit.linear_model import AnyLossClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = AnyLossClassifierCV("f1").fit(X, y == 1)
    >>> dict(zip(clf.alphas_.tolist(), clf.cv_scores_.round(2).tolist()))
    {inf: 0.58, 30.0: 0.59, 3.0: 0.67, 0.3: 0.67}
    """

    _parameter_constraints: dict = {
        **AnyLossEstimator._parameter_constraints,
        "alphas": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        metric="f1",
        *,
        alphas=(np.inf, 30.0, 3.0, 0.3),
        cv=None,
        scoring=None,
        n_jobs=None,
        beta=1.0,
        pos_label=None,
        anchor="init",
        init="logistic",
        C=1.0,
        amplifier="logit",
        L=1.0,
        average="macro",
        fit_intercept=True,
        max_iter=300,
        tol=1e-4,
        verbose=0,
    ):
        self.metric = metric
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.beta = beta
        self.pos_label = pos_label
        self.anchor = anchor
        self.init = init
        self.C = C
        self.amplifier = amplifier
        self.L = L
        self.average = average
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None, groups=None):
        """Choose alpha by cross-validation, and fit the classifier to all data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data; scaled features suit the penalties.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the fits and of what is chosen by; a weight of 2 is the same as
            a repeated row.
        groups : array-like of shape (n_samples,), default=None
            Groups for the splitter.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            As `AnyLossClassifier`, and if `alphas` are no candidates, `cv` gives no
            folds, or one that lacks a class in its training part or has no test rows,
            if `scoring` takes no weights that are given, or is nan for all candidates.
        KeyboardInterrupt
            On Ctrl-C: if alpha was chosen by then, the classifier has the coefficients
            reached; before that it is as it was.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context, groups)
        if interrupt is not None:
            raise interrupt
        return self

    def _choose(self, rows, classes, metric, groups):
        """Find alpha, and the threshold if it is inf, by cross-validation."""
        alphas = self._checked_alphas()
        folds = self._checked_folds(rows, classes, groups)
        scorer = self._checked_scorer(rows)
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(self._fold)(rows, classes, metric, alphas, scorer, *fold)
            for fold in folds
        )
        held_out = np.concatenate([test for _, test in folds])
        scores = np.concatenate([part[0] for part in parts], axis=1)
        pooled = self._encode_held_out(rows, classes, held_out)
        fold_of = np.repeat(np.arange(len(folds)), [len(test) for _, test in folds])
        values, threshold = self._pooled_metric(pooled, scores, metric, alphas, fold_of)
        if scorer is not None:
            values = np.mean([part[1] for part in parts], axis=0)
        if np.isnan(values).all():
            raise ValueError(f"scoring={self.scoring!r} is nan for all alphas.")
        best = int(np.nanargmax(values))
        self.alphas_, self.cv_scores_ = alphas, np.asarray(values)
        self.alpha_ = float(alphas[best])
        self.threshold_ = threshold if np.isinf(self.alpha_) else None
        return self.alpha_, self.threshold_

    def _checked_alphas(self):
        alphas = np.sort(np.asarray(self.alphas, dtype=np.float64).ravel())[::-1]
        if not len(alphas) or not (alphas >= 0).all():
            raise ValueError(
                "alphas must be numbers of at least 0, inf included, got "
                f"{self.alphas}."
            )
        return alphas

    def _checked_scorer(self, rows):
        if self.scoring is None:
            return None
        scorer = check_scoring(self, self.scoring)
        if rows.weight is not None and not _takes_weights(scorer):
            raise ValueError(
                f"sample_weight is given, but scoring={self.scoring!r} takes no "
                "weights."
            )
        return scorer

    def _checked_folds(self, rows, classes, groups):
        """Training and test indices; each class has weight in all training parts."""
        check_consistent_length(rows.y, groups)
        cv = check_cv(self.cv, rows.y, classifier=True)
        folds = [
            tuple(np.arange(rows.n_rows)[part] for part in fold)  # masks too
            for fold in cv.split(rows.X, rows.y, groups)
        ]
        if not folds or not all(len(test) for _, test in folds):
            raise ValueError(
                "cv must give at least one fold, and each of them test rows, got "
                f"{[len(test) for _, test in folds]} test rows."
            )
        for number, (train, _) in enumerate(folds):
            weight = None if rows.weight is None else rows.weight[train]
            indices = np.searchsorted(classes, rows.y[train])
            if not np.bincount(indices, weight, minlength=len(classes)).all():
                raise ValueError(
                    f"cv: a class has no weight in the training part of fold {number}; "
                    "use fewer folds, or stratified ones."
                )
        return folds

    def _fold(self, rows, classes, metric, alphas, scorer, train, test):
        """Train on a fold; scores of the positive class on the rest, for each alpha."""
        part = self._encode(_part(rows, train), classes)
        X = rows.X[test]
        held_out = None if rows.weight is None else rows.weight[test]
        start = self._start(part, classes, metric)
        decisions, values = [], []
        for alpha in alphas:
            fit, objective = self._train(part, metric, start, alpha)
            if fit.interrupt is not None:
                raise fit.interrupt
            coef, intercept = objective.split(fit.parameters)
            scores = np.asarray(X @ coef.T.astype(X.dtype)) + intercept
            # The threshold is chosen for all folds together.
            decisions.append(scores + start.threshold if np.isinf(alpha) else scores)
            if scorer is not None:
                model = self._fitted_by(fit, classes, X, alpha)
                weight = {} if held_out is None else {"sample_weight": held_out}
                values.append(scorer(model, X, rows.y[test], **weight))
        return np.array(decisions), values

    def _fitted_by(self, fit, classes, X, alpha):
        """Make an `AnyLossClassifier` of a training, for a scorer."""
        shared = set(AnyLossEstimator._parameter_constraints)
        params = {name: getattr(self, name) for name in shared}
        model = AnyLossClassifier(alpha=alpha, **params)
        model.n_features_in_, model.classes_ = X.shape[1], classes
        model.coef_, model.intercept_ = self._shaped(fit.parameters, classes, X)
        return model

    def _encode_held_out(self, rows, classes, held_out):
        part = _part(rows, held_out)
        if len(classes) == 2:
            return part.labelled(part.y == self._positive(classes))
        return part.labelled(np.searchsorted(classes, part.y))

    def _pooled_metric(self, rows, scores, metric, alphas, fold_of):
        """Metric of each alpha on all held-out rows, and the best threshold."""
        threshold, values = 0.0, []
        for alpha, of_alpha in zip(alphas, scores):
            if scores.shape[2] > 1:
                predicted = of_alpha.argmax(axis=1)
                value = metric.score(
                    rows.y,
                    predicted,
                    average=self.average,
                    sample_weight=rows.weight,
                )
            elif np.isinf(alpha) and self.fit_intercept and self.init != "zeros":
                threshold, value = _tuned(rows, of_alpha[:, 0], metric, fold_of)
            else:
                counts = soft_confusion(rows.y, of_alpha[:, 0] > 0, rows.weight)
                value = metric.value(*counts)
            values.append(value)
        return values, threshold


def _tuned(rows, scores, metric, fold_of):
    """Threshold that is best for all folds, and what tuning it is worth.

    The metric is that of each fold at the threshold that is best for the others: that
    of the same data would flatter it beside candidates that tune nothing.
    """
    scores = scores.astype(np.float64)
    threshold, _ = best_cut(rows.y, scores, metric, rows.weight)
    predicted = np.empty(len(scores), dtype=bool)
    for fold in np.unique(fold_of):
        own = fold_of == fold
        others = _part(rows, ~own)
        cut = threshold
        if others.y.any() and not others.y.all():
            cut, _ = best_cut(others.y, scores[~own], metric, others.weight)
        predicted[own] = scores[own] > cut
    counts = soft_confusion(rows.y, predicted, rows.weight)
    return threshold, metric.value(*counts)


def _takes_weights(scorer):
    if hasattr(scorer, "_accept_sample_weight"):
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters


def _part(rows, indices):
    weight = None if rows.weight is None else rows.weight[indices]
    return Rows(rows.X[indices], rows.y[indices], weight)
