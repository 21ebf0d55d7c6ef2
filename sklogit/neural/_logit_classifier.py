"""Any module, head, loss and batch policy as a scikit-learn classifier."""

import torch
from skorch import NeuralNetClassifier
from skorch.utils import to_device, to_tensor
from torch import nn

from ..losses import AnyLoss
from ._batch_policy import BatchPolicyMixin
from ._composition import HeadOfLoss, batch_loss, check_composition, owns_head
from ._feature_transform import FeatureTransformMixin
from ._manifold_optimizer import ManifoldOptimizerMixin
from ._net import (
    ClassNetMixin,
    is_dict,
    restore_net_on_failure,
    seeded,
    split_weight,
    starts_anew,
)
from ._net_data import NetDataMixin
from ._part_parameters import PartParametersMixin, refuse_names_of_skorch
from ._parts import (
    HEADS,
    LOSSES,
    LogitModule,
    check_is_module,
    check_is_part,
    check_logits,
    parameters_of_head,
    part_of_name,
    zeros_of,
)
from ._prediction import LogitPredictionMixin
from ._row_dataset import RowDataset

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


class LogitClassifier(
    PartParametersMixin,
    LogitPredictionMixin,
    FeatureTransformMixin,
    BatchPolicyMixin,
    ManifoldOptimizerMixin,
    NetDataMixin,
    ClassNetMixin,
    NeuralNetClassifier,
):
    r"""Classify by any module, head and loss, trained by minibatches.

    .. math:: \min_{\theta, W} \;\frac{1}{\sum_i s_i} \sum_i s_i \,
        \mathrm{loss}\big(\mathrm{head}_W(\mathrm{module}_\theta(X_i)),\, y_i\big)

    The four parts are chosen apart: a *module* makes features, a *head* makes logits
    of them, a *loss* judges the logits, a *batch policy* says which rows a step gets.
    skorch trains them, so its callbacks, history, devices and checkpoints work as in
    skorch.

    Parameters
    ----------
    module : class, callable, instance or None, default=None
        Makes features of shape (n, ..., in_features); None takes the rows of X as they
        are, flattened, which makes a linear model. An instance is trained in place,
        from the weights it has.
    head : str, class, callable, instance or None, default="linear"
        "linear" (:class:`~sklogit.heads.LinearHead`), "cosine", "grassmann", "vq",
        "logit_bias", or a module from features to a logit for each class. Its sizes
        ``in_features`` and ``num_classes`` are filled in. With None the module returns
        logits, or the loss has a head of its own.
    loss : str, class or instance, default="cross_entropy"
        "cross_entropy" (:class:`torch.nn.CrossEntropyLoss`), "linear_cross_entropy"
        (the same, without ever forming the logits), "anyloss"
        (:class:`~sklogit.losses.AnyLoss`), "logit_bias" (with the head of that name),
        or a module called with logits and class indices. It is what skorch calls the
        criterion.
    batch_policy : str, class, callable or instance, default="shuffle"
        "shuffle", "sequential", "stratified" (each batch has its share of every
        class), a :class:`BatchPolicy`, or a class of loaders. It is what skorch calls
        ``iterator_train``.
    optimizer : class, default=torch.optim.Adam
        The optimiser. Bases of subspaces, which "grassmann" has, are not its: it is
        combined with geodesic steps (:class:`~sklogit.optim.MixedOptimizer`), whose
        learning rate is ``optimizer__grassmann_lr``.
    lr : float, default=0.01
        Its learning rate.
    max_epochs : int, default=20
        Passes over the data.
    batch_size : int, default=128
        Rows of a minibatch; -1 takes all.
    train_split : callable or None, default=None
        Validation split, such as ``skorch.dataset.ValidSplit(5, stratified=True)``.
    dtype : {"float32", "float64"}, default="float32"
        Of the parameters. Inputs of real numbers are converted to it, integers to
        int64, batch by batch.
    classes : array-like of shape (n_classes,), default=None
        The labels, in the order of the logits. By default those of y, sorted.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation and minibatches, of ``fit`` and of a stream of calls of
        ``partial_fit``; each call leaves the seed of the next, which goes with pickles.
        None uses torch's global generator.
    **kwargs
        Parameters of the parts, ``module__*``, ``head__*``, ``loss__*`` and
        ``batch_policy__*``, and all others of
        :class:`skorch.classifier.NeuralNetClassifier`: ``callbacks``, ``device``,
        ``optimizer__*``, ``iterator_train__*``, ``warm_start`` and so on.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    class_counts_ : ndarray of shape (n_classes,) or None
        Rows of each class, or their weights, in the data of the first fit; heads that
        have a parameter ``class_counts`` get it. None if the labels were not at hand.
    module_ : torch.nn.Module
        The whole model, from inputs to logits; ``module_.module`` makes the features.
    head_ : torch.nn.Module
        The head, ``module_.head``.
    loss_ : torch.nn.Module
        The loss.
    batch_policy_ : BatchPolicy
        The policy.
    history_ : skorch.history.History
        Losses and scores of every epoch.

    See Also
    --------
    BatchPolicy : To write a policy.
    CutCrossEntropyClassifier : Linear, for many classes.
    sklogit.heads.LinearHead : The default head.
    sklogit.losses.AnyLoss : A loss for a metric.

    Notes
    -----
    X is an array of any number of dimensions, a frame, a sparse matrix (made dense
    batch by batch), a tensor, a dict of such, of which the module gets each entry as a
    keyword, or a torch ``Dataset`` of pairs with class indices. Targets of sequences,
    of shape (n, length), go with features of shape (n, length, in_features).

    Weights go to ``fit`` as ``sample_weight``, or stand as the entry "sample_weight" of
    a dict X. The loss of a batch is then a weighted mean.

    How a head and a loss meet: a loss with an attribute ``needs_head`` that is true is
    called as ``loss(features, y, head=head, sample_weight=...)``; a head with
    ``nll(features, y)`` gives the plain cross-entropy itself; everything else is
    ``loss(head(features), y)``. "anyloss" gets of two classes the difference of the
    logits, so that its metric is that of the second class.

    ``forward`` and ``forward_iter`` of skorch give features, as logits of many rows may
    not fit; the logits are ``decision_function``. ``transform`` gives the features as
    an array, for other models.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from torch import nn
    >>> from sklogit.neural import LogitClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
    >>> net = LogitClassifier(module, lr=0.01, max_epochs=5, random_state=0)
    >>> search = GridSearchCV(net, {"head": ["linear", "cosine"]}, cv=3).fit(X, y)
    >>> bool((search.cv_results_["mean_test_score"] > 0.85).all())
    True
    """

    # skorch refuses parameters with other prefixes; those of module, loss and optimizer
    # it finds when it initialises them.
    prefixes_ = [*NeuralNetClassifier.prefixes_, "head", "batch_policy"]

    def __init__(
        self,
        module=None,
        *,
        head="linear",
        loss="cross_entropy",
        batch_policy="shuffle",
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=20,
        batch_size=128,
        train_split=None,
        dtype="float32",
        classes=None,
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        refuse_names_of_skorch(kwargs)
        kwargs.setdefault("dataset", RowDataset)
        super().__init__(
            module,
            criterion=loss,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=batch_policy,
            train_split=train_split,
            classes=classes,
            verbose=verbose,
            **kwargs,
        )
        self.head = head
        self.dtype = dtype
        self.random_state = random_state

    # -- training ----------------------------------------------------------------------

    @restore_net_on_failure
    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Initialise the net and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels; None if X is a Dataset that holds class indices.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        LogitClassifier
            The fitted net.

        Raises
        ------
        ValueError
            If X, y or a weight has values that are not allowed, there is only one
            class, or parts do not fit together.
        """
        fresh = starts_anew(self)
        X, y = self._check_training_data(X, y, sample_weight, fresh=fresh)
        with seeded(self.random_state):
            self._look_once(X, y, fresh=fresh)
            super().fit(X, y, _checked=True, **fit_params)
            self._leave_seed()
        return self

    @restore_net_on_failure
    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Train further, without initialising a net that is.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels.
        classes : array-like of shape (n_classes,) or None
            All labels, for the first call; default those in y.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        LogitClassifier
            The trained net.

        Raises
        ------
        ValueError
            As ``fit``, and if y has a label, or `classes` are others, than those of the
            first call.
        """
        # fit of skorch comes here with data that are arrays by then, without names.
        if fit_params.pop("_checked", False):
            return super().partial_fit(X, y, classes=classes, **fit_params)
        fresh = not self.initialized_
        X, y = self._check_training_data(
            X, y, sample_weight, fresh=fresh, classes=classes
        )
        with seeded(vars(self).get("next_seed_", self.random_state)):
            self._look_once(X, y, fresh=fresh)
            super().partial_fit(X, y, classes=classes, **fit_params)
            self._leave_seed()
        return self

    def initialize(self):
        """Make all parts.

        Returns
        -------
        LogitClassifier
            The net.
        """
        if self.dtype not in _DTYPES:
            raise ValueError(
                f"dtype must be one of {list(_DTYPES)}, got {self.dtype!r}."
            )
        self.torch_dtype_ = _DTYPES[self.dtype]
        self.batch_policy_ = self._make_batch_policy()
        return super().initialize()

    def initialize_module(self):
        """Make the module and the head, which gets the sizes of the data."""
        kwargs = self.get_params_for("module")
        if self.module is None and kwargs:
            raise ValueError(f"module__{next(iter(kwargs))} needs a module, got None.")
        module = nn.Flatten() if self.module is None else self.module
        check_is_part("module", module)
        module = self.initialized_instance(module, kwargs)
        check_is_module("module", module)
        model = LogitModule(module, nn.Identity()).to(self.torch_dtype_)
        self.module_ = to_device(model, self.device)
        self.features_ = self._features_of_example()
        model.head = to_device(self._make_head(self.features_), self.device)
        return self

    def initialize_criterion(self):
        """Make the loss."""
        loss = part_of_name("loss", self.loss, LOSSES)
        self.loss_ = self.initialized_instance(loss, self.get_params_for("loss"))
        check_is_module("loss", self.loss_)
        self.loss_.to(device=self.device, dtype=self.torch_dtype_)
        if isinstance(self.loss_, AnyLoss):
            self.loss_.reset_running_counts()  # of other data, if it was an instance
        if self.head is None:
            own = owns_head(self.loss_)
            self.module_.head = HeadOfLoss(self.loss_) if own else nn.Identity()
        check_composition(self.loss_, self.head_)
        features = vars(self).pop("features_", None)
        if features is not None and self._n_outputs():
            self._check_logits(features)
        return self

    def torch_compile(self, module, name):
        """Compile a part in place, if ``compile=True``.

        Parameters
        ----------
        module : torch.nn.Module
            The model, or the loss.
        name : str
            Which of them.

        Returns
        -------
        torch.nn.Module
            The same module. Features and logits are compiled apart: training may need
            the features only.
        """
        if self.compile:
            parts = (module.module, module.head) if name == "module" else (module,)
            for part in parts:
                part.compile(**self.get_params_for("compile"))
        return module

    def infer(self, x, **fit_params):
        """Compute the features of a batch.

        Parameters
        ----------
        x : Tensor, dict or list
            Data of a batch.
        **fit_params : dict
            Further keywords of the module.

        Returns
        -------
        Tensor of shape (n, ..., in_features)
            What the module returns.
        """
        x = self._as_module_takes_it(to_tensor(split_weight(x)[0], device=self.device))
        if is_dict(x):
            return self.module_.features(**self._merge_x_and_fit_params(x, fit_params))
        return self.module_.features(x, **fit_params)

    def infer_logits(self, x, **fit_params):
        """Compute the logits of a batch.

        Parameters
        ----------
        x : Tensor, dict or list
            Data of a batch.
        **fit_params : dict
            Further keywords of the module.

        Returns
        -------
        Tensor of shape (n, ..., n_classes)
            Logits, with their graph.
        """
        return self.head_(self.infer(x, **fit_params))

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the loss of a batch.

        Parameters
        ----------
        y_pred : Tensor of shape (n, ..., in_features)
            Features.
        y_true : Tensor of shape (n, ...)
            Class indices.
        X : Tensor or dict
            Data of the batch, with the weights.
        training : bool, default=False
            Whether it is for training.

        Returns
        -------
        Tensor of shape ()
            The loss.
        """
        weight = split_weight(X)[1]
        if weight is not None:
            weight = to_tensor(weight, device=self.device).to(self.torch_dtype_)
        target = to_tensor(y_true, device=self.device)
        return batch_loss(self.loss_, self.head_, y_pred, target, weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []  # they have that of the parameters
        return tags

    def _leave_seed(self):
        """Draw the seed of the next call, within the block that has that of this."""
        drawn = self.random_state is not None
        self.next_seed_ = int(torch.randint(2**31 - 1, ())) if drawn else None

    # -- making parts ------------------------------------------------------------------

    def _look_once(self, X, y, *, fresh):
        """Look at the data of a net that has never seen any."""
        if fresh:
            self._look_at(X, y)
        elif not hasattr(self, "input_shapes_"):  # initialised by hand
            self._look_at(X, y)
            self._check_logits(self._features_of_example())

    def _features_of_example(self):
        """Features of a few rows, or of zeros; None if no data were ever seen."""
        example = vars(self).pop("example_", None)
        if example is None and not hasattr(self, "input_shapes_"):
            return None
        self.module_.eval()
        try:
            with torch.no_grad():
                if example is None:
                    example = zeros_of(self.input_shapes_)
                features = self.infer(example)
        except Exception as error:
            raise ValueError(
                "module cannot be run on rows of shape and dtype "
                f"{self.input_shapes_}: {error}"
            ) from error
        if not isinstance(features, torch.Tensor) or features.ndim < 2:
            found = getattr(features, "shape", type(features).__name__)
            raise ValueError(
                f"module must return features of shape (n, in_features), got {found}."
            )
        return features

    def _check_logits(self, features):
        with torch.no_grad():
            logits = self.head_.eval()(features)
        check_logits(logits, self._n_outputs(), self.head)

    def _make_head(self, features):
        kwargs = self.get_params_for("head")
        if self.head is None:
            if kwargs:
                raise ValueError(f"head__{next(iter(kwargs))} needs a head, got None.")
            return nn.Identity()
        head = part_of_name("head", self.head, HEADS)
        in_features = None if features is None else features.shape[-1]
        counts = getattr(self, "class_counts_", None)
        n_outputs = self._n_outputs()
        kwargs = parameters_of_head(head, kwargs, in_features, n_outputs, counts)
        head = self.initialized_instance(head, kwargs)
        check_is_module("head", head)
        return head.to(self.torch_dtype_)

    def _n_outputs(self):
        labels = self.classes
        if labels is None:
            labels = getattr(self, "classes_inferred_", None)
        return None if labels is None else len(labels)
