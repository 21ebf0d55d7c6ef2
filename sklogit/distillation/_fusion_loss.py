"""What a student of several teachers minimises."""

from dataclasses import dataclass

import torch
from torch import nn

from ..losses import graph_logit_loss, uld_loss
from ..losses._top_logits import DEFAULT_K, n_outputs
from ..neural._composition import batch_loss

_CROSS_ENTROPY = nn.CrossEntropyLoss()
_NO_HEAD = nn.Identity()  # of logits that are there already


@dataclass(frozen=True)
class FusionObjective:
    """Weights of the terms, and how logits are compared.

    Attributes
    ----------
    teacher_weights : tuple of float
        Weights of the teachers, which sum to one.
    lam : float
        Weight of the teachers against that of the labels.
    uld_weight : float
        Weight of the sorted probabilities.
    gld_weight : float
        Weight of the graphs.
    k : int or None
        Nodes of the graphs.
    transform : str
        What is done to logits first.
    temperature : float
        Logits are divided by it.
    nodes : str
        What a node is.
    """

    teacher_weights: tuple
    lam: float = 0.5
    uld_weight: float = 1.0
    gld_weight: float = 1.0
    k: int | None = None
    transform: str = "softmax"
    temperature: float = 1.0
    nodes: str = "rank"

    def terms(self, logits, target, weight, teachers, groups=None):
        """Compute the terms of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n, ..., n_classes)
            Logits of the student.
        target : Tensor of shape (n, ...)
            Class indices.
        weight : Tensor of shape (n, ...) or None
            Weights.
        teachers : list of Tensor or pairs of them
            Logits of each teacher; those of teachers of weight 0 are not looked at.
        groups : Tensor of shape (n,), default=None
            Sequences of the rows.

        Returns
        -------
        dict of str to Tensor of shape ()
            "sft", the cross-entropy, and "uld_0", "gld_0" and so on, the losses of each
            teacher; terms that do not count are left out.
        """
        rows = logits.flatten(0, -2)
        weight_of_rows = None if weight is None else weight.reshape(-1)
        target = target.reshape(-1)
        sft = batch_loss(_CROSS_ENTROPY, _NO_HEAD, rows, target, weight_of_rows)
        terms = {"sft": sft}
        if not self.lam:
            return terms
        shared = {"transform": self.transform, "temperature": self.temperature}
        shared["sample_weight"] = weight
        for m, teacher in enumerate(teachers):
            if self.teacher_weights[m] and self.uld_weight:
                terms[f"uld_{m}"] = uld_loss(logits, teacher, **shared)
            if self.teacher_weights[m] and self.gld_weight:
                options = {"k": self.k, "nodes": self.nodes, "groups": groups, **shared}
                terms[f"gld_{m}"] = graph_logit_loss(logits, teacher, **options)
        return terms

    def total(self, terms):
        """Sum the terms with their weights.

        Parameters
        ----------
        terms : dict of str to Tensor
            As `terms` returns them.

        Returns
        -------
        Tensor of shape ()
            The objective.
        """
        total = (1 - self.lam) * terms["sft"]
        for m, weight in enumerate(self.teacher_weights):
            for name, of_kind in (("uld", self.uld_weight), ("gld", self.gld_weight)):
                term = terms.get(f"{name}_{m}")
                if term is not None:
                    total = total + self.lam * weight * of_kind * term
        return total

    def check_nodes(self, n_classes, teachers, names):
        """Raise a ValueError if a teacher has one output, or a graph too many nodes.

        Parameters
        ----------
        n_classes : int
            Outputs of the student.
        teachers : list of array or pairs of them
            Logits of the teachers.
        names : list of str
            Names of the teachers.
        """
        if not self.lam:
            return
        sizes = {f"teacher {n!r}": n_outputs(t) for n, t in zip(names, teachers)}
        for name, size in sizes.items():
            if size < 2:  # its softmax is 1 for any logit
                raise ValueError(
                    f"{name} must have at least 2 outputs, got {size}: of a margin d "
                    "the logits are (-d/2, d/2)."
                )
        if not self.gld_weight or self.k is None:
            return
        sizes = {"the student": n_classes} | sizes
        fewest = min(sizes, key=sizes.get)
        if not 2 <= self.k <= sizes[fewest]:
            raise ValueError(
                f"k must be from 2 to {sizes[fewest]}, the number of outputs of "
                f"{fewest}, or None for {DEFAULT_K} or fewer, got {self.k}."
            )


def as_float(terms):
    """Numbers of the terms, read at once.

    Parameters
    ----------
    terms : dict of str to Tensor of shape ()
        The terms.

    Returns
    -------
    dict of str to float
        Their values.
    """
    values = torch.stack([term.detach().float() for term in terms.values()])
    return dict(zip(terms, values.tolist()))
