"""Pairs of labelled images: some to train a net on, others to probe its features."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklogit.datasets import load_cifar10_small, load_mnist_t10k, load_usps

PROBED = 0.1  # share of the target's training rows that the probe gets


@dataclass
class Part:
    """Rows to fit to, and rows to score."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def area_average(images, size):
    """Resize square images; a new pixel is the mean of the area that it covers."""
    edges = np.arange(images.shape[1] + 1)
    new = np.linspace(0, images.shape[1], size + 1)
    overlap = np.minimum(new[1:, None], edges[1:]) - np.maximum(
        new[:-1, None], edges[:-1]
    )
    weight = np.maximum(overlap, 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("ai,nij,bj->nab", weight, images, weight, optimize=True)


def split(X, y, test_size, seed):
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=test_size, stratify=y, random_state=seed
    )
    return Part(X, y, X_test, y_test)


def share(X, y, seed):
    """Draw the rows of a probe."""
    drawn = split(X, y, 1 - PROBED, seed)
    return drawn.X, drawn.y


def mnist_usps(seed):
    """MNIST at the size of USPS; USPS by its own training and test digits."""
    mnist = load_mnist_t10k()
    pixels = area_average(mnist.images / 255.0, 16).reshape(len(mnist.target), -1)
    source = split(pixels.astype(np.float32), mnist.target, 2000, seed)
    # A part, so that convolutions take minutes.
    source.X, source.y = source.X[:4000], source.y[:4000]
    X, y = load_usps(subset="train", return_X_y=True)
    return source, Part(*share(X, y, seed), *load_usps(subset="test", return_X_y=True))


def digits_halves(seed):
    """From 0 to 4 on scikit-learn's digits, to 5 to 9."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    low = y < 5
    return split(X[low], y[low], 0.2, seed), split(X[~low], y[~low], 1 - PROBED, seed)


def cifar_halves(seed):
    """From five classes of CIFAR-10, drawn by the seed, to the others."""
    load = partial(load_cifar10_small, features="efficientnet_lite0", return_X_y=True)
    X, y = load(subset="train")
    X_test, y_test = load(subset="test")
    first = np.random.default_rng(seed).permutation(10)[:5]
    mine, test = np.isin(y, first), np.isin(y_test, first)
    source = Part(X[mine], y[mine], X_test[test], y_test[test])
    return source, Part(*share(X[~mine], y[~mine], seed), X_test[~test], y_test[~test])
