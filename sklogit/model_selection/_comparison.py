"""Scores and times of several models on the same folds, and their tables."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .._optional import import_optional
from ._calibration import CALIBRATION_COLUMNS, calibration_measures
from ._comparison_display import ModelComparisonDisplay
from ._paired_tests import (
    holm_adjusted,
    interval_half_width,
    mean_and_error,
    p_value,
    rope_probabilities,
)
from ._rules import RULES, simplest_acceptable


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Labels and probabilities of all test rows, fold by fold."""

    y: np.ndarray
    classes: np.ndarray
    probabilities: list  # for each model, ndarray or None
    sample_weight: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class ModelComparison:
    """Scores and times of several models on the same folds, from `compare_classifiers`.

    Attributes
    ----------
    names_ : list of str
        Names of the models, in the order given.
    scores_ : ndarray of shape (n_models, n_resamples)
        Test scores, higher is better; nan where a model failed.
    fit_times_ : ndarray of shape (n_models, n_resamples)
        Seconds of fit, an inner search included.
    score_times_ : ndarray of shape (n_models, n_resamples)
        Seconds of scoring, prediction included.
    predict_times_ : ndarray of shape (n_models, n_resamples)
        Seconds of predict for 1000 rows.
    complexity_ : ndarray of shape (n_models,)
        Smaller is simpler: the place in the list, or the mean of what `complexity`
        measured.
    rho_ : float
        Mean test rows over mean training rows, for the corrected tests.
    scoring : str
        Name of the score.
    reference : str
        Name of the model that the others are compared with, or "best".
    timing_reliable_ : bool
        Whether the fits ran one at a time. Times of parallel workers are not to be
        compared.
    estimators_ : list of list of estimators, or None
        Fitted models by model and fold, with ``return_estimator=True``.
    out_of_fold_ : object or None
        Labels and probabilities of the test rows, for `calibration`.

    See Also
    --------
    compare_classifiers : Makes it.
    ModelComparisonDisplay : Draws it.
    """

    names_: list
    scores_: np.ndarray
    fit_times_: np.ndarray
    score_times_: np.ndarray
    predict_times_: np.ndarray
    complexity_: np.ndarray
    rho_: float
    scoring: str = "score"
    reference: str = "best"
    timing_reliable_: bool = True
    estimators_: list | None = None
    out_of_fold_: OutOfFold | None = None

    def __repr__(self):
        means, stds = self.scores_.mean(axis=1), self.scores_.std(axis=1, ddof=1)
        width = max(map(len, self.names_))
        lines = [
            f"ModelComparison: {self.scoring} on {self.scores_.shape[1]} resamples",
            *(
                f"  {name:{width}}  {mean:.4f} (sd {std:.4f})  fit {1000 * time:.1f} ms"
                for name, mean, std, time in zip(
                    self.names_, means, stds, np.median(self.fit_times_, axis=1)
                )
            ),
        ]
        return "\n".join(lines)

    @property
    def best_name_(self):
        """Name of the model with the best mean score; of equals, the simplest."""
        _, best = self._select("best", 0.0)
        return self.names_[best]

    def simplest(self, *, rule="paired_one_se", margin=0.01):
        """Return the name of the simplest model that is within noise of the best.

        Parameters
        ----------
        rule : {"paired_one_se", "one_se", "noninferior", "best"}, \
default="paired_one_se"
            What is within noise, see `SimplestModelSelector`.
        margin : float, default=0.01
            Tolerated loss of the rule "noninferior".

        Returns
        -------
        str
            Name of the model.

        Raises
        ------
        ValueError
            If the rule is not known, or no model has a score on every fold.
        """
        if rule not in RULES:
            raise ValueError(f"rule must be one of {RULES}, got {rule!r}.")
        selected, _ = self._select(rule, margin)
        return self.names_[selected]

    def _select(self, rule, margin):
        return simplest_acceptable(
            self.scores_, self.complexity_, rule=rule, margin=margin, rho=self.rho_
        )

    def differences(self, *, reference=None):
        """Return the differences of all scores to those of the reference.

        Parameters
        ----------
        reference : str, default=None
            Name of a model, or "best"; None is the one of the comparison.

        Returns
        -------
        name : str
            Name of the reference.
        differences : ndarray of shape (n_models, n_resamples)
            Scores minus those of the reference.

        Raises
        ------
        ValueError
            If there is no such model, or it has no score on some fold.
        """
        name = self._reference_name(reference)
        scores = self.scores_[self.names_.index(name)]
        if np.isnan(scores).any():
            raise ValueError(f"reference={name!r} failed on some folds.")
        return name, self.scores_ - scores

    def _reference_name(self, reference):
        reference = self.reference if reference is None else reference
        if reference in self.names_:
            return reference
        if reference == "best":
            return self.best_name_
        raise ValueError(
            f"reference must be 'best' or one of {self.names_}, got {reference!r}."
        )

    def summary(self):
        """Make a table of scores and times, a row for each model.

        Returns
        -------
        pandas.DataFrame
            With the columns

            - mean_score, std_score: over the resamples;
            - standard_error: of the mean, corrected for the overlap of training sets;
            - difference, p_holm: mean difference to the reference and its corrected
              p-value, adjusted for the number of models;
            - fit_time, fit_time_iqr, score_time, score_time_iqr: median and
              interquartile range, in seconds;
            - predict_time: median, in seconds for 1000 rows;
            - complexity: smaller is simpler;
            - brier_score, calibration_error: of out-of-fold probabilities, if kept.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", "ModelComparison.summary")
        mean, error, _ = mean_and_error(self.scores_, self.rho_)
        tests = self.tests()
        table = pandas.DataFrame(
            {
                "mean_score": mean,
                "std_score": self.scores_.std(axis=1, ddof=1),
                "standard_error": error,
                "difference": tests["difference"].reindex(self.names_).to_numpy(),
                "p_holm": tests["p_holm"].reindex(self.names_).to_numpy(),
                **_median_and_iqr("fit_time", self.fit_times_),
                **_median_and_iqr("score_time", self.score_times_),
                "predict_time": np.median(self.predict_times_, axis=1),
                "complexity": self.complexity_,
            },
            index=pandas.Index(self.names_, name="model"),
        )
        if self.out_of_fold_ is not None:
            columns = ["brier_score", "calibration_error"]
            table[columns] = self.calibration()[columns]
        return table

    def tests(self, reference=None, *, rope=0.01, confidence_level=0.95):
        """Make a table that compares every model with the reference.

        Parameters
        ----------
        reference : str, default=None
            Name of a model, or "best"; None is the one of the comparison.
        rope : float, default=0.01
            Largest difference that does not matter, in the unit of the score.
        confidence_level : float, default=0.95
            Level of the confidence interval of one difference.

        Returns
        -------
        pandas.DataFrame
            A row for each model but the reference, nan for a model that failed on some
            fold, with the columns

            - difference: mean of the score minus that of the reference;
            - ci_low, ci_high: corrected confidence interval;
            - statistic, p_value: of the corrected resampled t-test;
            - p_holm: adjusted for the number of models;
            - p_worse, p_equivalent, p_better: posterior probabilities of a difference
              below -rope, within rope, and above rope.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If there is no such reference, or it failed on some fold.

        Notes
        -----
        The reference "best" was chosen by the same scores: it is better than its
        opponents by luck, in part. Name the reference beforehand where the p-values
        matter.
        """
        pandas = import_optional("pandas", "ModelComparison.tests")
        if not 0 < confidence_level < 1:
            raise ValueError(
                f"confidence_level must be between 0 and 1, got {confidence_level}."
            )
        if not rope >= 0:
            raise ValueError(f"rope must be a number >= 0, got {rope}.")
        name, differences = self.differences(reference=reference)
        rows = {
            model: _test_row(difference, self.rho_, rope, confidence_level)
            for model, difference in zip(self.names_, differences)
            if model != name
        }
        table = pandas.DataFrame.from_dict(rows, orient="index")
        table.insert(5, "p_holm", holm_adjusted(table["p_value"]))
        table.index.name = f"model (against {name})"
        return table

    def calibration(self, *, n_bins=10):
        """Make a table of how far the probabilities can be taken at their word.

        Parameters
        ----------
        n_bins : int, default=10
            Bins of the calibration error, with as many rows in each.

        Returns
        -------
        pandas.DataFrame
            A row for each model, nan for those without probabilities, with the columns

            - brier_score, log_loss: as in scikit-learn;
            - calibration_error: mean distance of predicted and observed frequency;
            - calibration_slope, calibration_intercept: of the logistic regression of
              the label on the logit of its probability; 1 and 0 are perfect, a slope
              below 1 is overconfidence, an infinite one means that the probabilities
              separate the classes.

            With more than two classes the last three are means over the classes, each
            against the rest.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If the comparison keeps no probabilities, as that of a selector.
        """
        pandas = import_optional("pandas", "ModelComparison.calibration")
        if not isinstance(n_bins, Integral) or n_bins < 1:
            raise ValueError(f"n_bins must be an integer >= 1, got {n_bins!r}.")
        kept = self.out_of_fold_
        if kept is None:
            raise ValueError(
                "This comparison keeps no probabilities: compare_classifiers does, for "
                "targets of one label a row."
            )
        rows = [
            dict.fromkeys(CALIBRATION_COLUMNS, np.nan)
            if probabilities is None
            else calibration_measures(
                kept.y,
                probabilities,
                kept.classes,
                n_bins=n_bins,
                sample_weight=kept.sample_weight,
            )
            for probabilities in kept.probabilities
        ]
        return pandas.DataFrame(rows, index=pandas.Index(self.names_, name="model"))

    def plot(self, *, reference=None, rope=0.01, confidence_level=0.95, **kwargs):
        """Draw the differences to the reference, and the times of fit.

        Parameters
        ----------
        reference : str, default=None
            Name of a model, or "best"; None is the one of the comparison.
        rope : float, default=0.01
            Half the width of the band of differences that do not matter.
        confidence_level : float, default=0.95
            Level of the intervals.
        **kwargs
            Given to `ModelComparisonDisplay.plot`.

        Returns
        -------
        ModelComparisonDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return ModelComparisonDisplay.from_comparison(
            self,
            reference=reference,
            rope=rope,
            confidence_level=confidence_level,
            **kwargs,
        )


def _median_and_iqr(name, times):
    low, median, high = np.percentile(times, [25, 50, 75], axis=1)
    return {name: median, f"{name}_iqr": high - low}


def _test_row(difference, rho, rope, level):
    columns = ("p_worse", "p_equivalent", "p_better")
    if np.isnan(difference).any():
        names = ("difference", "ci_low", "ci_high", "statistic", "p_value", *columns)
        return dict.fromkeys(names, np.nan)
    mean, error, df = mean_and_error(difference, rho)
    half = interval_half_width(error, df, level)
    statistic = mean / error if error else np.copysign(np.inf, mean) if mean else 0.0
    return {
        "difference": float(mean),
        "ci_low": float(mean - half),
        "ci_high": float(mean + half),
        "statistic": float(statistic),
        "p_value": float(p_value(mean, error, df)),
        **dict(zip(columns, rope_probabilities(mean, error, df, rope))),
    }
