"""Nets that train on the rows of each batch that are worth it."""

from numbers import Integral
from time import perf_counter

import torch
from sklearn.base import clone
from skorch.utils import to_tensor
from torch import nn

from ..batch_selection import FactoredLogits, UtilityDiversitySelector, head_factor
from ._batch_policy import BatchPolicy
from ._logit_classifier import LogitClassifier
from ._net import split_weight

# Targets that cross-entropy leaves out, unless it says otherwise.
_IGNORED = -100


class OnlineSelection(BatchPolicy):
    r"""Keep the rows of a batch that a selector finds most worth training on.

    The batch goes through the net once, without gradients and in evaluation mode. The
    selector keeps a share of its rows by their logits [1]_, and the training step,
    with its backward pass, is that of these rows alone.

    Parameters
    ----------
    selector : UtilityDiversitySelector, default=None
        Chooses the rows. None makes one of `selector_params`.
    autocast : torch.dtype or None, default=None
        Precision of the forward pass of the candidates, such as ``torch.bfloat16``.
    **selector_params
        Parameters of :class:`~sklogit.batch_selection.UtilityDiversitySelector`:
        ``budget``, ``alpha``, ``utility`` and so on. Those that are not given are its
        defaults, but for rows with one target each `utility` is "loss" and `normalize`
        "zscore": the nuclear norm of one position says no more than how sure the net
        is. Wrong labels have the greatest losses: where a good part of them is wrong,
        a choice at random is better.

    Attributes
    ----------
    selector_ : UtilityDiversitySelector
        The selector, with what it remembers; None before the first batch.
    last_step_ : dict
        "n_candidates", "n_selected" and, in seconds, "selection_time" of the last
        batch.

    See Also
    --------
    OnlineSelectionClassifier : A net with this policy.
    sklogit.batch_selection.UtilityDiversitySelector : The rule.

    Notes
    -----
    Of sequences, with a target at each position, only positions with targets count.

    Behind a linear head the logits of sequences are not formed where that is less work,
    see :class:`~sklogit.batch_selection.FactoredLogits`; what belongs to the head is
    computed once if it is not trained.

    A selector without a random state gets one from torch's generator, which a net with
    `random_state` seeds.

    With ``budget=1.0`` there is no forward pass of candidates, the selector is never
    asked, and training is that without the policy. Nor is there a forward pass for a
    choice at random, ``utility="random"`` with ``alpha=0``.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.neural import LogitClassifier, OnlineSelection
    >>> X, y = load_digits(return_X_y=True)
    >>> net = LogitClassifier(
    ...     batch_policy=OnlineSelection, batch_policy__budget=0.5, random_state=0
    ... ).fit(X / 16, y)
    >>> selector = net.batch_policy_.selector_
    >>> round(selector.n_selected_ / selector.n_seen_, 2)
    0.5
    """

    def __init__(self, selector=None, *, autocast=None, **selector_params):
        if selector is not None and not isinstance(selector, UtilityDiversitySelector):
            raise TypeError(
                "selector must be a UtilityDiversitySelector, got "
                f"{type(selector).__name__}."
            )
        if autocast is not None and not isinstance(autocast, torch.dtype):
            raise TypeError(
                f"autocast must be a torch.dtype or None, got {autocast!r}."
            )
        self.selector = selector
        self.autocast = autocast
        self.selector_params = selector_params
        # Here, so that a name or a value that is wrong is refused before training.
        self._made(several_positions=True)._validate_params()
        self.selector_ = None
        self.last_step_ = {}
        self._head = None

    def select(self, net, batch):
        """Choose the rows of a batch.

        Parameters
        ----------
        net : LogitClassifier
            The net.
        batch : tuple of (Tensor or dict, Tensor)
            Data and class indices.

        Returns
        -------
        tuple of (Tensor or dict, Tensor)
            Those of the rows kept, in the order in which they came.
        """
        X, y = batch
        start = perf_counter()
        if self.selector_ is None:
            self.selector_ = self._made(several_positions=y.ndim > 1)
        kept = None
        if not _keeps_all(self.selector_):
            _seed(self.selector_)
            kept = self._kept(net, X, y)
            batch = _rows(X, kept), y[kept.to(y.device)]
        self.last_step_ = {
            "n_candidates": len(y),
            "n_selected": len(y) if kept is None else len(kept),
            "selection_time": perf_counter() - start,
        }
        return batch

    def _made(self, *, several_positions):
        if self.selector is not None:
            return clone(self.selector).set_params(**self.selector_params)
        params = self.selector_params
        if not several_positions and "utility" not in params:
            params = {"utility": "loss", "normalize": "zscore"} | params
        return UtilityDiversitySelector().set_params(**params)

    def _kept(self, net, X, y):
        weight = split_weight(X)[1]
        if _is_blind(self.selector_):
            dummies = torch.zeros(len(y), 1, 1, device=net.device)
            kept = self.selector_.select(dummies, sample_weight=weight)
            return kept.sort().values
        logits = self._candidates(net, X)
        target = to_tensor(y, device=net.device)
        if tuple(logits.shape[:-1]) != tuple(target.shape):
            raise ValueError(
                f"logits must have one row for each target, of shape "
                f"{tuple(target.shape)}, got {tuple(logits.shape[:-1])}."
            )
        if logits.ndim > 3:  # positions of images
            logits, target = logits.flatten(1, -2), target.flatten(1)
        counts = target != getattr(net.loss_, "ignore_index", _IGNORED)
        mask = None if bool(counts.all()) else counts.reshape(len(y), -1)
        kept = self.selector_.select(logits, target, mask, weight)
        if isinstance(logits, FactoredLogits):
            self._head = _versions(net.head_), logits.factor, logits.projected
        return kept.sort().values

    def _candidates(self, net, X):
        """Logits of the candidates, as they are or factored."""
        modes = [(module, module.training) for module in net.module_.modules()]
        net.module_.eval()
        device = torch.device(net.device).type
        try:
            with (
                torch.no_grad(),
                torch.autocast(device, self.autocast, self.autocast is not None),
            ):
                features = net.infer(X)
                if self._pays_factored(net.head_, features):
                    return self._factored(net.head_, features)
                return net.head_(features)
        finally:
            for module, training in modes:
                module.training = training

    def _pays_factored(self, head, features):
        """Whether norms and projections are less work without the logits."""
        if not _is_linear(head) or features.ndim != 3 or self._needs_logits():
            return False
        n_rows, n_positions, width = features.shape
        n_classes = len(head.weight)
        width += head.bias is not None
        factor = 0 if self._holds(head) else n_classes * width**2
        factored = factor + n_rows * n_positions * width * (width + n_positions)
        shorter = min(n_positions, n_classes)
        return factored < n_rows * n_positions * n_classes * (width + shorter)

    def _needs_logits(self):
        return self.selector_.utility not in ("nuclear", "frobenius", "random")

    def _factored(self, head, features):
        weight, bias = head.weight, head.bias
        if self._holds(head):
            _, factor, projected = self._head
        else:
            factor, projected = head_factor(weight, bias), None
        features = features.to(weight.dtype)
        logits = FactoredLogits(features, weight, bias, head_factor=factor)
        logits.projected = projected
        return logits

    def _holds(self, head):
        """Whether what is kept is of the head as it is now.

        Of a head that is trained it never is: an optimiser that writes through its
        ``.data`` would leave no trace in the versions.
        """
        if self._head is None or any(p.requires_grad for p in head.parameters()):
            return False
        return self._head[0] == _versions(head)

    def __getstate__(self):
        # Versions of tensors mean nothing elsewhere.
        return vars(self) | {"_head": None}


