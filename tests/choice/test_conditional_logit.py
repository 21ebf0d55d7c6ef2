import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import optimize, sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.choice import ConditionalLogit, choice_log_likelihood

from .logs import loop_loss, make_log


@pytest.fixture(scope="module")
def travel():
    """Ways to travel from Sydney to Melbourne, of 210 persons (Greene)."""
    source = pytest.importorskip("statsmodels.datasets.modechoice")
    data = source.load_pandas().data
    X = data[["ttme", "gc"]].copy()
    for number, name in ((1, "air"), (2, "train"), (3, "bus")):
        X[name] = (data["mode"] == number).astype(float)
    X["air_income"] = X["air"] * data["hinc"]
    return X, data["choice"].to_numpy(), data["individual"].to_numpy()


# -- what it minimises -----------------------------------------------------------------


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("C", [0.3, np.inf])
def test_solution_is_that_of_a_general_optimiser(solver, C):
    X, y, groups = make_log(n_groups=60)
    clf = ConditionalLogit(C=C, solver=solver, max_iter=500).fit(X, y, groups)
    best = optimize.minimize(
        lambda theta: loop_loss(theta, X, y, groups, C=C), np.zeros(4), method="BFGS"
    )
    found = np.append(clf.coef_, clf.intercept_)
    np.testing.assert_allclose(found, best.x, atol=1e-4)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_single_rows_are_logistic_regression(fit_intercept, C):
    X, y, _ = make_log()
    ours = ConditionalLogit(C=C, fit_intercept=fit_intercept).fit(X, y)
    theirs = LogisticRegression(
        C=C, fit_intercept=fit_intercept, solver="newton-cholesky", tol=1e-12
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-8)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8
    )
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)


def test_recovers_the_coefficients_of_a_simulation_that_single_rows_miss():
    X, y, groups = make_log(n_groups=8000, intercept=-1.0)
    truth = np.array([1.0, 0.0, -1.0, -1.0])
    clf = ConditionalLogit(C=np.inf).fit(X, y, groups)
    error = np.append(clf.coef_, clf.intercept_) - truth
    assert (np.abs(error) < 4 * np.sqrt(np.diag(clf.covariance_))).all()
    rows = LogisticRegression(C=np.inf).fit(X, y)
    assert np.abs(np.append(rows.coef_, rows.intercept_) - truth).max() > 0.3
    assert np.abs(error).max() < 0.1


# -- the published fit -----------------------------------------------------------------


def test_travel_choices_have_the_published_coefficients(travel):
    X, y, person = travel
    clf = ConditionalLogit(C=np.inf, outside_option=False).fit(X, y, person)
    # W. H. Greene, Econometric Analysis, conditional logit of the travel mode data.
    expected = [-0.09612, -0.01550, 5.2074, 3.8690, 3.1632, 0.01329]
    np.testing.assert_allclose(clf.coef_.ravel(), expected, rtol=4e-4)
    assert clf.log_likelihood_ == pytest.approx(-199.1284, abs=1e-4)
    errors = np.sqrt(np.diag(clf.covariance_))
    expected = [0.01044, 0.00441, 0.7791, 0.4431, 0.4503, 0.01026]
    np.testing.assert_allclose(errors, expected, rtol=1e-3)


def test_travel_choices_agree_with_statsmodels(travel):
    X, y, person = travel
    peer = pytest.importorskip("statsmodels.discrete.conditional_models")
    ours = ConditionalLogit(C=np.inf, outside_option=False).fit(X, y, person)
    theirs = peer.ConditionalLogit(y, X, groups=person).fit(disp=0)
    np.testing.assert_allclose(ours.coef_.ravel(), theirs.params, atol=1e-4)
    np.testing.assert_allclose(
        np.sqrt(np.diag(ours.covariance_)), theirs.bse, rtol=1e-4
    )
    assert ours.log_likelihood_ == pytest.approx(theirs.llf, abs=1e-6)
    assert ours.log_likelihood_null_ == pytest.approx(-210 * np.log(4))


