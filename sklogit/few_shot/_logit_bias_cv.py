"""A logit bias whose strength is chosen by cross-validation on the few shots."""

import warnings
from itertools import product
from numbers import Integral

import numpy as np
from sklearn.base import _fit_context
from sklearn.callback import with_callbacks
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable
from sklearn.utils._param_validation import StrOptions

from ._estimator import LogitBiasEstimator
from ._folds import folds_of_shots
from ._search import Candidate, HeldOut, Search

_FINITE = np.finfo(np.float64).max
# In the order of the search: the parameter with candidates of each number, the largest
# that is allowed, and how an error says so.
_GRIDS = {
    "alpha": ("alphas", _FINITE, "from 0 on"),
    "l2": ("l2s", np.inf, "from 0 on, inf included"),
    "lambda_merge": ("lambda_merges", 1.0, "from 0 to 1"),
    "power": ("powers", _FINITE, "from 0 on"),
}

_MULTIPLES = np.array([0.1, 1.0, 10.0, 100.0, np.inf])


class LogitBiasClassifierCV(LogitBiasEstimator):
    r"""Logit bias that chooses its strength, on the few shots only.

    It is `LogitBiasClassifier` with cross-validation inside: some rows of each class
    are held out, in turns, to choose alpha, lambda_merge, power and l2. No other labels
    are used. All candidates share what does not depend on them: features of length one,
    class means, the span of the rows; each is trained from where the one before it
    ended.

    Parameters
    ----------
    n_logits : int, default=0
        Number of columns of X, the first ones, that are logits of the prior model.
    alphas : sequence of float, default=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
        Strengths to try. With 0 among them it may find that the prior model is best
        left alone.
    lambda_merges : sequence of float, default=(0.0, 0.35, 1.0)
        Shares of the fused loss to try.
    powers : sequence of float, default=(0.0, 0.4)
        Exponents of the uncertainty to try; 0 is none.
    l2s : "auto" or sequence of float, default="auto"
        Penalties to try; ``inf`` leaves the class means as they are. "auto" is the
        penalty that `LogitBiasClassifier` has by default, times 0.1, 1, 10, 100 and
        ``inf``.
    search : {"coordinate", "grid"}, default="coordinate"
        "coordinate" starts from `alpha`, `lambda_merge`, `power` and `l2`, and improves
        one of them after the other, at most twice each: about 25 candidates. "grid"
        tries all combinations, 180 by default.
    cv : int, splitter, iterable or None, default=5
        Folds; None is 5. A number is the most of them: rows of each class are dealt out
        in turns, and the single row of a class stays in all training parts.
    scoring : {"neg_log_loss", "accuracy"}, default="neg_log_loss"
        What is best for the held-out rows, all folds together. Of equal accuracies the
        log-loss decides.
    n_jobs : int, default=None
        Folds to train at once.
    alpha : float, default=0.5
        Strength to start the search from, and to take where nothing can be held out.
    lambda_merge : float, default=0.35
        The same for the share of the fused loss.
    power : float, default=0.4
        The same for the exponent.
    l2 : "auto" or float, default="auto"
        The same for the penalty; "auto" is that of `LogitBiasClassifier`.
    uncertainty : {"kurtosis", "entropy", "max", "margin"} or None, default="kurtosis"
        See `LogitBiasClassifier`.
    kurtosis_ref : "auto" or float, default="auto"
        See `LogitBiasClassifier`.
    normalize : {"auto", "row", "scale"} or None, default="auto"
        See `LogitBiasClassifier`; "auto" is "scale".
    init : {"class_mean", "zeros", "random"} or array-like, default="class_mean"
        See `LogitBiasClassifier`.
    max_iter : int, default=None
        Most iterations of L-BFGS; None is 500.
    tol : float, default=1e-5
        Largest derivative at the end.
    classes : array-like of shape (n_classes,), default=None
        All labels, in the order of the columns of logits; by default those in y,
        sorted.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows before they are dealt out to the folds of a number `cv`; None
        takes them in their order. Also for the coefficients of ``init="random"``.

    Attributes
    ----------
    alpha_ : float
        The chosen strength.
    lambda_merge_ : float
        The chosen share.
    power_ : float
        The chosen exponent.
    l2_ : float
        The chosen penalty.
    best_score_ : float
        Their score on the held-out rows; nan where nothing could be held out.
    cv_results_ : dict
        The candidates that were tried, in the manner of `GridSearchCV`: "params", a
        list of dicts, and arrays "param_alpha", "param_l2", "param_lambda_merge",
        "param_power", "split0_test_score" and so on, "mean_test_score", in which
        folds weigh as their rows do, and "rank_test_score". Empty where nothing could
        be held out.
    n_splits_ : int
        Number of folds; 0 where nothing could be held out.
    coef_ : ndarray of shape (n_classes, n_auxiliary)
        Coefficients of the fit to all rows. All that follows is of it too, and told by
        `LogitBiasClassifier`.
    init_coef_ : ndarray of shape (n_classes, n_auxiliary)
        Their start.
    scale_ : float
        What scores are divided by to make the bias.
    normalize_ : {"row", "scale", None}
        What was done with the scores.
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    n_iter_ : int
        Iterations of the last fit.
    loss_ : float
        Its objective at the end.
    loss_curve_ : ndarray
        Its objective at the start and after each iteration.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    LogitBiasClassifier : One candidate.
    sklearn.model_selection.GridSearchCV : For other scores, and other parameters.

    Notes
    -----
    With one shot a class nothing can be held out: a UserWarning says so, and `alpha`,
    `lambda_merge`, `power` and `l2` are taken as they are given.

    The prior logits are held out too only if the labelled rows did not make them: if
    the prior model has seen the few shots, cross-validation trusts it too much.

    With two shots a class the candidates are trained with one. The penalty is relative
    to the mean loss, so that what is best changes little with the number of rows.

    References
    ----------
    .. [1] "AMU-Tuning: Effective Logit Bias for CLIP-based Few-shot Learning",
       arXiv:2404.08958.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.few_shot import LogitBiasClassifierCV, ZeroShotLogits
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X.reshape(-1, 8, 8)
    >>> left, right = images[:, :, :4].reshape(-1, 32), images[:, :, 4:].reshape(-1, 32)
    >>> prior = ZeroShotLogits(scale=20.0).fit(left[:500], y[:500])
    >>> Z = np.hstack([prior.transform(left), right])
    >>> clf = LogitBiasClassifierCV(n_logits=10).fit(Z[500:600], y[500:600])
    >>> clf.alpha_ > 0, clf.n_splits_
    (True, 5)
    >>> zero_shot = (Z[1000:, :10].argmax(axis=1) == y[1000:]).mean()
    >>> bool(clf.score(Z[1000:], y[1000:]) > zero_shot + 0.05)
    True
    """

    _parameter_constraints: dict = {
        **LogitBiasEstimator._parameter_constraints,
        "alphas": ["array-like"],
        "lambda_merges": ["array-like"],
        "powers": ["array-like"],
        "l2s": [StrOptions({"auto"}), "array-like"],
        "search": [StrOptions({"coordinate", "grid"})],
        "cv": ["cv_object"],
        "scoring": [StrOptions({"neg_log_loss", "accuracy"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_logits=0,
        *,
        alphas=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0),
        lambda_merges=(0.0, 0.35, 1.0),
        powers=(0.0, 0.4),
        l2s="auto",
        search="coordinate",
        cv=5,
        scoring="neg_log_loss",
        n_jobs=None,
        alpha=0.5,
        lambda_merge=0.35,
        power=0.4,
        l2="auto",
        uncertainty="kurtosis",
        kurtosis_ref="auto",
        normalize="auto",
        init="class_mean",
        max_iter=None,
        tol=1e-5,
        classes=None,
        random_state=None,
    ):
        self.n_logits = n_logits
        self.alphas = alphas
        self.lambda_merges = lambda_merges
        self.powers = powers
        self.l2s = l2s
        self.search = search
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.alpha = alpha
        self.lambda_merge = lambda_merge
        self.power = power
        self.l2 = l2
        self.uncertainty = uncertainty
        self.kurtosis_ref = kurtosis_ref
        self.normalize = normalize
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.classes = classes
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None, groups=None):
        """Choose the strength of the bias by cross-validation, and fit it to all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Logits of the prior model, then auxiliary features.
        y : array-like of shape (n_samples,)
            Labels; not all of ``classes`` need to occur.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the fits and of the held-out rows.
        groups : array-like of shape (n_samples,), default=None
            Groups for a splitter `cv`.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            As `LogitBiasClassifier`; if candidates are not allowed, `cv` gives no folds
            or one without weight in a part, or there are groups but no splitter.
        KeyboardInterrupt
            On Ctrl-C: after the choice the classifier has the coefficients reached;
            before that it is as it was.
        """
        context = self._init_callback_context(max_subtasks=self._n_iterations())
        to_split = X, y, groups
        interrupt = self._fit(X, y, sample_weight, context, to_split=to_split)
        if interrupt is not None:
            raise interrupt
        return self

    def _train(self, shots, report, to_split):
        values = self._checked_values(shots)
        rng = check_random_state(self.random_state)
        best = self._choose(shots, values, rng, to_split)
        self.alpha_, self.lambda_merge_, self.power_, self.l2_ = best
        return self._minimise(self._problem(shots, rng), *best, report)

    def _strength(self):
        return self.alpha_, self.power_

    def _choose(self, shots, values, rng, to_split):
        """Find the best candidate."""
        start = Candidate(self.alpha, self.lambda_merge, self.power, self._l2(shots))
        folds = self._folds(shots, rng, to_split)
        self.n_splits_ = len(folds)
        by_accuracy = self.scoring == "accuracy"
        search = Search(folds, by_accuracy, self.n_jobs)
        if not folds:
            warnings.warn(
                "Nothing can be held out, as no class has two rows: alpha, "
                "lambda_merge, power and l2 are taken as they are given.",
                UserWarning,
                stacklevel=8,
            )
            best = start
        elif self.search == "coordinate":
            best = search.coordinate(start, values)
        else:
            grid = product(*(values[name] for name in Candidate._fields))
            best = search.best_of([Candidate(*numbers) for numbers in grid])
        self.cv_results_ = search.results()
        self.best_score_ = search.mean_score(best) if folds else np.nan
        return best

    def _checked_values(self, shots):
        values = {}
        for name, (grid, largest, allowed) in _GRIDS.items():
            given = getattr(self, grid)
            if isinstance(given, str):  # "auto"
                given = self._auto_l2(shots) * _MULTIPLES
            of_name = np.asarray(given).ravel()
            if (
                not of_name.size
                or of_name.dtype.kind not in "fiu"
                or not ((of_name >= 0) & (of_name <= largest)).all()
            ):
                raise ValueError(f"{grid} must be numbers {allowed}, got {given!r}.")
            values[name] = of_name.astype(np.float64).tolist()
        if not shots.has_prior or self.uncertainty is None:
            values["power"] = [self.power]  # which then changes nothing
        return values

    def _folds(self, shots, rng, to_split):
        """Problems of the training parts, with the rows that are held out."""
        folds = []
        for train, test in self._indices(shots, rng, to_split):
            if not (shots.weight[train].any() and shots.weight[test].any()):
                raise ValueError(
                    "cv must leave rows with a weight in the training part and in the "
                    f"test part of each fold, got {len(train)} and {len(test)} rows."
                )
            folds.append(
                HeldOut(
                    self._problem(shots.part(train), rng),
                    shots.part(test),
                    shots.weight[test],
                    self._factor,
                    self._n_iterations(),
                    self.tol,
                )
            )
        return folds

    def _indices(self, shots, rng, to_split):
        X, y, groups = indexable(*to_split)
        if self.cv is None or isinstance(self.cv, Integral):
            if groups is not None:
                raise ValueError(
                    f"cv must be a splitter, such as GroupKFold, to heed groups, got "
                    f"{self.cv!r}."
                )
            shuffle = None if self.random_state is None else rng
            rows = np.flatnonzero(shots.weight)
            folds = folds_of_shots(shots.y[rows], self.cv or 5, shuffle)
        else:
            rows = np.arange(shots.n_rows)
            folds = list(check_cv(self.cv, y, classifier=True).split(X, y, groups))
            if not folds:
                raise ValueError(f"cv must give at least one fold, got {self.cv!r}.")
        return [(rows[train], rows[test]) for train, test in folds]  # masks too

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        random = isinstance(self.init, str) and self.init == "random"
        tags.non_deterministic = random and self.random_state is None
        return tags
