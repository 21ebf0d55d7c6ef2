"""Least squares as a function of arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.utils._param_validation import validate_params

from ._regression import SketchedLinearRegression


@dataclass
class SketchedLstsqResult:
    """What `sketched_lstsq` found out beside the solution.

    Attributes
    ----------
    residual_norm : float or ndarray of shape (n_targets,)
        Norm of the (weighted) residual b - A x; after one pass an estimate.
    rank : int
        Rank of A.
    solver : str
        The solver that gave the solution.
    n_iter : int
        Passes over A that led to the solution.
    coef_error : ndarray of the shape of x
        How far each entry of x may be from the exact solution, with probability
        1 - delta for all of them after one pass.
    coef_std_error : ndarray of the shape of x
        Standard errors of x if the errors of b are independent with equal variance.
    linf_bound : float or ndarray of shape (n_targets,)
        Bound on all entries: eps / sqrt(d) times the norms of r and A^+ after one pass.
    sketch_size : int or None
        Rows of the sketch, if there was one.
    """

    residual_norm: float | np.ndarray
    rank: int
    solver: str
    n_iter: int
    coef_error: np.ndarray
    coef_std_error: np.ndarray
    linf_bound: float | np.ndarray
    sketch_size: int | None


@validate_params(
    {
        "A": ["array-like", "sparse matrix", callable, Iterator],
        **{
            name: constraint
            for name, constraint in (
                SketchedLinearRegression._parameter_constraints.items()
            )
            if name not in ("fit_intercept", "block_size")
        },
    },
    prefer_skip_nested_validation=True,
)
def sketched_lstsq(
    A,
    b=None,
    *,
    alpha=0.0,
    sample_weight=None,
    solver="auto",
    sketch="block_srht",
    sketch_size=None,
    eps=None,
    delta=0.05,
    tol=None,
    max_iter=100,
    n_jobs=None,
    random_state=None,
):
    r"""Minimise :math:`\sum_i w_i (b_i - a_i^T x)^2 + \alpha \|x\|^2`.

    Parameters
    ----------
    A : array-like, sparse matrix, dask array, iterator or callable
        Matrix of shape (n_rows, n_columns), or an iterator of chunks (A, b) or (A, b,
        sample_weight), or a function that returns one. There is no intercept.
    b : array-like of shape (n_rows,) or (n_rows, n_targets)
        Right-hand sides; None if A yields chunks.
    alpha : float, default=0.0
        Penalty.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.
    solver : str, default="auto"
        "auto", "exact", "cholesky", "preconditioned_cholesky", "iterative" or "sketch",
        as in `SketchedLinearRegression`.
    sketch : str, default="block_srht"
        Kind of the sketch for one pass.
    sketch_size : int, default=None
        Its rows; None follows from `eps` and `delta`.
    eps : float, default=None
        Accuracy of one pass; None solves exactly.
    delta : float, default=0.05
        Probability with which error bars may fail.
    tol : float, default=None
        Relative error of fitted values at which refinement ends; None is rounding.
    max_iter : int, default=100
        Most passes of refinement.
    n_jobs : int, default=None
        Threads that share the rows.
    random_state : int, RandomState instance or None, default=None
        Randomness of sketches.

    Returns
    -------
    x : ndarray of shape (n_columns,) or (n_columns, n_targets)
        Solution; of many that of minimum norm.
    info : SketchedLstsqResult
        Residual, rank, error bars and how it was found.

    Raises
    ------
    ValueError
        If a value is not finite, or shapes do not fit.

    See Also
    --------
    SketchedLinearRegression : The same as an estimator, with an intercept.
    scipy.linalg.lstsq : LAPACK's solvers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import sketched_lstsq
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((5000, 3))
    >>> x, info = sketched_lstsq(A, A @ [1.0, 2.0, 3.0])
    >>> x.round(12)
    array([1., 2., 3.])
    >>> info.rank, info.solver
    (3, 'cholesky')
    """
    regression = SketchedLinearRegression(
        eps,
        delta,
        sketch_size=sketch_size,
        sketch=sketch,
        solver=solver,
        alpha=alpha,
        fit_intercept=False,
        tol=tol,
        max_iter=max_iter,
        n_jobs=n_jobs,
        random_state=random_state,
    ).fit(A, b, sample_weight)
    info = SketchedLstsqResult(
        residual_norm=regression.residual_norm_,
        rank=regression.rank_,
        solver=regression.solver_,
        n_iter=regression.n_iter_,
        coef_error=regression.coef_error_.T,
        coef_std_error=regression.coef_std_error_.T,
        linf_bound=regression.linf_bound_,
        sketch_size=regression.sketch_size_,
    )
    return regression.coef_.T, info
