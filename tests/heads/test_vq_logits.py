"""The head of codes, against the softmax of logits of all classes."""

import copy
import io
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from torch import nn
from torch.nn import functional as F

from sklogit.heads import VQLogitsHead
from sklogit.neural import LogitClassifier

V, D, K = 17, 5, 4
KINDS = ("prior", "uniform", "learned")
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def counts_of_classes():
    """Different counts, one of them zero."""
    return np.random.default_rng(1).permutation(V)


def make_head(kind="prior", **kwargs):
    """A head in float64 whose parameters are random, with classes in random codes."""
    options = {
        "n_codes": K,
        "mapping": "random",
        "within": kind,
        "class_counts": counts_of_classes(),
        "dtype": torch.float64,
        **kwargs,
    }
    head = VQLogitsHead(D, V, **options)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    return head


def make_batch(n=12, dtype=torch.float64):
    return torch.randn(n, D, dtype=dtype), torch.randint(V, (n,))


def shares_of(head):
    """Shares of the classes by their definition, as differentiable tensors."""
    codes = head.codes.long()
    if head.kind == "learned":
        mass = head.within.log_mass.exp()
    elif head.kind == "uniform":
        mass = torch.ones(V, dtype=torch.float64)
    else:
        mass = torch.as_tensor(counts_of_classes() + head.smoothing)
    return torch.stack([mass[v] / mass[codes == codes[v]].sum() for v in range(V)])


def scattered(head, features):
    """Logits of all classes, by the definition."""
    logits = features @ head.codebook.T + head.code_bias
    return logits[:, head.codes.long()] + shares_of(head).log()


# -- what it is ------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradients_are_those_of_the_softmax_over_all_classes(kind, bias):
    head = make_head(kind, bias=bias)
    features, target = make_batch()
    features.requires_grad_()
    inputs = [features, *head.parameters()]
    found = head.nll(features, target)
    expected = F.cross_entropy(scattered(head, features), target, reduction="none")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weight = torch.rand(len(target), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(found @ weight, inputs),
        torch.autograd.grad(expected @ weight, inputs),
        rtol=1e-11,
        atol=1e-12,
    )


