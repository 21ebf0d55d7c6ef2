import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "missing"),
    [("heads", "torch"), ("neural", "torch"), ("neural", "skorch")],
)
def test_import_without_the_extra_names_it(package, missing):
    # None in sys.modules makes the import fail as if it were not installed.
    code = f"import sys; sys.modules[{missing!r}] = None; import sklogit.{package}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert f"sklogit.{package} needs {missing}" in run.stderr
    assert "pip install 'sklogit[torch]'" in run.stderr
