"""How similar two subspaces, or two sets of hidden states, are."""

import numpy as np
from sklearn.utils import check_array


def principal_cosines(A, B):
    """Compute cosines of the principal angles between two column spaces.

    They are the singular values of the product of orthonormal bases. Columns that
    depend on others add nothing to a space.

    Parameters
    ----------
    A : array-like of shape (n_outputs, n_first)
        Columns that span the first subspace.
    B : array-like of shape (n_outputs, n_second)
        Columns that span the second one.

    Returns
    -------
    ndarray of shape (min(rank_a, rank_b),)
        Cosines between 0 and 1, the largest first.

    Raises
    ------
    ValueError
        If the numbers of rows differ, or an entry is not finite.

    See Also
    --------
    scipy.linalg.subspace_angles : The angles, accurate for small ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.audit import principal_cosines
    >>> first, second = np.eye(4)[:, :2], np.eye(4)[:, 1:3]
    >>> principal_cosines(first, second).round(6).tolist()
    [1.0, 0.0]
    """
    A = check_array(A, dtype=np.float64, ensure_min_features=0, input_name="A")
    B = check_array(B, dtype=np.float64, ensure_min_features=0, input_name="B")
    if A.shape[0] != B.shape[0]:
        raise ValueError(
            f"A and B must have as many rows each, got {A.shape[0]} and {B.shape[0]}."
        )
    if not A.shape[1] or not B.shape[1]:
        return np.empty(0)
    return np.minimum(np.linalg.svdvals(_basis(A).T @ _basis(B)), 1.0)


def _basis(A):
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    return U[:, s > s[0] * max(A.shape) * np.finfo(float).eps]


def hidden_geometry_match(H1, H2):
    r"""Similarity of two sets of hidden states, up to rotations.

    .. math:: \frac{\|H_1^\top H_2\|_*}{\|H_1\|_F \|H_2\|_F}

    of states whose mean was subtracted, with the nuclear norm :math:`\|\cdot\|_*`. It
    is 1 if one is a rotation and scaling of the other.

    Parameters
    ----------
    H1 : array-like of shape (n_samples, n_first)
        Hidden states of the first model.
    H2 : array-like of shape (n_samples, n_second)
        Hidden states of the second one, for the same inputs.

    Returns
    -------
    float
        The match, between 0 and 1.

    Raises
    ------
    ValueError
        If the numbers of samples differ, or all states of a model are the same.

    Notes
    -----
    It overstates how good a copy is: a linear student can match the geometry by .93
    and agree on only 58 % of the most likely outputs. Never quote it alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.audit import hidden_geometry_match
    >>> H = np.random.default_rng(0).standard_normal((50, 4))
    >>> round(hidden_geometry_match(H, 2 * H[:, ::-1] + 1), 6)
    1.0
    """
    H1 = check_array(H1, dtype=np.float64, ensure_min_samples=2, input_name="H1")
    H2 = check_array(H2, dtype=np.float64, ensure_min_samples=2, input_name="H2")
    if len(H1) != len(H2):
        raise ValueError(
            f"H1 and H2 must have as many samples each, got {len(H1)} and {len(H2)}."
        )
    H1, H2 = H1 - H1.mean(axis=0), H2 - H2.mean(axis=0)
    norms = np.linalg.norm(H1), np.linalg.norm(H2)
    if not all(norms):
        raise ValueError("H1 and H2 must vary: all hidden states of one are the same.")
    return float(np.linalg.svdvals(H1.T @ H2).sum() / (norms[0] * norms[1]))
