import tracemalloc
from math import comb

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hadamard
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import PolynomialCountSketch
from sklearn.preprocessing import normalize

from sklogit.sketching import TensorSRHT
from sklogit.sketching._tensor_factors import draw_factors

each_kind = pytest.mark.parametrize("complex_to_real", [False, True])


def plain(n_components, **params):
    """The transform as published."""
    return TensorSRHT(n_components, exact_mean=False, random_state=0, **params)


def data(n_samples, n_features, seed=0):
    """Rows that point in about the same direction."""
    return np.random.default_rng(seed).uniform(0.2, 1, size=(n_samples, n_features))


def coordinates(sketch, X):
    """Scaled rows with the constant; the mean's direction, if taken out, mirrored."""
    X = np.sqrt(sketch.gamma) * X
    if sketch.coef0:
        X = np.column_stack([X, np.full(len(X), np.sqrt(sketch.coef0))])
    if sketch.direction_ is not None:
        axis = np.argmax(np.abs(sketch.direction_))
        normal = sketch.direction_.copy()
        normal[axis] += np.sign(normal[axis])
        X = X - 2 * np.outer(X @ normal, normal) / (normal @ normal)
    return X


def products(sketch, X):
    """Products of Hadamard rows, from the definition and the public attributes."""
    X = coordinates(sketch, X)
    width = 1 << (X.shape[1] - 1).bit_length()
    if sketch.direction_ is not None:
        width = 1 << (X.shape[1] - 2).bit_length()
    if sketch.complex_to_real:
        width = max(width, 2)
    H = hadamard(width).astype(complex if sketch.complex_to_real else float)
    if sketch.complex_to_real:
        H[:, width // 2 :] *= 1j
    factors = []
    for signs, columns, rows in zip(sketch.signs_, sketch.columns_, sketch.indices_):
        factors.append(X @ (H[rows][:, columns] * signs).T)
    return factors


# -- the definition --------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("n_features", "n_components"),
    [(1, 6), (2, 40), (5, 300), (64, 20), (64, 700), (65, 300), (200, 60), (200, 900)],
)
def test_features_are_products_of_rows_of_the_transforms(
    complex_to_real, degree, n_features, n_components
):
    X = data(7, n_features)
    sketch = plain(n_components, degree=degree, complex_to_real=complex_to_real)
    Z = sketch.fit_transform(X)
    expected = np.prod(products(sketch, X), axis=0)
    expected /= np.sqrt(expected.shape[1])
    if complex_to_real:
        expected = np.stack([expected.real, expected.imag], axis=2).reshape(len(X), -1)
    assert Z.shape == (7, n_components)
    np.testing.assert_allclose(Z, expected, rtol=1e-12, atol=1e-12 * np.abs(Z).max())


@each_kind
@pytest.mark.parametrize("n_features", [5, 64, 200])
def test_features_of_the_deviation_from_the_mean(complex_to_real, n_features):
    X = data(9, n_features)
    sketch = TensorSRHT(
        500, degree=3, coef0=0.3, complex_to_real=complex_to_real, random_state=0
    )
    Z = sketch.fit_transform(X)
    along = np.column_stack([X, np.full(9, np.sqrt(0.3))]) @ sketch.direction_
    factors = products(sketch, X)
    n_products, unit = len(sketch.indices_[0]), 2 if complex_to_real else 1
    degrees = sketch.degrees_[: n_products * unit : unit]
    expected = np.ones((9, n_products), dtype=factors[0].dtype)
    for q, factor in enumerate(factors):
        expected[:, degrees > q] *= factor[:, degrees > q]
    for power in np.unique(degrees):
        kind = degrees == power
        n_features = np.count_nonzero(sketch.degrees_ == power)
        weight = np.sqrt(comb(3, power) * unit / n_features)
        expected[:, kind] *= weight * along[:, np.newaxis] ** (3 - power)
    if complex_to_real:
        expected = np.stack([expected.real, expected.imag], axis=2).reshape(9, -1)
    sketched = Z[:, : expected.shape[1]]
    np.testing.assert_allclose(sketched, expected, rtol=1e-9, atol=1e-12)


def test_degree_one_is_the_subsampled_randomised_hadamard_transform():
    X = data(5, 16)
    sketch = plain(8, degree=1, complex_to_real=False)
    Z = sketch.fit_transform(X)
    signed = np.zeros((5, 16))
    signed[:, sketch.columns_[0]] = X * sketch.signs_[0]
    expected = (signed @ hadamard(16))[:, sketch.indices_[0]] / np.sqrt(8)
    np.testing.assert_allclose(Z, expected, rtol=1e-12)
    assert len(set(sketch.indices_[0])) == 8
    assert sorted(sketch.columns_[0]) == list(range(16))


