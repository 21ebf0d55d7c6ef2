"""sketched_lstsq is scipy.linalg.lstsq."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import lstsq

from sklogit.sketching import sketched_lstsq


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((800, 5)) + 1.0
    return A, A @ rng.standard_normal((5, 2)) + rng.standard_normal((800, 2))


@pytest.mark.parametrize(
    "solver", ["auto", "exact", "cholesky", "preconditioned_cholesky", "iterative"]
)
def test_solution_is_that_of_scipy(problem, solver):
    A, b = problem
    x, info = sketched_lstsq(A, b, solver=solver, random_state=0)
    np.testing.assert_allclose(x, lstsq(A, b)[0], rtol=1e-11)
    np.testing.assert_allclose(info.residual_norm, np.linalg.norm(b - A @ x, axis=0))
    assert info.rank == 5
    assert info.coef_error.shape == info.coef_std_error.shape == x.shape
    assert solver in (info.solver, "auto")


def test_one_right_hand_side_gives_a_vector(problem):
    A, b = problem
    x, info = sketched_lstsq(sparse.csr_array(A), b[:, 0])
    np.testing.assert_allclose(x, lstsq(A, b[:, 0])[0], rtol=1e-11)
    assert np.ndim(info.residual_norm) == 0


def test_penalty_and_weights(problem):
    A, b = problem
    weight = np.arange(800.0)
    x, _ = sketched_lstsq(A, b, alpha=2.0, sample_weight=weight)
    expected = np.linalg.solve((A.T * weight) @ A + 2.0 * np.eye(5), (A.T * weight) @ b)
    np.testing.assert_allclose(x, expected, rtol=1e-10)


def test_one_pass_tells_its_errors(problem):
    A, b = problem
    exact, _ = sketched_lstsq(A, b)
    x, info = sketched_lstsq(A, b, solver="sketch", sketch_size=100, random_state=0)
    assert (info.solver, info.sketch_size, info.n_iter) == ("sketch", 100, 1)
    assert (abs(x - exact) > 1e-3).any()
    assert (abs(x - exact) < 2 * info.coef_error).all()


def test_minimum_norm(problem):
    A, b = problem
    A = np.column_stack([A, A[:, 0]])
    x, info = sketched_lstsq(A, b)
    assert info.rank == 5
    np.testing.assert_allclose(x, np.linalg.pinv(A) @ b, rtol=1e-9)


def test_chunks(problem):
    A, b = problem

    def chunks():
        return ((A[i : i + 100], b[i : i + 100]) for i in range(0, 800, 100))

    x, _ = sketched_lstsq(chunks)
    np.testing.assert_allclose(x, lstsq(A, b)[0], rtol=1e-11)


def test_an_iterator_of_chunks_is_read_once(problem):
    A, b = problem
    x, info = sketched_lstsq(iter([(A[:300], b[:300]), (A[300:], b[300:])]))
    np.testing.assert_allclose(x, lstsq(A, b)[0], rtol=1e-11)
    assert info.n_iter == 1


@pytest.mark.parametrize(
    "params",
    [
        {"solver": "none"},
        {"eps": -1.0},
        {"delta": 2},
        {"tol": -1.0},
        {"sketch_size": 150.5},
        {"n_jobs": "all"},
        {"random_state": "none"},
    ],
)
def test_bad_parameters_are_refused(problem, params):
    with pytest.raises(ValueError, match="parameter of sketched_lstsq"):
        sketched_lstsq(*problem, **params)
