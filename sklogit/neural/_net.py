"""What nets trained by skorch share."""

from contextlib import contextmanager
from copy import deepcopy
from functools import wraps

import numpy as np
import torch
from sklearn.utils import check_random_state
from skorch.history import History
from skorch.utils import to_numpy
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
