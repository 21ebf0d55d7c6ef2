"""What the training of subspaces needs beside its steps: checks, start, report."""

import warnings

import numpy as np
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._unit_rows import row_lengths
from ._descent import EarlyStopping, GrassmannDescent, LabelledRows, descend
from ._start import (
    given_array,
    given_subspaces,
    principal_subspaces,
    random_subspaces,
)

_MOST_COMPONENTS = 8
# The loss of an epoch is a mean on the way: a rise by less may be rounding or chance.
_LOSS_ROSE = 1.05


class SubspaceTraining(CallbackSupportMixin):
    """Steps of `GrassmannClassifier.fit` and `partial_fit`."""

    # -- checks ------------------------------------------------------------------------

    def _check_data(self, X, y, sample_weight, reset):
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            reset=reset,
        )
        check_classification_targets(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _check_partial_fit(self):
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all data, partial_fit has a chunk: give "
                "the weights as a dict."
            )
        if self.early_stopping:
            raise ValueError(
                "early_stopping=True needs all data, partial_fit has a chunk: set it "
                "to False."
            )

    def _resolved_n_components(self):
        n = self.n_features_in_ + self.fit_intercept
        counted = f"{n} features" + " (the intercept counts as one)" * bool(
            self.fit_intercept
        )
        if n == 1:
            raise ValueError(
                "X has 1 feature(s), and without an intercept one direction only: set "
                "fit_intercept=True."
            )
        given = () if isinstance(self.init, str) else given_array(self.init).shape
        if self.n_components == "auto" and len(given) == 3 and 0 < given[2] < n:
            return given[2]
        if self.n_components == "auto":
            return min(_MOST_COMPONENTS, max(1, n // 2))
        if self.n_components >= n:
            raise ValueError(
                f"n_components={self.n_components} must be less than the {counted}: "
                "otherwise all subspaces are the whole space, and all logits equal."
            )
        return int(self.n_components)

    # -- steps of the fit --------------------------------------------------------------

    def _constant(self, X, weight):
        """Constant to append to each row; by default half of their mean length."""
        if not self.fit_intercept:
            return 0.0
        if self.intercept_scaling != "auto":
            return float(self.intercept_scaling)
        length = row_lengths(X).astype(np.float64)
        largest = length.max()
        if weight is not None:
            largest = (length * (weight > 0)).max()
        if not largest:
            return 1.0
        # Of lengths beyond the range of squares, too.
        squares = np.average((length / largest) ** 2, weights=weight)
        return float(0.5 * largest * np.sqrt(squares))

    def _weighted_rows(self, X, indices, weight, classes, go_on, complete=False):
        """Multiply the weights by those of the classes; drop rows of weight zero."""
        if weight is not None:  # only ratios count, and sums must not overflow
            weight = weight / (weight.max() or 1.0)
        if self.class_weight is not None:
            with np.errstate(divide="ignore"):  # a class without weight
                of_class = compute_class_weight(
                    self.class_weight,
                    classes=classes,
                    y=classes[indices],
                    sample_weight=weight,
                )
            if not (of_class >= 0).all():
                raise ValueError(
                    f"class_weight must not be negative or NaN, got {of_class} for "
                    f"the classes {classes}."
                )
            own = of_class[indices]
            if weight is not None:  # infinity is of a class of weights zero
                own = np.multiply(weight, own, out=np.zeros_like(own), where=weight > 0)
            weight = own / (own.max() or 1.0)
        if weight is not None:
            weight = weight.astype(X.dtype)
        constant = self.intercept_scaling_ if go_on else self._constant(X, weight)
        rows = LabelledRows(X, indices, weight, constant)
        if weight is None:
            return rows
        of_class = np.bincount(indices, weight, minlength=len(classes))
        if not of_class.any() or (complete and not of_class.all()):
            raise ValueError(
                "sample_weight and class_weight must leave weight in every class, got "
                f"{of_class.tolist()} for the classes {classes.tolist()}."
            )
        return rows if weight.all() else rows.take(np.flatnonzero(weight))

    def _split(self, rows):
        """Training rows, and what watches them."""
        if not self.early_stopping:
            if self.schedule == "cosine":
                return rows, None
            return rows, EarlyStopping(self.tol, self.n_iter_no_change)
        train, validation = train_test_split(
            np.arange(len(rows.y)),
            test_size=self.validation_fraction,
            stratify=rows.y,
            random_state=self._random_state,
        )
        validation = rows.take(np.sort(validation))
        return rows.take(np.sort(train)), EarlyStopping(
            self.tol, self.n_iter_no_change, validation
        )

    def _descent(self, rows, classes, go_on):
        """Subspaces to start from, and their momentum."""
        k = self._resolved_n_components()
        shape = (len(classes), rows.X.shape[1] + bool(rows.constant), k)
        dtype, M = rows.X.dtype, None
        if go_on:
            self._check_same(classes, shape)
            S, M = self._bases(dtype), self._velocity
            M = M if M is None else M.astype(dtype, copy=False)
        elif not isinstance(self.init, str):
            S = given_subspaces(self.init, shape)
        elif self.init == "pca":
            S = principal_subspaces(
                rows.X,
                rows.y,
                rows.weight,
                shape[0],
                k,
                rows.constant,
                self._random_state,
            )
        else:
            S = random_subspaces(*shape, self._random_state)
        return GrassmannDescent(
            S.astype(dtype, copy=False), float(self.gamma), float(self.momentum), M
        )

    def _check_same(self, classes, shape):
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start needs the same classes: found {classes}, fitted were "
                f"{self.classes_}."
            )
        if self.subspaces_.shape != shape:
            raise ValueError(
                f"Going on needs the same shape: subspaces_ is {self.subspaces_.shape},"
                f" data and parameters ask for {shape}."
            )

    def _bases(self, dtype):
        """Lay the subspaces out for one product with all of them."""
        return np.ascontiguousarray(self.subspaces_.mT, dtype=dtype).mT

    def _descend(self, descent, rows, rates, stopping=None, report=None):
        try:
            return descend(
                descent,
                rows,
                rates,
                self.batch_size,
                self._random_state,
                stopping,
                report,
            )
        except FloatingPointError as error:
            raise ValueError(
                f"learning_rate_init={self.learning_rate_init} is too large: {error}"
            ) from error

    def _reporter(self, context, X, y, classes, constant):
        """Return a function to call after each epoch, or None if nobody listens."""
        if not (hasattr(self, "_skl_callbacks") or self.verbose):
            return None

        def report(descent, losses):
            epoch = len(losses) - 1
            if self.verbose and epoch & (epoch - 1) == 0:
                print(f"epoch {epoch}: loss {losses[-1]:.6g}")
            if not hasattr(self, "_skl_callbacks"):
                return False
            task = context.subcontext(task_name="epoch")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "classes_": classes,
                    "subspaces_": descent.S,
                    "n_components_": descent.S.shape[2],
                    "intercept_scaling_": constant,
                },
            )

        return report

    def _store(self, descent, classes, result, constant, stopping=None):
        """Set the fitted attributes."""
        S = descent.S
        self.__dict__.pop("validation_loss_curve_", None)
        if stopping is not None and stopping.rows is not None:
            self.validation_loss_curve_ = np.array(stopping.losses)
            S = stopping.best_S
        self.classes_ = classes
        # The momentum is a tangent where the training ended, not at the best.
        self._velocity = descent.M if S is descent.S else None
        self.subspaces_ = np.ascontiguousarray(S)
        self.n_components_, self.intercept_scaling_ = S.shape[2], constant
        self.loss_curve_ = np.array(result.loss_curve)
        self.n_iter_ = len(result.loss_curve) - 1

    def _tell(self, result, go_on):
        """Warn if the training made it worse, or ended before its time."""
        if result.interrupt is not None or result.stopped or not self.n_iter_:
            return
        start, end = self.loss_curve_[[0, -1]]
        # Long steps from subspaces that are good already have to climb first: then only
        # a loss that is worse than that of equal logits says something.
        limit = max(start, np.log(len(self.classes_))) if go_on else start
        if end > _LOSS_ROSE * limit:
            warnings.warn(
                f"The loss rose from {start:.3g} to {end:.3g}: learning_rate_init="
                f"{self.learning_rate_init} is too large.",
                ConvergenceWarning,
                stacklevel=7,
            )
        elif self.schedule == "constant" and not result.converged:
            warnings.warn(
                f"The loss was still falling by more than tol={self.tol} after "
                f"max_iter={self.max_iter} epochs: raise max_iter, or use "
                "schedule='cosine'.",
                ConvergenceWarning,
                stacklevel=7,
            )


def check_number_of_classes(classes):
    """Raise ValueError if there is only one class."""
    if len(classes) < 2:
        raise ValueError(
            "GrassmannClassifier needs samples of at least 2 classes, but the data "
            f"contains only one class: {classes.tolist()[0]!r}."
        )
