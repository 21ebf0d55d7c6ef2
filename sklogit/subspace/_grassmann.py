"""Classifier whose classes are subspaces."""

from numbers import Integral, Real

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from .._state import restore_on_failure
from .._unit_rows import unit_rows
from ._descent import block_lengths, learning_rates
from ._geometry import principal_angles
from ._logits import projections
from ._training import SubspaceTraining, check_number_of_classes


class GrassmannClassifier(
    SubspaceTraining, ClassifierMixin, TransformerMixin, BaseEstimator
):
    r"""Classifier that represents each class by a subspace.

    A class c is a k-dimensional subspace with orthonormal basis :math:`S_c`; the logit
    of a row is the length of the projection of its direction [1]_,

    .. math:: l_c = \gamma \left| S_c^\top \frac{x}{|x|} \right| \in [0, \gamma] .

    The bases minimise the mean cross-entropy of the softmax of the logits, by
    stochastic gradient descent with momentum along geodesics of the Grassmann manifold.
    They start from the principal subspaces of the classes, which alone are the
    classical rule CLAFIC (``max_iter=0``).

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Dimension k of the subspaces, less than the number of features (the intercept
        counts as one). "auto" is half of that number, at least 1 and at most 8, or the
        dimension of `init`, if that is an array.
    gamma : float, default=25.0
        Largest logit.
    init : {"pca", "random"} or array-like, default="pca"
        Start: the principal subspaces of the directions of each class, random ones, or
        bases of shape (n_classes, n_features, n_components), with the intercept as last
        feature, such as `subspaces_` of another classifier. Those that are not
        orthonormal are made so, with a warning.
    fit_intercept : bool, default=True
        Whether to append a constant to each row before its norm is taken. Otherwise x,
        -x and every positive multiple of them have the same logits.
    intercept_scaling : float or "auto", default=1.0
        That constant. "auto" is half of the root mean square of the norms of the
        training rows, so that the unit of X does not matter.
    learning_rate_init : float, default=0.05
        Length of the steps, of the gradient averaged over a batch.
    momentum : float, default=0.9
        Part of the last direction that is kept in the next; it is carried along the
        geodesic.
    max_iter : int, default=50
        Epochs. 0 keeps the start.
    batch_size : int, default=64
        Most rows of a step.
    schedule : {"cosine", "constant"}, default="cosine"
        Steps that fall to nothing over `max_iter` epochs, or of equal length. Equal
        ones end when the training loss does not fall by `tol` in `n_iter_no_change`
        epochs.
    early_stopping : bool, default=False
        Whether to set aside a part of the training data, to end when the loss there
        does not fall by `tol` in `n_iter_no_change` epochs, and to keep the best.
    validation_fraction : float, default=0.1
        That part, drawn from each class.
    n_iter_no_change : int, default=5
        Epochs to wait.
    tol : float, default=1e-4
        Least fall of the loss that counts.
    class_weight : dict or "balanced", default=None
        Weights of the classes; "balanced" gives all classes the same total weight.
    warm_start : bool, default=False
        Whether to go on from the subspaces and the momentum of the last fit.
    random_state : int, RandomState instance or None, default=None
        Seed of a random start, the order of the rows and the validation data.
    verbose : int, default=0
        Print the loss after epochs 1, 2, 4, 8, ...

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    subspaces_ : ndarray of shape (n_classes, n_features, n_components)
        Orthonormal bases, of the dtype of X; with an intercept there is one more
        feature, the last.
    n_components_ : int
        Dimension of the subspaces.
    intercept_scaling_ : float
        The constant; 0 without intercept.
    n_iter_ : int
        Epochs.
    loss_curve_ : ndarray of shape (n_epochs + 1,)
        Mean loss of the training data at the start, and of each epoch, taken before its
        steps.
    validation_loss_curve_ : ndarray of shape (n_epochs + 1,)
        Mean loss of the validation data at the start and after each epoch; with
        `early_stopping` only.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    PrincipalAnglesDisplay : Draws the angles between the subspaces.
    sklearn.neighbors.NearestCentroid : A class is a point.
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : A class is a Gaussian.

    Notes
    -----
    Only the direction of a row matters. Pixels, counts and features of networks with
    rectifiers are suited as they are; tables need a scaler, the intercept, and, from
    some ten columns on, ``intercept_scaling="auto"``.

    Training matters most for small k. For k of 8 or more the principal subspaces alone
    may classify as well: compare with ``max_iter=0``.

    Steps are exact geodesics, so that no step size breaks the bases; a
    `learning_rate_init` that is too large leaves a loss above that of the start, which
    a warning tells, or turns subspaces round and round, which is an error. `gamma`
    times `learning_rate_init` sets the step. `predict_proba` is *not* calibrated.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklogit.subspace import GrassmannClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> clf = GrassmannClassifier(n_components=2, random_state=0).fit(X, y)
    >>> clf.subspaces_.shape
    (10, 65, 2)
    >>> clafic = GrassmannClassifier(n_components=2, max_iter=0).fit(X, y)
    >>> bool(clf.score(X_test, y_test) > clafic.score(X_test, y_test) + 0.02)
    True
    """

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"pca", "random"}), "array-like"],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
        ],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "schedule": [StrOptions({"cosine", "constant"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components="auto",
        *,
        gamma=25.0,
        init="pca",
        fit_intercept=True,
        intercept_scaling=1.0,
        learning_rate_init=0.05,
        momentum=0.9,
        max_iter=50,
        batch_size=64,
        schedule="cosine",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        tol=1e-4,
        class_weight=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.gamma = gamma
        self.init = init
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the subspaces.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. Rows of zeros without intercept have logits of zero and
            change nothing.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, in the loss and in the start. With one batch of all rows a weight
            of 2 is the same as a repeated row.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is only one class, or one without weight; if `n_components` is not
            less than the number of features; if a value is not finite or a weight
            negative; or if a step turns a subspace by more than 10 000 radians.
        KeyboardInterrupt
            On Ctrl-C; the classifier then has the subspaces reached until then.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        X, y, weight = self._check_data(X, y, sample_weight, reset=True)
        classes, indices = np.unique(y, return_inverse=True)
        check_number_of_classes(classes)
        go_on = self.warm_start and hasattr(self, "subspaces_")
        if not go_on:
            self._random_state = check_random_state(self.random_state)
        rows = self._weighted_rows(X, indices, weight, classes, go_on, complete=True)
        train, stopping = self._split(rows)
        descent = self._descent(train, classes, go_on)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        rates = learning_rates(self.learning_rate_init, self.schedule, self.max_iter)
        report = self._reporter(context, X, y, classes, rows.constant)
        result = self._descend(descent, train, rates, stopping, report)
        self._store(descent, classes, result, rows.constant, stopping)
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        self._tell(result, go_on)
        return result.interrupt

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Take one epoch of steps on a chunk of data.

        Steps have the length `learning_rate_init`; the momentum goes on from call to
        call. The first call starts from the chunk: a class that it lacks gets a random
        subspace.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk.
        y : array-like of shape (n_samples,)
            Its labels.
        classes : array-like of shape (n_classes,), default=None
            All labels; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        self : object
            The classifier after the steps.

        Raises
        ------
        ValueError
            If `classes` is missing or differs from that of an earlier call, y has other
            labels, or `early_stopping` or balanced classes are asked for, which need
            all data.
        """
        self._check_partial_fit()
        first = _check_partial_fit_first_call(self, classes)
        check_number_of_classes(self.classes_)
        X, y, weight = self._check_data(X, y, sample_weight, reset=first)
        if not np.isin(y, self.classes_).all():
            raise ValueError(
                f"y has labels {np.setdiff1d(y, self.classes_)} that are not in "
                f"classes {self.classes_}."
            )
        indices = np.searchsorted(self.classes_, y)
        if first:
            self._random_state = check_random_state(self.random_state)
        rows = self._weighted_rows(X, indices, weight, self.classes_, not first)
        descent = self._descent(rows, self.classes_, not first)
        result = self._descend(descent, rows, [self.learning_rate_init])
        if result.interrupt is not None:
            raise result.interrupt
        if not first:
            result.loss_curve = [*self.loss_curve_, result.loss_curve[1]]
        self._store(descent, self.classes_, result, rows.constant)
        return self

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Logits between 0 and `gamma`; for two classes that of the second minus that
            of the first.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict the class with the longest projection.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Compute the softmax of the logits.

        They are not calibrated: wrap the classifier in
        :class:`~sklearn.calibration.CalibratedClassifierCV` for probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Numbers that sum to one, in the order of ``classes_``.
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Compute logarithms of what `predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The logarithms.
        """
        return log_softmax(self._logits(X), axis=1)

    def transform(self, X):
        r"""Compute the coordinates of the projections, :math:`S_c^\top x / |x|`.

        They depend on the bases: only the norms of the n_components columns of a class
        are properties of its subspace. From the start "pca" without training the
        columns are in the order of the singular values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes * n_components)
            Coordinates between -1 and 1, those of the first class first.
        """
        X = self._check_input(X)
        Z = projections(unit_rows(X, self.intercept_scaling_), self._bases(X.dtype))
        return Z.reshape(len(Z), -1)

    def get_feature_names_out(self, input_features=None):
        """Name the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features, which are only checked.

        Returns
        -------
        ndarray of str, of shape (n_classes * n_components,)
            Such as "grassmannclassifier_cat_0" for the class "cat".
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        prefix = type(self).__name__.lower()
        names = [
            f"{prefix}_{label}_{j}"
            for label in self.classes_
            for j in range(self.n_components_)
        ]
        return np.asarray(names, dtype=object)

    def subspace_angles(self):
        """Compute the principal angles between the subspaces of all pairs of classes.

        Returns
        -------
        ndarray of shape (n_classes, n_classes, n_components)
            Degrees between 0 and 90, the smallest angle of a pair first; float64.
        """
        check_is_fitted(self)
        S = self._bases(np.float64)
        angles = np.zeros((len(S), len(S), S.shape[2]))
        for i in range(len(S) - 1):
            angles[i, i + 1 :] = angles[i + 1 :, i] = np.degrees(
                principal_angles(S[i], S[i + 1 :])
            )
        return angles

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_input(self, X):
        check_is_fitted(self)
        return validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )

    def _logits(self, X):
        X = self._check_input(X)
        return self.gamma * block_lengths(
            X, self._bases(X.dtype), self.intercept_scaling_
        )
