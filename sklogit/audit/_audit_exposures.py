"""What several defences give away, and what they cost honest users."""

import inspect
from numbers import Integral

import numpy as np
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.utils import check_array

from ._auditor import LogitLeakageAuditor
from ._exposure import LogitExposure

_PLAIN = ("rank", "rank_status", "noise_std", "n_queries_sufficient")


def audit_exposures(L, exposures, W=None, *, auditor=None):
    r"""Audit the same logits under several exposures.

    Parameters
    ----------
    L : array-like of shape (n_queries, n_outputs)
        Full logits.
    exposures : dict of str to LogitExposure, or iterable of LogitExposure
        What to compare; without names, the parameters that are not the default.
    W : array-like of shape (n_outputs, n_hidden), default=None
        Weights of the output layer. None takes the subspace that full logits show.
    auditor : LogitLeakageAuditor, default=None
        Auditor to clone; None is ``LogitLeakageAuditor(random_state=0)``.

    Returns
    -------
    list of dict
        For each exposure:

        - ``name``;
        - ``rank``, ``rank_status``, ``noise_std``, ``n_queries_sufficient``: of the
          auditor;
        - ``overlap_min``, ``overlap_mean``: cosines of the angles to the head's
          subspace; zero if nothing was found;
        - ``leakage``: share of the head's subspace that is recovered, the sum of the
          squared cosines over its dimension, where the attacker *knows* the dimension
          and takes as many directions. It falls slower than the status: a defence that
          hides the rank may still show most of the subspace;
        - ``kl``: mean divergence of what a user sees, after a softmax, from the
          model's distribution, in nats. For top-k alone it is minus the logarithm of
          the mass that is shown;
        - ``top1_change``: share of the queries with another most likely output;
        - ``withheld_mass``: mean probability of what is not shown.

    Raises
    ------
    ValueError
        If there is no exposure, `W` has another number of outputs, or the auditor
        finds no subspace of full logits and `W` is not given.
    TypeError
        If an exposure is none.

    See Also
    --------
    LeakageFrontierDisplay : Picture of it.

    Examples
    --------
    >>> from sklogit.audit import LogitExposure, audit_exposures
    >>> from sklogit.datasets import make_language_logits
    >>> model = make_language_logits(200, 400, hidden_dim=16, random_state=0)
    >>> exposures = [LogitExposure(decimals=1), LogitExposure(top_k=5)]
    >>> for row in audit_exposures(model.logits, exposures, model.head):
    ...     print(row["name"], row["rank"], row["rank_status"])
    decimals=1 16 noisy
    top_k=5 0 unidentifiable
    """
    L = check_array(L, dtype=[np.float64, np.float32], input_name="L")
    auditor = LogitLeakageAuditor(random_state=0) if auditor is None else auditor
    named = _named(exposures)
    if not named:
        raise ValueError("exposures must have one member at least.")
    for name, exposure in named:
        if not isinstance(exposure, LogitExposure):
            raise TypeError(
                f"exposures must be LogitExposure, got {type(exposure).__name__} for "
                f"{name!r}."
            )
    if W is not None:
        W = check_array(W, dtype=np.float64, input_name="W")
        if len(W) != L.shape[1]:
            raise ValueError(
                f"W must have a row for each of the {L.shape[1]} outputs, got {len(W)}."
            )
    if W is None:
        full = clone(auditor).fit(L)
        if not full.rank_:
            raise ValueError(
                "W must be given: the auditor finds no subspace of the full logits "
                f"({full.rank_status_})."
            )
        W = full.components_.T
    return [_audit(name, exposure, L, W, auditor) for name, exposure in named]