class LossOf(nn.Module):
    """Makes the loss of a head the forward of a module."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, features, target):
        return self.head.nll(features, target)


@each_kind
def test_gradcheck(kind):
    module = LossOf(make_head(kind))
    features, target = make_batch(4)
    names = [name for name, _ in module.named_parameters()]

    def loss(features, *values):
        values = dict(zip(names, values))
        return torch.func.functional_call(module, values, (features, target))

    inputs = features.requires_grad_(), *module.parameters()
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_the_model_of_the_paper_is_uniform_without_bias():
    head = VQLogitsHead(D, V, n_codes=K, within="uniform", bias=False).double()
    features, target = make_batch()
    logits = (features @ head.codebook.T)[:, head.codes.long()]
    torch.testing.assert_close(
        head.nll(features, target),
        F.cross_entropy(logits, target, reduction="none"),
        # Its fixed biases were made in single precision.
        rtol=1e-6,
        atol=1e-6,
    )
    assert [name for name, _ in head.named_parameters()] == ["codebook"]


@each_kind
def test_forward_and_log_prob_are_those_of_the_definition(kind):
    head, (features, _) = make_head(kind), make_batch()
    expected = scattered(head, features)
    torch.testing.assert_close(head(features), expected)
    log_p = head.log_prob(features)
    torch.testing.assert_close(log_p, expected.log_softmax(dim=1))
    torch.testing.assert_close(
        log_p.exp().sum(dim=1), torch.ones(len(features), dtype=torch.float64)
    )


def test_classes_of_a_code_have_equal_probability_if_uniform():
    head, (features, _) = make_head("uniform"), make_batch()
    log_p = head.log_prob(features)
    for code in range(K):
        own = log_p[:, head.codes == code]
        torch.testing.assert_close(own, own[:, :1].expand_as(own))


@each_kind
def test_as_many_codes_as_classes_are_a_linear_layer(kind):
    head = make_head(kind, n_codes=V)
    assert head.codes.tolist() == list(range(V))
    features, _ = make_batch()
    expected = F.linear(features, head.codebook, head.code_bias)
    torch.testing.assert_close(head(features), expected)


def test_one_code_is_the_prior():
    head, (features, target) = make_head(n_codes=1), make_batch()
    p = (counts_of_classes() + 0.5) / (counts_of_classes() + 0.5).sum()
    expected = -torch.as_tensor(np.log(p))[target]
    torch.testing.assert_close(head.nll(features, target), expected)


def test_one_class():
    head = VQLogitsHead(D, 1)
    features = torch.randn(3, D)
    zero = torch.zeros(3, dtype=torch.long)
    assert head.nll(features, zero).tolist() == [0.0, 0.0, 0.0]
    assert head.predict(features).tolist() == [0, 0, 0]


def test_relabelled_codes_change_nothing():
    head, (features, target) = make_head(), make_batch()
    other = copy.deepcopy(head)
    order = torch.randperm(K)
    with torch.no_grad():
        other.codebook.copy_(head.codebook[order])
        other.code_bias.copy_(head.code_bias[order])
        other.codes.copy_(order.argsort()[head.codes.long()])
    torch.testing.assert_close(other(features), head(features))
    torch.testing.assert_close(other.nll(features, target), head.nll(features, target))


def test_permuted_classes_permute_the_logits():
    order = np.random.default_rng(0).permutation(V)
    codes = np.arange(V) % K
    head = make_head(mapping=codes, n_codes=None)
    other = make_head(
        mapping=codes[order], n_codes=None, class_counts=counts_of_classes()[order]
    )
    other.codebook, other.code_bias = head.codebook, head.code_bias
    features, _ = make_batch()
    torch.testing.assert_close(other(features), head(features)[:, order])


# -- shapes and dtypes -----------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0)])
def test_any_leading_shape(kind, shape):
    head = make_head(kind)
    features = torch.randn(*shape, D, dtype=torch.float64)
    target = torch.randint(V, shape)
    assert head(features).shape == (*shape, V)
    assert head.log_prob(features).shape == (*shape, V)
    assert head.nll(features, target).shape == shape
    assert head.predict(features).shape == shape
    assert [t.shape for t in head.predict_topk(features, 3)] == [(*shape, 3)] * 2


def test_features_need_not_be_contiguous():
    head, (features, target) = make_head(), make_batch()
    wide = torch.randn(12, 2 * D, dtype=torch.float64)
    wide[:, ::2] = features
    torch.testing.assert_close(
        head.nll(wide[:, ::2], target), head.nll(features, target)
    )


@each_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_normalised_in_single(kind, dtype):
    head, (features, target) = make_head(kind), make_batch()
    half = copy.deepcopy(head).to(dtype)
    nll = half.nll(features.to(dtype), target)
    assert nll.dtype == half.log_prob(features.to(dtype)).dtype == torch.float32
    exact = head.nll(features, target).float()
    torch.testing.assert_close(nll, exact, rtol=0.05, atol=0.1)


def test_ignored_targets_have_no_loss_and_no_gradient():
    head, (features, target) = make_head(), make_batch()
    features.requires_grad_()
    ignored = target.clone()
    ignored[::3] = -100
    nll = head.nll(features, ignored)
    expected = head.nll(features, target).detach()
    expected[::3] = 0
    torch.testing.assert_close(nll.detach(), expected)
    nll.sum().backward()
    assert not features.grad[::3].any()
    assert features.grad[1::3].all()
    assert head.nll(features, torch.full_like(target, -100)).sum() == 0


# -- shares ----------------------------------------------------------------------------


def test_shares_by_counts_are_smoothed_and_sum_to_one_in_each_code():
    head = make_head(smoothing=2.0)
    shares = head.within(head.codes).exp()
    mass = torch.as_tensor(counts_of_classes() + 2.0)
    for code in range(K):
        own = head.codes == code
        torch.testing.assert_close(shares[own], mass[own] / mass[own].sum())


def test_a_head_without_counts_counts_the_targets_of_training():
    features = torch.randn(50, D)
    target = torch.randint(V // 2, (50,))
    head = VQLogitsHead(D, V, mapping=np.arange(V) % K)
    head.eval().nll(features, target)
    torch.testing.assert_close(
        head(features), VQLogitsHead.forward(_with(head, "uniform"), features)
    )
    head.train().nll(features[:20], target[:20])
    ignored = target[20:].clone()
    head.nll(features[20:], torch.where(torch.arange(30) < 5, -100, ignored))
    head.eval()
    counts = np.bincount(np.delete(target.numpy(), np.s_[20:25]), minlength=V)
    expected = _with(head, "prior", counts)
    torch.testing.assert_close(head.log_prob(features), expected.log_prob(features))
    torch.testing.assert_close(
        head.nll(features, target), expected.nll(features, target)
    )


def _with(head, kind, counts=None):
    """Head with the same codes and other shares."""
    other = VQLogitsHead(
        D, V, mapping=head.codes.numpy(), within=kind, class_counts=counts
    )
    other.codebook, other.code_bias = head.codebook, head.code_bias
    return other


def test_learned_shares_start_from_the_counts():
    prior = make_head("prior")
    learned = VQLogitsHead(
        D,
        V,
        mapping=prior.codes.numpy(),
        within="learned",
        class_counts=counts_of_classes(),
    ).double()
    learned.codebook, learned.code_bias = prior.codebook, prior.code_bias
    features, target = make_batch()
    torch.testing.assert_close(
        learned.nll(features, target),
        prior.nll(features, target),
        rtol=1e-6,
        atol=1e-6,
    )


def test_shares_by_counts_have_the_best_likelihood_of_the_data():
    features, target = make_batch(200)
    counts = np.bincount(target, minlength=V)
    codes = np.arange(V) % K
    losses = {}
    for kind in KINDS:
        torch.manual_seed(0)
        head = VQLogitsHead(
            D,
            V,
            mapping=codes,
            within=kind,
            class_counts=counts,
            smoothing=1e-9,
            dtype=torch.float64,
        )
        if kind == "learned":
            nn.init.normal_(head.within.log_mass)
        with torch.no_grad():
            head.code_bias.zero_()
        losses[kind] = head.nll(features, target).mean().item()
    assert losses["prior"] < losses["uniform"]
    assert losses["prior"] < losses["learned"]


def test_biases_start_at_the_parts_of_the_codes():
    head = VQLogitsHead(D, V, n_codes=K, class_counts=counts_of_classes())
    mass = counts_of_classes() + 0.5
    found = head.code_bias.detach().softmax(dim=0).numpy()
    expected = np.bincount(head.codes, mass) / mass.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mapping_is_by_frequency_where_counts_are_known_and_random_otherwise():
    counts = np.arange(V)[::-1]
    head = VQLogitsHead(D, V, n_codes=K, class_counts=counts)
    assert (np.diff(head.codes) >= 0).all()
    torch.manual_seed(0)
    first = VQLogitsHead(D, V, n_codes=K).codes
    torch.manual_seed(0)
    assert torch.equal(first, VQLogitsHead(D, V, n_codes=K).codes)
    assert not torch.equal(first, VQLogitsHead(D, V, n_codes=K).codes)


# -- predictions -----------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("k", [1, 2, 5, V - 1, V])
def test_topk_are_the_first_of_all_sorted_probabilities(kind, k):
    head, (features, _) = make_head(kind), make_batch(40)
    log_p = head.log_prob(features).detach()
    values, classes = head.predict_topk(features, k)
    expected, order = log_p.sort(dim=1, descending=True)
    torch.testing.assert_close(values, expected[:, :k])
    torch.testing.assert_close(log_p.gather(1, classes), values)
    for row in classes.tolist():
        assert len(set(row)) == k
    if kind != "uniform":  # without ties
        assert torch.equal(classes, order[:, :k])


def test_predict_takes_the_first_of_equal_classes():
    head, (features, _) = make_head("uniform"), make_batch(40)
    log_p = head.log_prob(features).detach()
    assert torch.equal(head.predict(features), log_p.argmax(dim=1))
    assert torch.equal(head.predict_topk(features, 1)[1][:, 0], log_p.argmax(dim=1))


def test_topk_follows_changes_of_parameters_and_of_the_state():
    head, (features, target) = make_head("learned"), make_batch(40)
    state = copy.deepcopy(head.state_dict())
    before = head.predict_topk(features, 3)[1]
    optimizer = torch.optim.SGD(head.parameters(), lr=5.0)
    head.nll(features, target).mean().backward()
    optimizer.step()
    order = head.log_prob(features).argsort(dim=1, descending=True)[:, :3]
    assert torch.equal(head.predict_topk(features, 3)[1], order)
    assert not torch.equal(order, before)
    head.load_state_dict(state)
    assert torch.equal(head.predict_topk(features, 3)[1], before)


def test_topk_in_inference_mode():
    with torch.inference_mode():
        head, (features, _) = make_head(), make_batch()
        first = head.predict_topk(features, 3)[1]
        assert torch.equal(first, head.predict_topk(features, 3)[1])


@pytest.mark.parametrize("k", [0, V + 1])
def test_a_wrong_k_is_refused_by_name(k):
    with pytest.raises(ValueError, match=rf"k must be between 1 and {V}, got {k}"):
        make_head().predict_topk(torch.zeros(1, D, dtype=torch.float64), k)


# -- linear layers ---------------------------------------------------------------------


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


# -- updates of the mapping ------------------------------------------------------------


def cluster_data(n=600, seed=0):
    """Classes whose features are those of one of K clusters."""
    rng = np.random.default_rng(seed)
    centres = 4 * rng.standard_normal((K, D))
    y = rng.integers(V, size=n)
    X = centres[y % K] + rng.standard_normal((n, D))
    return torch.as_tensor(X), torch.as_tensor(y)


def fitted(head, X, y, n_steps=60):
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=n_steps)

    def closure():
        optimizer.zero_grad()
        loss = head.nll(X, y).mean() + 1e-3 * head.codebook.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return closure().item()


@each_kind
def test_fits_and_updates_by_turns_never_lose_likelihood(kind):
    X, y = cluster_data()
    counts = torch.bincount(y, minlength=V)
    head = make_head(kind, class_counts=counts)
    losses = []
    for _ in range(4):
        losses.append(fitted(head, X, y))
        head.update_mapping([(X, y)])
        with torch.no_grad():
            updated = head.nll(X, y).mean() + 1e-3 * head.codebook.square().sum()
        losses.append(updated.item())
    assert (np.diff(losses) <= 1e-6).all()
    assert losses[-1] < losses[0] - 0.1


@each_kind
def test_after_updates_no_move_of_a_class_is_better(kind):
    X, y = cluster_data(200)
    head = make_head(kind, class_counts=torch.bincount(y, minlength=V)).eval()
    while head.update_mapping([(X[:50], y[:50]), (X[50:], y[50:])]):
        pass
    best = _nll_with_own_shares(head, X, y)
    for v, code in itertools.product(range(V), range(K)):
        other = copy.deepcopy(head)
        other.codes[v] = code
        assert _nll_with_own_shares(other, X, y) >= best - 1e-9


def _nll_with_own_shares(head, X, y):
    """Negative log-likelihood, with the shares that its mapping asks for."""
    if head.kind != "learned":
        mass = torch.ones(V, dtype=torch.float64)
        if head.kind == "prior":
            mass = torch.bincount(y, minlength=V) + head.smoothing
        total = torch.zeros(K, dtype=torch.float64).index_add_(
            0, head.codes, mass.double()
        )
        head.within.log_shares.copy_((mass / total[head.codes.long()]).log())
    return head.nll(X, y).mean().item()


def test_update_returns_the_number_of_moved_classes_and_sets_the_shares():
    X, y = cluster_data()
    head = make_head()
    before = head.codes.clone()
    assert head.update_mapping([(X, y)]) == (head.codes != before).sum() > 0
    mass = torch.bincount(y, minlength=V) + 0.5
    shares = head.within(head.codes).exp()
    for code in head.codes.unique():
        own = head.codes == code
        torch.testing.assert_close(shares[own], (mass[own] / mass[own].sum()).double())


@each_kind
@pytest.mark.parametrize("counted", [False, True])
def test_a_code_that_loses_its_classes_does_no_harm(kind, counted):
    X, y = cluster_data()
    head = make_head(kind, class_counts=None if counted else counts_of_classes())
    with torch.no_grad():
        head.code_bias[1] = -1e3  # nothing wants this code
        head.codebook[1] = 0
    head.update_mapping([(X, y)])
    empty = torch.bincount(head.codes, minlength=K) == 0
    assert empty[1]
    nll = head.nll(X, y)
    nll.mean().backward()
    expected = F.cross_entropy(head(X), y, reduction="none")
    torch.testing.assert_close(nll, expected)
    for parameter in head.parameters():
        assert parameter.grad.isfinite().all()
    assert not head.codebook.grad[empty].any()
    head.eval()
    order = head.log_prob(X).argsort(dim=1, descending=True, stable=True)
    values, classes = head.predict_topk(X, V)
    torch.testing.assert_close(values, head.log_prob(X).gather(1, order))
    assert (classes.sort(dim=1).values == torch.arange(V)).all()
    torch.testing.assert_close(head.to_linear()(X), head(X))
    # Whatever its bias, until it comes back.
    with torch.no_grad():
        head.code_bias[1] = 1e3
    total = head.log_prob(X).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))
    head.update_mapping([(X, y)])
    assert torch.bincount(head.codes, minlength=K)[1] > 0
    assert head.nll(X, y).isfinite().all()


def test_update_needs_trained_biases_and_rows():
    X, y = cluster_data(10)
    with pytest.raises(ValueError, match="update_mapping needs trained biases"):
        make_head(bias=False).update_mapping([(X, y)])
    with pytest.raises(ValueError, match="batches must hold at least one row"):
        make_head().update_mapping([])


# -- as part of a net ------------------------------------------------------------------


def test_state_and_pickle_round_trip():
    head, (features, target) = make_head(), make_batch()
    expected = head.nll(features, target)
    head.predict_topk(features, 2)
    other = make_head(mapping="frequency")
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other.nll(features, target), expected)
    torch.testing.assert_close(
        pickle.loads(pickle.dumps(head)).nll(features, target), expected
    )
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True).keys() == head.state_dict().keys()


def test_reset_parameters_draws_as_a_linear_layer():
    head = make_head()
    head.reset_parameters()
    bound = 1 / math.sqrt(D)
    assert head.codebook.abs().max() <= bound
    assert head.codebook.abs().max() > 0.7 * bound


@pytest.mark.parametrize("loss", ["cross_entropy", "linear_cross_entropy"])
def test_logit_classifier_trains_it(loss):
    if loss == "linear_cross_entropy":
        pytest.importorskip("sklogit.losses._linear_cross_entropy")
    X, y = cluster_data()
    net = LogitClassifier(
        head="vq",
        head__n_codes=K,
        loss=loss,
        lr=0.05,
        max_epochs=5,
        random_state=0,
        train_split=None,
    ).fit(X.numpy(), y.numpy())
    assert net.head_.codebook.shape == (K, D)
    losses = net.history[:, "train_loss"]
    assert losses[-1] < losses[0]
    p = net.predict_proba(X.numpy())
    expected = -np.log(p[np.arange(len(y)), y]).mean()
    assert net.log_loss(X.numpy(), y.numpy()) == pytest.approx(expected, rel=1e-4)
    best = np.argsort(-p, axis=1, kind="stable")[:, 0]
    np.testing.assert_array_equal(net.predict(X.numpy()), best)


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"in_features": 0}, "in_features must be an integer >= 1, got 0"),
        ({"num_classes": 2.0}, "num_classes must be an integer >= 1, got 2.0"),
        ({"n_codes": V + 1}, f"n_codes must be between 1 and .*{V}, got {V + 1}"),
        ({"n_codes": 0}, "n_codes must be between 1"),
        ({"within": "bias"}, "within must be one of .*got 'bias'"),
        ({"smoothing": 0.0}, "smoothing must be positive, got 0.0"),
        ({"smoothing": math.inf}, "smoothing must be positive"),
        ({"mapping": "kmeans"}, "mapping must be .*from_linear.*got 'kmeans'"),
        ({"mapping": "frequency"}, "mapping='frequency' needs class_counts"),
        ({"mapping": [0, 1]}, f"mapping must have a code for each of the {V}"),
        ({"mapping": [-1] * V}, "mapping must not be negative"),
        ({"mapping": np.arange(V) % 3, "n_codes": 4}, "n_codes must be None or .*3"),
        ({"class_counts": [1, 2]}, r"class_counts must have the shape \(17,\)"),
        ({"class_counts": [-1] * V}, "class_counts must be finite, not negative"),
        ({"class_counts": [0] * V}, "class_counts must be .*not all zero"),
        ({"class_counts": [math.nan] * V}, "class_counts must be finite"),
    ],
)
def test_wrong_parameters_are_refused_by_name(kwargs, match):
    with pytest.raises(ValueError, match=match):
        VQLogitsHead(**{"in_features": D, "num_classes": V, **kwargs})


@pytest.mark.parametrize(
    ("target", "error", "match"),
    [
        (torch.tensor([0, V]), ValueError, rf"target must be in \[0, {V}\), got {V}"),
        (torch.tensor([0, -1]), ValueError, "target must be in .*got -1"),
        (torch.tensor([0]), ValueError, r"target must have the shape \(2,\)"),
        (torch.tensor([[0, 1]]), ValueError, "target must have the shape"),
        (torch.tensor([0.0, 1.0]), TypeError, "target must hold class indices"),
    ],
)
def test_wrong_targets_are_refused_by_name(target, error, match):
    with pytest.raises(error, match=match):
        make_head().nll(torch.zeros(2, D, dtype=torch.float64), target)


@pytest.mark.parametrize(
    ("linear", "kwargs", "error", "match"),
    [
        (nn.ReLU(), {}, TypeError, "linear must be a torch.nn.Linear, got ReLU"),
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


def test_report_refuses_what_does_not_fit():
    head = make_head()
    features = torch.zeros(2, D, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"linear must have weights of shape \(17, 5\)"
    ):
        head.conversion_report(nn.Linear(D, 3), features)
    with pytest.raises(ValueError, match="target must be in"):
        head.conversion_report(nn.Linear(D, V), features, torch.tensor([0, V]))
