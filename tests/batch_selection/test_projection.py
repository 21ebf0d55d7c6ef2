"""Random projections from both sides."""

import pickle

import numpy as np
import pytest
import torch

from sklogit.batch_selection import BilinearRandomProjection, FactoredLogits

KINDS = ["srft", "sign", "gaussian"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def matrices(shape=(3, 12, 30), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@each_kind
def test_is_the_kronecker_product_applied_to_the_vector(kind):
    L = matrices()
    projection = BilinearRandomProjection((4, 7), kind=kind, random_state=0).fit(L)
    whole = np.kron(projection.positions_map_.dense(), projection.classes_map_.dense())
    np.testing.assert_allclose(
        projection.transform(L), L.reshape(3, -1) @ whole.T, atol=1e-12
    )


@each_kind
@pytest.mark.parametrize("L", [matrices((1, 12, 31)), np.ones((1, 12, 31))])
def test_keeps_squared_lengths_in_the_mean(kind, L):
    lengths = [
        (
            BilinearRandomProjection((6, 10), kind=kind, random_state=s).fit_transform(
                L
            )
            ** 2
        ).sum()
        for s in range(800)
    ]
    assert np.mean(lengths) == pytest.approx((L**2).sum(), rel=0.06)


@each_kind
def test_official_scaling_is_a_constant_factor(kind):
    L = matrices()
    plain, official = (
        BilinearRandomProjection(kind=kind, scaling=scaling, random_state=0)
        for scaling in ("jl", "official")
    )
    np.testing.assert_allclose(
        official.fit_transform(L), plain.fit_transform(L) * np.sqrt(12 * 30) / 2
    )


@pytest.mark.parametrize("length", [40, 41])
def test_rows_of_the_fourier_map_are_orthogonal(length):
    projection = BilinearRandomProjection((length - 1, length - 1), random_state=0)
    projection.fit(matrices((1, length, length)))
    for side in (projection.positions_map_, projection.classes_map_):
        G = side.dense() * np.sqrt((length - 1) / length)
        np.testing.assert_allclose(G @ G.T, np.eye(length - 1), atol=1e-12)


@pytest.mark.parametrize("n_classes", [100, 101])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_long_sides_by_fft_are_the_same(monkeypatch, n_classes, make):
    L = matrices((2, 3, n_classes))
    projection = BilinearRandomProjection((8, 60), random_state=0)
    expected = projection.fit_transform(L)
    monkeypatch.setattr("sklogit.batch_selection._random_map._FFT_ABOVE", 50)
    # No matrix is made for them.
    monkeypatch.delattr("sklogit.batch_selection._random_map.RandomMap._matrix_like")
    np.testing.assert_allclose(projection.transform(make(L)), expected, atol=1e-12)


@each_kind
def test_sides_that_are_short_are_kept(kind):
    L = matrices((3, 4, 10))
    projection = BilinearRandomProjection((8, 128), kind=kind, random_state=0)
    np.testing.assert_array_equal(projection.fit_transform(L), L.reshape(3, 40))
    assert projection.n_components_ == (4, 10)
    assert len(projection.get_feature_names_out()) == 40


@each_kind
@pytest.mark.parametrize("n_positions", [6, 20])
def test_shorter_matrices_count_as_filled_up_with_zeros(kind, n_positions):
    full = matrices((3, n_positions, 30))
    full[:, 4:] = 0
    projection = BilinearRandomProjection(kind=kind, random_state=0).fit(full)
    np.testing.assert_allclose(
        projection.transform(full[:, :4]), projection.transform(full), atol=1e-12
    )


def test_n_positions_makes_room_for_longer_ones():
    projection = BilinearRandomProjection(n_positions=20, random_state=0)
    projection.fit(matrices((1, 3, 30)))
    assert projection.transform(matrices((2, 20, 30))).shape == (2, 8 * 30)


def test_is_linear():
    first, second = matrices(), matrices(seed=1)
    projection = BilinearRandomProjection((4, 7), random_state=0).fit(first)
    np.testing.assert_allclose(
        projection.transform(2 * first - second),
        2 * projection.transform(first) - projection.transform(second),
    )


@each_kind
def test_same_random_state_gives_the_same(kind):
    L = matrices()
    first, second, other = (
        BilinearRandomProjection((4, 7), kind=kind, random_state=seed).fit_transform(L)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert abs(first - other).max() > 0.1


@each_kind
def test_tensors_give_the_same_as_arrays(kind):
    L = matrices()
    projection = BilinearRandomProjection((4, 7), kind=kind, random_state=0).fit(L)
    z = projection.transform(torch.from_numpy(L).float())
    assert z.dtype == torch.float32
    np.testing.assert_allclose(z, projection.transform(L), rtol=1e-4, atol=1e-5)


def test_rows_are_matrices_of_one_row():
    X = matrices((5, 30))
    projection = BilinearRandomProjection((4, 7), random_state=0).fit(X)
    np.testing.assert_array_equal(
        projection.transform(X), projection.transform(X[:, None])
    )


@pytest.mark.parametrize("bias", [True, False])
def test_factored_logits_are_projected_without_being_formed(bias):
    rng = np.random.default_rng(0)
    hidden, weight = rng.standard_normal((3, 12, 4)), rng.standard_normal((30, 4))
    b = rng.standard_normal(30) if bias else None
    mask = rng.random((3, 12)) < 0.7
    logits = FactoredLogits(hidden, weight, b)
    dense = logits.dense() * mask[..., None]
    projection = BilinearRandomProjection((4, 7), random_state=0).fit(dense)
    expected = projection.transform(dense)
    np.testing.assert_allclose(projection.transform_factored(logits, mask), expected)
    head = projection.project_head(weight, b)
    assert head.shape == (7, 4 + bias)
    np.testing.assert_allclose(
        projection.transform_factored(logits, mask, projected_head=head), expected
    )


def test_pickles_hold_no_converted_matrices():
    L = matrices()
    projection = BilinearRandomProjection((4, 7), random_state=0).fit(L)
    z = projection.transform(torch.from_numpy(L))
    copy = pickle.loads(pickle.dumps(projection))
    assert copy.classes_map_._converted is None
    assert copy.classes_map_.matrix is None
    np.testing.assert_array_equal(copy.transform(torch.from_numpy(L)), z)


def test_data_longer_than_n_positions_are_refused():
    with pytest.raises(ValueError, match="at most 3 positions, got 5"):
        BilinearRandomProjection(n_positions=3).fit(np.ones((2, 5, 7)))


def test_head_of_other_classes_than_in_fit_is_refused():
    projection = BilinearRandomProjection().fit(np.ones((2, 5, 7)))
    with pytest.raises(ValueError, match="7 classes, as in fit, got 9"):
        projection.project_head(np.ones((9, 3)))


def test_other_shapes_than_in_fit_are_refused():
    projection = BilinearRandomProjection().fit(matrices())
    with pytest.raises(ValueError, match="must have 30 classes, as in fit, got 29"):
        projection.transform(matrices((3, 12, 29)))
    with pytest.raises(ValueError, match="at most 12 positions, got 13"):
        projection.transform(matrices((3, 13, 30)))
    with pytest.raises(ValueError, match="X must have the shape"):
        projection.transform(torch.ones(3))


@pytest.mark.parametrize("n_components", [(4,), (4, 0), (4.0, 7)])
def test_wrong_numbers_of_components_are_refused(n_components):
    with pytest.raises(ValueError, match="n_components must be two positive integers"):
        BilinearRandomProjection(n_components).fit(matrices())


def test_values_that_are_not_finite_are_refused():
    L = matrices()
    L[0, 0, 0] = np.nan
    for data in (L, torch.from_numpy(L)):
        with pytest.raises(ValueError, match=r"finite.*NaN"):
            BilinearRandomProjection().fit(data)
