"""Local rates of true reports as features, without a report's own verdict."""

from numbers import Integral, Real

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from .._days import to_days
from .._state import restore_on_failure
from ._columns import (
    as_array,
    check_columns_exist,
    column_values,
    frame_columns,
    usual_column,
)
from ._geometry import check_coordinates, widest_km
from ._influence import KERNEL_CONSTRAINTS
from ._kernel import Kernel
from ._labels import encode_known_labels, encode_labels
from ._neighbours import Places, influence_sums, nearest_reference
from ._references import appended, references

_FEATURES = ("log_odds", "density", "nearest")


class SpatioTemporalRateEncoder(TransformerMixin, BaseEstimator):
    r"""Rates of true reports in the neighbourhood, as features.

    With the influence F of :func:`neighbour_influence` of reference reports r on a
    report q, weights s and verdicts y, the features are the smoothed local log-odds

    .. math:: \operatorname{logit} \frac{\sum_r F_{qr} s_r y_r + m \pi}
        {\sum_r F_{qr} s_r + m}

    the density :math:`\log(1 + \sum_r F_{qr} s_r)`, and log(1 + km) to the nearest
    true report. The prior :math:`\pi` is the rate of true reports of all references,
    with half a true and half a false report added; it is the same for all reports, so
    that it does not tell them apart.

    `fit_transform` leaves the own row of each report out, as scikit-learn's
    :class:`~sklearn.preprocessing.TargetEncoder` does by cross-fitting: a model trained
    on features that have seen the own verdict trusts them too much. `transform`
    uses all references. A single true report has no other one: its log-odds and
    distance are the means of those of the other reports, so that they tell nothing.

    Parameters
    ----------
    latitude, longitude : str or int, default=None
        Columns of the coordinates in degrees. By default those of a data frame that are
        named so (or lat, lon, lng), else the first two.
    time : str or int, default=None
        Column of the time of a report, as datetime64, ISO strings or days; None for no
        time.
    length_km : float, default=10.0
        Length of the decay in space; None for none.
    length_days : float, default=None
        Length of the decay in time; None for none.
    radius_km : float, default=60.0
        Radius of the neighbourhood.
    spatial, temporal : {"exponential", "gaussian", "tophat"}, default="exponential"
        Shapes of the decay.
    prior_strength : float, default=1.0
        How many reports the prior is worth, m.
    base_rate : float, default=None
        The prior :math:`\pi`, if it is known; None to take it from the references.
    causal : bool, default=False
        Whether only references strictly before a report count, for :math:`\pi` too.
    features : tuple of str, default=("log_odds", "density", "nearest")
        Which features.
    max_neighbors : int, default=None
        Count only this many nearest references.
    missing_location : {"error", "impute"}, default="error"
        Whether NaN coordinates are an error; or get the log-odds of the prior, no
        neighbours, the largest distance, and a fourth feature that marks them.
    positive_label : label, default=None
        Label of a true report; by default the greater of the two.

    Attributes
    ----------
    references_ : Bunch
        The reference reports: arrays `latitude`, `longitude`, `days` (or None),
        `target` (1, 0, or -1 without a verdict) and `weight`.
    classes_ : ndarray of shape (2,)
        Labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in,)
        Their names, if X has any.

    See Also
    --------
    ReportTriageClassifier : Uses it beside notes and dates.
    neighbour_influence : The influence F.
    sklearn.preprocessing.TargetEncoder : The same for categories.

    Notes
    -----
    Reports of label -1 have no verdict: they count in the density only. Labels -1 and
    1 alone are two classes.

    Without any true report in reach the nearest one is taken to be as far as twice the
    distance from the middle of the references to the outermost.

    References
    ----------
    .. [1] "Priority prediction of Asian Hornet sighting report using machine learning
       methods", arXiv:2107.05465. The features are ours.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.triage import SpatioTemporalRateEncoder
    >>> blaine = [[48.99, -122.75], [48.98, -122.70], [48.97, -122.72]]
    >>> X = np.array([*blaine, [47.60, -122.30]])
    >>> encoder = SpatioTemporalRateEncoder(features=("log_odds",))
    >>> encoder.fit_transform(X, [1, 1, 0, 0]).ravel().round(2)  # without the own
    array([-0.04, -0.12,  1.42,  0.  ])
    >>> encoder.transform(X).ravel().round(2)
    array([ 0.57,  0.49,  0.32, -1.1 ])
    """

    _parameter_constraints: dict = {
        "latitude": [str, Integral, None],
        "longitude": [str, Integral, None],
        "time": [str, Integral, None],
        **KERNEL_CONSTRAINTS,
        "prior_strength": [Interval(Real, 0, None, closed="neither")],
        "base_rate": [Interval(Real, 0, 1, closed="neither"), None],
        "features": ["array-like"],
        "missing_location": [StrOptions({"error", "impute"})],
        "positive_label": "no_validation",
    }

    def __init__(
        self,
        *,
        latitude=None,
        longitude=None,
        time=None,
        length_km=10.0,
        length_days=None,
        radius_km=60.0,
        spatial="exponential",
        temporal="exponential",
        prior_strength=1.0,
        base_rate=None,
        causal=False,
        features=("log_odds", "density", "nearest"),
        max_neighbors=None,
        missing_location="error",
        positive_label=None,
    ):
        self.latitude = latitude
        self.longitude = longitude
        self.time = time
        self.length_km = length_km
        self.length_days = length_days
        self.radius_km = radius_km
        self.spatial = spatial
        self.temporal = temporal
        self.prior_strength = prior_strength
        self.base_rate = base_rate
        self.causal = causal
        self.features = features
        self.max_neighbors = max_neighbors
        self.missing_location = missing_location
        self.positive_label = positive_label

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Remember the references.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Reports.
        y : array-like of shape (n_reports,)
            Verdicts of two classes; -1 for none.
        sample_weight : array-like of shape (n_reports,), default=None
            Weights s of the references.

        Returns
        -------
        self : object
            The encoder.

        Raises
        ------
        ValueError
            If coordinates are impossible or missing, or a column is missing, or `y` has
            no true or no false report.
        """
        self._remember(X, y, sample_weight)
        return self

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y, sample_weight=None):
        """Remember the references, and return their features without the own verdict.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Reports.
        y : array-like of shape (n_reports,)
            Verdicts of two classes; -1 for none.
        sample_weight : array-like of shape (n_reports,), default=None
            Weights s of the references.

        Returns
        -------
        X_out : ndarray of shape (n_reports, n_features_out)
            Features of each report, from the other reports.
        """
        dtype = self._remember(X, y, sample_weight)
        places = self._reference_places()
        return self._features_of(places, np.arange(len(places))).astype(dtype)

    def transform(self, X):
        """Return the features of new reports, from all references.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Reports.

        Returns
        -------
        X_out : ndarray of shape (n_reports, n_features_out)
            Features.
        """
        check_is_fitted(self)
        latitude, longitude, days, dtype = self._read(X, reset=False)
        places = Places.from_degrees(latitude, longitude, days)
        return self._features_of(places, None).astype(dtype)

    @restore_on_failure
    def update(self, X, y, sample_weight=None):
        """Append references, as verdicts arrive.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_reports, n_columns)
            Reports that are not among the references yet.
        y : array-like of shape (n_reports,)
            Their verdicts: one class will do.
        sample_weight : array-like of shape (n_reports,), default=None
            Weights s.

        Returns
        -------
        self : object
            The encoder, as `fit` of all references would leave it.
        """
        check_is_fitted(self)
        latitude, longitude, days, _ = self._read(X, reset=False)
        target = encode_known_labels(y, self.classes_, self._positive)
        check_consistent_length(latitude, target)
        weight = _check_sample_weight(sample_weight, latitude, ensure_non_negative=True)
        new = references(latitude, longitude, days, target, weight)
        self.references_ = appended(self.references_, new)
        return self

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features.

        Parameters
        ----------
        input_features : ignored
            For compatibility.

        Returns
        -------
        names : ndarray of str
            Names.
        """
        check_is_fitted(self)
        names = list(self.features)
        if self.missing_location == "impute":
            names.append("location_missing")
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.input_tags.allow_nan = self.missing_location == "impute"
        return tags

    # -- what the features are -----------------------------------------------------

    def _kernel(self):
        return Kernel(
            self.length_km,
            self.length_days,
            self.radius_km,
            self.spatial,
            self.temporal,
            self.causal,
            self.max_neighbors,
        )

    def _reference_places(self):
        r = self.references_
        return Places.from_degrees(r.latitude, r.longitude, r.days)

    def _features_of(self, places, own):
        known, places_r = self.references_, self._reference_places()
        verified = known.weight * (known.target >= 0)
        true = known.weight * (known.target == 1)
        columns = {}
        if {"log_odds", "density"} & set(self.features):
            n_true, n_verified, n_all = influence_sums(
                places,
                places_r,
                self._kernel(),
                [true, verified, known.weight],
                own,
            ).T
            rate = self._base_rate(places.days, true, verified)
            m = self.prior_strength
            columns["log_odds"] = logit((n_true + m * rate) / (n_verified + m))
            columns["density"] = np.log1p(n_all)
        if "nearest" in self.features:
            columns["nearest"] = np.log1p(self._nearest_km(places, places_r, own))
        if own is not None:
            _hide_the_only_true(columns, np.flatnonzero(true))
        out = [columns[name] for name in self.features]
        if self.missing_location == "impute":
            out.append(~places.known)
        return np.column_stack(out).astype(np.float64)

    def _nearest_km(self, places, places_r, own):
        true = np.flatnonzero(
            (self.references_.target == 1) & (self.references_.weight > 0)
        )
        if own is not None:
            position = np.full(len(places_r) + 1, -1)
            position[true] = np.arange(len(true))
            own = position[own]
        km, _ = nearest_reference(places, places_r[true], own, causal=self.causal)
        # The bound knows no verdicts, so that it tells none either.
        return np.where(np.isfinite(km), km, widest_km(places_r.vectors))

    def _base_rate(self, days, true, verified):
        """Rate of true reports that stands for reports without neighbours."""
        if self.base_rate is not None:
            return self.base_rate
        # One rate for all rows, own verdicts included: without its own, the rate would
        # be lower for each true report, and alone tell all true ones from the false.
        n_true, n_verified = true.sum(), verified.sum()
        if self.causal:
            n_true, n_verified = _before(days, self.references_.days, true, verified)
        # Half a report of each kind: the rate is never 0 or 1.
        return (n_true + 0.5) / (n_verified + 1.0)

    # -- what comes in -------------------------------------------------------------

    def _remember(self, X, y, sample_weight):
        self._check_features()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        latitude, longitude, days, dtype = self._read(X, reset=True)
        target, self.classes_, self._positive = encode_labels(y, self.positive_label)
        check_consistent_length(latitude, target)
        weight = _check_sample_weight(sample_weight, latitude, ensure_non_negative=True)
        self.references_ = references(latitude, longitude, days, target, weight)
        return dtype

    def _check_features(self):
        unknown = [name for name in self.features if name not in _FEATURES]
        if unknown or not len(self.features):
            raise ValueError(
                f"features must be some of {_FEATURES}, got {tuple(self.features)!r}."
            )
        if self.causal and self.time is None:
            raise ValueError("causal=True needs the column of the time.")

    def _read(self, X, reset):
        """Return latitude, longitude, days, and the dtype of the output."""
        X, dtype = self._validated(X, reset)
        latitude, longitude = self._coordinate_columns(X)
        columns = [("latitude", latitude), ("longitude", longitude)]
        if self.time is not None:
            columns.append(("time", self.time))
        check_columns_exist(X, columns)
        coordinates = check_coordinates(
            column_values(X, latitude),
            column_values(X, longitude),
            self.missing_location,
        )
        days = None
        if self.time is not None:
            days = to_days(column_values(X, self.time), "time", some=reset)
        return *coordinates, days, dtype

    def _validated(self, X, reset):
        X = as_array(X)
        plain = self.time is None and self.missing_location == "error"
        if frame_columns(X) is not None:
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X, np.float64
        if self.time is not None and X.dtype.kind == "O":
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X, np.float64
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=True if plain else "allow-nan",
            ensure_min_features=2 if reset else 1,
        )
        return X, np.float32 if X.dtype == np.float32 else np.float64

    def _coordinate_columns(self, X):
        latitude, longitude = self.latitude, self.longitude
        names = frame_columns(X)
        usual = [usual_column(names, role) for role in ("latitude", "longitude")]
        if None in usual:
            usual = [0, 1]
        return (
            usual[0] if latitude is None else latitude,
            usual[1] if longitude is None else longitude,
        )


def _hide_the_only_true(columns, true):
    """Put what a single true report sees of verdicts, none, at the mean of the others.

    All others see it, so that a model would learn to look elsewhere.
    """
    if len(true) != 1:
        return
    for name in ("log_odds", "nearest"):
        if name in columns:
            columns[name][true] = np.delete(columns[name], true).mean()


def _before(days, reference_days, true, verified):
    """Sum two weights over the references strictly before each query."""
    dated = np.flatnonzero(~np.isnan(reference_days))
    order = dated[np.argsort(reference_days[dated], kind="stable")]
    count = np.searchsorted(reference_days[order], days, side="left")
    count = np.where(np.isnan(days), 0, count)
    return (
        np.concatenate([[0.0], np.cumsum(true[order])])[count],
        np.concatenate([[0.0], np.cumsum(verified[order])])[count],
    )
