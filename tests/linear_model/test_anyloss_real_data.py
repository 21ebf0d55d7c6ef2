"""Direction of the published results, on real imbalanced data."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.datasets import load_keel_imbalanced
from sklogit.linear_model import AnyLossClassifier, AnyLossClassifierCV
from sklogit.metrics import get_confusion_metric

SETS = [
    "yeast4",
    "yeast3",
    "ecoli2",
    "glass1",
    "haberman",
    "vehicle1",
    "pima",
    "abalone19",
]
PAPER = {"amplifier": "probability", "L": 73, "init": "zeros", "alpha": 0}


@pytest.fixture(scope="module")
def data(data_home):
    sets = [load_keel_imbalanced(name, data_home=data_home) for name in SETS]
    return [(d.data, d.target) for d in sets]


def mean_test_value(model, metric, data):
    """Mean over the sets of a metric of held-out predictions."""
    values = []
    for X, y in data:
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        pipeline = make_pipeline(StandardScaler(), model)
        predicted = cross_val_predict(pipeline, X, y, cv=folds)
        values.append(get_confusion_metric(metric).score(y, predicted, pos_label=1))
    return np.mean(values)


@pytest.mark.realdata
@pytest.mark.parametrize("metric", ["f1", "f2", "geometric_mean", "balanced_accuracy"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("settings", [{}, PAPER], ids=["default", "paper"])
def test_it_beats_the_logistic_loss_in_its_metric(data, metric, settings):
    plain = mean_test_value(LogisticRegression(max_iter=1000), metric, data)
    aimed = mean_test_value(AnyLossClassifier(metric, **settings), metric, data)
    assert aimed > plain + 0.05


@pytest.mark.realdata
@pytest.mark.parametrize("metric", ["f1", "matthews_corrcoef"])
def test_the_choice_of_alpha_is_no_worse_than_one_alpha(data, metric):
    one = mean_test_value(AnyLossClassifier(metric), metric, data)
    chosen = mean_test_value(AnyLossClassifierCV(metric), metric, data)
    assert chosen > one - 0.02
