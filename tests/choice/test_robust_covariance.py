import numpy as np
import pytest
from scipy import sparse

from sklogit.choice import ConditionalLogit

from .logs import make_log


def by_hand(clf, X, y, groups, clusters, weight=None):
    """The sandwich from scores of impressions, in a loop; without a penalty."""
    n_coefs = len(clf.covariance_)
    ones = np.ones((len(y), n_coefs - X.shape[1]))
    design = np.column_stack([X, ones])
    proba = clf.predict_proba(X, groups)[:, 1]
    weight = np.ones(len(y)) if weight is None else weight
    meat = np.zeros((n_coefs, n_coefs))
    for c in np.unique(clusters):
        rows = clusters == c
        score = (weight[rows] * (y - proba)[rows]) @ design[rows]
        meat += np.outer(score, score)
    return clf.covariance_ @ meat @ clf.covariance_


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_it_is_a_sandwich_of_scores(outside, convert):
    X, y, groups = make_log(outside=outside)
    X += 2.0  # another origin, of which choices know nothing
    weight = 1.0 + groups % 2
    clf = ConditionalLogit(C=np.inf, outside_option=outside)
    clf.fit(X, y, groups, weight)
    shuffled = np.random.default_rng(0).permutation(len(y))
    found = clf.robust_covariance(
        convert(X)[shuffled], y[shuffled], groups[shuffled], weight[shuffled]
    )
    expected = by_hand(clf, X, y, groups, groups, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_clusters_are_summed_before_they_are_squared():
    X, y, groups = make_log()
    persons = groups // 5
    clf = ConditionalLogit(C=np.inf).fit(X, y, groups)
    found = clf.robust_covariance(X, y, groups, clusters=persons)
    expected = by_hand(clf, X, y, groups, persons)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    names = [f"person {p}" for p in persons]
    again = clf.robust_covariance(X, y, groups, clusters=names)
    np.testing.assert_allclose(again, found, rtol=1e-12)


def test_of_single_rows_it_is_that_of_statsmodels():
    peer = pytest.importorskip("statsmodels.discrete.discrete_model")
    X, y, _ = make_log()
    clf = ConditionalLogit(C=np.inf).fit(X, y)
    theirs = peer.Logit(y, np.column_stack([X, np.ones(len(X))]))
    theirs = theirs.fit(disp=0, cov_type="HC0")
    table = clf.summary(clf.robust_covariance(X, y))
    np.testing.assert_allclose(table.std_err, theirs.bse, rtol=1e-5)
    np.testing.assert_allclose(table.p_value, theirs.pvalues, rtol=1e-4, atol=1e-12)


def test_repeated_persons_do_not_count_twice():
    X, y, groups = make_log()
    clf = ConditionalLogit(C=np.inf).fit(X, y, groups)
    once = clf.robust_covariance(X, y, groups)
    twice = ConditionalLogit(C=np.inf).fit(
        np.vstack([X, X]), np.tile(y, 2), np.append(groups, groups + 1000)
    )
    found = twice.robust_covariance(
        np.vstack([X, X]),
        np.tile(y, 2),
        np.append(groups, groups + 1000),
        clusters=np.tile(groups, 2),
    )
    np.testing.assert_allclose(found, once, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(2 * twice.covariance_, clf.covariance_, rtol=1e-6)


def test_it_serves_fits_that_have_no_covariance():
    X, y, groups = make_log()
    newton = ConditionalLogit(C=np.inf).fit(X, y, groups)
    lbfgs = ConditionalLogit(C=np.inf, solver="lbfgs").fit(X, y, groups)
    found = lbfgs.summary(lbfgs.robust_covariance(X, y, groups)).std_err
    expected = np.sqrt(np.diag(newton.robust_covariance(X, y, groups)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_bad_clusters_are_named():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    names = np.array([f"person {g}" for g in groups], dtype=object)
    names[0] = "nobody"  # the first impression has more than one row
    with pytest.raises(ValueError, match="got nobody and person 0 in one"):
        clf.robust_covariance(X, y, groups, clusters=names)
    with pytest.raises(ValueError, match="clusters must not be missing"):
        clf.robust_covariance(X, y, groups, clusters=np.where(groups, 1.0, np.nan))


def test_impressions_in_two_clusters_and_other_shapes_are_refused():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    with pytest.raises(ValueError, match="clusters must be the same for all rows"):
        clf.robust_covariance(X, y, groups, clusters=np.arange(len(y)))
    with pytest.raises(ValueError, match=r"covariance must have shape \(4, 4\)"):
        clf.summary(np.eye(3))
