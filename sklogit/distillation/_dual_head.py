"""Distillation with an auxiliary head, as a scikit-learn classifier."""

import warnings
from functools import partial
from math import ceil
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import has_fit_parameter

from .._state import restore_on_failure
from ..heads import DualHead
from ..heads._dual import AUX_HEADS, OUTPUTS
from ..losses import binary_kl_loss, binary_kl_norm_loss, kd_loss
from ..neural import RowDataset
from ..neural._net import seeded
from ..neural._parts import LogitModule
from ..optim._aligned_gradients import SCOPES
from ._backbone import make_backbone
from ._distillation_net import RECORDED, DistillationNet, Recipe
from ._student_data import StudentDataMixin
from ._student_prediction import StudentPredictionMixin
from ._student_training import interruptible
from ._teachers import METHODS, Teacher, is_classifier_like, is_fitted

LOGIT_LOSSES = {
    "binary_kl": binary_kl_loss,
    "binary_kl_norm": binary_kl_norm_loss,
    "kd": kd_loss,
}
_DTYPES = {"float32": np.float32, "float64": np.float64}
_NOT_ANY = object()  # as a teacher may be None
_FRACTION = Interval(Real, 0, 1, closed="right")


class DualHeadDistillationClassifier(
    StudentPredictionMixin, StudentDataMixin, ClassifierMixin, BaseEstimator
):
    r"""Train a small net on labels and on the logits of a teacher, by a head for each.

    With features :math:`h = \phi(x)`, logits :math:`z = W h + b` of the main head,
    those of an auxiliary head :math:`a = g(h)`, and t of the teacher [1]_

    .. math:: \min \; \gamma \, \mathrm{CE}(z, y) + \alpha \, T^2 \, \frac1n \sum_{i,c}
        \mathrm{KL}\big(\mathrm{Bern}(\tfrac12) \,\|\,
        \mathrm{Bern}(\sigma(\tfrac{a_{ic} - t_{ic}}{T}))\big)

    Both losses shape the features; within the heads, where their gradients would be in
    conflict, each has its own. Only the main head predicts: the student costs what it
    would cost without a teacher.

    Parameters
    ----------
    teacher : estimator, torch.nn.Module, callable, array-like or None, default=None
        A classifier, a module from inputs to logits in evaluation mode, a function of X
        that returns logits, or logits of all rows. None fits an
        :class:`~sklearn.neural_network.MLPClassifier` with hidden layers four times as
        wide as those of the student.
    teacher_prefit : bool or "auto", default="auto"
        Whether a classifier is fitted. "auto" looks, and fits a clone of one that is
        not. As clones, such as those of a grid search, are not fitted, put a fitted
        one into a :class:`~sklearn.frozen.FrozenEstimator`.
    teacher_method : str, default="auto"
        "decision_function", "predict_log_proba" or "predict_proba"; "auto" is the first
        of them that a classifier has.
    teacher_classes : array-like, default=None
        Labels of the columns of the teacher's logits. By default its ``classes_``, or
        else the labels of y, sorted.
    center_teacher : bool or "auto", default="auto"
        Whether to subtract the mean of each row of teacher logits. "auto" does so for
        probabilities, whose logarithms have lost the shift of the logits.
    backbone : class, callable, torch.nn.Module or None, default=None
        Makes features of shape (n, ..., in_features), when it is called without
        arguments for a class or function; of an instance a copy is trained. It gets
        integers as int64, else floats. None is a multilayer perceptron.
    hidden_layer_sizes : sequence of int, default=(64,)
        Its hidden layers, with ReLU; () is a linear student.
    aux_head : {"linear", "mlp"} or None, default="linear"
        The auxiliary head, see :class:`~sklogit.heads.DualHead`. None puts both losses
        on the main head: with ``logit_loss="kd"`` that is ordinary distillation.
    aux_hidden : int, default=200
        Hidden units of "mlp".
    aux_dropout : float, default=0.1
        Its dropout.
    logit_loss : {"binary_kl_norm", "binary_kl", "kd"} or callable
        Loss of the logits of the student and of the teacher, see
        :mod:`sklogit.losses`. A function is called with both, of shape (n, n_classes),
        and with weights of the rows or None as ``sample_weight``, and returns a number.
        The default is "binary_kl_norm".
    temperature : float, default=2.0
        The temperature T of `logit_loss`, if that is a name.
    alpha : float, default=0.1
        Weight of `logit_loss`, which sums over the classes. The paper has 1 for 100
        classes and 0.1 for 1,000, with batch normalisation; without it 1 can be too
        large a step for 50. With 0 there is no teacher, and training is that of
        :class:`~sklogit.neural.LogitClassifier`.
    gamma : float, default=1.0
        Weight of the cross-entropy.
    gradient_alignment : bool, default=False
        Whether to take out of the gradient of `logit_loss` what works against the
        cross-entropy, see :func:`~sklogit.optim.aligned_gradients`.
    alignment_scope : {"shared", "all"}, default="shared"
        Where: at the parameters that both losses depend on, or at all, as in the
        official code.
    distill_until : int or None, default=None
        After so many epochs only the cross-entropy is left.
    predict_head : {"main", "aux", "average"}, default="main"
        Whose logits predict. "average" takes the mean of the probabilities of both,
        which is better where labels are few.
    monitor_conflicts : bool, default=True
        Whether to record how often the gradients are in conflict. It costs a second
        backward pass, as alignment does.
    optimizer : {"sgd", "adam"}, default="sgd"
        SGD with momentum, or AdamW.
    max_epochs : int, default=100
        Passes over the data of ``fit``.
    batch_size : int, default=64
        Rows of a minibatch; -1 takes all.
    lr : float, default=0.05
        Learning rate.
    momentum : float, default=0.9
        Momentum of SGD.
    weight_decay : float, default=5e-4
        Weight decay.
    lr_milestones : sequence of float, default=(0.625, 0.75, 0.875)
        Parts of `max_epochs` after which the rate is multiplied by `lr_gamma`;
        ``partial_fit`` does not.
    lr_gamma : float, default=0.1
        That factor.
    train_split : callable or None, default=None
        Validation split of skorch, such as ``ValidSplit(5, stratified=True)``.
    callbacks : list or None, default=None
        Callbacks of skorch.
    dtype : {"float32", "float64"}, default="float32"
        Of the parameters.
    device : str, default="cpu"
        Device of the student.
    random_state : int, RandomState instance or None, default=None
        Seed of the initialisation, the minibatches and the default teacher.
    verbose : int, default=0
        1 prints a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    teacher_ : object or None
        The teacher, fitted; None if logits were given to ``fit`` or alpha is 0.
    net_ : LogitClassifier
        The net of skorch, with its history.
    module_ : torch.nn.Module
        The student alone, from inputs to logits, in evaluation mode.
    history_ : dict of ndarray of shape (n_epochs,)
        For each epoch the means of both losses, "ce_loss" and "logit_loss", and the
        shares of batches with a conflict: "conflict_rate", at the parameters that both
        losses depend on, and "head_conflict_rate", within the main head if it had to
        take both. NaN where there was no teacher or nobody looked.
    n_iter_ : int
        Number of epochs.
    n_params_ : int
        Number of parameters that were trained.
    n_params_inference_ : int
        Number of parameters that predict.
    n_features_in_ : int
        Number of features, if X has two dimensions.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    DistillationHistoryDisplay : Picture of the losses and conflicts.
    sklogit.heads.DualHead : The heads.
    sklogit.losses.binary_kl_norm_loss : The loss of the logits.

    Notes
    -----
    The teacher is asked once, before training; its logits are kept in `dtype`.

    Sequences: X is, for instance, an array of tokens (n, n_positions), y has the shape
    (n, n_positions), with -100 where a position does not count, `backbone` returns
    features (n, n_positions, in_features), and the teacher logits (n, n_positions,
    n_classes).

    Begin with ordinary distillation, ``aux_head=None, logit_loss="kd", temperature=4``:
    in our measurements it is the best or level, and a second head rarely beats a single
    one with the same loss. The paper finds gains for deep nets and many labels; see
    ``history_["head_conflict_rate"]`` for whether there is a conflict to resolve. Where
    labels are few take a single head, or ``predict_head="average"``.

    A fit that fails, diverges or is interrupted leaves what an earlier one fitted.

    ``aux_head=None``, `predict_head`, `monitor_conflicts` and the scope "shared" are
    ours, the rest is the paper's.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.svm import SVC
    >>> from sklogit.distillation import DualHeadDistillationClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> teacher = SVC().fit(X / 16, y)
    >>> student = DualHeadDistillationClassifier(
    ...     FrozenEstimator(teacher), hidden_layer_sizes=(16,), max_epochs=10,
    ...     random_state=0,
    ... ).fit(X / 16, y)
    >>> student.score(X / 16, y) > 0.9
    True
    >>> student.n_params_, student.n_params_inference_
    (1380, 1210)
    """

    _parameter_constraints: dict = {
        "teacher": "no_validation",
        "teacher_prefit": ["boolean", StrOptions({"auto"})],
        "teacher_method": [StrOptions({"auto", *METHODS})],
        "teacher_classes": ["array-like", None],
        "center_teacher": ["boolean", StrOptions({"auto"})],
        "backbone": [callable, None],
        "hidden_layer_sizes": ["array-like"],
        "aux_head": [StrOptions(set(AUX_HEADS)), None],
        "aux_hidden": [Interval(Integral, 1, None, closed="left")],
        "aux_dropout": [Interval(Real, 0, 1, closed="left")],
        "logit_loss": [StrOptions(set(LOGIT_LOSSES)), callable],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "gradient_alignment": ["boolean"],
        "alignment_scope": [StrOptions(set(SCOPES))],
        "distill_until": [Interval(Integral, 0, None, closed="left"), None],
        "predict_head": [StrOptions(set(OUTPUTS))],
        "monitor_conflicts": ["boolean"],
        "optimizer": [StrOptions({"sgd", "adam"})],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            Options(Integral, {-1}),
        ],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_milestones": ["array-like"],
        "lr_gamma": [_FRACTION],
        "train_split": [HasMethods("__call__"), None],
        "callbacks": [list, None],
        "dtype": [StrOptions(set(_DTYPES))],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        teacher=None,
        *,
        teacher_prefit="auto",
        teacher_method="auto",
        teacher_classes=None,
        center_teacher="auto",
        backbone=None,
        hidden_layer_sizes=(64,),
        aux_head="linear",
        aux_hidden=200,
        aux_dropout=0.1,
        logit_loss="binary_kl_norm",
        temperature=2.0,
        alpha=0.1,
        gamma=1.0,
        gradient_alignment=False,
        alignment_scope="shared",
        distill_until=None,
        predict_head="main",
        monitor_conflicts=True,
        optimizer="sgd",
        max_epochs=100,
        batch_size=64,
        lr=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        lr_milestones=(0.625, 0.75, 0.875),
        lr_gamma=0.1,
        train_split=None,
        callbacks=None,
        dtype="float32",
        device="cpu",
        random_state=None,
        verbose=0,
    ):
        self.teacher = teacher
        self.teacher_prefit = teacher_prefit
        self.teacher_method = teacher_method
        self.teacher_classes = teacher_classes
        self.center_teacher = center_teacher
        self.backbone = backbone
        self.hidden_layer_sizes = hidden_layer_sizes
        self.aux_head = aux_head
        self.aux_hidden = aux_hidden
        self.aux_dropout = aux_dropout
        self.logit_loss = logit_loss
        self.temperature = temperature
        self.alpha = alpha
        self.gamma = gamma
        self.gradient_alignment = gradient_alignment
        self.alignment_scope = alignment_scope
        self.distill_until = distill_until
        self.predict_head = predict_head
        self.monitor_conflicts = monitor_conflicts
        self.optimizer = optimizer
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.lr_milestones = lr_milestones
        self.lr_gamma = lr_gamma
        self.train_split = train_split
        self.callbacks = callbacks
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # -- training ----------------------------------------------------------------------

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, teacher_logits=None):
        """Ask the teacher, and train the student.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_positions)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, in both losses; a teacher that is fitted here gets
            them, if it takes weights.
        teacher_logits : array-like of shape (n_samples, [n_positions,] n_classes), \
                default=None
            Logits to use instead of those of `teacher`, in the order of
            `teacher_classes`.

        Returns
        -------
        DualHeadDistillationClassifier
            The fitted student.

        Raises
        ------
        ValueError
            If there is only one class, the teacher lacks classes of y or gives logits
            of another shape or that are not finite, or a value is not allowed. All of
            that is found before training starts. Also if training diverges.
        TypeError
            If the teacher is none.
        NotFittedError
            If the teacher should be fitted and is not.
        KeyboardInterrupt
            On Ctrl-C; as after any failure, what an earlier call fitted is kept.
        """
        self._check_parameters()
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        _, data, labels = self._validated(X, y, sample_weight, None, reset=True)
        X = X if hasattr(X, "shape") else data  # frames and tensors as they are
        self.teacher_ = None  # one that an earlier call fitted is not for these data
        logits = self._logits_of_teacher(X, labels, sample_weight, teacher_logits, seed)
        self._random_state = random
        self.classes_ = labels.classes
        self.net_ = self._make_net(data.shape, seed)
        with interruptible():
            self.net_.fit(_dataset(data, labels, logits), labels.indices)
        return self._fitted()

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, classes=None, sample_weight=None, teacher_logits=None):
        """Train for one epoch, at the learning rate `lr`.

        A teacher that is not fitted is fitted to the data of the first call, and kept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_positions)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels, in the first call; by default those of y.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        teacher_logits : array-like of shape (n_samples, [n_positions,] n_classes), \
                default=None
            Logits to use instead of those of `teacher`.

        Returns
        -------
        DualHeadDistillationClassifier
            The student.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As of ``fit``, and if y has labels that the first call did not have.
        """
        self._check_parameters()
        first = not hasattr(self, "net_")
        known = self._known_classes(classes, first)
        if first:
            self._random_state = check_random_state(self.random_state)
        seed = int(self._random_state.randint(2**31 - 1))
        _, data, labels = self._validated(X, y, sample_weight, known, reset=first)
        X = X if hasattr(X, "shape") else data  # frames and tensors as they are
        logits = self._logits_of_teacher(X, labels, sample_weight, teacher_logits, seed)
        if first:
            self.classes_ = labels.classes
            self.net_ = self._make_net(data.shape, seed)
        self.net_.recipe = self._recipe(milestones=())
        with seeded(seed), interruptible():
            dataset = _dataset(data, labels, logits)
            self.net_.partial_fit(dataset, labels.indices, epochs=1)
        return self._fitted()

    # -- what was learnt ---------------------------------------------------------------

    @property
    def module_(self):
        """The student alone, from inputs to logits, in evaluation mode."""
        module = self._of_fit("module_")
        if self.net_.head_ is not self.net_.main_head and self._predicts_by_main():
            module = LogitModule(module.module, self.net_.main_head)
        return module.eval()

    @property
    def history_(self):
        """Losses and conflicts of every epoch."""
        history = self._of_fit("history_")
        return {name: np.array(history[:, name], dtype=float) for name in RECORDED}

    def get_metadata_routing(self):
        """Return what fit takes, and what of that goes to the teacher.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The routing.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        if hasattr(self.teacher, "get_metadata_routing"):
            mapping = MethodMapping().add(caller="fit", callee="fit")
            mapping = mapping.add(caller="partial_fit", callee="fit")
            router.add(teacher=self.teacher, method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags

    # -- checks ------------------------------------------------------------------------

    def _check_parameters(self):
        """Check what depends on several parameters, or on the items of one."""
        if self.aux_head is None and self.predict_head != "main":
            raise ValueError(
                f"predict_head must be 'main' with aux_head=None, got "
                f"{self.predict_head!r}."
            )
        for part in self.lr_milestones:
            if not _FRACTION.is_satisfied_by(part):
                raise ValueError(
                    "lr_milestones must be parts of max_epochs in (0, 1], got "
                    f"{self.lr_milestones!r}."
                )

    def _data(self, X):
        """Check data to predict, as the net takes them."""
        return RowDataset(self._rows_to_predict(X))

    def _of_fit(self, name):
        if "net_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        return getattr(self.net_, name)

    def _predicts_by_main(self):
        return getattr(self.net_.head_, "output", "main") == "main"

    # -- the teacher -------------------------------------------------------------------

    def _logits_of_teacher(self, X, labels, sample_weight, given, seed):
        """Logits of all rows, checked; None if they would have no weight."""
        if self.alpha == 0 and given is None:
            self.teacher_ = None
            return None
        name = "teacher" if given is None else "teacher_logits"
        source = given
        if given is None:
            source = self._fitted_teacher(X, labels, sample_weight, seed)
        teacher = Teacher(
            source,
            labels.classes,
            source_classes=self.teacher_classes,
            method=self.teacher_method,
            center=self.center_teacher,
            n_label_dims=labels.y.ndim,
            name=name,
        )
        self.teacher_ = None if given is not None else source
        logits = teacher.logits(X, _DTYPES[self.dtype])
        if logits.shape[:-1] != labels.y.shape:
            raise ValueError(
                f"{name} must give logits of shape {(*labels.y.shape, 'n_classes')}, "
                f"got {logits.shape}."
            )
        return logits

    def _fitted_teacher(self, X, labels, sample_weight, seed):
        teacher = self.teacher
        if teacher is None:
            if np.ndim(X) != 2 or labels.is_sequence:
                raise ValueError(
                    "teacher must be given for X of more than two dimensions or labels "
                    "of sequences, got None."
                )
            if self._has_fitted(teacher):
                return self.teacher_
            self._teacher_fitted_of = teacher
            sizes = [4 * size for size in self.hidden_layer_sizes] or [64]
            return _default_teacher(sizes, X, labels.y, sample_weight, seed)
        if not is_classifier_like(teacher):
            return teacher
        prefit = self.teacher_prefit
        if is_fitted(teacher) if prefit == "auto" else prefit:
            return teacher
        if self._has_fitted(teacher):
            return self.teacher_
        params = self._params_of_teacher(teacher, sample_weight)
        self._teacher_fitted_of = teacher
        return clone(teacher).fit(X, labels.y, **params)

    def _has_fitted(self, teacher):
        """Whether an earlier partial_fit has fitted the teacher, or a clone of it."""
        fitted = vars(self).get("teacher_")
        of = vars(self).get("_teacher_fitted_of", _NOT_ANY)
        return fitted is not None and of is teacher

    def _params_of_teacher(self, teacher, sample_weight):
        if _routing_enabled() and teacher is self.teacher:
            routed = process_routing(self, "fit", sample_weight=sample_weight)
            return routed.teacher.fit
        if sample_weight is None or not has_fit_parameter(teacher, "sample_weight"):
            return {}
        return {"sample_weight": sample_weight}

    # -- the net -----------------------------------------------------------------------

    def _make_net(self, shape, seed):
        """Make a net that is not trained, for data of a shape."""
        head = {"head": "linear"}
        if self.aux_head is not None:
            head = {
                "head": DualHead,
                "head__aux": self.aux_head,
                "head__aux_hidden": self.aux_hidden,
                "head__aux_dropout": self.aux_dropout,
                "head__output": self.predict_head,
            }
        return DistillationNet(
            make_backbone(self.backbone, self.hidden_layer_sizes, shape),
            recipe=self._recipe(
                tuple(ceil(part * self.max_epochs) for part in self.lr_milestones)
            ),
            classes=np.arange(len(self.classes_)),
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            train_split=self.train_split,
            callbacks=self.callbacks,
            dtype=self.dtype,
            device=self.device,
            verbose=self.verbose,
            random_state=seed,
            **head,
            **self._optimizer(),
        )

    def _optimizer(self):
        if self.optimizer == "adam":
            chosen = {"optimizer": torch.optim.AdamW}
        else:
            chosen = {
                "optimizer": torch.optim.SGD,
                "optimizer__momentum": self.momentum,
            }
        return chosen | {"optimizer__weight_decay": self.weight_decay}

    def _recipe(self, milestones):
        loss = self.logit_loss
        if isinstance(loss, str):
            loss = partial(LOGIT_LOSSES[loss], temperature=self.temperature)
        return Recipe(
            loss,
            gamma=self.gamma,
            alpha=self.alpha,
            align=self.gradient_alignment,
            scope=self.alignment_scope,
            monitor=self.monitor_conflicts,
            distill_until=self.distill_until,
            milestones=milestones,
            lr_gamma=self.lr_gamma,
        )

    def _fitted(self):
        self.n_iter_ = len(self.net_.history)
        self.n_params_ = _n_params(self.net_.module_)
        self.n_params_inference_ = _n_params(self.module_)
        return self


def _default_teacher(sizes, X, y, sample_weight, seed):
    """Fit the teacher of those who have none."""
    with warnings.catch_warnings():
        # Not a teacher of the user's, who could do nothing about its parameters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(sizes, random_state=seed).fit(X, y, sample_weight)


def _dataset(X, labels, logits):
    """Rows with what the losses of a batch need."""
    data = {"X": X}
    if logits is not None:
        data["teacher_logits"] = logits
    if labels.weight is not None:
        data["sample_weight"] = labels.weight
    return RowDataset(data, labels.indices)


def _n_params(module):
    return sum(p.numel() for p in module.parameters())
