"""Graphs of logits: closed forms, bounds of Gromov-Wasserstein, and the loss."""

import itertools
import pickle

import numpy as np
import pytest
import torch

from sklogit.losses import (
    GraphLogitDistillationLoss,
    coactivation_graph,
    graph_features,
    graph_logit_loss,
    gw_sorted,
    gw_sorted_bounds,
    top_logits,
)

TRANSFORMS = ("softmax", "zscore", "center", "none")


def random_nodes(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def random_graph(k, seed=0):
    return coactivation_graph(random_nodes(8, k, seed=seed))


def tensor(values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


def cost_of(P, C, D, order=1):
    """Cost of a coupling, by its definition."""
    gaps = np.abs(C[:, None, :, None] - D[None, :, None, :]) ** order
    return np.einsum("ikjl,ik,jl", gaps, P, P)


def best_permutation(C, D, order=1):
    """Least cost of all one-to-one couplings: an upper value of Gromov-Wasserstein."""
    k = len(C)
    nodes = (list(order_) for order_ in itertools.permutations(range(k)))
    return min((np.abs(C - D[np.ix_(s, s)]) ** order).mean() for s in nodes)


def mean_absolute_deviation(C, p):
    means = C @ p
    return np.einsum("ij,i,j", np.abs(C - means[:, None]), p, p)


# -- graph and features ----------------------------------------------------------------


def test_graph_is_the_mean_of_outer_products():
    Z = random_nodes(7, 4)
    expected = np.mean([np.outer(z, z) for z in Z], axis=0)
    np.testing.assert_allclose(coactivation_graph(Z), expected, rtol=1e-12)
    np.testing.assert_allclose(coactivation_graph(Z, normalize=False), 7 * expected)


def test_features_are_the_means_of_the_rows_of_the_graph():
    Z = random_nodes(7, 4)
    np.testing.assert_allclose(
        graph_features(Z), coactivation_graph(Z).mean(axis=1), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(
        graph_features(Z, normalize=False),
        coactivation_graph(Z, normalize=False).mean(axis=1),
        rtol=1e-12,
        atol=1e-13,
    )


def test_features_with_weights_of_nodes():
    Z, p = random_nodes(7, 4), np.array([1.0, 0.0, 2.0, 1.0])
    np.testing.assert_allclose(
        graph_features(Z, p=p), coactivation_graph(Z) @ p / 4, rtol=1e-12, atol=1e-14
    )


def test_a_batch_is_a_loop():
    Z = random_nodes(3, 7, 4)
    for function in (graph_features, coactivation_graph):
        loop = [function(z) for z in Z]
        np.testing.assert_allclose(function(Z), loop, rtol=1e-12, atol=1e-14)


def test_long_sequences_keep_the_digits_of_single_precision():
    Z = np.random.default_rng(0).random((300_000, 2)).astype(np.float32)
    exact = graph_features(Z.astype(np.float64))
    assert graph_features(Z).dtype == np.float32
    np.testing.assert_allclose(graph_features(Z), exact, rtol=3e-7)


def test_arrays_give_arrays_and_tensors_give_tensors():
    Z = random_nodes(7, 4)
    assert isinstance(graph_features(Z), np.ndarray)
    assert isinstance(graph_features(torch.tensor(Z)), torch.Tensor)
    C = coactivation_graph(Z)
    assert isinstance(gw_sorted(C, 2 * C), float)
    assert isinstance(gw_sorted(torch.tensor(C), torch.tensor(2 * C)), torch.Tensor)
    assert isinstance(graph_logit_loss(Z, 2 * Z), float)


def test_read_only_and_integer_arrays_are_taken():
    Z = np.arange(12).reshape(4, 3)
    Z.flags.writeable = False
    np.testing.assert_allclose(coactivation_graph(Z), Z.T @ Z / 4)


# -- Gromov-Wasserstein ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f8", ">f4", np.float16, np.longdouble])
def test_arrays_of_other_machines_and_precisions_are_taken(dtype):
    Z = random_nodes(5, 3)
    np.testing.assert_allclose(
        graph_features(Z.astype(dtype)), graph_features(Z), rtol=1e-2
    )


def test_worked_example():
    Z = [[0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.6, 0.7, 0.8], [0.9, 1.0, 1.1]]
    Y = [[0.5, 0.2, 0.1], [0.3, 0.3, 0.9], [1, 0.4, 0.2], [0.7, 0.1, 0.6]]
    f, g = graph_features(Z, normalize=False), graph_features(Y, normalize=False)
    np.testing.assert_allclose(f, [1.44, 1.66, 1.88])
    np.testing.assert_allclose(g, [1.14333, 0.46333, 0.86333], atol=1e-5)
    C, D = coactivation_graph(Z, False), coactivation_graph(Y, False)
    assert gw_sorted(C, D, scale="sum") == pytest.approx(2.51)
    assert gw_sorted(C, D) == pytest.approx(2.51 / 3)


def test_a_graph_has_no_distance_from_itself_in_any_order_of_its_nodes():
    C, order = random_graph(6), [3, 0, 5, 1, 4, 2]
    assert gw_sorted(C, C) == 0
    assert gw_sorted_bounds(C, C) == (0, 0)
    shuffled = C[np.ix_(order, order)]
    assert gw_sorted(C, shuffled) == pytest.approx(0, abs=1e-15)
    D = random_graph(6, seed=1)
    np.testing.assert_allclose(
        gw_sorted_bounds(shuffled, D), gw_sorted_bounds(C, D), rtol=1e-12
    )


def test_symmetry_and_triangle_inequality():
    graphs = [random_graph(k, seed) for seed, k in enumerate((5, 5, 7, 4))]
    for C, D, E in itertools.permutations(graphs, 3):
        assert gw_sorted(C, D) == pytest.approx(gw_sorted(D, C), rel=1e-12)
        assert gw_sorted(C, E) <= gw_sorted(C, D) + gw_sorted(D, E) + 1e-12


def test_sum_is_the_mean_times_the_number_of_nodes():
    C, D = random_graph(5), random_graph(5, seed=1)
    assert gw_sorted(C, D, scale="sum") == pytest.approx(5 * gw_sorted(C, D))


@pytest.mark.parametrize("order", [1, 2, 1.5])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_bounds_hold_against_all_permutations(k, order):
    for seed in range(10):
        C, D = random_graph(k, seed), random_graph(k, 100 + seed)
        lower, upper = gw_sorted_bounds(C, D, order=order)
        assert lower == gw_sorted(C, D, order=order)
        best = best_permutation(C, D, order)
        assert lower <= best + 1e-12
        assert best <= upper + 1e-12


def test_bounds_are_no_further_apart_than_the_deviations_from_the_means():
    for seed in range(50):
        C, D = random_graph(5, seed), random_graph(6, 100 + seed)
        deviations = [
            mean_absolute_deviation(A, np.full(len(A), 1 / len(A))) for A in (C, D)
        ]
        lower, upper = gw_sorted_bounds(C, D)
        assert 0 <= upper - lower <= sum(deviations) + 1e-12


def quantile_coupling(f, g, p, q):
    """The coupling that keeps the order, cell by cell."""
    P = np.zeros((len(f), len(g)))
    p, q = p.copy(), q.copy()
    left, right = list(np.argsort(f)), list(np.argsort(g))
    while left and right:
        i, k = left[0], right[0]
        P[i, k] = mass = min(p[i], q[k])
        p[i] -= mass
        q[k] -= mass
        (left if p[i] <= q[k] else right).pop(0)
    return P


@pytest.mark.parametrize("order", [1, 2])
def test_sizes_and_weights_may_differ(order):
    rng = np.random.default_rng(0)
    for seed in range(20):
        C, D = random_graph(5, seed), random_graph(8, 100 + seed)
        p, q = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(8))
        f, g = C @ p, D @ q
        P = quantile_coupling(f, g, p, q)
        np.testing.assert_allclose(P.sum(axis=1), p, atol=1e-12)
        lower, upper = gw_sorted_bounds(C, D, p=p, q=q, order=order)
        expected = (P * np.abs(f[:, None] - g) ** order).sum()
        assert lower == pytest.approx(expected, rel=1e-9)
        assert upper == pytest.approx(cost_of(P, C, D, order), rel=1e-9)
        assert lower <= upper


def test_lower_bound_of_weighted_graphs_is_scipys_distance_of_the_features():
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    C, D = random_graph(5), random_graph(9, seed=1)
    p, q = rng.random(5), rng.random(9)
    f, g = C @ p / p.sum(), D @ q / q.sum()
    expected = scipy_stats.wasserstein_distance(f, g, p, q)
    assert gw_sorted(C, D, p=p, q=q) == pytest.approx(expected, rel=1e-10)
    unweighted = scipy_stats.wasserstein_distance(C.mean(axis=1), D.mean(axis=1))
    assert gw_sorted(C, D) == pytest.approx(unweighted, rel=1e-10)


def test_nodes_of_weight_zero_do_not_count():
    C, D = random_graph(5), random_graph(4, seed=1)
    p = np.array([1.0, 2.0, 0.0, 1.0, 0.0])
    kept = p > 0
    bounds = gw_sorted_bounds(C[np.ix_(kept, kept)], D, p=p[kept])
    np.testing.assert_allclose(gw_sorted_bounds(C, D, p=p), bounds, rtol=1e-12)


def test_bounds_hold_against_pot_on_500_pairs():
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(0)
    for seed in range(500):
        k, m = rng.integers(2, 9, size=2)
        C, D = random_graph(k, seed), random_graph(m, 1000 + seed)
        p, q = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(m))
        options = {"loss_fun": "square_loss", "log": True}
        P, log = ot.gromov.gromov_wasserstein(C, D, p, q, **options)
        for order in (1, 2):
            lower, upper = gw_sorted_bounds(C, D, p=p, q=q, order=order)
            # Whatever the solver finds costs no less than the minimum.
            assert lower <= cost_of(P, C, D, order) * (1 + 1e-7) + 1e-9
        assert lower <= log["gw_dist"] * (1 + 1e-7) + 1e-9
        # From our coupling the solver can only go down to the minimum.
        f, g = C @ p, D @ q
        start = quantile_coupling(f, g, p, q)
        value = ot.gromov.gromov_wasserstein2(C, D, p, q, "square_loss", G0=start)
        assert lower <= value * (1 + 1e-7) + 1e-9
        assert value <= upper * (1 + 1e-7) + 1e-9


def test_a_ring_of_six_and_two_rings_of_three_are_not_told_apart():
    ring = np.eye(6)[[1, 2, 3, 4, 5, 0]]
    rings = np.eye(6)[[1, 2, 0, 4, 5, 3]]
    C, D = ring + ring.T, rings + rings.T
    lower, upper = gw_sorted_bounds(C, D)
    assert lower == 0
    assert best_permutation(C, D) == pytest.approx(2 / 9)
    assert upper >= 2 / 9


def test_batches_of_graphs():
    C, D = (np.stack([random_graph(k, s) for s in range(4)]) for k in (5, 7))
    for E in (D, C[::-1]):
        loop = [gw_sorted_bounds(c, e) for c, e in zip(C, E)]
        np.testing.assert_allclose(gw_sorted_bounds(C, E), np.transpose(loop))
    # One graph against several.
    loop = [gw_sorted_bounds(C[0], d) for d in D]
    np.testing.assert_allclose(gw_sorted_bounds(C[0], D), np.transpose(loop))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"C": np.ones((2, 3))}, r"C must have shape \(..., k, k\), got \(2, 3\)"),
        ({"C": np.full((3, 3), np.nan)}, "C must be finite"),
        ({"p": [1.0, 2.0]}, r"p must have shape \(3,\)"),
        ({"p": [1.0, -1.0, 1.0]}, "p must be finite and not negative"),
        ({"q": [0.0, 0.0, 0.0]}, "q must be finite and not negative, with a sum > 0"),
        ({"q": [1.0, np.nan, 0.0]}, "q must be finite"),
        ({"order": 0.5}, "order must be a finite number >= 1, got 0.5"),
        ({"scale": "max"}, "scale must be 'mean' or 'sum', got 'max'"),
        ({"scale": "sum", "p": [1.0, 1.0, 1.0]}, "scale='sum' needs"),
        ({"scale": "sum", "D": np.eye(4)}, "scale='sum' needs .* got 3 and 4 nodes"),
    ],
)
def test_gw_sorted_says_what_is_wrong(change, match):
    with pytest.raises(ValueError, match=match):
        gw_sorted(**({"C": np.eye(3), "D": np.eye(3)} | change))


