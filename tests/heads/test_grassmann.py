"""GrassmannHead: logits are lengths of projections onto subspaces."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from sklogit.heads import GrassmannHead, GrassmannParameter


def head_of(*sizes, **kwargs):
    return GrassmannHead(*sizes, **kwargs).double()


def features(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def error(head):
    S = head.subspaces.detach()
    return (S.mT @ S - torch.eye(S.shape[2], dtype=S.dtype)).abs().max().item()


# -- logits ----------------------------------------------------------------------------


def test_logits_are_scaled_lengths_of_projections():
    head, h = head_of(7, 4, 3, gamma=10.0), features(5, 7)
    expected = torch.empty(5, 4, dtype=torch.float64)
    for i, x in enumerate(h):
        for c, S in enumerate(head.subspaces):
            expected[i, c] = 10.0 * (S @ S.mT @ x).norm() / x.norm()
    torch.testing.assert_close(head(h), expected, rtol=0, atol=1e-13)


def test_logits_do_not_depend_on_bases_lengths_or_signs():
    head, h = head_of(7, 4, 3), features(5, 7)
    logits = head(h)
    torch.testing.assert_close(head(-2.5 * h), logits, rtol=0, atol=1e-12)
    Q = torch.linalg.qr(features(4, 3, 3))[0]
    with torch.no_grad():
        head.subspaces.copy_(head.subspaces @ Q)
    torch.testing.assert_close(head(h), logits, rtol=0, atol=1e-12)


def test_logit_is_gamma_within_the_subspace_and_0_across_it():
    head = head_of(7, 4, 3)
    S = head.subspaces.detach()[1]
    inside = S @ features(3)
    across = features(7)
    across -= S @ (S.mT @ across)
    assert head(inside)[1].item() == pytest.approx(25.0)
    assert head(across)[1].item() == pytest.approx(0.0, abs=1e-13)
    logits = head(features(50, 7))
    assert ((logits >= 0) & (logits <= 25.0 + 1e-12)).all()


def test_one_dimension_is_the_absolute_cosine():
    head, h = head_of(7, 4, 1), features(5, 7)
    cosine = F.cosine_similarity(h[:, None], head.subspaces[None, :, :, 0], dim=-1)
    torch.testing.assert_close(head(h), 25 * cosine.abs(), rtol=0, atol=1e-12)


def test_without_normalisation_lengths_count():
    head, h = head_of(7, 4, 3, normalize=False), features(5, 7)
    torch.testing.assert_close(head(2 * h), 2 * head(h))


def test_projections_are_coordinates_in_the_bases():
    head, h = head_of(7, 4, 3), features(2, 5, 7)
    found = head.projections(h)
    unit = h / h.norm(dim=-1, keepdim=True)
    expected = torch.einsum("cnk,abn->abck", head.subspaces, unit)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_gradient_is_the_closed_form():
    head, h = head_of(7, 4, 3), features(5, 7)
    target = torch.tensor([0, 1, 2, 3, 1])
    logits = head(h)
    F.cross_entropy(logits, target).backward()
    x = h / h.norm(dim=1, keepdim=True)
    slopes = (logits.softmax(1) - F.one_hot(target, 4)).detach() / 5
    expected = torch.zeros(4, 7, 3, dtype=torch.float64)
    for c, S in enumerate(head.subspaces.detach()):
        for i in range(5):
            scale = slopes[i, c] * 25.0**2 / logits[i, c].detach()
            expected[c] += scale * torch.outer(x[i], x[i] @ S)
    torch.testing.assert_close(head.subspaces.grad, expected, rtol=0, atol=1e-12)


def test_first_and_second_derivatives_are_those_of_differences():
    head, h = head_of(5, 3, 2), features(4, 5).requires_grad_()

    def function(h, S):
        return torch.func.functional_call(head, {"subspaces": S}, (h,))

    S = head.subspaces.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(function, (h, S))
    assert torch.autograd.gradgradcheck(function, (h, S))


def test_zero_rows_have_logits_and_gradients_of_zero():
    head, h = head_of(7, 4, 3), features(3, 7)
    h[1] = 0.0
    h.requires_grad_()
    logits = head(h)
    F.cross_entropy(logits, torch.tensor([0, 1, 2]), reduction="none")[1].backward()
    assert torch.equal(logits[1], torch.zeros(4, dtype=torch.float64))
    assert torch.equal(head.subspaces.grad, torch.zeros_like(head.subspaces))
    assert torch.equal(h.grad, torch.zeros_like(h))


def test_rows_across_a_subspace_have_finite_gradients():
    init = torch.eye(6, 4, dtype=torch.float64).T.reshape(2, 2, 6).mT
    head = GrassmannHead(6, 2, 2, init=init)
    h = torch.eye(6, dtype=torch.float64)[:1].requires_grad_()
    F.cross_entropy(head(h), torch.tensor([1])).backward()
    assert head.subspaces.grad.isfinite().all()
    assert h.grad.isfinite().all()


def test_logits_need_no_copy_of_the_bases():
    head = GrassmannHead(7, 4, 3)
    rows = head.subspaces.mT.reshape(12, 7)
    assert rows.data_ptr() == head.subspaces.data_ptr()
    head(torch.randn(5, 7)).sum().backward()
    assert head.subspaces.grad.stride() == head.subspaces.stride()


# -- dtypes, compilation ---------------------------------------------------------------


def test_half_precision_features_get_logits_of_the_bases_dtype():
    head, h = GrassmannHead(16, 4, 3), torch.randn(5, 16)
    logits = head(h.bfloat16())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(h.bfloat16().float()))


def test_autocast_is_near_single_precision():
    head, h = GrassmannHead(16, 4, 3), torch.randn(5, 16)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(h)
    logits.float().sum().backward()
    assert (logits - head(h)).abs().max() < 0.3  # of 25, in 8 bits
    assert head.subspaces.grad.dtype == torch.float32


def test_half_precision_zero_rows_are_no_trouble():
    head = GrassmannHead(16, 4, 3).half()
    assert torch.equal(head(torch.zeros(2, 16).half()), torch.zeros(2, 4).half())


def test_compiled_head_gives_the_same():
    head, h = GrassmannHead(16, 4, 3), torch.randn(5, 16)
    compiled = torch.compile(copy.deepcopy(head), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(h), head(h))
    for one in (compiled, head):
        F.cross_entropy(one(h), torch.arange(5) % 4).backward()
    gradient = compiled._orig_mod.subspaces.grad
    torch.testing.assert_close(gradient, head.subspaces.grad)


# -- the tag ---------------------------------------------------------------------------


def through_meta(head):
    with torch.device("meta"):
        empty = GrassmannHead(7, 4, 3)
    empty.to_empty(device="cpu")
    empty.load_state_dict(head.state_dict())
    return empty


def assigned(head):
    other = GrassmannHead(7, 4, 3)
    other.load_state_dict(head.state_dict(), assign=True)
    return other


WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda head: pickle.loads(pickle.dumps(head)),
    "double": lambda head: copy.deepcopy(head).half().float(),
    "to": lambda head: copy.deepcopy(head).to("cpu"),
    "state_dict": lambda head: through_meta(head),
    "assigned": assigned,
    "in a model": lambda head: copy.deepcopy(nn.Sequential(nn.ReLU(), head))[1],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_the_tag_and_the_layout_stay(way):
    head = GrassmannHead(7, 4, 3)
    other = way(head)
    assert other.subspaces.manifold == "grassmann"
    assert isinstance(other.subspaces, GrassmannParameter)
    assert other.subspaces.requires_grad
    assert other.subspaces.stride() == (21, 1, 7)
    torch.testing.assert_close(other.subspaces, head.subspaces, rtol=0, atol=1e-3)


def test_a_wider_dtype_makes_bases_orthonormal_to_its_precision():
    head = GrassmannHead(7, 4, 3)
    before = head.subspaces.detach().clone()
    assert error(head.double()) < 1e-14
    torch.testing.assert_close(head.subspaces.float(), before)


def test_a_plain_parameter_has_no_tag():
    assert not hasattr(nn.Linear(2, 3).weight, "manifold")


# -- starts ----------------------------------------------------------------------------


def test_random_bases_are_orthonormal_and_seeded():
    torch.manual_seed(1)
    first = GrassmannHead(20, 30, 8)
    torch.manual_seed(1)
    second = GrassmannHead(20, 30, 8)
    assert torch.equal(first.subspaces, second.subspaces)
    assert error(first) < 1e-6
    second.reset_parameters()
    assert not torch.equal(first.subspaces, second.subspaces)


def test_random_subspaces_are_uniform():
    # The mean projector of uniform subspaces is k / n times the identity.
    S = head_of(5, 4000, 2).subspaces.detach()
    mean = (S @ S.mT).mean(dim=0)
    torch.testing.assert_close(
        mean, 0.4 * torch.eye(5, dtype=torch.float64), rtol=0, atol=0.02
    )


def test_given_bases_are_taken():
    S = torch.linalg.qr(features(4, 7, 3))[0]
    head = GrassmannHead(7, 4, 3, init=S)
    assert torch.equal(head.subspaces, S)
    with torch.no_grad():
        head.subspaces.zero_()
    head.reset_parameters()
    assert torch.equal(head.subspaces, S)


def test_bases_that_are_not_orthonormal_are_replaced_with_a_warning():
    given = features(4, 7, 3)
    with pytest.warns(UserWarning, match="orthonormal"):
        head = GrassmannHead(7, 4, 3, init=given)
    assert error(head) < 1e-13
    S = head.subspaces.detach()
    torch.testing.assert_close(S @ (S.mT @ given), given, rtol=0, atol=1e-12)


def test_start_from_features_is_that_of_the_singular_vectors():
    X, y = load_digits(return_X_y=True)
    head = GrassmannHead.from_features(X, y, subspace_dim=4)
    assert (head.num_classes, head.in_features, head.subspace_dim) == (10, 64, 4)
    for c in (0, 7):
        rows = X[y == c] / np.linalg.norm(X[y == c], axis=1, keepdims=True)
        V = np.linalg.svd(rows)[2][:4].T
        S = head.subspaces[c].detach().double().numpy()
        np.testing.assert_allclose(S @ S.T, V @ V.T, atol=1e-5)


def test_classes_with_few_or_no_rows_are_completed():
    h, y = features(5, 7), torch.tensor([0, 0, 0, 0, 2])
    head = GrassmannHead.from_features(h, y, 4, subspace_dim=3, random_state=0)
    assert head.subspaces.dtype == torch.float64
    assert error(head) < 1e-12
    assert head(h)[4, 2].item() == pytest.approx(25.0)


def test_weights_of_rows_are_repetitions():
    h, y = features(9, 7), torch.arange(9) % 3
    weight = torch.tensor([2, 1, 1, 0, 3, 1, 1, 1, 2])
    weighted = GrassmannHead.from_features(
        h, y, subspace_dim=1, sample_weight=weight, random_state=0
    )
    repeated = GrassmannHead.from_features(
        h.repeat_interleave(weight, 0),
        y.repeat_interleave(weight),
        subspace_dim=1,
        random_state=0,
    )
    torch.testing.assert_close(weighted(h), repeated(h), rtol=0, atol=1e-10)


def test_angles_of_known_planes():
    e = torch.eye(5, dtype=torch.float64)
    tilted = torch.stack([e[0], (e[1] + e[2]) / 2**0.5], dim=1)
    init = torch.stack([e[:, :2], tilted, e[:, 3:]])
    angles = GrassmannHead(5, 3, 2, init=init).subspace_angles()
    np.testing.assert_allclose(angles[0, 1], [0, 45], atol=1e-6)
    np.testing.assert_allclose(angles[0, 2], [90, 90], atol=1e-6)
    np.testing.assert_allclose(angles[1, 1], [0, 0], atol=1e-6)
    np.testing.assert_allclose(angles, angles.transpose(1, 0, 2), atol=1e-9)


def test_automatic_dimension_is_half_of_the_features_and_at_most_8():
    for n, k in ((2, 1), (5, 2), (100, 8)):
        assert GrassmannHead(n, 3, "auto").subspace_dim == k


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"subspace_dim": 8}, "subspace_dim=8 must be less than in_features=7"),
        ({"subspace_dim": 7}, "all logits are equal"),
        ({"subspace_dim": 0}, "subspace_dim"),
        ({"subspace_dim": 2.5}, "subspace_dim"),
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": float("inf")}, "gamma"),
        ({"num_classes": 0}, "num_classes"),
        ({"in_features": 0}, "in_features"),
        ({"init": "pca"}, "from_features"),
        ({"init": torch.eye(7, 3)}, "shape"),
        ({"init": torch.full((4, 7, 3), torch.nan)}, "finite"),
        ({"init": torch.ones(4, 7, 3)}, "independent"),
    ],
)
def test_parameters_that_are_not_allowed_are_refused(kwargs, message):
    sizes = {"in_features": 7, "num_classes": 4, "subspace_dim": 3}
    with pytest.raises(ValueError, match=message):
        GrassmannHead(**sizes | kwargs)


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "message"),
    [
        (np.ones((4, 7)), np.zeros(3, int), {}, "shape"),
        (np.full((4, 7), np.nan), np.zeros(4, int), {}, "NaN"),
        (np.ones((4, 7)), np.zeros(4), {}, "class indices"),
        (np.ones((4, 7)), np.full(4, 5), {"num_classes": 3}, "num_classes=3"),
        (np.ones((4, 7)), np.zeros(4, int), {"sample_weight": -np.ones(4)}, "negative"),
        (np.ones((4, 7)), np.zeros(4, int), {"subspace_dim": 9}, "subspace_dim=9"),
    ],
)
def test_features_that_are_not_allowed_are_refused(X, y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        GrassmannHead.from_features(X, y, **{"subspace_dim": 2} | kwargs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_features_whose_squares_overflow_are_those_of_their_directions(dtype):
    head, h = GrassmannHead(16, 4, 3), torch.randn(5, 16)
    long = (1e30 * h).to(dtype).requires_grad_()
    logits = head(long)
    tol = 1e-4 if dtype == torch.float32 else 0.5
    torch.testing.assert_close(logits, head(h), rtol=0, atol=tol)
    logits.sum().backward()
    assert long.grad.isfinite().all()
    assert head.subspaces.grad.abs().max() > 0.1


def test_bases_that_are_replaced_are_told_once():
    with pytest.warns(UserWarning, match="orthonormal") as record:
        GrassmannHead(4, 2, 2, init=torch.randn(2, 4, 2))
    assert len(record) == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sample_weight": [1, 1, 1, np.inf]}, "sample_weight.*inf"),
        ({"sample_weight": [0, 0, 0, 0]}, "sample_weight.*zero"),
        ({"sample_weight": [1, 1]}, r"sample_weight.*\(4,\), got \(2,\)"),
        ({"num_classes": 2.5}, "num_classes.*2.5"),
        ({"gamma": -1}, "gamma"),
    ],
)
def test_from_features_names_what_is_not_allowed(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GrassmannHead.from_features(torch.randn(4, 9), [0, 1, 0, 1], **kwargs)


def test_init_of_integers_is_named():
    with pytest.raises(ValueError, match=r"init.*int64"):
        GrassmannHead(4, 2, 2, init=torch.ones(2, 4, 2, dtype=torch.int64))