def test_summary_agrees_with_statsmodels():
    peer = pytest.importorskip("statsmodels.discrete.discrete_model")
    X, y, _ = make_log()
    names = ["price", "rank", "size"]
    ours = ConditionalLogit(C=np.inf).fit(pd.DataFrame(X, columns=names), y).summary()
    theirs = peer.Logit(y, np.column_stack([X, np.ones(len(X))])).fit(disp=0)
    np.testing.assert_allclose(ours.coef, theirs.params, rtol=1e-6)
    np.testing.assert_allclose(ours.std_err, theirs.bse, rtol=1e-6)
    np.testing.assert_allclose(ours.z, theirs.tvalues, rtol=1e-6)
    np.testing.assert_allclose(ours.p_value, theirs.pvalues, rtol=1e-5)
    assert ours.log_likelihood == pytest.approx(theirs.llf)
    assert ours.mcfadden_r2 == pytest.approx(theirs.prsquared)
    assert ours.aic == pytest.approx(theirs.aic)
    assert ours.bic == pytest.approx(theirs.bic)
    text = str(ours)
    for word in (*names, "intercept", "McFadden R2", "std err", "P>|z|"):
        assert word in text


def test_null_model_is_the_fit_without_features():
    X, y, groups = make_log()
    clf = ConditionalLogit(C=np.inf).fit(X, y, groups)
    nothing = np.zeros((len(y), 1))
    best = optimize.minimize_scalar(
        lambda b: loop_loss(np.array([0.0, b]), nothing, y, groups)
    )
    assert clf.log_likelihood_null_ == pytest.approx(-best.fun, abs=1e-8)
    without = ConditionalLogit(C=np.inf, fit_intercept=False).fit(X, y, groups)
    equal = -loop_loss(np.zeros(2), nothing, y, groups)
    assert without.log_likelihood_null_ == pytest.approx(equal)


# -- invariances -----------------------------------------------------------------------


@pytest.mark.parametrize("outside", [True, False])
def test_order_of_rows_and_names_of_impressions_do_not_count(outside):
    X, y, groups = make_log(outside=outside)
    first = ConditionalLogit(outside_option=outside).fit(X, y, groups)
    shuffled = np.random.default_rng(0).permutation(len(y))
    for labels in (
        -7 * groups,
        np.array([f"impression {g}" for g in groups]),
        np.array([(g, "a") for g in groups], dtype="O,O").astype(object),
    ):
        again = ConditionalLogit(outside_option=outside).fit(
            X[shuffled], y[shuffled], labels[shuffled]
        )
        np.testing.assert_allclose(again.coef_, first.coef_, rtol=1e-8)
        np.testing.assert_allclose(again.covariance_, first.covariance_, rtol=1e-6)
        np.testing.assert_allclose(
            again.predict_proba(X[shuffled], labels[shuffled]),
            first.predict_proba(X, groups)[shuffled],
            rtol=1e-8,
        )
        np.testing.assert_array_equal(
            again.predict(X[shuffled], labels[shuffled]),
            first.predict(X, groups)[shuffled],
        )
    assert first.n_groups_ == 200


def test_repeated_impressions_are_weights():
    X, y, groups = make_log()
    twice = groups % 3 == 0
    weighted = ConditionalLogit().fit(X, y, groups, np.where(twice, 2.0, 1.0))
    repeated = ConditionalLogit().fit(
        np.vstack([X, X[twice]]),
        np.append(y, y[twice]),
        np.append(groups, groups[twice] + 1000),
    )
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8)
    np.testing.assert_allclose(weighted.covariance_, repeated.covariance_, rtol=1e-6)
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_)
    assert weighted.log_likelihood_null_ == pytest.approx(repeated.log_likelihood_null_)


def test_weight_zero_removes_an_impression():
    X, y, groups = make_log()
    kept = groups % 3 > 0
    weighted = ConditionalLogit().fit(X, y, groups, kept.astype(float))
    fewer = ConditionalLogit().fit(X[kept], y[kept], groups[kept])
    np.testing.assert_allclose(weighted.coef_, fewer.coef_, rtol=1e-8)


