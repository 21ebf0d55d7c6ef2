"""Linear classifier of many classes that share a few code vectors."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import (
    _check_sample_weight,
    has_fit_parameter,
    validate_data,
)

from .._state import restore_on_failure
from ..heads._code_mapping import (
    MAPPINGS,
    log_shares,
    number_of_codes,
    score_ceiling,
)
from ..heads._vq_conversion import LinearCodes
from ._code_prediction import CodePredictionMixin
from ._code_softmax import Rows, fit_codes, mapping_rounds
from ._code_start import start_from_classifier, start_from_means
from ._net import check_labels


class VQLogitsClassifier(
    CodePredictionMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    r"""Softmax regression of many classes that share a few code vectors.

    Class v has the code M(v), and [1]_

    .. math:: p(v \mid x) = p(k \mid x)\, q(v \mid k), \qquad k = M(v), \qquad
        p(\cdot \mid x) = \mathrm{softmax}(C x + \beta)

    with K codes for V classes, so that the model has K (d + 1) coefficients instead of
    V (d + 1). The codes are clusters of the rows of a linear classifier, or of the
    means of the classes; their vectors minimise the cross-entropy of the codes,
    exactly, with a penalty on C.

    Parameters
    ----------
    n_codes : int or float, default=None
        Most codes: their number, or a part of the classes. None is the smaller of 256
        and the number of classes. With as many codes as classes it is plain softmax
        regression. Not used with codes in `mapping`.
    mapping : str or array-like of shape (n_classes,), default="weighted_kmeans"
        Code of each class, in sorted order, or how to choose it. "weighted_kmeans"
        clusters, with the weights of the classes, in the metric of the error of the
        logits that occur; "kmeans" the plain rows, as the paper suggests; "frequency"
        cuts the classes, sorted by weight, into codes of about equal weight; "random"
        makes codes of equal size.
    within : {"prior", "uniform"}, default="prior"
        Shares q of the classes in their code: by their weights in the training data, or
        equal, as in the paper.
    smoothing : float, default=0.5
        Added to the weights of the classes for "prior".
    estimator : classifier, default=None
        Linear classifier whose coefficients are clustered, and fitted for that; inside
        a :class:`~sklearn.frozen.FrozenEstimator` it is taken as it is. None takes the
        means of the classes, which needs no classifier of all classes.
    C : float, default=1.0
        Inverse strength of the penalty, as that of
        :class:`~sklearn.linear_model.LogisticRegression`; ``inf`` is none.
    max_iter : int, default=100
        Most iterations of L-BFGS; 0 keeps the codes of `estimator` as they are.
    tol : float, default=1e-4
        Largest derivative at the end, for features of unit variance.
    mapping_updates : int, default=0
        Times that classes move to codes under which the data are more likely, each
        followed by a fit. The round with the best likelihood of held-out rows is kept,
        and fitted to all rows.
    validation_fraction : float, default=0.1
        Part of the rows that is held out for that.
    verbose : int, default=0
        Print the objective at iterations 1, 2, 4, 8, ...
    random_state : int, RandomState or None, default=None
        For k-means, random codes and the held-out rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    class_count_ : ndarray of shape (n_classes,)
        Their weights in the training data.
    codes_ : ndarray of shape (n_classes,)
        Code of each class, int32.
    codebook_ : ndarray of shape (n_codes, n_features)
        Code vectors C, of the dtype of X.
    code_intercept_ : ndarray of shape (n_codes,)
        Their intercepts.
    log_within_ : ndarray of shape (n_classes,)
        Logarithms of the shares q of the classes.
    n_codes_ : int
        Codes that have a class.
    compression_ : dict
        Coefficients and bytes, the table of codes and the shares included:
        ``"parameters"``, ``"dense_parameters"``, ``"bytes"``, ``"dense_bytes"`` and
        their ``"ratio"``.
    upper_bound_score_ : float
        Largest accuracy on the training data: a code names one class only.
    n_iter_ : int
        Iterations of L-BFGS, of all rounds.
    loss_curve_ : ndarray of shape (n_iterations,)
        Mean objective at the start and after each iteration of the last fit.
    mapping_curve_ : ndarray of shape (n_rounds, 2)
        Of each round, the objective of the training rows, shares included, and the
        negative log-likelihood of the held-out ones; empty without updates.
    estimator_ : classifier
        The fitted `estimator`, if there is one.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    sklogit.heads.VQLogitsHead : The same for torch.
    sklogit.heads.CodebookUsageDisplay : Picture of the codes.

    Notes
    -----
    Classes of one code have the same odds everywhere. That costs accuracy at the top,
    see `upper_bound_score_`, and little likelihood: `log_loss` is the measure.

    The paper's is the shared score; ours are the clusters in the metric of the logits,
    the shares, the exact fit of the codes, and the updates.

    With two codes the penalty is on both vectors, so ``C`` is half that of a
    `LogisticRegression` of two classes.

    References
    ----------
    .. [1] "VQ-Logits: Compressing the Output Bottleneck of Large Language Models via
       Vector Quantized Logits", arXiv:2505.10202.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.neural import VQLogitsClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = VQLogitsClassifier(8, random_state=0).fit(X / 16, y)
    >>> clf.codebook_.shape, clf.predict_topk(X[:1] / 16, k=3).shape
    ((8, 64), (1, 3))
    >>> clf.score(X / 16, y) <= clf.upper_bound_score_
    True
    """

    _parameter_constraints: dict = {
        "n_codes": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "mapping": [StrOptions(set(MAPPINGS)), "array-like"],
        "within": [StrOptions({"prior", "uniform"})],
        "smoothing": [Interval(Real, 0, None, closed="neither")],
        "estimator": [HasMethods(["fit"]), None],
        "C": [Interval(Real, 0, None, closed="right")],  # inf included
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "mapping_updates": [Interval(Integral, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_codes=None,
        *,
        mapping="weighted_kmeans",
        within="prior",
        smoothing=0.5,
        estimator=None,
        C=1.0,
        max_iter=100,
        tol=1e-4,
        mapping_updates=0,
        validation_fraction=0.1,
        verbose=0,
        random_state=None,
    ):
        self.n_codes = n_codes
        self.mapping = mapping
        self.within = within
        self.smoothing = smoothing
        self.estimator = estimator
        self.C = C
        self.max_iter = max_iter
        self.tol = tol
        self.mapping_updates = mapping_updates
        self.validation_fraction = validation_fraction
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; a weight of 2 is the same as a repeated row. `estimator` gets them,
            if it takes weights.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is only one class, there are more codes than classes, a mapping
            does not fit them, `estimator` does not know the classes, a value is not
            finite, or a weight negative.
        TypeError
            If `estimator` is no linear classifier.
        KeyboardInterrupt
            On Ctrl-C; in the last fit the classifier then has the codes reached.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        X, y, classes, target, weight = self._validated(X, y, sample_weight)
        n_codes = number_of_codes(self.n_codes, len(classes))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        parts = self._held_out_parts(target, weight)
        rows = Rows(X, target, weight, len(classes))
        self.__dict__.pop("estimator_", None)
        start = self._start(rows, n_codes, classes, X, y, sample_weight)
        start, n_iter = self._updated(rows, start, parts)
        fit = self._train_and_store(rows, classes, start, context, X, y)
        self.n_iter_ += n_iter
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        if not (fit.converged or fit.stopped or fit.interrupt):
            warnings.warn(
                f"The codes are not fitted within tol={self.tol} after max_iter="
                f"{self.max_iter} iterations: raise max_iter or lower C.",
                ConvergenceWarning,
                stacklevel=6,
            )
        return fit.interrupt

    # -- steps of the fit --------------------------------------------------------------

    def _validated(self, X, y, sample_weight):
        """Arrays, labels, class indices, and weights or None."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32]
        )
        check_labels(y)
        classes, target = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                "VQLogitsClassifier needs samples of at least 2 classes, but the data "
                f"contains only one class: {classes}."
            )
        if sample_weight is None:
            return X, y, classes, target, None
        weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return X, y, classes, target, weight

    def _mass(self, counts):
        """Masses of the classes, of which each has its share in its code."""
        if self.within == "uniform":
            return np.ones(len(counts))
        return counts + self.smoothing

    def _start(self, rows, n_codes, classes, X, y, sample_weight):
        options = {"mapping": self.mapping, "random_state": self.random_state}
        if self.estimator is None:
            if not self.max_iter:
                raise ValueError(
                    "max_iter=0 keeps the coefficients of the estimator, which is None."
                )
            return start_from_means(rows, n_codes, self._mass(rows.counts), **options)
        params = self._params_of_estimator(sample_weight)
        self.estimator_ = clone(self.estimator).fit(X, y, **params)
        return start_from_classifier(
            self.estimator_,
            classes,
            rows,
            n_codes,
            within=self.within,
            smoothing=self.smoothing,
            **options,
        )

    def _params_of_estimator(self, sample_weight):
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight)
            return routed.estimator.fit
        if sample_weight is None:
            return {}
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise ValueError(
                "sample_weight is given, but the estimator, a "
                f"{type(self.estimator).__name__}, takes no weights."
            )
        return {"sample_weight": sample_weight}

    def _held_out_parts(self, target, weight):
        """Return indices of the rows to update by and to judge by, or None."""
        if not self.mapping_updates:
            return None
        # Rows without weight say nothing, and could be all that is held out.
        index = np.arange(len(target)) if weight is None else np.flatnonzero(weight)
        n_held_out = int(np.ceil(self.validation_fraction * len(index)))
        if n_held_out >= len(index):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of the {len(index)} "
                "rows that have a weight leaves none to update the mapping by."
            )
        rng = check_random_state(self.random_state)
        return train_test_split(index, test_size=n_held_out, random_state=rng)

    def _updated(self, rows, start, parts):
        """Best of some rounds of fits and updates of the mapping; their iterations."""
        self.mapping_curve_ = np.empty((0, 2))
        if parts is None:
            return start, 0
        rounds = list(
            mapping_rounds(
                *(rows.part(np.sort(index)) for index in parts),
                start,
                self._mass,
                self.mapping_updates,
                strength=1 / self.C,
                max_iter=self.max_iter,
                tol=self.tol,
            )
        )
        self.mapping_curve_ = np.array([(r.objective, r.held_out) for r in rounds])
        best = rounds[int(self.mapping_curve_[:, 1].argmin())]
        start = LinearCodes(best.codes, best.codebook, best.bias, start.log_shares)
        return start, sum(r.n_iter for r in rounds)

    def _train_and_store(self, rows, classes, start, context, X, y):
        """Fit the codes to all rows, and set the fitted attributes."""
        n_codes = len(start.codebook)
        objective = rows.objective(start.codes, n_codes, 1 / self.C)
        shares = log_shares(start.codes, self._mass(rows.counts))

        def attributes(parameters):
            codebook, intercept = objective.split(parameters)
            return {
                "classes_": classes,
                "n_codes_": n_codes,
                "codes_": start.codes.astype(np.int32),
                "codebook_": codebook.astype(X.dtype),
                "code_intercept_": intercept.astype(X.dtype),
                "log_within_": shares.astype(X.dtype),
            }

        theta = objective.join(start.codebook, start.code_bias)
        report = self._reporter(context, attributes, X, y)
        fit = fit_codes(objective, theta, self.max_iter, self.tol, report)
        vars(self).update(attributes(fit.parameters))
        self.class_count_ = rows.counts
        self.n_iter_, self.loss_curve_ = fit.n_iter, np.array(fit.loss_curve)
        self.upper_bound_score_ = score_ceiling(start.codes, rows.counts)
        self.compression_ = self._compression()
        return fit

    def _reporter(self, context, attributes, X, y):
        """Return a function to call after each iteration, or None if nobody listens."""
        if not (hasattr(self, "_skl_callbacks") or self.verbose):
            return None

        def report(fit):
            if self.verbose and fit.n_iter & (fit.n_iter - 1) == 0:
                print(f"iteration {fit.n_iter}: objective {fit.loss_curve[-1]:.6g}")
            if not hasattr(self, "_skl_callbacks"):
                return False
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes=attributes(fit.parameters),
            )

        return report

    def _compression(self):
        arrays = self.codes_, self.codebook_, self.code_intercept_, self.log_within_
        dense = len(self.classes_) * (self.n_features_in_ + 1)
        n_bytes = sum(array.nbytes for array in arrays)
        dense_bytes = dense * self.codebook_.itemsize
        return {
            "parameters": self.codebook_.size + self.code_intercept_.size,
            "dense_parameters": dense,
            "bytes": n_bytes,
            "dense_bytes": dense_bytes,
            "ratio": dense_bytes / n_bytes,
        }

    def get_metadata_routing(self):
        """Return what fit takes, and what of that goes to the estimator.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The routing.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        if self.estimator is not None:
            router.add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
