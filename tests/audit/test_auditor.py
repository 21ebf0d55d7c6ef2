import json
import socket

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sklogit.audit import (
    LogitExposure,
    LogitLeakageAuditor,
    audit_callable,
    principal_cosines,
)
from sklogit.datasets import make_language_logits

SURE = {"exact", "noisy"}


def make(n=200, V=800, h=64, **options):
    return make_language_logits(n, V, hidden_dim=h, random_state=0, **options)


def audit(L, **params):
    return LogitLeakageAuditor(**{"random_state": 0, **params}).fit(L)


@pytest.fixture(scope="module")
def model():
    return make(bias=True)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an audit opens no socket")

    monkeypatch.setattr(socket, "socket", refuse)


# -- the facts about rank --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "center", "rank"),
    [
        ({}, None, 64),
        ({"bias": True}, None, 65),
        ({"bias": True}, "columns", 64),
        ({"log_proba": True}, None, 65),
        ({"log_proba": True}, "rows", 64),
        ({"bias": True, "log_proba": True}, None, 66),
        ({"bias": True, "log_proba": True}, "both", 64),
        ({"norm": "layer"}, None, 63),
        ({"norm": "layer_affine"}, None, 64),
        ({"norm": "rms"}, None, 64),
    ],
)
def test_rank_of_each_kind_of_output(options, center, rank):
    found = audit(make(**options).logits, center=center)
    assert (found.rank_, found.rank_status_, found.log_gap_) == (rank, "exact", rank)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"log_proba": True}])
def test_default_centring_tells_the_width(options):
    m = make(**options)
    found = audit(m.logits)
    assert (found.rank_, found.rank_status_) == (64, "exact")
    assert found.subspace_overlap(m.head).min() > 1 - 1e-9
    assert found.leaked_parameters_ == 64 * (799 - 64)


def test_temperature_changes_nothing(model):
    found = audit(model.logits / 7.0)
    assert (found.rank_, found.rank_status_) == (64, "exact")


def test_soft_cap_destroys_the_rank_until_it_is_undone(model):
    capped = LogitExposure(softcap=2.0).fit_transform(model.logits)
    assert audit(capped).rank_status_ not in SURE
    undone = audit(capped, softcap=2.0)
    assert (undone.rank_, undone.rank_status_) == (64, "exact")
    assert undone.subspace_overlap(model.head).min() > 1 - 1e-8


def test_one_query_more_than_the_width_is_enough(model):
    L = model.logits - model.bias
    few = audit(L[:64], center=None)
    assert (few.rank_, few.rank_status_) == (64, "saturated")
    enough = audit(L[:65], center=None)
    assert (enough.rank_, enough.rank_status_) == (64, "exact")
    assert enough.n_queries_sufficient_ == 65
    assert audit(model.logits[:65]).rank_status_ == "saturated"
    assert audit(model.logits[:66]).rank_ == 64


@pytest.mark.parametrize("n", [20, 40, 60, 63, 64])
@pytest.mark.parametrize("decimals", [None, 2, 1, 0])
def test_no_sure_number_from_too_few_queries(model, n, decimals):
    L = LogitExposure(decimals=decimals).fit_transform(model.logits[:n])
    assert audit(L).rank_status_ not in SURE
    assert audit(L, noise_std="fit").rank_status_ not in SURE


def test_rank_and_subspace_ignore_order_scale_and_basis(model):
    rng = np.random.default_rng(0)
    queries, tokens = rng.permutation(200), rng.permutation(800)
    first = audit(model.logits)
    other = audit(-3.0 * model.logits[queries][:, tokens])
    assert other.rank_ == first.rank_ == 64
    cosines = principal_cosines(other.components_.T, first.components_[:, tokens].T)
    assert cosines.min() > 1 - 1e-10
    mixed = rng.standard_normal((64, 64))
    assert first.subspace_overlap(model.head @ mixed).min() > 1 - 1e-9


# -- noise -----------------------------------------------------------------------------


@pytest.mark.parametrize("noise_std", ["auto", "fit"])
@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounding_is_noise_of_known_size(model, decimals, noise_std):
    found = audit(np.round(model.logits, decimals), noise_std=noise_std)
    assert (found.rank_, found.rank_status_) == (64, "noisy")
    assert found.noise_std_ == pytest.approx(10.0**-decimals / 12**0.5, rel=0.05)
    assert found.subspace_overlap(model.head).min() > 0.99


