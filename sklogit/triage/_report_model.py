"""What the classifier of reports does between its public methods."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _num_samples, validate_data

from ._class_weights import (
    class_weights,
    fit_classifier,
    fit_self_training,
    without_weight,
)
from ._columns import as_array, frame_columns
from ._features import encoder_for, fit_features, make_features, rate_encoder_of
from ._kernel import Kernel
from ._layout import find_layout, warn_of_late_columns
from ._neighbours import Places, nearest_reference
from ._priority import Surroundings, priority_scores
from ._rate_encoder import SpatioTemporalRateEncoder
from ._reasons import contributions, largest_parts
from ._references import appended, references

# Reports that are scored at once, and numbers if their features are dense: some 30 MB.
_BLOCK_REPORTS = 16384
_BLOCK_NUMBERS = 4_000_000
# Below this number of true reports any ranking has a wide error.
_FEW_POSITIVES = 10


class ReportModel(ClassifierMixin, BaseEstimator):
    """Columns, fit and scores of `ReportTriageClassifier`, which has the parameters."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    # -- what comes in -------------------------------------------------------------

    def _read_first(self, X):
        """Find the columns of X."""
        X = as_array(X)
        if frame_columns(X) is None and X.ndim != 2:
            validate_data(self, X)  # says what is wrong
        self._layout = find_layout(
            X,
            columns=self.columns,
            text=self.text,
            numeric=self.numeric,
            categorical=self.categorical,
            probabilities=self.probabilities,
            image=self.image,
        )
        self.columns_ = self._layout.as_dict()
        warn_of_late_columns(self._layout)
        if self._layout.is_table:
            return self._read_first_table(X)
        validate_data(self, X, skip_check_array=True)
        return X

    def _read_first_table(self, X):
        try:
            return validate_data(self, X, ensure_all_finite="allow-nan")
        except ValueError as error:
            names = frame_columns(X)
            if names is None or "could not convert" not in str(error):
                raise
            raise ValueError(
                f"{error}. Of the columns {names} none has a usual name for "
                "coordinates or notes, and none is named in the parameters columns, "
                "text, numeric, categorical, probabilities or image: so all must be "
                "numbers."
            ) from error

    def _read(self, X):
        X = as_array(X)
        if self._layout.is_table:
            return validate_data(self, X, ensure_all_finite="allow-nan", reset=False)
        self._layout.check(X)
        if frame_columns(X) is None:
            validate_data(self, X, skip_check_array=True, reset=False)
        return X

    def _used(self, X, codes, sample_weight):
        """Take the reports that count in the fit."""
        used = np.ones(len(codes), dtype=bool)
        if self.unlabeled == "ignore":
            used &= codes >= 0
        if sample_weight is not None:
            if self.unlabeled == "self_training":
                raise ValueError("unlabeled='self_training' takes no sample_weight.")
            used &= sample_weight > 0
            sample_weight = sample_weight[used]
        codes = codes[used]
        for code, name in ((1, "positive"), (0, "negative")):
            if not (codes == code).any():
                raise ValueError(f"No {name} report has a weight: both classes count.")
        return _safe_indexing(X, used), codes, sample_weight

    # -- the fit -------------------------------------------------------------------

    def _fit_used(self, X, codes, sample_weight):
        verified = codes >= 0
        weight = np.ones(len(codes)) if sample_weight is None else sample_weight
        n_true = int((codes == 1).sum())
        if n_true < _FEW_POSITIVES:
            warnings.warn(
                f"There are {n_true} positive reports: the ranking, and estimates of "
                "how good it is, have a wide error.",
                UserWarning,
                stacklevel=5,
            )
        self.prior_ = float(np.average(codes[verified] == 1, weights=weight[verified]))
        self.reference_ = self._references(X, codes, weight)
        estimator = self._classifier()
        features = make_features(
            self._layout,
            self._location_encoder(),
            self.text_vectorizer,
            dense=not get_tags(estimator).input_tags.sparse,
        )
        Z = fit_features(features, X, codes, sample_weight)
        classifier = self._fit_classifier(estimator, Z, codes, sample_weight)
        self.pipeline_ = Pipeline([("features", features), ("classifier", classifier)])
        return self

    def _fit_classifier(self, estimator, Z, codes, sample_weight):
        verified = codes >= 0
        if sample_weight is not None:
            sample_weight = sample_weight[verified]
        class_weight = self.class_weight
        if class_weight is None:
            own = estimator.get_params(deep=False).get("class_weight")
            class_weight = self._by_label(own)
        weights = class_weights(
            class_weight, codes[verified], self.classes_, self._positive, sample_weight
        )
        self.weight_ = weights[1] / weights[0]
        if self.unlabeled == "self_training":
            if self.calibration in ("sigmoid", "isotonic"):
                raise ValueError(
                    f"calibration={self.calibration!r} needs verdicts in all folds: it "
                    "does not go with unlabeled='self_training'."
                )
            return fit_self_training(estimator, Z, codes, weights)
        return fit_classifier(
            estimator,
            _rows(Z, verified),
            codes[verified],
            weights,
            sample_weight,
            self.calibration,
            self._folds(codes),
        )

    def _by_label(self, class_weight):
        """Class weights of the estimator, whose classes are 0 and 1, by label."""
        if isinstance(class_weight, str) and class_weight != "balanced":
            raise ValueError(
                "class_weight of the estimator must be None, 'balanced' or a dict, so "
                f"that probabilities can be corrected, got {class_weight!r}."
            )
        if not isinstance(class_weight, dict):
            return class_weight
        labels = self.classes_.tolist()
        label = {0: labels[1 - self._positive], 1: labels[self._positive]}
        return {label.get(code, code): w for code, w in class_weight.items()}

    def _classifier(self):
        if self.estimator is None:
            estimator = LogisticRegression(max_iter=1000)
        else:
            estimator = clone(self.estimator)
        seeded = "random_state" in estimator.get_params(deep=False)
        if seeded and self.random_state is not None:  # else it keeps its own
            estimator.set_params(random_state=self.random_state)
        return estimator

    def _folds(self, codes):
        if self.calibration not in ("sigmoid", "isotonic"):
            return None
        n_least = min(int((codes == 1).sum()), int((codes == 0).sum()))
        if n_least < 2:
            raise ValueError(
                f"calibration={self.calibration!r} needs two reports of each class for "
                "its folds, got 1."
            )
        return StratifiedKFold(
            min(5, n_least), shuffle=True, random_state=self.random_state
        )

    def _location_encoder(self):
        if self.encoder == "drop" or not self._layout.has_location:
            return None
        encoder = self.encoder
        if encoder is None:
            encoder = SpatioTemporalRateEncoder(
                length_km=self.length_km,
                radius_km=self.radius_km,
                missing_location=self.missing_location,
            )
        return encoder_for(self._layout, encoder)

    def _references(self, X, codes, weight):
        places = (None, None, None)
        if self._layout.has_location:
            places = self._layout.places(X, self.missing_location)
        verified = np.flatnonzero(codes >= 0)
        return references(*places, codes.astype(int), weight, verified)

    # -- the scores ----------------------------------------------------------------

    def _probability(self, X):
        """Calibrated probability that reports are true, a block at a time."""
        blocks = [self.pipeline_.predict_proba(part)[:, 1] for part in self._blocks(X)]
        probability = np.concatenate([np.zeros(0), *blocks])
        if self.calibration == "prior":
            probability = without_weight(probability, self.weight_)
        return probability

    def _blocks(self, X):
        """Yield the reports in blocks whose features need bounded memory."""
        features = self.pipeline_.named_steps["features"]
        step = _BLOCK_REPORTS
        if not features.sparse_output_:
            n_features = max(s.stop for s in features.output_indices_.values())
            step = int(np.clip(_BLOCK_NUMBERS // max(1, n_features), 1, step))
        for start in range(0, _num_samples(X), step):
            yield _safe_indexing(X, slice(start, start + step))

    def _surroundings(self, X):
        r = self.reference_
        pool = references = None
        if self._layout.has_location:
            places = self._layout.places(X, self.missing_location)
            pool = Places.from_degrees(*places)
            references = Places.from_degrees(r.latitude, r.longitude, r.days)
        kernel = Kernel(self.length_km, self.length_days, self.radius_km)
        return Surroundings(pool, references, r.target * r.weight, r.weight, kernel)

    def _standing(self, X):
        """Return priority, probability, influence and km of true reports."""
        probability = self._probability(X)
        around = self._surroundings(X)
        of_true = around.of_true(len(probability))
        score = priority_scores(
            self.priority_rule, probability, around, self.kappa, of_true
        )
        km = np.full(len(probability), np.nan)
        if around.pool is not None:
            true = np.flatnonzero(around.verdict > 0)
            km, _ = nearest_reference(around.pool, around.references[true])
        return score, probability, of_true, km

    def _reasons(self, X, n_reasons):
        features = self.pipeline_.named_steps["features"]
        classifier = self.pipeline_.named_steps["classifier"]
        blocks = [
            (name, columns)
            for name, columns in features.output_indices_.items()
            if columns.stop > columns.start
        ]
        reasons, names = [], None
        for part in self._blocks(X):
            parts, is_linear = contributions(
                classifier, features.transform(part), blocks
            )
            if names is None:
                names = (
                    self._feature_names() if is_linear else [name for name, _ in blocks]
                )
            reasons += largest_parts(parts, names, n_reasons)
        return reasons

    def _feature_names(self):
        features = self.pipeline_.named_steps["features"]
        if self._layout.is_table:  # it has seen an array
            return features.get_feature_names_out(
                getattr(self, "feature_names_in_", None)
            )
        return features.get_feature_names_out()

    # -- verdicts that arrive ------------------------------------------------------

    def _refit_is_due(self, codes, n_new):
        if self.refit is None:
            return False
        if self.refit == "positive":
            return bool((codes == 1).any())
        if self.refit == "always":
            return True
        return n_new >= self.refit

    def _append(self, X, codes, sample_weight):
        weight = np.ones(len(codes)) if sample_weight is None else sample_weight
        new, old = self._references(X, codes, weight), self.reference_
        encoder = rate_encoder_of(self.pipeline_.named_steps["features"])
        counts = np.flatnonzero((codes >= 0) | (self.unlabeled != "ignore"))
        if hasattr(encoder, "update") and len(counts):
            place = _safe_indexing(X, self._layout.place, axis=1)
            place = _safe_indexing(place, counts)
            encoder.update(place, codes[counts], weight[counts])
        self.reference_ = appended(old, new)


def _rows(Z, kept):
    return Z if kept.all() else Z[np.flatnonzero(kept)]
