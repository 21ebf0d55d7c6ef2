import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hadamard

from sklogit.sketching import kronecker_sketch


def problem(n1, n2, d1, d2, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    A1, A2 = rng.standard_normal((n1, d1)), rng.standard_normal((n2, d2))
    B = A1 @ rng.standard_normal((d1, d2)) @ A2.T
    return A1, A2, B + noise * rng.standard_normal((n1, n2))


def sketch_matrix(n1, n2, sketch_size, seed=0):
    """S itself: the sketch of the identity."""
    return kronecker_sketch(
        np.eye(n1), np.eye(n2), None, sketch_size, random_state=seed
    )[0]


@pytest.mark.parametrize(("n1", "n2"), [(8, 8), (5, 9), (16, 3), (1, 7), (6, 1)])
def test_both_parts_are_multiplied_by_the_same_matrix(n1, n2):
    A1, A2, B = problem(n1, n2, 3, 2)
    S = sketch_matrix(n1, n2, 7)
    SA, SB = kronecker_sketch(A1, A2, B, 7, random_state=0)
    np.testing.assert_allclose(SA, S @ np.kron(A1, A2), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(SB, S @ B.ravel(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n1", "n2"), [(8, 8), (4, 16), (32, 2), (1, 8)])
def test_rows_are_signed_rows_of_a_kronecker_product(n1, n2):
    m = n1 * n2 // 2
    S = np.round(sketch_matrix(n1, n2, m) * np.sqrt(m), 10)
    # The products of rows of H are rows of H: the first row of S can stand for the
    # signs of the columns.
    rows = {tuple(row) for row in S * S[0]}
    H = np.kron(hadamard(n1), hadamard(n2))
    assert len(rows) == m  # without replacement
    assert rows <= {tuple(row) for row in H}
    assert np.linalg.matrix_rank(S[0].reshape(n1, n2)) == 1


@pytest.mark.parametrize(("n1", "n2"), [(8, 8), (4, 16), (16, 4)])
@pytest.mark.parametrize("part", [1, 2, 4])
def test_rows_are_orthogonal(n1, n2, part):
    n = n1 * n2
    S = sketch_matrix(n1, n2, n // part)
    np.testing.assert_allclose(S @ S.T, part * np.eye(n // part), atol=1e-10)


@pytest.mark.parametrize(("n1", "n2"), [(8, 8), (5, 9), (16, 3)])
def test_all_rows_keep_all_products(n1, n2):
    padded = [1 << (n - 1).bit_length() for n in (n1, n2)]
    S = sketch_matrix(n1, n2, padded[0] * padded[1])
    np.testing.assert_allclose(S.T @ S, np.eye(n1 * n2), atol=1e-10)


def test_mean_of_the_squared_matrix_is_the_identity():
    squares = [S.T @ S for S in (sketch_matrix(3, 6, 5, seed) for seed in range(800))]
    error = np.mean(squares, axis=0) - np.eye(18)
    standard_error = np.std(squares, axis=0) / np.sqrt(800)
    assert (np.abs(error) <= 4.5 * standard_error + 1e-9).all()


def test_each_row_of_a_transform_is_used_equally_often():
    S = sketch_matrix(8, 4, 16).reshape(16, 8, 4)
    for rows, times in ((S[:, :, 0], 2), (S[:, 0], 4)):
        patterns = np.sign(rows * rows[:, :1])  # but for their signs
        _, counts = np.unique(patterns, axis=0, return_counts=True)
        assert counts.tolist() == [times] * (16 // times)


def test_constant_columns_are_spread_over_the_rows():
    ones = np.ones((64, 1))
    spread = kronecker_sketch(ones, ones, None, 4096, random_state=0)[0]
    # Without signs all of it would be in one row.
    np.testing.assert_allclose(np.linalg.norm(spread), 64)
    assert np.abs(spread).max() < 15


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_least_squares(noise):
    A1, A2, B = problem(60, 50, 3, 4, noise=noise)
    SA, Sb = kronecker_sketch(A1, A2, B, 1000, random_state=0)
    x = np.linalg.lstsq(SA, Sb)[0]
    exact = np.linalg.lstsq(np.kron(A1, A2), B.ravel())[0]
    tolerance = 1e-9 if not noise else 0.15
    np.testing.assert_allclose(x, exact, atol=tolerance)


def test_error_falls_with_the_sketch_size():
    A1, A2, B = problem(64, 64, 4, 4)
    exact = (np.linalg.pinv(A1) @ B @ np.linalg.pinv(A2).T).ravel()

    def error(sketch_size):
        errors = []
        for seed in range(20):
            SA, Sb = kronecker_sketch(A1, A2, B, sketch_size, random_state=seed)
            errors.append(np.linalg.norm(np.linalg.lstsq(SA, Sb)[0] - exact))
        return np.mean(errors)

    # For m rows of N, without replacement, like sqrt((N - m) / (N m)).
    assert 1.6 < error(128) / error(512) < 3.2
    assert error(4096) < 1e-9


def test_sum_of_products_is_sketched_term_by_term():
    A1, A2, B = problem(20, 30, 2, 3)
    C1, C2, _ = problem(20, 30, 2, 3, seed=1)
    S = sketch_matrix(20, 30, 50)
    first, _ = kronecker_sketch(A1, A2, B, 50, random_state=0)
    second, none = kronecker_sketch(C1, C2, None, 50, random_state=0)
    assert none is None
    total = np.kron(A1, A2) + np.kron(C1, C2)
    np.testing.assert_allclose(first + second, S @ total, rtol=1e-9, atol=1e-11)


def test_several_targets():
    A1, A2, B = problem(10, 12, 2, 2)
    C = problem(10, 12, 2, 2, seed=1)[2]
    both = kronecker_sketch(A1, A2, np.stack([B, C], axis=2), 20, random_state=0)[1]
    for k, targets in enumerate((B, C)):
        one = kronecker_sketch(A1, A2, targets, 20, random_state=0)[1]
        np.testing.assert_allclose(both[:, k], one, rtol=1e-10)


def test_sparse_is_the_same_as_dense():
    A1, A2, B = problem(10, 12, 2, 2)
    dense = kronecker_sketch(A1, A2, B, 20, random_state=0)
    csr = kronecker_sketch(*map(sparse.csr_array, (A1, A2, B)), 20, random_state=0)
    for first, second in zip(dense, csr):
        np.testing.assert_allclose(first, second, rtol=1e-12)


def test_float32_stays_float32():
    arrays = problem(10, 12, 2, 2)
    double = kronecker_sketch(*arrays, 20, random_state=0)
    single = kronecker_sketch(
        *(M.astype(np.float32) for M in arrays), 20, random_state=0
    )
    mixed = kronecker_sketch(arrays[0].astype(np.float32), *arrays[1:], 20)
    for first, second in zip(double, single):
        assert second.dtype == np.float32
        np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-4)
    assert mixed[0].dtype == mixed[1].dtype == np.float64


def test_arrays_are_left_as_they_were():
    arrays = problem(10, 12, 2, 2)
    copies = [M.copy() for M in arrays]
    kronecker_sketch(*arrays, 20)
    for array, copy in zip(arrays, copies):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("shape", [(10, 11), (12, 10), (10, 12, 2, 1)])
def test_targets_that_do_not_fit_are_refused(shape):
    A1, A2, _ = problem(10, 12, 2, 2)
    with pytest.raises(ValueError, match=r"B must have .*10 rows .*12 rows.*got shape"):
        kronecker_sketch(A1, A2, np.ones(shape), 20)


def test_too_many_rows_are_refused():
    A1, A2, B = problem(10, 12, 2, 2)
    kronecker_sketch(A1, A2, B, 256)
    with pytest.raises(ValueError, match="sketch_size must be at most 16 \\* 16 = 256"):
        kronecker_sketch(A1, A2, B, 257)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_values_that_are_not_finite_are_refused(bad, place):
    arrays = problem(10, 12, 2, 2)
    arrays[place][3, 1] = bad
    name = ("A1", "A2", "B")[place]
    with pytest.raises(ValueError, match=f"Input {name} contains"):
        kronecker_sketch(*arrays, 20)


@pytest.mark.parametrize("sketch_size", [0, 2.5, "many"])
def test_sketch_size_out_of_range_is_named(sketch_size):
    with pytest.raises(ValueError, match="'sketch_size' parameter"):
        kronecker_sketch(*problem(10, 12, 2, 2), sketch_size)
