import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklogit.model_selection import SimplestModelSelector, n_parameters

X, y = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(max_depth=1, random_state=0)  # three nodes
LR = LogisticRegression(max_iter=500)  # 3 * (4 + 1)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LR, 15),
        (TREE, 3),
        (GaussianNB(), 2 * 12 + 3),
        (MultinomialNB(), 12 + 3),
        (LinearDiscriminantAnalysis(), 15),
        (KNeighborsClassifier(), 600),
        (MLPClassifier((5,), max_iter=5), 4 * 5 + 5 + 5 * 3 + 3),
        (BaggingClassifier(TREE, 4), 12),
        (AdaBoostClassifier(TREE, n_estimators=4), 12),
        (RandomForestClassifier(7, max_depth=1, random_state=0), 21),
        (GradientBoostingClassifier(n_estimators=5, max_depth=1), 5 * 3 * 3),
        (HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=2), 5 * 3 * 3),
        (VotingClassifier([("a", TREE), ("b", LR)]), 18),
        (StackingClassifier([("a", TREE)], final_estimator=LR), 3 + 3 * (3 + 1)),
        (OneVsRestClassifier(LR), 15),
        (CalibratedClassifierCV(TREE, cv=3), 9),
        (make_pipeline(StandardScaler(), LR), 15),
        (GridSearchCV(LR, {"C": [0.1]}, cv=2), 15),
        (SimplestModelSelector([("a", TREE), ("b", LR)], rule="best", cv=3), 15),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_counts(estimator, expected):
    assert n_parameters(estimator.fit(X, y)) == expected


def test_only_nonzero_coefficients_count_dense_or_sparse():
    sparse = LogisticRegression(l1_ratio=1, C=0.05, solver="saga", max_iter=5000)
    sparse.fit(X, y)
    expected = np.count_nonzero(sparse.coef_) + 3
    assert n_parameters(sparse) == expected < 15
    assert n_parameters(sparse.sparsify()) == expected
    lasso = Lasso(alpha=0.1).fit(X, y)
    assert n_parameters(lasso) == np.count_nonzero(lasso.coef_) + 1


def test_support_vectors_count_by_features():
    svm = SVC().fit(X, y)
    assert n_parameters(svm) == svm.n_support_.sum() * 4
    sparse = SVC().fit(csr_array(X), y)
    assert n_parameters(sparse) == sparse.n_support_.sum() * 4
    assert n_parameters(SVC(kernel="linear").fit(X, y)) == 15


def test_quadratic_discriminant_has_a_rotation_a_class():
    qda = QuadraticDiscriminantAnalysis().fit(X, y)
    assert n_parameters(qda) == 3 * 4 + 3 * 16 + 3 * 4 + 3


def test_unknown_or_unfitted_asks_for_a_function():
    for estimator in (GaussianProcessClassifier().fit(X, y), LogisticRegression()):
        with pytest.raises(TypeError, match="function of your own"):
            n_parameters(estimator)
