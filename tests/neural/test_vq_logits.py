"""The classifier of codes, against softmax regression of all classes."""

import pickle
import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.sparse import csc_array, csr_array
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit.neural import VQLogitsClassifier, _vq_logits

EXACT = {"tol": 1e-9, "max_iter": 2000}


pytestmark = pytest.mark.filterwarnings(
    "ignore:The codes are not fitted:sklearn.exceptions.ConvergenceWarning",
    "ignore:lbfgs failed:sklearn.exceptions.ConvergenceWarning",
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def many_classes():
    """150 classes by Zipf's law, in clusters of similar ones."""
    rng = np.random.default_rng(0)
    p = rng.permutation(1 / np.arange(1, 151) ** 0.8)
    y = np.concatenate([np.arange(150), rng.choice(150, 4000, p=p / p.sum())])
    centres = 2 * rng.standard_normal((12, 8))[rng.integers(12, size=150)]
    X = centres[y] + 0.3 * rng.standard_normal((150, 8))[y]
    return X + rng.standard_normal(X.shape), y


@parametrize_with_checks(
    [
        VQLogitsClassifier(within="uniform", C=0.1),
        VQLogitsClassifier(estimator=LogisticRegression(), random_state=0),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- what it is ------------------------------------------------------------------------


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_as_many_codes_as_classes_are_softmax_regression(digits, as_sparse, weighted):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    expected = LogisticRegression(C=0.1, tol=1e-9, max_iter=2000).fit(X, y, weight)
    found = VQLogitsClassifier(C=0.1, **EXACT).fit(
        csr_array(X) if as_sparse else X, y, weight
    )
    np.testing.assert_allclose(
        found.predict_proba(X), expected.predict_proba(X), atol=1e-5
    )
    assert found.n_codes_ == 10


def test_two_classes_are_logistic_regression_of_twice_the_strength(digits):
    X, y = digits[0], digits[1] > 4
    expected = LogisticRegression(C=0.2, tol=1e-9, max_iter=2000).fit(X, y)
    found = VQLogitsClassifier(C=0.1, **EXACT).fit(X, y)
    np.testing.assert_allclose(
        found.predict_proba(X), expected.predict_proba(X), atol=1e-5
    )
    np.testing.assert_allclose(
        found.decision_function(X), expected.decision_function(X), atol=1e-4
    )


@pytest.mark.parametrize("within", ["prior", "uniform"])
def test_codes_are_softmax_regression_of_the_codes_and_shares(many_classes, within):
    X, y = many_classes
    clf = VQLogitsClassifier(20, within=within, C=0.5, random_state=0, **EXACT)
    clf.fit(X, y)
    codes = LogisticRegression(C=0.5, tol=1e-9, max_iter=5000).fit(X, clf.codes_[y])
    mass = np.bincount(y) + 0.5 if within == "prior" else np.ones(150)
    shares = mass / np.bincount(clf.codes_, mass)[clf.codes_]
    np.testing.assert_allclose(np.exp(clf.log_within_), shares)
    expected = codes.predict_proba(X)[:, clf.codes_] * shares
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-5)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1)


def test_shares_by_weights_have_the_better_likelihood(many_classes):
    losses = [
        VQLogitsClassifier(20, within=within, random_state=0)
        .fit(*many_classes)
        .log_loss(*many_classes)
        for within in ("prior", "uniform")
    ]
    assert losses[0] < losses[1] - 0.3


def test_weighted_clusters_are_better_than_the_other_mappings(many_classes):
    losses = {
        mapping: VQLogitsClassifier(20, mapping=mapping, random_state=0)
        .fit(*many_classes)
        .log_loss(*many_classes)
        for mapping in ("weighted_kmeans", "kmeans", "frequency", "random")
    }
    best = losses.pop("weighted_kmeans")
    assert all(best < loss for loss in losses.values()), losses


def test_given_codes_are_taken_in_the_order_of_the_classes(digits):
    X, y = digits
    names = np.array(list("jihgfedcba"))[y]
    mapping = np.array([0, 0, 5, 5, 2, 2, 2, 2, 2, 0])
    clf = VQLogitsClassifier(mapping=mapping).fit(X, names)
    assert clf.codes_.tolist() == [0, 0, 2, 2, 1, 1, 1, 1, 1, 0]
    assert clf.n_codes_ == 3


def test_permuted_classes_permute_the_probabilities(many_classes):
    X, y = many_classes
    order = np.random.default_rng(0).permutation(150)
    mapping = np.arange(150) % 20
    plain = VQLogitsClassifier(mapping=mapping, **EXACT).fit(X, y)
    other = VQLogitsClassifier(mapping=mapping[order.argsort()], **EXACT)
    other.fit(X, order[y])
    np.testing.assert_allclose(
        other.predict_proba(X)[:, order], plain.predict_proba(X), atol=1e-6
    )


# -- from a linear classifier ----------------------------------------------------------


def test_a_frozen_classifier_is_converted_without_a_fit(digits):
    X, y = digits
    linear = LogisticRegression(C=0.1).fit(X, y)
    clf = VQLogitsClassifier(
        8, estimator=FrozenEstimator(linear), max_iter=0, random_state=0
    ).fit(X, y)
    assert clf.n_iter_ == 0
    counts = np.bincount(y)
    for code in range(8):
        own = clf.codes_ == code
        expected = np.average(linear.coef_[own], axis=0, weights=counts[own] + 0.5)
        np.testing.assert_allclose(clf.codebook_[code], expected)
        # Intercepts make up for the mean that the rows have lost.
        lost = (linear.coef_[own] - expected) @ X.mean(axis=0)
        np.testing.assert_allclose(
            clf.code_intercept_[code], logsumexp(linear.intercept_[own] + lost)
        )
    fitted = clone(clf).set_params(max_iter=100).fit(X, y)
    assert fitted.log_loss(X, y) < clf.log_loss(X, y)
    np.testing.assert_array_equal(fitted.codes_, clf.codes_)


def test_with_as_many_codes_the_converted_classifier_is_the_same(digits):
    X, y = digits
    linear = LogisticRegression(C=0.1).fit(X, y)
    clf = VQLogitsClassifier(estimator=FrozenEstimator(linear), max_iter=0).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), linear.predict_proba(X))


