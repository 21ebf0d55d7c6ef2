"""Universal logit distillation: sorted probabilities of different vocabularies."""

import pickle

import numpy as np
import pytest
import torch

from sklogit.losses import ULDLoss, top_logits, uld_loss

TRANSFORMS = ("softmax", "zscore", "center", "none")


def random_logits(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


def sorted_probabilities(logits, temperature=1.0):
    z = np.exp(logits / temperature)
    return -np.sort(-z / z.sum(axis=-1, keepdims=True), axis=-1)


def by_definition(student, teacher, temperature=1.0):
    """Loss of each row, with zeros for the classes that one model lacks."""
    p, q = (sorted_probabilities(x, temperature) for x in (student, teacher))
    width = max(p.shape[-1], q.shape[-1])
    padded = [np.zeros((*x.shape[:-1], width)) for x in (p, q)]
    for zeros, x in zip(padded, (p, q)):
        zeros[..., : x.shape[-1]] = x
    return np.abs(padded[0] - padded[1]).sum(axis=-1)


@pytest.mark.parametrize("sizes", [(6, 6), (6, 9), (9, 6)])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_it_is_the_sum_of_differences_of_sorted_probabilities(sizes, temperature):
    student, teacher = random_logits(5, sizes[0]), random_logits(5, sizes[1], seed=1)
    expected = by_definition(student, teacher, temperature).mean()
    loss = uld_loss(student, teacher, temperature=temperature)
    assert loss == pytest.approx(expected, rel=1e-12)


def test_it_is_the_transport_of_the_probabilities_where_all_moves_cost_the_same():
    # Of equal numbers of classes: the best pairing of classes, found by assignment.
    from scipy.optimize import linear_sum_assignment

    student, teacher = random_logits(4, 6), random_logits(4, 6, seed=1)
    p, q = sorted_probabilities(student), sorted_probabilities(teacher)
    costs = []
    for row in range(4):
        cost = np.abs(p[row][:, None] - q[row])
        costs.append(cost[linear_sum_assignment(cost)].sum())
    assert uld_loss(student, teacher) == pytest.approx(np.mean(costs), rel=1e-12)


def test_it_is_zero_only_for_equal_sorted_rows():
    logits = random_logits(5, 6)
    shuffled = logits[:, [3, 1, 5, 0, 2, 4]]
    assert uld_loss(logits, shuffled) == pytest.approx(0, abs=1e-15)
    shuffled[2, 0] += 0.1
    assert uld_loss(logits, shuffled) > 1e-4


@pytest.mark.parametrize("transform", ["softmax", "zscore", "center"])
def test_a_common_shift_of_a_row_changes_nothing(transform):
    student, teacher = random_logits(5, 6), random_logits(5, 8, seed=1)
    shift = random_logits(5, 1, seed=2) * 10
    loss = uld_loss(student, teacher, transform=transform)
    for pair in ((student + shift, teacher), (student, teacher + shift)):
        assert uld_loss(*pair, transform=transform) == pytest.approx(loss)


def test_the_order_of_the_teachers_classes_changes_nothing():
    student, teacher = random_logits(5, 6), random_logits(5, 8, seed=1)
    shuffled = teacher[:, [3, 7, 1, 0, 6, 2, 5, 4]]
    assert uld_loss(student, shuffled) == pytest.approx(uld_loss(student, teacher))


def test_only_the_greatest_are_compared():
    student, teacher = random_logits(5, 6), random_logits(5, 8, seed=1)
    p, q = (sorted_probabilities(x)[:, :3] for x in (student, teacher))
    expected = np.abs(p - q).sum(axis=1).mean()
    assert uld_loss(student, teacher, k=3) == pytest.approx(expected, rel=1e-12)
    # The student has 6 classes, and zeros beyond.
    assert uld_loss(student, teacher, k=8) == pytest.approx(uld_loss(student, teacher))


def test_what_a_pair_does_not_hold_is_not_taken_for_zero():
    student, teacher = random_logits(5, 6), random_logits(5, 8, seed=1)
    pair = top_logits(teacher, 4)
    expected = uld_loss(student, teacher, k=4)
    assert uld_loss(student, pair) == pytest.approx(expected, rel=1e-12)
    assert uld_loss(student, pair, k=2) == pytest.approx(
        uld_loss(student, teacher, k=2), rel=1e-12
    )
    # But a student with fewer classes than the pair has entries does have zeros.
    narrow = random_logits(5, 3)
    expected = uld_loss(narrow, teacher, k=4)
    assert uld_loss(narrow, pair) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gradient_is_that_of_finite_differences(transform):
    student = tensor(random_logits(2, 3, 5), requires_grad=True)
    teacher = tensor(random_logits(2, 3, 7, seed=1))

    def loss(logits):
        return uld_loss(logits, teacher, transform=transform, temperature=1.5)

    assert torch.autograd.gradcheck(loss, student)


def test_gradient_is_the_closed_form():
    student = tensor(random_logits(4, 5), requires_grad=True)
    teacher = tensor(random_logits(4, 5, seed=1))
    uld_loss(student, teacher, temperature=2.0).backward()
    p, q = (x.detach().div(2).softmax(dim=1).numpy() for x in (student, teacher))
    rank = np.argsort(np.argsort(-p, axis=1), axis=1)
    sign = np.sign(p - np.take_along_axis(-np.sort(-q, axis=1), rank, axis=1))
    expected = p * (sign - (p * sign).sum(axis=1, keepdims=True)) / 2 / 4
    torch.testing.assert_close(student.grad, tensor(expected), rtol=1e-10, atol=1e-15)


# -- positions and weights -------------------------------------------------------------


def test_positions_beyond_the_end_of_the_shorter_are_left_out():
    student, teacher = random_logits(2, 7, 5), random_logits(2, 4, 6, seed=1)
    expected = by_definition(student[:, :4], teacher).mean()
    assert uld_loss(student, teacher) == pytest.approx(expected, rel=1e-12)
    assert uld_loss(teacher, student) == pytest.approx(expected, rel=1e-12)


def test_positions_may_be_given_as_pairs():
    student, teacher = random_logits(2, 7, 5), random_logits(2, 4, 6, seed=1)
    ours, theirs = np.array([6, 0, 2]), np.array([3, 1, 1])
    expected = by_definition(student[:, ours], teacher[:, theirs]).mean()
    loss = uld_loss(student, teacher, positions=(ours, theirs))
    assert loss == pytest.approx(expected, rel=1e-12)
    # Those of each sequence.
    each = np.array([[0, 1], [5, 2]]), np.array([[0, 0], [3, 1]])
    rows = np.arange(2)[:, None]
    expected = by_definition(student[rows, each[0]], teacher[rows, each[1]]).mean()
    loss = uld_loss(student, teacher, positions=each)
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["mask", "sample_weight"])
def test_masked_positions_have_neither_influence_nor_gradient(name):
    teacher = random_logits(2, 4, 6, seed=1)
    student = tensor(random_logits(2, 4, 5), requires_grad=True)
    mask = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], dtype=bool)
    loss = uld_loss(student, teacher, **{name: mask})
    loss.backward()
    expected = by_definition(student.detach().numpy(), teacher)[mask].mean()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert not student.grad[~mask].any()
    assert student.grad[mask].any(dim=1).all()