@pytest.mark.parametrize("outside", [True, False])
def test_units_and_origins_of_features_change_nothing_but_themselves(outside):
    X, y, groups = make_log(outside=outside)
    scale, shift = np.array([1e-6, 1.0, 1e6]), np.array([1e-3, 1e4, 1e8])
    first = ConditionalLogit(C=np.inf, outside_option=outside).fit(X, y, groups)
    other = ConditionalLogit(C=np.inf, outside_option=outside).fit(
        X * scale + shift, y, groups
    )
    np.testing.assert_allclose(other.coef_ * scale, first.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        np.diag(other.covariance_)[:3] * scale**2,
        np.diag(first.covariance_)[:3],
        rtol=1e-5,
    )


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("outside", [True, False])
def test_sparse_rows_give_the_same(solver, outside):
    X, y, groups = make_log(outside=outside)
    X[np.abs(X) < 0.7] = 0.0
    clf = ConditionalLogit(solver=solver, outside_option=outside, max_iter=500)
    dense = clone(clf).fit(X, y, groups)
    for convert in (sparse.csr_matrix, sparse.csr_array, sparse.csc_array):
        found = clone(clf).fit(convert(X), y, groups)
        np.testing.assert_allclose(found.coef_, dense.coef_, atol=1e-6)
        np.testing.assert_allclose(
            found.predict_proba(convert(X), groups),
            dense.predict_proba(X, groups),
            atol=1e-6,
        )
        if solver == "newton":
            np.testing.assert_allclose(found.covariance_, dense.covariance_, rtol=1e-6)


# -- what it says ----------------------------------------------------------------------


def test_probabilities_of_an_impression_sum_to_one():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    shuffled = np.random.default_rng(1).permutation(len(y))
    X, labels = X[shuffled], groups[shuffled]
    proba, none = clf.predict_proba(X, labels)[:, 1], clf.no_click_proba(X, labels)
    _, first = np.unique(labels, return_index=True)
    for label, rest in zip(labels[np.sort(first)], none):
        assert proba[labels == label].sum() + rest == pytest.approx(1.0)


def test_probabilities_survive_utilities_that_overflow():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    clf.coef_ = np.array([[1000.0, 0.0, 0.0]])
    proba = clf.predict_proba([[5.0, 0, 0], [5.0, 0, 0], [-5.0, 0, 0]], [0, 0, 1])
    np.testing.assert_allclose(proba[:, 1], [0.5, 0.5, 0.0])


def test_log_likelihood_is_that_of_the_training_data_and_of_any_other():
    X, y, groups = make_log()
    clf = ConditionalLogit(C=0.5).fit(X, y, groups)
    assert clf.log_likelihood(X, y, groups) == pytest.approx(clf.log_likelihood_)
    new_X, new_y, new_groups = make_log(seed=1)
    theta = np.append(clf.coef_, clf.intercept_)
    expected = -loop_loss(theta, new_X, new_y, new_groups, C=np.inf)
    assert clf.log_likelihood(new_X, new_y, new_groups) == pytest.approx(expected)


