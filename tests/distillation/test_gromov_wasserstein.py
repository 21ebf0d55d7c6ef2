"""Distances of models by the graphs of their logits."""

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit.distillation import GromovWassersteinLogitDistance
from sklogit.losses import (
    coactivation_graph,
    graph_logit_loss,
    gw_sorted_bounds,
    top_logits,
)

SHAPES = [(20, 6), (20, 6), (15, 8), (30, 4)]


def random_models(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) * (m + 1) for m, shape in enumerate(SHAPES)]


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@parametrize_with_checks([GromovWassersteinLogitDistance()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_distances_are_the_bounds_of_the_graphs():
    models = random_models()
    estimator = GromovWassersteinLogitDistance(k=3)
    distances, upper = estimator.fit_transform(models), estimator.upper_bounds(models)
    graphs = [coactivation_graph(-np.sort(-softmax(m))[:, :3]) for m in models]
    for i, C in enumerate(graphs):
        for j, D in enumerate(graphs):
            expected = gw_sorted_bounds(C, D)
            np.testing.assert_allclose((distances[i, j], upper[i, j]), expected)


def test_distance_is_the_loss_of_distillation():
    first, second = random_models()[:2]
    estimator = GromovWassersteinLogitDistance(k=4, logit_transform="zscore")
    distance = estimator.fit([first]).transform([second])
    expected = graph_logit_loss(first, second, k=4, transform="zscore")
    np.testing.assert_allclose(distance, [[expected]], rtol=1e-10)


@pytest.mark.parametrize("k", [None, 3])
def test_it_is_a_pseudo_metric(k):
    distances = GromovWassersteinLogitDistance(k).fit_transform(random_models())
    np.testing.assert_allclose(distances, distances.T, atol=1e-15)
    np.testing.assert_allclose(np.diag(distances), 0, atol=1e-15)
    for through in range(len(distances)):
        detour = distances[:, [through]] + distances[[through]]
        assert (distances <= detour + 1e-12).all()


def test_models_with_fewer_outputs_have_smaller_graphs():
    estimator = GromovWassersteinLogitDistance().fit(random_models())
    assert [len(graph) for graph in estimator.graphs_] == [6, 6, 8, 4]
    assert [len(f) for f in estimator.features_] == [6, 6, 8, 4]


def test_the_order_of_the_classes_changes_nothing():
    models = random_models()
    shuffled = [m[:, np.random.default_rng(0).permutation(m.shape[1])] for m in models]
    estimator = GromovWassersteinLogitDistance().fit(models)
    np.testing.assert_allclose(
        estimator.transform(models), estimator.transform(shuffled), atol=1e-12
    )


def test_an_array_is_a_list_of_models():
    models = np.random.default_rng(0).standard_normal((3, 10, 5))
    estimator = GromovWassersteinLogitDistance()
    expected = estimator.fit_transform(list(models))
    np.testing.assert_allclose(estimator.fit_transform(models), expected)
    assert estimator.get_feature_names_out().tolist() == [
        f"gromovwassersteinlogitdistance{m}" for m in range(3)
    ]


def test_tensors_are_taken():
    models = random_models()
    tensors = [torch.tensor(model) for model in models]
    estimator = GromovWassersteinLogitDistance()
    np.testing.assert_allclose(
        estimator.fit_transform(tensors), estimator.fit_transform(models)
    )


def test_clusters_of_models_are_found():
    X, y = load_digits(return_X_y=True)
    models = []
    for C in (1e-5, 1.0):  # unsure ones and sure ones, each on three halves
        for seed in range(3):
            rows = np.random.default_rng(seed).permutation(len(X))[:300]
            clf = LogisticRegression(C=C, max_iter=200).fit(X[rows] / 16, y[rows])
            models.append(clf.decision_function(X / 16))
    distances = GromovWassersteinLogitDistance().fit_transform(models)
    clusters = AgglomerativeClustering(2, metric="precomputed", linkage="average")
    labels = clusters.fit_predict(distances)
    assert len(set(labels[:3])) == len(set(labels[3:])) == 1
    assert labels[0] != labels[3]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (np.full((20, 6), np.nan), r"X\[1\] must be finite"),
        (np.ones((2, 3, 4)), r"X\[1\] must have shape \(n_positions, n_outputs\)"),
        (np.ones((20, 2)), r"k must be an integer from 1 to 2, .* X\[1\], got 3"),
    ],
)
def test_it_says_which_model_is_wrong(change, match):
    models = random_models()
    models[1] = change
    with pytest.raises(ValueError, match=match):
        GromovWassersteinLogitDistance(k=3).fit(models)


def test_pairs_of_the_greatest_logits_are_enough():
    models = random_models()[:2]
    pairs = [top_logits(logits, 3) for logits in models]
    transformer = GromovWassersteinLogitDistance(3)
    np.testing.assert_allclose(
        transformer.fit_transform(pairs), transformer.fit_transform(models), rtol=1e-12
    )


def test_no_models_are_refused():
    with pytest.raises(ValueError, match="at least one model, got none"):
        GromovWassersteinLogitDistance().fit([])
