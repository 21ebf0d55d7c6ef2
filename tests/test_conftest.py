"""The `realdata` marker: skip without the recordings, fail where they are required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_MODULE = """
import os, pytest

@pytest.mark.realdata
def test_marked():
    pass

def test_fixture(data_home):
    assert data_home.is_dir()

def test_plain():
    assert os.environ["MPLBACKEND"] == "agg"
    assert os.environ["MNE_DATA"].startswith(os.environ["EXPECTED_ROOT"])
"""
_INI = "[pytest]\nmarkers =\n    realdata: reads real recordings\n"


@pytest.fixture
def run_pytest(tmp_path):
    """Run three tests beside a copy of the conftest; return what pytest prints."""
    tests = tmp_path / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conftest.py"), tests)
    (tests / "test_sample.py").write_text(_MODULE)
    (tests.parent / "pytest.ini").write_text(_INI)

    def run(**variables):
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SKLOGIT", "PYTEST", "COV_"))
        }
        base = str(tmp_path / "scratch")
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-rs", f"--basetemp={base}"],
            cwd=tests.parent,
            env={**environment, "EXPECTED_ROOT": base, **variables},
            capture_output=True,
            text=True,
        )
        return result.stdout

    return run


def test_without_recordings_marked_tests_are_skipped_with_the_reason(run_pytest):
    out = run_pytest()
    assert "1 passed, 2 skipped" in out
    assert "SKLOGIT_DATA is not set" in out


def test_a_wrong_folder_is_named(run_pytest):
    out = run_pytest(SKLOGIT_DATA="/no/such/folder")
    assert "1 passed, 2 skipped" in out
    assert "SKLOGIT_DATA=/no/such/folder is not a folder" in out


def test_required_recordings_that_are_missing_are_failures(run_pytest):
    out = run_pytest(SKLOGIT_REQUIRE_DATA="1")
    # A set-up that fails, of a test or a fixture, counts as an error of the test.
    assert "1 passed, 2 errors" in out


def test_with_recordings_all_run(run_pytest, tmp_path):
    assert "3 passed" in run_pytest(SKLOGIT_DATA=str(tmp_path))


def test_recordings_beside_the_checkout_are_found(run_pytest, tmp_path):
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert "3 passed" in run_pytest()
