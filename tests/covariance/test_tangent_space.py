"""Tangent features of SPD matrices against pyRiemann and the distance."""

import numpy as np
import pytest
from joblib import parallel_config
from pyriemann.geometry.distance import distance_riemann
from pyriemann.geometry.mean import gmean
from pyriemann.tangentspace import TangentSpace
from sklearn.exceptions import NotFittedError

from sklogit.covariance import (
    AugmentedCovariances,
    SPDTangentSpace,
    riemannian_mean,
    tangent_vectors,
)
from sklogit.covariance import _tangent_space as module
from sklogit.covariance._tangent_space import reference_mean
from sklogit.datasets import make_bci_epochs

# Names of the means in pyRiemann.
PYRIEMANN = {
    "riemann": "riemann",
    "kullback": "kullback_sym",
    "logeuclid": "logeuclid",
    "euclid": "euclid",
}
WEIGHT = np.linspace(0.5, 2.0, 24)


@pytest.fixture(scope="module")
def C():
    """Augmented covariances (24, 6, 6) of synthetic epochs."""
    X, _ = make_bci_epochs(24, 3, 200, random_state=0)
    return AugmentedCovariances(order=2, lag=2).fit_transform(X)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("reference", PYRIEMANN)
def test_features_and_reference_equal_pyriemann(C, reference, weight):
    metric = {"mean": PYRIEMANN[reference], "map": "riemann"}
    peer = TangentSpace(metric=metric).fit(C, sample_weight=weight)
    # Its own mean stops at 1e-9 of the change, ours at 1e-8 of the gradient.
    peer.reference_ = gmean(
        C, metric=metric["mean"], sample_weight=weight, **_exact(reference)
    )
    ours = SPDTangentSpace(reference).fit(C[:24], sample_weight=weight)
    np.testing.assert_allclose(ours.reference_, peer.reference_, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(ours.transform(C), peer.transform(C), atol=1e-7)


def _exact(reference):
    return {"tol": 1e-13, "maxiter": 500} if reference == "riemann" else {}


def test_features_equal_pyriemann_at_the_same_reference(C):
    peer = TangentSpace().fit(C)
    ours = SPDTangentSpace(peer.reference_).fit_transform(C)
    np.testing.assert_allclose(ours, peer.transform(C), rtol=1e-8, atol=1e-10)


def test_given_matrix_is_the_reference(C):
    M = np.diag([1.0, 2, 3, 4, 5, 6])
    space = SPDTangentSpace(M).fit(C)
    np.testing.assert_array_equal(space.reference_, M)
    assert space.n_iter_ == 0
    np.testing.assert_array_equal(space.transform(C), tangent_vectors(C, M))


@pytest.mark.parametrize("reference", ["kullback", "logeuclid", "euclid"])
def test_closed_forms_need_no_iteration(C, reference):
    assert SPDTangentSpace(reference).fit(C).n_iter_ == 0


def test_tolerance_and_iterations_reach_the_mean(C):
    space = SPDTangentSpace(tol=1e-2, max_iter=3).fit(C)
    M, info = riemannian_mean(C, tol=1e-2, max_iter=3, return_info=True)
    np.testing.assert_array_equal(space.reference_, M)
    assert space.n_iter_ == info.n_iter < SPDTangentSpace(tol=1e-12).fit(C).n_iter_


@pytest.mark.parametrize("reference", PYRIEMANN)
def test_norm_of_the_features_is_the_distance_to_the_reference(C, reference):
    space = SPDTangentSpace(reference).fit(C[:12])
    expected = distance_riemann(C, space.reference_)
    found = np.linalg.norm(space.transform(C), axis=1)
    np.testing.assert_allclose(found, np.ravel(expected), rtol=1e-9)


def test_mean_of_the_training_features_is_zero(C):
    features = SPDTangentSpace().fit_transform(C)
    assert np.linalg.norm(features.mean(axis=0)) < 1e-6
    features = SPDTangentSpace().fit(C, sample_weight=WEIGHT).transform(C)
    assert np.linalg.norm(np.average(features, axis=0, weights=WEIGHT)) < 1e-6


def test_weights_equal_replication(C):
    repeats = np.arange(24) % 3
    weighted = SPDTangentSpace().fit(C, sample_weight=repeats)
    repeated = SPDTangentSpace().fit(np.repeat(C, repeats, axis=0))
    np.testing.assert_allclose(weighted.transform(C), repeated.transform(C), atol=1e-7)


@pytest.mark.parametrize("reference", PYRIEMANN)
def test_inverse_transform_goes_back_to_the_matrices(C, reference):
    space = SPDTangentSpace(reference).fit(C)
    back = space.inverse_transform(space.transform(C))
    np.testing.assert_allclose(back, C, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(back, back.transpose(0, 2, 1))


def test_zero_goes_back_to_the_reference(C):
    space = SPDTangentSpace().fit(C)
    back = space.inverse_transform(np.zeros((1, 21)))[0]
    np.testing.assert_allclose(back, space.reference_, rtol=1e-10, atol=1e-12)


def test_features_go_row_by_row_through_the_upper_triangle():
    A = np.array([[0.1, 0.2, 0.3], [0.2, 0.4, 0.5], [0.3, 0.5, 0.6]])
    values, vectors = np.linalg.eigh(A)
    C = (vectors * np.exp(values)) @ vectors.T
    found = tangent_vectors(C[np.newaxis], np.eye(3))
    root2 = np.sqrt(2)
    expected = [[0.1, 0.2 * root2, 0.3 * root2, 0.4, 0.5 * root2, 0.6]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_mixing_of_the_channels_only_rotates_the_features(C):
    A = np.random.default_rng(0).standard_normal((6, 6))
    mixed = A @ C @ A.T
    mixed = (mixed + mixed.transpose(0, 2, 1)) / 2
    found, expected = (SPDTangentSpace().fit_transform(c) for c in (mixed, C))
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-7)


def test_float32_matrices_give_float32_features_near_those_of_float64(C):
    space = SPDTangentSpace().fit(C.astype(np.float32))
    features = space.transform(C.astype(np.float32))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, SPDTangentSpace().fit_transform(C), atol=1e-4)
    assert space.inverse_transform(features).dtype == np.float32


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("n", [1, 24])
def test_two_jobs_give_the_same_features_under_any_backend(C, n, backend):
    expected = SPDTangentSpace().fit_transform(C[:n])
    with parallel_config(backend):
        found = SPDTangentSpace(n_jobs=2).fit_transform(C[:n])
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_more_matrices_than_a_block_give_the_features_of_each(C):
    # A block holds 2^17 / 6^2 = 3640 matrices.
    many = np.tile(C, (200, 1, 1))
    expected = np.tile(tangent_vectors(C, C[0]), (200, 1))
    np.testing.assert_allclose(tangent_vectors(many, C[0]), expected, atol=1e-10)


def test_feature_names_come_with_data_frames(C):
    pandas = pytest.importorskip("pandas")
    space = SPDTangentSpace().set_output(transform="pandas")
    frame = space.fit_transform(C)
    assert isinstance(frame, pandas.DataFrame)
    expected = [f"spdtangentspace{i}" for i in range(21)]
    assert list(frame.columns) == expected
    assert list(space.get_feature_names_out()) == expected


# Failures


def test_interrupted_refit_keeps_the_earlier_fit(C, monkeypatch):
    space = SPDTangentSpace().fit(C)
    before, reference = space.transform(C), space.reference_

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "riemannian_mean", interrupt)
    with pytest.raises(KeyboardInterrupt):
        space.fit(C[:, :4, :4])
    assert space.reference_ is reference
    assert space.n_features_in_ == 6
    np.testing.assert_array_equal(space.transform(C), before)


