"""What a failed or interrupted fit leaves behind: the state from before it."""

from functools import wraps


def restore_on_failure(fit):
    """Make a fitting method atomic.

    Whatever ends the method early (an error, Ctrl-C), the estimator has afterwards
    exactly the attributes it had before the call, so an earlier fit stays usable.
    Put it outermost, above ``_fit_context`` and ``with_callbacks``.

    Parameters
    ----------
    fit : callable
        Method of an estimator that sets attributes on ``self``.

    Returns
    -------
    callable
        The same method, atomic.
    """

    @wraps(fit)
    def atomic_fit(self, *args, **kwargs):
        before = self.__dict__.copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    return atomic_fit
