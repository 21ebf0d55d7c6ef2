"""Cross-validated choice of order, lag and classifier, without repeated work."""

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import product
from numbers import Integral, Real
from threading import Event

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.svm import SVC
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._blas_threads import one_blas_thread
from .._state import restore_on_failure
from ._augmented import augmented_covariance
from ._classification import AugmentedCovarianceClassifier
from ._cv_results import make_cv_results
from ._lag_statistics import FAST_ESTIMATORS, LagStatistics
from ._mean import check_spd
from ._tangent_space import REFERENCES, reference_mean, tangent_vectors
from ._validation import check_full_rank, covariance_samples, validate_epochs

_KERNELS = ("linear", "rbf")


@dataclass
class _Embedding:
    """Scores of all classifiers at one (order, lag), by fold."""

    scores: np.ndarray  # (n_classifiers, n_splits)
    fit_time: np.ndarray
    score_time: np.ndarray
    failed: np.ndarray  # (n_splits,)
    error: Exception | None = None

    @classmethod
    def empty(cls, n_classifiers, n_splits):
        tables = (np.zeros((n_classifiers, n_splits)) for _ in range(3))
        return cls(*tables, failed=np.zeros(n_splits, dtype=bool))


@dataclass
class _Task:
    """What is the same for all (order, lag) pairs."""

    covariances: Callable  # (order, lag) -> (n_epochs, d, d)
    y: np.ndarray
    sample_weight: np.ndarray | None
    classifiers: list  # of (C, kernel)
    splits: list  # of (train, test)
    scorer: Callable
    # Set when the search ends early: threads then leave at the next fold.
    stop: Event = field(default_factory=Event)


def _refitted(self):
    if not self.refit:
        raise AttributeError(
            f"This {type(self).__name__} was initialized with refit=False: refit "
            "AugmentedCovarianceClassifier with best_params_ yourself."
        )
    return True