def test_decimals_can_be_told(model):
    found = audit(np.round(model.logits, 1), noise_std=("decimals", 1))
    assert found.noise_std_ == pytest.approx(0.1 / 12**0.5)
    assert found.rank_ == 64


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("widened", [False, True])
def test_precision_of_the_answers_is_found(model, dtype, widened):
    L = model.logits.astype(dtype)
    found = audit(L.astype(np.float64) if widened else L)
    assert (found.rank_, found.rank_status_) == (64, "exact")
    assert found.subspace_overlap(model.head).min() > 0.9999


def test_full_rank_noise_is_no_rank():
    E = np.random.default_rng(0).standard_normal((200, 800))
    assert audit(E).rank_status_ == "ambiguous"
    known = audit(E, noise_std=1.0)
    assert known.rank_ == 0
    assert known.transform(E).shape == (200, 0)


def test_fewer_outputs_than_the_width_tell_nothing(model):
    for V in (10, 50, 64):
        found = audit(model.logits[:, :V])
        assert found.rank_status_ not in SURE
    assert audit(model.logits[:, :10]).rank_status_ == "full_width"
    assert audit(model.logits[:, :80]).rank_ == 64


def test_noise_that_hides_hides(model):
    found = audit(model.logits)
    rng = np.random.default_rng(0)
    E = rng.standard_normal(model.logits.shape)
    for factor, sees in ((0.3, True), (2.0, False)):
        std = factor * found.noise_std_to_hide_
        noisy = audit(model.logits + std * E, noise_std=std)
        assert (noisy.rank_ == 64) == sees


def test_sufficient_queries_are_about_enough(model):
    E = np.random.default_rng(0).standard_normal(model.logits.shape)
    L = model.logits + 0.3 * E
    params = {"noise_std": 0.3, "stability_check": False}
    n = audit(L, **params).n_queries_sufficient_
    assert 66 < n < 200
    assert audit(L[: int(1.15 * n)], **params).rank_ == 64
    assert audit(L[: int(0.7 * n)], **params).rank_ < 64


def test_stability_check_can_be_left_out(model):
    L = np.round(model.logits[:73], 1)
    assert audit(L).rank_status_ == "ambiguous"
    assert audit(L, stability_check=False).rank_status_ == "noisy"


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
def test_tiny_and_huge_logits_are_not_taken_for_rounded(model, scale):
    found = audit(model.logits * scale)
    assert (found.rank_, found.rank_status_) == (64, "exact")


def test_decimals_are_found_in_float32_that_was_widened(model):
    L = np.round(model.logits, 2).astype(np.float32)
    for X in (L, L.astype(np.float64)):
        assert audit(X).noise_std_ == pytest.approx(0.01 / 12**0.5)


def test_round_off_is_that_of_the_entries_before_centring(model):
    # A large constant leaves fewer digits to what varies.
    found = audit(model.logits + 1e6)
    assert (found.rank_, found.rank_status_) == (64, "exact")


def test_asking_again_is_no_new_query(model):
    # 40 answers five times have rank 39, and the width is 64.
    assert audit(np.tile(model.logits[:40], (5, 1))).rank_status_ == "saturated"
    again = audit(np.tile(model.logits, (2, 1)))
    assert (again.n_queries_, again.n_distinct_queries_) == (400, 200)
    np.testing.assert_allclose(
        again.singular_values_, audit(model.logits).singular_values_, atol=1e-10
    )


def test_asking_again_is_seen_across_parts(model):
    stream = LogitLeakageAuditor(random_state=0).partial_fit(model.logits[:40])
    for _ in range(3):
        stream.partial_fit(model.logits[:40])
    assert stream.rank_status_ == "saturated"
    assert (stream.n_queries_, stream.n_distinct_queries_) == (160, 40)


