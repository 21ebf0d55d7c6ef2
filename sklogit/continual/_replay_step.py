"""The loss of a batch and its replayed rows, and its gradient."""

import numpy as np

from ._angle_norm import angle_loss, cross_entropy, dot_logits


def head_loss(H, targets, weight, head, kind, temperature):
    """Compute the loss of some features, and its gradients, by one kind of logits.

    Parameters
    ----------
    H : ndarray of shape (n, n_hidden)
        Features.
    targets : ndarray of int, of shape (n,)
        Class indices.
    weight : ndarray of shape (n,) or None
        Positive weights.
    head : tuple of (ndarray of shape (n_classes, n_hidden), ndarray or None)
        Weights and intercepts of the classes.
    kind : {"angle", "dot", "masked"}
        Logits of the angle alone, of norm and angle, or those of norm and angle for
        the classes in `targets` only.
    temperature : float
        Divisor of angle logits.

    Returns
    -------
    loss : float
        Weighted mean of the cross-entropies.
    gradients : tuple of (ndarray, ndarray, ndarray or None)
        With respect to the features, the weights, and the intercepts.
    """
    W, b = head
    if kind == "angle":
        loss, dH, dW = angle_loss(H, W, targets, weight, temperature)
        return loss, (dH, dW, None if b is None else np.zeros_like(b))
    Z = dot_logits(H, W, b)
    if kind == "masked":
        absent = np.ones(len(W), bool)
        absent[targets] = False
        Z[:, absent] = -np.inf
    loss, G = cross_entropy(Z, targets, weight)
    return loss, (G @ W, G.T @ H, None if b is None else G.sum(axis=0))


def loss_and_gradients(network, current, replayed, settings):
    """Compute the loss of a batch, and its gradient.

    Parameters
    ----------
    network : Network
        The network.
    current : tuple of (ndarray, ndarray, ndarray or None)
        Rows of the stream, class indices and weights.
    replayed : tuple of (ndarray, ndarray, ndarray or None), or None
        Those from the memory.
    settings : object
        With attributes `current_logits`, `replay_logits`, `replay_weight` and
        `temperature`.

    Returns
    -------
    loss : float
        Mean over the current rows, and `replay_weight` times that over the others.
    gradients : list of ndarray
        Gradient of each of the network's `parameters`.
    """
    parts = [(current, settings.current_logits, 1.0)]
    X = current[0]
    if replayed is not None:
        parts.append((replayed, settings.replay_logits, settings.replay_weight))
        X = np.concatenate([X, replayed[0]])
    outputs = network.activations(X)  # of all rows at once: small batches are overhead
    head = network.head_coef, network.head_intercept
    loss, start, features, of_head = 0.0, 0, [], []
    for (rows, targets, weight), kind, factor in parts:
        H = outputs[-1][start : start + len(rows)]
        start += len(rows)
        part, (dH, dW, db) = head_loss(
            H, targets, weight, head, kind, settings.temperature
        )
        loss += factor * part
        features.append(factor * dH)
        of_head.append((factor * dW, None if db is None else factor * db))
    dW, db = (_total(gradients) for gradients in zip(*of_head))
    coefs, intercepts = network.hidden_gradients(outputs, np.concatenate(features))
    return loss, [*coefs, dW, *intercepts, *([] if db is None else [db])]


def _total(parts):
    return None if parts[0] is None else sum(parts[1:], start=parts[0])