def test_batches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"as many graphs.*\(3,\) and \(2,\)"):
        gw_sorted(np.ones((3, 4, 4)), np.ones((2, 4, 4)))


def test_nodes_that_are_not_finite_are_refused():
    Z = random_nodes(5, 3)
    Z[2, 1] = np.inf
    for function in (graph_features, coactivation_graph):
        with pytest.raises(ValueError, match=r"Z must be finite.*first of them \[2\]"):
            function(Z)


def test_complex_numbers_and_text_are_refused():
    with pytest.raises(TypeError, match="Z must be real numbers, got dtype complex"):
        graph_features(np.ones((2, 2), complex))
    with pytest.raises(TypeError, match="Z must be real numbers, got dtype <U1"):
        graph_features([["a", "b"]])
    with pytest.raises(ValueError, match=r"Z must have shape \(..., T, k\)"):
        graph_features(np.ones(3))


# -- the loss --------------------------------------------------------------------------


def by_definition(student, teacher, k, transform, temperature=1.0):
    """The loss of two sequences of logits, through their graphs."""
    graphs = []
    for logits in (student, teacher):
        z = logits / temperature
        if transform == "softmax":
            z = np.exp(z - z.max(axis=1, keepdims=True))
            z /= z.sum(axis=1, keepdims=True)
        elif transform in ("center", "zscore"):
            z = z - z.mean(axis=1, keepdims=True)
            if transform == "zscore":
                z = z / z.std(axis=1, keepdims=True)
        graphs.append(coactivation_graph(-np.sort(-z, axis=1)[:, :k]))
    return gw_sorted(*graphs)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_loss_is_the_distance_of_the_graphs(transform, temperature):
    student, teacher = random_nodes(9, 6), random_nodes(12, 8, seed=1)
    options = {"k": 4, "transform": transform, "temperature": temperature}
    assert graph_logit_loss(student, teacher, **options) == pytest.approx(
        by_definition(student, teacher, **options), rel=1e-10
    )