def test_rounding_of_repeated_outputs_is_not_independent(model):
    # Its noise is the same in all of them, and looks like one direction more.
    L = np.round(np.c_[model.logits, model.logits[:, [0] * 200]], 1)
    found = audit(L)
    assert found.rank_status_ == "ambiguous"
    assert "outputs repeat" in found.rank_reason_
    # Outputs that never vary have no rounding.
    masked = np.c_[np.round(model.logits, 1), np.full((200, 50), -9.0)]
    assert audit(masked).rank_status_ == "noisy"


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_noise_of_another_size_than_told_is_not_believed(model, factor):
    E = 0.05 * np.random.default_rng(0).standard_normal(model.logits.shape)
    assert audit(model.logits + E, noise_std=0.05).rank_status_ == "noisy"
    wrong = audit(model.logits + E, noise_std=0.05 * factor)
    assert wrong.rank_status_ not in SURE


def test_same_logits_everywhere_leak_nothing():
    for X in (np.zeros((20, 30)), np.ones((20, 30)) / 3):
        found = audit(X)
        assert found.rank_ == 0
        assert found.n_queries_sufficient_ is None
        assert "leaks, and" not in found.summary()


# -- missing entries -------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return make(300, 150, 8)


@pytest.fixture(scope="module")
def half(small):
    shown = np.random.default_rng(0).random(small.logits.shape) < 0.5
    return np.where(shown, small.logits, np.nan)


def test_half_of_the_entries_determine_the_rest(small, half):
    found = audit(half)
    assert (found.rank_, found.rank_status_) == (8, "exact")
    assert found.subspace_overlap(small.head).min() > 1 - 1e-9
    assert found.observed_fraction_ == pytest.approx(0.5, abs=0.01)
    completed = found.inverse_transform(found.transform(half))
    error = completed - small.logits
    error -= error.mean(axis=1, keepdims=True)
    assert np.sqrt(np.mean(error[np.isnan(half)] ** 2)) < 1e-5
    errors = dict(found.cv_path_)
    assert errors[8] < 1e-3 * errors[4]
    assert found.n_iter_ > 10


def test_sparse_rows_store_what_is_observed(half):
    row, column = np.nonzero(~np.isnan(half))
    stored = sparse.csr_array((half[row, column], (row, column)), shape=half.shape)
    dense, found = audit(half), audit(stored)
    np.testing.assert_allclose(found.singular_values_, dense.singular_values_)
    np.testing.assert_allclose(found.transform(stored), dense.transform(half))
    assert found.score(stored) == pytest.approx(dense.score(half))


@pytest.mark.parametrize("k", [1, 4, 8])
def test_no_more_logits_than_the_width_identify_nothing(small, k):
    found = audit(LogitExposure(top_k=k).fit_transform(small.logits))
    assert (found.rank_, found.rank_status_) == (0, "unidentifiable")
    assert found.components_.shape == (0, 150)
    assert 0 < found.topk_ambiguity_ < 1


def test_many_of_the_largest_logits_identify_the_head(small):
    found = audit(LogitExposure(top_k=40).fit_transform(small.logits))
    assert found.topk_ratio_ == pytest.approx(300 * 40 / (8 * (300 + 150 - 8)))
    assert found.topk_ratio_ > 3
    assert (found.rank_, found.rank_status_) == (8, "exact")
    assert found.subspace_overlap(small.head).min() > 1 - 1e-8


def test_bound_is_told_for_a_given_width(small):
    L = LogitExposure(top_k=4).fit_transform(small.logits)
    found = audit(L, rank=8)
    assert found.rank_status_ == "unidentifiable"
    assert found.topk_ratio_ == pytest.approx(300 * 4 / (8 * 442))
    assert "below 1: cannot be completed" in found.summary()


def test_outputs_that_are_never_shown_are_left_out(small, half):
    L = half.copy()
    L[:, 7] = np.nan
    found = audit(L)
    assert found.rank_ == 8
    assert not found.components_[:, 7].any()
    assert found.report_["n_unseen_outputs"] == 1
    assert found.subspace_overlap(small.head).min() > 1 - 1e-8


# -- projections -----------------------------------------------------------------------


@pytest.mark.parametrize("center", [None, "columns"])
def test_round_trip_on_exact_data(model, center):
    found = audit(model.logits, center=center)
    back = found.inverse_transform(found.transform(model.logits))
    np.testing.assert_allclose(back, model.logits, atol=1e-10)


def test_round_trip_with_centred_rows_is_up_to_a_constant(model):
    found = audit(model.logits)
    back = found.inverse_transform(found.transform(model.logits)) - model.logits
    np.testing.assert_allclose(back, back[:, :1] + np.zeros(800), atol=1e-10)