def test_prediction_marks_one_row_or_none():
    clf = ConditionalLogit().fit([[0.0], [1.0], [2.0], [0.0]], [0, 1, 1, 0])
    clf.coef_, clf.intercept_ = np.array([[1.0]]), np.array([0.0])
    X = [[-1.0], [-2.0], [3.0], [3.0], [1.0]]
    groups = ["b", "b", "a", "a", "a"]
    np.testing.assert_array_equal(clf.predict(X, groups), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(clf.predict(X), [0, 0, 1, 1, 1])
    # Impression b is right, a is wrong, though two of its three rows are.
    assert clf.score(X, [0, 0, 0, 0, 1], groups=groups) == 0.5
    weight = [3.0, 3.0, 1.0, 1.0, 1.0]
    assert clf.score(X, [0, 0, 0, 0, 1], weight, groups) == 0.75


def test_without_outside_option_the_best_is_marked_always():
    X, y, groups = make_log(outside=False)
    clf = ConditionalLogit(outside_option=False).fit(X, y, groups)
    marked = np.bincount(groups, clf.predict(X, groups))
    np.testing.assert_array_equal(marked, 1.0)
    np.testing.assert_array_equal(clf.no_click_proba(X, groups), 0.0)
    assert clf.intercept_[0] == 0.0
    assert clf.covariance_.shape == (3, 3)


def test_covariance_is_the_inverse_of_a_numerical_hessian():
    X, y, groups = make_log(n_groups=60)
    X += 3.0  # so that the intercept of features as they are is another one
    clf = ConditionalLogit(C=0.5).fit(X, y, groups)
    theta = np.append(clf.coef_, clf.intercept_)

    def loss(*steps):
        return loop_loss(theta + 1e-3 * np.sum(steps, axis=0), X, y, groups, C=0.5)

    axes = np.eye(4)
    hessian = [
        [loss(a, b) - loss(a, -b) - loss(-a, b) + loss(-a, -b) for a in axes]
        for b in axes
    ]
    expected = np.linalg.inv(np.array(hessian) / 4e-6)
    np.testing.assert_allclose(clf.covariance_, expected, rtol=1e-3)


# -- life in scikit-learn --------------------------------------------------------------


def test_groups_are_routed_through_pipelines_and_cross_validation():
    X, y, groups = make_log()
    with sklearn.config_context(enable_metadata_routing=True):
        clf = ConditionalLogit().set_fit_request(groups=True)
        clf.set_score_request(groups=True)
        pipeline = make_pipeline(StandardScaler(), clf)
        result = cross_validate(
            pipeline,
            X,
            y,
            params={"groups": groups},
            cv=GroupKFold(3),
            return_estimator=True,
            return_indices=True,
        )
    for fitted, train, test, score in zip(
        result["estimator"],
        result["indices"]["train"],
        result["indices"]["test"],
        result["test_score"],
    ):
        scaler = StandardScaler().fit(X[train])
        alone = ConditionalLogit().fit(
            scaler.transform(X[train]), y[train], groups[train]
        )
        np.testing.assert_allclose(fitted[-1].coef_, alone.coef_, rtol=1e-10)
        assert score == alone.score(
            scaler.transform(X[test]), y[test], groups=groups[test]
        )


def test_groups_are_routed_through_a_search_in_two_processes():
    X, y, groups = make_log()
    with sklearn.config_context(enable_metadata_routing=True):
        clf = ConditionalLogit().set_fit_request(groups=True)
        scorer = make_scorer(choice_log_likelihood, response_method="decision_function")
        search = GridSearchCV(
            make_pipeline(StandardScaler(), clf),
            {"conditionallogit__C": [1e-3, 1.0]},
            scoring=scorer.set_score_request(groups=True),
            cv=GroupKFold(3),
            n_jobs=2,
            error_score="raise",
        )
        search.fit(X, y, groups=groups)
    assert search.best_params_ == {"conditionallogit__C": 1.0}
    for i, (train, test) in enumerate(GroupKFold(3).split(X, y, groups)):
        scaler = StandardScaler().fit(X[train])
        fitted = ConditionalLogit().fit(
            scaler.transform(X[train]), y[train], groups[train]
        )
        total = fitted.log_likelihood(scaler.transform(X[test]), y[test], groups[test])
        expected = total / len(np.unique(groups[test]))
        found = search.cv_results_[f"split{i}_test_score"][1]
        assert found == pytest.approx(expected, rel=1e-12)


def test_a_fitted_model_may_be_pickled():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        copy.predict_proba(X, groups), clf.predict_proba(X, groups)
    )
    assert str(copy.summary()) == str(clf.summary())


def test_single_precision_is_read_and_computed_in_double():
    X, y, groups = make_log()
    single = X.astype(np.float32)
    clf = ConditionalLogit().fit(single, y, groups)
    double = ConditionalLogit().fit(single.astype(np.float64), y, groups)
    np.testing.assert_array_equal(clf.coef_, double.coef_)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_coefficients_predict_and_print_the_same(fit_intercept):
    X, y, groups = make_log()
    clf = ConditionalLogit(fit_intercept=fit_intercept).fit(X, y, groups)
    proba, text = clf.predict_proba(X, groups), str(clf.summary())
    clf.sparsify()
    np.testing.assert_allclose(clf.predict_proba(X, groups), proba)
    assert str(clf.summary()) == text


