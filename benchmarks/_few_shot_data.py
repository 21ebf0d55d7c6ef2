"""Two views of the same items, and a prior model, for the benchmarks of few shots.

Prior models only see rows that are neither few shots nor test rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.datasets import (
    load_cifar10_small,
    load_clip_features,
    load_mnist_t10k,
    load_usps,
)
from sklogit.few_shot import ZeroShotLogits

PROTOTYPE_ROWS = 4  # of F_val, for each class, make the stand-in for text embeddings


@dataclass
class Views:
    """Prior logits and auxiliary features of rows to draw shots from, and of test rows.

    ``weights`` are the directions behind the prior logits where these are cosines of
    the auxiliary features, and ``prior_rows`` the labelled rows that made them.
    """

    logits: np.ndarray
    features: np.ndarray
    y: np.ndarray
    logits_test: np.ndarray
    features_test: np.ndarray
    y_test: np.ndarray
    weights: np.ndarray | None = None
    prior_rows: tuple | None = None

    @property
    def n_classes(self):
        """Number of classes."""
        return self.logits.shape[1]

    def draw(self, n_shots, rng):
        """Draw so many random rows of each class."""
        return np.concatenate(
            [
                rng.permutation(np.flatnonzero(self.y == c))[:n_shots]
                for c in range(self.n_classes)
            ]
        )


def temperature(logits, y):
    """Factor of logits that makes them most likely for these labels."""

    def loss(log_factor):
        log_p = log_softmax(np.exp(log_factor) * logits, axis=1)
        return -log_p[np.arange(len(y)), y].mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 8), method="bounded").x))


def clip_views(name, rng):
    """CLIP features; the prior is class means of a few validation rows.

    There are no text embeddings in the data. The temperature, which CLIP learnt on
    other data, is that of the validation rows that are left.
    """
    X, y = load_clip_features(name, return_X_y=True)
    V, y_val = load_clip_features(name, subset="val", return_X_y=True)
    T, y_test = load_clip_features(name, subset="test", return_X_y=True)
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero(y_val == c))[:PROTOTYPE_ROWS]
            for c in np.unique(y_val)
        ]
    )
    rest = np.setdiff1d(np.arange(len(y_val)), rows)
    prior = ZeroShotLogits(scale=1.0).fit(V[rows], y_val[rows])
    prior.set_params(scale=temperature(prior.transform(V[rest]), y_val[rest]))
    return Views(
        prior.transform(X),
        X,
        y,
        prior.transform(T),
        T,
        y_test,
        prior.scale * prior.weights_,
        (V[rows], y_val[rows]),
    )


def cifar_views(auxiliary, rng, n_prior=100):
    """Features of a network, and gradients with colours, of the same small images.

    One of them is auxiliary; on the other one a logistic regression with `n_prior`
    images a class makes the prior. Shots come from the other training images.
    """
    views, labels = {}, {}
    for subset in ("train", "test"):
        data = load_cifar10_small(subset=subset, features="efficientnet_lite0")
        views[subset] = {
            "network": data.data,
            "descriptor": descriptor(data.images / 255.0),
        }
        labels[subset] = data.target
    other = {"network": "descriptor", "descriptor": "network"}[auxiliary]
    y = labels["train"]
    is_prior = np.zeros(len(y), dtype=bool)
    for c in range(10):
        is_prior[rng.permutation(np.flatnonzero(y == c))[:n_prior]] = True
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    model.fit(views["train"][other][is_prior], y[is_prior])

    def logits(subset, rows=slice(None)):
        return model.decision_function(views[subset][other][rows]).astype(np.float32)

    return Views(
        logits("train", ~is_prior),
        views["train"][auxiliary][~is_prior],
        y[~is_prior],
        logits("test"),
        views["test"][auxiliary],
        labels["test"],
    )


def usps_views(rng):
    """Digits from envelopes; the prior knows those of MNIST only."""
    mnist = load_mnist_t10k()
    # The ink of MNIST is in the middle 20 x 20 pixels, that of USPS in all 16 x 16.
    images = zoom(mnist.images[:, 4:24, 4:24] / 255.0, (1, 0.8, 0.8), order=1)
    model = LogisticRegression(C=0.01, max_iter=300).fit(
        images.reshape(len(images), -1), mnist.target
    )
    train, test = (load_usps(subset=subset) for subset in ("train", "test"))

    def parts(data):
        logits = model.decision_function(data.data).astype(np.float32)
        return logits, descriptor(data.images[..., np.newaxis], n_cells=4), data.target

    return Views(*parts(train), *parts(test))


def descriptor(images, n_cells=4, n_directions=8):
    """Histograms of gradient directions in cells, and means and deviations of colours.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, n_channels)
        From 0 to 1; one channel has no colours.

    Returns
    -------
    ndarray of shape (n_images, n_features), float32
    """
    grey = images.mean(axis=-1)
    dy, dx = np.gradient(grey, axis=(1, 2))
    size, angle = np.hypot(dx, dy), np.arctan2(dy, dx) % (2 * np.pi)
    bins = (angle / (2 * np.pi) * n_directions).astype(int) % n_directions
    parts = []
    for direction in range(n_directions):
        parts.append(_cells(size * (bins == direction), n_cells).mean(axis=(2, 4)))
    histograms = np.stack(parts, axis=-1).reshape(len(images), -1)
    histograms /= np.linalg.norm(histograms, axis=1, keepdims=True) + 1e-9
    if images.shape[-1] == 1:
        return histograms.astype(np.float32)
    for channel in range(images.shape[-1]):
        cells = _cells(images[..., channel], n_cells)
        for moment in (cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))):
            histograms = np.hstack([histograms, moment.reshape(len(images), -1) / 4])
    return histograms.astype(np.float32)


def _cells(values, n_cells):
    n, height, width = values.shape
    return values.reshape(n, n_cells, height // n_cells, n_cells, width // n_cells)
