"""Imports of the optional dependencies, with an error that names the extra."""

from importlib import import_module

# First part of the module's name -> extra of pyproject.toml that installs it.
_EXTRA_OF = {
    "torch": "torch",
    "skorch": "torch",
    "pyriemann": "eeg",
    "moabb": "eeg",
    "mne": "eeg",
    "matplotlib": "plot",
}


def import_optional(module, purpose):
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Dotted name of the module, e.g. ``"matplotlib.pyplot"``.
    purpose : str
        What needs it; the error message starts with these words.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra to install.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        extra = _EXTRA_OF[package]
        raise ImportError(
            f"{purpose} needs {package}, which is not installed. "
            f"Install it with: pip install 'sklogit[{extra}]'"
        ) from error
