"""Categories of reports as strings, whatever the table holds them as."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, validate_data

from .._missing import is_missing
from ._columns import column_values

_MISSING = "missing"


class CategoryNames(TransformerMixin, BaseEstimator):
    """Columns of categories as strings.

    A one-hot encoder then takes categories of another type than it was fitted to as
    unknown ones: a few new reports may have numbers, or nothing, where others have
    words. Whole numbers are the same in columns of integers and of floats, which pandas
    makes of them where one is missing. Missing values are a category.
    """

    def fit(self, X, y=None):
        """Learn the number of columns."""
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X):
        """Return the names."""
        validate_data(self, X, skip_check_array=True, reset=False)
        names = np.empty(X.shape, dtype=object)
        for i in range(X.shape[1]):
            values = np.asarray(column_values(X, i), dtype=object).tolist()
            names[:, i] = [_name(value) for value in values]
        return names

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns."""
        return _check_feature_names_in(self, input_features)


def _name(value):
    if is_missing(value):
        return _MISSING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
