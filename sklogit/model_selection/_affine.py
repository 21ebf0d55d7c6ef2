"""Linear models behind affine steps, written in the units of the data."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)


@dataclass(frozen=True)
class LinearForm:
    """The scores ``X @ coef.T + intercept``.

    Attributes
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.
    scale : ndarray of shape (n_features,)
        Standard deviations of the features, nan where no scaler has measured them.
    center : ndarray of shape (n_features,)
        Their means, nan where no scaler has measured them.
    """

    coef: np.ndarray
    intercept: np.ndarray
    scale: np.ndarray
    center: np.ndarray


def linear_form(model):
    """Return a fitted linear model in the units of its own input."""
    if not hasattr(model, "coef_"):
        raise TypeError(
            "pipeline must end in a fitted linear model with coef_, got "
            f"{type(model).__name__}."
        )
    coef = model.coef_.toarray() if issparse(model.coef_) else np.asarray(model.coef_)
    coef = np.atleast_2d(coef).astype(np.float64)
    _check_one_row_a_class(model, coef)
    intercept = np.zeros(len(coef)) + np.ravel(getattr(model, "intercept_", 0.0))
    unknown = np.full(coef.shape[1], np.nan)
    return LinearForm(coef, intercept, unknown, unknown)


def _check_one_row_a_class(model, coef):
    n_classes = len(getattr(model, "classes_", ()))
    # Three classes have three pairs as well: the count alone does not tell.
    pairwise = hasattr(model, "dual_coef_") and hasattr(model, "support_vectors_")
    expected = 1 if n_classes == 2 else n_classes
    if n_classes > 2 and (pairwise or len(coef) != expected):
        raise ValueError(
            f"pipeline ends in {type(model).__name__}, whose coefficients belong to "
            "pairs of classes, not to classes. Take a model with one row a class, e.g. "
            "LinearSVC or LogisticRegression."
        )


def pull_back(form, step):
    """Return the form in the units of the input of a fitted step, or None.

    None stands for a step that is not affine, or not known to be.
    """
    if step is None or step == "passthrough":
        return form
    if isinstance(step, Pipeline):
        for _, inner in reversed(step.steps):
            form = None if form is None else pull_back(form, inner)
        return form
    if isinstance(step, SelectorMixin):
        return _through_selector(form, step.get_support())
    if isinstance(step, SimpleImputer):
        return _through_imputer(form, step)
    if isinstance(step, PCA | TruncatedSVD):
        return _through_projection(form, step)
    line = _column_line(step)
    return None if line is None else _through_columns(form, *line, step)


def _column_line(step):
    """Return a, b of a scaler that computes ``a * x + b`` by columns, or None."""
    if isinstance(step, StandardScaler):
        scale = 1.0 if step.scale_ is None else step.scale_
        center = step.mean_ if step.with_mean else 0.0
        return 1.0 / scale, -center / scale
    if isinstance(step, MinMaxScaler) and not step.clip:
        return step.scale_, step.min_
    if isinstance(step, MaxAbsScaler) and not getattr(step, "clip", False):
        return 1.0 / step.scale_, 0.0
    if isinstance(step, RobustScaler):
        scale = 1.0 if step.scale_ is None else step.scale_
        center = 0.0 if step.center_ is None else step.center_
        return 1.0 / scale, -center / scale
    return None


def _through_columns(form, a, b, step):
    a = np.broadcast_to(a, form.scale.shape)
    b = np.broadcast_to(b, form.scale.shape)
    if isinstance(step, StandardScaler) and step.scale_ is not None:
        # Its scale_ is 1 for a constant column: no division by zero.
        scale, center = step.scale_, step.mean_
    else:
        scale, center = form.scale / np.abs(a), (form.center - b) / a
    if center is None:  # sparse data are not centred, and their means not kept
        center = np.full(form.scale.shape, np.nan)
    return LinearForm(form.coef * a, form.intercept + form.coef @ b, scale, center)


def _through_selector(form, support):
    coef = np.zeros((len(form.coef), len(support)))
    # Zero coefficients stay zero in any unit.
    scale, center = np.zeros(len(support)), np.zeros(len(support))
    coef[:, support] = form.coef
    scale[support], center[support] = form.scale, form.center
    return LinearForm(coef, form.intercept, scale, center)


def _through_imputer(form, step):
    # The same numbers for rows without gaps, unless columns come or go.
    same = len(step.statistics_) == form.coef.shape[1] and not step.add_indicator
    return form if same else None


def _through_projection(form, step):
    axes = step.components_
    if getattr(step, "whiten", False):
        axes = axes / np.sqrt(step.explained_variance_)[:, np.newaxis]
    coef = form.coef @ axes
    unknown = np.full(coef.shape[1], np.nan)
    center = getattr(step, "mean_", np.zeros(coef.shape[1]))
    return LinearForm(coef, form.intercept - coef @ center, unknown, unknown)


def pull_back_blocks(form, step):
    """Return the form with the scaled blocks of a ColumnTransformer in their own units.

    Blocks that are not affine, such as encoded categories, keep the units of their
    output. Second, a mask of the columns whose units changed.
    """
    converted = np.zeros(form.scale.shape, dtype=bool)
    if not isinstance(step, ColumnTransformer):
        return form, converted
    coef, intercept = form.coef.copy(), form.intercept.copy()
    scale, center = form.scale.copy(), form.center.copy()
    for name, inner, _ in step.transformers_:
        block = step.output_indices_[name]
        if inner == "drop" or block.start == block.stop:
            continue
        part = replace(
            form,
            coef=form.coef[:, block],
            intercept=np.zeros(len(form.coef)),
            scale=form.scale[block],
            center=form.center[block],
        )
        part = pull_back(part, inner)
        if part is not None and part.coef.shape[1] == block.stop - block.start:
            coef[:, block], scale[block], center[block] = (
                part.coef,
                part.scale,
                part.center,
            )
            intercept += part.intercept
            converted[block] = inner != "passthrough"
    return LinearForm(coef, intercept, scale, center), converted
