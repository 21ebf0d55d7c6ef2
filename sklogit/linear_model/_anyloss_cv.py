"""Training for a metric, with the strength of the pull chosen by cross-validation."""

from numbers import Integral

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed

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
        folds together, a scorer is averaged over the folds.
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
    average : {"macro", "weighted"}, default="macro"
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
    coef_, intercept_, classes_, n_iter_, loss_, loss_curve_, metric_value_, \
train_metric_, init_coef_, init_intercept_, fell_back_, n_features_in_, \
feature_names_in_
        Of the training on all data, see `AnyLossClassifier`.

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
    {inf: 0.62, 30.0: 0.59, 3.0: 0.67, 0.3: 0.67}
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

    def _choose(self, rows, classes, metric):
        """Find alpha, and the threshold if it is inf, by cross-validation."""
        alphas = self._checked_alphas()
        folds = self._checked_folds(rows, classes)
        scorer = None if self.scoring is None else check_scoring(self, self.scoring)
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
        best = int(np.argmax(values))
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

    def _checked_folds(self, rows, classes):
        """Training and test indices; each class has weight in all training parts."""
        cv = check_cv(self.cv, rows.y, classifier=True)
        folds = [
            tuple(np.arange(rows.n_rows)[part] for part in fold)  # masks too
            for fold in cv.split(rows.X, rows.y)
        ]
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
        start = self._start(part, classes, metric)
        decisions, values = [], []
        for alpha in alphas:
            fit, objective = self._train(part, metric, start, alpha)
            coef, intercept = objective.split(fit.parameters)
            scores = np.asarray(X @ coef.T.astype(X.dtype)) + intercept
            # The threshold is chosen for all folds together.
            decisions.append(scores + start.threshold if np.isinf(alpha) else scores)
            if scorer is not None:
                model = self._fitted_on(part, classes, metric, start, alpha)
                values.append(scorer(model, X, rows.y[test]))
        return np.array(decisions), values

    def _fitted_on(self, rows, classes, metric, start, alpha):
        """Make a fitted `AnyLossClassifier`, for a scorer."""
        shared = set(AnyLossEstimator._parameter_constraints)
        model = AnyLossClassifier(**{name: getattr(self, name) for name in shared})
        model.n_features_in_ = rows.X.shape[1]
        model._train_and_store(rows, classes, metric, start, alpha)
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
            elif np.isinf(alpha) and self.fit_intercept:
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


def _part(rows, indices):
    weight = None if rows.weight is None else rows.weight[indices]
    return Rows(rows.X[indices], rows.y[indices], weight)