def test_the_estimator_is_cloned_and_fitted_with_the_weights(digits):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    linear = LogisticRegression(C=0.1)
    clf = VQLogitsClassifier(8, estimator=linear).fit(X, y, weight)
    expected = clone(linear).fit(X, y, weight)
    np.testing.assert_array_equal(clf.estimator_.coef_, expected.coef_)
    assert not hasattr(linear, "coef_")
    clf.set_params(estimator=None).fit(X, y)
    assert not hasattr(clf, "estimator_")


def test_an_estimator_without_weights_cannot_get_them(digits):
    clf = VQLogitsClassifier(estimator=KNeighborsClassifier())
    with pytest.raises(ValueError, match="KNeighborsClassifier, takes no weights"):
        clf.fit(*digits, sample_weight=np.ones(len(digits[1])))


def test_metadata_routing(digits):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        asking = LogisticRegression().set_fit_request(sample_weight=True)
        clf = VQLogitsClassifier(8, estimator=asking).fit(X, y, sample_weight=weight)
        expected = LogisticRegression().fit(X, y, weight)
        np.testing.assert_array_equal(clf.estimator_.coef_, expected.coef_)
        refusing = LogisticRegression().set_fit_request(sample_weight=False)
        clf.set_params(estimator=refusing).fit(X, y, sample_weight=weight)
        expected = LogisticRegression().fit(X, y)
        np.testing.assert_array_equal(clf.estimator_.coef_, expected.coef_)
        np.testing.assert_allclose(clf.class_count_, np.bincount(y, weight))
        silent = VQLogitsClassifier(8, estimator=LogisticRegression())
        with pytest.raises(UnsetMetadataPassedError):
            silent.fit(X, y, sample_weight=weight)
        VQLogitsClassifier(8).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize(
    ("estimator", "error", "match"),
    [
        (DecisionTreeClassifier(), TypeError, "estimator must be a linear classifier"),
        ("fewer classes", ValueError, "estimator must know the classes of y, 10"),
        ("fewer features", ValueError, "estimator must have 64 features.*got 3"),
    ],
)
def test_estimators_that_do_not_fit_are_refused(digits, estimator, error, match):
    X, y = digits
    if estimator == "fewer classes":
        estimator = FrozenEstimator(LogisticRegression().fit(X[y < 5], y[y < 5]))
    elif estimator == "fewer features":
        estimator = FrozenEstimator(LogisticRegression().fit(X[:, 20:23], y))
    with pytest.raises(error, match=match):
        VQLogitsClassifier(estimator=estimator).fit(X, y)