def test_sequences_are_averaged():
    student, teacher = random_nodes(3, 9, 6), random_nodes(3, 12, 8, seed=1)
    expected = np.mean([graph_logit_loss(s, t) for s, t in zip(student, teacher)])
    assert graph_logit_loss(student, teacher) == pytest.approx(expected, rel=1e-12)


def test_groups_are_sequences_of_any_length():
    student, teacher = random_nodes(9, 6), random_nodes(9, 8, seed=1)
    groups = np.array([7, 3, 7, 7, 3, 1, 7, 3, 3])
    parts = [groups == g for g in (1, 3, 7)]
    expected = np.average(
        [graph_logit_loss(student[part], teacher[part]) for part in parts],
        weights=[part.sum() for part in parts],
    )
    for nodes in ("rank", "vocab"):
        expected = np.average(
            [graph_logit_loss(student[p], teacher[p], nodes=nodes) for p in parts],
            weights=[part.sum() for part in parts],
        )
        loss = graph_logit_loss(student, teacher, groups=groups, nodes=nodes)
        assert loss == pytest.approx(expected, rel=1e-10)


def test_default_number_of_nodes():
    wide, narrow = random_nodes(5, 30), random_nodes(5, 4, seed=1)
    assert graph_logit_loss(wide, 2 * wide) == graph_logit_loss(wide, 2 * wide, k=10)
    assert graph_logit_loss(wide, narrow) == graph_logit_loss(wide, narrow, k=4)


