"""MOABB data sets: generated ones, and recordings that are already on disk.

This module imports MOABB, so `sklogit.datasets` reaches it on first use only.
"""

import os
import threading
import warnings
import zlib
from numbers import Integral, Real

import mne
import numpy as np
from moabb import datasets as moabb_datasets
from moabb.datasets.base import BaseDataset
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._bci import check_consistent, make_bci_epochs, random_mixing
from ._data_home import environment, get_data_home

# The motor strip of the 10-10 system, from the centre outwards.
_CHANNELS = (
    *("C3", "Cz", "C4", "FC3", "FCz", "FC4", "CP3", "CPz", "CP4", "C1", "C2"),
    *("FC1", "FC2", "CP1", "CP2", "C5", "C6", "FC5", "FC6", "CP5", "CP6"),
)
_CLASSES = ("left_hand", "right_hand", "feet", "tongue")
_N_SOURCES = 8
_N_OSCILLATORS = 3
_VOLTS = 1e-5  # standard deviation of EEG: some 10 microvolts
_IMAGERY_SECONDS = 4.0
_PAUSE_SECONDS = 1.0  # half before the cue and half after the imagery


class SyntheticBCI(BaseDataset):
    """Motor-imagery recordings from `make_bci_epochs`, as a MOABB data set.

    Everything is generated on demand from ``random_state``: it needs no files and no
    network. The classes differ in the peak frequency of a few sources and not in the
    covariance at lag zero, so that pipelines without time structure stay near chance.

    A trial is 4 s of imagery after its cue, with 0.5 s of the same signal before and
    after, so that the band-pass filter has forgotten the trial before.

    Parameters
    ----------
    n_subjects : int, default=3
        Number of subjects.
    n_sessions : int, default=2
        Number of sessions of a subject; cross-session evaluation needs two.
    n_epochs : int, default=40
        Number of trials of a session.
    n_channels : int, default=8
        Number of channels, at most 21, which lie on the motor strip.
    freqs : tuple of float, default=(16.0, 20.0)
        Peak frequency of each class in Hz, two to four of them. The default lies in
        the middle of MOABB's usual band of 8 to 32 Hz: a peak at its edge loses power
        in the filter, and the covariance at lag zero then tells the classes apart.
    noise : float, default=0.1
        Standard deviation of the white noise of a channel, relative to its signal.
    subject_variability : float, default=0.1
        How far the mixing matrix of a subject is from the common one: 0 for the same
        head, large values for unrelated ones.
    sfreq : float, default=125.0
        Sampling frequency in Hz.
    random_state : int, default=0
        Seed of all subjects. The recording of a session depends on this seed and on
        the numbers of the subject and the session only.
    subjects : list of int, default=None
        Subjects to use, numbered from 1. ``None`` takes all.
    sessions : list of int, default=None
        Sessions to use, numbered from 0. ``None`` takes all.

    Attributes
    ----------
    code : str
        ``"SyntheticBCI-"`` and a checksum of the parameters. MOABB files results and
        caches under this name, so other parameters never meet stale results.
    subject_list : list of int
        The subjects in use.

    See Also
    --------
    make_bci_epochs : The same signals as arrays.

    Examples
    --------
    >>> from moabb.paradigms import LeftRightImagery
    >>> from sklogit.datasets import SyntheticBCI, moabb_sandbox
    >>> dataset = SyntheticBCI(n_subjects=1, n_sessions=1, n_epochs=6)
    >>> with moabb_sandbox():
    ...     X, y, metadata = LeftRightImagery().get_data(dataset)
    >>> X.shape
    (6, 8, 501)
    """

    @validate_params(
        {
            "n_subjects": [Interval(Integral, 1, None, closed="left")],
            "n_sessions": [Interval(Integral, 1, None, closed="left")],
            "n_epochs": [Interval(Integral, 2, None, closed="left")],
            "n_channels": [Interval(Integral, 1, len(_CHANNELS), closed="both")],
            "freqs": ["array-like"],
            "noise": [Interval(Real, 0, None, closed="left")],
            "subject_variability": [Interval(Real, 0, None, closed="left")],
            "sfreq": [Interval(Real, 0, None, closed="neither")],
            "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(
        self,
        n_subjects=3,
        n_sessions=2,
        *,
        n_epochs=40,
        n_channels=8,
        freqs=(16.0, 20.0),
        noise=0.1,
        subject_variability=0.1,
        sfreq=125.0,
        random_state=0,
        subjects=None,
        sessions=None,
    ):
        freqs = tuple(float(freq) for freq in freqs)
        if not 2 <= len(freqs) <= len(_CLASSES):
            raise ValueError(
                f"freqs must hold 2 to {len(_CLASSES)} frequencies, one a class; "
                f"got {len(freqs)}."
            )
        check_consistent(n_epochs, freqs, sfreq, _N_OSCILLATORS, _N_SOURCES)
        self.n_epochs = n_epochs
        self.n_channels = n_channels
        self.freqs = freqs
        self.noise = noise
        self.subject_variability = subject_variability
        self.sfreq = float(sfreq)
        self.random_state = random_state
        parameters = (n_subjects, n_sessions, *self.__dict__.values())
        super().__init__(
            subjects=list(range(1, n_subjects + 1)),
            sessions_per_subject=n_sessions,
            events={name: k + 1 for k, name in enumerate(_CLASSES[: len(freqs)])},
            code=f"SyntheticBCI-{zlib.crc32(repr(parameters).encode()):08x}",
            interval=[0, _IMAGERY_SECONDS],
            paradigm="imagery",
            selected_subjects=subjects,
            selected_sessions=sessions,
        )

    def data_path(
        self, subject, path=None, force_update=False, update_path=None, verbose=None
    ):
        """Return None: there are no files."""

    def _mixing(self, subject):
        """Mixing matrix of a subject: a perturbation of the common one."""
        shape = self.n_channels, _N_SOURCES
        common = random_mixing(*shape, np.random.RandomState(self.random_state))
        own = random_mixing(*shape, np.random.RandomState([self.random_state, subject]))
        mixing = common + self.subject_variability * own
        return mixing / np.linalg.norm(mixing, axis=1, keepdims=True)

    def _get_single_subject_data(self, subject):
        """Generate the recordings of a subject, one run a session."""
        sessions = range(self.n_sessions)
        return {str(k): {"0": self._make_raw(subject, k)} for k in sessions}

    def _make_raw(self, subject, session):
        X, y = make_bci_epochs(
            self.n_epochs,
            self.n_channels,
            n_times=round((_IMAGERY_SECONDS + _PAUSE_SECONDS) * self.sfreq),
            sfreq=self.sfreq,
            freqs=self.freqs,
            n_oscillators=_N_OSCILLATORS,
            n_sources=_N_SOURCES,
            noise=self.noise,
            mixing=self._mixing(subject),
            random_state=np.random.RandomState([self.random_state, subject, session]),
        )
        eeg = _VOLTS * np.concatenate(X, axis=1)
        stim = np.zeros((self.n_epochs, X.shape[2]))
        stim[:, round(_PAUSE_SECONDS / 2 * self.sfreq)] = y + 1
        info = mne.create_info(
            [*_CHANNELS[: self.n_channels], "stim"],
            self.sfreq,
            ["eeg"] * self.n_channels + ["stim"],
        )
        raw = mne.io.RawArray(np.vstack([eeg, stim.ravel()]), info, verbose=False)
        return raw.set_montage("biosemi64")


# The environment, the log level and the warning filters belong to the process: threads
# that load subjects side by side must not restore them under each other.
_ENVIRONMENT_LOCK = threading.Lock()


class PhysionetMI(moabb_datasets.PhysionetMI):
    """MOABB's PhysionetMI, reading recordings that lie in a given folder.

    The name is MOABB's own, because MOABB finds what it knows of a data set by the name
    of its class.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``MNE-eegbci-data``.
    subjects : list of int
        Subjects whose recordings are there.
    """

    # MOABB asks a mirror before it looks at the disk, unless there is no mirror.
    nemar_id = None

    def __init__(self, root, subjects):
        super().__init__(subjects=subjects)
        self.root = root

    def _get_single_subject_data(self, subject):
        # MNE and MOABB read the variable at each look-up: it is needed here only, and a
        # worker process, which may have started earlier, sets its own.
        with (
            _ENVIRONMENT_LOCK,
            environment(MNE_DATASETS_EEGBCI_PATH=str(self.root)),
            mne.use_log_level("WARNING"),
            warnings.catch_warnings(),
        ):
            # MOABB asks MNE for a montage by its old name, once a run.
            warnings.filterwarnings("ignore", "Montage name", FutureWarning)
            return super()._get_single_subject_data(subject)

    def data_path(
        self, subject, path=None, force_update=False, update_path=None, verbose=None
    ):
        """Return the paths of the recordings of a subject, as a list of str."""
        if subject not in self.subject_list:
            raise ValueError(f"subject {subject} is not one of {self.subject_list}.")
        runs = self.hand_runs + self.feet_runs
        return [str(_recording(self.root, subject, run)) for run in runs]


_RUNS = {"left_right": (4, 8, 12), "hands_feet": (6, 10, 14)}


def _recording(root, subject, run):
    """Path of a recording in the layout that MNE and MOABB use."""
    folder = root / "MNE-eegbci-data" / "files" / "eegmmidb" / "1.0.0"
    return folder / f"S{subject:03d}" / f"S{subject:03d}R{run:02d}.edf"


def _subjects_on_disk(root, runs):
    return [
        subject
        for subject in range(1, 110)
        if all(_recording(root, subject, run).is_file() for run in runs)
    ]


def _local_physionet_mi(root, subjects, imagery):
    available = _subjects_on_disk(root, _RUNS[imagery])
    if subjects is None:
        subjects = available
    missing = sorted(set(subjects) - set(available))
    if missing or not subjects:
        raise ValueError(
            f"{root} lacks the {imagery} recordings of subjects {missing}; it has "
            f"those of {available}."
        )
    return PhysionetMI(root, subjects)


@validate_params(
    {
        "subjects": ["array-like", None],
        "imagery": [StrOptions(set(_RUNS))],
        "data_home": [str, os.PathLike, None],
    },
    prefer_skip_nested_validation=True,
)
def load_physionet_mi(subjects=None, *, imagery="left_right", data_home=None):
    """Load the motor-imagery recordings of PhysioNet's eegmmidb as a MOABB data set.

    64 channels at 160 Hz; 45 trials of 3 s a subject and a pair of classes, in one
    session. Where the folder ``eegmmidb`` exists in ``data_home``, the recordings are
    read from it, in the layout ``eegmmidb/MNE-eegbci-data/files/eegmmidb/1.0.0/``, and
    nothing is downloaded. Otherwise MOABB downloads what is asked for, on first use, to
    where it is configured to.

    Neither the environment nor the configuration of MNE is changed: the variable
    ``MNE_DATASETS_EEGBCI_PATH`` is set while a subject is read from the folder, and
    restored. For downloads ``MOABB_DOWNLOAD_PROVIDER=upstream`` makes MOABB go to
    PhysioNet without asking its mirror first; set it yourself, at any time before.

    Parameters
    ----------
    subjects : array-like of int, default=None
        Numbers of the subjects, 1 to 109. ``None`` takes all whose recordings are in
        the folder, or all 109 for downloads (subject 88 has another sampling
        frequency and cannot be mixed with others).
    imagery : {"left_right", "hands_feet"}, default="left_right"
        Imagined movement of the left or the right fist (runs 4, 8, 12; use with
        `moabb.paradigms.LeftRightImagery`), or of both fists or both feet (runs 6, 10,
        14; use with ``MotorImagery(events=["hands", "feet"], n_classes=2)``).
    data_home : path-like, default=None
        Folder that holds ``eegmmidb``. ``None`` asks the environment variable
        ``SKLOGIT_DATA``.

    Returns
    -------
    moabb.datasets.PhysionetMI
        The data set, with the runs of ``imagery`` only.

    Raises
    ------
    ImportError
        If MOABB is not installed.
    FileNotFoundError
        If the folder that ``data_home`` or ``SKLOGIT_DATA`` names does not exist, or
        ``data_home`` is given and holds no ``eegmmidb``.
    ValueError
        If the folder lacks recordings of one of the ``subjects``.

    References
    ----------
    .. [1] "BCI2000: a general-purpose brain-computer interface (BCI) system", IEEE
       Transactions on Biomedical Engineering 51(6):1034-1043, 2004. Data:
       doi:10.13026/C28G6P, Open Data Commons Attribution 1.0.
    .. [2] "PhysioBank, PhysioToolkit, and PhysioNet", Circulation 101(23):e215-e220,
       2000.

    Examples
    --------
    >>> from sklogit.datasets import load_physionet_mi
    >>> from moabb.paradigms import LeftRightImagery
    >>> dataset = load_physionet_mi(subjects=[1])  # doctest: +SKIP
    >>> X, y, metadata = LeftRightImagery().get_data(dataset)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (45, 64, 481)
    """
    if subjects is not None:
        subjects = [int(subject) for subject in subjects]
    home = get_data_home(data_home)
    root = None if home is None else home / "eegmmidb"
    if root is not None and root.is_dir():
        dataset = _local_physionet_mi(root, subjects, imagery)
    elif data_home is not None:
        raise FileNotFoundError(f"data_home={home} holds no folder eegmmidb.")
    else:
        dataset = moabb_datasets.PhysionetMI(subjects=subjects)
    dataset.hand_runs = [run for run in dataset.hand_runs if run in _RUNS[imagery]]
    dataset.feet_runs = [run for run in dataset.feet_runs if run in _RUNS[imagery]]
    return dataset
