"""Soft predictions of tensors, with the way back to the logits."""

import torch


def binary_soft(logits, amplifier, L):
    """Soft predictions of one logit a row, as `sklogit.metrics.amplify` makes them.

    Parameters
    ----------
    logits : Tensor of shape (n_samples,)
        Logits, without a graph.
    amplifier : {"logit", "probability"}
        The function.
    L : float
        Steepness.

    Returns
    -------
    predictions : Tensor of shape (n_samples,)
        Between 0 and 1.
    to_logits : callable
        Takes derivatives by the predictions to derivatives by the logits.
    """
    if amplifier == "logit":
        u = logits if L == 1 else L * logits
    else:
        # sigmoid(z) - 1/2 = tanh(z/2) / 2, exact for small z.
        u = L / 2 * torch.tanh(logits / 2)

    predictions = torch.sigmoid(u)

    def to_logits(D):
        D = _slope(u, predictions).mul_(D if L == 1 else L * D)
        return D if amplifier == "logit" else D.mul_(_slope(logits))

    return predictions, to_logits


def multiclass_soft(logits, amplifier, L):
    """Soft predictions of one logit a class.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        Logits, without a graph.
    amplifier : {"logit", "probability"}
        The softmax of L times the logits, or the amplified probability of each class.
    L : float
        Steepness.

    Returns
    -------
    predictions : Tensor of shape (n_samples, n_classes)
        Between 0 and 1; those of "probability" need not sum to one.
    to_logits : callable
        Takes derivatives by the predictions to derivatives by the logits.
    """
    if amplifier == "logit":
        P = torch.softmax(L * logits, dim=1)
        return P, lambda D: L * _softmax_back(P, D)
    P = torch.softmax(logits, dim=1)
    u = L * (P - 0.5)
    return torch.sigmoid(u), lambda D: _softmax_back(P, _slope(u).mul_(L * D))


def _slope(u, sigmoid_of_u=None):
    """Differentiate the logistic function.

    Not as a * (1 - a): in single precision 1 - a is zero from u = 17 on.
    """
    a = torch.sigmoid(u) if sigmoid_of_u is None else sigmoid_of_u
    return u.neg().sigmoid_().mul_(a)


def _softmax_back(P, D):
    return P * (D - (P * D).sum(dim=1, keepdim=True))