def test_sum_scale_of_the_loss():
    student, teacher = random_nodes(5, 6), random_nodes(5, 6, seed=1)
    mean = graph_logit_loss(student, teacher, k=4)
    assert graph_logit_loss(student, teacher, k=4, scale="sum") == pytest.approx(
        4 * mean
    )


def closed_form(Z, Y):
    """The loss of nodes Z, and its derivative by them."""
    f, g = graph_features(Z), graph_features(Y)
    T, k = Z.shape
    rank = np.argsort(np.argsort(f))
    sign = np.sign(f - np.sort(g)[rank])
    slope = np.outer(Z.sum(axis=1), sign) + np.outer(Z @ sign, np.ones(k))
    return np.abs(np.sort(f) - np.sort(g)).mean(), slope / (T * k**2)


def test_gradient_by_nodes_is_the_closed_form():
    Z, Y = -np.sort(-random_nodes(9, 5)), random_nodes(7, 5, seed=1)
    value, slope = closed_form(Z, -np.sort(-Y))
    student = tensor(Z, requires_grad=True)
    loss = graph_logit_loss(student, tensor(Y), k=5, transform="none")
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(student.grad, tensor(slope), rtol=1e-12, atol=1e-15)


def test_gradient_of_the_features_is_that_of_the_whole_graph():
    Z = tensor(random_nodes(6, 4), requires_grad=True)
    direction = tensor(random_nodes(4, seed=1))
    fast = torch.autograd.grad(graph_features(Z) @ direction, Z)[0]
    graph = Z.T @ Z / 6
    slow = torch.autograd.grad(graph.mean(dim=1) @ direction, Z)[0]
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("nodes", ["rank", "vocab"])
def test_gradient_by_logits_is_that_of_finite_differences(transform, nodes):
    student = tensor(random_nodes(2, 4, 5), requires_grad=True)
    teacher = tensor(random_nodes(2, 3, 7, seed=1))

    def loss(logits):
        return graph_logit_loss(
            logits, teacher, k=3, transform=transform, nodes=nodes, temperature=1.5
        )

    assert torch.autograd.gradcheck(loss, student)


