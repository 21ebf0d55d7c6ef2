"""Several teachers by name: fitted if need be, and asked for their logits."""

import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import _routing_enabled, process_routing
from sklearn.utils.validation import has_fit_parameter

from ..losses._top_logits import as_logits
from ._teachers import Teacher, is_classifier_like, is_fitted


def named_sources(teachers, seed, reserved):
    """Check the parameter `teachers`.

    Parameters
    ----------
    teachers : list of (str, object), or None
        Teachers; None is a net of scikit-learn.
    seed : int
        Seed of that.
    reserved : iterable of str
        Names of parameters, which no teacher may have.

    Returns
    -------
    dict of str to object
        Teachers by name.

    Raises
    ------
    ValueError
        If there is none, or a name is not allowed.
    TypeError
        If they are no pairs.
    """
    if teachers is None:
        return {"mlp": MLPClassifier(random_state=seed)}
    if not len(teachers):
        raise ValueError(
            "teachers must have at least one teacher, or be None for a net that is "
            "fitted to the data, got none."
        )
    for pair in teachers:
        named = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        if not named or not pair[0]:
            raise TypeError(
                f"teachers must be pairs (name, teacher), got {type(pair).__name__} "
                f"{pair!r:.60}."
            )
    names = [name for name, _ in teachers]
    if len(set(names)) < len(names):
        raise ValueError(f"teachers must have different names, got {names}.")
    taken = [name for name in names if name in reserved or "__" in name]
    if taken:
        raise ValueError(
            "teachers must have names that are no parameters of the student, without "
            f"'__', got {taken}."
        )
    return dict(teachers)


def fitted_sources(student, sources, X, labels, sample_weight):
    """Fit the classifiers that are not, as clones.

    Parameters
    ----------
    student : FusionDistillationClassifier
        Whose teachers they are.
    sources : dict of str to object
        Teachers.
    X : array-like of shape (n, ...)
        Data.
    labels : Labels
        Labels.
    sample_weight : ndarray or None
        Weights.

    Returns
    -------
    Bunch
        Teachers by name, all fitted.

    Raises
    ------
    ValueError
        If one would have to be fitted, and cannot be.
    """
    params = None
    fitted = Bunch()
    for name, source in sources.items():
        if not _is_to_be_fitted(source, student.teacher_prefit):
            fitted[name] = source
            continue
        _check_can_be_fitted(name, labels.y)
        if params is None:
            params = _params_of_teachers(student, sources, sample_weight)
        fitted[name] = clone(source).fit(X, labels.y, **params[name])
    return fitted


def logits_of_sources(sources, X, labels, method, dtype):
    """Ask all teachers.

    Parameters
    ----------
    sources : dict of str to object
        Fitted teachers.
    X : array-like of shape (n, ...)
        Data.
    labels : Labels
        Labels, of rows or of positions.
    method : str
        Method of classifiers.
    dtype : str
        Of the logits.

    Returns
    -------
    dict of str to ndarray of shape (n, ..., n_outputs)
        Logits by name.
    """
    options = {"method": method, "n_label_dims": labels.y.ndim}
    return {
        name: Teacher(source, name=f"teacher {name!r}", **options).logits(X, dtype)
        for name, source in sources.items()
    }


def given_logits(teacher_logits, labels, transform, dtype):
    """Check logits that were given.

    Parameters
    ----------
    teacher_logits : array, pair of arrays, or list or dict of them
        Logits, or what `sklogit.losses.top_logits` makes of them.
    labels : Labels
        Labels, of rows or of positions.
    transform : str
        The transform of pairs.
    dtype : str
        Of the logits.

    Returns
    -------
    dict of str to ndarray or pair of them
        Logits by name.

    Raises
    ------
    ValueError
        If there are none, or of other rows, or values are not finite.
    TypeError
        If they are no arrays.
    """
    if hasattr(teacher_logits, "shape") or isinstance(teacher_logits, tuple):
        teacher_logits = [teacher_logits]
    if not isinstance(teacher_logits, Mapping | list):
        raise TypeError(
            "teacher_logits must be an array, a pair of arrays, or a dict or list of "
            f"them, got {type(teacher_logits).__name__}."
        )
    if not isinstance(teacher_logits, Mapping):
        teacher_logits = {f"teacher_{m}": t for m, t in enumerate(teacher_logits)}
    if not teacher_logits:
        raise ValueError(
            "teacher_logits must have the logits of at least one teacher, got none."
        )
    given = {}
    for name, logits in teacher_logits.items():
        named = f"teacher_logits[{name!r}]"
        if isinstance(logits, tuple):
            given[name] = _given_pair(logits, labels.y, transform, dtype, named)
        else:
            teacher = Teacher(
                np.asarray(logits) if isinstance(logits, list) else logits,
                n_label_dims=labels.y.ndim,
                name=named,
            )
            given[name] = teacher.logits(labels.y, dtype)
    return given