def test_weights_of_rows_and_sequences():
    student, teacher = random_logits(2, 4, 5), random_logits(2, 4, 6, seed=1)
    weight = np.array([1.0, 3.0])
    rows = by_definition(student, teacher)
    expected = np.average(rows.mean(axis=1), weights=weight)
    assert uld_loss(student, teacher, sample_weight=weight) == pytest.approx(expected)
    expected = np.average(rows[0], weights=[1, 2, 3, 0])
    loss = uld_loss(student[0], teacher[0], sample_weight=[1, 2, 3, 0])
    assert loss == pytest.approx(expected)


def test_mask_and_weight_together():
    student, teacher = random_logits(4, 5), random_logits(4, 6, seed=1)
    loss = uld_loss(student, teacher, sample_weight=[1, 2, 3, 4], mask=[1, 0, 1, 1])
    assert loss == pytest.approx(uld_loss(student, teacher, sample_weight=[1, 0, 3, 4]))


def test_no_weight_at_all_gives_zero_with_zero_gradient():
    student = torch.randn(4, 5, requires_grad=True)
    loss = uld_loss(student, torch.randn(4, 5), mask=torch.zeros(4, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


# -- inputs ----------------------------------------------------------------------------


def test_logits_are_left_as_they_are_and_the_teacher_gets_no_gradient():
    student, teacher = (torch.randn(5, 6, requires_grad=True) for _ in range(2))
    before = student.detach().clone(), teacher.detach().clone()
    uld_loss(student, teacher).backward()
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])
    assert teacher.grad is None


