"""Teachers of all kinds: what gives logits, in the order of the student's classes."""

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, gen_batches
from sklearn.utils.validation import _num_samples, check_is_fitted
from torch import nn

METHODS = ("decision_function", "predict_log_proba", "predict_proba")
_PROBABILITIES = METHODS[1:]
# Logarithm of a probability of 0, as of a forest none of whose trees votes for a class:
# what single precision cannot tell from 0 beside 1.
_LOG_OF_ZERO = float(np.log(np.finfo(np.float32).eps))
# Rows that a teacher is asked for at once.
_ROWS = 4096


class Teacher:
    r"""Logits of any teacher, its classes put into the order of the student's.

    Parameters
    ----------
    source : estimator, torch.nn.Module, callable or array-like
        A fitted classifier; a module from inputs to logits; a function of inputs, as
        they are given to ``logits``; or the logits themselves, of all rows.
    classes : array-like of shape (n_classes,) or None
        Labels of the student, which the teacher has to know; it may know more. None
        takes those of the teacher, in its order.
    source_classes : array-like of shape (n_source_classes,), default=None
        Labels of the columns that the teacher gives. By default its ``classes_``, or,
        without such an attribute, `classes`.
    method : {"auto", "decision_function", "predict_log_proba", "predict_proba"}, \
            default="auto"
        Method of a classifier; "auto" is the first of them that it has.
    center : bool or "auto", default="auto"
        Whether to subtract the mean of each row, over the student's classes. "auto"
        does so for probabilities, whose logarithms have lost the common shift of the
        logits, and leaves logits as they are.
    n_label_dims : int, default=1
        1 for a label for each row, with logits of shape (n, n_classes); 2 for
        sequences, (n, n_positions, n_classes).
    name : str, default="teacher"
        The parameter, for errors.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        Labels of the logits; None if nothing is known of them.

    Raises
    ------
    TypeError
        If it is no teacher.
    ValueError
        If it lacks classes of the student, or the method, classes are repeated, or
        its scores are of pairs of classes.
    NotFittedError
        If it is a classifier that is not fitted.

    Notes
    -----
    Of two classes a decision function d makes the logits (-d/2, d/2). A probability of
    0 counts as the smaller of the least one of its row and 1.2e-7.
    """

    def __init__(
        self,
        source,
        classes=None,
        *,
        source_classes=None,
        method="auto",
        center="auto",
        n_label_dims=1,
        name="teacher",
    ):
        self.name = name
        self.source = source
        self.n_label_dims = n_label_dims
        self.method = _method_of(source, method, name)
        self.center = self.method in _PROBABILITIES if center == "auto" else center
        if source_classes is None:
            source_classes = getattr(source, "classes_", classes)
        self._set_columns(source_classes, classes)

    def logits(self, X, dtype=np.float32):
        """Compute logits, checked.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Rows, as the teacher takes them. A teacher of given logits needs as many
            rows as it has logits.
        dtype : dtype, default=numpy.float32
            Of the logits.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n, n_positions, n_classes)
            Logits, in the order of `classes`.

        Raises
        ------
        ValueError
            If the logits are not finite or have another shape.
        """
        if hasattr(X, "__array__") and not hasattr(X, "shape"):
            X = np.asarray(X)  # what says no more than how it becomes an array
        n_rows = _num_samples(X)
        values = None
        for rows in gen_batches(n_rows, _ROWS):
            part = self._checked(self._raw(X, rows, n_rows), rows)
            if values is None:
                values = np.empty((n_rows, *part.shape[1:]), dtype)
            elif part.shape[1:] != values.shape[1:]:
                raise ValueError(
                    f"{self.name} must give logits of one shape, got "
                    f"{values.shape[1:]} and {part.shape[1:]} for rows."
                )
            values[rows] = part
        return values

    # -- steps -------------------------------------------------------------------------

    def _set_columns(self, source_classes, classes):
        """Say which columns are the student's classes."""
        self.n_columns = None if source_classes is None else len(source_classes)
        known = np.asarray([] if source_classes is None else source_classes).tolist()
        if len(set(known)) < len(known):
            raise ValueError(
                f"{self.name} must have different classes, got {_shortened(known)}."
            )
        self.columns = None  # all, as they are
        if classes is None:
            classes = source_classes
        self.classes = None if classes is None else np.asarray(classes)
        if classes is None or classes is source_classes:
            return
        place = {c: i for i, c in enumerate(np.asarray(source_classes).tolist())}
        wanted = self.classes.tolist()
        missing = [label for label in wanted if label not in place]
        if missing:
            raise ValueError(
                f"{self.name} must know all classes of y, but it lacks "
                f"{_shortened(missing)}: it has {_shortened(list(place))}."
            )
        columns = [place[label] for label in wanted]
        if columns != list(range(self.n_columns)):
            self.columns = columns

    def _raw(self, X, rows, n_rows):
        """Ask the teacher about some rows."""
        if self.method == "given":
            return _given_rows(self.source, rows, n_rows, self.name)
        part = X[rows] if isinstance(X, torch.Tensor) else _safe_indexing(X, rows)
        if self.method == "module":
            return _of_module(self.source, part, self.name)
        if self.method == "call":
            return _as_array(self.source(part))
        with np.errstate(divide="ignore"):  # of classes with a probability of 0
            values = np.asarray(getattr(self.source, self.method)(part))
            if self.method == "predict_proba":
                values = np.log(values)
        return _without_log_of_zero(values) if self.method in _PROBABILITIES else values

    def _checked(self, values, rows):
        """Logits of the student's classes; of a margin both of them."""
        n_dims = self.n_label_dims
        if values.dtype.kind not in "fiu":
            raise ValueError(
                f"{self.name} must give real numbers, got {values.dtype} logits."
            )
        n_rows = rows.stop - rows.start
        if values.ndim == n_dims and self.n_columns == 2 and len(values) == n_rows:
            values = np.stack([-values / 2, values / 2], axis=-1)
        fits = values.ndim == n_dims + 1 and len(values) == n_rows
        if not fits or self.n_columns not in (None, values.shape[-1]):
            wanted = ("n_positions",) * (n_dims - 1), self.n_columns or "n_classes"
            shape = ", ".join(map(str, (n_rows, *wanted[0], wanted[1])))
            raise ValueError(
                f"{self.name} must give logits of shape ({shape}) for {n_rows} rows, "
                f"got {values.shape}{self._hint(values)}."
            )
        if self.columns is not None:
            values = values[..., self.columns]
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            bad = np.flatnonzero(~finite)
            raise ValueError(
                f"{self.name} must give finite logits, got NaN or infinity in "
                f"{len(bad)} of {n_rows} rows, the first of them row "
                f"{rows.start + bad[0]}."
            )
        if self.center:
            values = values - values.mean(axis=-1, keepdims=True)
        return values

    def _hint(self, values):
        if self.method == "decision_function":
            return "; another method may be chosen by teacher_method"
        if self.method in METHODS or getattr(self.source, "classes_", None) is not None:
            return ""
        if self.classes is None:  # no one asked for classes
            return ""
        return "; other classes may be named by teacher_classes"


