"""A student of several teachers: its objective, its teachers, rows and sequences."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback
from torch import nn

from sklogit.distillation import FusionDistillationClassifier
from sklogit.losses import graph_logit_loss, top_logits, uld_loss
from sklogit.neural import LogitClassifier

FAST = {"max_epochs": 3, "random_state": 0}


def data(n=90, n_classes=3, seed=0):
    return make_classification(
        n,
        6,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        random_state=seed,
    )


def foreign_teachers(X, y):
    """Two fitted teachers whose classes are not those of y."""
    return [
        ("coarse", LogisticRegression().fit(X, y > 0)),
        ("fine", GaussianNB().fit(X, 2 * y + (X[:, 0] > 0))),
    ]


def parameters_of(student):
    return [p.detach().numpy() for p in student.net_.module_.parameters()]


def assert_same_student(first, second, **tolerance):
    for a, b in zip(parameters_of(first), parameters_of(second)):
        np.testing.assert_allclose(a, b, **tolerance)


@parametrize_with_checks(
    [
        FusionDistillationClassifier(
            [("one", LogisticRegression()), ("two", LogisticRegression(C=0.1))],
            max_epochs=20,
            batch_size=-1,
            dtype="float64",
            random_state=0,
        )
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- the objective ---------------------------------------------------------------------


@pytest.mark.parametrize("weight", [False, True])
def test_history_has_the_terms_of_the_objective(weight):
    X, y = data()
    weight = np.arange(len(y)) % 3 + 0.5 if weight else None
    teachers = {"a": np.random.default_rng(0).standard_normal((len(y), 7))}
    teachers["b"] = 2 * np.random.default_rng(1).standard_normal((len(y), 2))
    options = {"lam": 0.3, "uld_weight": 2.0, "gld_weight": 5.0, "k": 2}
    student = FusionDistillationClassifier(
        teacher_weights=[1, 3],
        temperature=1.5,
        batch_size=-1,
        dtype="float64",
        max_epochs=2,
        lr=1e-12,  # the student stays as it was drawn
        random_state=0,
        **options,
    ).fit(X, y, teacher_logits=teachers, sample_weight=weight)
    logits = student.decision_function(X)
    log_p = student.predict_log_proba(X)
    sft = np.average(-log_p[np.arange(len(y)), y], weights=weight)
    shared = {"temperature": 1.5, "sample_weight": weight}
    uld = [uld_loss(logits, t, **shared) for t in teachers.values()]
    gld = [graph_logit_loss(logits, t, k=2, **shared) for t in teachers.values()]
    total = 0.7 * sft + 0.3 * (
        0.25 * (2 * uld[0] + 5 * gld[0]) + 0.75 * (2 * uld[1] + 5 * gld[1])
    )
    history = student.history_
    np.testing.assert_allclose(history["sft"], sft, rtol=1e-6)
    np.testing.assert_allclose(history["uld"], [uld] * 2, rtol=1e-6)
    np.testing.assert_allclose(history["gld"], [gld] * 2, rtol=1e-6)
    np.testing.assert_allclose(history["loss"], total, rtol=1e-6)


def test_without_weight_of_the_teachers_it_is_plain_training():
    X, y = data()
    student = FusionDistillationClassifier(lam=0, **FAST).fit(X, y)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    plain = plain_net(seed).fit(X.astype(np.float32), y)
    np.testing.assert_allclose(
        student.predict_proba(X), plain.predict_proba(X.astype(np.float32)), rtol=1e-5
    )
    assert student.teachers_ == []
    assert np.isnan(student.history_["uld"]).all()


def plain_net(seed):
    def perceptron():
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 64), nn.ReLU())

    return LogitClassifier(
        perceptron,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
        lr=0.05,
        max_epochs=3,
        batch_size=64,
        random_state=seed,
    )


def test_teachers_change_the_student():
    X, y = data()
    teachers = foreign_teachers(X, y)
    plain = FusionDistillationClassifier(lam=0, **FAST).fit(X, y)
    for uld_weight, gld_weight in ((1, 0), (0, 1)):
        student = FusionDistillationClassifier(
            teachers, uld_weight=uld_weight, gld_weight=gld_weight, **FAST
        ).fit(X, y)
        change = [
            np.abs(a - b).max()
            for a, b in zip(parameters_of(student), parameters_of(plain))
        ]
        assert max(change) > 1e-3


def test_losses_of_the_teachers_alone_are_minimised():
    # With lam=1 the labels do not count: the student takes the teacher's probabilities,
    # of classes in an order that it finds itself.
    X, y = data(n=200)
    teacher = LogisticRegression().fit(X, y)
    student = FusionDistillationClassifier(
        [("t", FrozenEstimator(teacher))], lam=1, max_epochs=60, random_state=0
    )
    with pytest.warns(UserWarning, match="have the classes of y"):
        student.fit(X, y)
    history = student.history_
    assert history["uld"][-1] < 0.2 * history["uld"][0]


def test_a_teacher_of_weight_zero_does_not_count():
    X, y = data()
    first, second = foreign_teachers(X, y)
    both = FusionDistillationClassifier(
        [first, second], teacher_weights=[1, 0], **FAST
    ).fit(X, y)
    alone = FusionDistillationClassifier([first], **FAST).fit(X, y)
    assert_same_student(both, alone, rtol=1e-6, atol=1e-7)
    assert np.isnan(both.history_["uld"][:, 1]).all()


def test_weights_of_teachers_are_scaled():
    X, y = data()
    teachers = foreign_teachers(X, y)
    first, second = (
        FusionDistillationClassifier(teachers, teacher_weights=w, **FAST).fit(X, y)
        for w in ([1, 3], [2, 6])
    )
    assert_same_student(first, second)
    np.testing.assert_allclose(second.teacher_weights_, [0.25, 0.75])


def test_the_order_of_a_teachers_classes_does_not_count():
    X, y = data()
    logits = np.random.default_rng(0).standard_normal((len(y), 7))
    students = [
        FusionDistillationClassifier(dtype="float64", **FAST).fit(
            X, y, teacher_logits=t
        )
        for t in (logits, logits[:, ::-1].copy())
    ]
    assert_same_student(*students, rtol=1e-7, atol=1e-9)


def test_rows_of_weight_zero_are_as_if_missing():
    X, y = data()
    kept = np.arange(len(y)) % 3 > 0
    logits = np.random.default_rng(0).standard_normal((len(y), 7))
    student = FusionDistillationClassifier(batch_size=-1, dtype="float64", **FAST)
    weighted = clone(student).fit(
        X, y, teacher_logits=logits, sample_weight=kept.astype(float)
    )
    fewer = clone(student).fit(X[kept], y[kept], teacher_logits=logits[kept])
    assert_same_student(weighted, fewer, rtol=1e-7, atol=1e-9)


# -- teachers --------------------------------------------------------------------------


def test_teachers_may_have_any_classes():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y), **FAST).fit(X, y)
    assert student.teacher_names_ == ["coarse", "fine"]
    assert set(student.predict(X)) <= {0, 1, 2}
    assert list(student.named_teachers_) == ["coarse", "fine"]


def test_fitted_teachers_are_used_as_they_are_and_others_are_fitted():
    X, y = data()
    fitted = LogisticRegression().fit(X, y > 0)
    unfitted = GaussianNB()
    student = FusionDistillationClassifier(
        [("fitted", fitted), ("unfitted", unfitted)], **FAST
    ).fit(X, y)
    assert student.teachers_[0] is fitted
    assert student.teachers_[1] is not unfitted
    assert not hasattr(unfitted, "classes_")
    np.testing.assert_array_equal(student.teachers_[1].classes_, [0, 1, 2])
    refitted = FusionDistillationClassifier(
        [("fitted", fitted)], teacher_prefit=False, **FAST
    ).fit(X, y)
    np.testing.assert_array_equal(refitted.teachers_[0].classes_, [0, 1, 2])
    with pytest.raises(NotFittedError, match="teacher 'unfitted'"):
        student.set_params(teacher_prefit=True).fit(X, y)


def test_modules_and_callables_are_teachers():
    X, y = data()
    module = nn.Sequential(nn.Linear(6, 4), nn.Dropout())
    before = module[0].weight.detach().clone()
    student = FusionDistillationClassifier(
        [("module", module), ("function", lambda X: X[:, :5])], **FAST
    ).fit(X, y)
    assert torch.equal(module[0].weight, before)
    assert module.training
    np.testing.assert_array_equal(student.history_["uld"].shape, (3, 2))


def test_default_teacher_is_a_net_of_scikit_learn():
    X, y = data()
    student = FusionDistillationClassifier(**FAST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        student.fit(X, y)
    assert isinstance(student.named_teachers_.mlp, MLPClassifier)


def test_given_logits_are_those_of_the_teachers():
    X, y = data()
    teachers = foreign_teachers(X, y)
    expected = FusionDistillationClassifier(teachers, **FAST).fit(X, y)
    margin = teachers[0][1].decision_function(X)
    logits = {
        "coarse": np.column_stack([-margin / 2, margin / 2]),
        "fine": teachers[1][1].predict_log_proba(X),
    }
    for given in (logits, list(logits.values())):
        student = FusionDistillationClassifier(**FAST).fit(X, y, teacher_logits=given)
        assert_same_student(student, expected, rtol=1e-3, atol=1e-5)
    assert student.teacher_names_ == ["teacher_0", "teacher_1"]


def test_the_greatest_logits_are_enough():
    X, y = data()
    logits = np.random.default_rng(0).standard_normal((len(y), 30))
    pair = top_logits(logits, 3)
    student = FusionDistillationClassifier(uld_weight=0, k=3, **FAST)
    whole = clone(student).fit(X, y, teacher_logits=logits)
    greatest = clone(student).fit(X, y, teacher_logits=pair)
    assert_same_student(whole, greatest, rtol=1e-4, atol=1e-6)


def test_a_teacher_with_the_classes_of_y_is_named_in_a_warning():
    X, y = data()
    teachers = [("known", GaussianNB().fit(X, y)), *foreign_teachers(X, y)]
    with pytest.warns(UserWarning, match=r"Teachers \['known'\] have the classes of y"):
        FusionDistillationClassifier(teachers, **FAST).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FusionDistillationClassifier(teachers[1:], **FAST).fit(X, y)


def test_teachers_fitted_on_frames_get_frames():
    X, y = load_iris(return_X_y=True, as_frame=True)
    teacher = LogisticRegression(max_iter=500).fit(X, y == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student = FusionDistillationClassifier([("t", teacher)], **FAST).fit(X, y)
        student.predict(X)
    assert list(student.feature_names_in_) == list(X.columns)
    assert isinstance(X, pd.DataFrame)


def test_sparse_data():
    X, y = data()
    X = np.where(np.abs(X) > 0.5, X, 0)
    teachers = [("t", LogisticRegression().fit(X, y > 0))]
    dense = FusionDistillationClassifier(teachers, **FAST).fit(X, y)
    student = FusionDistillationClassifier(teachers, **FAST)
    student.fit(sparse.coo_array(X), y)
    assert_same_student(student, dense, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        student.predict(sparse.csr_array(X)), dense.predict(X)
    )


def test_weights_go_to_the_teachers_that_are_fitted():
    X, y = data()
    weight = np.arange(len(y)) % 4 + 1.0
    student = FusionDistillationClassifier([("t", LogisticRegression())], **FAST)
    student.fit(X, y, sample_weight=weight)
    expected = LogisticRegression().fit(X, y, sample_weight=weight).coef_
    np.testing.assert_allclose(student.named_teachers_.t.coef_, expected)
    student.set_params(t=KNeighborsClassifier())
    with pytest.raises(ValueError, match="teacher 't', a KNeighborsClassifier, takes"):
        student.fit(X, y, sample_weight=weight)


def test_weights_are_routed():
    X, y = data()
    weight = np.arange(len(y)) % 4 + 1.0
    with config_context(enable_metadata_routing=True):
        teacher = LogisticRegression().set_fit_request(sample_weight=False)
        student = FusionDistillationClassifier([("t", teacher)], **FAST)
        student.set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight)
    unweighted = LogisticRegression().fit(X, y).coef_
    np.testing.assert_allclose(student.named_teachers_.t.coef_, unweighted)


def test_parameters_of_teachers_are_parameters():
    student = FusionDistillationClassifier([("t", LogisticRegression(C=3.0))], **FAST)
    assert student.get_params()["t__C"] == 3.0
    X, y = data()
    search = GridSearchCV(student, {"t__C": [0.1, 1.0], "lam": [0.2, 0.8]}, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


# -- groups, batches, partial fits -----------------------------------------------------


def test_minibatches_are_made_of_whole_groups():
    X, y = data()
    groups = np.arange(len(y)) % 11
    logits = np.column_stack([groups, -groups]).astype(float)
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(x[:, 5].detach().numpy().copy())
            return super().forward(x)

    X[:, 5] = groups
    FusionDistillationClassifier(
        backbone=lambda: Watched(6, 4), batch_size=20, max_epochs=2, random_state=0
    ).fit(X, y, teacher_logits=logits, groups=groups)
    batches = [batch for batch in seen if len(batch) > 2]  # not the example rows
    counts = np.bincount(groups)
    for batch in batches:
        values, n_rows = np.unique(batch, return_counts=True)
        np.testing.assert_array_equal(n_rows, counts[values.astype(int)])
        assert len(batch) <= 20 + counts.max()
    assert sum(map(len, batches)) == 2 * len(y)


def test_a_graph_is_that_of_a_group():
    X, y = data()
    groups = np.arange(len(y)) % 4
    # Surer than the student in half of the groups, and less sure in the others.
    logits = np.random.default_rng(0).standard_normal((len(y), 7))
    logits *= np.array([0.1, 0.1, 5, 5])[groups, np.newaxis]
    student = FusionDistillationClassifier(
        batch_size=-1, max_epochs=1, lr=1e-12, dtype="float64", random_state=0
    ).fit(X, y, teacher_logits=logits, groups=groups)
    ours = student.decision_function(X)
    expected = graph_logit_loss(ours, logits, groups=groups)
    np.testing.assert_allclose(student.history_["gld"], [[expected]], rtol=1e-6)
    assert abs(graph_logit_loss(ours, logits) / expected - 1) > 1e-3


def test_partial_fit_passes_over_the_data_once():
    X, y = data()
    teachers = foreign_teachers(X, y)
    student = FusionDistillationClassifier(teachers, random_state=0)
    student.partial_fit(X[:40], y[:40], classes=[0, 1, 2])
    assert student.n_iter_ == 1
    before = parameters_of(student)[0].copy()
    student.partial_fit(X[40:], y[40:])
    assert student.n_iter_ == 2
    assert np.abs(parameters_of(student)[0] - before).max() > 0
    with pytest.raises(ValueError, match="that are not in"):
        student.partial_fit(X, y + 5)
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        student.partial_fit(X, y, classes=[0, 1])
    assert student.n_iter_ == 2


def test_logits_are_given_in_every_partial_fit():
    X, y = data()
    student = FusionDistillationClassifier(random_state=0)
    student.partial_fit(X, y, teacher_logits={"a": X, "b": X})
    with pytest.raises(ValueError, match="teacher_logits must be given, as they were"):
        student.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"must be those of \['a', 'b'\]"):
        student.partial_fit(X, y, teacher_logits={"a": X})


def test_pickles_and_clones():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y), **FAST).fit(X, y)
    copy = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(copy.predict_proba(X), student.predict_proba(X))
    assert not hasattr(clone(student), "net_")
    again = FusionDistillationClassifier(foreign_teachers(X, y), **FAST).fit(X, y)
    assert_same_student(again, student)


def test_a_backbone_is_copied():
    X, y = data()
    backbone = nn.Sequential(nn.Linear(6, 8), nn.Tanh())
    before = backbone[0].weight.detach().clone()
    student = FusionDistillationClassifier(
        foreign_teachers(X, y), backbone=backbone, **FAST
    ).fit(X, y)
    assert torch.equal(backbone[0].weight, before)
    assert len(parameters_of(student)) == 4


# -- sequences -------------------------------------------------------------------------

N_TOKENS = 12


class TokenNet(nn.Module):
    """A feature vector for each token, from it and the one before."""

    def __init__(self, width=8):
        super().__init__()
        self.embedding = nn.Embedding(N_TOKENS, width)
        self.layer = nn.Linear(2 * width, width)

    def forward(self, tokens):
        e = self.embedding(tokens)
        before = torch.roll(e, 1, dims=1)
        return torch.relu(self.layer(torch.cat([e, before], dim=-1)))


def sequences(n=40, length=9, seed=0):
    """Tokens that follow each other by a rule, three times of four."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(N_TOKENS, size=(n, length + 1))
    for t in range(length):
        follows = rng.random(n) < 0.75
        tokens[follows, t + 1] = (5 * tokens[follows, t] + 3) % N_TOKENS
    return tokens[:, :-1], tokens[:, 1:]


