"""Generators of signals, and loaders that never write outside their folder."""

from .._optional import import_optional
from ._bci import make_bci_epochs
from ._click_log import make_click_log
from ._clip_features import load_clip_features
from ._data_home import get_data_home, moabb_sandbox
from ._hornet_reports import load_hornet_reports
from ._images import load_cifar10_small, load_mnist_t10k, load_usps
from ._keel import keel_imbalanced_names, load_keel_imbalanced
from ._language_logits import make_language_logits
from ._mode_choice import load_mode_choice
from ._sightings import make_sightings
from ._text import load_next_tokens, load_text_corpus, make_next_token_windows
from ._transport_choices import load_mode_canada, load_swissmetro

__all__ = [
    "SyntheticBCI",
    "get_data_home",
    "keel_imbalanced_names",
    "load_cifar10_small",
    "load_clip_features",
    "load_hornet_reports",
    "load_keel_imbalanced",
    "load_mnist_t10k",
    "load_mode_canada",
    "load_mode_choice",
    "load_next_tokens",
    "load_physionet_mi",
    "load_swissmetro",
    "load_text_corpus",
    "load_usps",
    "make_bci_epochs",
    "make_click_log",
    "make_language_logits",
    "make_next_token_windows",
    "make_sightings",
    "moabb_sandbox",
]

# Classes of MOABB data sets can only be made with MOABB imported, which takes seconds:
# they come on first use.
_FROM_MOABB = {"SyntheticBCI", "load_physionet_mi"}


def __getattr__(name):
    if name not in _FROM_MOABB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_optional("moabb", f"{__name__}.{name}")
    from . import _moabb

    return getattr(_moabb, name)


def __dir__():
    return sorted(set(globals()) | set(__all__))
