"""Fitting, streaming and predicting of sketched regressions."""

import warnings
from copy import deepcopy

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from ._chunks import refuse_no_weight
from ._dask import is_dask
from ._error_bars import error_bars
from ._moments import MomentStream
from ._one_pass import warn_of_sketch
from ._problem import Problem
from ._progress import ReportedRows
from ._regression_data import Chunks, is_chunks, refuse_weight, row_source
from ._row_sketch import seed_of
from ._sketch_size import sketch_size as rule_of_size
from ._solve import solve, solve_in_one_pass
from ._stream import SketchStream

# What one pass aims at if nothing is said.
_DEFAULT_EPS = 0.5


def _reads_once(self):
    if self.solver not in ("auto", "sketch"):
        raise AttributeError(
            f"partial_fit reads rows once, and solver={self.solver!r} again: use "
            "solver='sketch'."
        )
    return True


class SketchedRegressor(
    CallbackSupportMixin, MultiOutputMixin, RegressorMixin, BaseEstimator
):
    """What `SketchedLinearRegression` does; the class tells what it means."""

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Fit the regression.

        Parameters
        ----------
        X : array-like, sparse matrix, dask array, iterator or callable
            Features of shape (n_samples, n_features); or, without y, an iterator of
            chunks (X, y) or (X, y, sample_weight), or a function that returns one.
        y : array-like or dask array of shape (n_samples,) or (n_samples, n_targets)
            Targets; None if X yields chunks.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        self : object
            The fitted regression.

        Raises
        ------
        ValueError
            If a value is not finite, a weight negative, shapes do not fit, or
            `sketch_size` is not more than the number of columns; or if an iterator,
            which can be read once, shall be solved by refinement.
        """
        self.__dict__.pop("_stream", None)
        context = self._init_callback_context(max_subtasks=None)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        if is_chunks(X, y) and (not callable(X) or self._sketches()):
            refuse_weight(sample_weight)
            self._fit_chunks(X() if callable(X) else X, context)
        else:
            self._fit_rows(X, y, sample_weight, context)
        context.call_on_fit_task_end(
            estimator=self, X=X, y=y, reconstruction_attributes={}
        )
        return self

    @available_if(_reads_once)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None, *, first_row=None):
        """Add rows to what is kept of the data, and solve that.

        A sketch is kept if `eps` is given or ``solver="sketch"``. Else second moments
        are kept beside it, and solved if the columns are not nearly dependent; that is
        exact up to rounding, of which `coef_error_` tells.

        How the rows are cut into calls changes nothing. What was added stays if a later
        chunk fails: `n_samples_seen_` tells where to go on. Available for the solvers
        "auto" and "sketch".

        Parameters
        ----------
        X : array-like, sparse matrix, iterator or callable
            Rows of shape (n_samples, n_features); or, without y, an iterator of chunks
            (X, y) or (X, y, sample_weight), which is solved once, at its end.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; None if X yields chunks.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        first_row : int, default=None
            Number of the first of these rows in the whole table, for sketches of parts
            that are to be merged; None goes on after the last row.

        Returns
        -------
        self : object
            The regression of all rows so far.

        Raises
        ------
        ValueError
            As `fit`.
        """
        if is_chunks(X, y):
            refuse_weight(sample_weight)
            chunks = X() if callable(X) else X
        else:
            chunks = [(X, y) if sample_weight is None else (X, y, sample_weight)]
        n_before = self._stream.n_rows if hasattr(self, "_stream") else 0
        try:
            for _ in self._read(chunks, first_row):
                pass
        finally:
            if hasattr(self, "_stream") and self._stream.n_rows > n_before:
                self._solve_stream()
        return self

    @restore_on_failure
    def merge(self, other):
        """Add the rows that another regression has sketched by `partial_fit`.

        Parameters
        ----------
        other : SketchedLinearRegression
            Of the same parameters, fitted to other rows of the same table.

        Returns
        -------
        self : object
            The regression of the rows of both.

        Raises
        ------
        ValueError
            If the sketches differ in seed, size or type, or have rows in common.
        """
        for each in (self, other):
            check_is_fitted(each)
            if not hasattr(each, "_stream"):
                raise ValueError(
                    "merge needs sketches: both must have been fitted by partial_fit, "
                    "or to an iterator of chunks."
                )
        self._stream = deepcopy(self._stream)
        self._stream.merge(other._stream)
        self._solve_stream()
        return self

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like, sparse matrix or dask array of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray or dask array of shape (n_samples,) or (n_samples, n_targets)
            Predictions.
        """
        check_is_fitted(self)
        return self._features(X) @ self.coef_.T + self.intercept_

    def predict_error(self, X):
        r"""Half widths of predictions, with respect to those of exact least squares.

        After one pass, the prediction of exact least squares for a row is within it
        with probability :math:`1 - \delta`, for each row separately. For other solvers
        it is a bound on what refinement and rounding leave.

        Parameters
        ----------
        X : array-like, sparse matrix or dask array of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray or dask array of shape (n_samples,) or (n_samples, n_targets)
            Half widths.
        """
        check_is_fitted(self)
        spread = self._features(X) @ self._root[1:] + self._root[0]
        length = (spread**2).sum(axis=1) ** 0.5
        if self.coef_.ndim == 2:
            return length[:, np.newaxis] * self._row_error
        return length * self._row_error

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _features(self, X):
        """Validate features to predict for; those of Dask stay lazy."""
        if not is_dask(X):
            return validate_data(
                self,
                X,
                accept_sparse=["csr", "csc"],
                dtype=[np.float64, np.float32],
                reset=False,
            )
        X = X.to_dask_array() if hasattr(X, "to_dask_array") else X
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has shape {X.shape}, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return X

    def _fit_rows(self, X, y, sample_weight, context):
        """Fit to rows that can be read again."""
        rows, is_single = row_source(self, X, y, sample_weight)
        if hasattr(self, "_skl_callbacks"):
            rows = ReportedRows(rows, self, context)
        problem = Problem(
            rows,
            alpha=float(self.alpha),
            fit_intercept=self.fit_intercept,
            tol=0.0 if self.tol is None else float(self.tol),
            max_iter=self.max_iter,
            seed=seed_of(self.random_state),
        )
        if not self._sketches():
            solution = solve(problem, self.solver, self.sketch_size)
        else:
            size = self._size(rows.n_features)
            warn_of_sketch(self.sketch, size, rows.n_rows)
            solution = solve_in_one_pass(problem, self.sketch, size, self.block_size)
        self._store(solution, rows.n_rows, rows.n_counted, rows.dtype, is_single)

    def _fit_chunks(self, chunks, context):
        """Fit to chunks that can be read once."""
        if self.solver not in ("auto", "sketch"):
            raise ValueError(
                f"solver={self.solver!r} reads the data again, and an iterator of "
                "chunks can be read once: use solver='sketch', or a function that "
                "returns an iterator."
            )
        try:
            for _ in self._read(chunks):
                task = context.subcontext(task_name="chunk")
                task.call_on_fit_task_begin(estimator=self)
                task.call_on_fit_task_end(estimator=self)
        except BaseException as error:
            stream = getattr(self, "_stream", None)
            n_rows = 0 if stream is None else stream.n_rows
            error.add_note(
                f"After {n_rows} rows of X. fit keeps none of them; partial_fit does, "
                "and goes on with those that are left."
            )
            raise
        self._solve_stream()

    def _read(self, chunks, first_row=None):
        """Sketch chunks; yield the number of rows so far after each of them."""
        stream = getattr(self, "_stream", None)
        source = Chunks(self, reset=stream is None)
        if stream is not None:
            source.is_single, source.n_targets = stream.is_single, stream.n_targets
        before = self.__dict__.copy()
        try:
            for X, y, weight in source.of(chunks):
                if stream is None:
                    stream = self._new_stream(X, y, source.is_single)
                stream.update(X, y, weight, first_row)
                first_row = None
                self._stream = stream
                before = self.__dict__.copy()
                yield stream.n_rows
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        if stream is None:
            raise ValueError("X yields no chunk: it must yield (X, y) at least once.")

    def _new_stream(self, X, y, is_single):
        size = self._size(X.shape[1])
        warn_of_sketch(self.sketch, size, None)
        return SketchStream(
            self.sketch,
            size,
            self.block_size,
            seed_of(self.random_state),
            X.shape[1],
            y.shape[1],
            X.dtype,
            is_single,
            None if self._sketches() else MomentStream(self.fit_intercept),
        )

    def _solve_stream(self):
        stream = self._stream
        refuse_no_weight(stream.n_counted)
        solution = stream.solve(float(self.alpha), self.fit_intercept)
        self._store(
            solution, stream.n_rows, stream.n_counted, stream.dtype, stream.is_single
        )

    def _sketches(self):
        """Whether the parameters ask for a solution from one pass."""
        return self.solver == "sketch" or (
            self.solver == "auto" and self.eps is not None
        )

    def _size(self, n_features):
        """Rows of the sketch for one pass."""
        n_columns = n_features + self.fit_intercept
        if self.sketch_size is None:
            eps = _DEFAULT_EPS if self.eps is None else self.eps
            return rule_of_size(n_columns, eps, self.delta)
        if self.sketch_size <= n_columns:
            raise ValueError(
                f"sketch_size must exceed the number of columns: got "
                f"{self.sketch_size} for {n_columns}, the intercept included."
            )
        return self.sketch_size

    def _store(self, solution, n_rows, n_counted, dtype, is_single):
        """Set the fitted attributes."""

        def of_targets(values, dtype=dtype):
            return dtype.type(values[0]) if is_single else values.astype(dtype)

        def of_coefs(values):
            return np.ascontiguousarray(
                values[:, 0] if is_single else values.T, dtype=dtype
            )

        bars = error_bars(solution, self.fit_intercept, self.delta, n_counted)
        self.coef_ = of_coefs(solution.coef)
        self.intercept_ = of_targets(solution.intercept)
        if not self.fit_intercept:
            self.intercept_ = 0.0
        self.coef_error_ = of_coefs(bars.coef_error)
        self.coef_std_error_ = of_coefs(bars.coef_std_error)
        self.linf_bound_ = of_targets(bars.linf_bound, np.dtype(np.float64))
        self.residual_norm_ = of_targets(solution.residual_norm, np.dtype(np.float64))
        self.rank_ = solution.rank
        self.solver_ = solution.solver
        self.sketch_size_ = solution.sketch_size
        self.n_iter_ = solution.n_iter
        self.n_samples_seen_ = n_rows
        self._root, self._row_error = solution.root, of_targets(bars.row_error)
        if not solution.converged:
            warnings.warn(
                f"Refinement did not reach its tolerance in {solution.n_iter} passes: "
                "increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=5,
            )