# -- the kernel ------------------------------------------------------------------------


def assert_unbiased(make, X, kernel, n_seeds=400):
    """The mean of the kernel is within 4.5 standard errors, which are small."""
    upper = np.triu_indices(len(X))
    kernels = []
    for seed in range(n_seeds):
        Z = make(seed).fit_transform(X)
        kernels.append((Z @ Z.T)[upper])
    error = np.mean(kernels, axis=0) - kernel[upper]
    standard_error = np.std(kernels, axis=0) / np.sqrt(n_seeds)
    exact = 1e-9 * np.abs(kernel[upper])
    assert (np.abs(error) <= 4.5 * standard_error + exact).all()
    assert (standard_error < 0.2 * np.abs(kernel).max()).all()


@each_kind
@pytest.mark.parametrize("exact_mean", [False, True])
@pytest.mark.parametrize(
    ("degree", "n_components"), [(1, 4), (2, 7), (2, 32), (3, 9), (3, 80), (4, 64)]
)
def test_kernel_is_unbiased(degree, n_components, exact_mean, complex_to_real):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((4, 6)) + 0.5

    def make(seed):
        return TensorSRHT(
            n_components,
            degree=degree,
            gamma=0.3,
            coef0=0.7,
            complex_to_real=complex_to_real,
            exact_mean=exact_mean,
            random_state=seed,
        )

    assert_unbiased(make, X, (0.3 * X @ X.T + 0.7) ** degree)


@each_kind
@pytest.mark.parametrize("exact_mean", [False, True])
def test_kernel_is_unbiased_where_features_share_columns(exact_mean, complex_to_real):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((3, 3000)) / 50 + 0.01
    params = {"complex_to_real": complex_to_real, "exact_mean": exact_mean}
    sketch = TensorSRHT(32, **params).fit(X)
    assert sketch.columns_.max() < 1024
    assert np.bincount(sketch.columns_[0]).max() <= 4  # evenly: 3000 on 1024

    def make(seed):
        return TensorSRHT(32, random_state=seed, **params)

    assert_unbiased(make, X, (X @ X.T) ** 2, n_seeds=100)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("n_features", [2, 4, 7])
