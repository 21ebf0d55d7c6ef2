"""Norms of logits that a linear head makes, without the logits."""

from copy import copy

import numpy as np

from ._arrays import (
    as_double,
    as_floats,
    check_finite,
    is_tensor,
    masked,
    n_dimensions,
    namespace,
)
from ._nuclear_norm import gram_norms

# Rows of the weights that are held in double precision at once.
_ROWS_AT_ONCE = 2048


def head_factor(weight, bias=None):
    r"""Factor the Gram matrix of a linear head's weights.

    .. math:: C C^\top = W_a^\top W_a, \qquad W_a = [W, b]

    Logits :math:`L = H_a W_a^\top`, with :math:`H_a = [H, 1]`, have the same non-zero
    singular values as :math:`H_a C`, a matrix with one column a feature instead of one
    a class. The factor holds for as long as the head does not change.

    Parameters
    ----------
    weight : array or Tensor of shape (n_classes, n_features)
        Weights of the head.
    bias : array or Tensor of shape (n_classes,), default=None
        Its biases.

    Returns
    -------
    array or Tensor of shape (n_features, n_features)
        C, in double precision, with one more row and column if there is a bias. It
        is lower triangular if the weights have full rank.

    Raises
    ------
    TypeError
        If weights or biases are sparse, or no real numbers.
    ValueError
        If shapes do not fit, or a value is not finite.

    See Also
    --------
    nuclear_norm_from_head : Takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.batch_selection import head_factor
    >>> weight = np.random.default_rng(0).standard_normal((1000, 4))
    >>> C = head_factor(weight)
    >>> np.allclose(C @ C.T, weight.T @ weight)
    True
    """
    weight, bias = checked_head(weight, bias)
    xp = namespace(weight)
    gram = 0
    for start in range(0, len(weight), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        wide = as_double(augmented(weight[rows], None if bias is None else bias[rows]))
        gram = gram + _products(wide)
    factor = _cholesky(gram)
    if factor is not None:
        return factor
    values, vectors = xp.linalg.eigh(gram)
    return vectors * xp.sqrt(xp.where(values > 0, values, 0 * values))


def nuclear_norm_from_head(hidden, weight, bias=None, *, mask=None, head_factor=None):
    r"""Compute the nuclear norm of logits from what a linear head makes them of.

    .. math:: \|H W^\top + 1 b^\top\|_* = \|[H, 1] \, C\|_*

    with the :func:`head_factor` C. The value is that of :func:`nuclear_norm`, exactly;
    the work does not depend on the number of classes, apart from that for C.

    Parameters
    ----------
    hidden : array or Tensor of shape (n_samples, n_positions, n_features)
        Inputs of the head, or of one sample, of shape (n_positions, n_features).
    weight : array or Tensor of shape (n_classes, n_features)
        Weights of the head.
    bias : array or Tensor of shape (n_classes,), default=None
        Its biases.
    mask : array of shape (n_samples, n_positions), default=None
        True for positions that count; by default all do.
    head_factor : array or Tensor, default=None
        What :func:`head_factor` returned for this head; by default it is computed.

    Returns
    -------
    array or Tensor of shape (n_samples,), or a scalar for one sample
        The norms.

    Raises
    ------
    TypeError
        If an array is sparse, or holds no real numbers.
    ValueError
        If shapes do not fit, or a value that counts is not finite.

    See Also
    --------
    nuclear_norm : Of logits.
    FactoredLogits : What a selector takes instead of logits.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882, for the norm. That it needs no logits is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.batch_selection import nuclear_norm, nuclear_norm_from_head
    >>> rng = np.random.default_rng(0)
    >>> hidden = rng.standard_normal((2, 16, 8))
    >>> weight, bias = rng.standard_normal((5000, 8)), rng.standard_normal(5000)
    >>> norms = nuclear_norm_from_head(hidden, weight, bias)
    >>> np.allclose(norms, nuclear_norm(hidden @ weight.T + bias))
    True
    """
    logits = FactoredLogits(hidden, weight, bias, head_factor=head_factor)
    norms = logits.nuclear_norms(mask)
    return norms if n_dimensions(hidden) == 3 else norms[0]


class FactoredLogits:
    r"""Logits of a linear head, kept as its inputs and its weights.

    .. math:: L_i = H_i W^\top + 1 b^\top

    :class:`UtilityDiversitySelector` takes them where it takes logits; norms and
    projections are then computed without forming them.

    Parameters
    ----------
    hidden : array or Tensor of shape (n_samples, n_positions, n_features)
        Inputs of the head, or of one sample, of shape (n_positions, n_features).
    weight : array or Tensor of shape (n_classes, n_features)
        Weights of the head.
    bias : array or Tensor of shape (n_classes,), default=None
        Its biases.
    head_factor : array or Tensor, default=None
        What :func:`head_factor` returned for this head; by default it is computed
        when it is needed.

    Attributes
    ----------
    shape : tuple
        (n_samples, n_positions, n_classes).

    Raises
    ------
    TypeError
        If an array is sparse, or holds no real numbers.
    ValueError
        If shapes do not fit, or a weight is not finite.

    See Also
    --------
    nuclear_norm_from_head : The norm alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.batch_selection import FactoredLogits, UtilityDiversitySelector
    >>> rng = np.random.default_rng(0)
    >>> hidden, weight = rng.standard_normal((8, 16, 4)), rng.standard_normal((5000, 4))
    >>> logits = FactoredLogits(hidden, weight)
    >>> selector = UtilityDiversitySelector(budget=2, random_state=0)
    >>> kept = selector.score_samples(logits).argsort()[::-1][:2]
    >>> bool((selector.select(hidden @ weight.T) == kept).all())
    True
    """

    def __init__(self, hidden, weight, bias=None, *, head_factor=None):
        hidden = as_floats("hidden", hidden)
        # Of a head with a factor, values were looked at when that was computed.
        self.weight, self.bias = checked_head(weight, bias, finite=head_factor is None)
        n_features = self.weight.shape[1]
        if hidden.ndim not in (2, 3) or hidden.shape[-1] != n_features:
            raise ValueError(
                f"hidden must have the shape (n_samples, n_positions, {n_features}), "
                f"got {tuple(hidden.shape)}."
            )
        if is_tensor(hidden) != is_tensor(self.weight):
            raise TypeError("hidden and weight must both be arrays, or both tensors.")
        self.hidden = hidden if hidden.ndim == 3 else hidden[None]
        self.factor = head_factor
        self.projected = None  # what a projection made of the head, and which one
        width = n_features + (self.bias is not None)
        if head_factor is not None and tuple(head_factor.shape) != (width, width):
            raise ValueError(
                f"head_factor must have the shape {(width, width)}, got "
                f"{tuple(head_factor.shape)}."
            )
        self.shape = (*self.hidden.shape[:2], len(self.weight))

    @property
    def ndim(self):
        """Number of dimensions, 3."""
        return 3

    def __len__(self):
        return self.shape[0]

    def inputs(self, mask=None):
        """Return the inputs, with a constant for the bias.

        Parameters
        ----------
        mask : array of shape (n_samples, n_positions) or None
            True for positions that count; the others become zero.

        Returns
        -------
        array or Tensor of shape (n_samples, n_positions, n_features)
            With one more feature if there is a bias.

        Raises
        ------
        ValueError
            If the mask has another shape, or a value that counts is not finite.
        """
        inputs = self.hidden
        if self.bias is not None:
            xp = namespace(inputs)
            inputs = xp.concatenate([inputs, xp.ones_like(inputs[..., :1])], axis=-1)
        inputs = masked(inputs, mask)
        check_finite("hidden", inputs)
        return inputs

    def columns(self):
        """Return what the head multiplies the inputs by.

        Returns
        -------
        array or Tensor of shape (n_classes, n_features)
            Weights, with the biases as one more column if there are any.
        """
        return augmented(self.weight, self.bias)

    def nuclear_norms(self, mask=None):
        """Compute the nuclear norm of each sample.

        Parameters
        ----------
        mask : array of shape (n_samples, n_positions) or None
            True for positions that count.

        Returns
        -------
        array or Tensor of shape (n_samples,)
            The norms.
        """
        return gram_norms(self._rotated(mask))

    def frobenius_norms(self, mask=None):
        """Compute the Frobenius norm of each sample.

        Parameters
        ----------
        mask : array of shape (n_samples, n_positions) or None
            True for positions that count.

        Returns
        -------
        array or Tensor of shape (n_samples,)
            The norms.
        """
        rotated = self._rotated(mask)
        rows = rotated.reshape(len(rotated), rotated.shape[1] * rotated.shape[2])
        return namespace(rows).linalg.norm(rows, axis=1)

    def detached(self):
        """Return the logits without the graph of their inputs.

        Returns
        -------
        FactoredLogits
            A shallow copy, or the logits themselves if there is no graph.
        """
        if not is_tensor(self.hidden) or not self.hidden.requires_grad:
            return self
        detached = copy(self)
        detached.hidden = self.hidden.detach()
        return detached

    def dense(self):
        """Compute the logits.

        Returns
        -------
        array or Tensor of shape (n_samples, n_positions, n_classes)
            The logits.
        """
        logits = self.hidden @ self.weight.mT
        return logits if self.bias is None else logits + self.bias

    def _rotated(self, mask):
        """Matrices with the singular values of the logits, a column a feature."""
        if self.factor is None:
            self.factor = head_factor(self.weight, self.bias)
        return as_double(self.inputs(mask)) @ as_double(self.factor)


def checked_head(weight, bias, *, finite=True):
    """Return weights and biases of a head, checked.

    Parameters
    ----------
    weight : array or Tensor of shape (n_classes, n_features)
        Weights.
    bias : array or Tensor of shape (n_classes,) or None
        Biases.

    Returns
    -------
    tuple of arrays
        Both, as real numbers, without gradients.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.
    """
    weight = as_floats("weight", weight)
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(
            f"weight must have the shape (n_classes, n_features), got "
            f"{tuple(weight.shape)}."
        )
    if finite:
        check_finite("weight", weight)
    weight = weight.detach() if is_tensor(weight) else weight
    if bias is None:
        return weight, None
    bias = as_floats("bias", bias)
    if tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ValueError(
            f"bias must have the shape {tuple(weight.shape[:1])}, got "
            f"{tuple(bias.shape)}."
        )
    if finite:
        check_finite("bias", bias)
    return weight, bias.detach() if is_tensor(bias) else bias


def augmented(weight, bias):
    """Weights, with the biases as one more column.

    Parameters
    ----------
    weight : array of shape (n_classes, n_features)
        Weights.
    bias : array of shape (n_classes,) or None
        Biases.

    Returns
    -------
    array of shape (n_classes, n_features) or (n_classes, n_features + 1)
        Both.
    """
    if bias is None:
        return weight
    return namespace(weight).concatenate([weight, bias[:, None]], axis=1)


def _products(rows):
    """Inner products of columns."""
    if is_tensor(rows) and rows.device.type == "cpu":
        # NumPy knows that they are symmetric, and computes half of them.
        array = rows.numpy()
        return namespace(rows).from_numpy(array.T @ array)
    return rows.mT @ rows


def _cholesky(gram):
    """Lower factor, or None if the matrix is not clearly positive definite."""
    if is_tensor(gram):
        factor, info = namespace(gram).linalg.cholesky_ex(gram)
        return None if bool(info) else factor
    try:
        return np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return None
