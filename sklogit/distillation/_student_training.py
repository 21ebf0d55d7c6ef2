"""What the nets of students share: features of rows, and how training ends early."""

from contextlib import contextmanager

import numpy as np
from skorch.utils import to_tensor


class Interrupted(BaseException):
    """Ctrl-C, on its way through skorch."""


@contextmanager
def interruptible():
    """Let Ctrl-C end the training inside as it ends anything else."""
    try:
        yield
    except Interrupted as interrupted:
        raise KeyboardInterrupt from interrupted


class StudentTrainingMixin:
    """Mixin of nets of skorch, before `LogitClassifier`."""

    def fit_loop(self, *args, **kwargs):
        """Train, and raise an interrupt as what skorch does not swallow.

        So the net is put back to where it was, as after any other failure.

        Parameters
        ----------
        *args, **kwargs
            As of skorch.

        Returns
        -------
        StudentTrainingMixin
            The net.

        Raises
        ------
        Interrupted
            On Ctrl-C.
        """
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            raise Interrupted from interrupt

    def checked_target(self, features, y):
        """Check that there are features of each label.

        Parameters
        ----------
        features : Tensor of shape (n, ..., in_features)
            What the backbone returned.
        y : Tensor of shape (n, ...)
            Class indices.

        Returns
        -------
        Tensor of shape (n, ...)
            Class indices, on the device.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        target = to_tensor(y, device=self.device)
        if features.shape[:-1] != target.shape:
            raise ValueError(
                "backbone must return features of shape "
                f"{(*target.shape, 'in_features')} for labels of shape "
                f"{tuple(target.shape)}, got {tuple(features.shape)}."
            )
        return target

    def check_converges(self, loss):
        """Raise an error if a loss is not finite: all later ones would be NaN too.

        Parameters
        ----------
        loss : float
            The loss, of a batch or an epoch.

        Raises
        ------
        ValueError
            If it is NaN or infinite.
        """
        if not np.isfinite(loss):
            raise ValueError(
                f"training diverged: the loss became {loss} in epoch "
                f"{len(self.history)}. Try a smaller lr than {self.lr}."
            )
