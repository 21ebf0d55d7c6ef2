import gzip
import hashlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.datasets import load_cifar10_small, load_mnist_t10k, load_usps

LOADERS = [load_cifar10_small, load_mnist_t10k, load_usps]
each_loader = pytest.mark.parametrize("loader", LOADERS)


def write_idx(path, magic, values):
    sizes = np.array([magic, *values.shape], dtype=">i4").tobytes()
    with gzip.open(path, "wb") as file:
        file.write(sizes + values.astype(np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("mnist_t10k", "usps", "cifar10_small"):
        (tmp_path / name).mkdir()
    digits = rng.integers(256, size=(5, 28, 28))
    write_idx(tmp_path / "mnist_t10k/t10k-images-idx3-ubyte.gz", 2051, digits)
    write_idx(tmp_path / "mnist_t10k/t10k-labels-idx1-ubyte.gz", 2049, np.arange(5))
    np.savez(
        tmp_path / "usps/usps.npz",
        X_train=rng.uniform(size=(4, 256)),
        y_train=[0, 1, 2, 3],
        X_test=rng.uniform(size=(2, 256)),
        y_test=[8, 9],
    )
    np.savez(
        tmp_path / "cifar10_small/cifar10_small.npz",
        X_train=rng.integers(256, size=(4, 32, 32, 3), dtype=np.uint8),
        y_train=[0, 1, 1, 0],
        X_test=rng.integers(256, size=(2, 32, 32, 3), dtype=np.uint8),
        y_test=[1, 0],
        class_names=["cat", "dog"],
    )
    np.savez(
        tmp_path / "cifar10_small/cifar10_small_efflite0.npz",
        F_train=rng.uniform(size=(4, 1280)).astype(np.float16),
        F_test=rng.uniform(size=(2, 1280)).astype(np.float16),
    )
    return tmp_path


def test_idx_files_are_read_row_by_row(folder):
    data = load_mnist_t10k(data_home=folder)
    expected = np.random.default_rng(0).integers(256, size=(5, 28, 28))
    np.testing.assert_array_equal(data.images, expected)
    np.testing.assert_array_equal(data.data, expected.reshape(5, 784))
    np.testing.assert_array_equal(data.target, np.arange(5))
    assert data.data.dtype == np.uint8
    data.data[0, 0] = 1  # may be written


def test_broken_idx_files_are_named(folder):
    path = folder / "mnist_t10k/t10k-labels-idx1-ubyte.gz"
    write_idx(path, 2051, np.arange(5))
    with pytest.raises(ValueError, match=r"labels.* number 2049, found 2051"):
        load_mnist_t10k(data_home=folder)
    with gzip.open(path, "wb") as file:
        file.write(np.array([2049, 7], dtype=">i4").tobytes() + bytes(5))
    with pytest.raises(ValueError, match="must hold 7 values, found 5"):
        load_mnist_t10k(data_home=folder)


@pytest.mark.parametrize("loader", [load_cifar10_small, load_usps])
def test_all_are_the_training_images_and_then_the_test_images(folder, loader):
    train, test, both = (
        loader(subset=subset, data_home=folder) for subset in ("train", "test", "all")
    )
    assert (len(train.data), len(test.data)) == (4, 2)
    for name in ("data", "target", "images"):
        np.testing.assert_array_equal(
            both[name], np.concatenate([train[name], test[name]])
        )
    with pytest.raises(ValueError, match=r"subset must be .*'valid'"):
        loader(subset="valid", data_home=folder)


def test_images_are_the_pixels_unless_features_are_asked_for(folder):
    pixels = load_cifar10_small(data_home=folder)
    features = load_cifar10_small(features="efficientnet_lite0", data_home=folder)
    assert pixels.data.shape == (6, 3072)
    np.testing.assert_array_equal(pixels.data.reshape(6, 32, 32, 3), pixels.images)
    assert features.data.shape == (6, 1280)
    assert features.data.dtype == np.float32
    np.testing.assert_array_equal(features.images, pixels.images)
    assert pixels.target_names == ["cat", "dog"]
    with pytest.raises(ValueError, match=r"features must be .*'resnet'"):
        load_cifar10_small(features="resnet", data_home=folder)


@each_loader
def test_pair_of_data_and_target(folder, loader):
    X, y = loader(data_home=folder, return_X_y=True)
    data = loader(data_home=folder)
    np.testing.assert_array_equal(X, data.data)
    np.testing.assert_array_equal(y, data.target)
    assert y.dtype == np.int64


@each_loader
def test_missing_files_and_folders_are_named(loader, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no (cifar10_small|mnist_t10k|usps)/"):
        loader(data_home=tmp_path)
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="SKLOGIT_DATA"):
        loader()


@pytest.mark.realdata
def test_real_mnist_is_whole(data_home):
    data = load_mnist_t10k(data_home=data_home)
    assert data.images.shape == (10_000, 28, 28)
    assert np.bincount(data.target).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    # Checksum of the published file without its 16 bytes of sizes.
    header = np.array([2051, 10_000, 28, 28], dtype=">i4").tobytes()
    checksum = hashlib.md5(header + data.data.tobytes()).hexdigest()
    assert checksum == "2646ac647ad5339dbf082846283269ea"


@pytest.mark.realdata
def test_real_usps_is_whole(data_home):
    train, test = (load_usps(subset=s, data_home=data_home) for s in ("train", "test"))
    assert train.data.shape == (7291, 256)
    assert test.data.shape == (2007, 256)
    assert np.bincount(train.target).tolist() == [
        1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644,
    ]  # fmt: skip
    assert train.data.min() >= 0
    assert train.data.max() <= 1
    # A zero is a ring: its middle is lighter than the rows above and below.
    zero = train.images[train.target == 0].mean(axis=0)
    assert zero[7:9, 7:9].mean() < 0.5 * zero[2, 6:10].mean()


@pytest.mark.realdata
def test_real_cifar_is_whole_and_its_features_tell_the_classes(data_home):
    data = load_cifar10_small(data_home=data_home)
    assert data.images.shape == (4500, 32, 32, 3)
    assert (np.bincount(data.target) == 450).all()
    assert data.target_names[0] == "airplane"
    params = {"features": "efficientnet_lite0", "data_home": data_home}
    X, y = load_cifar10_small(subset="train", return_X_y=True, **params)
    X_test, y_test = load_cifar10_small(subset="test", return_X_y=True, **params)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    assert model.fit(X, y).score(X_test, y_test) > 0.7
