"""Where tests find recordings, and where MNE and MOABB may write meanwhile."""

import os
from pathlib import Path

import pytest

# Before anything imports matplotlib: tests draw without a screen.
os.environ["MPLBACKEND"] = "agg"

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


def _find_data():
    """Folder of the recordings, or None: SKLOGIT_DATA, else one beside the checkout."""
    named = os.environ.get("SKLOGIT_DATA")
    folder = Path(named) if named else _BESIDE_THE_CHECKOUT
    return folder if folder.is_dir() else None


def _require_data():
    """Return the folder; without it skip, or fail where SKLOGIT_REQUIRE_DATA=1."""
    folder = _find_data()
    if folder is not None:
        return folder
    named = os.environ.get("SKLOGIT_DATA")
    reason = (
        f"needs recordings: SKLOGIT_DATA={named} is not a folder"
        if named
        else "needs recordings: SKLOGIT_DATA is not set"
    )
    if os.environ.get("SKLOGIT_REQUIRE_DATA") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item):
    if item.get_closest_marker("realdata"):
        _require_data()


@pytest.fixture(scope="session")
def data_home():
    """Folder of the recordings; for tests marked `realdata`."""
    return _require_data()


@pytest.fixture(scope="session", autouse=True)
def _mne_and_moabb_write_elsewhere(tmp_path_factory):
    from sklogit.datasets import moabb_sandbox

    with moabb_sandbox(tmp_path_factory.mktemp("moabb")):
        yield
