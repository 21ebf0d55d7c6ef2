"""The net of a student: skorch's training loop with two losses."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import nn

from ..heads import DualHead
from ..neural import LogitClassifier
from ..neural._composition import batch_loss
from ..neural._net import is_dict, split_weight
from ..optim._aligned_gradients import combined, gradient_pair
from ._student_training import StudentTrainingMixin

RECORDED = ("ce_loss", "logit_loss", "conflict_rate", "head_conflict_rate")
_NO_HEAD = nn.Identity()  # of logits that are there already


@dataclass(frozen=True)
class Recipe:
    """How a student is trained.

    Attributes
    ----------
    logit_loss : callable
        Loss of two tensors of logits, with weights of rows as ``sample_weight``.
    gamma : float
        Weight of the cross-entropy.
    alpha : float
        Weight of the loss of the logits.
    align : bool
        Whether to align the gradients.
    scope : {"shared", "all"}
        Where.
    monitor : bool
        Whether to look for conflicts.
    distill_until : int or None
        Epochs with a teacher.
    milestones : tuple of int
        Epochs from which the learning rate is lower.
    lr_gamma : float
        By this factor.
    """

    logit_loss: Callable
    gamma: float = 1.0
    alpha: float = 1.0
    align: bool = False
    scope: str = "shared"
    monitor: bool = True
    distill_until: int | None = None
    milestones: tuple = ()
    lr_gamma: float = 0.1

    def distils(self, epoch):
        """Whether there is a teacher in an epoch; the first one is 0."""
        last = self.distill_until
        return self.alpha > 0 and (last is None or epoch < last)

    def rate(self, lr, epoch):
        """Learning rate of an epoch."""
        return lr * self.lr_gamma ** sum(epoch >= start for start in self.milestones)


class DistillationNet(StudentTrainingMixin, LogitClassifier):
    """`LogitClassifier` whose batches bring the logits of a teacher.

    They are the entry "teacher_logits" of the data, which are a dict; weights have the
    shape of the targets.

    Parameters
    ----------
    module : class, callable or instance
        The backbone.
    recipe : Recipe
        How to train.
    **kwargs
        Parameters of `LogitClassifier`.
    """

    def __init__(self, module=None, *, recipe=None, **kwargs):
        super().__init__(module, **kwargs)
        self.recipe = recipe

    @property
    def main_head(self):
        """The head of the cross-entropy."""
        head = self.head_
        return head.main if isinstance(head, DualHead) else head

    def infer(self, x, **fit_params):
        """Compute the features of a batch, which the teacher's logits are no part of.

        Parameters
        ----------
        x : Tensor or dict
            Data of a batch.
        **fit_params : dict
            Further keywords of the module.

        Returns
        -------
        Tensor of shape (n, ..., in_features)
            Features.
        """
        if is_dict(x):
            x = {name: v for name, v in x.items() if name != "teacher_logits"}
        return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the cross-entropy alone, as for validation.

        Parameters
        ----------
        y_pred : Tensor of shape (n, ..., in_features)
            Features.
        y_true : Tensor of shape (n, ...)
            Class indices.
        X : dict
            Data of the batch, with the weights.
        training : bool, default=False
            Whether it is for training.

        Returns
        -------
        Tensor of shape ()
            The loss.
        """
        features, target, weight = self._rows(y_pred, y_true, X)
        logits = (self.main_head if training else self.head_)(features)
        return batch_loss(self.loss_, _NO_HEAD, logits, target, weight)

    def train_step_single(self, batch, **fit_params):
        """Compute the gradients of both losses of a batch.

        Parameters
        ----------
        batch : tuple
            Data and class indices.
        **fit_params : dict
            Further keywords of the module.

        Returns
        -------
        dict
            The loss and the features.
        """
        self._set_training(True)
        X, y = unpack_data(batch)
        features = self.infer(X, **fit_params)
        if not self.recipe.distils(len(self.history) - 1):
            loss = self.get_loss(features, y, X=X, training=True)
            self.history.record_batch("ce_loss", loss.item())
            loss = self.recipe.gamma * loss
            loss.backward()
        else:
            loss = self._distill(features, y, X)
        self.check_converges(loss.item())
        return {"loss": loss, "y_pred": features}

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the learning rate of the epoch."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        rate = self.recipe.rate(self.lr, len(self.history) - 1)
        for group in self.optimizer_.param_groups:
            group["lr"] = rate

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the means of both losses, and shares of batches with conflicts."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        batches = [b for b in self.history[-1]["batches"] if "train_batch_size" in b]
        sizes = [batch["train_batch_size"] for batch in batches]
        for name in RECORDED:
            values = [batch[name] for batch in batches if name in batch]
            if not values:  # no teacher, or nobody looked
                mean = float("nan")
            elif name.endswith("rate"):
                mean = float(np.mean(values))
            else:
                mean = float(np.average(values, weights=sizes))
            self.history.record(name, mean)

    # -- steps -------------------------------------------------------------------------

    def _rows(self, features, y, X):
        """Flatten positions to rows: features, class indices, and weights or None."""
        target = self.checked_target(features, y)
        weight = split_weight(X)[1]
        if weight is not None:
            weight = to_tensor(weight, device=self.device).to(self.torch_dtype_)
            weight = weight.reshape(-1)
        return features.flatten(0, -2), target.reshape(-1), weight

    def _distill(self, features, y, X):
        """Both losses, their gradients in the parameters, and what is recorded."""
        recipe = self.recipe
        rows, target, weight = self._rows(features, y, X)
        teacher = to_tensor(X["teacher_logits"], device=self.device)
        teacher = teacher.to(self.torch_dtype_).flatten(0, -2)
        logits = self.head_(rows)
        z, a = logits if isinstance(logits, tuple) else (logits, logits)
        entropy = batch_loss(self.loss_, _NO_HEAD, z, target, weight)
        logit_loss = _checked_number(
            recipe.logit_loss(a, teacher, sample_weight=weight)
        )
        self.history.record_batch("ce_loss", entropy.item())
        self.history.record_batch("logit_loss", logit_loss.item())
        main, aux = recipe.gamma * entropy, recipe.alpha * logit_loss
        if not (recipe.align or recipe.monitor):
            loss = main + aux
            loss.backward()
            return loss
        if recipe.monitor:
            self._monitor_head(rows, z, target, teacher, weight)
        self._set_gradients(main, aux)
        return (main + aux).detach()

    def _set_gradients(self, main, aux):
        """Gradients of both losses apart, then together in the parameters."""
        params = [p for _, p in self.get_all_learnable_params() if p.requires_grad]
        pair = gradient_pair(main, aux, params)
        if self.recipe.monitor:
            self.history.record_batch("conflict_rate", bool(pair.dot < 0))
        both = combined(pair, self.recipe.scope, align=self.recipe.align)
        for param, gradient, a, b in zip(params, both, pair.main, pair.aux):
            # Without a gradient there is no weight decay either.
            param.grad = None if a is None and b is None else gradient

    def _monitor_head(self, rows, z, target, teacher, weight):
        """Record whether both losses would be in conflict within the main head.

        The gradient of a linear head is that of its logits times the features, so the
        question costs no further pass through the net.
        """
        z = z.detach().requires_grad_()
        losses = (
            batch_loss(self.loss_, _NO_HEAD, z, target, weight),
            self.recipe.logit_loss(z, teacher, sample_weight=weight),
        )
        with torch.no_grad():
            ones = torch.ones_like(rows[:, :1])
            inputs = torch.cat([rows, ones], dim=1)  # the bias has an input of 1
        by_loss = [torch.autograd.grad(loss, z)[0].T @ inputs for loss in losses]
        dot = (by_loss[0] * by_loss[1]).sum()
        self.history.record_batch("head_conflict_rate", bool(dot < 0))


def _checked_number(loss):
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        found = tuple(loss.shape) if hasattr(loss, "shape") else type(loss).__name__
        raise ValueError(f"logit_loss must return a tensor of one number, got {found}.")
    return loss.reshape(())
