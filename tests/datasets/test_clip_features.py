import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from sklogit.datasets import load_clip_features


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "clip_features").mkdir()
    arrays = {}
    for part, n_rows in (("train16", 6), ("val", 4), ("test", 8)):
        arrays[f"F_{part}"] = rng.normal(size=(n_rows, 512)).astype(np.float16)
        arrays[f"y_{part}"] = np.arange(n_rows, dtype=np.uint8) % 2
    np.savez(tmp_path / "clip_features/oxford_pets_vitb32.npz", **arrays)
    return tmp_path


def test_subsets_are_the_parts_of_the_file(folder):
    for subset, part in (("train", "train16"), ("val", "val"), ("test", "test")):
        data = load_clip_features("oxford_pets", subset=subset, data_home=folder)
        with np.load(folder / "clip_features/oxford_pets_vitb32.npz") as file:
            np.testing.assert_array_equal(data.data, file[f"F_{part}"])
            np.testing.assert_array_equal(data.target, file[f"y_{part}"])
        assert data.data.dtype == np.float32
        assert data.target.dtype == np.int64


def test_pair_and_dtype(folder):
    params = {"data_home": folder, "dtype": np.float64, "return_X_y": True}
    X, y = load_clip_features("oxford_pets", **params)
    assert X.dtype == np.float64
    assert X.shape == (6, 512)
    assert y.tolist() == [0, 1, 0, 1, 0, 1]


def test_what_is_missing_is_named(folder, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no clip_features/caltech101"):
        load_clip_features("caltech101", data_home=folder)
    with pytest.raises(ValueError, match=r"name must be .*'imagenet'"):
        load_clip_features("imagenet", data_home=folder)
    with pytest.raises(ValueError, match=r"subset must be .*'all'"):
        load_clip_features("oxford_pets", subset="all", data_home=folder)
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="SKLOGIT_DATA"):
        load_clip_features("oxford_pets")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "n_classes", "sizes", "accuracy"),
    [
        ("caltech101", 100, (1600, 1649, 2465), 0.914),
        ("oxford_pets", 37, (592, 736, 3669), 0.75),
    ],
)
def test_real_features_tell_the_classes(data_home, name, n_classes, sizes, accuracy):
    params = {"data_home": data_home, "return_X_y": True}
    parts = [
        load_clip_features(name, subset=subset, **params)
        for subset in ("train", "val", "test")
    ]
    assert tuple(len(y) for _, y in parts) == sizes
    for X, y in parts:
        assert X.shape[1] == 512
        np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=2e-3)
        assert len(np.unique(y)) == n_classes
    assert (np.bincount(parts[0][1]) == 16).all()
    score = NearestCentroid().fit(*parts[0]).score(*parts[2])
    assert score == pytest.approx(accuracy, abs=0.01)