def audit_callable(f, X, exposure=None, *, batch_size=1024, **params):
    """Audit a function that computes logits, batch by batch.

    Nothing is asked but this function. Full answers are audited as a stream, and never
    held all at once.

    Parameters
    ----------
    f : callable
        Gets some rows of X, and returns logits of shape (n_rows, n_outputs).
    X : array-like of shape (n_queries, ...)
        Inputs; sliced along the first axis.
    exposure : LogitExposure, default=None
        What is published of the answers; None is all.
    batch_size : int, default=1024
        Rows for each call.
    **params
        Parameters of `LogitLeakageAuditor`.

    Returns
    -------
    LogitLeakageAuditor
        The fitted auditor.

    Raises
    ------
    TypeError
        If f cannot be called.
    ValueError
        If it returns no two-dimensional array with as many rows as it got, or
        `batch_size` is not a positive integer, X has fewer than two inputs, or a
        parameter is wrong; all but the first before f is called.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.audit import audit_callable
    >>> rng = np.random.default_rng(0)
    >>> body, head = rng.standard_normal((10, 6)), rng.standard_normal((6, 50))
    >>> auditor = audit_callable(
    ...     lambda X: np.tanh(X @ body) @ head, rng.standard_normal((300, 10))
    ... )
    >>> auditor.rank_, auditor.rank_status_
    (6, 'exact')
    """
    if not callable(f):
        raise TypeError(f"f must be callable, got {type(f).__name__}.")
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size}.")
    exposure = LogitExposure() if exposure is None else clone(exposure)
    auditor = LogitLeakageAuditor(**params)
    auditor._validate_params()
    if len(X) < 2:
        raise ValueError(f"X must have two inputs at least, got {len(X)}.")
    kept = []
    for start in range(0, len(X), batch_size):
        batch = X[start : start + batch_size]
        logits = check_array(
            f(batch), dtype=[np.float64, np.float32], input_name="f(X)"
        )
        if len(logits) != len(batch):
            raise ValueError(
                f"f must return a row for each of its {len(batch)} inputs, got "
                f"{len(logits)}."
            )
        exposure = exposure.fit(logits) if start == 0 else exposure
        answers = exposure.transform(logits)
        if exposure.top_k is None and not exposure.sparse_output:
            auditor.partial_fit(answers)
        else:
            kept.append(answers)
    if not kept:
        return auditor
    stack = sparse.vstack if sparse.issparse(kept[0]) else np.concatenate
    return auditor.fit(stack(kept))


def _named(exposures):
    if isinstance(exposures, dict):
        return list(exposures.items())
    if isinstance(exposures, LogitExposure):
        exposures = [exposures]
    return [
        (_name(e) if isinstance(e, LogitExposure) else repr(e), e) for e in exposures
    ]


def _name(exposure):
    default, params = LogitExposure().get_params(), exposure.get_params()
    order = inspect.signature(LogitExposure).parameters
    changed = {
        name: params[name]
        for name in order
        if params[name] != default[name] and name != "random_state"
    }
    return ", ".join(f"{k}={v}" for k, v in changed.items()) or "full"


def _audit(name, exposure, L, W, auditor):
    answers = clone(exposure).fit_transform(L)
    fitted = clone(auditor).fit(answers)
    row = {"name": name, **{key: fitted.report_[key] for key in _PLAIN}}
    cosines = fitted.subspace_overlap(W) if fitted.rank_ else np.zeros(1)
    row["overlap_min"] = float(cosines.min())
    row["overlap_mean"] = float(cosines.mean())
    row["leakage"] = _leakage(fitted, answers, W)
    return row | _cost(L, answers)


def _leakage(fitted, answers, W):
    """Share of the head's subspace in as many directions of the answers."""
    width = np.linalg.matrix_rank(W - W.mean(axis=0) if fitted._centers_rows else W)
    if hasattr(fitted, "_stream"):
        given = fitted.with_rank(int(width))
    elif fitted.rank_:
        given = clone(fitted).set_params(rank=int(width)).fit(answers)
    else:
        return 0.0
    if not given.rank_:
        return 0.0
    return float(np.sum(given.subspace_overlap(W) ** 2) / width)


def _cost(L, answers):
    """Tell what honest users lose: divergence, changed answers, mass withheld."""
    if sparse.issparse(answers):
        dense = np.full(answers.shape, -np.inf)
        rows = np.repeat(np.arange(answers.shape[0]), np.diff(answers.indptr))
        dense[rows, answers.indices] = answers.data
        answers = dense
    shown = np.where(np.isnan(answers), -np.inf, answers.astype(np.float64))
    log_p = log_softmax(L.astype(np.float64), axis=1)
    log_q = log_softmax(shown, axis=1)
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isinf(log_q), 0.0, np.exp(log_q) * (log_q - log_p))
    return {
        "kl": float(terms.sum(axis=1).mean()),
        "top1_change": float(np.mean(log_p.argmax(axis=1) != log_q.argmax(axis=1))),
        "withheld_mass": float(
            np.mean(np.exp(log_p).sum(axis=1, where=np.isinf(shown)))
        ),
    }