@pytest.mark.parametrize("outside", [True, False])
def test_logarithms_of_probabilities_do_not_underflow(outside):
    X, y, groups = make_log(outside=outside)
    clf = ConditionalLogit(outside_option=outside).fit(X, y, groups)
    np.testing.assert_allclose(
        np.exp(clf.predict_log_proba(X, groups)), clf.predict_proba(X, groups)
    )
    clf.coef_ = np.array([[1000.0, 0.0, 0.0]])
    log_proba = clf.predict_log_proba([[5.0, 0, 0], [1.0, 0, 0]], [0, 0])
    assert log_proba[1, 1] == pytest.approx(-4000.0)


def test_labels_may_be_strings():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, np.where(y, "yes", "no"), groups)
    assert list(clf.classes_) == ["no", "yes"]
    expected = ConditionalLogit().fit(X, y, groups).predict(X, groups)
    np.testing.assert_array_equal(clf.predict(X, groups) == "yes", expected == 1)


def test_curve_falls_to_the_solution_in_few_steps():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    theta = np.append(clf.coef_, clf.intercept_)
    assert len(clf.loss_curve_) == clf.n_iter_ + 1
    assert (np.diff(clf.loss_curve_) <= 1e-9).all()
    assert clf.loss_curve_[-1] == pytest.approx(loop_loss(theta, X, y, groups))
    assert clf.n_iter_ <= 12


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_units_of_features_do_not_count_without_a_hessian_either(outside, convert):
    X, y, groups = make_log(outside=outside)
    scale = np.array([1e-5, 1.0, 1e5])
    newton = ConditionalLogit(C=np.inf, outside_option=outside).fit(X, y, groups)
    lbfgs = clone(newton).set_params(solver="lbfgs")
    lbfgs.fit(convert(X * scale), y, groups)
    np.testing.assert_allclose(lbfgs.coef_ * scale, newton.coef_, rtol=1e-4, atol=1e-6)


def test_many_features_are_fitted_without_a_hessian():
    rng = np.random.default_rng(0)
    X = sparse.random_array((60, 600), density=0.05, rng=rng, format="csr")
    y = np.tile([0, 1, 0, 0], 15)
    groups = np.repeat(np.arange(30), 2)
    clf = ConditionalLogit(max_iter=500).fit(X, y, groups)
    assert clf.covariance_ is None
    with pytest.raises(ValueError, match="solver='newton'"):
        clf.summary()
    newton = ConditionalLogit(solver="newton").fit(X, y, groups)
    np.testing.assert_allclose(clf.coef_, newton.coef_, atol=1e-6)


# -- data that leave something open ----------------------------------------------------


def test_separable_choices_converge_with_a_penalty():
    X, y, groups = separable()
    assert ConditionalLogit(C=1e4).fit(X, y, groups).n_iter_ < 40