# -- updates of the mapping ------------------------------------------------------------


def test_updates_help_a_bad_mapping(many_classes):
    X, y = many_classes
    clf = VQLogitsClassifier(20, mapping="random", random_state=0).fit(X, y)
    updated = clone(clf).set_params(mapping_updates=3).fit(X, y)
    assert clf.mapping_curve_.shape == (0, 2)
    assert updated.mapping_curve_.shape == (4, 2)
    assert (np.diff(updated.mapping_curve_[:, 0]) < 1e-4).all()
    assert updated.log_loss(X, y) < clf.log_loss(X, y) - 0.1
    assert updated.n_iter_ > clf.n_iter_


def test_the_round_with_the_best_held_out_likelihood_is_kept(many_classes, monkeypatch):
    X, y = many_classes
    rounds, original = [], _vq_logits.mapping_rounds

    def spy(*args, **kwargs):
        for r, held_out in zip(original(*args, **kwargs), [3.0, 1.0, 2.0]):
            rounds.append(replace(r, held_out=held_out))
            yield rounds[-1]

    monkeypatch.setattr(_vq_logits, "mapping_rounds", spy)
    clf = VQLogitsClassifier(
        20, mapping="random", mapping_updates=2, random_state=0
    ).fit(X, y)
    np.testing.assert_array_equal(clf.codes_, rounds[1].codes)
    assert clf.mapping_curve_[:, 1].tolist() == [3.0, 1.0, 2.0]


def test_validation_rows_are_held_out_of_the_rounds(many_classes, monkeypatch):
    seen, original = [], _vq_logits.mapping_rounds

    def spy(train, held_out, *args, **kwargs):
        seen.append((train.X, held_out.X))
        return original(train, held_out, *args, **kwargs)

    monkeypatch.setattr(_vq_logits, "mapping_rounds", spy)
    X, y = many_classes
    VQLogitsClassifier(
        20, mapping_updates=1, validation_fraction=0.25, random_state=0, max_iter=5
    ).fit(X, y)
    ((train, held_out),) = seen
    assert len(held_out) == len(X) // 4 + 1
    both = np.concatenate([train, held_out])
    np.testing.assert_array_equal(both[np.lexsort(both.T)], X[np.lexsort(X.T)])


