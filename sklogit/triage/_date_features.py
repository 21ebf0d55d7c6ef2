"""Season and delay of reports, from dates that may be impossible."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from .._days import day_of_year, to_days
from .._state import restore_on_failure
from ._columns import as_array, column_values, frame_columns


class DateFeatures(TransformerMixin, BaseEstimator):
    r"""Season and delay of reports, from dates that may be impossible.

    The first column is the date of the report, which the machine wrote; the others are
    dates that people wrote, such as that of the sighting. A date of these is impossible
    if it cannot be read, is more than `max_delay_days` before the report, or more than
    `slack_days` after it. The features are

    - :math:`\sin, \cos(2 \pi h \cdot` part of the year), of the last column whose date
      is possible, for h = 1, ..., `harmonics`;
    - the delay :math:`\log(1 + \max(0, t_0 - t_j))` in days of each other column j;
      that of an impossible date is the median of those known in `fit`;
    - for every column an indicator of dates that are missing or impossible.

    Parameters
    ----------
    harmonics : int, default=1
        Number of pairs of season features; 0 for none.
    max_delay_days : float, default=1826
        Longest delay that is believed, by default five years.
    slack_days : float, default=1.0
        By how much a sighting may seem to lie after its report, for the sake of time
        zones. It counts as no delay.

    Attributes
    ----------
    median_delay_ : ndarray of shape (n_features_in - 1,)
        Logarithm of the delay that stands for unknown ones.
    n_features_in_ : int
        Number of columns of dates.
    feature_names_in_ : ndarray of shape (n_features_in,)
        Their names, if X has any.

    See Also
    --------
    ReportTriageClassifier : Uses it beside notes and places.

    Notes
    -----
    There is no trend over the years among the features: what a model learns of it, it
    would extrapolate to dates that it has never seen.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.triage import DateFeatures
    >>> X = [["2020-05-27", "2020-05-25"], ["2020-06-01", "0515-03-02"]]
    >>> dates = DateFeatures().fit(X)
    >>> dates.get_feature_names_out().tolist()
    ['season_sin', 'season_cos', 'delay_x1', 'missing_x0', 'missing_x1']
    >>> dates.transform(X).round(2)
    array([[ 0.6 , -0.8 ,  1.1 ,  0.  ,  0.  ],
           [ 0.5 , -0.86,  1.1 ,  0.  ,  1.  ]])
    """

    _parameter_constraints: dict = {
        "harmonics": [Interval(Integral, 0, None, closed="left")],
        "max_delay_days": [Interval(Real, 0, None, closed="right")],
        "slack_days": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, harmonics=1, max_delay_days=1826.0, slack_days=1.0):
        self.harmonics = harmonics
        self.max_delay_days = max_delay_days
        self.slack_days = slack_days

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the median delays.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Dates: datetime64, ISO strings, or numbers of days since 1970.
        y : ignored
            For compatibility.

        Returns
        -------
        self : object
            The transformer.

        Raises
        ------
        ValueError
            If a column holds strings of which none is a date in ISO format, or a number
            is infinite.
        """
        days, _ = self._read(X, reset=True)
        delay, _ = self._delays(days)
        known = ~np.isnan(delay)
        self.median_delay_ = np.array(
            [np.median(d[k]) if k.any() else 0.0 for d, k in zip(delay.T, known.T)]
        )
        return self

    def transform(self, X):
        """Return the features.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Dates.

        Returns
        -------
        X_out : ndarray of shape (n_reports, n_features_out)
            Features.
        """
        check_is_fitted(self)
        days, dtype = self._read(X, reset=False)
        delay, possible = self._delays(days)
        delay = np.where(np.isnan(delay), self.median_delay_, delay)
        season = self._seasons(np.where(possible, days, np.nan))
        return np.hstack([season, delay, ~possible]).astype(dtype)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns.

        Returns
        -------
        names : ndarray of str
            Names.
        """
        check_is_fitted(self)
        columns = _check_feature_names_in(self, input_features)
        names = [
            f"season_{wave}{h if h > 1 else ''}"
            for h in range(1, self.harmonics + 1)
            for wave in ("sin", "cos")
        ]
        names += [f"delay_{column}" for column in columns[1:]]
        names += [f"missing_{column}" for column in columns]
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def _delays(self, days):
        """Logarithms of the delays, NaN where not known, and which dates are."""
        possible = ~np.isnan(days)
        delay = days[:, :1] - days[:, 1:]
        # Where the report has no date, its other dates are believed.
        with np.errstate(invalid="ignore"):
            possible[:, 1:] &= ~(
                (delay > self.max_delay_days) | (delay < -self.slack_days)
            )
        delay = np.where(possible[:, 1:], np.log1p(np.maximum(delay, 0.0)), np.nan)
        return delay, possible

    def _seasons(self, days):
        season = np.full(len(days), np.nan)
        for column in days.T:  # the last one that is known stays
            season = np.where(np.isnan(column), season, column)
        angle = 2.0 * np.pi * day_of_year(season)
        waves = [
            np.where(np.isnan(angle), 0.0, wave(h * angle))
            for h in range(1, self.harmonics + 1)
            for wave in (np.sin, np.cos)
        ]
        return np.column_stack([np.zeros((len(days), 0)), *waves])

    def _read(self, X, reset):
        X = as_array(X)
        if frame_columns(X) is not None:
            validate_data(self, X, reset=reset, skip_check_array=True)
            dtype = np.float64
        else:
            is_number = getattr(X, "dtype", np.dtype(float)).kind in "fiubc"
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype="numeric" if is_number else None,
                ensure_all_finite="allow-nan" if is_number else False,
            )
            dtype = np.float32 if X.dtype == np.float32 else np.float64
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(X.shape[1])])
        days = np.column_stack(
            [
                to_days(column_values(X, i), str(names[i]), some=reset)
                for i in range(X.shape[1])
            ]
        )
        if np.isinf(days).any():
            raise ValueError("Dates must not be infinity.")
        return days, dtype
