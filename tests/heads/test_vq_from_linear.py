"""Heads of codes out of trained linear layers, and what that costs."""

import copy
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from torch import nn
from torch.nn import functional as F

from sklogit.heads import LinearHead, VQLogitsHead

from .common import (
    KINDS,
    D,
    K,
    V,
    counts_of_classes,
    each_kind,
    make_batch,
    make_head,
)


def linear_of_few_rows(n_rows=K, dtype=torch.float64):
    """A layer of V classes whose rows take few values."""
    linear = nn.Linear(D, V, dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(
            torch.randn(n_rows, D, dtype=dtype)[torch.arange(V) % n_rows]
        )
        linear.bias.normal_()
    return linear


@pytest.mark.parametrize("mapping", ["weighted_kmeans", "kmeans"])
@pytest.mark.parametrize("within", [None, "bias", "learned"])
@pytest.mark.parametrize("with_features", [False, True])
def test_a_layer_whose_rows_take_few_values_loses_nothing(
    mapping, within, with_features
):
    linear, (features, target) = linear_of_few_rows(), make_batch(30)
    head = VQLogitsHead.from_linear(
        linear,
        n_codes=K,
        mapping=mapping,
        within=within,
        features=features if with_features else None,
        random_state=0,
    )
    torch.testing.assert_close(
        head.log_prob(features), linear(features).log_softmax(dim=1)
    )
    report = head.conversion_report(linear, features, target)
    assert report.kl_divergence == pytest.approx(0, abs=1e-8)
    assert report.excess_nll == pytest.approx(0, abs=1e-8)
    assert report.agreement == 1


def test_as_many_codes_as_classes_keep_the_layer():
    linear, (features, _) = nn.Linear(D, V).double(), make_batch()
    head = VQLogitsHead.from_linear(linear, features=features)
    torch.testing.assert_close(
        head.log_prob(features), linear(features).log_softmax(dim=1)
    )


@pytest.mark.parametrize("within", [None, "bias", "uniform", "learned"])
def test_codes_are_as_probable_as_their_classes_are_by_the_layer(within):
    linear, (features, _) = nn.Linear(D, V).double(), make_batch(100)
    with torch.no_grad():
        linear.weight.mul_(8.0)
    head = VQLogitsHead.from_linear(
        linear, n_codes=K, within=within, features=features, random_state=0
    )
    for code in range(K):
        own = head.codes == code
        found = head.log_prob(features).exp()[:, own].sum(dim=1).mean()
        expected = linear(features).softmax(dim=1)[:, own].sum(dim=1).mean()
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0)


def test_shares_by_biases_make_up_for_the_mean_that_a_row_has_lost():
    linear, (features, _) = nn.Linear(D, V).double(), make_batch(100)
    features = features + 3.0
    head = VQLogitsHead.from_linear(
        linear, n_codes=K, within="bias", features=features, random_state=0
    )
    error = (linear(features) - head(features)).detach().mean(dim=0)
    for code in range(K):
        own = error[head.codes == code]
        torch.testing.assert_close(own, own.mean().expand_as(own), rtol=0, atol=1e-9)


def test_shares_of_a_layer_without_counts_are_those_it_expects():
    linear, (features, _) = nn.Linear(D, V).double(), make_batch(100)
    head = VQLogitsHead.from_linear(
        linear, n_codes=K, features=features, random_state=0
    )
    assert head.kind == "prior"
    p = linear(features).softmax(dim=1).mean(dim=0)
    shares = head.within(head.codes).exp()
    for code in range(K):
        own = head.codes == code
        torch.testing.assert_close(
            shares[own], p[own] / p[own].sum(), rtol=1e-5, atol=0
        )


def test_code_vectors_are_means_weighted_by_the_counts():
    linear, counts = nn.Linear(D, V).double(), counts_of_classes()
    head = VQLogitsHead.from_linear(
        linear, n_codes=K, class_counts=counts, random_state=0
    )
    W = linear.weight.detach().numpy()
    for code in range(K):
        own = head.codes.numpy() == code
        # Classes without rows have a small weight too.
        expected = np.average(W[own], axis=0, weights=counts[own] + 0.5)
        np.testing.assert_allclose(head.codebook[code].detach(), expected)


