"""Distillation by the graph of logits, whose time is linear in its nodes."""

import torch
from torch import nn

from ._array_twin import as_tensor, takes_arrays
from ._logit_graph import SCALES, row_means, scaled
from ._row_weights import row_weights, weighted_mean
from ._sorted_transport import transport_cost
from ._top_logits import (
    DEFAULT_K,
    as_logits,
    check_k,
    check_least_k,
    check_transform,
    n_outputs,
    top_values,
)

_NODES = ("rank", "vocab")


@takes_arrays
def graph_logit_loss(
    student_logits,
    teacher_logits,
    *,
    k=None,
    transform="softmax",
    temperature=1.0,
    nodes="rank",
    groups=None,
    scale="mean",
    sample_weight=None,
    teacher_weight=None,
):
    r"""Compare how logits of two models fire together over the positions of a sequence.

    The k greatest transformed logits of each position, :math:`z_t`, are the nodes of a
    graph :math:`C = \frac1T \sum_t z_t z_t^T` of the student, and D of the teacher. The
    loss is the sorted bound of the Gromov-Wasserstein distance of the two,

    .. math:: \frac1k \sum_{i=1}^k \big| f_{(i)} - g_{(i)} \big|, \qquad
        f = C 1 / k = \frac1T Z^T (Z 1) / k ,

    in :math:`O(Tk)` operations, without a graph. Neither the number of classes nor that
    of positions need be equal, and no class of one is matched to one of the other.

    Parameters
    ----------
    student_logits : Tensor or array-like of shape (n, [n_positions,] n_classes)
        Logits. In two dimensions the rows are one sequence, in three there are n.
    teacher_logits : Tensor, array-like, or a pair of them
        Those of the teacher, with as many dimensions, and as many sequences if there
        are three; or the pair that `top_logits` makes of them with the same transform
        and temperature.
    k : int, default=None
        Number of nodes, at least 2; None is 10, or fewer if a model has fewer outputs.
    transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits first: see `top_logits`. With "none" the loss
        depends on the common shift of a row's logits.
    temperature : float, default=1.0
        Logits are divided by it.
    nodes : {"rank", "vocab"}, default="rank"
        "rank": node i is the i-th greatest logit of each position. "vocab": a node is a
        class, of those that are among the k greatest at some position.
    groups : array-like of shape (n,), default=None
        For logits in two dimensions: rows of one group are one sequence.
    scale : {"mean", "sum"}, default="mean"
        "sum" is k times the loss, the formula of the paper.
    sample_weight : Tensor or array-like of shape (n,) or (n, n_positions), default=None
        Weights of rows, sequences or positions, not negative. A weight of zero is the
        same as a missing position. The teacher's are the same if it has as many.
    teacher_weight : Tensor or array-like, default=None
        Weights of the teacher's, where they are not those of the student.

    Returns
    -------
    float or Tensor of shape ()
        Mean over the sequences, by their total weight.

    Raises
    ------
    ValueError
        If shapes or values are not allowed.
    TypeError
        If logits are no real numbers.

    See Also
    --------
    uld_loss : Compares the sorted probabilities position by position.
    GraphLogitDistillationLoss : The same as a module.
    gw_sorted : The bound of given graphs.

    Notes
    -----
    With the signs :math:`g_i` of the sorted differences the derivative by Z is
    :math:`((Z1) g^T + (Zg) 1^T) / (T k^2)`; at ties it is taken as 0. The teacher gets
    no gradient.

    The paper draws sorting and the k greatest, the outer products and the sorted sums;
    the transform, the division by T and k, weights and groups are ours.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import graph_logit_loss
    >>> student = torch.randn(8, 20, 100, requires_grad=True)  # 8 sequences
    >>> teacher = torch.randn(8, 25, 300)
    >>> graph_logit_loss(student, teacher).backward()
    >>> student.grad.shape
    torch.Size([8, 20, 100])
    """
    check_transform(transform, temperature)
    _check_nodes(nodes, scale)
    student = as_logits("student_logits", student_logits, transform)
    like = (student[0] if isinstance(student, tuple) else student).detach()
    teacher = _detached(as_logits("teacher_logits", teacher_logits, transform, like))
    k = _number_of_nodes(k, student, teacher)
    sides = []
    for name, logits in (("student_logits", student), ("teacher_logits", teacher)):
        values, indices = top_values(name, logits, k, transform, temperature)
        sides.append(_Side(name, values, indices))
    student, teacher = sides
    _check_sequences(student, teacher, groups)
    weights = row_weights(student.values, teacher.values, sample_weight, teacher_weight)
    for side, weight in zip(sides, weights):
        side.set_rows(weight, groups)
    distance = _distance_of_nodes(student, teacher, nodes, scale, k)
    # Sequences of which nothing counts on one side say nothing.
    total = student.totals * (teacher.totals > 0)
    return weighted_mean(distance, total)


