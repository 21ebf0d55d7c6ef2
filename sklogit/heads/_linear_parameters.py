"""Weights of a trained linear classifier, and features for it, as tensors."""

import numpy as np
import torch
from scipy import sparse
from torch import nn


def linear_parameters(linear, bias=None):
    """Weights (n_classes, n_features) and biases (n_classes,) of a linear classifier.

    Parameters
    ----------
    linear : torch.nn.Linear, fitted classifier or array-like
        Of scikit-learn, one with ``coef_`` and ``intercept_``; or the weights.
    bias : array-like or None
        Biases, if the weights are given.

    Returns
    -------
    weight, bias : Tensor
        Parameters; biases of zero if there are none.

    Raises
    ------
    TypeError, ValueError
        If `linear` is nothing of the kind, or shapes do not fit.
    """
    if isinstance(linear, nn.Module) or hasattr(linear, "coef_"):
        if bias is not None:
            raise ValueError("bias is for weights only: linear has its own.")
        linear, bias = _own_parameters(linear)
    weight = _as_tensor("linear", linear)
    if not weight.is_floating_point():
        weight = weight.float()
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(
            "linear must have weights of shape (n_classes, n_features), got "
            f"{tuple(weight.shape)}."
        )
    if bias is None:
        bias = weight.new_zeros(len(weight))
    bias = _as_tensor("bias", bias).to(weight)
    if bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias must have the shape {tuple(weight.shape[:1])}, got "
            f"{tuple(bias.shape)}."
        )
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError("linear must have finite weights and biases.")
    return weight, bias


def _own_parameters(linear):
    if isinstance(linear, nn.Linear):
        if getattr(linear, "softcap", None) is not None:
            raise ValueError(
                "linear must have logits that are linear in the features, got "
                f"softcap={linear.softcap}."
            )
        return linear.weight, linear.bias
    if isinstance(linear, nn.Module):
        raise TypeError(
            f"linear must be a torch.nn.Linear, got {type(linear).__name__}."
        )
    coef, bias = linear.coef_, np.atleast_1d(getattr(linear, "intercept_", 0.0))
    coef = coef.toarray() if sparse.issparse(coef) else np.atleast_2d(coef)
    bias = np.broadcast_to(bias, len(coef)).astype(coef.dtype)
    if len(coef) == 1:  # the score of the second of two classes
        return np.vstack([0 * coef, coef]), np.append(0 * bias, bias)
    return coef, bias


def rows_of_features(features, n_features, like):
    """Rows (n_rows, n_features) of features, a detached tensor.

    Parameters
    ----------
    features : Tensor, array-like or sparse matrix of shape (..., n_features)
        Features.
    n_features : int
        Their expected number.
    like : Tensor
        Gives dtype and device.

    Returns
    -------
    Tensor
        The rows.

    Raises
    ------
    ValueError
        If the number differs, there is no row or a value is not finite.
    """
    features = _as_tensor("features", features).to(like)
    if features.shape[-1:] != (n_features,) or not features.numel():
        raise ValueError(
            f"features must have the shape (n_rows, {n_features}) with n_rows > 0, got "
            f"{tuple(features.shape)}."
        )
    if not features.isfinite().all():
        raise ValueError("features must be finite.")
    return features.reshape(-1, n_features)


def _as_tensor(name, values):
    """Values of any array, frame or sparse matrix as a detached tensor."""
    if isinstance(values, torch.Tensor):
        return values.detach()
    array = values.toarray() if sparse.issparse(values) else np.asarray(values)
    try:
        # torch shares arrays that are writeable and in native byte order.
        return torch.as_tensor(np.require(array, array.dtype.newbyteorder("="), "CW"))
    except TypeError as error:
        of_linear = "a torch.nn.Linear, a fitted linear classifier or "
        raise TypeError(
            f"{name} must be {of_linear * (name == 'linear')}an array of numbers, got "
            f"{type(values).__name__}."
        ) from error
