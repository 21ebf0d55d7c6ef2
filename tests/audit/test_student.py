import numpy as np
import pytest
import sklearn
from scipy.special import log_softmax, softmax
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from sklogit.audit import (
    LogitExposure,
    LogitLeakageAuditor,
    SubspaceStudent,
    hidden_geometry_match,
)
from sklogit.datasets import make_language_logits


@pytest.fixture(scope="module")
def data():
    model = make_language_logits(
        500, 120, hidden_dim=8, n_features=6, bias=True, random_state=0
    )
    return model.inputs, model.logits


@pytest.mark.parametrize("temperature", [None, 1.0, 2.0, np.inf])
def test_ridge_is_ridge_on_full_logits(data, temperature):
    X, L = data
    student = SubspaceStudent(Ridge(alpha=3.0), temperature=temperature)
    student.fit(X[:300], L[:300])
    assert len(student.components_) == 8
    expected = Ridge(alpha=3.0).fit(X[:300], L[:300]).predict(X[300:])
    np.testing.assert_allclose(student.predict(X[300:]), expected, atol=1e-8)


def test_targets_are_as_many_as_directions(data):
    X, L = data
    student = SubspaceStudent(Ridge()).fit(X, L)
    assert student.estimator_.coef_.shape == (8, 6)


def test_temperature_makes_errors_those_of_probabilities(data):
    X, L = data
    student = SubspaceStudent(Ridge(), temperature=2.0).fit(X, L)
    rng = np.random.default_rng(0)
    change = 0.05 * rng.standard_normal((len(L), 8))
    log_p = log_softmax(L / 2, axis=1)
    log_q = log_softmax((L + change @ student.components_) / 2, axis=1)
    kl = np.sum(np.exp(log_p) * (log_p - log_q), axis=1).mean()
    weighed = change @ student._root
    # Undo scale and the part that weighs all directions alike.
    V = student.components_
    P = np.exp(log_p)
    M = np.mean([V @ (np.diag(p) - np.outer(p, p)) @ V.T for p in P], axis=0)
    metric = 0.9 * M / np.trace(M) * 8 + 0.1 * np.eye(8)
    np.testing.assert_allclose(student._root @ student._root.T, metric, rtol=1e-8)
    assert np.sum(weighed**2) == pytest.approx(
        np.einsum("ni,ij,nj", change, metric, change)
    )
    assert 2 * 4 * kl == pytest.approx(
        np.einsum("ni,ij,nj", change, M, change) / len(L), rel=0.1
    )


def test_probabilities_and_agreement(data):
    X, L = data
    student = SubspaceStudent(Ridge()).fit(X[:300], L[:300])
    predicted = student.predict(X[300:])
    np.testing.assert_allclose(
        student.predict_proba(X[300:]), softmax(predicted, axis=1)
    )
    agreement = np.mean(predicted.argmax(axis=1) == L[300:].argmax(axis=1))
    assert student.score(X[300:], L[300:]) == agreement


def test_report_tells_three_measures(data):
    X, L = data
    student = SubspaceStudent(Ridge()).fit(X[:300], L[:300])
    report = student.report(X[300:], L[300:])
    p, q = softmax(L[300:], axis=1), student.predict_proba(X[300:])
    assert report["kl"] == pytest.approx(np.sum(p * np.log(p / q), axis=1).mean())
    assert report["agreement"] == student.score(X[300:], L[300:])
    V = student.components_
    assert report["geometry"] == pytest.approx(
        hidden_geometry_match(L[300:] @ V.T, student.predict(X[300:]) @ V.T)
    )


def test_more_queries_make_a_better_copy(data):
    X, L = data
    body = MLPRegressor(
        hidden_layer_sizes=(32,),
        max_iter=150,
        alpha=1.0,
        solver="lbfgs",
        random_state=0,
    )
    scores = [
        SubspaceStudent(body).fit(X[:n], L[:n]).report(X[400:], L[400:])["kl"]
        for n in (30, 400)
    ]
    assert scores[1] < 0.7 * scores[0]


def test_withheld_logits(data):
    X, L = data
    shown = LogitExposure(top_k=60).fit_transform(L)
    auditor = LogitLeakageAuditor(random_state=0)
    student = SubspaceStudent(Ridge(), auditor=auditor).fit(X, shown)
    full = SubspaceStudent(Ridge(), auditor=auditor).fit(X, L)
    assert np.isfinite(student.predict(X)).all()
    assert abs(student.score(X, L) - full.score(X, L)) < 0.1


def test_nothing_is_learnt_without_a_subspace(data):
    X, L = data
    student = SubspaceStudent(Ridge())
    with pytest.raises(ValueError, match="no subspace: the rank is unidentifiable"):
        student.fit(X, LogitExposure(top_k=2).fit_transform(L))


def test_metadata_reaches_the_estimator(data):
    X, L = data
    weight = np.where(np.arange(500) < 250, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        auditor = LogitLeakageAuditor(center=None, random_state=0)
        ridge = Ridge(fit_intercept=False).set_fit_request(sample_weight=True)
        student = SubspaceStudent(ridge, auditor, temperature=None)
        student.fit(X, L, sample_weight=weight)
    expected = Ridge(fit_intercept=False).fit(X[:250], L[:250]).predict(X)
    np.testing.assert_allclose(student.predict(X), expected, atol=1e-8)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"temperature": 0.0}, "temperature"), ({"estimator": 3}, "estimator")],
)
def test_wrong_parameters_are_refused(data, params, message):
    with pytest.raises(ValueError, match=message):
        SubspaceStudent(**params).fit(*data)


def test_rows_must_match(data):
    X, L = data
    with pytest.raises(ValueError, match="as many rows each, got 500 and 499"):
        SubspaceStudent().fit(X, L[1:])
