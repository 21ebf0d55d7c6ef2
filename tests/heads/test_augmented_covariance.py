import copy

import numpy as np
import pytest
import torch

from sklogit.heads import AugmentedCovarianceNet, augmented_covariance_torch


def signals(n=4, c=3, T=120, seed=0):
    return np.random.default_rng(seed).standard_normal((n, c, T))


def embed(X, order, lag, trim):
    """The embedded signals, by the definition."""
    lost = (order - 1 if trim == "full" or order == 1 else order) * lag
    N = X.shape[-1] - lost
    return np.concatenate([X[..., a * lag : a * lag + N] for a in range(order)], axis=1)


def explicit(X, order, lag, estimator, trim="moabb"):
    from pyriemann.estimation import Covariances

    return Covariances(estimator).fit_transform(embed(X, order, lag, trim))


def relative_error(got, expected):
    return np.abs(np.asarray(got) - expected).max() / np.abs(expected).max()


# --------------------------------------------------------- the function


@pytest.mark.parametrize("estimator", ["cov", "scm", "oas"])
@pytest.mark.parametrize("order", [1, 2, 5, 10])
@pytest.mark.parametrize("lag", [1, 3, 10])
def test_equals_moabb_and_pyriemann(order, lag, estimator):
    from moabb.pipelines.features import AugmentedDataset
    from pyriemann.estimation import Covariances

    X = signals()
    embedding = AugmentedDataset(order, lag).fit(X, np.ones(len(X)))
    expected = Covariances(estimator).fit_transform(embedding.transform(X))
    got = augmented_covariance_torch(torch.tensor(X), order, lag, estimator=estimator)
    assert relative_error(got, expected) < 1e-12


@pytest.mark.parametrize("estimator", ["cov", "scm", "oas"])
@pytest.mark.parametrize("trim", ["moabb", "full"])
@pytest.mark.parametrize(
    ("shape", "order", "lag"),
    [
        ((1, 1, 40), 5, 7),
        ((2, 1, 30), 4, 7),  # two samples left for trim="moabb"
        ((1, 4, 23), 3, 7),  # two samples left, lag longer than the window
        ((3, 2, 2), 1, 9),
        ((5, 3, 61), 8, 2),
    ],
)
def test_equals_the_definition_on_odd_shapes(shape, order, lag, trim, estimator):
    X = signals(*shape)
    expected = explicit(X, order, lag, estimator, trim)
    got = augmented_covariance_torch(
        torch.tensor(X), order, lag, estimator=estimator, trim=trim
    )
    assert got.shape == (shape[0], shape[1] * order, shape[1] * order)
    assert relative_error(got, expected) < 1e-12


@pytest.mark.parametrize("estimator", ["cov", "scm", "oas"])
@pytest.mark.parametrize("assume_centered", [False, True])
@pytest.mark.parametrize("trim", ["moabb", "full"])
def test_equals_the_numpy_function(estimator, assume_centered, trim):
    from sklogit.covariance import augmented_covariance

    X = signals() + 0.5
    options = {"assume_centered": assume_centered, "trim": trim}
    options |= {"estimator": estimator, "return_shrinkage": True}
    expected, rho = augmented_covariance(X, 4, 3, **options)
    got, got_rho = augmented_covariance_torch(torch.tensor(X), 4, 3, **options)
    assert relative_error(got, expected) < 1e-12
    np.testing.assert_allclose(got_rho.numpy(), rho, rtol=1e-12)


def test_two_dimensional_input_is_epochs_of_one_channel():
    X = torch.tensor(signals(c=1))
    torch.testing.assert_close(
        augmented_covariance_torch(X[:, 0], 3, 2), augmented_covariance_torch(X, 3, 2)
    )


def test_a_large_offset_costs_no_digits():
    # Centring the shifted data is exact here, so the reference sees the same numbers.
    X = signals() + 1e6
    centred = X - X.mean(-1, keepdims=True)
    expected = explicit(centred, 4, 3, "oas")
    got = augmented_covariance_torch(torch.tensor(X), 4, 3, estimator="oas")
    assert relative_error(got, expected) < 1e-12


@pytest.mark.parametrize("estimator", ["cov", "scm", "oas"])
def test_float32_stays_float32_and_is_accurate(estimator):
    X = signals(T=500)
    got = augmented_covariance_torch(torch.tensor(X).float(), 8, 5, estimator=estimator)
    assert got.dtype == torch.float32
    assert relative_error(got, explicit(X, 8, 5, estimator)) < 1e-5


def test_shrinkage_in_float32_survives_data_in_volts():
    X = signals()
    _, expected = augmented_covariance_torch(
        torch.tensor(X), 4, 2, estimator="oas", return_shrinkage=True
    )
    C, rho = augmented_covariance_torch(
        torch.tensor(1e-8 * X).float(), 4, 2, estimator="oas", return_shrinkage=True
    )
    torch.testing.assert_close(rho.double(), expected, rtol=1e-4, atol=0)
    assert (torch.linalg.eigvalsh(C.double()) > 0).all()