class OnlineSelectionMixin:
    """A net that writes into its history what its policy selected.

    It goes before a :class:`LogitClassifier`, whose policy has ``last_step_``, a dict:
    its entries become those of the batch.

    See Also
    --------
    OnlineSelectionClassifier : The net.

    Examples
    --------
    >>> from sklogit.neural import LogitClassifier, OnlineSelectionMixin
    >>> class Net(OnlineSelectionMixin, LogitClassifier):
    ...     pass
    """

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Write how many rows were candidates, how many were kept, and the time.

        Parameters
        ----------
        net : LogitClassifier
            The net itself.
        batch : tuple
            The batch, of the rows that were kept.
        training : bool, default=False
            Whether it is for training.
        **kwargs : dict
            Passed on.
        """
        super().on_batch_begin(net, batch=batch, training=training, **kwargs)
        if training:
            for name, value in getattr(self.batch_policy_, "last_step_", {}).items():
                self.history.record_batch(name, value)


class OnlineSelectionClassifier(OnlineSelectionMixin, LogitClassifier):
    r"""Classify by a net that trains on the rows of each batch that are worth it.

    .. math:: s_i = \|L_i\|_* + \alpha \, \min_{z \in Q} \|z_i - z\|_2

    Each batch goes through the net once without gradients; the rows with the greatest
    scores, of their logits :math:`L_i` and of their distance to the rows that were
    trained on lately, get a training step [1]_. It is :class:`LogitClassifier` with
    ``batch_policy=OnlineSelection``, and a history of what was selected.

    Parameters
    ----------
    module : class, callable, instance or None, default=None
        Makes features of shape (n, in_features) or, of sequences,
        (n, length, in_features).
    batch_policy : OnlineSelection, class or instance, default=OnlineSelection
        The policy; its parameters are ``batch_policy__budget``,
        ``batch_policy__alpha`` and so on.
    batch_size : int, default=128
        Number of candidates. A step gets ``batch_policy__budget`` of them, by default a
        quarter.
    **kwargs
        All parameters of :class:`LogitClassifier`, and those of the parts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    module_ : torch.nn.Module
        The whole model, from inputs to logits.
    batch_policy_ : OnlineSelection
        The policy; its ``selector_`` is the selector, with what it remembers.
    history_ : skorch.history.History
        As in skorch; batches have "n_candidates", "n_selected" and "selection_time",
        in seconds.

    See Also
    --------
    OnlineSelection : The policy.
    LogitClassifier : Any policy.
    sklogit.batch_selection.OnlineBatchSelectionClassifier : Without torch.

    Notes
    -----
    An epoch is a pass over the candidates. With a backward pass that costs twice a
    forward pass and a share k that is kept, it costs (1 + 3k) / 3 of one without
    selection, and scoring.

    The selector is seeded by `random_state`, unless it has its own,
    ``batch_policy__random_state``.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from sklogit.neural import OnlineSelectionClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
    >>> net = OnlineSelectionClassifier(
    ...     module, batch_policy__budget=32, max_epochs=10, random_state=0
    ... ).fit(X / 16, y)
    >>> net.history[-1, "batches", 0, ("n_candidates", "n_selected")]
    (128, 32)
    >>> net.score(X / 16, y) > 0.9
    True
    """

    def __init__(
        self, module=None, *, batch_policy=OnlineSelection, batch_size=128, **kwargs
    ):
        super().__init__(
            module, batch_policy=batch_policy, batch_size=batch_size, **kwargs
        )


def _keeps_all(selector):
    # As a number of rows, 1 is one of them.
    return not isinstance(selector.budget, Integral) and selector.budget == 1.0


def _is_blind(selector):
    """Whether a selector looks at no logits."""
    return selector.utility == "random" and selector.alpha == 0


def _seed(selector):
    """Let a selector depend on torch's generator, which the net seeds."""
    if selector.random_state is None:
        selector.random_state = int(torch.randint(2**31 - 1, ()))


def _is_linear(head):
    return isinstance(head, nn.Linear) and getattr(head, "softcap", None) is None


def _versions(head):
    """Identity and version of the weights: both change if the weights do."""
    parts = [part for part in (head.weight, head.bias) if part is not None]
    return [(id(part), part.data_ptr(), part._version) for part in parts]


def _rows(X, kept):
    """Rows of a tensor, or of each of several."""
    if isinstance(X, dict):
        return {name: _rows(values, kept) for name, values in X.items()}
    if isinstance(X, tuple | list):
        return type(X)(_rows(values, kept) for values in X)
    return X[kept.to(X.device)]
