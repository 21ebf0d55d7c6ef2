import numpy as np
import pytest

from sklogit.choice import ConditionalLogit
from sklogit.datasets import load_mode_choice

pytest.importorskip("statsmodels")


def test_each_person_chooses_one_of_four_modes():
    data = load_mode_choice()
    assert data.X.shape == (840, len(data.feature_names))
    np.testing.assert_array_equal(np.bincount(data.groups, data.y)[1:], 1.0)
    np.testing.assert_array_equal(np.bincount(data.groups)[1:], 4)
    chosen = dict(zip(*np.unique(data.mode[data.y == 1], return_counts=True)))
    assert chosen == {"air": 58, "train": 63, "bus": 30, "car": 59}


def test_published_coefficients_are_reproduced():
    data = load_mode_choice()
    clf = ConditionalLogit(C=np.inf, outside_option=False)
    clf.fit(data.X, data.y, data.groups)
    # W. H. Greene, Econometric Analysis.
    expected = [-0.09612, -0.01550, 5.2074, 3.8690, 3.1632, 0.01329]
    np.testing.assert_allclose(clf.coef_.ravel(), expected, rtol=4e-4)
    assert clf.log_likelihood_ == pytest.approx(-199.1284, abs=1e-4)
