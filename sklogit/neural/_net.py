"""What nets trained by skorch share."""

import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from functools import wraps

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)
from skorch.utils import is_dataset, to_numpy
from torch import nn

from .._state import restore_on_failure
from ._snapshot import Snapshot


def restore_net_on_failure(fit):
    """Make a fitting method atomic, what training changes in place included."""
    atomic_fit = restore_on_failure(fit)

    @wraps(fit)
    def atomic_net_fit(self, *args, **kwargs):
        if kwargs.get("_checked"):  # by fit, which restores for its partial_fit too
            return fit(self, *args, **kwargs)
        fresh = fit.__name__ == "fit" and starts_anew(self)
        snapshot = Snapshot(self, fresh=fresh)
        history, epochs = self.history_, list(self.history_ or ())
        try:
            return atomic_fit(self, *args, **kwargs)
        except BaseException:
            snapshot.put_back(self)
            if history is not None:
                # Earlier epochs stay as they are; a history is only added to, or
                # cleared. A copy would make many calls of partial_fit quadratic.
                history[:] = epochs
            raise

    return atomic_net_fit


def starts_anew(net):
    """Whether fit will initialise the net."""
    return not (net.warm_start and net.initialized_)


def as_torch_takes_it(X):
    """Return X in native byte order, writeable and C-contiguous; a copy if need be."""
    return np.require(X, X.dtype.newbyteorder("="), ["C", "W"])


def class_indices(y, classes):
    """Return the position of each label in classes, which need not be sorted."""
    y = to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
    unknown = np.setdiff1d(y, classes)
    if unknown.size:
        raise ValueError(f"y contains labels {unknown} that are not in {classes}.")
    sorter = np.argsort(classes)
    return sorter[np.searchsorted(classes, y, sorter=sorter)].astype(np.int64)


