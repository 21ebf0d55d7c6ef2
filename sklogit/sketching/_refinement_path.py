"""Iterates of sketch-and-solve and of the refinement after it, for study."""

import numpy as np


def refinement_path(A, b, sketched, n_steps):
    r"""Return the solution of a sketched problem and its refinements.

    The first iterate solves :math:`\min_x \|S A x - S b\|`. The others are steps of
    iterative sketching with momentum: with :math:`P = V \Sigma^{-1}` of the thin
    singular value decomposition :math:`S A = W \Sigma V^T` of rank q, and
    :math:`\beta = q / m`,

    .. math:: x \leftarrow x + (1 - \beta)^2 P P^T A^T (b - A x) + \beta (x - x_-).

    If the singular values of :math:`S U`, where U is a basis of the range of A, lie in
    :math:`1 \pm \sqrt\beta`, as those of a Gaussian sketch do in the limit, these are
    the steps of the heavy-ball method with the best constants, and the error falls by
    :math:`\sqrt\beta` in each.

    Parameters
    ----------
    A : ndarray of shape (n_rows, n_columns)
        Design, with the column of the intercept if there is one.
    b : ndarray of shape (n_rows,)
        Target.
    sketched : ndarray of shape (sketch_size, n_columns + 1)
        The sketch of A and b side by side.
    n_steps : int
        Number of steps.

    Returns
    -------
    ndarray of shape (n_steps + 1, n_columns)
        Iterates.

    References
    ----------
    .. [1] "Fast and Forward Stable Randomized Algorithms for Linear Least-Squares
       Problems", arXiv:2311.04362.
    """
    W, s, Vt = np.linalg.svd(sketched[:, :-1], full_matrices=False)
    kept = s > max(A.shape) * np.finfo(s.dtype).eps * s[0]
    P = Vt[kept].T / s[kept]
    beta = kept.sum() / len(sketched)
    x = before = P @ (W[:, kept].T @ sketched[:, -1])
    path = [x]
    for _ in range(n_steps):
        step = (1 - beta) ** 2 * (P @ (P.T @ (A.T @ (b - A @ x))))
        x, before = x + step + beta * (x - before), x
        path.append(x)
    return np.array(path)
