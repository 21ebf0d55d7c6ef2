import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from sklogit.covariance import (
    AugmentedCovarianceClassifier,
    MultiLagCovarianceClassifier,
    arithmetic_harmonic_mean,
    augmented_covariance,
    lagged_component_filters,
    tangent_vectors,
)
from sklogit.datasets import make_bci_epochs


@pytest.fixture(scope="module")
def epochs():
    return make_bci_epochs(n_epochs=60, n_channels=10, random_state=0)


def test_filters_are_the_leading_eigenvectors_of_the_definition(epochs):
    X, y = epochs
    order, c = 3, 10
    C = augmented_covariance(X, order, 4)
    block = {
        (a, b): C[:, a * c : (a + 1) * c, b * c : (b + 1) * c]
        for a in range(order)
        for b in range(order)
    }
    spatial = sum(block[a, a] for a in range(order)) / order
    W = np.linalg.inv(sqrtm(arithmetic_harmonic_mean(spatial)).real)
    total = np.zeros((c, c))
    for pair in block.values():
        means = [pair[y == k].mean(axis=0) for k in np.unique(y)]
        for mean in means:
            D = W @ (mean - sum(means) / len(means)) @ W
            total += D @ D.T
    values = np.linalg.eigvalsh(total)[::-1]
    filters = lagged_component_filters(C, y, order, 4)
    # In whitened coordinates the filters are orthonormal and capture the most.
    U = filters @ np.linalg.inv(W)
    np.testing.assert_allclose(U @ U.T, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(np.diag(U @ total @ U.T), values[:4], rtol=1e-8)


def test_filters_of_weighted_epochs_are_those_of_repeated_ones(epochs):
    X, y = epochs
    C = augmented_covariance(X, 2, 4)
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    first = lagged_component_filters(C, y, 2, 3, weight)
    second = lagged_component_filters(C[repeated], y[repeated], 2, 3)
    np.testing.assert_allclose(first.T @ first, second.T @ second, rtol=1e-8)


def test_decisions_are_those_of_the_sum_of_normalised_kernels(epochs):
    X, y = epochs
    train, test = np.arange(40), np.arange(40, 60)
    K = 0.0
    for order, lag in ((1, 1), (2, 4), (2, 6)):
        C = augmented_covariance(X, order, lag, "oas")
        if order > 1:
            A = lagged_component_filters(C[train], y[train], order, 5)
            big = np.kron(np.eye(order), A)
            C = big @ C @ big.T
        F = tangent_vectors(C, arithmetic_harmonic_mean(C[train]))
        F = F - F[train].mean(axis=0)
        view = F @ F.T
        K = K + view / np.diagonal(view)[train].mean()
    svc = SVC(C=1000.0, kernel="precomputed").fit(K[np.ix_(train, train)], y[train])
    clf = MultiLagCovarianceClassifier(lags=(4, 6), n_components=5)
    clf.fit(X[train], y[train])
    np.testing.assert_allclose(
        clf.decision_function(X[test]),
        svc.decision_function(K[np.ix_(test, train)]),
        rtol=1e-3,
        atol=1e-3,
    )


def test_order_one_has_no_lags_and_equals_the_plain_classifier_up_to_scale(epochs):
    X, y = epochs
    clf = MultiLagCovarianceClassifier(
        order=1, reference="riemann", classifier=SVC(kernel="linear", C=1e6)
    ).fit(X[:40], y[:40])
    plain = AugmentedCovarianceClassifier(
        order=1, classifier=SVC(kernel="linear", C=1e6)
    ).fit(X[:40], y[:40])
    assert len(clf.references_) == 1
    # A hard margin does not depend on the scale and the origin of the features.
    np.testing.assert_array_equal(clf.predict(X[40:]), plain.predict(X[40:]))


@pytest.mark.parametrize("n_components", [None, 10, 24])
def test_all_channels_are_used_where_there_are_no_more(epochs, n_components):
    clf = MultiLagCovarianceClassifier(n_components=n_components).fit(*epochs)
    assert clf.filters_ == [None] * 3
    assert [len(M) for M in clf.references_] == [10, 20, 20, 20]


def test_time_structure_is_found_among_many_channels():
    X, y = make_bci_epochs(n_epochs=60, n_channels=48, random_state=1)
    clf = MultiLagCovarianceClassifier()
    assert cross_val_score(clf, X, y, cv=3).mean() >= 0.9
    plain = AugmentedCovarianceClassifier(order=1)
    assert cross_val_score(plain, X, y, cv=3).mean() <= 0.7


def test_three_classes_and_probabilities():
    X, y = make_bci_epochs(
        n_epochs=90, n_channels=8, freqs=(9.0, 11.0, 14.0), random_state=0
    )
    clf = MultiLagCovarianceClassifier(
        n_components=6, classifier=LogisticRegression(max_iter=500)
    ).fit(X[:60], y[:60])
    proba = clf.predict_proba(X[60:])
    assert proba.shape == (30, 3)
    assert clf.score(X[60:], y[60:]) >= 0.8


def test_epochs_of_weight_zero_have_no_say(epochs):
    X, y = epochs
    weight = np.ones(len(y))
    weight[:10] = 0.0
    clf = MultiLagCovarianceClassifier(n_components=5)
    first = clf.fit(X, y, sample_weight=weight).decision_function(X)
    second = clf.fit(X[10:], y[10:]).decision_function(X)
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lags": []}, "lags must not be empty"),
        ({"lags": [0]}, "lag must be an integer >= 1, found 0"),
        ({"lags": [4, 300]}, r"order=2 and lag=300: n_times=500"),
        ({"n_components": 0}, "n_components"),
        ({"estimator": "hub"}, "estimator"),
    ],
)
def test_bad_parameters_are_refused(epochs, params, message):
    with pytest.raises(ValueError, match=message):
        MultiLagCovarianceClassifier(**params).fit(*epochs)