def check_labels(y):
    """Raise an error if y are no class labels; many of them are no reason to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        check_classification_targets(y)


@contextmanager
def seeded(random_state):
    """Seed torch inside the block only; None leaves the global generator alone."""
    if random_state is None:
        yield
        return
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def is_dict(X):
    """Whether X is a dict of arrays; some sparse matrices are dicts, of entries."""
    return isinstance(X, Mapping) and not sparse.issparse(X)


def split_weight(X):
    """Part data and weights, of a batch or of all."""
    if not is_dict(X):
        return X, None
    rest = {name: values for name, values in X.items() if name != "sample_weight"}
    return rest["X"] if rest.keys() == {"X"} else rest, X.get("sample_weight")


def with_weight(X, sample_weight, y, dtype=np.float32):
    """Return data that carry their weights, checked, to every batch."""
    if sample_weight is None:
        return X
    weight = _check_sample_weight(
        sample_weight, y, dtype=dtype, ensure_non_negative=True
    )
    return (X if is_dict(X) else {"X": X}) | {"sample_weight": weight}


class LinearLogits(nn.Linear):
    """Linear layer; the module of a net that was given none."""


class ArrayNetMixin:
    """What nets for classes or numbers take from arrays, frames, tensors and datasets.

    The module `LinearLogits` gets the shapes of the data: a net has to know its number
    of outputs, ``_n_outputs``.
    """

    # Instances hold it only while their training loop runs.
    in_training_loop_ = False

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run the training loop; within it labels are class indices."""
        self.in_training_loop_ = True
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        finally:
            del self.in_training_loop_

    def initialize_module(self):
        """Create the module; a linear one gets the shapes of the data."""
        kwargs = self.get_params_for("module")
        if self.module is LinearLogits:
            seen = {
                "in_features": getattr(self, "n_features_in_", None),
                "out_features": self._n_outputs(),
            }
            for name, value in seen.items():
                if kwargs.setdefault(name, value) is None:
                    raise ValueError(
                        f"module__{name} is unknown: pass it, or call fit instead of "
                        "initialize."
                    )
        self.module_ = self.initialized_instance(self.module, kwargs)
        return self

    def check_data(self, X, y=None):
        """Nothing left to check: fit and partial_fit did, before initialising."""

    def __getstate__(self):
        # A checkpoint pickled within the loop must predict labels when loaded.
        return {
            k: v for k, v in super().__getstate__().items() if k != "in_training_loop_"
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags

    def _validated(self, X, y="no_validation", **kwargs):
        """X (and y) as arrays; real numbers in the dtype of the weights, float32."""
        values = validate_data(self, X, y, allow_nd=True, **kwargs)
        X, rest = (values, ()) if isinstance(y, str) else (values[0], values[1:])
        if self.module is LinearLogits or X.dtype.kind == "f":
            X = X.astype(np.float32, copy=False)
        X = as_torch_takes_it(X)
        return (X, *rest) if rest else X

    def _check_for_prediction(self, X):
        check_is_fitted(self)
        if is_dataset(X) or is_dict(X) or isinstance(X, torch.Tensor | tuple):
            return X
        return self._validated(X, reset=False)


class ClassNetMixin(ArrayNetMixin):
    """What nets for classes take: labels of any kind, weights, datasets."""

    @property
    def classes_(self):
        """The labels; within the training loop their indices, as the targets are."""
        labels = self._labels
        return np.arange(len(labels)) if self.in_training_loop_ else labels

    @property
    def _labels(self):
        if self.classes is not None:
            return np.asarray(self.classes)
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} has no classes_ before fit."
            ) from None

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split into training and validation data, with labels as class indices."""
        if y is not None:
            y = self._targets(class_indices(y, self._labels))
        return super().get_split_datasets(X, y, **fit_params)

    def _targets(self, indices):
        """Class indices as the loss takes them."""
        return indices

    def _check_training_data(self, X, y, sample_weight, *, fresh, classes=None):
        """Check all; return data that carry their weights, and labels."""
        # A net that was initialised by hand has not seen any labels.
        fresh = fresh or not hasattr(self, "classes_inferred_")
        if is_dataset(X):
            if sample_weight is not None:
                raise ValueError(
                    "sample_weight must be None if X is a dataset: let its data be "
                    "dicts with an entry 'sample_weight'."
                )
            if fresh:
                self.classes_inferred_ = self._classes_of_dataset(X)
            self._check_classes(y)
            return X, y
        if is_dict(X):
            X, y, sample_weight = parted_dict(X, y, sample_weight)
        else:
            X, y = self._validated(X, y, reset=fresh)
        check_labels(y)
        if fresh:
            self.classes_inferred_ = np.unique(y if classes is None else classes)
        self._check_classes(y)
        if classes is not None and not np.array_equal(
            np.unique(classes), np.unique(self._labels)
        ):
            raise ValueError(
                f"classes must be those that the net has, {self._labels}, got "
                f"{classes!r}."
            )
        class_indices(y, self._labels)
        return with_weight(X, sample_weight, y), y

    def _check_classes(self, y):
        labels = self._labels
        if labels.ndim != 1 or len(np.unique(labels)) < len(labels):
            raise ValueError(f"classes must be different labels, got {self.classes!r}.")
        if len(labels) < 2:
            raise ValueError(
                f"y needs at least 2 classes, got only one class: {labels}."
            )


def parted_dict(X, y, sample_weight):
    """Return data, labels and weights of a dict, which may hold the weights."""
    if y is None:
        raise ValueError("y must be given with a dict X, got None.")
    y = to_numpy(y) if isinstance(y, torch.Tensor) else np.array(y)
    rest = {name: values for name, values in X.items() if name != "sample_weight"}
    own = X.get("sample_weight")
    if own is None:
        return rest, y, sample_weight
    if sample_weight is not None:
        raise ValueError(
            "sample_weight must be None if X has an entry 'sample_weight', got both."
        )
    return rest, y, to_numpy(own) if isinstance(own, torch.Tensor) else own
