"""The two losses of a logit bias, with their gradient."""

import numpy as np

from .._cross_entropy import softmax_cross_entropy
from ._bias import standardise_rows, standardise_rows_backward


def two_losses(b, prior, gain, y, weight, lambda_merge):
    r"""Compute the loss of the fused logits and that of the bias, as one.

    .. math:: \lambda\, \mathrm{CE}(z + g\, b) + (1 - \lambda)\, \mathrm{CE}(b)

    Parameters
    ----------
    b : ndarray of shape (n_rows, n_classes)
        The bias.
    prior : ndarray of shape (n_rows, n_classes)
        The logits z.
    gain : ndarray of shape (n_rows,)
        What the bias is multiplied by before it is added, g.
    y, weight : ndarray of shape (n_rows,)
        Class indices and weights.
    lambda_merge : float
        Share of the first loss.

    Returns
    -------
    value : float
        The loss.
    gradient : ndarray of shape (n_rows, n_classes)
        Its gradient by b.
    """
    value, gradient = 0.0, np.zeros_like(b)
    if lambda_merge > 0:
        gain = gain[:, np.newaxis]
        fused, slope = softmax_cross_entropy(prior + gain * b, y, weight)
        value += lambda_merge * fused
        gradient += lambda_merge * gain * slope
    if lambda_merge < 1:
        alone, slope = softmax_cross_entropy(b, y, weight)
        value += (1 - lambda_merge) * alone
        gradient += (1 - lambda_merge) * slope
    return value, gradient


class BiasObjective:
    r"""Loss of the coefficients of a logit bias, penalised for leaving their start.

    .. math:: J(V) = \lambda\, \mathrm{CE}(z + g\, b) + (1 - \lambda)\, \mathrm{CE}(b)
        + \tfrac{l_2}{2} \|V\|^2, \qquad b = u_0 + R V^T

    or b the same standardised by row. Without that it is convex in V, as b is linear,
    and strictly so with a penalty. The coefficients are :math:`W = W_0 + s V` and
    :math:`u_0 = A W_0^T / s`, in any coordinates R of the rows A that keep lengths. In
    those of `Balanced`, :math:`\|V\|^2` stands for
    :math:`(1 + k)\, \|V\|^2 - k \sum_i w_i \|V r_i\|^2`.

    Parameters
    ----------
    rows : ndarray or sparse matrix of shape (n_rows, n_coordinates)
        Coordinates R.
    start : ndarray of shape (n_rows, n_classes)
        Bias :math:`u_0` of the initial coefficients.
    prior : ndarray of shape (n_rows, n_classes)
        Logits z.
    gain : ndarray of shape (n_rows,)
        Factor g of the bias.
    y, weight : ndarray of shape (n_rows,)
        Class indices, and weights that sum to one.
    lambda_merge : float
        Share of the loss of the fused logits.
    l2 : float
        Strength of the penalty.
    by_row : bool
        Whether to standardise the rows of b.
    balance : float, default=0.0
        Number k of the coordinates.
    """

    def __init__(
        self,
        rows,
        start,
        prior,
        gain,
        y,
        weight,
        lambda_merge,
        l2,
        by_row,
        balance=0.0,
    ):
        # Products of float32 rows are no better than the rest in float32.
        self.rows, dtype = rows, rows.dtype
        self.start, self.prior = start.astype(dtype), prior.astype(dtype)
        self.gain, self.weight = gain.astype(dtype), weight.astype(dtype)
        self.y = y
        self.lambda_merge, self.l2, self.by_row = lambda_merge, l2, by_row
        self.balance = balance
        self.shape = start.shape[1], rows.shape[1]

    def __call__(self, parameters):
        """Compute the value and the gradient at V, flattened."""
        V = parameters.reshape(self.shape)
        dtype = self.rows.dtype
        scores = self.rows @ V.T.astype(dtype, copy=False)
        b = self.start + scores
        if self.by_row:
            b, std = standardise_rows(b)
        value, gradient = two_losses(
            b, self.prior, self.gain, self.y, self.weight, self.lambda_merge
        )
        if self.by_row:
            gradient = standardise_rows_backward(gradient, b, std)
        l2 = self.l2 * (1 + self.balance)
        value += 0.5 * l2 * (parameters @ parameters)
        if self.balance:  # what lengths of these coordinates have too much
            shared = self.l2 * self.balance * self.weight
            value -= 0.5 * (shared @ np.einsum("ij,ij->i", scores, scores))
            gradient -= shared[:, np.newaxis] * scores
        slope = gradient.astype(dtype, copy=False).T @ self.rows
        return value, slope.ravel() + l2 * parameters