def is_classifier_like(source):
    """Whether a teacher is asked by a method of scikit-learn's classifiers.

    Parameters
    ----------
    source : object
        The teacher.

    Returns
    -------
    bool
        Whether it is; an unfitted classifier whose methods depend on its parameters
        counts too.
    """
    if isinstance(source, type):
        return False
    fits = hasattr(source, "fit") and not isinstance(source, nn.Module)
    return fits or any(hasattr(source, name) for name in METHODS)


def is_fitted(source):
    """Whether a classifier is fitted.

    Parameters
    ----------
    source : object
        A classifier.

    Returns
    -------
    bool
        Whether it is, as far as one can see.
    """
    if not getattr(source, "initialized_", True):  # a net of skorch
        return False
    try:
        check_is_fitted(source)
    except NotFittedError:
        return False
    except TypeError:  # no estimator of scikit-learn, but it may predict all the same
        return True
    return True


def _method_of(source, method, name):
    """How to ask a teacher: a method's name, "module", "call" or "given"."""
    if is_classifier_like(source):
        if not is_fitted(source):
            raise NotFittedError(
                f"{name}, a {type(source).__name__}, is not fitted. A fitted one keeps "
                "its state in clones, as of a grid search, inside a FrozenEstimator."
            )
        tried = METHODS if method == "auto" else (method,)
        for found in tried:
            if hasattr(source, found):
                _check_scores_are_of_classes(source, found, name)
                return found
        raise ValueError(
            f"{name} must have one of the methods {list(tried)}, a "
            f"{type(source).__name__} has none."
        )
    if isinstance(source, nn.Module):
        return "module"
    if isinstance(source, torch.Tensor) or hasattr(source, "__array__"):
        return "given"
    if callable(source) and not isinstance(source, type):
        return "call"
    if isinstance(source, list | tuple):
        return "given"
    raise TypeError(
        f"{name} must be a classifier, a torch module, a callable or an array of "
        f"logits, got {source!r}."
    )


def _check_scores_are_of_classes(source, method, name):
    """Refuse scores of pairs: of three classes they are three, and look like logits."""
    last = source[-1] if isinstance(source, Pipeline) else source
    pairs = getattr(last, "decision_function_shape", None) == "ovo"
    if pairs and method == "decision_function" and len(source.classes_) > 2:
        raise ValueError(
            f"{name} must have scores of classes, but a {type(last).__name__} with "
            "decision_function_shape='ovo' has scores of pairs; another method may be "
            "chosen by teacher_method."
        )


def _given_rows(values, rows, n_rows, name):
    if len(values) != n_rows:
        raise ValueError(
            f"{name} must have logits of as many rows as X, {n_rows}, got "
            f"{len(values)}."
        )
    if hasattr(values, "iloc"):
        values = values.iloc
    return _as_array(values[rows])  # of a memory map no more than these


def _as_array(values):
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        # NumPy knows no bfloat16, and what float64 holds must not be rounded.
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def _of_module(module, X, name):
    """Logits of a module in evaluation mode, whose mode is put back."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), None)
    x = X if isinstance(X, torch.Tensor) else torch.from_numpy(_native(X))
    if x.is_floating_point():
        x = x.to(torch.float32 if weight is None else weight.dtype)
    elif x.dtype != torch.bool:
        x = x.long()
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            logits = module(x if weight is None else x.to(weight.device))
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"{name}, a {type(module).__name__}, cannot be run on rows of shape "
            f"{tuple(x.shape[1:])} and dtype {x.dtype}: {error}"
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    return _as_array(logits[0] if isinstance(logits, tuple) else logits)


def _native(X):
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    return np.require(X, X.dtype.newbyteorder("="), ["C", "W"])


def _without_log_of_zero(values):
    """Logarithms of probabilities, finite where one was 0."""
    zero = np.isneginf(values)
    if not zero.any():
        return values
    least = np.where(zero, _LOG_OF_ZERO, values).min(axis=-1, keepdims=True)
    return np.where(zero, np.minimum(least, _LOG_OF_ZERO), values)


def _shortened(labels, n_shown=5):
    shown = ", ".join(repr(label) for label in labels[:n_shown])
    return f"[{shown}{', ...' if len(labels) > n_shown else ''}]"
