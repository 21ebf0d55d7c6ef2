import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from sklogit.few_shot import uncertainty_factor


def kurtosis(p):
    """Fourth moment over the squared sample variance, as it is written down."""
    p = np.asarray(p)
    return np.mean((p - p.mean()) ** 4) / np.var(p, ddof=1) ** 2


def logits_of(*rows):
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(np.array(rows, dtype=float)), -800.0)


def factor_of(p, **params):
    return uncertainty_factor(logits_of(p), **params)[0]


@pytest.fixture
def z():
    return np.random.default_rng(0).normal(size=(50, 7)) * 3


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([1.0, 0, 0, 0], 1.3125),
        ([0.7, 0.2, 0.05, 0.05], 1.2247),
        ([1.0] + [0.0] * 9, 6.57),
    ],
)
def test_kurtosis_of_known_probabilities(p, expected):
    assert 1 / factor_of(p, power=1.0, ref=1.0) == pytest.approx(expected, abs=1e-4)


def test_factor_of_known_probabilities():
    assert factor_of([0.7, 0.2, 0.05, 0.05]) == pytest.approx(0.9221, abs=1e-4)


def test_kurtosis_is_the_definition(z):
    expected = [(7 / 4 / kurtosis(p)) ** 0.4 for p in softmax(z, axis=1)]
    np.testing.assert_allclose(uncertainty_factor(z), expected)


def test_entropy_max_and_margin_are_their_definitions(z):
    p = softmax(z, axis=1)
    second, first = np.sort(p, axis=1)[:, -2:].T
    for kind, expected in [
        ("entropy", np.exp(0.3 * entropy(p, axis=1) / np.log(7))),
        ("max", first**-0.3),
        ("margin", np.maximum(first - second, 1 / 7) ** -0.3),
    ]:
        found = uncertainty_factor(z, kind, power=0.3)
        np.testing.assert_allclose(found, expected, err_msg=kind)


def test_reference_of_a_thousand_classes_is_the_one_of_the_authors():
    z = np.random.default_rng(0).normal(size=(3, 1000))
    found = uncertainty_factor(z, ref="auto")
    np.testing.assert_array_equal(found, uncertainty_factor(z, ref=250))


@pytest.mark.parametrize("n_classes", [3, 10, 1000])
def test_kurtosis_stays_within_its_bounds(n_classes):
    rng = np.random.default_rng(0)
    z = np.concatenate([s * rng.normal(size=(40, n_classes)) for s in (1e-9, 1, 1e3)])
    kappa = 1 / uncertainty_factor(z, power=1.0, ref=1.0)
    c = n_classes
    least = ((c - 1) / c) ** 2
    assert kappa.min() >= least - 1e-12
    assert kappa.max() <= least * (c**2 - 3 * c + 3) / (c - 1) * (1 + 1e-5)


@pytest.mark.parametrize("kind", ["kurtosis", "entropy", "max", "margin"])
def test_equal_probabilities_have_the_largest_factor(kind, z):
    flat = uncertainty_factor(np.full((1, 7), 123.4), kind)[0]
    assert np.isfinite(flat)
    assert flat >= uncertainty_factor(z, kind).max()


def test_probabilities_equal_but_for_rounding_count_as_equal():
    z = np.full((1, 5), 0.1)
    z[0, 0] += 1e-17
    assert factor_of(np.full(5, 0.2)) == uncertainty_factor(z)[0]
    # A shift of the logits is no reason to see structure in rounding.
    assert uncertainty_factor(z + 1e3)[0] == uncertainty_factor(z)[0]


@pytest.mark.parametrize("kind", ["kurtosis", "entropy", "max", "margin"])
def test_order_of_the_classes_does_not_matter(kind, z):
    shuffled = z[:, np.random.default_rng(1).permutation(7)]
    found = uncertainty_factor(shuffled, kind)
    np.testing.assert_allclose(found, uncertainty_factor(z, kind))


def test_kurtosis_does_not_see_how_sure_the_probabilities_are():
    # The documented limitation: a mixture with equal probabilities has the same shape.
    unsure, sure = [0.19] + [0.09] * 9, [1.0] + [0.0] * 9
    assert factor_of(unsure) == pytest.approx(factor_of(sure))
    for kind in ("entropy", "max", "margin"):
        assert factor_of(unsure, kind=kind) > 1.2 * factor_of(sure, kind=kind)


def test_two_classes_use_the_entropy():
    z = np.random.default_rng(0).normal(size=(20, 2))
    found = uncertainty_factor(z, "kurtosis")
    np.testing.assert_array_equal(found, uncertainty_factor(z, "entropy"))
    assert np.ptp(found) > 0.1


def test_none_and_power_zero_are_ones(z):
    np.testing.assert_array_equal(uncertainty_factor(z, None), np.ones(50))
    for kind in ("kurtosis", "entropy", "max", "margin"):
        np.testing.assert_array_equal(uncertainty_factor(z, kind, 0.0), np.ones(50))


@pytest.mark.parametrize("kind", ["kurtosis", "entropy", "max", "margin", None])
def test_float32_stays_float32_and_finite_where_softmax_saturates(kind):
    z = np.array([[5000.0, 0, 0, -5000], [0, 0, 0, 0]], dtype=np.float32)
    found = uncertainty_factor(z, kind)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("z", "params", "message"),
    [
        ([[0.0, np.nan]], {}, "finite"),
        ([[0.0], [1.0]], {}, "n_classes >= 2"),
        ([0.0, 1.0], {}, "n_classes >= 2"),
        ([[0.0, 1.0]], {"power": -0.1}, "power"),
        ([[0.0, 1.0]], {"kind": "variance"}, "kind"),
        ([[0.0, 1.0]], {"ref": 0}, "ref"),
    ],
)
def test_wrong_input_is_refused(z, params, message):
    with pytest.raises(ValueError, match=message):
        uncertainty_factor(z, **params)