def weights_of(teacher_weights, names):
    """Scale the weights of the teachers to sum to one.

    Parameters
    ----------
    teacher_weights : array-like or None
        Weights.
    names : list of str
        Names of the teachers.

    Returns
    -------
    tuple of float
        The weights.

    Raises
    ------
    ValueError
        If there is not one for each, or one is negative.
    """
    if teacher_weights is None:
        return (1 / len(names),) * len(names)
    weights = np.asarray(teacher_weights)
    if weights.dtype.kind not in "fiub":
        raise ValueError(f"teacher_weights must be numbers, got {weights.tolist()}.")
    weights = weights.astype(np.float64)
    if weights.shape != (len(names),):
        raise ValueError(
            f"teacher_weights must have one weight for each of the {len(names)} "
            f"teachers {names}, got shape {weights.shape}."
        )
    total = weights.sum()
    if not (np.isfinite(total) and (weights >= 0).all() and total > 0):
        raise ValueError(
            "teacher_weights must be finite and not negative, with a sum > 0, got "
            f"{weights.tolist()}."
        )
    return tuple((weights / total).tolist())


def warn_of_known_classes(sources, fitted, classes):
    """Warn of teachers whose classes are known, as the method does not use that.

    Parameters
    ----------
    sources : dict of str to object
        Teachers that were given.
    fitted : dict of str to object
        The same, fitted.
    classes : ndarray
        Labels of the student.
    """
    known = [
        name
        for name, source in sources.items()
        if fitted[name] is source  # it was fitted by someone else
        and getattr(source, "classes_", None) is not None
        and np.array_equal(source.classes_, classes)
    ]
    if known:
        warnings.warn(
            f"Teachers {known} have the classes of y, and fusion does not use which is "
            "which: DualHeadDistillationClassifier and kd_loss do.",
            UserWarning,
            stacklevel=4,
        )


def _given_pair(pair, y, transform, dtype, name):
    values, indices = as_logits(name, pair, transform)
    if values.ndim != y.ndim + 1 or len(values) != len(y):
        shape = "(n_samples, n_positions, k)" if y.ndim == 2 else "(n_samples, k)"
        raise ValueError(
            f"{name} must have shape {shape} with {len(y)} rows, as X has, got "
            f"{tuple(values.shape)}."
        )
    values, indices = values.detach().cpu(), indices.cpu()
    return values.numpy().astype(dtype), indices.numpy().astype(np.int32)


def _is_to_be_fitted(source, prefit):
    if not is_classifier_like(source) or prefit is True:
        return False
    return prefit is False or not is_fitted(source)


def _check_can_be_fitted(name, y):
    if y.ndim > 1:
        raise ValueError(
            f"teacher {name!r} must be fitted, or be a module or logits, for labels of "
            f"shape {y.shape}."
        )


def _params_of_teachers(student, sources, sample_weight):
    """Collect what the fit of each teacher gets."""
    if _routing_enabled() and student.teachers is not None:
        routed = process_routing(student, "fit", sample_weight=sample_weight)
        return {name: routed[name].fit if name in routed else {} for name in sources}
    if sample_weight is None:
        return {name: {} for name in sources}
    for name, source in sources.items():
        to_fit = _is_to_be_fitted(source, student.teacher_prefit)
        if to_fit and not has_fit_parameter(source, "sample_weight"):
            raise ValueError(
                f"sample_weight is given, but teacher {name!r}, a "
                f"{type(source).__name__}, takes no weights."
            )
    return {name: {"sample_weight": sample_weight} for name in sources}