def test_features_have_second_derivatives():
    Z, p = tensor(random_nodes(2, 4, 3), requires_grad=True), [1.0, 2.0, 0.5]
    assert torch.autograd.gradgradcheck(lambda Z: graph_features(Z, p=p), Z)


def test_bounds_have_gradients_of_finite_differences():
    C = tensor(random_graph(4), requires_grad=True)
    D = tensor(random_graph(5, seed=1), requires_grad=True)
    assert torch.autograd.gradcheck(gw_sorted_bounds, (C, D))
    assert torch.autograd.gradcheck(lambda C: gw_sorted(C, D[:4, :4]), C)


def test_gradient_at_ties_is_zero():
    logits = torch.randn(5, 6, requires_grad=True)
    graph_logit_loss(logits, logits.detach()).backward()
    assert not logits.grad.any()


def test_equal_logits_have_finite_gradients():
    for transform in TRANSFORMS:
        logits = torch.ones(4, 6, requires_grad=True)
        graph_logit_loss(logits, torch.randn(4, 6), transform=transform).backward()
        assert logits.grad.isfinite().all()


def test_loss_without_transform_is_homogeneous_of_degree_two():
    Z, Y = random_nodes(5, 6), random_nodes(5, 6, seed=1)
    loss = graph_logit_loss(Z, Y, transform="none")
    doubled = graph_logit_loss(2 * Z, 2 * Y, transform="none")
    assert doubled == pytest.approx(4 * loss, rel=1e-12)