def test_next_tokens_are_learnt_from_a_teacher_of_another_vocabulary():
    X, y = sequences()

    def teacher(tokens):
        """Logits of another tokeniser, with more tokens and fewer positions."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((len(tokens), 7, 30))

    student = FusionDistillationClassifier(
        [("other", teacher)],
        lam=0.1,
        backbone=TokenNet,
        batch_size=8,
        max_epochs=30,
        random_state=0,
    ).fit(X, y)
    assert student.predict(X).shape == y.shape
    assert student.predict_proba(X).shape == (*y.shape, N_TOKENS)
    assert student.score(X, y) > 0.6
    assert student.history_["gld"].shape == (30, 1)
    np.testing.assert_allclose(student.predict_proba(X).sum(axis=2), 1, rtol=1e-5)


def test_terms_of_sequences():
    X, y = sequences()
    logits = np.random.default_rng(0).standard_normal((len(X), 9, 30))
    y = y.copy()
    y[:, 6:] = -100
    y[:20, 4:] = -100
    student = FusionDistillationClassifier(
        backbone=TokenNet,
        batch_size=-1,
        max_epochs=1,
        lr=1e-12,
        dtype="float64",
        random_state=0,
    ).fit(X, y, teacher_logits=logits)
    weight = (y != -100).astype(float)
    ours, log_p = student.decision_function(X), student.predict_log_proba(X)
    nll = -np.take_along_axis(log_p, np.where(y < 0, 0, y)[..., None], 2)[..., 0]
    history = student.history_
    np.testing.assert_allclose(history["sft"], np.average(nll, weights=weight), 1e-6)
    uld = uld_loss(ours, logits, sample_weight=weight)
    gld = graph_logit_loss(ours, logits, sample_weight=weight)
    np.testing.assert_allclose(history["uld"], [[uld]], rtol=1e-6)
    np.testing.assert_allclose(history["gld"], [[gld]], rtol=1e-6)


def test_pairs_of_sequences():
    X, y = sequences()
    logits = np.random.default_rng(0).standard_normal((len(X), 9, 30))
    student = FusionDistillationClassifier(
        backbone=TokenNet, uld_weight=0, k=4, nodes="vocab", **FAST
    )
    whole = clone(student).fit(X, y, teacher_logits=logits)
    pair = clone(student).fit(X, y, teacher_logits=top_logits(logits, 4))
    assert_same_student(whole, pair, rtol=1e-4, atol=1e-6)


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"teachers": []}, "teachers must have at least one teacher"),
        ({"teachers": [("a", GaussianNB()), ("a", GaussianNB())]}, "different names"),
        ({"teachers": [("lam", GaussianNB())]}, r"no parameters .* got \['lam'\]"),
        ({"teachers": [("a__b", GaussianNB())]}, "without '__'"),
        ({"teacher_weights": [1.0, 2.0]}, "one weight for each of the 1 teachers"),
        (
            {"teacher_weights": [-1.0]},
            "teacher_weights must be finite and not negative",
        ),
        ({"teacher_weights": [0.0]}, "with a sum > 0"),
        ({"k": 4}, "k must be from 2 to 3, the number of outputs of the student"),
        ({"k": 1}, "'k' parameter"),
        ({"lam": 1.5}, "'lam' parameter"),
        ({"uld_weight": -1.0}, "'uld_weight' parameter"),
        ({"logit_transform": "log"}, "'logit_transform' parameter"),
        ({"temperature": 0.0}, "'temperature' parameter"),
        ({"teacher_weights": ["a"]}, r"teacher_weights must be numbers, got \['a'\]"),
        ({"classes": [0, 1, 2, 2]}, "classes must be different labels"),
        ({"device": 3.5}, "'device' parameter"),
        ({"hidden_layer_sizes": (True,)}, "hidden_layer_sizes must be integers >= 1"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be integers >= 1"),
    ],
)
def test_parameters_that_are_not_allowed(params, match):
    X, y = data()
    params = {"teachers": [("t", LogisticRegression())]} | params
    with pytest.raises(ValueError, match=match):
        FusionDistillationClassifier(**params, **FAST).fit(X, y)


@pytest.mark.parametrize(
    ("logits", "match"),
    [
        ([], "teacher_logits must have the logits of at least one teacher"),
        (
            {"a": np.ones((90, 2)), "b": np.full((90, 2), np.nan)},
            r"\['b'\] must give fin",
        ),
        ({"a": np.where(np.arange(180) == 7, np.inf, 0).reshape(90, 2)}, "row 3"),
        (np.ones((89, 4)), "must have logits of as many rows as X, 90, got 89"),
        (np.ones(90), r"must give logits of shape \(90, n_classes\).*\(90,\)\.$"),
        (np.ones((90, 1)), r"'teacher_0' must have at least 2 outputs, got 1"),
        ((np.ones((90, 2)), np.ones((90, 2))), "must hold logarithms of probabilities"),
        ((-np.ones((8, 2)), np.ones((8, 2))), "with 90 rows, as X has"),
    ],
)
def test_logits_that_are_not_allowed(logits, match):
    X, y = data()
    with pytest.raises(ValueError, match=match):
        FusionDistillationClassifier(**FAST).fit(X, y, teacher_logits=logits)


@pytest.mark.parametrize("logits", [3, "abc", {1, 2}])
def test_what_holds_no_logits_is_refused(logits):
    X, y = data()
    with pytest.raises(TypeError, match="teacher_logits must be an array, a pair of"):
        FusionDistillationClassifier(**FAST).fit(X, y, teacher_logits=logits)


def test_training_that_diverges_is_an_error():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y), lr=1e30, **FAST)
    with pytest.raises(ValueError, match=r"diverged.*smaller lr than 1e\+30"):
        student.fit(X, y)


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupted_fit_keeps_the_earlier_student():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y), **FAST).fit(X, y)
    before = student.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        student.set_params(callbacks=[Interrupt()]).fit(X, y)
    np.testing.assert_array_equal(student.predict_proba(X), before)


def test_more_nodes_than_a_teacher_has_outputs():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y)[:1], k=3, **FAST)
    with pytest.raises(ValueError, match="to 2, the number of outputs of teacher 'coa"):
        student.fit(X, y)


def test_things_that_are_no_teachers():
    X, y = data()
    with pytest.raises(TypeError, match=r"teachers must be pairs \(name, teacher\)"):
        FusionDistillationClassifier([LogisticRegression()], **FAST).fit(X, y)
    with pytest.raises(
        TypeError, match="teacher 'a' must be a classifier, a torch mod"
    ):
        FusionDistillationClassifier([("a", 3)], **FAST).fit(X, y)


def test_data_that_are_not_allowed():
    X, y = data()
    student = FusionDistillationClassifier([("t", RidgeClassifier())], **FAST)
    nan_row = X.copy()
    nan_row[2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        student.fit(nan_row, y)
    with pytest.raises(ValueError, match="only one class"):
        student.fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match="backbone must be given"):
        student.fit(X, np.zeros((len(y), 6), int) + np.arange(6))
    with pytest.raises(ValueError, match="groups must be None"):
        student.set_params(backbone=TokenNet).fit(*sequences(), groups=np.ones(40))
    with pytest.raises(ValueError, match="teacher 't' must be fitted"):
        student.fit(*sequences())
    student.set_params(backbone=None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        student.fit(X, y, groups=[1, 2])


def test_a_failed_fit_keeps_the_earlier_student():
    X, y = data()
    student = FusionDistillationClassifier(foreign_teachers(X, y), **FAST).fit(X, y)
    before = student.predict_proba(X)
    with pytest.raises(ValueError, match="finite"):
        student.fit(X, y, teacher_logits=np.full((90, 2), np.nan))
    np.testing.assert_array_equal(student.predict_proba(X), before)
    assert student.teacher_names_ == ["coarse", "fine"]


def test_history_before_fit():
    with pytest.raises(AttributeError, match="has no history_ before fit"):
        FusionDistillationClassifier().history_  # noqa: B018
