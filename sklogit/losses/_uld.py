"""Universal logit distillation: sorted probabilities, position by position."""

import torch
from torch import nn
from torch.nn import functional as F

from ._array_twin import as_tensor, takes_arrays
from ._row_weights import spread, weighted_mean
from ._top_logits import (
    as_logits,
    check_k,
    check_least_k,
    check_transform,
    n_outputs,
    top_values,
)


@takes_arrays
def uld_loss(
    student_logits,
    teacher_logits,
    *,
    k=None,
    transform="softmax",
    temperature=1.0,
    positions=None,
    mask=None,
    sample_weight=None,
):
    r"""Compare sorted probabilities of two models whose classes differ.

    .. math:: \frac{1}{\sum_t w_t} \sum_t w_t \sum_i
        \big| p_t^{(i)} - q_t^{(i)} \big|

    of probabilities in decreasing order; the model with fewer classes has probability
    zero for the others. It is the optimal transport of one distribution's probabilities
    to the other's, if every move of one class to another costs the same.

    Parameters
    ----------
    student_logits : Tensor or array-like of shape (n, [n_positions,] n_classes)
        Logits.
    teacher_logits : Tensor, array-like, or a pair of them
        Those of the teacher, of the same rows, or sequences; or the pair that
        `top_logits` makes of them with the same transform and temperature. Of a pair
        only as many entries are compared as it has.
    k : int, default=None
        Compare the k greatest only; None compares all.
    transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits first: see `top_logits`.
    temperature : float, default=1.0
        Logits are divided by it.
    positions : pair of array-likes of shape (n_pairs,) or (n, n_pairs), default=None
        Positions of the student's sequences, and those of the teacher's that they are
        compared with. By default the same ones, up to the end of the shorter.
    mask : Tensor or array-like of shape (n,) or (n, n_positions), default=None
        True for rows or positions, of the student, that count.
    sample_weight : Tensor or array-like of shape (n,) or (n, n_positions), default=None
        Weights of rows, sequences, or positions of the student, not negative.

    Returns
    -------
    float or Tensor of shape ()
        The weighted mean over all positions.

    Raises
    ------
    ValueError
        If shapes or values are not allowed.
    TypeError
        If logits are no real numbers.

    See Also
    --------
    graph_logit_loss : Compares how logits fire together over positions.
    ULDLoss : The same as a module.

    Notes
    -----
    With "softmax" it lies between 0 and 2, and is 0 where the sorted probabilities are
    equal. The teacher gets no gradient; neither logits are changed.

    References
    ----------
    .. [1] "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss
       for LLMs", arXiv:2402.12030.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.losses import uld_loss
    >>> student = np.log([[0.7, 0.2, 0.1]])
    >>> teacher = np.log([[0.4, 0.6]])
    >>> round(uld_loss(student, teacher), 6)  # |.7 - .6| + |.2 - .4| + |.1 - 0|
    0.4
    """
    check_transform(transform, temperature)
    student = as_logits("student_logits", student_logits, transform)
    like = (student[0] if isinstance(student, tuple) else student).detach()
    teacher = as_logits("teacher_logits", teacher_logits, transform, like)
    sizes = _sizes(k, student, teacher)
    p, _ = top_values("student_logits", student, sizes[0], transform, temperature)
    q, _ = top_values("teacher_logits", teacher, sizes[1], transform, temperature)
    weight = spread("sample_weight", sample_weight, p)
    if mask is not None:
        weight = weight * (spread("mask", mask, p) > 0)
    p, q, weight = _aligned(p, q.detach(), weight, positions)
    wider = max(sizes)
    p, q = (F.pad(side, (0, wider - side.shape[-1])) for side in (p, q))
    return weighted_mean((p - q).abs().sum(dim=-1), weight)