@pytest.mark.parametrize("transform", ["softmax", "zscore", "center"])
def test_a_common_shift_of_a_row_changes_nothing(transform):
    student, teacher = random_nodes(5, 6), random_nodes(5, 8, seed=1)
    shift = random_nodes(5, 1, seed=2) * 10
    loss = graph_logit_loss(student, teacher, transform=transform)
    for pair in ((student + shift, teacher), (student, teacher + shift)):
        assert graph_logit_loss(*pair, transform=transform) == pytest.approx(loss)


@pytest.mark.parametrize("nodes", ["rank", "vocab"])
def test_the_order_of_the_teachers_classes_changes_nothing(nodes):
    student, teacher = random_nodes(5, 6), random_nodes(5, 8, seed=1)
    shuffled = teacher[:, [3, 7, 1, 0, 6, 2, 5, 4]]
    loss = graph_logit_loss(student, teacher, k=4, nodes=nodes)
    assert graph_logit_loss(student, shuffled, k=4, nodes=nodes) == pytest.approx(loss)


def test_nodes_of_the_vocabulary_are_the_graph_of_scattered_logits():
    student, teacher = random_nodes(5, 6), random_nodes(7, 12, seed=1)
    graphs = []
    for logits in (student, teacher):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        kept = np.argsort(-p, axis=1)[:, :3]
        scattered = np.zeros_like(p)
        np.put_along_axis(scattered, kept, np.take_along_axis(p, kept, 1), 1)
        graphs.append(coactivation_graph(scattered[:, scattered.any(axis=0)]))
    loss = graph_logit_loss(student, teacher, k=3, nodes="vocab")
    assert loss == pytest.approx(gw_sorted(*graphs), rel=1e-10)


# -- weights ---------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", ["rank", "vocab"])
def test_positions_of_weight_zero_are_as_if_missing(nodes):
    student, teacher = random_nodes(2, 6, 5), random_nodes(2, 6, 7, seed=1)
    weight = np.ones((2, 6))
    weight[:, 4:] = 0
    loss = graph_logit_loss(student, teacher, sample_weight=weight, nodes=nodes)
    kept = graph_logit_loss(student[:, :4], teacher[:, :4], nodes=nodes)
    assert loss == pytest.approx(kept, rel=1e-12)


def test_rows_of_weight_zero_get_no_gradient():
    student = tensor(random_nodes(6, 5), requires_grad=True)
    weight = tensor([1, 0, 2, 1, 0, 1])
    teacher = tensor(random_nodes(6, 4, seed=1))
    graph_logit_loss(student, teacher, sample_weight=weight).backward()
    assert not student.grad[weight == 0].any()
    assert student.grad[weight > 0].any(dim=1).all()


def test_a_weight_of_two_is_a_repeated_row():
    student, teacher = random_nodes(4, 5), random_nodes(4, 7, seed=1)
    rows = [0, 0, 1, 2, 2, 2, 3]
    groups = np.array([0, 1, 0, 1])
    for given in ({}, {"groups": groups}):
        repeated = {name: g[rows] for name, g in given.items()}
        loss = graph_logit_loss(student, teacher, sample_weight=[2, 1, 3, 1], **given)
        expected = graph_logit_loss(student[rows], teacher[rows], **repeated)
        assert loss == pytest.approx(expected, rel=1e-12)


def test_sequences_of_weight_zero_do_not_count():
    student, teacher = random_nodes(3, 6, 5), random_nodes(3, 9, 7, seed=1)
    loss = graph_logit_loss(student, teacher, sample_weight=[1, 0, 1])
    expected = graph_logit_loss(student[[0, 2]], teacher[[0, 2]])
    assert loss == pytest.approx(expected, rel=1e-12)


def test_positions_of_the_teacher_have_weights_of_their_own():
    student, teacher = random_nodes(2, 6, 5), random_nodes(2, 9, 7, seed=1)
    weight = np.ones((2, 9))
    weight[:, 5:] = 0
    loss = graph_logit_loss(student, teacher, teacher_weight=weight)
    expected = graph_logit_loss(student, teacher[:, :5])
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("nodes", ["rank", "vocab"])
def test_weights_of_zero_alone_give_zero_with_zero_gradient(nodes):
    student = torch.randn(4, 5, requires_grad=True)
    loss = graph_logit_loss(
        student, torch.randn(4, 5), sample_weight=torch.zeros(4), nodes=nodes
    )
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


