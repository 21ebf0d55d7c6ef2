"""Classifiers of epochs against pipelines of their parts and against pyRiemann."""

import numpy as np
import pytest
from moabb.pipelines.features import AugmentedDataset
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from pyriemann.geometry.distance import distance_riemann
from pyriemann.tangentspace import TangentSpace
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from sklogit.covariance import (
    AugmentedCovarianceClassifier,
    AugmentedCovarianceClassifierCV,
    AugmentedCovariances,
    AugmentedMDM,
    SPDTangentSpace,
    _tangent_space,
    riemannian_distances,
)
from sklogit.covariance import _classification as module
from sklogit.datasets import make_bci_epochs

BOTH = [AugmentedCovarianceClassifier, AugmentedMDM]
TRAIN, TEST = slice(0, 40), slice(40, 60)
REFERENCES = ["riemann", "kullback", "logeuclid", "euclid"]


@pytest.fixture(scope="module")
def two_classes():
    return make_bci_epochs(60, 4, 200, noise=1.0, random_state=0)


@pytest.fixture(scope="module")
def three_classes():
    X, y = make_bci_epochs(60, 4, 200, freqs=(9, 10, 11), noise=1.0, random_state=0)
    return X, np.array(["left", "right", "feet"])[y]


@pytest.fixture(params=["two classes", "three classes of strings"])
def data(request, two_classes, three_classes):
    return two_classes if request.param == "two classes" else three_classes


# AugmentedCovarianceClassifier


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("estimator", ["cov", "oas"])
def test_decisions_equal_the_pipeline_of_the_parts(data, estimator, reference):
    X, y = data
    pipeline = make_pipeline(
        AugmentedCovariances(3, 2, estimator),
        SPDTangentSpace(reference),
        SVC(kernel="linear"),
    ).fit(X[TRAIN], y[TRAIN])
    clf = AugmentedCovarianceClassifier(3, 2, estimator, reference=reference)
    clf.fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(clf.predict(X[TEST]), pipeline.predict(X[TEST]))
    np.testing.assert_allclose(
        clf.decision_function(X[TEST]), pipeline.decision_function(X[TEST]), atol=1e-10
    )
    assert clf.score(X[TEST], y[TEST]) == pipeline.score(X[TEST], y[TEST])
    np.testing.assert_array_equal(clf.classes_, np.unique(y))


def test_decisions_equal_moabb_and_pyriemann(data):
    X, y = data
    peer = make_pipeline(
        AugmentedDataset(3, 2), Covariances("cov"), TangentSpace(), SVC(kernel="linear")
    ).fit(X[TRAIN], y[TRAIN])
    clf = AugmentedCovarianceClassifier(3, 2, "cov").fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(clf.predict(X[TEST]), peer.predict(X[TEST]))
    np.testing.assert_allclose(
        clf.decision_function(X[TEST]), peer.decision_function(X[TEST]), atol=1e-5
    )


def test_time_structure_tells_apart_what_covariance_does_not():
    X, y = make_bci_epochs(120, 4, 500, random_state=0)
    scores = [
        AugmentedCovarianceClassifier(order, 2)
        .fit(X[:80], y[:80])
        .score(X[80:], y[80:])
        for order in (1, 4)
    ]
    assert scores[0] < 0.7
    assert scores[1] > 0.9


@pytest.mark.parametrize("structure", ["toeplitz", "circular"])
@pytest.mark.parametrize("trim", ["moabb", "full"])
def test_trim_and_structure_reach_the_covariances(two_classes, trim, structure):
    X, y = two_classes
    for options in ({"trim": trim}, {"structure": structure}):
        pipeline = make_pipeline(
            AugmentedCovariances(3, 5, "oas", **options), SPDTangentSpace()
        )
        features = pipeline.fit(X[TRAIN]).transform(X[TEST])
        clf = AugmentedCovarianceClassifier(3, 5, "oas", **options)
        clf.fit(X[TRAIN], y[TRAIN])
        np.testing.assert_allclose(clf._features(X[TEST]), features, atol=1e-12)


def test_fitted_attributes_are_those_of_the_parts(two_classes):
    X, y = two_classes
    clf = AugmentedCovarianceClassifier(3, 2, tol=1e-6, max_iter=7).fit(X, y)
    space = SPDTangentSpace(tol=1e-6, max_iter=7)
    space.fit(AugmentedCovariances(3, 2, "oas").fit_transform(X))
    np.testing.assert_array_equal(clf.tangent_space_.reference_, space.reference_)
    assert clf.n_iter_ == space.n_iter_
    assert (clf.n_channels_, clf.n_times_, clf.n_features_in_) == (4, 200, 4)


