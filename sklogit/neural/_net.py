"""What nets trained by skorch share."""

from collections.abc import Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.history import History
from skorch.utils import is_dataset, to_numpy
from torch import nn

from .._state import restore_on_failure

_TRAINED_IN_PLACE = (nn.Module, torch.optim.Optimizer, History)


def restore_net_on_failure(fit):
    """Make a fitting method atomic, what training changes in place included."""
    atomic_fit = restore_on_failure(fit)

    @wraps(fit)
    def atomic_net_fit(self, *args, **kwargs):
        trained = {
            k: v for k, v in vars(self).items() if isinstance(v, _TRAINED_IN_PLACE)
        }
        # All in one copy, so that the optimiser's holds the parameters of the module's.
        saved = deepcopy(trained)
        try:
            return atomic_fit(self, *args, **kwargs)
        except BaseException:
            # Not by setattr, where skorch registers modules as new components.
            vars(self).update(saved)
            raise

    return atomic_net_fit


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
