"""The head of codes, against the softmax of logits of all classes."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sklogit.heads import VQLogitsHead
from sklogit.neural import LogitClassifier

from .common import (
    KINDS,
    D,
    K,
    V,
    cluster_data,
    counts_of_classes,
    each_kind,
    make_batch,
    make_head,
)


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


@pytest.mark.parametrize("n_codes", [1, 2])
@each_kind
def test_two_classes(kind, n_codes):
    head = VQLogitsHead(D, 2, n_codes=n_codes, within=kind, class_counts=[1, 3])
    features = torch.randn(6, D)
    target = torch.tensor([0, 1, 1, 0, 1, 1])
    expected = F.cross_entropy(head(features), target, reduction="none")
    torch.testing.assert_close(head.nll(features, target), expected)
    head.nll(features, target).sum().backward()
    assert head.codebook.grad.isfinite().all()
    if n_codes == 1:  # nothing but the shares is left
        q = {"uniform": [0.5, 0.5]}.get(kind, [1.5 / 5, 3.5 / 5])
        p = torch.tensor(q).expand(6, 2)
        torch.testing.assert_close(head.log_prob(features).exp(), p)


class Largest(TorchDispatchMode):
    """The largest number of entries that any step made."""

    n_entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, torch.Tensor):
                self.n_entries = max(self.n_entries, value.numel())
        return out


@each_kind
@pytest.mark.parametrize("counted", [False, True])
def test_neither_loss_nor_prediction_makes_logits_of_all_classes(kind, counted):
    n, n_classes, n_codes = 200, 1000, 20
    counts = None if counted else np.arange(n_classes) + 1
    head = VQLogitsHead(
        4,
        n_classes,
        n_codes=n_codes,
        within=kind,
        class_counts=counts,
        mapping="random",
    )
    features, target = torch.randn(n, 4), torch.randint(n_classes, (n,))
    with Largest() as largest:
        head.nll(features, target).sum().backward()
        head.predict(features)
        head.predict_topk(features, 3)
    assert largest.n_entries <= n * n_codes


def test_counted_shares_have_the_precision_of_the_head():
    features, target = make_batch()
    head = make_head(class_counts=None)
    head.nll(features, target)
    total = head.log_prob(features).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-14)
    assert head.float().log_prob(features.float()).dtype == torch.float32


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
    with pytest.raises(
        ValueError, match=rf"k must be an integer from 1 to {V}, .*got {k}"
    ):
        make_head().predict_topk(torch.zeros(1, D, dtype=torch.float64), k)


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


@pytest.mark.parametrize("counted", [False, True])
def test_state_brings_the_way_that_shares_are_kept(counted):
    features, target = make_batch()
    counts = None if counted else counts_of_classes()
    head = make_head(class_counts=counts, mapping=np.arange(V) % K)
    head.nll(features, target)
    # As a net that is initialised without data, so without counts, or the other way.
    other = make_head(
        class_counts=counts_of_classes()[::-1].copy() if counted else None,
        mapping="random",
    ).eval()
    other.predict_topk(features, 3)
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other.log_prob(features), head.log_prob(features))
    torch.testing.assert_close(
        other.predict_topk(features, 3), head.predict_topk(features, 3)
    )


def test_saved_parameters_of_a_net_are_loaded_without_data(tmp_path):
    X, y = (values.numpy() for values in cluster_data())
    options = {"head": "vq", "head__n_codes": K, "max_epochs": 1}
    net = LogitClassifier(**options).fit(X, y)
    net.save_params(tmp_path / "net.pt")
    other = LogitClassifier(**options, head__in_features=D, classes=range(V))
    other.initialize().load_params(tmp_path / "net.pt")
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


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
        ({"in_features": True}, "in_features must be an integer >= 1, got True"),
        ({"smoothing": "much"}, "smoothing must be positive and finite, got 'much'"),
        ({"smoothing": None}, "smoothing must be positive and finite, got None"),
        ({"in_features": 0}, "in_features must be an integer >= 1, got 0"),
        ({"num_classes": 2.0}, "num_classes must be an integer >= 1, got 2.0"),
        ({"n_codes": V + 1}, f"n_codes must be between 1 and .*{V}, got {V + 1}"),
        ({"n_codes": 0}, "n_codes must be between 1"),
        ({"within": "bias"}, "within must be one of .*got 'bias'"),
        ({"smoothing": 0.0}, "smoothing must be positive and finite, got 0.0"),
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
        (
            torch.tensor([0.0, 1.0]),
            TypeError,
            "target must be a tensor of class indices, got torch.float32",
        ),
        (torch.tensor([True, False]), TypeError, "target must be .*got torch.bool"),
        ([0, 1], TypeError, "target must be a tensor .*got list"),
    ],
)
def test_wrong_targets_are_refused_by_name(target, error, match):
    with pytest.raises(error, match=match):
        make_head().nll(torch.zeros(2, D, dtype=torch.float64), target)


@pytest.mark.parametrize("method", ["forward", "log_prob", "predict"])
def test_another_number_of_features_is_refused_by_name(method):
    with pytest.raises(ValueError, match=r"features must have .*\.\.\., 5.* got .2, 3"):
        getattr(make_head(), method)(torch.zeros(2, 3, dtype=torch.float64))
