"""A batch of logits and labels, checked, and its soft confusion matrix."""

from dataclasses import dataclass

import torch

# Instead of a weight of zero, to divide by.
TINY = 1e-30


@dataclass
class Batch:
    """Logits, labels and weights of rows, on one device.

    Attributes
    ----------
    logits : Tensor of shape (n_samples,) or (n_samples, n_classes)
        In single precision or better, with their graph.
    y : Tensor of the same shape
        Labels 0 and 1, or those of each class against the others.
    indices : Tensor of shape (n_samples,) or None
        Class indices, if there is a logit for each class.
    weight : Tensor of shape (n_samples,) or None
        Weights.
    """

    logits: torch.Tensor
    y: torch.Tensor
    indices: torch.Tensor | None
    weight: torch.Tensor | None

    @property
    def total(self):
        """Sum of the weights, to divide by: not quite zero if all are."""
        if self.weight is None:
            return len(self.logits)
        return self.weight.sum().clamp_min(TINY)

    def counts(self, predictions):
        """Count soft predictions, as `sklogit.metrics.soft_confusion` does.

        With half of its memory traffic, which is what the loss costs for many rows.
        """
        positive, negative = self.y, 1 - self.y
        if self.weight is not None:
            positive = positive * self._column_of_weights
            negative *= self._column_of_weights
        tp = (positive * predictions).sum(dim=0)
        fp = (negative * predictions).sum(dim=0)
        tn, fn = negative.sum(dim=0) - fp, positive.sum(dim=0) - tp
        # Rounding can make them negative.
        return torch.stack([tn.clamp_min(0), fp, fn.clamp_min(0), tp])

    def per_row(self, derivatives):
        """Turn derivatives by tp and by fp into those by predictions."""
        by_tp, by_fp = derivatives
        D = (self.y * (by_tp - by_fp)).add_(by_fp)
        if self.weight is None:
            return D
        return D.mul_(self._column_of_weights)

    @property
    def _column_of_weights(self):
        return self.weight.reshape((-1,) + (1,) * (self.y.ndim - 1))


def checked_batch(logits, target, sample_weight=None):
    """Check what the loss was called with.

    Parameters
    ----------
    logits, target, sample_weight : Tensor
        As of `AnyLoss`.

    Returns
    -------
    Batch
        The batch.

    Raises
    ------
    TypeError, ValueError
        If they are no such tensors. Values are checked on the CPU only, as elsewhere
        that would wait for the device: wrong ones become NaN.
    """
    logits = _checked_logits(logits)
    n_samples = len(logits)
    _check_tensor("target", target, n_samples, "labels")
    if logits.ndim == 1:
        y, indices = _zeros_and_ones(target.reshape(-1).to(logits.dtype)), None
    else:
        indices = _class_indices(target, logits.shape[1])
        y = torch.zeros_like(logits)
        y.scatter_(1, indices[:, None], 1.0)
    if sample_weight is not None:
        _check_tensor("sample_weight", sample_weight, n_samples, "weights")
        weight = sample_weight.detach().reshape(-1).to(logits.dtype)
        sample_weight = _not_negative(weight)
    return Batch(logits, y, indices, sample_weight)


def _checked_logits(logits):
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        found = getattr(logits, "dtype", type(logits).__name__)
        raise TypeError(f"logits must be a tensor of real numbers, got {found}.")
    if logits.ndim not in (1, 2) or logits.numel() == 0:
        raise ValueError(
            "logits must have shape (n_samples,), (n_samples, 1) or (n_samples, "
            f"n_classes), none of them 0, got {tuple(logits.shape)}."
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.squeeze(1) if logits.shape[1:] == (1,) else logits


def _check_tensor(name, values, n_samples, what):
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(values).__name__}.")
    if tuple(values.shape) not in ((n_samples,), (n_samples, 1)):
        raise ValueError(
            f"{name} must have shape ({n_samples},), as the logits have {n_samples} "
            f"rows, got {tuple(values.shape)} for the {what}."
        )


def _zeros_and_ones(y):
    if y.device.type != "cpu":
        return torch.where((y == 0) | (y == 1), y, torch.nan)
    # The fastest way to see it: only of 0 and 1 the square is the number.
    if _range((y * y).sub_(y)) != (0, 0):
        wrong = y[(y != 0) & (y != 1)].unique().tolist()[:5]
        raise ValueError(f"target must be 0 and 1, found {wrong}.")
    return y


def _not_negative(weight):
    if weight.device.type != "cpu":
        good = (weight >= 0) & (weight < torch.inf)
        return torch.where(good, weight, torch.nan)
    least, largest = _range(weight)
    if not 0 <= least <= largest < torch.inf:
        raise ValueError(
            "sample_weight must be finite and not negative, found values from "
            f"{least:g} to {largest:g}."
        )
    return weight


def _range(values):
    return tuple(extreme.item() for extreme in torch.aminmax(values))


def _class_indices(target, n_classes):
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(
            f"target must be class indices, integers, for {n_classes} logits a row, "
            f"got {target.dtype}."
        )
    indices = target.reshape(-1).long()
    if indices.device.type == "cpu":
        least, largest = _range(indices)
        if not 0 <= least <= largest < n_classes:
            raise ValueError(
                f"target must be class indices from 0 to {n_classes - 1}, found values "
                f"from {least} to {largest}."
            )
    return indices