@pytest.mark.parametrize("rounds", [1, 3])
def test_kernel_is_exact_once_all_combinations_of_rows_are_used(
    degree, n_features, rounds
):
    X = np.random.default_rng(0).standard_normal((6, n_features))
    K = (X @ X.T) ** degree
    width = 1 << (n_features - 1).bit_length()
    n_products = rounds * width**degree
    for n_components, is_complex in ((n_products, False), (2 * n_products, True)):
        Z = plain(n_components, degree=degree, complex_to_real=is_complex)
        Z = Z.fit_transform(X)
        np.testing.assert_allclose(Z @ Z.T, K, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_errors_are_smaller_than_those_of_count_sketches(degree):
    X = normalize(load_digits().data[::9])
    K = (X @ X.T) ** degree

    def error(make):
        errors = []
        for seed in range(12):
            Z = make(seed).fit_transform(X)
            errors.append(np.linalg.norm(Z @ Z.T - K))
        return np.mean(errors)

    peer = error(
        lambda s: PolynomialCountSketch(degree=degree, n_components=512, random_state=s)
    )
    own = error(lambda s: TensorSRHT(512, degree=degree, random_state=s))
    published = error(
        lambda s: TensorSRHT(512, degree=degree, exact_mean=False, random_state=s)
    )
    assert own < 0.3 * peer
    assert published < peer


# -- which rows meet -------------------------------------------------------------------


def test_every_factor_uses_each_row_equally_often():
    sketch = plain(64 * 6, degree=3, complex_to_real=False).fit(data(2, 64))
    for rows in sketch.indices_:
        assert np.bincount(rows, minlength=64).tolist() == [6] * 64


def test_two_factors_meet_in_a_pair_of_rows_only_once():
    sketch = plain(64 * 64, degree=3, complex_to_real=False).fit(data(2, 64))
    first, *others = sketch.indices_
    for rows in others:
        assert len(np.unique(first * 64 + rows)) == 64 * 64


def test_factors_are_drawn_independently():
    sketch = plain(128, degree=3).fit(data(2, 64))
    for name in ("signs_", "columns_"):
        first, second, third = getattr(sketch, name)
        assert not np.array_equal(first, second)
        assert not np.array_equal(second, third)


def test_rows_meet_at_random_within_a_turn():
    sketch = plain(128, degree=3).fit(data(2, 64))
    order = np.argsort(sketch.indices_, axis=1)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        rotation = (order[first] - order[second]) % 64
        assert len(set(rotation)) > 30  # one rotation would make it 1


def test_half_of_the_coordinates_is_imaginary():
    factors = draw_factors(
        np.random.RandomState(0), np.ones(40, dtype=bool), 10, 3, is_complex=True
    )
    assert ((factors.columns >= factors.width // 2).sum(axis=1) == 20).all()


# -- the direction of the mean ---------------------------------------------------------


@each_kind
@pytest.mark.parametrize("degree", [2, 3])
def test_kernel_with_the_mean_is_exact(degree, complex_to_real):
    X = data(30, 20)
    sketch = TensorSRHT(
        100, degree=degree, complex_to_real=complex_to_real, random_state=0
    )
    Z = sketch.fit_transform(X)
    mean = X.mean(axis=0)
    np.testing.assert_allclose(sketch.direction_, mean / np.linalg.norm(mean))
    z = sketch.transform(2.0 * mean[np.newaxis])[0]
    np.testing.assert_allclose(Z @ z, (X @ (2.0 * mean)) ** degree, rtol=1e-10)


@pytest.mark.parametrize("degree", [2, 3])
def test_first_power_of_the_deviation_is_exact_with_enough_features(degree):
    X = data(30, 20)
    sketch = TensorSRHT(300, degree=degree, random_state=0)
    Z = sketch.fit_transform(X)[:, sketch.degrees_ == 1]
    assert Z.shape[1] == 19
    along = X @ sketch.direction_
    rest = X - np.outer(along, sketch.direction_)
    K = degree * np.outer(along, along) ** (degree - 1) * (rest @ rest.T)
    np.testing.assert_allclose(Z @ Z.T, K, rtol=1e-9, atol=1e-12)


@each_kind
@pytest.mark.parametrize("n_components", [11, 64, 129, 130])
def test_every_power_gets_features(n_components, complex_to_real):
    sketch = TensorSRHT(
        n_components, degree=5, complex_to_real=complex_to_real, random_state=0
    ).fit(data(30, 20))
    counts = np.bincount(sketch.degrees_, minlength=6)
    assert counts.sum() == n_components
    assert counts[0] == 1
    assert (counts > 0).all()


def test_direction_contains_the_constant():
    sketch = TensorSRHT(64, gamma=4.0, coef0=9.0).fit([[1.0, 0.0], [0.0, 1.0]])
    expected = np.array([1.0, 1.0, 3.0]) / np.sqrt(11)
    np.testing.assert_allclose(sketch.direction_, expected)


def test_features_are_divided_as_the_scaled_data_ask_for():
    X = data(30, 8)
    scaled = TensorSRHT(60, degree=3, gamma=4.0, coef0=1.0, random_state=0).fit(X)
    plain_data = TensorSRHT(60, degree=3, random_state=0).fit(
        np.column_stack([2.0 * X, np.ones(30)])
    )
    np.testing.assert_array_equal(scaled.degrees_, plain_data.degrees_)


def test_direction_of_sparse_data_is_that_of_dense_data():
    X = data(20, 30) * (data(20, 30, seed=1) > 0.6)
    dense = TensorSRHT(random_state=0).fit(X)
    csr = TensorSRHT(random_state=0).fit(sparse.csr_array(X))
    np.testing.assert_allclose(csr.direction_, dense.direction_, rtol=1e-12)
    np.testing.assert_array_equal(csr.degrees_, dense.degrees_)


@pytest.mark.parametrize("n_components", [1, 4])
def test_too_few_features_for_all_powers_leave_the_mean_in(n_components):
    sketch = TensorSRHT(n_components, degree=2).fit(data(5, 3))
    assert sketch.direction_ is None
    assert sketch.degrees_.tolist() == [2] * n_components


def test_data_of_mean_zero_have_no_direction():
    X = data(5, 3)
    sketch = TensorSRHT(random_state=0).fit(np.vstack([X, -X]))
    assert sketch.direction_ is None or np.isfinite(sketch.direction_).all()
    assert TensorSRHT().fit(np.zeros((2, 3))).direction_ is None


def test_errors_without_a_preferred_direction_are_hardly_larger():
    X = np.random.default_rng(0).standard_normal((200, 30))
    K = (X @ X.T) ** 3
    errors = {}
    for exact_mean in (True, False):
        norms = []
        for seed in range(10):
            sketch = TensorSRHT(600, degree=3, exact_mean=exact_mean, random_state=seed)
            Z = sketch.fit_transform(X)
            norms.append(np.linalg.norm(Z @ Z.T - K))
        errors[exact_mean] = np.mean(norms)
    assert errors[True] < 1.15 * errors[False]


# -- input and output ------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array]
)
@pytest.mark.parametrize("exact_mean", [False, True])
@pytest.mark.parametrize(
    ("n_features", "density"), [(10, 0.3), (300, 0.02), (3000, 0.2), (3000, 0.005)]
)
def test_sparse_is_the_same_as_dense(kind, exact_mean, n_features, density):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(150, n_features))
    X *= rng.uniform(size=X.shape) < density
    sketch = TensorSRHT(
        201, degree=3, coef0=0.5, exact_mean=exact_mean, random_state=0
    ).fit(X)
    expected = sketch.transform(X)
    found = sketch.transform(kind(X))
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(
        found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max()
    )


@pytest.mark.parametrize("n_features", [20, 300])
def test_rows_do_not_depend_on_the_block_they_are_in(n_features):
    X = data(1500, n_features)
    sketch = TensorSRHT(300, degree=3, random_state=0).fit(X)
    before, Z = X.copy(), sketch.transform(X)
    one_by_one = np.vstack([sketch.transform(X[i : i + 1]) for i in (0, 700, 1499)])
    np.testing.assert_allclose(Z[[0, 700, 1499]], one_by_one, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("density", [None, 0.2, 0.01])
def test_memory_beyond_the_result_does_not_grow_with_the_rows(density):
    n_features = 40 if density is None else 3000
    X = np.ones((4000, n_features)) if density is None else None
    if X is None:
        X = sparse.random_array((4000, n_features), density=density, rng=0).tocsr()
    sketch = TensorSRHT(64, degree=3, random_state=0).fit(X)
    extra = []
    for n_samples in (2000, 4000):
        rows = X[:n_samples]
        tracemalloc.start()
        result = sketch.transform(rows)
        extra.append(tracemalloc.get_traced_memory()[1] - result.nbytes)
        tracemalloc.stop()
    assert extra[1] < extra[0] + 2**20


@each_kind
@pytest.mark.parametrize("n_features", [10, 300])
def test_float32_stays_float32(n_features, complex_to_real):
    X = data(20, n_features)
    sketch = TensorSRHT(
        201, degree=3, coef0=1, complex_to_real=complex_to_real, random_state=0
    ).fit(X)
    Z = sketch.transform(X)
    single = sketch.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, Z, rtol=1e-3, atol=1e-5 * np.abs(Z).max())


def test_fit_in_float32_gives_the_same_features():
    X = data(50, 30)
    double = TensorSRHT(random_state=0).fit_transform(X)
    single = TensorSRHT(random_state=0).fit_transform(X.astype(np.float32))
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n_components", [1, 2, 3, 17, 256])
@each_kind
def test_any_number_of_features_can_be_made(n_components, complex_to_real):
    sketch = TensorSRHT(n_components, degree=3, complex_to_real=complex_to_real)
    Z = sketch.fit_transform(data(4, 5))
    assert Z.shape == (4, n_components)
    assert len(sketch.degrees_) == n_components
    assert (np.abs(Z).max(axis=0) > 0).all()


def test_constant_kernel():
    Z = TensorSRHT(32, gamma=0.0, coef0=4.0, degree=2).fit_transform(data(5, 3))
    np.testing.assert_allclose(Z @ Z.T, 16.0)


def test_names_of_features():
    names = TensorSRHT(3).fit(data(4, 5)).get_feature_names_out()
    assert names.tolist() == ["tensorsrht0", "tensorsrht1", "tensorsrht2"]


def test_changed_parameters_do_not_touch_a_fitted_sketch():
    X = data(6, 4)
    sketch = TensorSRHT(64, random_state=0).fit(X)
    Z = sketch.transform(X)
    sketch.set_params(gamma=3.0, coef0=1.0, degree=4)
    np.testing.assert_array_equal(sketch.transform(X), Z)


@pytest.mark.parametrize(
    "params",
    [
        {"n_components": 0},
        {"n_components": 2.5},
        {"degree": 0},
        {"gamma": -1.0},
        {"coef0": -0.1},
        {"complex_to_real": "yes"},
        {"exact_mean": 1},
    ],
)
def test_parameter_out_of_range_is_named(params):
    with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
        TensorSRHT(**params).fit(data(4, 3))
