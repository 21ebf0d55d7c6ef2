"""A linear net for array data: what LogitClassifier trains for the solver "adam"."""

import numpy as np
import torch
from skorch.callbacks import Callback

from ..heads import LinearHead
from ._logit_classifier import LogitClassifier

# After so many epochs without an improvement the learning rate is divided, and after so
# many reductions the training ends instead.
_PATIENCE, _FACTOR, _REDUCTIONS = 3, 5.0, 3
_ROWS_OF_A_BATCH = 512


class _Objective(Callback):
    """Record the objective: loss, which alone may rise in the end, and penalty."""

    def on_epoch_end(self, net, **kwargs):
        weight = net.head_.weight.detach()
        penalty = _group_of_weights(net)["weight_decay"] * float(weight.square().sum())
        net.history.record("objective", net.history[-1, "train_loss"] + 0.5 * penalty)


class _Anneal(Callback):
    """Reduce the learning rate when nothing is gained, and stop in the end."""

    def __init__(self, tol):
        self.tol = tol

    def on_train_begin(self, net, **kwargs):
        self.best_ = np.inf
        self.n_misses_ = self.n_reductions_ = 0
        self.ended_ = False

    def on_epoch_end(self, net, **kwargs):
        value = net.history[-1, "objective"]
        self.n_misses_ = 0 if value < self.best_ - self.tol else self.n_misses_ + 1
        self.best_ = min(self.best_, value)
        if self.n_misses_ < _PATIENCE:
            return
        self.n_misses_ = 0
        if self.n_reductions_ == _REDUCTIONS:
            self.ended_ = True
            raise KeyboardInterrupt  # skorch's way to end the training
        self.n_reductions_ += 1
        for group in net.optimizer_.param_groups:
            group["lr"] /= _FACTOR


class _Report(Callback):
    """Tell of each epoch; stop if told to."""

    def __init__(self, report):
        self.report = report

    def on_train_begin(self, net, **kwargs):
        self.ended_ = False

    def on_epoch_end(self, net, **kwargs):
        if self.report(objectives(net), lambda: coefficients_of(net)):
            self.ended_ = True
            raise KeyboardInterrupt

    def __getstate__(self):
        # What reports holds the training data.
        return vars(self) | {"report": _nothing}


def _nothing(curve, coefficients):
    return False


def linear_net(estimator, coef, intercept, penalty, *, max_epochs, report=_nothing):
    """Make a linear net that minimises the cross-entropy and a penalty by Adam.

    Parameters
    ----------
    estimator : CutCrossEntropyClassifier
        Has the parameters.
    coef : ndarray of shape (n_classes, n_features)
        Weights to start from; their dtype is that of the net.
    intercept : ndarray of shape (n_classes,)
        Biases to start from.
    penalty : float
        Factor of half the squared norm of the weights.
    max_epochs : int
        Most epochs.
    report : callable, default=_nothing
        Called after each epoch with the objectives so far and a function that returns
        the coefficients; a true value ends the training.

    Returns
    -------
    LogitClassifier
        A net whose classes are the integers from 0 on.
    """
    n_classes, n_features = coef.shape
    head = LinearHead(n_features, n_classes, bias=estimator.fit_intercept)
    head.to(torch.float32 if coef.dtype == np.float32 else torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(coef))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(intercept))
    size = estimator.batch_size
    return LogitClassifier(
        head=head,
        loss="linear_cross_entropy",
        loss__label_smoothing=estimator.label_smoothing,
        loss__filter_eps=estimator.filter_eps,
        loss__chunk_size=estimator.chunk_size,
        lr=estimator.learning_rate_init,
        optimizer__param_groups=[("head.weight", {"weight_decay": penalty})],
        max_epochs=max_epochs,
        batch_size=_ROWS_OF_A_BATCH if size == "auto" else size,
        dtype=coef.dtype.name,
        classes=np.arange(n_classes),
        callbacks=[
            ("objective", _Objective()),
            ("report", _Report(report)),
            ("anneal", _Anneal(estimator.tol)),
        ],
        random_state=estimator.random_state,
    )


def set_penalty(net, penalty):
    """Change the penalty of a net that is initialised.

    Parameters
    ----------
    net : LogitClassifier
        The net.
    penalty : float
        Factor of half the squared norm of the weights.
    """
    _group_of_weights(net)["weight_decay"] = penalty


def _group_of_weights(net):
    return net.optimizer_.param_groups[0]


def coefficients_of(net):
    """Copy the coefficients of a net.

    Parameters
    ----------
    net : LogitClassifier
        A linear net.

    Returns
    -------
    coef : ndarray of shape (n_classes, n_features)
        Weights.
    intercept : ndarray of shape (n_classes,)
        Biases, or zeros.
    """
    coef = net.head_.weight.detach().numpy().copy()
    if net.head_.bias is None:
        return coef, np.zeros(len(coef), coef.dtype)
    return coef, net.head_.bias.detach().numpy().copy()


def objectives(net):
    """List the objective after each epoch; one that Ctrl-C cut short has none.

    Parameters
    ----------
    net : LogitClassifier
        A linear net.

    Returns
    -------
    list of float
        The objectives.
    """
    return [row["objective"] for row in net.history if "objective" in row]


def ended_early(net):
    """Whether the training of a net ended for a reason.

    Parameters
    ----------
    net : LogitClassifier
        The net.

    Returns
    -------
    bool
        False if it went on to the last epoch.
    """
    return any(
        callback.ended_
        for name, callback in net.callbacks_
        if name in ("report", "anneal")
    )