def test_rows_without_weight_are_not_held_out(many_classes):
    X, y = many_classes
    weight = np.zeros(len(y))
    weight[[200, 900, 1700, 2500, 3900]] = 1
    clf = VQLogitsClassifier(
        10,
        mapping="random",
        mapping_updates=2,
        validation_fraction=0.01,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        clf.fit(X, y, weight)
    assert np.isfinite(clf.mapping_curve_).all()


def test_a_split_without_training_rows_is_refused_before_the_estimator_is_fitted(
    digits,
):
    X, y = digits
    estimator = LogisticRegression(max_iter="never fitted")
    clf = VQLogitsClassifier(
        estimator=estimator, mapping_updates=1, validation_fraction=0.9999
    )
    with pytest.raises(
        ValueError, match=r"validation_fraction=0.9999 of the 1797 rows"
    ):
        clf.fit(X, y)


# -- predictions -----------------------------------------------------------------------


@pytest.mark.parametrize("within", ["prior", "uniform"])
def test_topk_are_the_first_of_all_sorted_probabilities(many_classes, within):
    X, y = many_classes
    clf = VQLogitsClassifier(20, within=within, random_state=0).fit(X, y)
    log_p = clf.predict_log_proba(X)
    for k in (1, 3, 30, 150):
        top = clf.predict_topk(X, k=k)
        assert top.shape == (len(X), k)
        assert all(len(set(row)) == k for row in top[:50].tolist())
        found = np.take_along_axis(log_p, top, axis=1)
        np.testing.assert_allclose(found, -np.sort(-log_p, axis=1)[:, :k], atol=1e-12)
    np.testing.assert_array_equal(clf.predict(X), log_p.argmax(axis=1))


def test_labels_of_any_kind_are_predicted(digits):
    X, y = digits
    names = np.array([f"digit {label}" for label in y])
    clf = VQLogitsClassifier(8, random_state=0).fit(X, names)
    assert set(clf.predict(X)) <= set(names)
    assert clf.predict_topk(X, k=2).dtype == names.dtype


def test_log_loss_is_that_of_scikit_learn(digits):
    X, y = digits
    clf = VQLogitsClassifier(8, random_state=0).fit(X, y)
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    for w in (None, weight):
        expected = log_loss(y, clf.predict_proba(X), sample_weight=w)
        assert clf.log_loss(X, y, w) == pytest.approx(expected)


def test_no_classifier_of_these_codes_is_more_accurate_than_the_bound(many_classes):
    X, y = many_classes
    for within in ("prior", "uniform"):
        clf = VQLogitsClassifier(15, within=within, random_state=0).fit(X, y)
        assert clf.score(X, y) <= clf.upper_bound_score_ < 1


@pytest.mark.parametrize("k", [0, 11, 1.5, True, "3"])
def test_a_wrong_k_is_refused_by_name(digits, k):
    clf = VQLogitsClassifier().fit(*digits)
    with pytest.raises(
        ValueError, match=rf"k must be an integer from 1 to 10.*got {k!r}"
    ):
        clf.predict_topk(digits[0], k=k)


def test_predictions_need_no_array_of_all_classes():
    rng = np.random.default_rng(0)
    n, n_classes = 1000, 5000
    X = rng.standard_normal((n_classes, 3))
    clf = VQLogitsClassifier(10, mapping="random", max_iter=2, random_state=0)
    y = np.arange(n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # many classes are no fault
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X, y)
    tracemalloc.start()
    clf.predict(X[:n])
    clf.predict_topk(X[:n], k=3)
    clf.log_loss(X[:n], y[:n])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n_classes * 8 / 10


@pytest.mark.parametrize(
    ("weight", "message"), [(-1.0, "[Nn]egative"), (0.0, "non-zero"), (np.nan, "NaN")]
)
def test_log_loss_refuses_wrong_weights(digits, weight, message):
    X, y = digits
    clf = VQLogitsClassifier(8, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=message):
        clf.log_loss(X, y, np.full(len(y), weight))


def test_log_loss_refuses_labels_it_does_not_know(digits):
    clf = VQLogitsClassifier().fit(*digits)
    with pytest.raises(ValueError, match=r"y contains labels \[77\] that are not in"):
        clf.log_loss(digits[0][:2], [1, 77])


def test_to_head_and_to_linear_have_the_same_probabilities(many_classes):
    X, y = many_classes
    X = X.astype(np.float32)
    clf = VQLogitsClassifier(20, random_state=0).fit(X, y)
    p = clf.predict_proba(X)
    head = clf.to_head()
    assert head.codebook.dtype == torch.float32
    np.testing.assert_allclose(
        head.log_prob(torch.as_tensor(X)).detach().exp(), p, rtol=1e-4
    )
    coef, intercept = clf.to_linear()
    assert coef.shape == (150, 8)
    np.testing.assert_allclose(softmax(X @ coef.T + intercept, axis=1), p, rtol=1e-4)


# -- data ------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [csr_array, csc_array])
def test_sparse_data(many_classes, convert):
    X, y = many_classes
    X = np.where(np.abs(X) < 1, 0.0, X)
    # The codes of sparse and dense rows differ: only dense ones are scaled.
    mapping = np.arange(150) % 20
    dense = VQLogitsClassifier(mapping=mapping, **EXACT).fit(X, y)
    sparse = VQLogitsClassifier(mapping=mapping, **EXACT).fit(convert(X), y)
    for method in ("predict_proba", "decision_function", "predict_log_proba"):
        np.testing.assert_allclose(
            getattr(sparse, method)(convert(X)), getattr(dense, method)(X), atol=1e-4
        )
    np.testing.assert_array_equal(sparse.predict(convert(X)), dense.predict(X))
    assert sparse.log_loss(convert(X), y) == pytest.approx(dense.log_loss(X, y))
    VQLogitsClassifier(20, mapping_updates=1, max_iter=5).fit(convert(X), y)


def test_wide_sparse_data_stay_sparse(monkeypatch):
    rng = np.random.default_rng(0)
    X = csr_array((rng.uniform(size=(300, 3000)) < 0.01).astype(np.float64))
    y = np.arange(300) % 30
    X = X + csr_array((np.ones(300), (np.arange(300), y)), shape=X.shape)
    monkeypatch.setattr(csr_array, "toarray", lambda self: pytest.fail("made dense"))
    clf = VQLogitsClassifier(10, random_state=0, mapping_updates=1).fit(X, y)
    assert clf.codebook_.shape == (clf.n_codes_, 3000)
    assert clf.score(X, y) > 0.25


def test_weights_are_repetitions(many_classes):
    X, y = many_classes
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    kwargs = {"n_codes": 20, "random_state": 0, **EXACT}
    weighted = VQLogitsClassifier(**kwargs).fit(X, y, weight)
    repeated = VQLogitsClassifier(**kwargs).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    np.testing.assert_array_equal(weighted.codes_, repeated.codes_)
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4
    )