class AugmentedCovarianceClassifierCV(
    CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    """Choose order, lag and classifier of the ACM by nested cross-validation.

    The result is that of `GridSearchCV` over the pipeline of augmented covariances,
    tangent space and SVM, with the same folds and scores, but nothing is computed
    twice. The covariances of an (order, lag) pair are computed once for all folds and
    classifiers, from lagged products shared by all pairs; the mean and the tangent
    vectors once for each fold; and all classifiers of a fold share one Gram matrix.

    Parameters
    ----------
    orders : array-like of int, default=(1, 2, ..., 10)
        Orders to try.
    lags : array-like of int, default=(1, 2, ..., 10)
        Lags to try, in samples. At order 1 all lags coincide and are computed once.
    Cs : array-like of float, default=(0.5, 1, 1.5)
        Inverse regularisation strengths of the SVM.
    kernels : array-like of {"linear", "rbf"}, default=("linear", "rbf")
        Kernels of the SVM; "rbf" takes ``gamma="scale"``.
    estimator : str, default="cov"
        Covariance estimator, see `AugmentedCovariances`. "cov" is the paper's; with
        many channels prefer "oas".
    cv : int, cross-validation generator or iterable, default=3
        Inner folds, as in `GridSearchCV`.
    scoring : str, callable or None, default=None
        Scorer; None is the accuracy. In the search it is called with an SVC on a
        precomputed kernel and the kernel between test and training epochs, in `score`
        with the fitted classifier and epochs. It can use the predictions and the
        decision function, not probabilities.
    refit : bool, default=True
        Whether to fit the best candidate on all data.
    n_jobs : int, default=None
        Threads that share the (order, lag) pairs.
    random_state : int, RandomState instance or None, default=None
        Shuffles the folds of an integer `cv`; with None they are not shuffled.
    reference : {"riemann", "kullback", "logeuclid", "euclid"}, default="riemann"
        Reference of the tangent space, see `SPDTangentSpace`.
    tol : float, default=1e-4
        Tolerance of the Riemannian means. In all cases seen, the scores are those of
        1e-8.
    max_iter : int, default=50
        Most iterations of a Riemannian mean.
    trim : {"moabb", "full"}, default="moabb"
        Number of embedded samples, see `AugmentedCovariances`.
    structure : {None, "toeplitz", "circular"}, default=None
        Structure of the covariances, see `AugmentedCovariances`.
    error_score : "raise" or float, default=nan
        Score of a candidate that cannot be fitted (epochs too short for its order and
        lag, singular covariances); with a number, a `FitFailedWarning` is given.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As that of `GridSearchCV`, a row for every (lag, order, C, kernel) in this
        order. Times of steps that candidates share are divided among them.
    best_params_ : dict
        Order, lag, C and kernel of the best candidate; the first of equals.
    best_score_ : float
        Its mean score over the inner folds.
    best_index_ : int
        Its row of `cv_results_`.
    best_estimator_ : AugmentedCovarianceClassifier
        The best candidate, fitted on all data. Only if `refit`.
    refit_time_ : float
        Seconds that this took. Only if `refit`.
    n_iter_ : int
        Iterations of its Riemannian mean. Only if `refit`.
    scorer_ : callable
        The scorer.
    n_splits_ : int
        Number of inner folds.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_channels_ : int
        Channels of the epochs.
    n_times_ : int
        Samples of the training epochs.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    AugmentedCovarianceClassifier : One fixed order and lag.
    EmbeddingScoreDisplay : Draws the scores over order and lag.

    Notes
    -----
    `best_score_` is optimistic, as that of any search. To report the accuracy of the
    method, put the estimator inside an outer cross-validation; in a MOABB evaluation,
    pass it as a plain pipeline, without `param_grid`.

    Callbacks of scikit-learn (`ProgressBar`) follow the (order, lag) pairs.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.covariance import AugmentedCovarianceClassifierCV
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=60, random_state=0)
    >>> search = AugmentedCovarianceClassifierCV(orders=[1, 4], lags=[1, 2], Cs=[1.0])
    >>> search.fit(X, y).best_params_["order"]
    4
    """

    _parameter_constraints: dict = {
        "orders": ["array-like"],
        "lags": ["array-like"],
        "Cs": ["array-like"],
        "kernels": ["array-like"],
        **{
            name: AugmentedCovarianceClassifier._parameter_constraints[name]
            for name in (
                "estimator",
                "n_jobs",
                "tol",
                "max_iter",
                "trim",
                "structure",
            )
        },
        "reference": [StrOptions(set(REFERENCES))],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "refit": ["boolean"],
        "random_state": ["random_state"],
        "error_score": [StrOptions({"raise"}), Real],
    }

    def __init__(
        self,
        orders=tuple(range(1, 11)),
        lags=tuple(range(1, 11)),
        Cs=(0.5, 1, 1.5),
        kernels=("linear", "rbf"),
        *,
        estimator="cov",
        cv=3,
        scoring=None,
        refit=True,
        n_jobs=None,
        random_state=None,
        reference="riemann",
        tol=1e-4,
        max_iter=50,
        trim="moabb",
        structure=None,
        error_score=np.nan,
    ):
        self.orders = orders
        self.lags = lags
        self.Cs = Cs
        self.kernels = kernels
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.reference = reference
        self.tol = tol
        self.max_iter = max_iter
        self.trim = trim
        self.structure = structure
        self.error_score = error_score

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None, groups=None):
        """Score all candidates, and fit the best.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs; a 2-D array is a set of epochs of one channel.
        y : array-like of shape (n_epochs,)
            Class labels.
        sample_weight : array-like of shape (n_epochs,), default=None
            Weights of the means and of the SVM; the scores are not weighted.
        groups : array-like of shape (n_epochs,), default=None
            Groups for the inner splitter.

        Returns
        -------
        self : object
            The fitted search.
        """
        X, y = validate_epochs(self, X, y)
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes, found "
                f"{len(classes)} class: {classes[0]!r}."
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        self.n_channels_, self.n_times_ = X.shape[1:]
        orders, lags, classifiers = self._check_grid(X.shape[2])
        splits = self._split(X, y, groups)
        scorer = check_scoring(SVC(kernel="precomputed"), self.scoring)

        root = self._init_callback_context(max_subtasks=1 + self.refit)
        root.call_on_fit_task_begin(estimator=self, X=X, y=y)
        covariances = self._covariance_source(X)
        task = _Task(covariances, y, sample_weight, classifiers, splits, scorer)
        embeddings = self._evaluate(task, orders, lags, root)
        self._store_results(embeddings, task, orders, lags)
        self.classes_, self.scorer_, self.n_splits_ = classes, scorer, len(splits)
        if self.refit:
            refit = root.subcontext(task_name="refit-with-best-params")
            refit.call_on_fit_task_begin(estimator=self, X=X, y=y)
            start = time.perf_counter()
            self.best_estimator_ = self._best_classifier().fit(X, y, sample_weight)
            self.refit_time_ = time.perf_counter() - start
            self.n_iter_ = self.best_estimator_.n_iter_
            refit.call_on_fit_task_end(estimator=self, X=X, y=y)
        root.call_on_fit_task_end(
            estimator=self,
            X=X,
            y=y,
            # Monitors score the search as it stands: it is fitted.
            reconstruction_attributes={} if self.refit else None,
        )
        return self

    def _check_grid(self, n_times):
        """Return the validated orders, lags and (C, kernel) pairs."""
        grid = {}
        for name in ("orders", "lags", "Cs", "kernels"):
            grid[name] = list(getattr(self, name))
            if not grid[name]:
                raise ValueError(f"{name} must not be empty.")
        for name in ("orders", "lags"):
            for value in grid[name]:
                if (
                    not isinstance(value, Integral)
                    or isinstance(value, bool)
                    or value < 1
                ):
                    raise ValueError(
                        f"{name} must hold integers >= 1, found {value!r}."
                    )
            grid[name] = [int(value) for value in grid[name]]
        for C in grid["Cs"]:
            if not isinstance(C, Real) or not C > 0:
                raise ValueError(f"Cs must hold numbers > 0, found {C!r}.")
        for kernel in grid["kernels"]:
            if kernel not in _KERNELS:
                raise ValueError(f"kernels must be among {_KERNELS}, found {kernel!r}.")
        # Not even the smallest candidate fits: say so before anything is computed.
        smallest = min(grid["orders"]), min(grid["lags"])
        covariance_samples(n_times, *smallest, self.trim, self.structure)
        pairs = list(product(grid["Cs"], grid["kernels"]))
        return grid["orders"], grid["lags"], pairs

    def _split(self, X, y, groups):
        cv = self.cv
        if isinstance(cv, Integral) and self.random_state is not None:
            cv = StratifiedKFold(cv, shuffle=True, random_state=self.random_state)
        splits = list(check_cv(cv, y, classifier=True).split(X, y, groups))
        if not splits:
            raise ValueError(f"cv must give at least one split, found none in {cv!r}.")
        return splits

    def _evaluate(self, task, orders, lags, root):
        """Evaluate every distinct (order, lag) once; return them as a dict."""
        # At order 1 there is no lag; the largest order first fills the lag products.
        distinct = {
            (order, lag if order > 1 else lags[0]): None
            for order, lag in product(sorted(set(orders))[::-1], lags)
        }
        context = root.subcontext(task_name="search", max_subtasks=len(distinct))
        context.call_on_fit_task_begin(estimator=self)

        def evaluate(order, lag):
            # The arrays are ours and checked; checking them again for every SVM would
            # take longer than fitting it.
            with config_context(assume_finite=True, skip_parameter_validation=True):
                return self._evaluate_embedding(task, order, lag)

        parallel = effective_n_jobs(self.n_jobs) > 1
        try:
            with one_blas_thread if parallel else nullcontext():
                results = Parallel(
                    n_jobs=self.n_jobs, require="sharedmem", return_as="generator"
                )(delayed(evaluate)(*pair) for pair in distinct)
                for pair, result in zip(distinct, results):
                    name = f"order={pair[0]}, lag={pair[1]}"
                    child = context.subcontext(task_name=name)
                    child.call_on_fit_task_begin(estimator=self)
                    distinct[pair] = result
                    child.call_on_fit_task_end(estimator=self)
        finally:
            # After Ctrl-C, threads that still compute must not go on to the end.
            task.stop.set()
        context.call_on_fit_task_end(estimator=self)
        return distinct

    def _covariance_source(self, X):
        """Return a function of (order, lag) that gives the covariances of X."""
        if self.estimator in FAST_ESTIMATORS:
            statistics = LagStatistics(X, trim=self.trim)
            return lambda order, lag: statistics.covariance(
                order, lag, self.estimator, structure=self.structure
            )
        return lambda order, lag: augmented_covariance(
            X, order, lag, self.estimator, trim=self.trim, structure=self.structure
        )

    def _evaluate_embedding(self, task, order, lag):
        """Scores of all classifiers at one order and lag, or why there are none."""
        result = _Embedding.empty(len(task.classifiers), len(task.splits))
        try:
            start = time.perf_counter()
            C = task.covariances(order, lag)
            # The count of samples finds singular matrices without an eigenvalue; the
            # pivots find the others.
            n_samples = self._n_samples(order, lag)
            check_full_rank(self.estimator, C.shape[1], n_samples, self.structure)
            check_spd(C)
            shared = (time.perf_counter() - start) / len(task.splits)
        except ValueError as error:
            self._record_failure(result, slice(None), error)
            return result
        for k in range(len(task.splits)):
            if task.stop.is_set():
                break
            try:
                self._evaluate_fold(task, C, k, result, shared)
            except Exception as error:
                self._record_failure(result, k, error)
        return result

    def _record_failure(self, result, fold, error):
        if self.error_score == "raise":
            raise error
        result.error = result.error or error
        result.failed[fold] = True
        result.scores[:, fold] = self.error_score

    def _evaluate_fold(self, task, C, k, result, shared_time):
        """Fill column k of the result: one mean, one Gram matrix, all classifiers."""
        start = time.perf_counter()
        train, test = task.splits[k]
        weight = None if task.sample_weight is None else task.sample_weight[train]
        M, _ = reference_mean(
            C[train], self.reference, weight, tol=self.tol, max_iter=self.max_iter
        )
        features = tangent_vectors(C, M)
        gram = features @ features.T
        # gamma="scale" of SVC, which is 1 for constant features
        spread = features.shape[1] * features[train].var() or 1.0
        blocks = {
            name: (K[np.ix_(train, train)], K[np.ix_(test, train)])
            for name, K in (("linear", gram), ("rbf", _rbf(gram, 1 / spread)))
        }
        shared_time += time.perf_counter() - start
        for i, (penalty, kernel) in enumerate(task.classifiers):
            start = time.perf_counter()
            K_train, K_test = blocks[kernel]
            svc = SVC(C=penalty, kernel="precomputed")
            svc.fit(K_train, task.y[train], weight)
            middle = time.perf_counter()
            result.scores[i, k] = task.scorer(svc, K_test, task.y[test])
            result.fit_time[i, k] = shared_time / len(task.classifiers) + middle - start
            result.score_time[i, k] = time.perf_counter() - middle

    def _n_samples(self, order, lag):
        return covariance_samples(self.n_times_, order, lag, self.trim, self.structure)

    def _store_results(self, embeddings, task, orders, lags):
        """Fill cv_results_ and the best_* attributes."""
        self._report_failures(list(embeddings.values()))
        rows, params = [], []
        for lag, order in product(lags, orders):
            result = embeddings[order, lag if order > 1 else lags[0]]
            for i, (C, kernel) in enumerate(task.classifiers):
                rows.append((result, i))
                params.append({"order": order, "lag": lag, "C": C, "kernel": kernel})
        columns = (
            np.array([getattr(result, name)[i] for result, i in rows])
            for name in ("fit_time", "score_time", "scores")
        )
        self.cv_results_ = make_cv_results(params, *columns)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = params[self.best_index_]
        self.best_score_ = self.cv_results_["mean_test_score"][self.best_index_]

    def _report_failures(self, results):
        """Warn of the fits that failed; raise if none did not."""
        errors = [result.error for result in results if result.error is not None]
        if not errors:
            return
        n_failed = sum(int(result.failed.sum()) for result in results)
        n_all = sum(result.failed.size for result in results)
        if n_failed == n_all:
            raise ValueError(
                f"No candidate could be fitted. The last error: {errors[-1]}"
            )
        warnings.warn(
            f"{n_failed} of {n_all} fits, of {len(errors)} of {len(results)} (order, "
            f"lag) pairs, failed and score {self.error_score}. The first error: "
            f"{errors[0]}",
            FitFailedWarning,
            stacklevel=7,
        )

    def _best_classifier(self):
        best = self.best_params_
        return AugmentedCovarianceClassifier(
            order=best["order"],
            lag=best["lag"],
            estimator=self.estimator,
            reference=self.reference,
            classifier=SVC(C=best["C"], kernel=best["kernel"]),
            tol=self.tol,
            max_iter=self.max_iter,
            trim=self.trim,
            structure=self.structure,
            n_jobs=self.n_jobs,
        )

    def _validated(self, X):
        check_is_fitted(self)
        return validate_epochs(self, X, reset=False)

    def score(self, X, y, sample_weight=None):
        """Return the score of the best classifier, by `scoring`.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.
        y : array-like of shape (n_epochs,)
            Class labels.
        sample_weight : array-like of shape (n_epochs,), default=None
            Weights, for scorers that take them.

        Returns
        -------
        float
            Score.
        """
        _refitted(self)
        X = self._validated(X)
        extra = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.scorer_(self.best_estimator_, X, y, **extra)

    @available_if(_refitted)
    def predict(self, X):
        """Predict the class of epochs with the best classifier.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs,)
            Class labels.
        """
        X = self._validated(X)
        return self.best_estimator_.predict(X)

    @available_if(_refitted)
    def decision_function(self, X):
        """Return the logits of the best classifier.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs,) or (n_epochs, n_classes)
            Logits.
        """
        X = self._validated(X)
        return self.best_estimator_.decision_function(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        # As AugmentedCovarianceClassifier: 2-D data need smaller orders and lags.
        tags.input_tags.two_d_array = False
        return tags


def _rbf(gram, gamma):
    """Gaussian kernel of the vectors with the given inner products."""
    norms = np.diagonal(gram)
    squared = norms[:, np.newaxis] + norms - 2 * gram
    return np.exp(-gamma * np.maximum(squared, 0.0))