def test_a_teacher_of_arrays_for_a_student_of_tensors():
    student, teacher = torch.randn(5, 6), random_logits(5, 8)
    loss = uld_loss(student, teacher)
    assert isinstance(loss, torch.Tensor)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(uld_loss(student.numpy(), teacher), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"k": 0}, "k must be an integer from 1 to 6, .* got 0"),
        ({"k": 7}, "k must be an integer from 1 to 6, .* got 7"),
        ({"transform": "log"}, "transform must be one of .* got 'log'"),
        ({"temperature": -1.0}, "temperature must be a finite number > 0, got -1"),
        ({"temperature": np.inf}, "temperature must be a finite number > 0"),
        ({"mask": [True]}, r"mask must have shape \(5,\), got \(1,\)"),
        ({"sample_weight": np.full(5, -1.0)}, "sample_weight must be finite and not"),
        ({"teacher_logits": np.ones((4, 3))}, r"of the same rows.*\(5,\), got \(4,\)"),
        ({"teacher_logits": np.ones((5, 2, 3))}, "of the same rows"),
        ({"teacher_logits": np.full((5, 4), np.nan)}, "teacher_logits must be finite"),
        ({"student_logits": np.full((5, 4), np.inf)}, "student_logits must be finite"),
        ({"positions": ([0], [0])}, "positions must be None for logits of shape"),
    ],
)
def test_it_says_what_is_wrong(change, match):
    given = {"student_logits": random_logits(5, 6), "teacher_logits": np.ones((5, 4))}
    with pytest.raises(ValueError, match=match):
        uld_loss(**(given | change))


@pytest.mark.parametrize(
    ("positions", "match"),
    [
        (([0, 7], [0, 1]), "positions must be integers from 0 to 6"),
        (([0, 1], [0, -1]), "positions must be integers from 0 to 3"),
        (([0, 0.5], [0, 1]), "positions must be integers"),
        ([0, 1, 2], "positions must be a pair of arrays"),
        (5, "positions must be a pair of arrays, .* got 5"),
        (([0, 1], [0]), "positions must be pairs, got 2 of the student and 1"),
        ((np.zeros((3, 2)), [0, 1]), r"positions must have shape \(n_pairs,\) or"),
    ],
)
def test_it_says_which_positions_are_wrong(positions, match):
    student, teacher = random_logits(2, 7, 5), random_logits(2, 4, 6)
    with pytest.raises(ValueError, match=match):
        uld_loss(student, teacher, positions=positions)


@pytest.mark.parametrize("k", [0, 2.0, True])
def test_module_refuses_numbers_of_entries_at_once(k):
    with pytest.raises(ValueError, match="k must be an integer >= 1"):
        ULDLoss(k)


def test_a_mask_of_numbers_is_no_weight():
    student, teacher = random_logits(3, 4), random_logits(3, 5, seed=1)
    numbers, booleans = np.array([2, 0, 1]), np.array([True, False, True])
    assert uld_loss(student, teacher, mask=numbers) == uld_loss(
        student, teacher, mask=booleans
    )


def test_text_is_refused():
    with pytest.raises(TypeError, match="teacher_logits must be real numbers"):
        uld_loss(random_logits(2, 3), [["a", "b"], ["c", "d"]])


def test_module_is_the_function():
    student, teacher = torch.randn(2, 5, 6), torch.randn(2, 4, 9)
    loss = ULDLoss(4, transform="zscore", temperature=2.0)
    weight = torch.rand(2, 5)
    expected = uld_loss(
        student, teacher, k=4, transform="zscore", temperature=2.0, sample_weight=weight
    )
    assert loss(student, teacher, sample_weight=weight) == expected
    copy = pickle.loads(pickle.dumps(loss))
    assert copy(student, teacher, sample_weight=weight) == expected
    assert "k=4, transform='zscore', temperature=2.0" in repr(loss)
    with pytest.raises(ValueError, match="temperature"):
        ULDLoss(temperature=0.0)