class GraphLogitDistillationLoss(nn.Module):
    """Distillation by the graph of logits, as a module.

    Parameters
    ----------
    k : int, default=None
        Number of nodes; None is 10, or fewer if a model has fewer outputs.
    transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits first.
    temperature : float, default=1.0
        Logits are divided by it.
    nodes : {"rank", "vocab"}, default="rank"
        What a node is.
    scale : {"mean", "sum"}, default="mean"
        Whether to divide by the number of nodes.

    See Also
    --------
    graph_logit_loss : The function, with a description of the parameters.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import GraphLogitDistillationLoss
    >>> loss = GraphLogitDistillationLoss(k=3)
    >>> logits = torch.randn(16, 5)
    >>> bool(loss(logits, logits[:, [4, 0, 3, 1, 2]]) < 1e-6)  # another order
    True
    """

    def __init__(
        self,
        k=None,
        *,
        transform="softmax",
        temperature=1.0,
        nodes="rank",
        scale="mean",
    ):
        super().__init__()
        check_transform(transform, temperature)
        _check_nodes(nodes, scale)
        if k is not None:
            check_least_k(k, 2)
        self.k = k
        self.transform = transform
        self.temperature = temperature
        self.nodes = nodes
        self.scale = scale

    def forward(
        self,
        student_logits,
        teacher_logits,
        *,
        groups=None,
        sample_weight=None,
        teacher_weight=None,
    ):
        """Compute the loss.

        Parameters
        ----------
        student_logits : Tensor of shape (n, n_classes) or (n, n_positions, n_classes)
            Logits.
        teacher_logits : Tensor, or pair of them
            Those of the teacher.
        groups : Tensor of shape (n,), default=None
            Sequences of the rows.
        sample_weight : Tensor of shape (n,) or (n, n_positions), default=None
            Weights.
        teacher_weight : Tensor, default=None
            Weights of the teacher's positions.

        Returns
        -------
        Tensor of shape ()
            The loss.

        Raises
        ------
        TypeError, ValueError
            As of `graph_logit_loss`.
        """
        return graph_logit_loss(
            student_logits,
            teacher_logits,
            k=self.k,
            transform=self.transform,
            temperature=self.temperature,
            nodes=self.nodes,
            groups=groups,
            scale=self.scale,
            sample_weight=sample_weight,
            teacher_weight=teacher_weight,
        )

    def extra_repr(self):
        """Show the parameters.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"k={self.k}, transform={self.transform!r}, "
            f"temperature={self.temperature}, nodes={self.nodes!r}, "
            f"scale={self.scale!r}"
        )


# -- one model's side ------------------------------------------------------------------


class _Side:
    """The greatest logits of a model, and which sequence each row belongs to.

    Attributes
    ----------
    values : Tensor of shape (..., k)
        Transformed logits.
    weight : Tensor of shape (...)
        Weights of the rows, scaled to sum to one in each sequence.
    totals : Tensor of shape (n_sequences,)
        Their sums before.
    sequence : Tensor of shape (n,) or None
        Index of each row's sequence if there are groups.
    """

    def __init__(self, name, values, indices):
        self.name, self.values, self.indices = name, values, indices
        self.sequence = None

    def set_rows(self, weight, groups):
        """Tell the rows their weights and sequences."""
        if groups is not None:
            groups = as_tensor("groups", groups).to(weight.device)
            self.sequence = groups.unique(return_inverse=True)[1]
            n_sequences = int(self.sequence.max()) + 1
            totals = weight.new_zeros(n_sequences).index_add(0, self.sequence, weight)
            per_row = totals[self.sequence]
        elif weight.ndim == 1:  # one sequence of all rows
            self.values, self.indices = self.values[None], self.indices[None]
            weight = weight[None]
            totals = weight.sum(dim=1)
            per_row = totals[:, None]
        else:
            totals = weight.sum(dim=1)
            per_row = totals[:, None]
        self.totals = totals
        # Of sequences of weight zero everything stays zero.
        self.weight = weight / torch.where(per_row > 0, per_row, 1.0)

    def rank_features(self):
        """Mean of each row of the graph, of shape (n_sequences, k)."""
        if self.sequence is None:
            return row_means(self.values, self.weight)
        features = self.values.new_zeros(len(self.totals), self.values.shape[-1])
        rows = (self.weight * self.values.mean(dim=-1))[:, None] * self.values
        return features.index_add(0, self.sequence, rows)

    def class_features(self):
        """Mean of each row of the graph of classes, and the weights of its nodes.

        Both of shape (n_sequences, n_nodes), where sequences with fewer nodes than the
        largest have nodes of weight 0.
        """
        row = self._sequence_of_rows()
        counted = (self.weight > 0)[..., None].expand(self.indices.shape)
        n_classes = int(self.indices.max()) + 1
        key = (row[..., None] * n_classes + self.indices)[counted]
        key, node = key.unique(return_inverse=True)
        row_sums = self.weight * self.values.sum(dim=-1)
        terms = (row_sums[..., None] * self.values)[counted]
        sums = self.values.new_zeros(len(key)).index_add(0, node, terms)
        return _padded(sums, key // n_classes, len(self.totals))

    def _sequence_of_rows(self):
        if self.sequence is not None:
            return self.sequence
        index = torch.arange(len(self.values), device=self.values.device)
        return index[:, None].expand(self.values.shape[:2])


def _padded(sums, sequence, n_sequences):
    """Rows of each sequence's nodes, divided by their number, and their weights."""
    counts = torch.bincount(sequence, minlength=n_sequences)
    starts = counts.cumsum(0) - counts
    column = torch.arange(len(sums), device=sums.device) - starts[sequence]
    shape = n_sequences, max(1, int(counts.max()))
    of_node = 1 / counts.clamp_min(1).to(sums.dtype)[sequence]
    weight = sums.new_zeros(shape).index_put((sequence, column), of_node)
    features = sums.new_zeros(shape).index_put((sequence, column), sums * of_node)
    return features, weight


