"""Row sketch of Kronecker products of matrices, which are never formed."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from ._hadamard import fwht
from ._tensor_factors import draw_indices


@validate_params(
    {
        "A1": ["array-like", "sparse matrix"],
        "A2": ["array-like", "sparse matrix"],
        "B": ["array-like", "sparse matrix", None],
        "sketch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def kronecker_sketch(A1, A2, B, sketch_size, *, random_state=None):
    r"""Sketch the least-squares problem of a Kronecker product.

    Returns S A and S b for :math:`A = A_1 \otimes A_2` and b = B.ravel(), with

    .. math:: S = \frac{1}{\sqrt m} P\, (H_1 D_1 \otimes H_2 D_2) ,

    random signs D, Sylvester's Hadamard matrices H, and m rows of their Kronecker
    product taken by P [1]_. A row of S A is the Kronecker product of one row of
    :math:`H_1 D_1 A_1` and one of :math:`H_2 D_2 A_2`, so that A is never formed.

    Parameters
    ----------
    A1 : {array-like, sparse matrix} of shape (n1, d1)
        First factor.
    A2 : {array-like, sparse matrix} of shape (n2, d2)
        Second factor.
    B : {array-like, sparse matrix} of shape (n1, n2) or (n1, n2, k), or None
        Targets: ``B[i, j]`` belongs to row i of A1 and row j of A2. None if only S A
        is wanted.
    sketch_size : int
        Number m of rows of the sketch, at most that of the product of n1 and n2, each
        rounded up to a power of two. For least squares it must exceed d1 * d2.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. The same int gives the same S for the same n1, n2
        and sketch_size: sums of Kronecker products, or several of them side by side,
        are sketched one by one.

    Returns
    -------
    SA : ndarray of shape (sketch_size, d1 * d2)
        Sketch of ``numpy.kron(A1, A2)``; float32 if all arrays are, else float64.
    SB : ndarray of shape (sketch_size,) or (sketch_size, k), or None
        Sketch of the targets.

    Raises
    ------
    ValueError
        If a value is not finite, the shapes do not fit, or sketch_size is too large.

    See Also
    --------
    TensorSRHT : The same transform of one vector with itself.

    Notes
    -----
    One Kronecker product needs no sketch: with the QR decompositions of the factors,
    :math:`\|(A_1 \otimes A_2) x - b\|^2` and :math:`\|(R_1 \otimes R_2) x - Q_1^\top B
    Q_2\|^2` differ by a constant, and the exact solution takes less time than the
    sketched one. The same holds for a few products side by side, with the QR
    decompositions of all their first and all their second factors. The sketch is for
    products so many that these have about as many columns as rows.

    The pairs of rows are drawn without replacement, and each row of the transforms is
    used equally often.

    References
    ----------
    .. [1] "Oblivious Sketching of High-Degree Polynomial Kernels", arXiv:1909.01410.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import kronecker_sketch
    >>> rng = np.random.default_rng(0)
    >>> A1, A2 = rng.normal(size=(300, 3)), rng.normal(size=(200, 4))
    >>> B = A1 @ rng.normal(size=(3, 4)) @ A2.T + rng.normal(size=(300, 200))
    >>> SA, Sb = kronecker_sketch(A1, A2, B, 2000, random_state=0)
    >>> x = np.linalg.lstsq(SA, Sb)[0]
    >>> exact = np.linalg.pinv(A1) @ B @ np.linalg.pinv(A2).T
    >>> bool(np.abs(x - exact.ravel()).max() < 0.1)
    True
    """
    A1, A2, B = _validated(A1, A2, B)
    rng = check_random_state(random_state)
    n1, n2 = len(A1), len(A2)
    signs1, signs2 = (rng.choice([-1.0, 1.0], size=n) for n in (n1, n2))
    i1, i2 = _draw_pairs(rng, _padded(n1), _padded(n2), sketch_size)
    scale = A1.dtype.type(sketch_size**-0.5)
    T1 = scale * _transform(A1, signs1)[i1]
    T2 = _transform(A2, signs2)[i2]
    SA = np.einsum("mi,mj->mij", T1, T2).reshape(sketch_size, -1)
    if B is None:
        return SA, None
    return SA, scale * _transform_targets(B, signs1, signs2, i1, i2)


def _validated(A1, A2, B):
    dtypes = [np.float64, np.float32]
    options = {"accept_sparse": True, "dtype": dtypes}
    A1 = check_array(A1, input_name="A1", **options)
    A2 = check_array(A2, input_name="A2", **options)
    if B is not None:
        B = check_array(B, input_name="B", allow_nd=True, **options)
        if B.ndim > 3 or B.shape[:2] != (A1.shape[0], A2.shape[0]):
            raise ValueError(
                f"B must have one row for each of the {A1.shape[0]} rows of A1 and one "
                f"column for each of the {A2.shape[0]} rows of A2, and at most one "
                f"further axis; got shape {B.shape}."
            )
    arrays = [M.toarray() if sparse.issparse(M) else M for M in (A1, A2, B)]
    dtype = np.result_type(*(M for M in arrays if M is not None))
    return [M if M is None else M.astype(dtype, copy=False) for M in arrays]


def _padded(n):
    return 1 << (n - 1).bit_length()


def _draw_pairs(rng, n1, n2, sketch_size):
    """Different pairs of rows; each row as often as any other, as far as it goes."""
    if sketch_size > n1 * n2:
        raise ValueError(
            f"sketch_size must be at most {n1} * {n2} = {n1 * n2}, the numbers of rows "
            f"of A1 and A2 rounded up to powers of two; got {sketch_size}."
        )
    if n1 < n2:
        return _draw_pairs(rng, n2, n1, sketch_size)[::-1]
    return draw_indices(rng, [n1, n2], sketch_size)


def _transform(A, signs):
    """Multiply by H D, rows of zeros added to the next power of two."""
    padded = np.zeros((_padded(len(A)), *A.shape[1:]), dtype=A.dtype)
    signs = signs.astype(A.dtype).reshape(-1, *[1] * (A.ndim - 1))
    np.multiply(A, signs, out=padded[: len(A)])
    return fwht(padded)


def _transform_targets(B, signs1, signs2, i1, i2):
    """Entries (i1, i2) of H_1 D_1 B D_2 H_2."""
    half_done = _transform(B, signs1).swapaxes(0, 1)
    return _transform(half_done, signs2)[i2, i1]
