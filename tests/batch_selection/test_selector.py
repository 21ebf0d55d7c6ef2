"""The selector: utility, diversity, what it keeps and what it remembers."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from scipy.stats import zscore
from sklearn.base import clone

from sklogit.batch_selection import (
    BilinearRandomProjection,
    FactoredLogits,
    UtilityDiversitySelector,
    nuclear_norm,
)


def batch(n_samples=10, n_positions=4, n_classes=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_samples, n_positions, n_classes))


def selector(budget=3, **kwargs):
    return UtilityDiversitySelector(budget, **{"random_state": 0} | kwargs)


def embedded(logits):
    """Sides this short are not projected."""
    return logits.reshape(len(logits), -1)


# -- scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize(
    ("distance", "reduce"), [("nearest", np.min), ("mean", np.mean)]
)
def test_scores_are_utility_and_weighted_distance_to_the_buffer(distance, reduce, make):
    first, second = batch(), batch(seed=1)
    rule = selector(alpha=0.7, distance=distance)
    kept = rule.select(make(first))
    distance = reduce(cdist(embedded(second), embedded(first[kept])), axis=1)
    expected = nuclear_norm(second) + 0.7 * distance
    np.testing.assert_allclose(rule.score_samples(make(second)), expected)
    rule.select(make(second))
    np.testing.assert_allclose(rule.utility_, nuclear_norm(second))
    np.testing.assert_allclose(rule.diversity_, distance)
    np.testing.assert_allclose(rule.last_scores_, expected)


def test_copy_of_one_of_many_remembered_samples_is_at_no_distance():
    rule = selector(10)
    rule.select(batch())
    rule.select(np.concatenate([batch()[3:4], batch(seed=1)]))
    assert rule.diversity_[0] == 0
    assert (rule.diversity_[1:] > 1).all()


def test_distances_are_those_of_the_projection():
    first, second = batch(n_classes=50), batch(n_classes=50, seed=1)
    projection = BilinearRandomProjection((2, 5), kind="sign", random_state=3)
    rule = selector(projection=projection, utility="random")
    kept = rule.select(first)
    z = projection.fit(first).transform
    rule.select(second)
    expected = cdist(z(second), z(first[kept])).min(axis=1)
    np.testing.assert_allclose(rule.diversity_, expected)


def test_empty_buffer_has_no_distances():
    rule = selector()
    rule.select(batch())
    assert not rule.diversity_.any()


def test_without_alpha_it_is_the_order_of_utility_and_nothing_is_remembered():
    rule = selector(alpha=0)
    for seed in range(3):
        logits = batch(seed=seed)
        expected = np.argsort(-nuclear_norm(logits))[:3]
        np.testing.assert_array_equal(rule.select(logits), expected)
    assert rule.buffer_ is None


def test_constant_utility_leaves_the_order_of_diversity():
    rule = selector(utility=lambda logits, y: np.ones(len(logits)))
    kept = rule.select(batch())
    second = batch(seed=1)
    distance = cdist(embedded(second), embedded(batch()[kept])).min(axis=1)
    np.testing.assert_array_equal(rule.select(second), np.argsort(-distance)[:3])


def test_repeat_of_a_remembered_sample_has_a_lower_score_than_its_opposite():
    logits = batch(1)
    rule = selector(1)
    rule.select(logits)
    repeat, opposite = rule.score_samples(np.concatenate([logits, -logits]))
    assert repeat == pytest.approx(nuclear_norm(logits)[0])
    assert opposite == pytest.approx(repeat + 2 * np.linalg.norm(logits))


def test_batch_diversity_adds_the_mean_distance_to_the_candidates():
    logits = batch()
    rule = selector(batch_diversity=0.5)
    rule.select(logits)
    within = cdist(embedded(logits), embedded(logits)).mean(axis=1)
    np.testing.assert_allclose(rule.diversity_, 0.5 * within)


def test_scores_follow_their_samples():
    rule = selector(batch_diversity=0.5, normalize="zscore")
    rule.select(batch(seed=1))
    order = np.random.default_rng(0).permutation(10)
    np.testing.assert_allclose(
        rule.score_samples(batch()[order]), rule.score_samples(batch())[order]
    )


def test_zscore_has_no_unit():
    rule = selector(normalize="zscore")
    rule.select(batch(seed=1))
    utility, distance = nuclear_norm(batch()), None
    kept = rule.buffer_
    distance = cdist(embedded(batch()), kept).min(axis=1)
    expected = (utility - utility.mean()) / utility.std()
    expected += (distance - distance.mean()) / distance.std()
    np.testing.assert_allclose(rule.score_samples(batch()), expected)


def test_zscore_of_equal_samples_is_zero():
    rule = selector(normalize="zscore")
    assert not rule.score_samples(np.ones((5, 3, 4))).any()


def test_frobenius_norm_as_utility():
    rule = selector(alpha=0, utility="frobenius")
    expected = np.linalg.norm(batch(), axis=(1, 2))
    np.testing.assert_allclose(rule.score_samples(batch()), expected)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_loss_as_utility_is_the_mean_over_positions_that_count(make):
    logits = batch()
    rng = np.random.default_rng(1)
    y = rng.integers(6, size=(10, 4))
    y[0, 2:] = -100
    mask = np.ones((10, 4), dtype=bool)
    mask[1, 0] = False
    chosen = np.maximum(y, 0)[..., None]
    losses = -np.take_along_axis(log_softmax(logits, axis=-1), chosen, -1)[..., 0]
    losses[0, 2:] = losses[1, 0] = np.nan
    scores = selector(alpha=0, utility="loss").score_samples(
        make(logits), make(y), make(mask)
    )
    np.testing.assert_allclose(scores, np.nanmean(losses, axis=1))


def test_loss_of_a_sample_without_targets_is_zero():
    y = np.full((10, 4), -100)
    scores = selector(alpha=0, utility="loss").score_samples(batch(), y)
    assert scores.tolist() == [0] * 10


def test_own_utility_gets_logits_and_labels():
    def correct(logits, y):
        return (logits.argmax(-1) == y).mean(axis=1)

    y = batch().argmax(-1)
    y[3] = (y[3] + 1) % 6
    scores = selector(alpha=0, utility=correct).score_samples(batch(), y)
    assert scores.tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]


def test_random_selection_is_uniform_and_seeded():
    counts = np.zeros(10)
    rule = selector(alpha=0, utility="random")
    again = selector(alpha=0, utility="random")
    for _ in range(500):
        kept = rule.select(batch())
        np.testing.assert_array_equal(kept, again.select(batch()))
        counts[kept] += 1
    assert abs(counts - 150).max() < 50


def test_weights_multiply_utilities():
    weight = 1 + np.arange(10.0)
    scores = selector(alpha=0).score_samples(batch(), sample_weight=weight)
    np.testing.assert_allclose(scores, weight * nuclear_norm(batch()))


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_samples_without_weight_come_last_however_new_they_are(make):
    rule = selector(4, alpha=100)
    rule.select(make(batch(1)))
    weight = make(np.array([0, 1, 1, 0, 1.0]))
    logits = np.concatenate([-5 * batch(1), *[batch(1)] * 4])
    kept = rule.select(make(logits), sample_weight=weight)
    assert sorted(kept.tolist()) == [0, 1, 2, 4]


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_samples_of_which_nothing_counts_come_last_however_new_they_are(make):
    rule = selector(4, alpha=100)
    rule.select(make(batch(1)))
    mask = np.ones((5, 4), dtype=bool)
    mask[[0, 3]] = False
    kept = rule.select(make(np.concatenate([batch(1)] * 5)), mask=make(mask))
    assert sorted(kept.tolist()) == [0, 1, 2, 4]
    assert np.flatnonzero(rule.last_scores_ == -np.inf).tolist() == [0, 3]


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("warm_start_steps", [0, 1])
def test_samples_that_do_not_count_are_not_remembered(make, warm_start_steps):
    rule = selector(9, warm_start_steps=warm_start_steps)
    mask, weight = np.ones((10, 4), dtype=bool), np.ones(10)
    mask[:2], weight[2:7] = False, 0
    rule.select(make(batch()), mask=make(mask), sample_weight=make(weight))
    kept = np.argsort(-nuclear_norm(batch()[7:]))
    np.testing.assert_allclose(rule.buffer_, embedded(batch()[7:][kept]))
    # With weights of zero alone there is nothing to remember, and no error.
    assert len(rule.select(make(batch()), sample_weight=make(0 * weight))) == 9
    assert len(rule.buffer_) == 3


def test_zscore_and_distance_under_masks_and_weights():
    logits, weight = batch(), np.arange(10.0)
    mask = np.random.default_rng(1).random((10, 4)) < 0.7
    mask[3] = False
    rule = selector(4, alpha=0.5, normalize="zscore", distance="mean")
    first = batch(seed=1)
    kept = rule.select(first)
    zeroed = logits * mask[..., None]
    utility = weight * np.linalg.svd(zeroed, compute_uv=False).sum(axis=1)
    distance = cdist(embedded(zeroed), embedded(first[kept])).mean(axis=1)
    counts = (weight > 0) & mask.any(axis=1)
    expected = np.full(10, -np.inf)
    expected[counts] = zscore(utility[counts]) + 0.5 * zscore(distance[counts])
    scores = rule.score_samples(logits, mask=mask, sample_weight=weight)
    np.testing.assert_allclose(scores, expected)


def test_zscore_is_of_the_samples_that_count():
    logits, weight = batch(), np.ones(10)
    logits[:3] *= 50
    weight[:3] = 0
    rule = selector(normalize="zscore")
    rule.select(batch(seed=1))
    scores = rule.score_samples(logits, sample_weight=weight)
    np.testing.assert_allclose(scores[3:], rule.score_samples(logits[3:]))


@pytest.mark.parametrize("utility", ["nuclear", "frobenius"])
def test_length_norm_is_of_the_positions_that_count(utility):
    # Rows of length one: orthogonal ones have the greatest norms.
    logits = np.zeros((3, 6, 4))
    logits[0, :3, :3] = np.eye(3)
    logits[1, :4] = np.eye(4)
    logits[2] = np.eye(6, 4)
    logits[2, 4:] = np.eye(2, 4)
    mask = np.arange(6) < np.array([[3], [4], [6]])
    rule = selector(alpha=0, utility=utility, length_norm=True)
    scores = rule.score_samples(logits, mask=mask)
    np.testing.assert_allclose(scores[:2], 1)
    assert 0.97 < scores[2] <= 1 + 1e-12


def test_masked_positions_are_nowhere():
    mask = np.arange(4) < np.array([[2], [4]])
    rules = selector(1), selector(1)
    hidden = batch(2)
    zeros = hidden * mask[..., None]
    hidden[0, 2:] = np.nan
    for _ in range(2):
        rules[0].select(hidden, mask=mask)
        rules[1].select(zeros)
        np.testing.assert_allclose(rules[0].last_scores_, rules[1].last_scores_)


def test_logits_of_two_dimensions_have_one_position():
    X = batch()[:, 0]
    np.testing.assert_allclose(
        selector().score_samples(X), np.linalg.norm(X, axis=1), rtol=1e-12
    )


# -- selection -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "n_kept"), [(0.25, 3), (0.3, 3), (0.31, 4), (1.0, 10), (1, 1), (99, 10)]
)
def test_budget_is_a_share_rounded_up_or_a_number(budget, n_kept):
    rule = selector(budget)
    kept = rule.select(batch())
    assert len(kept) == len(set(kept.tolist())) == n_kept == rule.n_kept(10)
    assert (np.diff(rule.last_scores_[kept]) <= 0).all()


def test_budget_that_is_a_little_more_than_a_decimal_is_not_rounded_up():
    assert 0.07 * 100 > 7
    assert selector(0.07).n_kept(100) == 7


def test_ties_go_to_the_lowest_index():
    assert selector(3).select(np.ones((6, 2, 2))).tolist() == [0, 1, 2]


def test_warm_start_keeps_all():
    rule = selector(2, warm_start_steps=2)
    assert [len(rule.select(batch())) for _ in range(4)] == [10, 10, 2, 2]
    assert (rule.n_steps_, rule.n_seen_, rule.n_selected_) == (4, 40, 24)


@pytest.mark.parametrize("shape", [(1, 4, 6), (5, 1, 6), (5, 4, 1), (1, 1, 1)])
def test_small_shapes(shape):
    rule = selector(1, normalize="zscore")
    for _ in range(2):
        assert len(rule.select(np.ones(shape))) == 1


def test_no_candidates_no_selection():
    assert len(selector().select(np.ones((0, 4, 6)))) == 0


def test_tensors_select_as_arrays_do_and_stay_on_their_device():
    arrays, tensors = selector(), selector()
    for seed in range(3):
        kept = tensors.select(torch.from_numpy(batch(seed=seed)).requires_grad_())
        np.testing.assert_array_equal(kept, arrays.select(batch(seed=seed)))
        assert isinstance(kept, torch.Tensor)
    np.testing.assert_allclose(tensors.buffer_, arrays.buffer_)
    # And one may go on with the other.
    np.testing.assert_allclose(
        tensors.score_samples(batch(seed=4)), arrays.score_samples(batch(seed=4))
    )


def test_factored_logits_select_as_dense_ones_do():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((300, 3)), rng.standard_normal(300)
    dense, factored = selector(), selector()
    for seed in range(3):
        logits = FactoredLogits(batch(n_classes=3, seed=seed), weight, bias)
        mask = np.random.default_rng(seed).random((10, 4)) < 0.8
        kept = factored.select(logits, mask=mask)
        np.testing.assert_array_equal(kept, dense.select(logits.dense(), mask=mask))
    np.testing.assert_allclose(factored.last_scores_, dense.last_scores_)


# -- memory ----------------------------------------------------------------------------


def test_buffer_holds_the_selected_samples_that_came_last():
    rule = selector(3, buffer_size=7)
    selected = np.empty((0, 24))
    for seed in range(5):
        logits = batch(seed=seed)
        selected = np.concatenate([selected, embedded(logits[rule.select(logits)])])
        np.testing.assert_allclose(rule.buffer_, selected[-7:])


def test_buffer_smaller_than_a_selection():
    rule = selector(3, buffer_size=2)
    kept = rule.select(batch())
    np.testing.assert_allclose(rule.buffer_, embedded(batch()[kept[-2:]]))


def test_scoring_before_the_first_selection_draws_no_random_number():
    random_state = np.random.RandomState(0)
    selector(utility="random", random_state=random_state).score_samples(batch())
    assert random_state.randint(1000) == np.random.RandomState(0).randint(1000)


def test_graph_of_the_candidates_is_not_remembered():
    rule = selector()
    hidden = torch.from_numpy(batch(n_classes=3)).requires_grad_()
    for logits in (hidden, FactoredLogits(hidden, torch.ones(9, 3).double())):
        rule.fit(logits).select(logits)
        for values in (rule.buffer_, rule.utility_, rule.last_scores_):
            assert not values.requires_grad


def test_scoring_leaves_no_trace():
    rule = selector(utility="random")
    rule.score_samples(batch())
    assert not hasattr(rule, "n_steps_")
    rule.select(batch())
    before = pickle.dumps(rule)
    first, second = rule.score_samples(batch(seed=1)), rule.score_samples(batch(seed=1))
    assert pickle.dumps(rule) == before
    np.testing.assert_array_equal(first, second)
    rule.select(batch(seed=1))
    np.testing.assert_array_equal(rule.last_scores_, first)


@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(0)])
def test_pickles_go_on_as_the_selector_would(random_state):
    rule = selector(utility="random", alpha=0.1, random_state=random_state)
    rule.select(batch(n_classes=200))
    copy = pickle.loads(pickle.dumps(rule))
    for seed in range(1, 4):
        logits = batch(n_classes=200, seed=seed)
        np.testing.assert_array_equal(rule.select(logits), copy.select(logits))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pickles_of_a_gpu_are_loaded_without_one_and_go_on_there():
    rule, copy = selector(), None
    for seed in range(3):
        logits = torch.from_numpy(batch(seed=seed)).cuda()
        kept = rule.select(logits)
        assert kept.is_cuda
        assert rule.buffer_.is_cuda
        if copy is not None:
            np.testing.assert_array_equal(copy.select(logits).cpu(), kept.cpu())
            assert copy.buffer_.is_cuda
        copy = pickle.loads(pickle.dumps(rule))
        assert not copy.buffer_.is_cuda
        assert not copy.last_scores_.is_cuda


def test_projection_without_a_random_state_gets_that_of_the_selector():
    first, second, other = (
        selector(projection=BilinearRandomProjection((2, 3)), random_state=seed)
        for seed in (0, 0, 1)
    )
    for rule in (first, second, other):
        rule.select(batch())
    np.testing.assert_array_equal(first.buffer_, second.buffer_)
    assert abs(first.buffer_ - other.buffer_).max() > 0.1
    assert first.projection.random_state is None


def test_clone_and_fit_forget():
    rule = selector()
    rule.select(batch())
    assert clone(rule).buffer_ is None
    rule.fit(batch(n_classes=9))
    assert rule.buffer_ is None
    assert (rule.n_seen_, rule.n_classes_) == (0, 9)


def test_frames_beside_tensors_are_arrays_whatever_their_index():
    index = np.arange(10)[::-1] + 5
    logits, y = torch.from_numpy(batch()), np.arange(40).reshape(10, 4) % 6
    parts = y, np.ones((10, 4), dtype=bool), 1 + np.arange(10.0)
    frames = *(pd.DataFrame(part, index) for part in parts[:2]), pd.Series(parts[2])
    rule = selector(utility="loss")
    np.testing.assert_array_equal(
        rule.score_samples(logits, *frames), rule.score_samples(logits, *parts)
    )


@pytest.mark.parametrize("utility", ["nuclear", "random"])
@pytest.mark.parametrize("error", ["weight", "length"])
def test_selection_that_fails_late_changes_nothing(utility, error):
    rule = selector(utility=utility)
    rule.select(batch())
    before = pickle.dumps(rule)
    weight = -np.ones(10) if error == "weight" else None
    logits = batch(n_positions=4 + (error == "length"))
    with pytest.raises(ValueError, match=r"sample_weight must not|at most 4 positions"):
        rule.select(logits, sample_weight=weight)
    assert pickle.dumps(rule) == before


def test_failed_selection_changes_nothing():
    rule = selector()
    rule.select(batch())
    before = pickle.dumps(rule)
    bad = batch()
    bad[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="logits must be finite"):
        rule.select(bad)
    assert pickle.dumps(rule) == before


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, 0.0, -1, 1.5, "half"])
def test_wrong_budgets_are_refused(budget):
    with pytest.raises(ValueError, match="budget"):
        selector(budget).select(batch())


def test_another_number_of_classes_is_refused():
    rule = selector()
    rule.select(batch())
    with pytest.raises(ValueError, match="must have 6 classes, as before, got 5"):
        rule.select(batch(n_classes=5))


def test_longer_samples_are_refused_and_told_how():
    rule = selector()
    for _ in range(2):
        rule.select(batch())
    with pytest.raises(ValueError, match="at most 4 positions, got 5: set n_positions"):
        rule.select(batch(n_positions=5))
    longer = selector(projection=BilinearRandomProjection(n_positions=9))
    assert len(longer.select(batch())) == len(longer.select(batch(n_positions=9)))


def test_sparse_logits_are_refused():
    with pytest.raises(TypeError, match="logits must be dense"):
        selector().select(csr_array(np.eye(3)))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="logits must have the shape"):
        selector().select(np.ones(3))
    with pytest.raises(ValueError, match=r"mask must have the shape \(10, 4\)"):
        selector().select(batch(), mask=np.ones(10))
    with pytest.raises(ValueError, match=r"sample_weight must have the shape \(10,\)"):
        selector().select(batch(), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="utility must return one number a sample"):
        selector(utility=lambda logits, y: logits).select(batch())


@pytest.mark.parametrize("bad", [-1, np.nan])
def test_wrong_weights_are_refused(bad):
    with pytest.raises(ValueError, match="sample_weight must"):
        selector().select(batch(), sample_weight=np.full(10, bad))


def test_loss_needs_labels_that_are_classes():
    rule = selector(utility="loss")
    with pytest.raises(ValueError, match="y must be given"):
        rule.select(batch())
    with pytest.raises(ValueError, match=r"y must have the shape \(10, 4\)"):
        rule.select(batch(), np.zeros(10, dtype=int))
    with pytest.raises(ValueError, match="y must have the shape"):
        rule.select(batch(), np.zeros((10, 3), dtype=int))
    with pytest.raises(ValueError, match="y must be class indices below 6"):
        rule.select(batch(), np.full((10, 4), 6))
    with pytest.raises(ValueError, match="y must be class indices, got dtype"):
        rule.select(batch(), np.full((10, 4), 0.5))
    with pytest.raises(ValueError, match="y must be class indices, got dtype"):
        rule.select(torch.from_numpy(batch()), torch.full((10, 4), 0.5))