def separable():
    X = np.array([[0.0], [1.0], [0.2], [2.0], [-1.0], [-2.0]])
    return X, np.array([0, 1, 0, 1, 0, 0]), np.array([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_choices_that_features_separate_are_told(solver, convert):
    X, y, groups = separable()
    clf = ConditionalLogit(C=np.inf, solver=solver)
    with pytest.warns(ConvergenceWarning, match="separate the choices") as record:
        clf.fit(convert(X), y, groups)
    assert f"stopped after {clf.n_iter_} iterations" in str(record[0].message)
    assert record[0].filename == __file__
    np.testing.assert_array_equal(clf.predict(X, groups), y)


@pytest.mark.parametrize("outside", [True, False])
def test_choices_of_which_some_are_separated_are_told(outside):
    # A feature that is 1 for some choices and for nothing else.
    X, y, groups = make_log(outside=outside)
    telling = y * (groups < 40)
    clf = ConditionalLogit(C=np.inf, outside_option=outside)
    with pytest.warns(ConvergenceWarning, match="separate the choices"):
        clf.fit(np.column_stack([X, telling]), y, groups)
    assert clf.coef_[0, 3] > 10


def test_too_few_iterations_are_told_as_such():
    X, y, groups = make_log()
    clf = ConditionalLogit(C=np.inf, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="not converge in 1 iter.*max_iter"):
        clf.fit(X, y, groups)


def test_a_constant_feature_is_not_told_from_the_intercept():
    X, y, groups = make_log()
    clf = ConditionalLogit(C=np.inf)
    with pytest.warns(ConvergenceWarning, match=r"2 of 5 coefficients, x3, intercept"):
        clf.fit(np.column_stack([X, np.ones(len(y))]), y, groups)
    assert list(np.isnan(np.diag(clf.covariance_))) == [False] * 3 + [True] * 2


def test_collinear_features_are_named_and_share_without_harm():
    X, y, groups = make_log()
    frame = pd.DataFrame(np.column_stack([X, X[:, 0]]), columns=[*"abc", "copy"])
    clf = ConditionalLogit(C=np.inf)
    with pytest.warns(ConvergenceWarning, match="identify 2 of 5 coefficients, a, cop"):
        clf.fit(frame, y, groups)
    plain = ConditionalLogit(C=np.inf).fit(X, y, groups)
    np.testing.assert_allclose(clf.coef_[0, 0] + clf.coef_[0, 3], plain.coef_[0, 0])
    np.testing.assert_allclose(clf.coef_[0, 1:3], plain.coef_[0, 1:], rtol=1e-6)
    assert list(np.isnan(np.diag(clf.covariance_))) == [True, False, False, True, False]
    frame["copy"] *= 1e9  # units do not count
    with pytest.warns(ConvergenceWarning, match="identify 2 of 5 coefficients, a, cop"):
        ConditionalLogit(C=np.inf).fit(frame, y, groups)
    frame["copy"] *= 1e-9
    penalised = ConditionalLogit().fit(frame, y, groups)  # in silence
    assert penalised.coef_[0, 0] == pytest.approx(penalised.coef_[0, 3])


def test_coefficients_that_choices_do_not_identify_are_told():
    X, y, groups = make_log(outside=False)
    constant = np.column_stack([X, groups])  # the same for all rows of an impression
    clf = ConditionalLogit(C=np.inf, outside_option=False)
    with pytest.warns(ConvergenceWarning, match="do not identify 1 of 4"):
        clf.fit(constant, y, groups)
    plain = clone(clf).fit(X, y, groups)
    np.testing.assert_allclose(clf.coef_[:, :3], plain.coef_, rtol=1e-6)
    np.testing.assert_allclose(clf.covariance_[:3, :3], plain.covariance_, rtol=1e-5)
    assert np.isnan(clf.covariance_[3]).all()


# -- bad input -------------------------------------------------------------------------


def test_two_choices_in_an_impression_are_refused():
    X, y, groups = make_log()
    y[groups == groups[-1]] = 1
    X, y, groups = (
        np.vstack([X, X[-1:]]),
        np.append(y, 1),
        np.append(groups, groups[-1]),
    )
    with pytest.raises(ValueError, match=r"1 of 200 impressions have more than one"):
        ConditionalLogit().fit(X, y, groups)


def test_no_choice_is_refused_without_outside_option():
    X, y, groups = make_log(outside=False)
    y[groups == 3] = 0
    with pytest.raises(ValueError, match=r"1 of 200 impressions have no chosen row"):
        ConditionalLogit(outside_option=False).fit(X, y, groups)


def test_an_outside_option_that_is_never_chosen_is_refused():
    X, y, groups = make_log(outside=False)
    with pytest.raises(ValueError, match="outside_option=False"):
        ConditionalLogit().fit(X, y, groups)
    ConditionalLogit(fit_intercept=False).fit(X, y, groups)


def test_groups_are_needed_without_outside_option():
    X, y, groups = make_log(outside=False)
    clf = ConditionalLogit(outside_option=False)
    with pytest.raises(ValueError, match="groups must be given"):
        clf.fit(X, y)
    with pytest.raises(ValueError, match="groups must be given"):
        clf.fit(X, y, groups).predict_proba(X)


def test_weights_that_differ_in_an_impression_are_refused():
    X, y, groups = make_log()
    weight = np.ones(len(y))
    weight[np.flatnonzero(groups == np.argmax(np.bincount(groups)))[1]] = 2.0
    with pytest.raises(ValueError, match=r"sample_weight must be the same.*1 and 2"):
        ConditionalLogit().fit(X, y, groups, weight)


def test_weights_without_choices_are_refused():
    X, y, groups = make_log()
    clicked = np.bincount(groups, y)[groups]
    for weight in (clicked, 1.0 - clicked):
        with pytest.raises(ValueError, match="class"):
            ConditionalLogit().fit(X, y, groups, weight)


@pytest.mark.parametrize(
    "missing",
    [
        lambda g: np.where(g > 3, np.nan, 0.0),
        lambda g: np.array([None, *g[1:]], dtype=object),
        lambda g: np.array([np.nan, *g[1:]], dtype=object),
        lambda g: pd.Series(["a", *g[1:].astype(str)], dtype="string").where(g > 0),
        lambda g: pd.Series(g, dtype="Int64").where(g > 0),
        lambda g: np.where(g > 3, g, "NaT").astype("datetime64[D]"),
        lambda g: [np.nan, *g[1:].astype(str)],
    ],
    ids=["nan", "None", "nan object", "NA string", "NA integer", "NaT", "nan in list"],
)
def test_missing_groups_are_refused(missing):
    X, y, groups = make_log()
    with pytest.raises(ValueError, match="groups must not be missing"):
        ConditionalLogit().fit(X, y, missing(groups))


@pytest.mark.parametrize(
    "convert",
    [
        lambda g: [(label, "day") for label in g],
        lambda g: [int(label) if label % 2 else f"{label + 1}" for label in g],
        lambda g: pd.Series(g).astype("category"),
        lambda g: pd.Series(g, dtype="Int64"),
        lambda g: pd.Timestamp("2025-01-01") + pd.to_timedelta(g, unit="D"),
    ],
    ids=["tuples", "mixed", "category", "nullable", "dates"],
)
def test_labels_of_impressions_may_be_of_any_kind(convert):
    X, y, groups = make_log()
    expected = ConditionalLogit().fit(X, y, groups)
    found = ConditionalLogit().fit(X, y, convert(groups))
    assert found.n_groups_ == 200
    np.testing.assert_array_equal(found.coef_, expected.coef_)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda g: g[1:], "inconsistent numbers of samples"),
        (lambda g: np.column_stack([g, g]), r"groups must have shape \(n_rows,\)"),
        (lambda g: "impression", r"groups must have shape \(n_rows,\), got \(\)"),
        (
            lambda g: pd.Series([[label] for label in g]),
            "groups must be hashable labels: unhashable type: 'list'",
        ),
    ],
    ids=["short", "table", "name", "lists"],
)
def test_bad_groups_are_refused(bad, message):
    X, y, groups = make_log()
    with pytest.raises(ValueError, match=message):
        ConditionalLogit().fit(X, y, bad(groups))


def test_labels_of_another_length_have_no_score():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.score(X, y[1:], groups=groups)


def test_unknown_labels_have_no_likelihood():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    with pytest.raises(ValueError, match="y must have the labels"):
        clf.log_likelihood(X, y + 1, groups)


@pytest.mark.parametrize("C", [0, -1.0, "large"])
def test_bad_penalties_are_refused(C):
    X, y, groups = make_log()
    with pytest.raises(ValueError, match="'C' parameter"):
        ConditionalLogit(C=C).fit(X, y, groups)


def test_expected_choices_match_the_data():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    # The intercept is not penalised: its equation says so.
    assert clf.predict_proba(X, groups)[:, 1].sum() == pytest.approx(y.sum(), abs=1e-4)
    assert expit(clf.decision_function(X)).sum() > y.sum()