def _distance_of_nodes(student, teacher, nodes, scale, k):
    if nodes == "rank":
        f, g = student.rank_features(), teacher.rank_features()
        return scaled(transport_cost(f, g), scale, k, k)
    (f, p), (g, q) = student.class_features(), teacher.class_features()
    return transport_cost(f, g, p, q)


# -- steps -----------------------------------------------------------------------------


def _check_nodes(nodes, scale):
    if nodes not in _NODES:
        raise ValueError(f"nodes must be one of {_NODES}, got {nodes!r}.")
    if scale not in SCALES:
        raise ValueError(f"scale must be 'mean' or 'sum', got {scale!r}.")
    if nodes == "vocab" and scale != "mean":
        raise ValueError(f"scale must be 'mean' with nodes='vocab', got {scale!r}.")


def _detached(logits):
    if isinstance(logits, tuple):
        return tuple(part.detach() for part in logits)
    return logits.detach()


def _number_of_nodes(k, student, teacher):
    if k is None:
        return min(DEFAULT_K, n_outputs(student), n_outputs(teacher))
    check_k(k, n_outputs(student), "student_logits", least=2)
    check_k(k, n_outputs(teacher), "teacher_logits", least=2)
    return k


def _check_sequences(student, teacher, groups):
    shapes = tuple(student.values.shape[:-1]), tuple(teacher.values.shape[:-1])
    if len(shapes[0]) != len(shapes[1]):
        raise ValueError(
            "teacher_logits must have as many dimensions as student_logits, "
            f"{len(shapes[0]) + 1}, got {len(shapes[1]) + 1}."
        )
    if len(shapes[0]) == 2 and shapes[0][0] != shapes[1][0]:
        raise ValueError(
            f"teacher_logits must have as many sequences as student_logits, "
            f"{shapes[0][0]}, got {shapes[1][0]}."
        )
    if groups is None:
        return
    n_groups = (tuple(as_tensor("groups", groups).shape),)
    if n_groups * 2 != shapes:
        raise ValueError(
            "groups must have one entry for each row of logits in two dimensions, of "
            f"both models, got {n_groups[0]} for rows of {shapes[0]} and {shapes[1]}."
        )