def test_failed_first_fit_leaves_it_unfitted(C):
    space = SPDTangentSpace()
    with pytest.raises(ValueError, match="positive definite"):
        space.fit(-C)
    assert not hasattr(space, "n_features_in_")
    with pytest.raises(NotFittedError):
        space.transform(C)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5), (2, 2, 6, 6)])
def test_other_input_than_square_matrices_is_refused(shape):
    with pytest.raises(ValueError, match="Put AugmentedCovariances before SPDTangent"):
        SPDTangentSpace().fit(np.ones(shape))


def test_singular_matrices_are_refused_in_fit_and_in_transform(C):
    X = np.random.default_rng(0).standard_normal((5, 6, 6))
    singular = AugmentedCovariances().fit_transform(X)
    for reference in PYRIEMANN:
        with pytest.raises(ValueError, match=r"must be positive definite.*'oas'"):
            SPDTangentSpace(reference).fit(singular)
    with pytest.raises(ValueError, match=r"X must be positive definite.*'oas'"):
        SPDTangentSpace().fit(C).transform(singular)


def test_matrices_of_another_size_are_refused_with_both_sizes(C):
    with pytest.raises(ValueError, match=r"X has 5 features, .* expecting 6 features"):
        SPDTangentSpace().fit(C).transform(C[:, :5, :5])


def test_features_of_another_number_are_refused_by_inverse_transform(C):
    with pytest.raises(ValueError, match=r"X has 20 features, .* makes 21 .* size 6"):
        SPDTangentSpace().fit(C).inverse_transform(np.ones((2, 20)))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (np.eye(5), r"reference must have shape \(6, 6\) to match X, found \(5, 5\)"),
        (np.diag([1, 1, 1, 1, 1, -1.0]), "reference must be positive definite"),
        ("no", "'reference' parameter"),
    ],
)
def test_bad_references_are_refused(C, reference, message):
    with pytest.raises(ValueError, match=message):
        SPDTangentSpace(reference).fit(C)


def test_reference_mean_validates_for_every_reference(C):
    for reference in PYRIEMANN:
        with pytest.raises(ValueError, match="Negative values"):
            reference_mean(C, reference, -WEIGHT)
