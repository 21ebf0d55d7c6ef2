import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from sklogit.audit import (
    LeakageFrontierDisplay,
    LogitExposure,
    LogitLeakageAuditor,
    SingularValueDisplay,
    audit_exposures,
    principal_cosines,
)
from sklogit.datasets import make_language_logits


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return make_language_logits(120, 300, hidden_dim=16, bias=True, random_state=0)


EXPOSURES = {
    "full": LogitExposure(),
    "1 decimal": LogitExposure(decimals=1),
    "noise 3": LogitExposure(noise_std=3.0, random_state=0),
    "top 5": LogitExposure(top_k=5),
}


@pytest.fixture(scope="module")
def rows(model):
    return {r["name"]: r for r in audit_exposures(model.logits, EXPOSURES, model.head)}


def test_what_each_defence_leaks(rows):
    assert [rows[n]["rank_status"] for n in ("full", "1 decimal", "top 5")] == [
        *("exact", "noisy", "unidentifiable")
    ]
    assert rows["full"]["rank"] == rows["1 decimal"]["rank"] == 16
    assert rows["full"]["leakage"] == pytest.approx(1.0)
    assert rows["full"]["overlap_min"] == pytest.approx(1.0)
    assert rows["1 decimal"]["leakage"] > 0.99
    assert rows["noise 3"]["leakage"] < 0.6
    assert rows["top 5"]["leakage"] == rows["top 5"]["overlap_mean"] == 0


def test_leakage_is_that_of_one_who_knows_the_width(model, rows):
    L = EXPOSURES["noise 3"].fit_transform(model.logits)
    L = L - L.mean(axis=1, keepdims=True)
    V = np.linalg.svd(L - L.mean(axis=0))[2][:16].T
    cosines = principal_cosines(V, model.head - model.head.mean(axis=0))
    assert rows["noise 3"]["leakage"] == pytest.approx(np.sum(cosines**2) / 16)


def test_costs_are_those_of_what_users_see(model, rows):
    for name, exposure in EXPOSURES.items():
        shown = exposure.fit_transform(model.logits)
        log_p = log_softmax(model.logits, axis=1)
        q = softmax(np.where(np.isnan(shown), -np.inf, shown), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.nansum(q * (np.log(q) - log_p), axis=1).mean()
        assert rows[name]["kl"] == pytest.approx(kl, abs=1e-12)
        changed = np.mean(log_p.argmax(axis=1) != q.argmax(axis=1))
        assert rows[name]["top1_change"] == changed
    mass = np.sort(softmax(model.logits, axis=1), axis=1)[:, :-5].sum(axis=1).mean()
    assert rows["top 5"]["withheld_mass"] == pytest.approx(mass)
    assert rows["full"]["kl"] == pytest.approx(0, abs=1e-12)


def test_top_k_costs_minus_the_logarithm_of_the_mass(model, rows):
    shown = np.sort(softmax(model.logits, axis=1), axis=1)[:, -5:].sum(axis=1)
    assert rows["top 5"]["kl"] == pytest.approx(-np.log(shown).mean())


def test_sparse_answers_are_the_same(model):
    exposures = [LogitExposure(3), LogitExposure(3, sparse_output=True)]
    dense, stored = audit_exposures(model.logits, exposures, model.head)
    assert stored["name"] == "top_k=3, sparse_output=True"
    assert {**dense, "name": ""} == {**stored, "name": ""}


def test_without_the_head_full_logits_stand_for_it(model, rows):
    found = audit_exposures(model.logits, {"1 decimal": EXPOSURES["1 decimal"]})
    assert found[0]["leakage"] == pytest.approx(rows["1 decimal"]["leakage"], rel=1e-6)


def test_head_is_needed_where_full_logits_show_none():
    noise = np.random.default_rng(0).standard_normal((60, 200))
    with pytest.raises(ValueError, match="W must be given"):
        audit_exposures(noise, [LogitExposure()])


def test_no_exposures_are_refused(model):
    with pytest.raises(ValueError, match="one member"):
        audit_exposures(model.logits, [])


def test_frontier_is_what_no_cheaper_one_beats(rows):
    display = LeakageFrontierDisplay(list(rows.values())).plot()
    assert display.best_ == ["full", "1 decimal", "top 5"]
    y = display.frontier_.get_ydata()
    np.testing.assert_allclose(y, [rows[n]["leakage"] for n in display.best_])
    np.testing.assert_allclose(
        display.points_.get_offsets()[:, 1], [r["leakage"] for r in rows.values()]
    )
    texts = "\n".join(text.get_text() for text in display.ax_.texts)
    assert sorted(texts.split("\n")) == sorted(rows)


def test_points_that_coincide_share_a_label(rows):
    twice = [rows["full"], {**rows["full"], "name": "again"}]
    (label,) = LeakageFrontierDisplay(twice).plot().ax_.texts
    assert label.get_text() == "full\nagain"


def test_frontier_of_other_measures(model):
    _, ax = plt.subplots()
    display = LeakageFrontierDisplay.from_exposures(
        model.logits, EXPOSURES, model.head, cost="top1_change", ax=ax
    )
    assert display.ax_ is ax
    assert "changed first answers" in ax.get_xlabel()
    with pytest.raises(ValueError, match=r"cost must be one of .* got 'price'"):
        display.plot(cost="price")
    with pytest.raises(ValueError, match="leak must be"):
        display.plot(leak="rank")
    with pytest.raises(ValueError, match="one member"):
        LeakageFrontierDisplay([]).plot()


def test_spectrum_with_the_rank(model):
    auditor = LogitLeakageAuditor(random_state=0).fit(np.round(model.logits, 1))
    display = SingularValueDisplay.from_estimator(auditor)
    np.testing.assert_allclose(
        display.signal_.get_ydata(), auditor.singular_values_[:16]
    )
    np.testing.assert_allclose(display.rest_.get_ydata(), auditor.singular_values_[16:])
    assert display.rank_line_.get_xdata()[0] == 16.5
    assert display.rank_line_.get_linestyle() == "-"
    edge = display.edge_line_.get_ydata()[0]
    assert auditor.singular_values_[15] > edge > auditor.singular_values_[16]


def test_unsure_rank_is_dashed_and_has_no_edge(model):
    auditor = LogitLeakageAuditor(random_state=0).fit(model.logits[:17])
    display = SingularValueDisplay.from_estimator(auditor)
    assert display.rank_line_.get_linestyle() == "--"
    assert display.edge_line_ is None
    assert "saturated" in display.rank_line_.get_label()


def test_rank_zero_has_no_line():
    assert SingularValueDisplay([2.0, 1.0], 0, "noisy").plot().rank_line_ is None


def test_spectrum_of_nothing_is_refused(model):
    answers = LogitExposure(top_k=2).fit_transform(model.logits)
    auditor = LogitLeakageAuditor(random_state=0).fit(answers)
    with pytest.raises(ValueError, match="unidentifiable"):
        SingularValueDisplay.from_estimator(auditor)


def test_wrong_exposures_and_heads_are_refused(model):
    with pytest.raises(TypeError, match="must be LogitExposure, got int for 'one'"):
        audit_exposures(model.logits, {"one": 1})
    with pytest.raises(TypeError, match="must be LogitExposure, got str"):
        audit_exposures(model.logits, ["top 5"])
    with pytest.raises(ValueError, match="each of the 300 outputs, got 16"):
        audit_exposures(model.logits, EXPOSURES, model.head.T)


def test_one_exposure_needs_no_list(model):
    (row,) = audit_exposures(model.logits, LogitExposure(decimals=1), model.head)
    assert row["name"] == "decimals=1"