def test_a_class_without_weight_keeps_a_small_probability(digits):
    X, y = digits
    clf = VQLogitsClassifier(8, random_state=0).fit(X, y, (y != 3).astype(float))
    p = clf.predict_proba(X)
    assert clf.class_count_[3] == 0
    assert np.isfinite(clf.predict_log_proba(X)).all()
    assert 0 < p[:, 3].max() < 0.01


def test_float32_stays_float32(digits):
    X, y = digits
    clf = VQLogitsClassifier(8, random_state=0).fit(X.astype(np.float32), y)
    for values in (clf.codebook_, clf.code_intercept_, clf.log_within_):
        assert values.dtype == np.float32
    assert clf.predict_proba(X).dtype == np.float32
    double = VQLogitsClassifier(8, random_state=0).fit(X, y)
    assert clf.log_loss(X, y) == pytest.approx(double.log_loss(X, y), abs=1e-3)


def test_frames_have_names(digits):
    X = pd.DataFrame(digits[0]).add_prefix("pixel ")
    clf = VQLogitsClassifier(8).fit(X, digits[1])
    assert clf.feature_names_in_.tolist() == X.columns.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict_topk(X)
        clf.log_loss(X, digits[1])


def test_bytes_are_those_of_the_arrays(many_classes):
    clf = VQLogitsClassifier(20, random_state=0).fit(*many_classes)
    arrays = clf.codes_, clf.codebook_, clf.code_intercept_, clf.log_within_
    assert clf.compression_["bytes"] == sum(array.nbytes for array in arrays)
    assert clf.compression_["parameters"] == clf.n_codes_ * 9
    assert clf.compression_["dense_parameters"] == 150 * 9
    assert clf.compression_["dense_bytes"] == 150 * 9 * 8
    ratio = clf.compression_["dense_bytes"] / clf.compression_["bytes"]
    assert clf.compression_["ratio"] == ratio


def test_a_part_of_the_classes_as_the_number_of_codes(many_classes):
    clf = VQLogitsClassifier(0.1, mapping="random", random_state=0)
    assert clf.fit(*many_classes).n_codes_ == 15


# -- fitting ---------------------------------------------------------------------------


