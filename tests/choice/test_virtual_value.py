import numpy as np
import pytest
from scipy import integrate, stats

from sklogit.choice import VirtualValue

from .priors import TwoGroups

REGULAR = [
    stats.uniform(),
    stats.uniform(2, 3),
    stats.expon(scale=2),
    stats.norm(1, 2),
    stats.lognorm(0.8),
    stats.weibull_min(1.5),
    stats.beta(2, 3),
]
IRREGULAR = [stats.lognorm(2.5), stats.beta(0.5, 0.5), stats.gamma(0.4)]


def ids(dist):
    return dist.dist.name


@pytest.mark.parametrize("dist", REGULAR, ids=ids)
def test_regular_priors_are_not_ironed(dist):
    phi = VirtualValue(dist)
    v = dist.ppf(np.linspace(0.01, 0.99, 50))
    np.testing.assert_allclose(phi(v), v - dist.sf(v) / dist.pdf(v), rtol=1e-9)
    assert len(phi.flats) == 0


@pytest.mark.parametrize("dist", REGULAR, ids=ids)
def test_inverse_undoes_regular_virtual_values(dist):
    phi = VirtualValue(dist)
    v = dist.ppf(np.linspace(0.05, 0.95, 20))
    np.testing.assert_allclose(phi.inverse(phi(v)), v, rtol=1e-6)


def test_uniform_and_exponential_have_their_closed_forms():
    np.testing.assert_allclose(VirtualValue(stats.uniform())([0.2, 0.9]), [-0.6, 0.8])
    phi = VirtualValue(stats.expon(scale=2.0))
    np.testing.assert_allclose(phi([0.5, 3.0]), [-1.5, 1.0], rtol=1e-12)
    assert float(phi.inverse(0.0)) == pytest.approx(2.0)


def test_levels_outside_those_of_the_support_have_its_ends():
    phi = VirtualValue(stats.uniform(2, 1))  # virtual values from 1 to 3
    np.testing.assert_allclose(phi.inverse([-5.0, 0.5, 3.0, 4.0]), [2, 2, 3, 4])
    np.testing.assert_allclose(phi([1.0, 3.5]), [-np.inf, 3.5])


@pytest.mark.parametrize("dist", [*IRREGULAR, TwoGroups()], ids=[*"abcd"])
def test_ironed_virtual_values_never_fall(dist):
    phi = VirtualValue(dist)
    values = phi(dist.ppf(np.linspace(0.001, 0.999, 2000)))
    assert len(phi.flats) >= 1
    assert (np.diff(values) >= -1e-9 * np.maximum(1, np.abs(values[1:]))).all()


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("dist", [*IRREGULAR, TwoGroups()], ids=[*"abcd"])
def test_ironed_virtual_values_do_not_fall_at_the_ends_of_flats(dist, share):
    phi = VirtualValue(dist, revenue_weight=share)
    for low, high, level in phi.flats:
        for end in (low, high):
            beside = end * (1 + np.linspace(-0.02, 0.02, 2001))
            steps = np.diff(phi(beside[beside > phi.lower]))
            assert steps.min(initial=0.0) >= -1e-9 * max(1.0, abs(level))


@pytest.mark.parametrize("dist", IRREGULAR, ids=ids)
def test_ironing_keeps_the_mean_over_a_flat(dist):
    phi = VirtualValue(dist)
    for low, high, level in phi.flats:
        if not np.isfinite(low) or low <= 0:
            continue
        # The integral of the virtual value is the revenue at either end.
        revenue = high * dist.sf(high) - low * dist.sf(low)
        mass = dist.sf(high) - dist.sf(low)
        assert revenue / mass == pytest.approx(level, rel=1e-3)


def test_two_groups_are_ironed_as_by_hand():
    phi = VirtualValue(TwoGroups())
    # Revenue q F^-1(1 - q): (3 - 4 q) q up to q = 1/4, and (1 - q) q 4/3 after it. The
    # hull leaves the first piece at its end, where the price falls from 2 to 1, and
    # touches the second where 4/3 (1 - 2 q) = (4/3 (1 - q) q - 1/2) / (q - 1/4).
    q = 0.25 + np.sqrt(1 / 16 - 1 / 4 + 3 / 8)
    level = 4 / 3 * (1 - 2 * q)
    ((low, high, flat),) = phi.flats
    assert flat == pytest.approx(level, abs=1e-3)
    assert high == pytest.approx(2.0, abs=1e-2)
    assert low == pytest.approx(4 / 3 * (1 - q), abs=1e-2)
    assert float(phi(1.5)) == flat
    assert float(phi.inverse(flat)) == low
    assert float(phi.inverse(flat, side="right")) == high


def test_expected_virtual_value_is_the_least_of_the_support():
    # Serving all buyers earns the least value from each.
    dist = stats.expon(loc=0.5)
    phi = VirtualValue(dist)
    mean = integrate.quad(lambda v: float(phi(v)) * dist.pdf(v), 0.5, 40)[0]
    assert mean == pytest.approx(0.5, abs=1e-8)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weight_of_revenue_mixes_value_and_virtual_value(share):
    dist = stats.expon()
    phi = VirtualValue(dist, revenue_weight=share)
    np.testing.assert_allclose(phi([0.5, 2.0]), [0.5 - share, 2.0 - share], atol=1e-12)
    assert float(phi.inverse(0.7)) == pytest.approx(0.7 + share)


def test_mixtures_are_ironed_too():
    dist = stats.lognorm(2.5)
    phi = VirtualValue(dist, revenue_weight=0.8)
    values = phi(dist.ppf(np.linspace(0.001, 0.999, 2000)))
    assert len(phi.flats) == 1
    assert (np.diff(values) >= -1e-9 * np.maximum(1, np.abs(values[1:]))).all()


def test_functions_may_stand_for_a_distribution():
    dist = stats.expon()
    phi = VirtualValue((dist.cdf, dist.pdf, dist.ppf))
    np.testing.assert_allclose(phi([0.5, 2.0]), [-0.5, 1.0])


def test_what_falls_cannot_be_inverted_without_ironing():
    phi = VirtualValue(stats.lognorm(2.5), ironing="never")
    assert not phi.is_monotone
    with pytest.raises(ValueError, match="ironing='never'"):
        phi.inverse(0.0)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="dist must be"):
        VirtualValue("uniform")
    with pytest.raises(ValueError, match="dist must be"):
        VirtualValue(stats.poisson(2))
    with pytest.raises(ValueError, match="ironing must be"):
        VirtualValue(stats.uniform(), ironing="maybe")
    with pytest.raises(ValueError, match="revenue_weight"):
        VirtualValue(stats.uniform(), revenue_weight=2.0)
    with pytest.raises(ValueError, match="side must be"):
        VirtualValue(stats.uniform()).inverse(0.0, side="top")
    with pytest.raises(ValueError, match="support"):
        VirtualValue(stats.uniform(0, -1))
