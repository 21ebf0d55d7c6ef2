"""Triage of reports: which of thousands to inspect first, and why."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_samples,
    check_consistent_length,
    check_is_fitted,
)

from .._optional import import_optional
from .._state import restore_on_failure
from ._labels import encode_known_labels, encode_labels
from ._priority import PRIORITY_RULES
from ._reasons import linear_coefficients
from ._references import stacked
from ._report_model import ReportModel

_LEAST_PROBABILITY = 1e-15


class ReportTriageClassifier(ReportModel):
    r"""Probability that a report is true, and the order in which to inspect reports.

    For an agency that receives many reports with a place, dates, a note and perhaps
    pictures, of which few are true, and that can inspect few. Features of all these,
    among them the rate of true reports in the neighbourhood without a report's own
    verdict, go to a classifier. Its probabilities p and the influence F of reports on
    each other (:func:`neighbour_influence`) make a priority

    .. math:: Z_i = p_i \Big(1 + \kappa \sum_{r\ \mathrm{true}} F_{ir}\Big)

    or another one of `priority_rule`. A priority is a score, not a probability.

    Parameters
    ----------
    columns : dict, default=None
        Columns of X for the keys "latitude", "longitude" (degrees), "submitted" and
        "detected" (dates of report and sighting); names of a data frame, or positions.
        By default those of a data frame that are named so, or in a usual way ("lat",
        "Submission Date", ...). See the notes for plain tables.
    text : "auto", str, int, list or None, default="auto"
        Columns of notes; "auto" takes one that is named notes, note, text or
        description, if there is one.
    numeric : list, default=()
        Columns of numbers. NaN is missing.
    categorical : list, default=()
        Columns of categories. New ones may come later.
    probabilities : list, default=()
        Columns of probabilities between 0 and 1, such as that of an image classifier;
        they enter as logits.
    image : str, int, list or None, default=None
        Columns of numbers that describe pictures, such as an embedding. NaN means that
        there is no picture.
    encoder : SpatioTemporalRateEncoder, "drop" or None, default=None
        Encoder of the place, whose columns are set here; None for one with `length_km`
        and `radius_km`.
    text_vectorizer : estimator, default=None
        Vectorizer of notes, a list of strings; None for TF-IDF of words that are in
        three notes at least.
    estimator : estimator, default=None
        Classifier of the features with `predict_proba`; None for logistic regression.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as costs: `predict` follows them, `predict_proba` is
        calibrated, see `calibration`. None takes those of `estimator`.
    calibration : {"prior", "sigmoid", "isotonic"} or None, default="prior"
        "prior" undoes the class weights in closed form. "sigmoid" and "isotonic"
        calibrate on five folds. None leaves the probabilities as they are.
    priority_rule : str or callable, default="boost"
        "boost" is the formula above, and "probability" is p. "sum" is
        :math:`\sum_j F_{ij} p_j` over the open reports, as in the paper: it puts dense
        places first. "mean" is the mean of p and verdicts, weighted by F. A callable
        gets p, F of the open reports (CSR), F of the references (CSR), and the verdicts
        of the references.
    length_km : float, default=10.0
        Length of the decay of F in space.
    length_days : float, default=30.0
        Length of the decay of F in time, for priorities; None for none.
    radius_km : float, default=60.0
        Radius of F.
    kappa : float, default=1.0
        Strength of "boost"; 0 is the order of the probabilities.
    unlabeled : {"ignore", "density", "self_training"}, default="ignore"
        What to do with reports without a verdict in `fit`: leave them out, count them
        in the density of reports, or also learn from those that the classifier is sure
        of, by :class:`~sklearn.semi_supervised.SelfTrainingClassifier`.
    missing_location : {"error", "impute"}, default="error"
        Whether NaN coordinates are an error, or a report without neighbours.
    refit : {"positive", "always"}, int or None, default=None
        When `update` fits anew: after each true report, always, or once there are so
        many new verdicts. The reports of training are then kept, in pickles too. None
        never does, and keeps places, dates and verdicts only.
    positive_label : label, default=None
        Label of a true report; by default the greater of the two.
    unlabeled_label : label, default=-1
        Label of a report without a verdict. Labels -1 and 1, and no others, are two
        classes.
    random_state : int, RandomState instance or None, default=None
        For folds, and for `estimator` if it has such a parameter; None leaves the
        latter as it is.

    Attributes
    ----------
    pipeline_ : Pipeline
        The features, a :class:`~sklearn.compose.ColumnTransformer`, and the classifier,
        whose probabilities are those before the "prior" calibration.
    columns_ : dict
        The columns in use: "latitude", "longitude", "submitted", "detected", and lists
        "text", "numeric", "categorical", "probabilities" and "image", as far as there
        are any.
    reference_ : Bunch
        Reports with a verdict: arrays `latitude`, `longitude`, `days` (or None),
        `target` (1 or 0) and `weight`.
    prior_ : float
        Rate of true reports among those with a verdict.
    weight_ : float
        Weight of a true report by that of a false one.
    classes_ : ndarray of shape (2,)
        Labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in,)
        Their names, if X has any.

    See Also
    --------
    SpatioTemporalRateEncoder : The features of the neighbourhood.
    DateFeatures : Those of the dates.
    neighbour_influence : The influence F.

    Notes
    -----
    **Plain tables.** If no column is named, and X is an array, or a data frame in which
    neither coordinates nor notes have a usual name, then all columns are numbers, and
    reports have no place: their priority is their probability. Otherwise only columns
    that are named, or found by their names, are used, see `columns_`; a data frame may
    have others, in any order.

    **Open reports.** A report that is among the references has seen its own verdict:
    rank those without one.

    **Few true reports.** Fewer than ten are warned of. With a class weight the
    probabilities would be too large; "prior" makes them right again if the model is.

    **Leaks.** A column that was written with the verdict, or counted while reports were
    verified, must not be a feature; names that sound like one are warned of.

    **Size.** Reports are scored in blocks, so that memory does not grow with their
    number; only the matrices that a callable `priority_rule` gets do.

    **Weights.** `sample_weight` weights reports in the classifier, as references, and
    in the moments of numbers; words are counted without it.

    References
    ----------
    .. [1] "Priority prediction of Asian Hornet sighting report using machine learning
       methods", arXiv:2107.05465. Its full text was not at hand: logistic regression
       with class weights and "sum" are the paper's, all else is ours.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklogit.triage import ReportTriageClassifier
    >>> rng = np.random.default_rng(0)
    >>> reports = pd.DataFrame(
    ...     {
    ...         "latitude": rng.uniform(47.0, 49.0, 600),
    ...         "longitude": rng.uniform(-123.0, -121.0, 600),
    ...         "submitted": np.datetime64("2020-05-01") + rng.integers(0, 90, 600),
    ...         "notes": rng.choice(["a large orange hornet", "a small wasp", ""], 600),
    ...     }
    ... )
    >>> near = (reports.latitude > 48.0) & (reports.longitude < -122.0)
    >>> y = (near & (reports.notes == "a large orange hornet")).astype(int)
    >>> triage = ReportTriageClassifier().fit(reports[:400], y[:400])
    >>> ranking = triage.rank(reports[400:], k=10)
    >>> ranking.columns.tolist()
    ['rank', 'priority', 'probability', 'influence', 'nearest_km', 'reasons']
    >>> int(y[ranking.index].sum())  # true ones among the ten to inspect
    10
    """

    _parameter_constraints: dict = {
        "columns": [dict, None],
        "text": [str, Integral, "array-like", None],
        "numeric": [str, Integral, "array-like"],
        "categorical": [str, Integral, "array-like"],
        "probabilities": [str, Integral, "array-like"],
        "image": [str, Integral, "array-like", None],
        "encoder": [
            HasMethods(["fit_transform", "transform"]),
            StrOptions({"drop"}),
            None,
        ],
        "text_vectorizer": [HasMethods(["fit_transform", "transform"]), None],
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "calibration": [StrOptions({"prior", "sigmoid", "isotonic"}), None],
        "priority_rule": [StrOptions(set(PRIORITY_RULES)), callable],
        "length_km": [Interval(Real, 0, None, closed="right"), None],
        "length_days": [Interval(Real, 0, None, closed="right"), None],
        "radius_km": [Interval(Real, 0, None, closed="right")],
        "kappa": [Interval(Real, 0, None, closed="left")],
        "unlabeled": [StrOptions({"ignore", "density", "self_training"})],
        "missing_location": [StrOptions({"error", "impute"})],
        "refit": [
            StrOptions({"positive", "always"}),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "positive_label": "no_validation",
        "unlabeled_label": "no_validation",
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        columns=None,
        text="auto",
        numeric=(),
        categorical=(),
        probabilities=(),
        image=None,
        encoder=None,
        text_vectorizer=None,
        estimator=None,
        class_weight=None,
        calibration="prior",
        priority_rule="boost",
        length_km=10.0,
        length_days=30.0,
        radius_km=60.0,
        kappa=1.0,
        unlabeled="ignore",
        missing_location="error",
        refit=None,
        positive_label=None,
        unlabeled_label=-1,
        random_state=None,
    ):
        self.columns = columns
        self.text = text
        self.numeric = numeric
        self.categorical = categorical
        self.probabilities = probabilities
        self.image = image
        self.encoder = encoder
        self.text_vectorizer = text_vectorizer
        self.estimator = estimator
        self.class_weight = class_weight
        self.calibration = calibration
        self.priority_rule = priority_rule
        self.length_km = length_km
        self.length_days = length_days
        self.radius_km = radius_km
        self.kappa = kappa
        self.unlabeled = unlabeled
        self.missing_location = missing_location
        self.refit = refit
        self.positive_label = positive_label
        self.unlabeled_label = unlabeled_label
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Learn from reports with a verdict.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports.
        y : array-like of shape (n_reports,)
            Verdicts of two classes, and `unlabeled_label` for none.
        sample_weight : array-like of shape (n_reports,), default=None
            Weights of the reports; those of weight zero are left out.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            If there is no true or no false report, or a third class; a column is
            missing; coordinates are impossible or missing, or a number is infinite; or
            a combination of parameters is impossible.

        Warns
        -----
        UserWarning
            If there are fewer than ten true reports, or a column sounds like a verdict.
        """
        X = self._read_first(X)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        check_consistent_length(X, y)
        codes, self.classes_, self._positive = encode_labels(
            y, self.positive_label, self.unlabeled_label
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, ensure_non_negative=True
            )
        # Copies: verdicts are often written into the same table later.
        self._kept = None
        if self.refit is not None:
            self._kept = [(X.copy(), np.array(y), sample_weight)]
        X, codes, sample_weight = self._used(X, codes, sample_weight)
        self._n_new = 0
        return self._fit_used(X, codes, sample_weight)

    def predict_proba(self, X):
        """Return probabilities of the classes.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports, of any number: they are scored in blocks.

        Returns
        -------
        probabilities : ndarray of shape (n_reports, 2)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        true = self._probability(self._read(X))
        pair = (1.0 - true, true) if self._positive == 1 else (true, 1.0 - true)
        return np.column_stack(pair)

    def decision_function(self, X):
        """Return log-odds of the second class, with the class weights.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports.

        Returns
        -------
        log_odds : ndarray of shape (n_reports,)
            Positive where `predict` says the second class.
        """
        check_is_fitted(self)
        p = np.clip(
            self._probability(self._read(X)), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY
        )
        log_odds = np.log(p) - np.log1p(-p)
        if self.calibration is not None:  # else the weights are in p already
            log_odds += np.log(self.weight_)
        return log_odds if self._positive == 1 else -log_odds

    def predict(self, X):
        """Return the class of least cost.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports.

        Returns
        -------
        labels : ndarray of shape (n_reports,)
            The more probable class, its odds multiplied by the class weights.
        """
        second = self.decision_function(X) > 0
        return self.classes_[second.astype(np.intp)]

    def priority(self, X):
        """Return the priority of open reports.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            All open reports: with "sum" and "mean" they influence each other.

        Returns
        -------
        scores : ndarray of shape (n_reports,)
            The greater, the sooner to inspect.
        """
        check_is_fitted(self)
        return self._standing(self._read(X))[0]

    def influence(self, X):
        """Return the influence of the references on reports.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports.

        Returns
        -------
        influence : csr_array of shape (n_reports, n_references)
            F, with the references in the order of `reference_`; empty if reports have
            no place.
        """
        check_is_fitted(self)
        X = self._read(X)
        return self._surroundings(X).reference_matrix(_num_samples(X))

    def rank(self, X, k=None, *, n_reasons=3):
        """Rank open reports, and say why each one stands where it does.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            All open reports.
        k : int, default=None
            Return the first k only.
        n_reasons : int, default=3
            How many features to name for each; 0 for none.

        Returns
        -------
        ranking : DataFrame of shape (n_ranked, 6)
            With the index of X, sorted: `rank` from 1, `priority`, `probability`,
            `influence` (sum of that of true reports), `nearest_km` (distance to the
            nearest true report) and `reasons`: the features that move the log-odds most
            from those of the average report, with signs. Of an estimator that is not
            linear they are groups of features. Equal priorities keep the order of X.

        Raises
        ------
        ValueError
            If `k` or `n_reasons` is negative.
        ImportError
            If pandas is missing.
        """
        pandas = import_optional("pandas", "ReportTriageClassifier.rank")
        check_is_fitted(self)
        for name, value in (("k", k), ("n_reasons", n_reasons)):
            is_count = isinstance(value, Integral) and not isinstance(value, bool)
            if not (is_count and value >= 0) and not (name == "k" and value is None):
                raise ValueError(f"{name} must be an integer from 0 on, got {value!r}.")
        X = self._read(X)
        score, probability, of_true, km = self._standing(X)
        order = np.argsort(-score, kind="stable")[:k]
        table = pandas.DataFrame(
            {
                "rank": np.arange(1, len(order) + 1),
                "priority": score[order],
                "probability": probability[order],
                "influence": of_true[order],
                "nearest_km": km[order],
            },
            index=X.index[order] if hasattr(X, "index") else order,
        )
        if n_reasons:
            table["reasons"] = self._reasons(_safe_indexing(X, order), n_reasons)
        return table

    @restore_on_failure
    def update(self, X, y, sample_weight=None, *, refit=None):
        """Append reports whose verdicts have arrived to the references.

        Rates in the neighbourhood, influence and distances follow at once; coefficients
        wait for a new fit.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n_reports, n_columns)
            Reports that were not among the references. With ``unlabeled="density"`` a
            report that `fit` saw without its verdict then counts twice as a neighbour.
        y : array-like of shape (n_reports,)
            Their verdicts: one class will do. Those without one are left out.
        sample_weight : array-like of shape (n_reports,), default=None
            Weights.
        refit : bool, default=None
            Whether to fit anew to all reports so far; None for what the parameter
            `refit` says.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            If a label is unknown, or a refit is due but the parameter `refit` was None
            in `fit`, so that no reports were kept.
        """
        check_is_fitted(self)
        X = self._read(X)
        codes = encode_known_labels(
            y, self.classes_, self._positive, self.unlabeled_label
        )
        check_consistent_length(X, codes)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, ensure_non_negative=True
            )
        n_new = self._n_new + int((codes >= 0).sum())
        due = self._refit_is_due(codes, n_new) if refit is None else refit
        if self._kept is not None:
            kept = [*self._kept, (X.copy(), np.array(y), sample_weight)]
            if due:
                return self.fit(*stacked(kept))
            self._kept = kept
        elif due:
            raise ValueError(
                "A refit in update needs the reports of training: set the parameter "
                "refit before fit, which then keeps them."
            )
        self._n_new = n_new
        self._append(X, codes, sample_weight)
        return self

    @property
    def coef_report_(self):
        """Coefficients of a linear estimator with their names, largest first."""
        check_is_fitted(self)
        coef = linear_coefficients(self.pipeline_.named_steps["classifier"])
        if coef is None:
            raise AttributeError("coef_report_ needs a linear estimator.")
        pandas = import_optional("pandas", "coef_report_")
        table = pandas.DataFrame({"feature": self._feature_names(), "coef": coef})
        return table.sort_values("coef", key=abs, ascending=False, ignore_index=True)