def test_inner_classifier_is_cloned_and_its_probabilities_are_handed_on(data):
    X, y = data
    inner = LogisticRegression(C=0.1)
    clf = AugmentedCovarianceClassifier(3, 2, classifier=inner).fit(X[TRAIN], y[TRAIN])
    assert not hasattr(inner, "coef_")
    pipeline = make_pipeline(
        AugmentedCovariances(3, 2, "oas"), SPDTangentSpace(), LogisticRegression(C=0.1)
    ).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_allclose(
        clf.predict_proba(X[TEST]), pipeline.predict_proba(X[TEST]), atol=1e-10
    )


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    ("inner", "proba", "decision"),
    [
        (None, False, True),
        (LogisticRegression(), True, True),
        (KNeighborsClassifier(), True, False),
    ],
    ids=["default SVC", "LogisticRegression", "KNeighbors"],
)
def test_methods_are_those_that_the_inner_classifier_has(
    two_classes, inner, proba, decision, fitted
):
    clf = AugmentedCovarianceClassifier(2, 2, classifier=inner)
    if fitted:
        clf.fit(*two_classes)
    assert hasattr(clf, "predict_proba") == proba
    assert hasattr(clf, "decision_function") == decision


def test_weights_reach_the_inner_classifier_and_the_mean(two_classes):
    X, y = two_classes
    weight = np.random.default_rng(0).uniform(0.2, 3, 60)
    C = AugmentedCovariances(3, 2, "oas").fit_transform(X)
    space = SPDTangentSpace().fit(C, sample_weight=weight)
    inner = SVC(kernel="linear").fit(space.transform(C), y, weight)
    clf = AugmentedCovarianceClassifier(3, 2).fit(X, y, weight)
    np.testing.assert_allclose(
        clf.decision_function(X), inner.decision_function(space.transform(C)), atol=1e-9
    )
    unweighted = AugmentedCovarianceClassifier(3, 2).fit(X, y)
    assert (
        np.abs(clf.decision_function(X) - unweighted.decision_function(X)).max() > 0.1
    )


def test_inner_classifier_that_takes_no_weights_gets_none(two_classes):
    X, y = two_classes
    weight = np.linspace(1, 2, 60)
    inner = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    clf = AugmentedCovarianceClassifier(2, 2, classifier=inner).fit(X, y, weight)
    C = AugmentedCovariances(2, 2, "oas").fit_transform(X)
    expected = SPDTangentSpace().fit(C, sample_weight=weight).reference_
    np.testing.assert_array_equal(clf.tangent_space_.reference_, expected)


# AugmentedMDM


@pytest.mark.parametrize("reference", ["riemann", "logeuclid"])
def test_mdm_equals_pyriemann(data, reference):
    X, y = data
    peer = make_pipeline(
        AugmentedDataset(3, 2),
        Covariances("cov"),
        MDM(metric={"mean": reference, "distance": "riemann"}),
    ).fit(X[TRAIN], y[TRAIN])
    mdm = AugmentedMDM(3, 2, "cov", reference=reference).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(mdm.predict(X[TEST]), peer.predict(X[TEST]))
    np.testing.assert_allclose(mdm.transform(X[TEST]), peer.transform(X[TEST]), 1e-6)
    np.testing.assert_allclose(
        mdm.predict_proba(X[TEST]), peer.predict_proba(X[TEST]), atol=1e-6
    )
    np.testing.assert_allclose(mdm.means_, peer[-1].covmeans_, atol=1e-5)


def test_mdm_decisions_do_not_depend_on_the_mixing_of_the_channels(data):
    X, y = data
    A = np.random.default_rng(0).standard_normal((4, 4))
    plain, mixed = (
        AugmentedMDM(3, 2, "cov").fit(x[TRAIN], y[TRAIN]) for x in (X, A @ X)
    )
    np.testing.assert_allclose(
        mixed.transform(A @ X[TEST]), plain.transform(X[TEST]), rtol=1e-6
    )


def test_distances_equal_pyriemann():
    A = np.random.default_rng(0).standard_normal((7, 5, 9))
    C = A @ A.transpose(0, 2, 1)
    found = riemannian_distances(C[:4], C[4:])
    expected = [[distance_riemann(a, b) for b in C[4:]] for a in C[:4]]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


