"""Logits of language models that are generated: of low rank, with all the trimmings."""

from numbers import Integral, Real

import numpy as np
from scipy.special import log_softmax
from sklearn.utils import Bunch, check_random_state

_NORMS = (None, "layer", "layer_affine", "rms")


def make_language_logits(
    n_queries=1000,
    n_outputs=2000,
    hidden_dim=64,
    *,
    n_features=None,
    decay=0.5,
    norm=None,
    bias=False,
    log_proba=False,
    softcap=None,
    logit_std=1.0,
    width=64,
    random_state=None,
):
    r"""Generate logits as the output layer of a language model makes them.

    .. math:: z = W \operatorname{norm}(h) + b

    with a random head W of shape (n_outputs, hidden_dim) and hidden states h, of normal
    distribution with variances :math:`j^{-2\,\mathrm{decay}}` in random directions, or
    of a random net of `n_features` inputs.

    Parameters
    ----------
    n_queries : int, default=1000
        Number of rows.
    n_outputs : int, default=2000
        Number of outputs (tokens).
    hidden_dim : int, default=64
        Width of the hidden states.
    n_features : int, default=None
        Number of inputs of the net that makes hidden states: two layers of `width` tanh
        units and a linear one. None draws hidden states from a normal distribution.
    decay : float, default=0.5
        How fast the variances of hidden directions fall.
    norm : {None, "layer", "layer_affine", "rms"}, default=None
        Normalisation of hidden states: of mean and variance, the same with random scale
        and shift, or of the root of the mean square.
    bias : bool, default=False
        Whether the head has a bias.
    log_proba : bool, default=False
        Whether to return logarithms of probabilities.
    softcap : float, default=None
        Bound c of the logits, :math:`c \tanh(z / c)`.
    logit_std : float, default=1.0
        Standard deviation of the logits.
    width : int, default=64
        Units in each layer of the net.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    Bunch
        With the fields ``logits`` (n_queries, n_outputs); ``hidden`` (n_queries,
        hidden_dim), normalised; ``head`` (n_outputs, hidden_dim); ``bias``
        (n_outputs,); and ``inputs`` (n_queries, n_features), or None.

    Raises
    ------
    ValueError
        If a size is not positive, a scale negative or infinite, the norm unknown, or
        the logits would all be the same.

    See Also
    --------
    sklogit.audit.LogitLeakageAuditor : Recovers width and subspace from them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.datasets import make_language_logits
    >>> model = make_language_logits(50, 300, hidden_dim=16, random_state=0)
    >>> model.logits.shape, int(np.linalg.matrix_rank(model.logits))
    ((50, 300), 16)
    """
    sizes = {"n_queries": n_queries, "n_outputs": n_outputs, "hidden_dim": hidden_dim}
    sizes |= {"width": width} | (
        {} if n_features is None else {"n_features": n_features}
    )
    _check(sizes, {"decay": decay, "logit_std": logit_std}, softcap, norm)
    if n_queries * n_outputs < 2 or (norm == "layer" and hidden_dim < 2):
        raise ValueError(
            "logits must vary: n_queries * n_outputs must be at least 2, and "
            f"hidden_dim too with norm='layer', got "
            f"{n_queries}, {n_outputs} and {hidden_dim}."
        )
    rng = check_random_state(random_state)
    head = rng.standard_normal((n_outputs, hidden_dim)) / np.sqrt(hidden_dim)
    b = rng.standard_normal(n_outputs) if bias else np.zeros(n_outputs)
    if n_features is None:
        inputs, hidden = None, _normal_states(n_queries, hidden_dim, decay, rng)
    else:
        inputs = rng.standard_normal((n_queries, n_features))
        hidden = _net_states(inputs, hidden_dim, width, rng)
    hidden = _normalised(hidden, norm, rng)
    scale = logit_std / np.std(hidden @ head.T)
    head, b = head * scale, b * logit_std
    logits = hidden @ head.T + b
    if softcap is not None:
        logits = softcap * np.tanh(logits / softcap)
    if log_proba:
        logits = log_softmax(logits, axis=1)
    return Bunch(logits=logits, hidden=hidden, head=head, bias=b, inputs=inputs)


def _normal_states(n_queries, hidden_dim, decay, rng):
    std = np.arange(1, hidden_dim + 1.0) ** -decay
    rotation = np.linalg.qr(rng.standard_normal((hidden_dim, hidden_dim)))[0]
    return (rng.standard_normal((n_queries, hidden_dim)) * std) @ rotation


def _net_states(inputs, hidden_dim, width, rng):
    states = inputs
    for n_out in (width, width):
        weights = rng.standard_normal((states.shape[1], n_out))
        states = np.tanh(states @ (weights * 1.5 / np.sqrt(states.shape[1])))
    return states @ rng.standard_normal((width, hidden_dim)) / np.sqrt(width)


def _normalised(hidden, norm, rng):
    if norm is None:
        return hidden
    if norm == "rms":
        return hidden / np.sqrt(np.mean(hidden**2, axis=1, keepdims=True))
    hidden = hidden - hidden.mean(axis=1, keepdims=True)
    hidden = hidden / hidden.std(axis=1, keepdims=True)
    if norm == "layer":
        return hidden
    scale = 1 + 0.2 * rng.standard_normal(hidden.shape[1])
    return hidden * scale + 0.2 * rng.standard_normal(hidden.shape[1])


def _check(sizes, scales, softcap, norm):
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    for name, value in scales.items():
        if not isinstance(value, Real) or not 0 <= value < np.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value!r}.")
    if softcap is not None and not (isinstance(softcap, Real) and softcap > 0):
        raise ValueError(f"softcap must be None or positive, got {softcap!r}.")
    if norm not in _NORMS:
        raise ValueError(f"norm must be one of {_NORMS}, got {norm!r}.")