# -- pairs of the greatest logits ------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("nodes", ["rank", "vocab"])
def test_the_greatest_logits_of_a_teacher_are_enough(transform, nodes):
    student, teacher = random_nodes(5, 6), random_nodes(7, 12, seed=1)
    options = {"transform": transform, "temperature": 1.5}
    pair = top_logits(teacher, 5, **options)
    assert [part.shape for part in pair] == [(7, 5), (7, 5)]
    loss = graph_logit_loss(student, pair, k=4, nodes=nodes, **options)
    expected = graph_logit_loss(student, teacher, k=4, nodes=nodes, **options)
    assert loss == pytest.approx(expected, rel=1e-12)


def test_a_pair_in_another_order():
    student, teacher = random_nodes(5, 6), random_nodes(5, 12, seed=1)
    values, indices = top_logits(teacher, 5)
    shuffled = values[:, [2, 0, 4, 1, 3]], indices[:, [2, 0, 4, 1, 3]]
    for nodes in ("rank", "vocab"):
        assert graph_logit_loss(student, shuffled, nodes=nodes) == graph_logit_loss(
            student, (values, indices), nodes=nodes
        )


def test_a_pair_in_half_precision():
    student, teacher = random_nodes(5, 6), random_nodes(5, 12, seed=1)
    values, indices = top_logits(teacher, 6)
    half = values.astype(np.float16), indices.astype(np.int32)
    loss = graph_logit_loss(student, half)
    assert loss == pytest.approx(graph_logit_loss(student, teacher, k=6), rel=0.05)


@pytest.mark.parametrize("change", [-5, 0.5])
def test_classes_of_a_pair_must_be_integers(change):
    logits = random_nodes(5, 6)
    values, indices = top_logits(logits, 3)
    with pytest.raises(ValueError, match=r"teacher_logits\[1\] must be integers >= 0"):
        graph_logit_loss(logits, (values, indices + change), nodes="vocab")


def test_top_logits_needs_a_row():
    with pytest.raises(ValueError, match=r"logits must have shape \(..., n_classes\)"):
        top_logits(3.0, 1)


def test_a_pair_that_holds_no_probabilities_is_refused():
    student = random_nodes(5, 6)
    pair = np.full((5, 3), 2.0), np.zeros((5, 3), int)
    with pytest.raises(ValueError, match="must hold logarithms of probabilities"):
        graph_logit_loss(student, pair)
    with pytest.raises(ValueError, match="values and indices of the same shape"):
        graph_logit_loss(student, (-pair[0], np.zeros((5, 2), int)))
    with pytest.raises(ValueError, match="a pair of values and indices"):
        graph_logit_loss(student, (-pair[0],))


# -- what is refused -------------------------------------------------------------------


def test_logits_are_left_as_they_are():
    student, teacher = torch.randn(5, 6, requires_grad=True), torch.randn(5, 6)
    before = student.detach().clone(), teacher.clone()
    for transform in TRANSFORMS:
        graph_logit_loss(student, teacher, transform=transform).backward()
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


