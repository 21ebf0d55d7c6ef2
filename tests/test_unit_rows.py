import numpy as np
import pytest
from scipy import sparse

from sklogit._unit_rows import row_lengths, unit_rows


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_unit_rows_divide_by_the_norm_with_the_constant(make, constant):
    X = np.random.default_rng(0).standard_normal((5, 4))
    X[X < 0.3] = 0.0
    X[2] = 0.0
    expected = np.column_stack([X, np.full(5, constant)]) if constant else X.copy()
    norms = np.linalg.norm(expected, axis=1)
    expected[norms > 0] /= norms[norms > 0, np.newaxis]
    rows = unit_rows(make(X), constant)
    assert sparse.issparse(rows) == sparse.issparse(make(X))
    found = rows.toarray() if sparse.issparse(rows) else rows
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_beyond_the_range_of_squares_have_a_direction(dtype):
    info = np.finfo(dtype)
    x = np.array([3.0, 4.0, 0.0], dtype=dtype)
    X = np.stack([x * (info.max / 8), x * info.tiny, x, 0 * x])
    expected = [[0.6, 0.8, 0]] * 3 + [[0, 0, 0]]
    for make in (np.asarray, sparse.csr_array):
        rows = unit_rows(make(X))
        rows = rows.toarray() if sparse.issparse(rows) else rows
        np.testing.assert_allclose(rows, expected, rtol=1e-6)
        assert rows.dtype == dtype
        np.testing.assert_allclose(
            row_lengths(make(X)), [5 * (info.max / 8), 5 * info.tiny, 5, 0], rtol=1e-6
        )


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_unit_rows_of_any_size_have_length_one_and_stay_as_they_are(size):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 7)) * size
    before = A.copy()
    rows = unit_rows(A)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
    np.testing.assert_allclose(rows * np.abs(A[:, :1]) / np.abs(rows[:, :1]), A)
    np.testing.assert_array_equal(A, before)
