"""The net of a student of several teachers: skorch's training loop, our objective."""

import numpy as np
import torch
from skorch.utils import to_tensor
from torch.utils.data import DataLoader, Sampler

from ..neural import BatchPolicy, LogitClassifier, RowDataset
from ..neural._net import is_dict, split_weight
from ._fusion_loss import as_float
from ._student_training import StudentTrainingMixin

# Entries of the data beside X: "teacher_0" and so on, or "teacher_0_values" and
# "teacher_0_indices"; "groups"; "sample_weight".
_TEACHER = "teacher_"
GROUPS = "groups"


class FusionNet(StudentTrainingMixin, LogitClassifier):
    """`LogitClassifier` whose batches bring the logits of all teachers.

    Weights have the shape of the targets.

    Parameters
    ----------
    module : class, callable or instance
        The backbone.
    objective : FusionObjective
        What to minimise.
    **kwargs
        Parameters of `LogitClassifier`.
    """

    def __init__(self, module=None, *, objective=None, **kwargs):
        super().__init__(module, **kwargs)
        self.objective = objective

    def infer(self, x, **fit_params):
        """Compute the features of a batch, which the teachers' logits are no part of.

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
        return super().infer(x["X"] if is_dict(x) else x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the objective of a batch, and record its terms.

        Parameters
        ----------
        y_pred : Tensor of shape (n, ..., in_features)
            Features.
        y_true : Tensor of shape (n, ...)
            Class indices.
        X : dict
            Data of the batch, with the teachers' logits and the weights.
        training : bool, default=False
            Whether it is for training.

        Returns
        -------
        Tensor of shape ()
            The objective.
        """
        target = self.checked_target(y_pred, y_true)
        weight = split_weight(X)[1]
        if weight is not None:
            weight = to_tensor(weight, device=self.device).to(self.torch_dtype_)
        groups = X.get(GROUPS)
        logits = self.head_(y_pred)
        if training:  # before the losses blame the logits
            self.check_converges(logits.detach().abs().sum().item())
        terms = self.objective.terms(logits, target, weight, self._teachers(X), groups)
        if training:
            for name, value in as_float(terms).items():
                self.history.record_batch(name, value)
        return self.objective.total(terms)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the means of the terms over the epoch."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        batches = [b for b in self.history[-1]["batches"] if "sft" in b]
        sizes = [batch["train_batch_size"] for batch in batches]
        for name in [key for key in (batches or [{}])[0] if _is_term(key)]:
            values = [batch[name] for batch in batches]
            self.history.record(name, float(np.average(values, weights=sizes)))

    def _teachers(self, X):
        teachers = []
        for m in range(len(self.objective.teacher_weights)):
            names = [name for name in entries_of(m) if name in X]
            tensors = [to_tensor(X[name], device=self.device) for name in names]
            teachers.append(tensors[0] if len(tensors) == 1 else tuple(tensors))
        return teachers


class WholeGroups(BatchPolicy):
    """Draw batches of whole groups, if rows have groups; else of rows."""

    def loader(self, dataset, **kwargs):
        """Make the loader of an epoch's batches.

        Parameters
        ----------
        dataset : RowDataset
            Training data, with an entry "groups" or without.
        **kwargs : dict
            Parameters of :class:`torch.utils.data.DataLoader`.

        Returns
        -------
        iterable
            Batches.
        """
        groups = dataset.X.get(GROUPS)
        if groups is None:
            return super().loader(dataset, **kwargs)
        batches = GroupBatches(groups, kwargs.pop("batch_size"))
        return DataLoader(dataset, batch_sampler=batches, **kwargs)


class GroupBatches(Sampler):
    """Rows of whole groups, drawn until a batch has enough.

    Parameters
    ----------
    groups : ndarray of shape (n,)
        Group of each row.
    batch_size : int
        Rows from which on a batch is full.
    """

    def __init__(self, groups, batch_size):
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(np.asarray(groups)[order])) + 1
        self.rows = np.split(order, starts)
        self.batch_size = batch_size

    def __iter__(self):
        batch = []
        for group in torch.randperm(len(self.rows)).tolist():
            batch.extend(self.rows[group].tolist())
            if len(batch) >= self.batch_size:
                yield batch
                batch = []
        if batch:
            yield batch


def fusion_data(X, indices, teachers, groups=None, weight=None):
    """Put together what a `FusionNet` is trained on.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Data.
    indices : ndarray of shape (n, ...)
        Class indices.
    teachers : list of array of shape (n, ..., n_outputs), or pairs of them
        Logits of the teachers.
    groups : ndarray of shape (n,), default=None
        Sequences of the rows.
    weight : ndarray of the shape of `indices`, default=None
        Weights.

    Returns
    -------
    RowDataset
        The data.
    """
    data = {"X": X}
    for m, teacher in enumerate(teachers):
        whole, values, of_values = entries_of(m)
        if isinstance(teacher, tuple):
            data |= {values: teacher[0], of_values: teacher[1]}
        else:
            data[whole] = teacher
    if groups is not None:
        data[GROUPS] = groups
    if weight is not None:
        data["sample_weight"] = weight
    return RowDataset(data, indices)


def entries_of(m):
    """Names of the entries of a teacher's logits: whole, or values and indices.

    Parameters
    ----------
    m : int
        Which teacher.

    Returns
    -------
    tuple of str
        Three names.
    """
    name = f"{_TEACHER}{m}"
    return name, f"{name}_values", f"{name}_indices"


def _is_term(key):
    return key == "sft" or key.startswith(("uld_", "gld_"))