# Both


@pytest.mark.parametrize("classifier", BOTH)
def test_weights_equal_replication(two_classes, classifier):
    X, y = two_classes
    repeats = np.arange(40) % 3
    weighted = classifier(2, 2).fit(X[TRAIN], y[TRAIN], repeats)
    repeated = classifier(2, 2).fit(
        np.repeat(X[TRAIN], repeats, axis=0), np.repeat(y[TRAIN], repeats)
    )
    method = "transform" if classifier is AugmentedMDM else "decision_function"
    found, expected = (getattr(c, method)(X[TEST]) for c in (weighted, repeated))
    # libsvm stops at 1e-3 of its own criterion.
    np.testing.assert_allclose(found, expected, atol=1e-2)
    np.testing.assert_array_equal(weighted.predict(X[TEST]), repeated.predict(X[TEST]))


@pytest.mark.parametrize("classifier", BOTH)
def test_two_jobs_give_the_same_decisions(data, classifier):
    X, y = data
    one, two = (classifier(3, 2, n_jobs=n).fit(X[TRAIN], y[TRAIN]) for n in (None, 2))
    np.testing.assert_array_equal(one.predict(X[TEST]), two.predict(X[TEST]))


@pytest.mark.parametrize("classifier", BOTH)
def test_two_d_epochs_equal_epochs_of_one_channel(two_classes, classifier):
    X, y = two_classes
    flat = classifier(3, 2).fit(X[TRAIN, 0], y[TRAIN])
    deep = classifier(3, 2).fit(X[TRAIN, :1], y[TRAIN])
    np.testing.assert_array_equal(flat.predict(X[TEST, 0]), deep.predict(X[TEST, :1]))


@pytest.mark.parametrize("classifier", BOTH)
def test_float32_epochs_give_the_same_classes(data, classifier):
    X, y = data
    single = classifier(3, 2).fit(X[TRAIN].astype(np.float32), y[TRAIN])
    double = classifier(3, 2).fit(X[TRAIN], y[TRAIN])
    found = single.predict(X[TEST].astype(np.float32))
    assert np.mean(found == double.predict(X[TEST])) >= 0.95


@pytest.mark.parametrize("classifier", BOTH)
def test_another_number_of_channels_is_refused_with_both_numbers(
    two_classes, classifier
):
    X, y = two_classes
    clf = classifier(2, 2).fit(X, y)
    with pytest.raises(ValueError, match=r"X has 3 features, .* expecting 4 features"):
        clf.predict(X[:, :3])
    with pytest.raises(ValueError, match=r"X has 1 channels, .* with 4 channels"):
        clf.predict(X[:, 0, :4])


@pytest.mark.parametrize("classifier", BOTH)
@pytest.mark.parametrize("estimator", ["cov", "scm", "corr"])
def test_too_few_samples_are_refused_before_any_covariance_is_computed(
    two_classes, classifier, estimator, monkeypatch
):
    X, y = two_classes
    monkeypatch.setattr(module, "augmented_covariance", None)
    message = (
        f"size 32 estimated with estimator='{estimator}' from 8 samples are singular "
        r"\(rank <= 7\). Use estimator='oas'"
    )
    with pytest.raises(ValueError, match=message):
        classifier(8, 4, estimator).fit(X[..., :40], y)


@pytest.mark.parametrize("classifier", BOTH)
@pytest.mark.parametrize("structure", ["toeplitz", "circular"])
def test_structured_covariances_use_all_samples_so_that_fewer_suffice(
    two_classes, classifier, structure
):
    # 8 samples have every copy, but 40 enter each matrix of size 16.
    X, y = two_classes
    clf = classifier(8, 4, "cov", structure=structure).fit(X[:, :2, :40], y)
    assert clf.predict(X[:, :2, :40]).shape == (60,)


@pytest.mark.parametrize("classifier", BOTH)
def test_too_short_epochs_are_refused_in_predict_too(two_classes, classifier):
    X, y = two_classes
    clf = classifier(3, 5).fit(X, y)
    with pytest.raises(ValueError, match="n_times=16 leaves 1 embedded samples"):
        clf.predict(X[..., :16])
    clf = classifier(3, 5, "cov").fit(X, y)
    with pytest.raises(ValueError, match=r"positive definite.*estimator='oas'"):
        clf.predict(X[..., :25])


