"""Sets of small images that are on disk."""

import gzip

import numpy as np
from sklearn.utils import Bunch

from ._data_home import get_data_home

# The two kinds of idx files begin with these numbers, big-endian.
_IDX_LABELS, _IDX_IMAGES = 2049, 2051


def load_mnist_t10k(*, data_home=None, return_X_y=False):
    """Load the 10,000 test digits of MNIST.

    They are the test part only: for training split them yourself. Nothing is
    downloaded.

    Parameters
    ----------
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.
    return_X_y : bool, default=False
        Whether to return only data and target.

    Returns
    -------
    Bunch or (data, target)
        ``data`` of shape (10000, 784), uint8 from 0 for the ground to 255 for ink;
        ``target`` of shape (10000,), the digits; ``images`` of shape (10000, 28, 28),
        the same numbers as data.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If a file is not what its name says.

    See Also
    --------
    load_usps : Digits of another source.
    sklearn.datasets.load_digits : Smaller digits.

    References
    ----------
    .. [1] "Gradient-based learning applied to document recognition", Proceedings of the
       IEEE 86(11), 1998.

    Examples
    --------
    >>> from sklogit.datasets import load_mnist_t10k
    >>> try:
    ...     load_mnist_t10k(data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 10000 images of 28 x 28 pixels")
    not here; else 10000 images of 28 x 28 pixels
    """
    images, target = (
        _read_idx(_path(data_home, "mnist_t10k", f"t10k-{name}.gz"), magic)
        for name, magic in (
            ("images-idx3-ubyte", _IDX_IMAGES),
            ("labels-idx1-ubyte", _IDX_LABELS),
        )
    )
    return _result(images, target.astype(np.int64), return_X_y)


def load_usps(*, subset="all", data_home=None, return_X_y=False):
    """Load the handwritten digits of USPS.

    Scanned from envelopes: a second domain beside MNIST, with the same classes. The
    test digits are harder than the training digits. Nothing is downloaded.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="all"
        The 7,291 training digits, the 2,007 test digits, or both in this order.
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.
    return_X_y : bool, default=False
        Whether to return only data and target.

    Returns
    -------
    Bunch or (data, target)
        ``data`` of shape (n_samples, 256), float32 from 0 for the ground to 1 for ink;
        ``target`` of shape (n_samples,), the digits; ``images`` of shape (n_samples,
        16, 16), the same numbers as data.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If there is no such subset.

    See Also
    --------
    load_mnist_t10k : Digits of another source.

    References
    ----------
    .. [1] "A database for handwritten text recognition research", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 16(5), 1994.

    Examples
    --------
    >>> from sklogit.datasets import load_usps
    >>> try:
    ...     load_usps(data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 9298 images of 16 x 16 pixels")
    not here; else 9298 images of 16 x 16 pixels
    """
    parts = _parts(subset)
    with np.load(_path(data_home, "usps", "usps.npz")) as file:
        data = np.concatenate([file[f"X_{part}"] for part in parts])
        target = np.concatenate([file[f"y_{part}"] for part in parts])
    images = data.astype(np.float32).reshape(-1, 16, 16)
    return _result(images, target.astype(np.int64), return_X_y)


def load_cifar10_small(
    *, subset="all", features="pixels", data_home=None, return_X_y=False
):
    """Load a class-balanced piece of CIFAR-10, as pixels or as features of a network.

    300 training and 150 test images a class, drawn at random from the parts of a JPEG
    copy: accuracies are not to be compared with published ones. Nothing is downloaded.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="all"
        The 3,000 training images, the 1,500 test images, or both in this order.
    features : {"pixels", "efficientnet_lite0"}, default="pixels"
        Pixels, or the pooled features that an EfficientNet-Lite0 trained on ImageNet
        gives for the images, enlarged to 160 x 160 pixels.
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.
    return_X_y : bool, default=False
        Whether to return only data and target.

    Returns
    -------
    Bunch or (data, target)
        ``data`` of shape (n_samples, 3072), uint8, or (n_samples, 1280), float32;
        ``target`` of shape (n_samples,), class indices; ``target_names``, the 10 names;
        ``images`` of shape (n_samples, 32, 32, 3), uint8, channels last.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If there is no such subset, or no such features.

    References
    ----------
    .. [1] "Learning Multiple Layers of Features from Tiny Images", technical report,
       2009.

    Examples
    --------
    >>> from sklogit.datasets import load_cifar10_small
    >>> try:
    ...     load_cifar10_small(data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 4500 images of 32 x 32 pixels")
    not here; else 4500 images of 32 x 32 pixels
    """
    parts = _parts(subset)
    kinds = ("pixels", "efficientnet_lite0")
    if features not in kinds:
        raise ValueError(f"features must be one of {list(kinds)}, got {features!r}.")
    with np.load(_path(data_home, "cifar10_small", "cifar10_small.npz")) as file:
        images = np.concatenate([file[f"X_{part}"] for part in parts])
        target = np.concatenate([file[f"y_{part}"] for part in parts])
        names = [str(name) for name in file["class_names"]]
    data = None
    if features != "pixels":
        path = _path(data_home, "cifar10_small", "cifar10_small_efflite0.npz")
        with np.load(path) as file:
            data = np.concatenate([file[f"F_{part}"] for part in parts])
        data = data.astype(np.float32)
    return _result(
        images, target.astype(np.int64), return_X_y, data=data, target_names=names
    )


def _result(images, target, return_X_y, data=None, **others):
    if data is None:
        data = images.reshape(len(images), -1)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, images=images, **others)


def _parts(subset):
    parts = {"train": ("train",), "test": ("test",), "all": ("train", "test")}
    if subset not in parts:
        raise ValueError(f"subset must be one of {list(parts)}, got {subset!r}.")
    return parts[subset]


def _path(data_home, folder, name):
    home = get_data_home(data_home)
    if home is None:
        raise FileNotFoundError(
            "Images need data_home, or the environment variable SKLOGIT_DATA."
        )
    path = home / folder / name
    if not path.is_file():
        raise FileNotFoundError(f"There is no {folder}/{name} in {home}.")
    return path


def _read_idx(path, magic):
    """Array of bytes in the format of MNIST: a number for the kind, sizes, values."""
    with gzip.open(path) as file:
        content = file.read()
    found = int.from_bytes(content[:4], "big")
    if found != magic:
        raise ValueError(f"{path} must begin with the number {magic}, found {found}.")
    n_axes = magic % 256
    sizes = np.frombuffer(content, ">i4", count=n_axes, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes)
    if values.size != sizes.prod():
        raise ValueError(
            f"{path} must hold {sizes.prod()} values, found {values.size}."
        )
    return values.reshape(sizes).copy()  # what a buffer holds cannot be written
