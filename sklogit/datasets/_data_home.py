"""Where recordings, caches and configuration files lie on disk."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


def get_data_home(data_home=None):
    """Return the folder that holds the recordings, if there is one.

    Parameters
    ----------
    data_home : path-like, default=None
        The folder. ``None`` asks the environment variable ``SKLOGIT_DATA``.

    Returns
    -------
    pathlib.Path or None
        The folder, or ``None`` where neither names one. The library has no default
        folder: it never writes there and looks nowhere else.

    Raises
    ------
    FileNotFoundError
        If the folder that was named does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from sklogit.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     str(get_data_home(folder)) == folder
    True
    """
    named_by = "data_home"
    if data_home is None:
        named_by = "the environment variable SKLOGIT_DATA"
        data_home = os.environ.get("SKLOGIT_DATA") or None
    if data_home is None:
        return None
    folder = Path(data_home).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{named_by} names {folder}, which is not a folder.")
    return folder


@contextmanager
def environment(**variables):
    """Set environment variables within a ``with`` block, and restore them after."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def moabb_sandbox(path=None):
    """Keep what MNE and MOABB write inside one folder, within a ``with`` block.

    Left alone, a MOABB evaluation creates ``~/mne_data`` and writes where it puts its
    results into the MNE configuration file of the user. Within the block downloads,
    caches, default results and the configuration file go to ``path``; data sets that
    are on disk or generated are used without any network.

    Three variables are set, all read by MNE and MOABB at the time of each call, so
    that it does not matter whether they were imported before the block: ``MNE_DATA``
    (without it MOABB creates a folder in the home), ``MOABB_RESULTS`` (without it MOABB
    writes this key into the configuration and the environment) and
    ``_MNE_FAKE_HOME_DIR`` (where MNE looks for its configuration file). Worker
    processes see them if they were started within the block.

    Parameters
    ----------
    path : path-like, default=None
        The folder, created if needed. ``None`` makes a temporary one, deleted at the
        end of the block.

    Yields
    ------
    pathlib.Path
        The folder.

    Examples
    --------
    >>> import os
    >>> from sklogit.datasets import moabb_sandbox
    >>> with moabb_sandbox() as folder:
    ...     os.environ["MNE_DATA"] == str(folder / "data")
    True
    """
    if path is None:
        # A worker may still hold a log file open when the block ends (Windows).
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            moabb_sandbox(folder) as sandbox,
        ):
            yield sandbox
        return
    sandbox = Path(path).expanduser().absolute()
    folders = {name: sandbox / name for name in ("data", "results", "home")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    with environment(
        MNE_DATA=str(folders["data"]),
        MOABB_RESULTS=str(folders["results"]),
        _MNE_FAKE_HOME_DIR=str(folders["home"]),
    ):
        yield sandbox