def test_whitening_saves_iterations(many_classes):
    X, y = many_classes
    # Correlated features of different size.
    X = X @ np.random.default_rng(0).standard_normal((8, 8)) * 10.0 ** np.arange(-3, 5)
    kwargs = {"C": np.inf, "mapping": np.arange(150) % 20}
    clf = VQLogitsClassifier(tol=1e-6, max_iter=300, **kwargs).fit(X, y)
    plain = LogisticRegression(C=np.inf, tol=1e-12, max_iter=300)
    plain.fit(X, y % 20)
    assert clf.n_iter_ < 300 <= plain.n_iter_[0]
    assert clf.loss_curve_[-1] < log_loss(y % 20, plain.predict_proba(X))


def test_too_few_iterations_are_told(many_classes):
    with pytest.warns(ConvergenceWarning, match="after max_iter=2 iterations"):
        clf = VQLogitsClassifier(20, max_iter=2).fit(*many_classes)
    assert clf.n_iter_ == 2
    assert len(clf.loss_curve_) == 3
    assert (np.diff(clf.loss_curve_) < 0).all()


def test_callbacks_see_each_iteration(digits, capsys):
    pytest.importorskip("rich")
    X, y = digits
    monitor = ScoringMonitor(scoring="neg_log_loss")
    clf = VQLogitsClassifier(8, random_state=0).set_callbacks(monitor, ProgressBar())
    clf.fit(X, y)
    log = monitor.get_logs(select="most_recent").data_as_pandas
    scores = log[log["task_name"] == "iteration"]["neg_log_loss"].to_numpy()
    assert len(scores) == clf.n_iter_
    assert scores[-1] == pytest.approx(-clf.log_loss(X, y))
    assert "VQLogitsClassifier" in capsys.readouterr().out


def test_interrupt_keeps_the_codes_reached(digits):
    calls = []

    def scorer(estimator, X, y):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"score": 0.0}

    clf = VQLogitsClassifier(8, random_state=0)
    clf.set_callbacks(ScoringMonitor(scoring=scorer))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*digits)
    assert clf.n_iter_ == 3
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]
    assert np.isfinite(clf.log_loss(*digits))


def test_verbose_prints_the_objective(digits, capsys):
    VQLogitsClassifier(8, random_state=0, verbose=1).fit(*digits)
    assert "iteration 2: objective" in capsys.readouterr().out


def test_search_over_the_number_of_codes(digits):
    search = GridSearchCV(
        VQLogitsClassifier(random_state=0),
        {"n_codes": [2, 6, None], "within": ["prior", "uniform"]},
        scoring="neg_log_loss",
        cv=2,
    ).fit(*digits)
    assert search.best_params_["n_codes"] is None


def test_pickle_and_same_seed_same_codes(many_classes):
    X, y = many_classes
    clf = VQLogitsClassifier(20, random_state=3).fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict_topk(X), clf.predict_topk(X))
    again = clone(clf).fit(X, y)
    np.testing.assert_array_equal(again.codes_, clf.codes_)
    np.testing.assert_array_equal(again.codebook_, clf.codebook_)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_codes": 11}, "n_codes must be between 1 and .* 10, got 11"),
        ({"n_codes": 0}, "n_codes"),
        ({"n_codes": 1.5}, "n_codes"),
        ({"mapping": "nearest"}, "mapping"),
        ({"mapping": [0, 1]}, "mapping must have a code for each of the 10 classes"),
        ({"mapping": [-1] * 10}, "mapping must not be negative"),
        ({"mapping": [0.5] * 10}, "mapping must hold integers"),
        ({"within": "bias"}, "within"),
        ({"smoothing": 0.0}, "smoothing"),
        ({"C": 0.0}, "C"),
        ({"max_iter": 0}, "max_iter=0 keeps the coefficients of the estimator"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
    ],
)
def test_wrong_parameters_are_refused_by_name(digits, kwargs, match):
    with pytest.raises(ValueError, match=match):
        VQLogitsClassifier(**kwargs).fit(*digits)