def test_shrinkage_of_a_constant_signal_is_one_and_the_covariance_zero():
    C, rho = augmented_covariance_torch(
        torch.ones(2, 3, 50), 2, 1, estimator="oas", return_shrinkage=True
    )
    assert (rho == 1).all()
    assert (C == 0).all()


@pytest.mark.parametrize("trim", ["moabb", "full"])
@pytest.mark.parametrize("assume_centered", [False, True])
@pytest.mark.parametrize("estimator", ["cov", "scm", "oas"])
@pytest.mark.parametrize("order", [1, 3])
def test_gradient(order, estimator, assume_centered, trim):
    X = torch.tensor(signals(2, 2, 14)).requires_grad_()

    def function(X):
        return augmented_covariance_torch(
            X,
            order,
            3,
            estimator=estimator,
            assume_centered=assume_centered,
            trim=trim,
        )

    assert torch.autograd.gradcheck(function, X)


def test_input_is_left_alone():
    X = torch.tensor(signals())
    before = X.clone()
    augmented_covariance_torch(X, 3, 2, estimator="oas")
    assert torch.equal(X, before)


@pytest.mark.parametrize("name", ["order", "lag"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None])
def test_bad_order_or_lag_raises(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be an integer >= 1, got"):
        augmented_covariance_torch(torch.zeros(2, 3, 50), **{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "lwf"}, "estimator must be one of .*'oas'.*got 'lwf'"),
        ({"trim": "none"}, "trim must be one of .*got 'none'"),
        (
            {"order": 5, "lag": 10},
            "order=5 and lag=10 leave 0 samples of epochs of 50",
        ),
        (
            {"order": 7, "lag": 7},
            "order=7 and lag=7 leave 1 samples of epochs of 50",
        ),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        augmented_covariance_torch(torch.zeros(2, 3, 50), **options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_raise(value):
    X = torch.zeros(2, 3, 50)
    X[1, 2, 3] = value
    with pytest.raises(ValueError, match="NaN or infinity: 1 of 300 values"):
        augmented_covariance_torch(X)


@pytest.mark.parametrize("shape", [(50,), (2, 3, 4, 5)])
def test_other_numbers_of_dimensions_raise(shape):
    with pytest.raises(ValueError, match=rf"got {len(shape)} dimensions"):
        augmented_covariance_torch(torch.zeros(shape))


def test_wrong_types_raise():
    with pytest.raises(ValueError, match="Complex data not supported"):
        augmented_covariance_torch(torch.zeros(2, 3, 50, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"floating-point dtype, got .*int64"):
        augmented_covariance_torch(torch.zeros(2, 3, 50, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"must be a torch.Tensor, got ndarray"):
        augmented_covariance_torch(np.zeros((2, 3, 50)))


# --------------------------------------------------------- the module


def test_features_equal_pyriemanns_tangent_space():
    from pyriemann.geometry.tangentspace import tangent_space

    X = signals(10)
    net = AugmentedCovarianceNet(3, 2, order=3, lag=2).double()
    net.fit_reference(torch.tensor(X))
    expected = tangent_space(
        explicit(X, 3, 2, "oas"), net.reference.numpy(), metric="riemann"
    )
    got = net.features(torch.tensor(X)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_reference_equals_pyriemanns_kullback_mean():
    from pyriemann.geometry.mean import mean_kullback_sym

    X = signals(10)
    net = AugmentedCovarianceNet(3, 2, order=3, lag=2).double()
    assert not net.has_reference
    assert net.fit_reference(torch.tensor(X)) is net
    assert net.has_reference
    expected = mean_kullback_sym(explicit(X, 3, 2, "oas"))
    np.testing.assert_allclose(net.reference.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_reference_does_not_depend_on_the_batches():
    X = torch.tensor(signals(10))
    net = AugmentedCovarianceNet(3, 2, order=3, lag=2).double()
    whole = net.fit_reference(X).reference.clone()
    batches = net.fit_reference(X.split(4)).reference
    torch.testing.assert_close(batches, whole)


def test_reference_makes_the_features_nearly_invariant_to_the_unit():
    X = torch.tensor(signals(10))
    features = []
    for scale in (1.0, 1e-6):
        net = AugmentedCovarianceNet(3, 2, order=3, lag=2)
        features.append(net.fit_reference(scale * X).features(scale * X))
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-4)


def test_mixing_the_channels_rotates_the_features():
    """Without shrinkage the Gram matrix of the features is affine-invariant."""
    X = torch.tensor(signals(10))
    mixed = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -3.0], [1.0, 0.0, 1.0]]) @ (
        X.float()
    )
    grams = []
    for data in (X, mixed.double()):
        net = AugmentedCovarianceNet(3, 2, order=2, lag=2, estimator="cov").double()
        z = net.fit_reference(data).features(data)
        grams.append(z @ z.mT)
    torch.testing.assert_close(*grams, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_filters", [None, 2])
@pytest.mark.parametrize("estimator", ["cov", "oas"])
def test_gradient_of_the_net_in_signal_and_weights(n_filters, estimator):
    torch.manual_seed(0)
    X = torch.tensor(signals(2, 3, 25)).requires_grad_()
    net = AugmentedCovarianceNet(
        3, 2, order=2, lag=2, estimator=estimator, n_filters=n_filters
    ).double()
    net.fit_reference(X.detach())
    torch.nn.init.normal_(net.classifier.weight)
    weights = dict(net.named_parameters())

    def function(X, *values):
        named = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(net, named, (X,))

    assert torch.autograd.gradcheck(function, (X, *weights.values()))


def test_filters_reduce_the_channels():
    net = AugmentedCovarianceNet(8, 3, order=4, lag=2, n_filters=2)
    X = torch.tensor(signals(5, 8, 100))
    assert net.covariances(X).shape == (5, 8, 8)
    assert net(X).shape == (5, 3)
    weight = net.spatial_filter.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(2))


def test_net_casts_after_centring():
    X = signals(6)
    net = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    near = net.features(torch.tensor(X))
    far = net.features(torch.tensor(X + 1e6))
    assert far.dtype == torch.float32
    torch.testing.assert_close(far, near, rtol=1e-3, atol=1e-4)


def test_net_accepts_integers_and_one_channel():
    X = torch.tensor(np.rint(100 * signals(6, 1)), dtype=torch.int16)
    net = AugmentedCovarianceNet(1, 2, order=2, lag=2)
    torch.testing.assert_close(net(X[:, 0]), net(X.float()))


def test_state_dict_carries_the_reference():
    X = torch.tensor(signals())
    fitted = AugmentedCovarianceNet(3, 2, order=2, lag=2).fit_reference(X)
    torch.nn.init.normal_(fitted.classifier.weight)
    loaded = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    loaded.load_state_dict(fitted.state_dict())
    assert torch.equal(loaded(X), fitted(X))
    assert loaded.has_reference
    loaded.load_state_dict(AugmentedCovarianceNet(3, 2, order=2, lag=2).state_dict())
    assert not loaded.has_reference


@pytest.mark.parametrize("fitted", [False, True])
def test_state_dict_without_the_flag_loads(fitted):
    net = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    if fitted:
        net.fit_reference(torch.tensor(signals()))
    state = net.state_dict()
    del state["_has_reference"]
    loaded = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    loaded.load_state_dict(state)
    assert loaded.has_reference is fitted
    # Within a larger module the names have a prefix, and strict stays strict.
    outer = torch.nn.Sequential(loaded)
    outer.load_state_dict({f"0.{name}": value for name, value in state.items()})
    assert outer[0].has_reference is fitted
    del state["reference"]
    with pytest.raises(RuntimeError, match="Missing key"):
        loaded.load_state_dict(state)


def test_the_identity_is_a_reference_too():
    net = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    assert net.has_reference is False
    assert net.set_reference(torch.eye(6)).has_reference is True
    loaded = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    loaded.load_state_dict(net.state_dict())
    assert loaded.has_reference
    assert copy.deepcopy(net).double().has_reference


def test_reset_reference_undoes_fit_reference():
    X = torch.tensor(signals())
    net = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    before = net.features(X)
    assert net.fit_reference(X).reset_reference() is net
    assert not net.has_reference
    assert torch.equal(net.reference, torch.eye(6))
    assert torch.equal(net.features(X), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_channels": 0}, "n_channels must be an integer >= 1, got 0"),
        ({"n_classes": 0}, "n_classes must be an integer >= 1, got 0"),
        ({"n_filters": 9}, "n_filters=9 exceeds n_channels=3"),
        ({"order": 0}, "order must be an integer >= 1, got 0"),
        ({"estimator": "lwf"}, "got 'lwf'"),
    ],
)
def test_bad_sizes_raise(options, message):
    with pytest.raises(ValueError, match=message):
        AugmentedCovarianceNet(**({"n_channels": 3, "n_classes": 2} | options))


def test_net_errors_name_the_numbers():
    net = AugmentedCovarianceNet(3, 2, order=2, lag=2)
    with pytest.raises(ValueError, match=r"X has 5 channels.*n_channels=3"):
        net(torch.randn(4, 5, 50))
    with pytest.raises(ValueError, match="Complex data not supported"):
        net(torch.zeros(4, 3, 50, dtype=torch.complex64))
    with pytest.raises(ValueError, match="not positive definite"):
        net(torch.zeros(4, 3, 50))
    with pytest.raises(ValueError, match="at least one epoch"):
        net.fit_reference([])
    with pytest.raises(ValueError, match=r"shape \(6, 6\), got \(5, 5\)"):
        net.set_reference(torch.eye(5))
    net = AugmentedCovarianceNet(3, 2, order=4, lag=2, estimator="cov")
    with pytest.raises(ValueError, match=r"12 embedded samples.*12 rows.*'oas'"):
        net(torch.randn(4, 3, 20))