@pytest.mark.parametrize("classifier", BOTH)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"y": np.zeros(60)}, "at least 2 classes, found 1 class", id="one"
        ),
        pytest.param({"y": np.linspace(0, 1, 60)}, "Unknown label type", id="real y"),
        pytest.param({"y": np.zeros(59)}, r"samples: \[60, 59\]", id="short y"),
        pytest.param({"order": 40}, "order=40 and lag=2: n_times=", id="order"),
        pytest.param({"order": 0}, "'order' parameter", id="order 0"),
        pytest.param({"lag": 1.5}, "'lag' parameter", id="lag"),
        pytest.param({"reference": "no"}, "'reference' parameter", id="reference"),
        pytest.param({"tol": 0}, "'tol' parameter", id="tol"),
        pytest.param({"weight": -np.ones(60)}, "Negative values", id="negative"),
        pytest.param(
            {"weight": np.ones(59)}, r"\(59,\), expected \(60,\)", id="weight"
        ),
    ],
)
def test_bad_input_is_refused(two_classes, classifier, change, message):
    X, y = two_classes
    y, weight = change.get("y", y), change.get("weight")
    names = ("order", "lag", "reference", "tol")
    parameters = {"order": 2, "lag": 2} | {k: change[k] for k in names if k in change}
    with pytest.raises(ValueError, match=message):
        classifier(**parameters).fit(X[..., :60], y, weight)


@pytest.mark.parametrize("classifier", BOTH)
def test_class_without_positive_weight_is_refused_by_name(three_classes, classifier):
    X, y = three_classes
    with pytest.raises(ValueError, match=r"positive weight; .*'right'.* has none"):
        classifier(2, 2).fit(X, y, (y != "right").astype(float))


@pytest.mark.parametrize("classifier", BOTH)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_refit_keeps_the_earlier_fit(
    two_classes, three_classes, classifier, error, monkeypatch
):
    X, y = two_classes
    clf = classifier(3, 2).fit(X, y)
    before, attributes = clf.predict(X), dict(vars(clf))

    def interrupt(*args, **kwargs):
        raise error

    monkeypatch.setattr(_tangent_space, "riemannian_mean", interrupt)
    with pytest.raises(error):
        clf.fit(three_classes[0][:, :3], three_classes[1])
    assert vars(clf) == attributes
    np.testing.assert_array_equal(clf.predict(X), before)


# scikit-learn's own checks, on epochs of one channel


class TwoDClassifier(AugmentedCovarianceClassifier):
    """At order 1 the two-dimensional tables of the checks are long enough."""

    def __init__(self, order=1, lag=1, estimator="oas", classifier=None):
        super().__init__(order, lag, estimator, classifier=classifier)


class TwoDMDM(AugmentedMDM):
    def __init__(self, order=1, lag=1, estimator="oas"):
        super().__init__(order, lag, estimator)


class TwoDCV(AugmentedCovarianceClassifierCV):
    def __init__(self, orders=(1,), lags=(1,), Cs=(1.0,), kernels=("linear",), cv=2):
        super().__init__(orders, lags, Cs, kernels, cv=cv)


def _two_d_tags(self):
    tags = super(type(self), self).__sklearn_tags__()
    tags.input_tags.two_d_array = True
    # The variance of a row of unrelated features tells little about its class.
    tags.classifier_tags.poor_score = True
    return tags


for _class in (TwoDClassifier, TwoDMDM, TwoDCV):
    _class.__sklearn_tags__ = _two_d_tags

# These checks make tables with a constant row, an epoch without variance, whose
# covariance is rightly refused as singular.
HAVE_A_CONSTANT_ROW = {
    "check_classifier_data_not_an_array",
    "check_estimators_dtypes",
    "check_sample_weights_not_an_array",
    "check_sample_weights_not_overwritten",
    "check_sample_weights_pandas_series",
    "check_sample_weights_shape",
}


@pytest.mark.parametrize("estimator", [TwoDClassifier(), TwoDMDM(), TwoDCV()], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn_pass_on_two_d_epochs(estimator):
    expected = dict.fromkeys(HAVE_A_CONSTANT_ROW, "a row is constant")
    results = check_estimator(
        estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
    )
    errors = {r["check_name"]: r["exception"] for r in results if r["exception"]}
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert {name for name in errors if name not in skipped} == set(expected)
    for name in HAVE_A_CONSTANT_ROW:
        reasons = f"{errors[name]} {errors[name].__context__}"
        assert "eigenvalues from 0 to 0" in reasons, name
