"""The registry of public names, found by walking the library."""

import importlib
import inspect
import pkgutil

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

import sklogit

# Constructor arguments for the checks of scikit-learn and of test_common, where the
# defaults would make them slow or need more data than they have.
INIT_PARAMS = {
    "AnyLossClassifierCV": {"cv": 2},
    # One batch of all rows: with smaller ones weights are not the same as repeats.
    "AnyLossNetBinaryClassifier": {
        "lr": 0.1,
        "max_epochs": 30,
        "batch_size": -1,
        "random_state": 0,
    },
    "AugmentedCovarianceClassifierCV": {
        "orders": (1, 2),
        "lags": (1, 2),
        "Cs": (1.0,),
        "kernels": ("linear",),
        "estimator": "oas",
        "cv": 2,
    },
    # The tables of scikit-learn's checks are shorter than the default embedding.
    "AugmentedCovarianceNetClassifier": {
        "module__order": 1,
        "max_epochs": 3,
        "random_state": 0,
    },
    "BilinearRandomProjection": {"random_state": 0},
    "DualHeadDistillationClassifier": {
        "teacher": LogisticRegression(tol=1e-10, max_iter=1000),
        "hidden_layer_sizes": (8,),
        "lr": 0.1,
        "max_epochs": 15,
        "batch_size": -1,
        "dtype": "float64",
        "random_state": 0,
    },
    "FusionDistillationClassifier": {
        "teachers": [
            ("one", LogisticRegression()),
            ("two", LogisticRegression(C=0.1)),
        ],
        "max_epochs": 20,
        "batch_size": -1,
        "dtype": "float64",
        "random_state": 0,
    },
    "GrassmannNetClassifier": {
        "max_epochs": 60,
        "batch_size": -1,
        "dtype": "float64",
        "random_state": 0,
        "optimizer__grassmann_lr": 0.05,
    },
    # One batch of all rows, as above.
    "LogitBiasClassifier": {"tol": 1e-10, "max_iter": 1000},
    "LogitBiasClassifierCV": {
        "alphas": (0.3, 1.0),
        "cv": 2,
        "tol": 1e-10,
        "max_iter": 1000,
    },
    "LogitClassifier": {
        "lr": 0.1,
        "max_epochs": 60,
        "batch_size": -1,
        "dtype": "float64",  # the checks of weights ask for seven digits
        "random_state": 0,
    },
    "OnlineBatchSelectionClassifier": {"random_state": 0},
    "OnlineSelectionClassifier": {
        "lr": 0.1,
        "max_epochs": 60,
        "batch_size": -1,
        "dtype": "float64",
        "random_state": 0,
    },
    "SimplestModelSelector": {
        "estimators": [
            ("lr", LogisticRegression()),
            ("dt", DecisionTreeClassifier(random_state=0)),
        ],
        "cv": 3,
    },
    "SubspaceStudent": {"estimator": Ridge()},
    "SurrogateNetClassifier": {"max_epochs": 10, "random_state": 0},
    "SurrogateNetRegressor": {"max_epochs": 10, "random_state": 0},
    "TensorSRHT": {"random_state": 0},
    # In minibatches a weight is not the same as repeats, and a memory draws rows.
    "UERNetClassifier": {
        "loss__current_logits": "dot",
        "batch_policy__memory_size": 0,
        "batch_size": -1,
        "max_epochs": 60,
        "dtype": "float64",
        "random_state": 0,
    },
    "UnbiasedReplayClassifier": {
        "hidden_layer_sizes": (),
        "memory_size": 0,
        "current_logits": "dot",
        "batch_size": 1000,
        "max_iter": 100,
        "random_state": 0,
    },
    "UtilityDiversitySelector": {"random_state": 0},
}

# Estimators of 3-D input that are matrices rather than signals.
SPD_INPUT = {"SPDTangentSpace"}


def public_packages():
    """Names of the packages and public modules of sklogit."""
    return ["sklogit"] + [
        module.name
        for module in pkgutil.walk_packages(sklogit.__path__, "sklogit.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]


def public_objects():
    """Pairs (dotted name, object) of everything in an ``__all__``."""
    objects = []
    for package in public_packages():
        module = importlib.import_module(package)
        for name in module.__all__:
            objects.append((f"{package}.{name}", getattr(module, name)))
    return objects


def public_estimators():
    """Pairs (class name, class) of the public estimators."""
    found = {
        name.rpartition(".")[2]: obj
        for name, obj in public_objects()
        if inspect.isclass(obj) and issubclass(obj, BaseEstimator)
    }
    return sorted(found.items())


def make_estimator(cls):
    """An instance that fits fast."""
    return cls(**INIT_PARAMS.get(cls.__name__, {}))


def make_data(estimator, n_samples=24):
    """X and y that the estimator can be fitted to, of the shape its tags ask for."""
    rng = np.random.default_rng(0)
    y = np.arange(n_samples) % 2
    if not get_tags(estimator).input_tags.three_d_array:
        return rng.standard_normal((n_samples, 5)) + y[:, np.newaxis], y
    X = rng.standard_normal((n_samples, 3, 120))
    X[y == 1, 0] *= 3.0
    X[:, :, 1:] += 0.5 * X[:, :, :-1]
    if type(estimator).__name__ in SPD_INPUT:
        return X @ X.transpose(0, 2, 1) / X.shape[2], y
    if type(estimator).__module__.startswith("sklogit.neural"):
        return X.astype(np.float32), y
    return X, y
