"""A student of several teachers whose classes differ."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
)
from skorch.utils import is_pandas_ndframe
from torch.optim import SGD

from .._state import restore_on_failure
from ..losses._top_logits import TRANSFORMS
from ..neural._net import seeded
from ._backbone import make_backbone
from ._fusion_loss import FusionObjective
from ._fusion_net import FusionNet, WholeGroups, fusion_data
from ._fusion_teachers import (
    fitted_sources,
    given_logits,
    logits_of_sources,
    named_sources,
    warn_of_known_classes,
    weights_of,
)
from ._student_data import StudentDataMixin
from ._student_prediction import StudentPredictionMixin
from ._student_training import interruptible
from ._teachers import METHODS, is_classifier_like


class FusionDistillationClassifier(
    StudentPredictionMixin, StudentDataMixin, ClassifierMixin, _BaseComposition
):
    r"""Learn from labels and from teachers with other classes or vocabularies.

    A net minimises

    .. math:: (1 - \lambda)\, L_{\mathrm{CE}} + \lambda \sum_m w_m
        \big( u\, L_{\mathrm{ULD}}^{(m)} + g\, L_{\mathrm{GLD}}^{(m)} \big)

    where :func:`~sklogit.losses.uld_loss` compares the sorted probabilities of student
    and teacher m row by row, and :func:`~sklogit.losses.graph_logit_loss` how their
    greatest logits fire together over the rows of a sequence. No class of a teacher is
    matched to one of the student, so teachers may have any number of any classes.

    Parameters
    ----------
    teachers : list of (str, teacher), default=None
        Names and teachers: classifiers, of which those that are not fitted are fitted
        to the data as clones; torch modules or callables from X to logits. None is a
        :class:`~sklearn.neural_network.MLPClassifier`, which `fit` fits.
    teacher_weights : array-like of shape (n_teachers,), default=None
        Weights :math:`w_m`, scaled to sum to one; None is uniform.
    lam : float, default=0.5
        Weight of the teachers, :math:`\lambda`, from 0 to 1. With 0 no teacher is
        asked, and training is that of :class:`~sklogit.neural.LogitClassifier`.
    uld_weight : float, default=1.0
        Weight u of the sorted probabilities.
    gld_weight : float, default=1.0
        Weight g of the graphs.
    k : int, default=None
        Nodes of a graph; None is 10, or fewer if a model has fewer outputs.
    logit_transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits before both losses.
    temperature : float, default=1.0
        Logits are divided by it before both losses.
    nodes : {"rank", "vocab"}, default="rank"
        Whether a node is the i-th greatest logit of each row, or a class.
    teacher_prefit : bool or "auto", default="auto"
        Whether classifiers are fitted. "auto" looks, and fits clones of those that are
        not. As clones, such as those of a grid search, are not fitted, put fitted ones
        into a :class:`~sklearn.frozen.FrozenEstimator`; True makes sure that none is
        fitted to labels that are not its own.
    teacher_method : str, default="auto"
        Method of classifiers: "decision_function", "predict_log_proba" or
        "predict_proba"; "auto" is the first of them that there is.
    hidden_layer_sizes : sequence of int, default=(64,)
        Its hidden layers, with ReLU; () is a linear student.
    backbone : class, callable, torch.nn.Module or None, default=None
        Makes features of shape (n, ..., in_features), when it is called without
        arguments for a class or function; of an instance a copy is trained. It gets
        integers as int64, else floats. None is a multilayer perceptron.
    max_epochs : int, default=100
        Passes over the data of `fit`.
    batch_size : int, default=64
        Rows of a minibatch; -1 takes all. With groups it is the number from which on
        a batch is full.
    lr : float, default=0.05
        Learning rate of stochastic gradient descent.
    momentum : float, default=0.9
        Its momentum.
    weight_decay : float, default=5e-4
        Its penalty.
    dtype : {"float32", "float64"}, default="float32"
        Of the student and of all logits.
    classes : array-like of shape (n_classes,), default=None
        All labels; None takes those of y.
    callbacks : list of skorch callbacks, default=None
        Called by the training loop.
    device : str, default="cpu"
        Where to train.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation and minibatches, and of the default teacher.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the student.
    named_teachers_ : Bunch
        Fitted teachers by name; empty if logits were given or `lam` is 0.
    teachers_ : list
        The same without names.
    teacher_names_ : list of str
        Names of the teachers, or of the logits that were given.
    teacher_weights_ : ndarray of shape (n_teachers,)
        Their weights, which sum to one.
    net_ : LogitClassifier
        The trained net; ``net_.module_`` is the torch module from inputs to logits.
    history_ : dict
        Means over each epoch: the objective, "loss", and the cross-entropy, "sft", of
        shape (n_epochs,); of each teacher "uld" and "gld", of shape (n_epochs,
        n_teachers), NaN where a term does not count.
    n_iter_ : int
        Epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    GromovWassersteinLogitDistance : Finds models that are alike.
    sklogit.losses.graph_logit_loss : The loss of the graphs.
    sklogit.losses.uld_loss : The loss of the sorted probabilities.

    Notes
    -----
    Where a teacher has the classes of y, to use which is which is better: that is what
    distillation by :func:`~sklogit.losses.kd_loss` and the dual head do. What fusion
    gains over labels alone was measured to be small, and sometimes negative: see the
    user guide. Compare with ``lam=0``, and try 0.2.

    X may be an array of any number of dimensions. Labels of shape (n_samples,
    n_positions) are those of sequences, such as next tokens, with -100 where a position
    does not count; the backbone then makes features for each position, and a graph is
    that of a sequence. Otherwise it is that of the rows of a minibatch, or of a group.

    From the paper are the sum of the cross-entropy and the two losses of several
    teachers. Of the weights only :math:`1 - \lambda` is visible in it.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.
    .. [2] "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss
       for LLMs", arXiv:2402.12030.

    Examples
    --------
    A teacher of three classes and one of ten kinds of pictures, for a student of ten
    digits:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklogit.distillation import FusionDistillationClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> groups_of_digits = LogisticRegression().fit(X, y % 3)
    >>> letters = LogisticRegression().fit(X, [f"class {9 - digit}" for digit in y])
    >>> teachers = [("groups", groups_of_digits), ("letters", letters)]
    >>> student = FusionDistillationClassifier(teachers, max_epochs=10, random_state=0)
    >>> student.fit(X, y).score(X, y) > 0.9
    True
    >>> student.history_["uld"].shape
    (10, 2)
    """

    _accept_sparse = "csr"
    _not_negative = [Interval(Real, 0, None, closed="left")]
    _parameter_constraints: dict = {
        "teachers": [list, None],
        "teacher_weights": ["array-like", None],
        "lam": [Interval(Real, 0, 1, closed="both")],
        "uld_weight": _not_negative,
        "gld_weight": _not_negative,
        "k": [Interval(Integral, 2, None, closed="left"), None],
        "logit_transform": [StrOptions(set(TRANSFORMS))],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "nodes": [StrOptions({"rank", "vocab"})],
        "teacher_prefit": ["boolean", StrOptions({"auto"})],
        "teacher_method": [StrOptions({"auto", *METHODS})],
        "hidden_layer_sizes": ["array-like"],
        "backbone": [callable, None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            Options(Integral, {-1}),
        ],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": _not_negative,
        "dtype": [StrOptions({"float32", "float64"})],
        "classes": ["array-like", None],
        "callbacks": [list, None],
        "device": [str],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        teachers=None,
        *,
        teacher_weights=None,
        lam=0.5,
        uld_weight=1.0,
        gld_weight=1.0,
        k=None,
        logit_transform="softmax",
        temperature=1.0,
        nodes="rank",
        teacher_prefit="auto",
        teacher_method="auto",
        hidden_layer_sizes=(64,),
        backbone=None,
        max_epochs=100,
        batch_size=64,
        lr=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        dtype="float32",
        classes=None,
        callbacks=None,
        device="cpu",
        verbose=0,
        random_state=None,
    ):
        self.teachers = teachers
        self.teacher_weights = teacher_weights
        self.lam = lam
        self.uld_weight = uld_weight
        self.gld_weight = gld_weight
        self.k = k
        self.logit_transform = logit_transform
        self.temperature = temperature
        self.nodes = nodes
        self.teacher_prefit = teacher_prefit
        self.teacher_method = teacher_method
        self.hidden_layer_sizes = hidden_layer_sizes
        self.backbone = backbone
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dtype = dtype
        self.classes = classes
        self.callbacks = callbacks
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    # -- training ----------------------------------------------------------------------

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, teacher_logits=None, groups=None, sample_weight=None):
        """Ask the teachers, and train a new student.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
                (n_samples, ...)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_positions)
            Labels.
        teacher_logits : array, pair of arrays, or dict or list of them, default=None
            Logits of shape (n_samples, n_outputs) or (n_samples, n_positions,
            n_outputs), or pairs that :func:`~sklogit.losses.top_logits` makes of them,
            of one or several teachers, which are then not asked.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are one sequence; minibatches are made of whole groups.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in all terms. Teachers that are fitted get them too.

        Returns
        -------
        FusionDistillationClassifier
            The fitted student.

        Raises
        ------
        ValueError
            If there is no teacher or only one class, teachers give logits that are not
            finite or have another shape, `k` is too large, or another value is not
            allowed. All of that is found before training starts. Also if training
            diverges.
        TypeError
            If a teacher is none, or the backbone no module.
        NotFittedError
            If a teacher should be fitted and is not.
        KeyboardInterrupt
            On Ctrl-C; as after any failure, what an earlier call fitted is kept.
        """
        self._random_state = check_random_state(self.random_state)
        seed = int(self._random_state.randint(2**31 - 1))
        dataset = self._prepared(
            X, y, teacher_logits, groups, sample_weight, None, seed, first=True
        )
        self.net_ = self._make_net(dataset.X["X"].shape, seed)
        with interruptible():
            self.net_.fit(dataset, None)
        self.n_iter_ = len(self.net_.history)
        return self

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X,
        y,
        classes=None,
        teacher_logits=None,
        groups=None,
        sample_weight=None,
    ):
        """Pass over some data once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
                (n_samples, ...)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_positions)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels, in the first call; by default those of y.
        teacher_logits : array, pair of arrays, or dict or list of them, default=None
            As of ``fit``; if given in the first call, then in every one.
        groups : array-like of shape (n_samples,), default=None
            As of ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            As of ``fit``.

        Returns
        -------
        FusionDistillationClassifier
            The student.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As of ``fit``, and if y has labels, or there are other teachers, than in the
            first call.
        """
        first = not hasattr(self, "net_")
        known = self._known_classes(classes, first)
        if first:
            self._random_state = check_random_state(self.random_state)
        seed = int(self._random_state.randint(2**31 - 1))
        dataset = self._prepared(
            X, y, teacher_logits, groups, sample_weight, known, seed, first=first
        )
        if first:
            self.net_ = self._make_net(dataset.X["X"].shape, seed)
        self.net_.objective = self._objective()
        with seeded(seed), interruptible():
            self.net_.partial_fit(dataset, None, epochs=1)
        self.n_iter_ = len(self.net_.history)
        return self

    @property
    def history_(self):
        """Means of the terms over each epoch."""
        if "net_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no history_ before fit.")
        history = self.net_.history
        n_teachers = range(len(self.teacher_names_))

        def curve(name):
            return np.array([epoch.get(name, np.nan) for epoch in history])

        def curves(kind):
            return np.column_stack([curve(f"{kind}_{m}") for m in n_teachers])

        terms = {"loss": curve("train_loss"), "sft": curve("sft")}
        return terms | {"uld": curves("uld"), "gld": curves("gld")}

    # -- parameters --------------------------------------------------------------------

    def get_params(self, deep=True):
        """Get the parameters, and those of the teachers by their names.

        Parameters
        ----------
        deep : bool, default=True
            Whether to get those of the teachers.

        Returns
        -------
        dict
            The parameters.
        """
        return self._get_params("teachers", deep=deep)

    def set_params(self, **params):
        """Set parameters, or teachers by their names.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        FusionDistillationClassifier
            The classifier.
        """
        self._set_params("teachers", **params)
        return self

    def get_metadata_routing(self):
        """Return what fit takes, and what of that goes to the teachers.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The routing.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, source in self.teachers or ():
            if is_classifier_like(source) and hasattr(source, "get_metadata_routing"):
                mapping = MethodMapping().add(caller="fit", callee="fit")
                mapping = mapping.add(caller="partial_fit", callee="fit")
                router.add(**{name: source}, method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.non_deterministic = self.random_state is None
        return tags

    # -- data --------------------------------------------------------------------------

    def _prepared(
        self, X, y, teacher_logits, groups, sample_weight, classes, seed, *, first
    ):
        """Check all, ask the teachers, and return the data of the net."""
        classes = self.classes if classes is None else classes
        checked, rows, labels = self._validated(
            X, y, sample_weight, classes, reset=first
        )
        # Teachers fitted on frames want the names of columns, and all their precision.
        X = X if is_pandas_ndframe(X) else checked
        groups = self._checked_groups(groups, labels)
        if first:
            self.classes_ = labels.classes
        teachers = self._logits_of_teachers(
            X, labels, teacher_logits, sample_weight, seed, first
        )
        return fusion_data(rows, labels.indices, teachers, groups, labels.weight)

    def _data(self, X):
        """Check data to predict, as the net takes them."""
        return {"X": self._rows_to_predict(X)}

    def _checked_groups(self, groups, labels):
        if groups is None:
            return None
        if labels.is_sequence:
            raise ValueError(
                "groups must be None for labels of shape (n_samples, n_positions): "
                "each row is a sequence."
            )
        groups = column_or_1d(groups)
        check_consistent_length(groups, labels.y)
        return np.unique(groups, return_inverse=True)[1]

    # -- the teachers ------------------------------------------------------------------

    def _logits_of_teachers(
        self, X, labels, teacher_logits, sample_weight, seed, first
    ):
        """Logits of all rows, checked; none if they would have no weight."""
        if teacher_logits is not None:
            named, logits = (
                Bunch(),
                given_logits(teacher_logits, labels, self.logit_transform, self.dtype),
            )
        elif not first and self.lam and not self.named_teachers_:
            raise ValueError(
                "teacher_logits must be given, as they were in the first call, got "
                "None."
            )
        else:
            sources = named_sources(self.teachers, seed, self.get_params(deep=False))
            named, logits = self._asked(sources, X, labels, sample_weight, first)
        if not first and list(logits) != self.teacher_names_:
            raise ValueError(
                f"teacher_logits must be those of {self.teacher_names_}, as in the "
                f"first call, got {list(logits)}."
            )
        if first:
            self.named_teachers_, self.teachers_ = named, list(named.values())
            self.teacher_names_ = list(logits)
        weights = weights_of(self.teacher_weights, self.teacher_names_)
        self.teacher_weights_ = np.array(weights)
        teachers = [values for values in logits.values() if values is not None]
        self._objective().check_nodes(len(self.classes_), teachers, self.teacher_names_)
        return teachers

    def _asked(self, sources, X, labels, sample_weight, first):
        """Fitted teachers, and their logits, by name."""
        if not self.lam:
            return Bunch(), dict.fromkeys(sources)
        if first:
            named = fitted_sources(self, sources, X, labels, sample_weight)
            warn_of_known_classes(sources, named, labels.classes)
        else:
            named = self.named_teachers_
        return named, logits_of_sources(
            named, X, labels, self.teacher_method, self.dtype
        )

    # -- the net -----------------------------------------------------------------------

    def _objective(self):
        return FusionObjective(
            tuple(self.teacher_weights_.tolist()),
            lam=self.lam,
            uld_weight=self.uld_weight,
            gld_weight=self.gld_weight,
            k=self.k,
            transform=self.logit_transform,
            temperature=self.temperature,
            nodes=self.nodes,
        )

    def _make_net(self, shape, seed):
        """Net that is not trained, for data of a shape."""
        return FusionNet(
            make_backbone(self.backbone, self.hidden_layer_sizes, shape),
            objective=self._objective(),
            batch_policy=WholeGroups,
            optimizer=SGD,
            optimizer__momentum=self.momentum,
            optimizer__weight_decay=self.weight_decay,
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            dtype=self.dtype,
            classes=np.arange(len(self.classes_)),
            callbacks=self.callbacks,
            device=self.device,
            verbose=self.verbose,
            random_state=seed,
        )
