"""The nuclear norm of a sample's logits."""

import numpy as np
from sklearn.utils._param_validation import StrOptions, validate_params

from ._arrays import as_double, as_floats, check_finite, masked, namespace

# Numbers that are held in double precision at once: 128 MiB.
_AT_ONCE = 2**24


@validate_params(
    {
        "logits": "no_validation",
        "mask": "no_validation",
        "method": [StrOptions({"auto", "gram", "svd"})],
    },
    prefer_skip_nested_validation=True,
)
def nuclear_norm(logits, *, mask=None, method="auto"):
    r"""Compute the nuclear norm of each sample's logits.

    .. math:: \|L_i\|_* = \sum_{j \le \min(N, V)} \sigma_j(L_i), \qquad
        \|L\|_F \le \|L\|_* \le \sqrt{\min(N, V)} \, \|L\|_F

    It is low if all positions predict the same, and high if they predict different
    things; it grows in proportion to the logits [1]_.

    Parameters
    ----------
    logits : array or Tensor of shape (n_samples, n_positions, n_classes)
        Logits of NumPy or torch, or those of one sample, of shape
        (n_positions, n_classes).
    mask : array of shape (n_samples, n_positions), default=None
        True for positions that count; by default all do.
    method : {"auto", "gram", "svd"}, default="auto"
        "gram" takes the roots of the eigenvalues of the smaller of :math:`L L^\top`
        and :math:`L^\top L`, formed in double precision; it is several times faster
        than singular values, and drops those below :math:`\sqrt{n \epsilon}` of the
        greatest, 1e-7 for n = 64 rows or columns. "svd" does not. "auto" is "gram".

    Returns
    -------
    array or Tensor of shape (n_samples,), or a scalar for one sample
        The norms. Of tensors they have gradients.

    Raises
    ------
    TypeError
        If logits are sparse, or no real numbers.
    ValueError
        If shapes do not fit, or a logit that counts, or its square, is not finite.

    See Also
    --------
    nuclear_norm_from_head : Without forming the logits.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.batch_selection import nuclear_norm
    >>> same, different = np.ones((2, 2)), np.sqrt(2) * np.eye(2)
    >>> nuclear_norm(np.stack([same, different])).round(3)
    array([2.   , 2.828])
    """
    logits = as_floats("logits", logits)
    if logits.ndim not in (2, 3) or 0 in logits.shape[-2:]:
        raise ValueError(
            "logits must have the shape (n_samples, n_positions, n_classes) or "
            f"(n_positions, n_classes), got {tuple(logits.shape)}."
        )
    logits = masked(logits, mask)
    check_finite("logits", logits)
    norms = _in_chunks(logits if logits.ndim == 3 else logits[None], method)
    return norms if logits.ndim == 3 else norms[0]


def _in_chunks(logits, method):
    """Norms, of as many samples at once as double precision has room for."""
    size = max(1, _AT_ONCE // (logits.shape[1] * logits.shape[2]))
    norms = _svd_norms if method == "svd" else gram_norms
    parts = [norms(logits[i : i + size]) for i in range(0, len(logits), size)]
    if not parts:
        return logits[:, 0, 0]
    return namespace(logits).concatenate(parts)


def _svd_norms(logits):
    xp = namespace(logits)
    return xp.linalg.svdvals(logits).sum(-1)


def gram_norms(logits):
    """Nuclear norms of matrices, by the eigenvalues of their smaller Gram matrix.

    Parameters
    ----------
    logits : array of shape (n_samples, n_rows, n_columns)
        Matrices.

    Returns
    -------
    array of shape (n_samples,)
        Norms, in the precision of the matrices.
    """
    # Products in single precision would cost half of the digits of the roots.
    wide = as_double(logits)
    flat = 1 in logits.shape[1:]
    with np.errstate(over="ignore", invalid="ignore"):
        if flat:
            products = frobenius_norms(wide)
        elif logits.shape[1] <= logits.shape[2]:
            products = wide @ wide.mT
        else:
            products = wide.mT @ wide
    check_finite("squares of logits", products)
    norms = products if flat else sum_of_roots(products)
    return norms.astype(logits.dtype) if namespace(norms) is np else norms.to(logits)


def sum_of_roots(gram):
    """Sum the roots of the eigenvalues of positive semidefinite matrices.

    Parameters
    ----------
    gram : array of shape (n_samples, n, n)
        Matrices.

    Returns
    -------
    array of shape (n_samples,)
        The sums.
    """
    xp = namespace(gram)
    values = xp.linalg.eigvalsh(gram)
    # The noise of zero eigenvalues, of either sign, would count with its root; and the
    # root of zero has no gradient.
    noise = gram.shape[-1] * xp.finfo(gram.dtype).eps * values[:, -1:]
    counts = values > noise
    one = xp.ones_like(values)
    return xp.where(counts, xp.sqrt(xp.where(counts, values, one)), 0 * one).sum(-1)


def frobenius_norms(logits):
    """Frobenius norms of matrices, the gradient at zero being zero.

    Parameters
    ----------
    logits : array of shape (n_samples, n_rows, n_columns)
        Matrices.

    Returns
    -------
    array of shape (n_samples,)
        The norms.
    """
    rows = logits.reshape(len(logits), logits.shape[1] * logits.shape[2])
    return namespace(logits).linalg.norm(rows, axis=1)
