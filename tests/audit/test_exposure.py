import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax

from sklogit.audit import LogitExposure

L = np.random.default_rng(0).standard_normal((50, 30)) * 3


def test_defaults_publish_everything():
    np.testing.assert_array_equal(LogitExposure().fit_transform(L), L)


def test_order_is_cap_log_probability_noise_rounding_top_k():
    exposure = LogitExposure(
        top_k=4, log_proba=True, decimals=1, noise_std=0.5, softcap=2.0, random_state=0
    ).fit(L)
    before = log_softmax(2 * np.tanh(L / 2), axis=1)
    noise = LogitExposure(noise_std=0.5, random_state=0).fit(L).transform(L) - L
    expected = np.round(before + noise, 1)
    for row, published in zip(expected, exposure.transform(L)):
        shown = ~np.isnan(published)
        assert shown.sum() == 4
        np.testing.assert_allclose(published[shown], row[shown], atol=1e-12)
        assert published[shown].min() >= np.sort(row)[-4] - 1e-12


def test_the_largest_logits_are_published():
    published = LogitExposure(top_k=5).fit_transform(L)
    for row, shown in zip(L, ~np.isnan(published)):
        assert set(np.flatnonzero(shown)) == set(np.argsort(-row)[:5])


def test_ties_publish_exactly_k():
    published = LogitExposure(top_k=2).fit_transform(np.zeros((3, 5)))
    np.testing.assert_array_equal((~np.isnan(published)).sum(axis=1), 2)


def test_sparse_output_stores_what_dense_output_shows():
    X = L.copy()
    X[0] = 0.0  # zeros are published too
    dense = LogitExposure(top_k=3, decimals=1).fit_transform(X)
    stored = LogitExposure(top_k=3, decimals=1, sparse_output=True).fit_transform(X)
    assert sparse.issparse(stored)
    assert stored.nnz == 150
    for i in range(50):
        part = slice(stored.indptr[i], stored.indptr[i + 1])
        columns = stored.indices[part]
        np.testing.assert_array_equal(columns, np.flatnonzero(~np.isnan(dense[i])))
        np.testing.assert_array_equal(stored.data[part], dense[i, columns])


def test_noise_of_a_query_does_not_average_away():
    exposure = LogitExposure(noise_std=1.0, random_state=0).fit(L)
    first = exposure.transform(L)
    np.testing.assert_array_equal(exposure.transform(L), first)
    # nor does the place of the query among others matter
    np.testing.assert_array_equal(exposure.transform(L[::-1])[::-1], first)
    again = exposure.transform(np.repeat(L[:1], 100, axis=0))
    np.testing.assert_array_equal(again, np.repeat(first[:1], 100, axis=0))


def test_fresh_noise_averages_away():
    exposure = LogitExposure(noise_std=1.0, per_query_noise=False, random_state=0)
    again = exposure.fit(L).transform(np.repeat(L[:1], 2500, axis=0))
    assert np.abs(again.mean(axis=0) - L[0]).max() < 5 / 50
    assert again.std(axis=0).mean() == pytest.approx(1.0, rel=0.05)


def test_noise_has_the_size_and_depends_on_the_seed():
    X = np.random.default_rng(1).standard_normal((400, 100))
    noise = [
        LogitExposure(noise_std=0.3, random_state=seed).fit_transform(X) - X
        for seed in (0, 1)
    ]
    assert noise[0].std() == pytest.approx(0.3, rel=0.02)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
    assert np.abs(np.corrcoef(noise[0][:20]) - np.eye(20)).max() < 0.5


def test_without_a_seed_fits_draw_other_noise():
    exposure = LogitExposure(noise_std=1.0)
    first = exposure.fit(L).transform(L)
    np.testing.assert_array_equal(exposure.transform(L), first)
    assert np.abs(exposure.fit(L).transform(L) - first).max() > 0.1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_type_of_what_is_published(dtype):
    published = LogitExposure(dtype=dtype).fit_transform(L)
    assert published.dtype == dtype
    np.testing.assert_array_equal(published, L.astype(dtype))


def test_input_is_not_changed():
    X = L.copy()
    LogitExposure(3, True, 1, 1.0, softcap=1.0).fit_transform(X)
    np.testing.assert_array_equal(X, L)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"top_k": 31}, "top_k must be at most the number of outputs, 30, got 31"),
        ({"top_k": 0}, "top_k"),
        ({"noise_std": -0.1}, "noise_std"),
        ({"softcap": 0.0}, "softcap"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        LogitExposure(**params).fit(L)


def test_logits_that_are_not_finite_are_refused():
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            LogitExposure().fit(np.where(L[0, 0] == L, bad, L))
