"""What data a net takes, and how they reach its module."""

from numbers import Integral

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import assert_all_finite, column_or_1d, validate_data
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_numpy
from torch.utils.data import IterableDataset, Subset

from ._net import class_indices, is_dict, parted_dict, split_weight, with_weight
from ._parts import NUMBERS_OF_CLASSES, shapes_of
from ._row_dataset import RowDataset, reads_at_once
from ._stratified import labels_at_hand


class NetDataMixin:
    """Data of a net: arrays of any shape, frames, sparse, tensors, dicts, datasets."""

    def get_iterator(self, dataset, training=False):
        """Make the loader, in training that of the policy.

        Parameters
        ----------
        dataset : Dataset
            Data.
        training : bool, default=False
            Whether it is for training.

        Returns
        -------
        iterable
            Batches.
        """
        name = "iterator_train" if training else "iterator_valid"
        kwargs = {"batch_size": self.batch_size} | self.get_params_for(name)
        if kwargs["batch_size"] == -1:
            kwargs["batch_size"] = len(dataset)
        if reads_at_once(dataset):
            kwargs.setdefault("collate_fn", RowDataset.collate)
        loader = self.batch_policy_.loader if training else self.iterator_valid
        return loader(dataset, **kwargs)

    def _as_module_takes_it(self, x):
        """Real numbers in the dtype of the parameters, integers as int64."""
        if is_dict(x):
            return {
                name: self._as_module_takes_it(values) for name, values in x.items()
            }
        if isinstance(x, list):
            return [self._as_module_takes_it(values) for values in x]
        if not isinstance(x, torch.Tensor):
            return x
        if x.is_floating_point() or self.module is None:
            return x.to(self.torch_dtype_)
        return x if x.dtype == torch.bool else x.long()

    def _check_for_prediction(self, X):
        X = super()._check_for_prediction(X)
        shape = getattr(self, "input_shapes_", None)
        # A module may take sequences of any length.
        flat = self.module is None and isinstance(X, np.ndarray) and shape is not None
        if flat and X.shape[1:] != shape[0]:
            raise ValueError(
                f"X must have rows of shape {shape[0]}, as in fit, got {X.shape[1:]}."
            )
        return X

    def _validated(self, X, y="no_validation", **kwargs):
        """X (and y), checked; their dtype is left to the batches."""
        if isinstance(X, torch.Tensor):
            if X.device.type != "cpu" or X.dtype == torch.bfloat16:
                return self._validated_tensor(X, y, **kwargs)
            X = X.detach().numpy()
        return validate_data(self, X, y, allow_nd=True, accept_sparse="csr", **kwargs)

    def _validated_tensor(self, X, y, **kwargs):
        """Check a tensor that numpy cannot take where it is."""
        X = X.detach()
        if not X.isfinite().all():
            raise ValueError("Input X contains NaN or infinity.")
        validate_data(self, X, skip_check_array=True, **kwargs)
        if isinstance(y, str):
            return X
        if y is None:
            raise ValueError("y must be given, got None.")
        y = to_numpy(y) if isinstance(y, torch.Tensor) else y
        return X, column_or_1d(y, warn=True)

    def _check_training_data(self, X, y, sample_weight, **kwargs):
        self._check_settings()
        if is_dict(X):
            for name, values in X.items():
                if isinstance(values, np.ndarray) or sparse.issparse(values):
                    assert_all_finite(values, input_name=name)
        data = super()._check_training_data(X, y, sample_weight, **kwargs)
        if is_dataset(X):
            self._check_indices(labels_at_hand(X))
        return data

    def _check_settings(self):
        """Name the parameters that loaders and loops would stumble over."""
        for name, least in (("max_epochs", 0), ("batch_size", 1)):
            value = getattr(self, name)
            all_rows = name == "batch_size" and value == -1
            if not ((isinstance(value, Integral) and value >= least) or all_rows):
                allowed = f"an integer >= {least}" + ", or -1" * (name == "batch_size")
                raise ValueError(f"{name} must be {allowed}, got {value!r}.")
        if not callable(self.optimizer):
            raise TypeError(
                f"optimizer must be a class of torch.optim, got {self.optimizer!r}."
            )

    def _check_indices(self, y):
        """Refuse class indices of a dataset that are none; None is not looked at."""
        if y is None:
            return
        own = getattr(self.loss, "ignore_index", -100)
        ignored = self.get_params_for("loss").get("ignore_index", own)
        n_classes = len(self._labels)
        wrong = ((y < 0) | (y >= n_classes)) & (y != ignored)
        if wrong.any():
            raise ValueError(
                f"y of a dataset must be class indices from 0 to {n_classes - 1}, or "
                f"{ignored} to be ignored, got {y[wrong][0]}."
            )

    def _classes_of_dataset(self, dataset):
        """Class indices of a dataset, by what is known without reading it."""
        if self.classes is not None:
            return np.asarray(self.classes)
        number = self._number_of_classes_of_head()
        if number is None:
            y = labels_at_hand(dataset)
            if y is None:
                raise ValueError(
                    "classes must be given: the labels of the dataset are not at hand."
                )
            if y.dtype.kind not in "iub":
                raise ValueError(
                    "y of a dataset must be class indices, integers from 0 on, got "
                    f"{y.dtype}."
                )
            number = int(y.max()) + 1
        return np.arange(number)

    def _number_of_classes_of_head(self):
        of_instance = self.head if isinstance(self.head, torch.nn.Module) else None
        given = self.get_params_for("head")
        for name in NUMBERS_OF_CLASSES:
            if name in given:
                return given[name]
        for name in NUMBERS_OF_CLASSES:
            if isinstance(getattr(of_instance, name, None), int):
                return getattr(of_instance, name)
        return None

    def _labelled_dataset(self, X, y, sample_weight):
        """Dataset of class indices, of a net that is fitted."""
        if is_dataset(X):
            return X
        X = self._check_for_prediction(X)
        if is_dict(X):
            X, y, sample_weight = parted_dict(X, y, sample_weight)
        y = class_indices(y, self._labels)
        return self.get_dataset(with_weight(X, sample_weight, y), y)

    def _look_at(self, X, y):
        """Keep what parts are made for: two rows, their shapes, counts of classes."""
        dataset = self.get_dataset(X)
        if not isinstance(dataset, IterableDataset):
            dataset = Subset(dataset, range(min(2, len(dataset))))
        batch = next(iter(self.get_iterator(dataset, training=False)))
        self.example_ = split_weight(unpack_data(batch)[0])[0]
        self.input_shapes_ = shapes_of(self.example_)
        self.class_counts_ = self._counts_of_classes(X, y)

    def _counts_of_classes(self, X, y):
        labels = self._labels
        if not is_dataset(X):
            indices, weight = class_indices(y, labels), split_weight(X)[1]
            return np.bincount(indices, weight, len(labels))
        y = labels_at_hand(X)
        if y is None:
            return None
        return np.bincount(y[(y >= 0) & (y < len(labels))], minlength=len(labels))
