import zipfile

import numpy as np
import pytest

from sklogit.datasets import keel_imbalanced_names, load_keel_imbalanced


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keel_imbalanced").mkdir()
    with zipfile.ZipFile(tmp_path / "keel_imbalanced/keel_imbalanced.zip", "w") as file:
        file.writestr(
            "small.dat", "1.5, a, negative\n2, b, positive\n0.5, a, negative\n"
        )
        file.writestr("about.txt", "not a set")
    return tmp_path


def test_categories_become_columns(folder):
    assert keel_imbalanced_names(folder) == ["small"]
    data = load_keel_imbalanced("small", data_home=folder)
    np.testing.assert_array_equal(data.data, [[1.5, 1, 0], [2, 0, 1], [0.5, 1, 0]])
    np.testing.assert_array_equal(data.target, [0, 1, 0])
    assert len(data.feature_names) == 3


def test_missing_sets_and_folders_are_named(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no set 'large'"):
        load_keel_imbalanced("large", data_home=folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no keel_imbalanced/keel_.*\.zip in"):
        keel_imbalanced_names(tmp_path / "empty")
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="SKLOGIT_DATA"):
        keel_imbalanced_names()


@pytest.mark.realdata
def test_real_sets_are_whole(data_home):
    names = keel_imbalanced_names(data_home)
    assert len(names) == 85
    index = np.genfromtxt(
        data_home / "keel_imbalanced/index.csv",
        delimiter=",",
        skip_header=1,
        dtype=None,
        encoding="utf8",
    )
    sizes = {row[0]: (row[1], row[4]) for row in index}
    for name in names:
        data = load_keel_imbalanced(name, data_home=data_home)
        assert (len(data.target), data.target.sum()) == sizes[name]
        assert np.isfinite(data.data).all()