def test_coordinates_of_incomplete_rows(model):
    found = audit(model.logits)
    L = model.logits[:5].copy()
    L[:, ::3] = np.nan
    np.testing.assert_allclose(
        found.transform(L), found.transform(model.logits[:5]), atol=1e-9
    )


def test_score_tells_models_apart(model):
    found = audit(model.logits[:150])
    assert found.score(model.logits[150:]) > 1 - 1e-12
    other = make_language_logits(50, 800, hidden_dim=64, random_state=1)
    assert found.score(other.logits) < 0.5


def test_components_are_orthonormal(model):
    V = audit(np.round(model.logits, 1)).components_
    np.testing.assert_allclose(V @ V.T, np.eye(64), atol=1e-12)


# -- streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 37, 200])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_parts_give_what_the_whole_gives(step, noise):
    m = make(120, 300, 20, bias=True)
    L = m.logits + noise * np.random.default_rng(0).standard_normal(m.logits.shape)
    whole, parts = audit(L), LogitLeakageAuditor(random_state=0)
    for start in range(0, 120, step):
        parts.partial_fit(L[start : start + step])
    assert parts.rank_ == whole.rank_ == 20
    assert parts.rank_status_ == whole.rank_status_
    np.testing.assert_allclose(
        parts.singular_values_[:20], whole.singular_values_[:20], rtol=1e-10
    )
    np.testing.assert_allclose(parts.mean_, whole.mean_, atol=1e-12)
    assert parts.noise_std_ == pytest.approx(whole.noise_std_, rel=1e-6, abs=1e-13)
    assert principal_cosines(parts.components_.T, whole.components_.T).min() > 1 - 1e-10


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_long_streams_keep_few_directions(noise):
    m = make(900, 400, 20, bias=True)
    L = m.logits + noise * np.random.default_rng(0).standard_normal(m.logits.shape)
    stream = LogitLeakageAuditor(max_rank=40, random_state=0)
    for start in range(0, 900, 90):
        stream.partial_fit(L[start : start + 90])
        assert len(stream._stream.factor) <= 80
    whole = audit(L)
    assert stream.rank_ == whole.rank_ == 20
    assert stream.rank_status_ == whole.rank_status_
    assert stream.noise_std_ == pytest.approx(whole.noise_std_, rel=0.01, abs=1e-7)
    assert stream.subspace_overlap(m.head).min() == pytest.approx(
        whole.subspace_overlap(m.head).min(), abs=1e-3
    )


def test_fewer_directions_than_the_rank_are_saturated(model):
    found = audit(np.round(model.logits, 1), max_rank=20)
    assert (found.rank_, found.rank_status_) == (20, "saturated")


@pytest.mark.parametrize("solver", ["full", "gram", "auto"])
def test_solvers_agree(model, solver):
    found = audit(model.logits, svd_solver=solver)
    L = model.logits - model.logits.mean(axis=1, keepdims=True)
    expected = np.linalg.svdvals(L - L.mean(axis=0))[:64]
    np.testing.assert_allclose(found.singular_values_[:64], expected, rtol=1e-10)
    assert (found.rank_, found.rank_status_) == (64, "exact")


def test_streams_need_all_entries(half):
    with pytest.raises(ValueError, match="NaN"):
        LogitLeakageAuditor().partial_fit(half)


def test_failed_part_leaves_the_stream_as_it_was(model):
    stream = LogitLeakageAuditor().partial_fit(model.logits[:100])
    with pytest.raises(ValueError, match="features"):
        stream.partial_fit(model.logits[:, :5])
    assert stream.partial_fit(model.logits[100:]).n_queries_ == 200


def test_callable_is_asked_in_batches(model):
    sizes = []

    def f(rows):
        sizes.append(len(rows))
        return rows @ model.head.T + model.bias

    found = audit_callable(f, model.hidden, batch_size=80, random_state=0)
    assert sizes == [80, 80, 40]
    assert (found.rank_, found.rank_status_, found.n_queries_) == (64, "exact", 200)
    top = audit_callable(f, model.hidden, LogitExposure(top_k=5), batch_size=80)
    assert top.rank_status_ == "unidentifiable"


