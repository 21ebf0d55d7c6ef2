"""What a student checks of data, labels and classes, before it is trained."""

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from ._backbone import check_hidden_layer_sizes
from ._labels import checked_labels


class StudentDataMixin:
    """Checks of an estimator with a backbone.

    The estimator has the parameters ``backbone``, ``hidden_layer_sizes`` and ``dtype``,
    and ``_accept_sparse``, as of scikit-learn's ``validate_data``.
    """

    _accept_sparse = False

    def _validated(self, X, y, sample_weight, classes, *, reset):
        """Check data and labels.

        Returns data as they came, as arrays, data as the net takes them, and `Labels`.
        """
        if self.backbone is None:
            check_hidden_layer_sizes(self.hidden_layer_sizes)
        checked, y = validate_data(
            self, X, y, reset=reset, multi_output=True, **self._of_arrays()
        )
        self._check_backbone(y)
        rows = self._converted(checked)
        return (
            checked,
            rows,
            checked_labels(y, rows, classes, sample_weight, self.dtype),
        )

    def _rows_to_predict(self, X):
        """Check data to predict."""
        check_is_fitted(self)
        return self._converted(validate_data(self, X, reset=False, **self._of_arrays()))

    def _known_classes(self, classes, first):
        """Labels of a call of partial_fit, or None if those of y are to be taken."""
        if first:
            return None if classes is None else np.unique(classes)
        if classes is not None and not np.array_equal(
            np.unique(classes), np.unique(self.classes_)
        ):
            raise ValueError(
                f"classes must be those of the first call, {self.classes_}, got "
                f"{classes!r}."
            )
        return self.classes_

    def _of_arrays(self):
        return {
            "accept_sparse": self._accept_sparse,
            "allow_nd": True,
            "dtype": "numeric",
        }

    def _converted(self, X):
        """Numbers for the default backbone are real, whatever they came as."""
        return X.astype(self.dtype) if self.backbone is None else X

    def _check_backbone(self, y):
        if y.ndim != 1 and y.shape[1:] != (1,) and self.backbone is None:
            raise ValueError(
                "y must have shape (n_samples,), or backbone must be given, which "
                f"returns features of shape (n_samples, n_positions, in_features): got "
                f"y of shape {y.shape}. Multilabel targets are not supported."
            )
