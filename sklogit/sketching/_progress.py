"""Progress of passes over rows, told to scikit-learn's callbacks."""

_PARTS = 100


class ReportedRows:
    """A source of rows that tells callbacks of each pass, and of its hundredths.

    Parameters
    ----------
    rows : ArrayRows or another source of rows
        The source.
    estimator : estimator
        Whose fit it is.
    context : CallbackContext
        The task of the fit.
    """

    def __init__(self, rows, estimator, context):
        self._rows, self._estimator, self._context = rows, estimator, context

    def __getattr__(self, name):
        return getattr(self._rows, name)

    def sum(self, reduction):
        """Return the sum of a reduction over all rows, a tuple of arrays."""
        n_rows = self._rows.n_rows
        task = self._context.subcontext(
            task_name="pass", max_subtasks=None if n_rows is None else _PARTS
        )
        task.call_on_fit_task_begin(estimator=self._estimator)
        told = 0

        def tell(n_done):
            nonlocal told
            while n_rows is not None and told < _PARTS * n_done // n_rows:
                self._tell(task.subcontext(task_name="part"))
                told += 1

        self._rows.on_rows = tell
        try:
            total = self._rows.sum(reduction)
        finally:
            self._rows.on_rows = None
        tell(n_rows)
        task.call_on_fit_task_end(estimator=self._estimator)
        return total

    def _tell(self, task):
        task.call_on_fit_task_begin(estimator=self._estimator)
        task.call_on_fit_task_end(estimator=self._estimator)
