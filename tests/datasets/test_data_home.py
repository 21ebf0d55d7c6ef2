"""Folders: what is read from the environment, and that it is put back."""

import os
from pathlib import Path

import pytest

from sklogit.datasets import get_data_home, moabb_sandbox

_VARIABLES = ("MNE_DATA", "MOABB_RESULTS", "_MNE_FAKE_HOME_DIR")


@pytest.mark.parametrize("value", [None, ""])
def test_there_is_no_default_data_home(monkeypatch, value):
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("SKLOGIT_DATA", value)
    assert get_data_home() is None


def test_data_home_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SKLOGIT_DATA", str(tmp_path))
    assert get_data_home() == tmp_path


def test_the_argument_goes_before_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SKLOGIT_DATA", "/nowhere")
    assert get_data_home(tmp_path) == tmp_path


def test_a_missing_folder_is_named_with_who_named_it(monkeypatch, tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match=r"data_home names .*missing"):
        get_data_home(missing)
    monkeypatch.setenv("SKLOGIT_DATA", str(missing))
    with pytest.raises(FileNotFoundError, match=r"SKLOGIT_DATA names .*missing"):
        get_data_home()


def test_sandbox_restores_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MNE_DATA", "before")
    monkeypatch.delenv("MOABB_RESULTS")
    with moabb_sandbox(tmp_path):
        inside = {name: os.environ[name] for name in _VARIABLES}
    assert os.environ["MNE_DATA"] == "before"
    assert "MOABB_RESULTS" not in os.environ
    assert all(Path(value).parent == tmp_path for value in inside.values())


def test_sandbox_restores_the_environment_after_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("MNE_DATA", "before")
    with pytest.raises(RuntimeError, match="inside"), moabb_sandbox(tmp_path):
        raise RuntimeError("inside")
    assert os.environ["MNE_DATA"] == "before"


def test_sandbox_without_a_path_is_deleted():
    with moabb_sandbox() as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_sandbox_keeps_what_it_was_given(tmp_path):
    with moabb_sandbox(tmp_path / "new") as folder:
        assert folder == tmp_path / "new"
    assert folder.is_dir()


def test_mne_configuration_is_written_inside_the_sandbox(tmp_path):
    mne = pytest.importorskip("mne")
    with moabb_sandbox(tmp_path):
        path = Path(mne.get_config_path())
        mne.set_config("MNE_CACHE_DIR", "x", set_env=False)
    assert tmp_path in path.parents
    assert path.is_file()
    assert Path(mne.get_config_path()) != path