@pytest.mark.parametrize(
    ("within", "mass"),
    [("uniform", np.ones(V)), ("prior", counts_of_classes() + 0.5), ("bias", None)],
)
def test_shares_of_a_converted_layer(within, mass):
    linear = nn.Linear(D, V).double()
    head = VQLogitsHead.from_linear(
        linear,
        n_codes=K,
        within=within,
        class_counts=counts_of_classes(),
        random_state=0,
    )
    if mass is None:
        mass = linear.bias.detach().exp().numpy()
    shares, codes = head.within(head.codes).exp().numpy(), head.codes.numpy()
    for code in range(K):
        own = codes == code
        np.testing.assert_allclose(shares[own], mass[own] / mass[own].sum())
    bias = linear.bias.detach().exp()
    total = torch.zeros(K, dtype=torch.float64).index_add_(0, head.codes, bias)
    torch.testing.assert_close(head.code_bias.detach(), total.log())


def zipf_layer(seed, n_classes=400, d=16, n=4000):
    """A layer that is right about its data, of classes by Zipf's law."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n_classes, d))
    p = rng.permutation(1 / np.arange(1, n_classes + 1))
    X = rng.standard_normal((n, d)) * np.exp(-np.arange(d) / 6) + 0.5
    logits = X @ W.T + np.log(p)
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return W, np.log(p), X, y


@pytest.mark.parametrize("seed", range(3))
def test_weights_and_metric_lose_less_than_plain_kmeans(seed):
    W, b, X, y = zipf_layer(seed)
    kl = {}
    for name, options in {
        "kmeans": {"mapping": "kmeans"},
        "weights": {"class_counts": np.bincount(y, minlength=len(W))},
        "both": {"features": X[:2000]},
    }.items():
        head = VQLogitsHead.from_linear(W, b, n_codes=32, random_state=0, **options)
        kl[name] = head.conversion_report(W, X[2000:], bias=b).kl_divergence
    assert kl["both"] < kl["weights"] < kl["kmeans"]
    assert kl["both"] < 0.5 * kl["kmeans"]


@pytest.mark.parametrize(
    ("within", "expected"), [("uniform", [0, 1, 0, 1]), ("bias", [0, 0, 1, 1])]
)
def test_constant_differences_count_only_where_no_class_has_an_offset(within, expected):
    # The first feature is constant: of it the rows differ most.
    X = np.column_stack([np.ones(50), np.random.default_rng(0).standard_normal(50)])
    W = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 0.5], [5.0, 0.5]])
    head = VQLogitsHead.from_linear(
        W, n_codes=2, within=within, features=X, class_counts=[1] * 4, random_state=0
    )
    assert head.codes.tolist() == expected


def test_report_against_the_definitions():
    W, b, X, y = zipf_layer(0, n_classes=60, n=300)
    head = VQLogitsHead.from_linear(
        W.astype(np.float64), b, n_codes=8, features=X, random_state=0
    )
    report = head.conversion_report(W, X, y, bias=b)
    own = log_softmax(X @ W.T + b, axis=1)
    other = head.log_prob(torch.as_tensor(X)).detach().numpy()
    p, difference = np.exp(own), own - other
    kl = (p * difference).sum(axis=1)
    centred = difference - difference.mean(axis=1, keepdims=True)
    spread = (p * (difference - kl[:, None]) ** 2).sum(axis=1)
    rows = np.arange(len(y))
    expected = {
        "kl_divergence": kl.mean(),
        "logit_error": np.sqrt((centred**2).mean()),
        "probable_logit_error": np.sqrt(spread.mean()),
        "agreement": np.mean(own.argmax(axis=1) == other.argmax(axis=1)),
        "nll": -other[rows, y].mean(),
        "linear_nll": -own[rows, y].mean(),
        "excess_nll": (own - other)[rows, y].mean(),
    }
    for name, value in expected.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-9), name
    assert (report.n_rows, report.n_codes) == (300, 8)
    assert report.linear_bytes == W.nbytes + b.nbytes
    tensors = [*head.parameters(), *head.buffers()]
    assert report.n_bytes == sum(t.nbytes for t in tensors)
    assert report.compression == report.linear_bytes / report.n_bytes


def test_report_in_blocks_is_that_of_all_rows(monkeypatch):
    W, b, X, y = zipf_layer(0, n_classes=60, n=50)
    head = VQLogitsHead.from_linear(W, b, n_codes=8, features=X, random_state=0)
    whole = head.conversion_report(W, X, y, bias=b)
    monkeypatch.setattr("sklogit.heads._vq_conversion._BLOCK_ENTRIES", 7 * 60)
    assert head.conversion_report(W, X, y, bias=b).nll == pytest.approx(whole.nll)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_of_scikit_learn(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, D)), np.arange(60) % n_classes
    X[np.arange(60), y] += 1
    clf = LogisticRegression().fit(X, y)
    head = VQLogitsHead.from_linear(clf)
    np.testing.assert_allclose(
        head.log_prob(torch.as_tensor(X)).detach().exp(), clf.predict_proba(X)
    )
    sparse = VQLogitsHead.from_linear(copy.deepcopy(clf).sparsify())
    torch.testing.assert_close(sparse.state_dict(), head.state_dict())
    without = LogisticRegression(fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(
        VQLogitsHead.from_linear(without).log_prob(torch.as_tensor(X)).detach().exp(),
        without.predict_proba(X),
    )
    assert (
        VQLogitsHead.from_linear(RidgeClassifier().fit(X, y)).num_classes == n_classes
    )


@pytest.mark.parametrize(
    "convert", [pd.DataFrame, csr_array, np.ndarray.tolist, torch.as_tensor]
)
def test_features_come_as_frames_sparse_matrices_or_lists(convert):
    linear = nn.Linear(D, V).double()
    features = np.random.default_rng(0).standard_normal((50, D))
    options = {"n_codes": K, "random_state": 0}
    expected = VQLogitsHead.from_linear(linear, features=features, **options)
    head = VQLogitsHead.from_linear(linear, features=convert(features), **options)
    torch.testing.assert_close(head.state_dict(), expected.state_dict())
    assert head.conversion_report(linear, convert(features)) == (
        expected.conversion_report(linear, features)
    )


def test_arrays_that_are_read_only_or_reversed_are_taken_without_a_warning():
    rng = np.random.default_rng(0)
    W, b, features = (rng.standard_normal(s) for s in ((V, D), V, (50, D)))
    expected = VQLogitsHead.from_linear(W, b, n_codes=K, features=features)
    strange = W[::-1, ::-1].copy()[::-1, ::-1].astype(">f8"), b, features
    for values in strange:
        values.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = VQLogitsHead.from_linear(
            *strange[:2], n_codes=K, features=features, mapping=expected.codes
        )
    torch.testing.assert_close(head.codebook, expected.codebook)


def test_clusters_of_equal_counts_in_the_plain_metric_are_those_of_kmeans():
    W = np.random.default_rng(0).standard_normal((60, 3))
    head = VQLogitsHead.from_linear(
        W, n_codes=7, class_counts=np.full(60, 4), random_state=0
    )
    expected = KMeans(7, n_init=1, max_iter=100, random_state=0).fit(W).labels_
    pairs = np.unique(np.stack([head.codes.numpy(), expected]), axis=1)
    assert pairs.shape[1] == 7  # one name for the other


def test_dtype_is_that_of_the_layer():
    W, b, *_ = zipf_layer(0, n_classes=20)
    for dtype in (np.float32, np.float64):
        head = VQLogitsHead.from_linear(W.astype(dtype), b, n_codes=5)
        assert head.codebook.numpy(force=True).dtype == dtype
    half = VQLogitsHead.from_linear(torch.as_tensor(W).bfloat16(), n_codes=5)
    assert half.codebook.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [*KINDS, "bias"])
def test_back_to_a_linear_layer(kind):
    head = make_head(kind if kind in KINDS else "prior")
    if kind == "bias":
        head = VQLogitsHead.from_linear(nn.Linear(D, V).double(), n_codes=K)
    features, _ = make_batch()
    linear = head.to_linear()
    torch.testing.assert_close(linear(features), head(features))
    assert linear.weight.shape == (V, D)


@each_kind
def test_losses_of_a_linear_layer_train_the_codes(kind):
    head, (features, target) = make_head(kind), make_batch()
    same, form = head.linear_form(features)
    loss = F.cross_entropy(F.linear(same, form.weight, form.bias), target)
    expected = head.nll(features, target).mean()
    parameters = list(head.parameters())
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters)
    )


# -- bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("linear", "kwargs", "error", "match"),
    [
        (nn.ReLU(), {}, TypeError, "linear must be a torch.nn.Linear, got ReLU"),
        (
            "layer",
            {},
            TypeError,
            "linear must be .*a fitted linear.*got str",
        ),
        (None, {}, TypeError, "linear must be .*got NoneType"),
        (LogisticRegression(), {}, TypeError, "linear must be .*a fitted linear"),
        (LinearHead(2, 3, softcap=5.0), {}, ValueError, "linear must have .*softcap=5"),
        (nn.Linear(2, 3), {"smoothing": 0}, ValueError, "smoothing must be positive"),
        (nn.Linear(2, 3), {"features": [["a", "b"]]}, TypeError, "features must be an"),
        (torch.zeros(3), {}, ValueError, "linear must have weights of shape"),
        (torch.zeros(0, 3), {}, ValueError, "linear must have weights of shape"),
        (torch.full((3, 2), math.nan), {}, ValueError, "linear must have finite"),
        (torch.zeros(3, 2), {"bias": torch.zeros(2)}, ValueError, "bias must have"),
        (nn.Linear(2, 3), {"bias": torch.zeros(3)}, ValueError, "bias is for weights"),
        (nn.Linear(2, 3), {"within": "all"}, ValueError, "within must be None or"),
        (nn.Linear(2, 3), {"within": "prior"}, ValueError, "needs class_counts"),
        (nn.Linear(2, 3), {"mapping": "nearest"}, ValueError, "mapping must be one"),
        (nn.Linear(2, 3), {"n_codes": 4}, ValueError, "n_codes must be between 1 and"),
        (
            nn.Linear(2, 3),
            {"n_codes": 2, "mapping": "frequency"},
            ValueError,
            "mapping='frequency' needs class_counts",
        ),
        (
            nn.Linear(2, 3),
            {"features": torch.zeros(4, 3)},
            ValueError,
            "features must have the shape .*2.*got .4, 3",
        ),
        (
            nn.Linear(2, 3),
            {"features": torch.full((4, 2), math.inf)},
            ValueError,
            "features must be finite",
        ),
        (
            nn.Linear(2, 3),
            {"class_counts": [1, 2]},
            ValueError,
            "class_counts must have the shape",
        ),
    ],
)
def test_layers_that_cannot_be_converted_are_refused(linear, kwargs, error, match):
    with pytest.raises(error, match=match):
        VQLogitsHead.from_linear(linear, **kwargs)


def test_wrong_arguments_are_refused_before_the_clusters(monkeypatch):
    monkeypatch.delattr("sklogit.heads._vq_from_linear.quantize_linear")
    with pytest.raises(ValueError, match="smoothing must be positive"):
        VQLogitsHead.from_linear(
            nn.Linear(2, 3), class_counts=np.arange(3), smoothing=0.0
        )


def test_report_refuses_what_does_not_fit():
    head = make_head()
    features = torch.zeros(2, D, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"linear must have weights of shape \(17, 5\)"
    ):
        head.conversion_report(nn.Linear(D, 3), features)
    with pytest.raises(ValueError, match="target must be in"):
        head.conversion_report(nn.Linear(D, V), features, torch.tensor([0, V]))
