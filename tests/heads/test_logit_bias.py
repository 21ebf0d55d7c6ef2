"""The head that adds a bias to prior logits, beside the estimator for arrays."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklogit.few_shot import LogitBiasClassifier, uncertainty_factor
from sklogit.heads import LogitBiasHead

RNG = np.random.default_rng(0)
Z, A = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 8))
Y = np.concatenate([np.arange(5), RNG.integers(5, size=35)])
FEATURES = torch.tensor(np.hstack([Z, A]))
SHAPE = 13, 5


def head_of(**params):
    """A head in double precision."""
    torch.manual_seed(0)
    return LogitBiasHead(*SHAPE, **params).double()


@pytest.mark.parametrize("normalize", ["row", "scale", None])
@pytest.mark.parametrize("uncertainty", ["kurtosis", "entropy", "max", "margin", None])
def test_weights_of_a_fitted_classifier_give_its_logits(normalize, uncertainty):
    shared = {"alpha": 0.8, "uncertainty": uncertainty, "power": 0.3}
    clf = LogitBiasClassifier(5, normalize=normalize, tol=1e-3, **shared)
    clf.fit(np.hstack([Z, A]), Y)
    head = LogitBiasHead(
        *SHAPE, normalize=normalize, scale=clf.scale_, weight=clf.coef_, **shared
    )
    assert head.weight.dtype == torch.float64
    logits = head(FEATURES).detach().numpy()
    expected = clf.decision_function(np.hstack([Z, A]))
    np.testing.assert_allclose(logits, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e3])
@pytest.mark.parametrize("ref", ["auto", 3.0])
def test_factor_is_that_of_the_arrays(scale, ref):
    head = head_of(kurtosis_ref=ref)
    factor = head.fuse(torch.tensor(scale * Z), FEATURES[:, 5:]).factor
    expected = uncertainty_factor(scale * Z, ref=ref)
    np.testing.assert_allclose(factor, expected, rtol=1e-6)


def test_equal_logits_have_the_largest_factor():
    head = head_of()
    flat = head.fuse(torch.full((1, 5), 3.0), FEATURES[:1, 5:]).factor
    assert torch.isfinite(flat).all()
    np.testing.assert_allclose(flat, uncertainty_factor(np.zeros((1, 5))), rtol=1e-6)


def test_class_means_are_those_of_the_estimator():
    head = head_of()
    head.set_class_means(FEATURES, torch.tensor(Y))
    clf = LogitBiasClassifier(5, max_iter=0, normalize="row").fit(np.hstack([Z, A]), Y)
    np.testing.assert_allclose(head.weight.detach(), clf.coef_, atol=1e-14)
    weight = RNG.uniform(size=40)
    head.set_class_means(FEATURES, torch.tensor(Y), torch.tensor(weight))
    clf.fit(np.hstack([Z, A]), Y, sample_weight=weight)
    np.testing.assert_allclose(head.weight.detach(), clf.coef_, atol=1e-14)
    few = Y != 3
    head.set_class_means(FEATURES[few], torch.tensor(Y[few]))
    assert not head.weight[3].any()


def test_auxiliary_features_get_a_gradient_and_the_prior_none():
    head = head_of()
    z, a = (part.clone().requires_grad_() for part in head.split(FEATURES))
    F.cross_entropy(head.fuse(z, a).logits, torch.tensor(Y)).backward()
    assert z.grad is None
    assert a.grad.abs().max() > 0
    assert head.weight.grad.abs().max() > 0


def test_gradient_is_that_of_differences():
    head = head_of()
    a = FEATURES[:3, 5:].clone().requires_grad_()

    def logits(a, weight):
        with torch.no_grad():
            head.weight.copy_(weight)
        return torch.func.functional_call(head, {"weight": weight}, (joined(a),))

    def joined(a):
        return torch.cat([FEATURES[:3, :5], a], dim=1)

    weight = head.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(logits, (a, weight))


def test_constant_scores_have_finite_gradients():
    head = head_of()
    features = FEATURES[:2].clone()
    features[0, 5:] = 0
    features.requires_grad_()
    head(features).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_without_a_prior_the_bias_is_all():
    head = LogitBiasHead(8, 5, n_logits=0, alpha=2.0).double()
    logits = head(FEATURES[:, 5:])
    torch.testing.assert_close(logits, 2 * head.bias_logits(FEATURES[:, 5:]))


def test_rows_of_any_number_of_dimensions():
    head = head_of()
    nested = head(FEATURES.reshape(4, 10, 13))
    torch.testing.assert_close(nested.reshape(40, 5), head(FEATURES))


def test_half_precision_keeps_its_dtype_and_a_precise_factor():
    head = LogitBiasHead(*SHAPE).to(torch.bfloat16)
    fused = head.fuse(*head.split(FEATURES.to(torch.bfloat16)))
    assert fused.logits.dtype == torch.bfloat16
    assert fused.factor.dtype == torch.float32


def test_zeros_in_half_precision_are_no_nan():
    head = LogitBiasHead(*SHAPE).half()
    features = torch.zeros(2, 13, dtype=torch.float16, requires_grad=True)
    logits = head(features)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(features.grad).all()


def test_rows_are_standardised_where_there_are_three_classes():
    assert LogitBiasHead(*SHAPE).normalize == "row"
    assert LogitBiasHead(8, 2).normalize == "scale"


def test_weights_can_be_drawn_anew():
    head = LogitBiasHead(*SHAPE, weight=torch.full((5, 8), 9.0))
    torch.manual_seed(1)
    head.reset_parameters()
    torch.manual_seed(1)
    torch.testing.assert_close(LogitBiasHead(*SHAPE).weight, head.weight)
    assert head.weight.abs().max() < 1 / np.sqrt(8)


def test_copies_and_representation():
    head = head_of(alpha=0.7)
    copy = pickle.loads(pickle.dumps(head))
    torch.testing.assert_close(copy(FEATURES), head(FEATURES))
    assert "n_logits=5, alpha=0.7, uncertainty='kurtosis'" in repr(head)
    other = LogitBiasHead(*SHAPE).double()
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other.weight, head.weight)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"in_features": 5}, "in_features must be more than the 5 logits"),
        ({"num_classes": 1, "n_logits": 0}, "num_classes must be at least 2"),
        ({"n_logits": 4}, "n_logits must be 0, or num_classes=5, got 4"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": float("inf")}, "alpha"),
        ({"power": -1.0}, "power"),
        ({"kurtosis_ref": 0.0}, "kurtosis_ref"),
        ({"scale": 0.0}, "scale"),
        ({"uncertainty": "energy"}, "uncertainty must be one of"),
        ({"normalize": "column"}, "normalize must be one of"),
        ({"num_classes": 2, "normalize": "row"}, "two classes"),
        ({"weight": np.full((5, 8), np.nan)}, "weight must be finite"),
        ({"weight": np.zeros((5, 7))}, r"weight must have shape \(5, 8\).*\(5, 7\)"),
    ],
)
def test_wrong_parameters_are_named(params, message):
    sizes = {"in_features": 13, "num_classes": 5}
    with pytest.raises(ValueError, match=message):
        LogitBiasHead(**sizes | params)


def test_features_of_the_wrong_width_are_refused():
    with pytest.raises(ValueError, match=r"13 columns.*got 12"):
        head_of()(FEATURES[:, :12])