def test_the_teacher_gets_no_gradient():
    student = torch.randn(5, 6, requires_grad=True)
    teacher = torch.randn(5, 6, requires_grad=True)
    graph_logit_loss(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"k": 1}, "k must be an integer from 2 to 6, .* student_logits, got 1"),
        ({"k": 7}, "k must be an integer from 2 to 6, .* student_logits, got 7"),
        ({"k": 5}, "k must be an integer from 2 to 4, .* teacher_logits, got 5"),
        ({"k": True}, "k must be an integer"),
        ({"transform": "log"}, "transform must be one of .* got 'log'"),
        ({"temperature": 0}, "temperature must be a finite number > 0, got 0"),
        ({"nodes": "words"}, "nodes must be one of .* got 'words'"),
        ({"scale": "max"}, "scale must be 'mean' or 'sum', got 'max'"),
        ({"nodes": "vocab", "scale": "sum"}, "scale must be 'mean' with nodes='vocab'"),
        ({"groups": [0, 1]}, "groups must have one entry for each row"),
        ({"groups": 5}, "groups must have one entry for each row"),
        ({"sample_weight": [1.0]}, r"sample_weight must have shape \(5,\), got \(1,\)"),
        ({"sample_weight": [1, 1, 1, 1, -1.0]}, "sample_weight must be finite and not"),
        ({"sample_weight": [1, 1, 1, 1, np.nan]}, "sample_weight must be finite and"),
        ({"teacher_weight": [1.0]}, r"teacher_weight must have shape \(5,\)"),
        ({"student_logits": np.ones(3)}, r"student_logits must have shape \(n, n_cl"),
        ({"student_logits": np.ones((2, 3, 6))}, "as many dimensions as student_logi"),
        ({"student_logits": np.empty((0, 6))}, "none of them 0"),
        ({"teacher_logits": np.full((5, 4), np.nan)}, "in 5 rows"),
        ({"teacher_logits": [[0.0, np.inf]] + 4 * [[0.0, 0.0]]}, r"rows.*\[0\]"),
    ],
)
def test_loss_says_what_is_wrong(change, match):
    given = {"student_logits": random_nodes(5, 6), "teacher_logits": np.ones((5, 4))}
    with pytest.raises(ValueError, match=match):
        graph_logit_loss(**(given | change))


def test_numbers_of_sequences_must_be_equal():
    with pytest.raises(ValueError, match="as many sequences as student_logits, 2, got"):
        graph_logit_loss(random_nodes(2, 3, 4), random_nodes(3, 3, 4))


# -- the module ------------------------------------------------------------------------


def test_module_is_the_function():
    student, teacher = torch.randn(2, 5, 6), torch.randn(2, 5, 9)
    options = {
        "transform": "zscore",
        "temperature": 2.0,
        "nodes": "vocab",
        "scale": "mean",
    }
    loss = GraphLogitDistillationLoss(4, **options)
    weight = torch.rand(2, 5)
    expected = graph_logit_loss(student, teacher, k=4, sample_weight=weight, **options)
    assert loss(student, teacher, sample_weight=weight) == expected
    copy = pickle.loads(pickle.dumps(loss))
    assert copy(student, teacher, sample_weight=weight) == expected
    assert "k=4, transform='zscore'" in repr(loss)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"transform": "log"}, "transform must be one of"),
        ({"nodes": "words"}, "nodes must be one of"),
        ({"scale": "max"}, "scale must be 'mean' or 'sum'"),
        ({"nodes": "vocab", "scale": "sum"}, "scale must be 'mean' with"),
        ({"k": 1}, "k must be an integer >= 2, got 1"),
    ],
)
def test_module_refuses_parameters_at_once(params, match):
    with pytest.raises(ValueError, match=match):
        GraphLogitDistillationLoss(**params)


def test_functions_of_torch_transform_it():
    student, teacher = torch.randn(5, 6, requires_grad=True), torch.randn(5, 6)
    graph_logit_loss(student, teacher).backward()
    found = torch.func.grad(graph_logit_loss)(student.detach(), teacher)
    torch.testing.assert_close(found, student.grad)


def test_it_compiles_to_one_graph():
    student, teacher, weight = torch.randn(5, 6), torch.randn(5, 6), torch.rand(5)
    compiled = torch.compile(graph_logit_loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(student, teacher, sample_weight=weight),
        graph_logit_loss(student, teacher, sample_weight=weight),
    )


def test_half_precision_is_computed_in_single():
    student, teacher = torch.randn(5, 6), torch.randn(5, 6)
    loss = graph_logit_loss(student.bfloat16(), teacher.bfloat16())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        graph_logit_loss(student.bfloat16().float(), teacher.bfloat16().float()).item()
    )