class ULDLoss(nn.Module):
    """Universal logit distillation, as a module.

    Parameters
    ----------
    k : int, default=None
        Compare the k greatest only; None compares all.
    transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits first.
    temperature : float, default=1.0
        Logits are divided by it.

    See Also
    --------
    uld_loss : The function, with a description of the parameters.

    References
    ----------
    .. [1] "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss
       for LLMs", arXiv:2402.12030.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import ULDLoss
    >>> logits = torch.randn(16, 5)
    >>> bool(ULDLoss()(logits, logits[:, [4, 0, 3, 1, 2]]) < 1e-6)  # other order
    True
    """

    def __init__(self, k=None, *, transform="softmax", temperature=1.0):
        super().__init__()
        check_transform(transform, temperature)
        if k is not None:
            check_least_k(k)
        self.k = k
        self.transform = transform
        self.temperature = temperature

    def forward(
        self,
        student_logits,
        teacher_logits,
        *,
        positions=None,
        mask=None,
        sample_weight=None,
    ):
        """Compute the loss.

        Parameters
        ----------
        student_logits : Tensor of shape (n, n_classes) or (n, n_positions, n_classes)
            Logits.
        teacher_logits : Tensor, or pair of them
            Those of the teacher.
        positions : pair of Tensors, default=None
            Positions that are compared with each other.
        mask : Tensor of shape (n,) or (n, n_positions), default=None
            What counts.
        sample_weight : Tensor of shape (n,) or (n, n_positions), default=None
            Weights.

        Returns
        -------
        Tensor of shape ()
            The loss.

        Raises
        ------
        TypeError, ValueError
            As of `uld_loss`.
        """
        return uld_loss(
            student_logits,
            teacher_logits,
            k=self.k,
            transform=self.transform,
            temperature=self.temperature,
            positions=positions,
            mask=mask,
            sample_weight=sample_weight,
        )

    def extra_repr(self):
        """Show the parameters.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"k={self.k}, transform={self.transform!r}, temperature={self.temperature}"
        )


def _sizes(k, student, teacher):
    """How many entries to keep of each model."""
    sizes = n_outputs(student), n_outputs(teacher)
    pairs = [n for n, x in zip(sizes, (student, teacher)) if isinstance(x, tuple)]
    if k is not None:
        check_k(k, max(sizes), "both models")
        pairs.append(k)
    # What a pair does not have is unknown rather than zero: the other must not have it
    # either. What a whole model does not have is zero.
    return tuple(min([n, *pairs]) for n in sizes)


def _aligned(p, q, weight, positions):
    """Let the two have the same positions."""
    if p.ndim != q.ndim or len(p) != len(q):
        raise ValueError(
            "teacher_logits must be of the same rows, or sequences, as student_logits, "
            f"of shape {tuple(p.shape[:-1])}, got {tuple(q.shape[:-1])}."
        )
    if p.ndim == 2:
        if positions is not None:
            raise ValueError(
                "positions must be None for logits of shape (n, n_classes)."
            )
        return p, q, weight
    if positions is None:
        length = min(p.shape[1], q.shape[1])
        return p[:, :length], q[:, :length], weight[:, :length]
    if not isinstance(positions, tuple | list) or len(positions) != 2:
        raise ValueError(
            "positions must be a pair of arrays, those of the student and those of the "
            f"teacher, got {positions!r:.60}."
        )
    ours, theirs = (
        _checked_positions(index, side) for index, side in zip(positions, (p, q))
    )
    if ours.shape != theirs.shape:
        raise ValueError(
            "positions must be pairs, got "
            f"{ours.shape[1]} of the student and {theirs.shape[1]} of the teacher."
        )
    rows = torch.arange(len(p), device=p.device)[:, None]
    return p[rows, ours], q[rows, theirs], weight[rows, ours]


def _checked_positions(index, side):
    index = as_tensor("positions", index).to(side.device)
    n, length = side.shape[:2]
    if index.shape[:-1] not in ((), (n,)):
        raise ValueError(
            f"positions must have shape (n_pairs,) or ({n}, n_pairs), got "
            f"{tuple(index.shape)}."
        )
    whole = index.long()
    if index.numel() and not ((whole >= 0) & (whole < length) & (whole == index)).all():
        raise ValueError(f"positions must be integers from 0 to {length - 1}.")
    return whole.expand(n, whole.shape[-1])