def test_callable_must_answer_each_row():
    with pytest.raises(ValueError, match="a row for each of its 4 inputs, got 3"):
        audit_callable(lambda X: np.ones((3, 5)), np.ones((4, 2)))
    with pytest.raises(TypeError, match="f must be callable, got int"):
        audit_callable(3, np.ones((4, 2)))
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        audit_callable(np.asarray, np.ones((4, 2)), batch_size=0)


# -- parameters, reports, bad input ----------------------------------------------------


def test_given_rank_is_taken(model):
    found = audit(np.round(model.logits, 1), rank=10)
    assert (found.rank_, found.rank_status_) == (10, "given")
    assert found.components_.shape == (10, 800)
    again = audit(np.round(model.logits, 1)).with_rank(10)
    np.testing.assert_allclose(again.components_, found.components_)


@pytest.mark.parametrize(
    "method", ["numerical", "gap", "marchenko_pastur", "gavish_donoho"]
)
def test_methods_agree_on_a_clear_case(method):
    m = make(300, 800, 20)
    L = m.logits if method in ("numerical", "gap") else np.round(m.logits, 2)
    assert audit(L, rank_method=method).rank_ == 20


def test_report_is_json_and_summary_tells_it(model, half):
    for found in (audit(model.logits), audit(half), audit(model.logits[:64])):
        report = json.loads(json.dumps(found.report_, allow_nan=False))
        assert report["rank"] == found.rank_
        assert report["rank_status"] == found.rank_status_
        assert f"rank {found.rank_} ({found.rank_status_})" in found.summary()


def test_float32_stays_float32(model):
    found = audit(model.logits.astype(np.float32))
    assert found.components_.dtype == np.float32
    assert found.transform(model.logits.astype(np.float32)).dtype == np.float32


def test_same_seed_same_result(half):
    first, second = audit(half), clone(audit(half)).fit(half)
    np.testing.assert_array_equal(first.components_, second.components_)


BAD = np.random.default_rng(0).standard_normal((6, 5))


def bad(value, at):
    X = BAD.copy()
    X[at] = value
    return X


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (bad(np.nan, 2), {}, "all of row 2 are NaN"),
        (bad(np.inf, (1, 1)), {}, "infinity"),
        (BAD[:1], {}, "1 sample"),
        (BAD[:, :1], {}, "1 feature"),
        (BAD, {"softcap": 1.0}, "softcap must be above all logits"),
        (BAD, {"noise_std": ("digits", 1)}, "noise_std must be"),
        (BAD, {"noise_std": ("decimals", 0.5)}, "noise_std must be"),
        (BAD, {"noise_std": -1.0}, "noise_std"),
        (BAD, {"center": "all"}, "center"),
        (BAD, {"rank": 0}, "rank"),
        (BAD, {"holdout": 1.0}, "holdout"),
        (BAD, {"noise_std": ("decimals", 400)}, "integer d from -300 to 300"),
        (BAD * 1e-200, {}, "largest entry between 1e-140 and 1e"),
        (sparse.csr_array((4, 5)), {"softcap": 3.0}, "got none that is stored"),
    ],
)
def test_bad_input_is_refused(X, params, message):
    with pytest.raises(ValueError, match=message):
        LogitLeakageAuditor(**params).fit(X)


def test_head_of_another_shape_is_refused(model):
    with pytest.raises(ValueError, match=r"n_outputs=800.*got \(5, 3\)"):
        audit(model.logits).subspace_overlap(np.ones((5, 3)))


def test_coordinates_of_another_rank_are_refused(model):
    found = audit(model.logits)
    with pytest.raises(ValueError, match="each of the 64 directions, got 3"):
        found.inverse_transform(np.ones((2, 3)))


@pytest.mark.parametrize("rank", [0, -1, 2.5, True])
def test_wrong_rank_is_refused(model, rank):
    with pytest.raises(ValueError, match="rank must be a positive integer, got"):
        audit(model.logits).with_rank(rank)


def test_callable_is_not_asked_before_parameters_are_checked():
    def f(X):
        raise AssertionError("asked")

    with pytest.raises(ValueError, match="center"):
        audit_callable(f, np.ones((4, 2)), center="all")
    with pytest.raises(ValueError, match="two inputs at least, got 1"):
        audit_callable(f, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"batch_size must be positive, got 1\.5"):
        audit_callable(f, np.ones((4, 2)), batch_size=1.5)
