"""MOABB data sets: lazy, picklable, offline, and what the evaluations make of them."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("moabb")

from moabb.paradigms import LeftRightImagery, MotorImagery

from sklogit.datasets import SyntheticBCI, load_physionet_mi


def _run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


# ------------------------------------------------------------------ the lazy import


def test_importing_the_package_imports_no_extra():
    loaded = _run(
        "import sys, sklogit.datasets, json;"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    assert not {"moabb", "mne", "pyriemann", "torch"} & set(json.loads(loaded))


def test_a_missing_extra_is_named():
    message = _run(
        "import sys; sys.modules['moabb'] = None\n"
        "try:\n    from sklogit.datasets import SyntheticBCI\n"
        "except ImportError as error:\n    print(error)"
    )
    assert "sklogit.datasets.SyntheticBCI needs moabb" in message
    assert "pip install 'sklogit[eeg]'" in message


def test_an_unknown_name_is_an_attribute_error():
    import sklogit.datasets

    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = sklogit.datasets.no_such_thing


def test_dir_lists_the_lazy_names():
    import sklogit.datasets

    assert set(sklogit.datasets.__all__) <= set(dir(sklogit.datasets))


# --------------------------------------------------------------------- SyntheticBCI


@pytest.fixture
def small():
    return SyntheticBCI(n_subjects=2, n_sessions=2, n_epochs=6, n_channels=4)


def test_synthetic_epochs_have_the_shape_and_scale_of_eeg(small):
    X, y, metadata = LeftRightImagery().get_data(small)
    assert X.shape == (24, 4, 501)  # 4 s at 125 Hz, with the end point
    assert set(y) == {"left_hand", "right_hand"}
    assert metadata.groupby(["subject", "session"]).size().tolist() == [6] * 4
    assert 1 < X.std() < 30  # microvolts


def test_synthetic_channels_have_positions(small):
    raw = small.get_data([1])[1]["0"]["0"]
    assert raw.ch_names == ["C3", "Cz", "C4", "FC3", "stim"]
    positions = raw.get_montage().get_positions()["ch_pos"]
    assert np.isfinite(list(positions.values())).all()


def test_every_offered_channel_has_a_position():
    raw = SyntheticBCI(1, 1, n_epochs=2, n_channels=21).get_data([1])[1]["0"]["0"]
    assert len(raw.get_montage().get_positions()["ch_pos"]) == 21


def test_up_to_four_classes():
    dataset = SyntheticBCI(1, 1, n_epochs=8, freqs=(12.0, 16.0, 20.0, 24.0))
    _, y, _ = MotorImagery(n_classes=4).get_data(dataset)
    names, counts = np.unique(y, return_counts=True)
    assert names.tolist() == ["feet", "left_hand", "right_hand", "tongue"]
    assert counts.tolist() == [2] * 4


def test_synthetic_data_are_the_same_at_each_load_and_after_pickling(small):
    X, _, _ = LeftRightImagery().get_data(small)
    again, _, _ = LeftRightImagery().get_data(pickle.loads(pickle.dumps(small)))
    assert np.array_equal(X, again)


def test_a_subject_is_the_same_whoever_else_is_there(small):
    alone = SyntheticBCI(2, 2, n_epochs=6, n_channels=4, subjects=[2])
    X, _, metadata = LeftRightImagery().get_data(small)
    own, _, _ = LeftRightImagery().get_data(alone)
    assert np.array_equal(X[metadata.subject == 2], own)


def test_subjects_and_sessions_differ(small):
    data = small.get_data()
    recordings = [
        data[subject][session]["0"].get_data("eeg")
        for subject in (1, 2)
        for session in ("0", "1")
    ]
    for i in range(4):
        for j in range(i):
            assert not np.allclose(recordings[i], recordings[j])


@pytest.mark.slow
def test_synthetic_data_load_in_worker_processes(small):
    parallel = small.get_data(n_jobs=2)
    serial = small.get_data(n_jobs=1)
    for subject in (1, 2):
        left, right = parallel[subject]["0"]["0"], serial[subject]["0"]["0"]
        assert np.array_equal(left.get_data(), right.get_data())


def test_code_separates_parameters_and_is_stable():
    codes = {
        SyntheticBCI().code,
        SyntheticBCI(n_subjects=4).code,
        SyntheticBCI(n_sessions=3).code,
        SyntheticBCI(freqs=(16.0, 21.0)).code,
        SyntheticBCI(noise=0.2).code,
        SyntheticBCI(random_state=1).code,
    }
    assert len(codes) == 6
    assert SyntheticBCI().code == SyntheticBCI(freqs=[16, 20]).code


def test_class_name_abbreviates_the_code(caplog):
    SyntheticBCI()
    assert "abbreviation" not in caplog.text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_subjects": 0}, "'n_subjects' parameter"),
        ({"n_channels": 22}, "'n_channels' parameter"),
        ({"freqs": (10.0,)}, "2 to 4 frequencies, one a class; got 1"),
        ({"freqs": (10.0, 80.0)}, "sfreq / 2 = 62.5"),
        ({"random_state": None}, "'random_state' parameter"),
        ({"subjects": [7]}, "Invalid subjects"),
    ],
)
def test_synthetic_parameters_are_checked_before_data_are_made(parameters, message):
    with pytest.raises(ValueError, match=message):
        SyntheticBCI(**parameters)


def test_default_band_leaves_no_class_information_at_lag_zero():
    """After MOABB's filter, power per class and channel differs by chance only."""
    dataset = SyntheticBCI(1, 1, n_epochs=400, n_channels=3)
    X, y, _ = LeftRightImagery().get_data(dataset)
    power = X.var(axis=2)
    left, right = power[y == "left_hand"], power[y == "right_hand"]
    error = np.sqrt(left.var(axis=0) / len(left) + right.var(axis=0) / len(right))
    assert (np.abs(left.mean(axis=0) - right.mean(axis=0)) < 4 * error).all()


# ---------------------------------------------------------------- load_physionet_mi


@pytest.fixture
def fake_home(tmp_path):
    """A folder with the layout of the recordings of subjects 2 and 5, all empty."""
    folder = tmp_path / "eegmmidb/MNE-eegbci-data/files/eegmmidb/1.0.0"
    for subject, runs in {2: (4, 8, 12), 5: (4, 8, 12, 6, 10, 14), 9: (4,)}.items():
        for run in runs:
            path = folder / f"S{subject:03d}" / f"S{subject:03d}R{run:02d}.edf"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("imagery", "subjects"), [("left_right", [2, 5]), ("hands_feet", [5])]
)
def test_subjects_with_all_their_recordings_are_found(fake_home, imagery, subjects):
    dataset = load_physionet_mi(imagery=imagery, data_home=fake_home)
    assert dataset.subject_list == subjects


@pytest.mark.parametrize(
    ("imagery", "runs"), [("left_right", [4, 8, 12]), ("hands_feet", [6, 10, 14])]
)
def test_only_the_runs_of_the_imagery_are_read(fake_home, imagery, runs):
    dataset = load_physionet_mi([5], imagery=imagery, data_home=fake_home)
    assert dataset.hand_runs + dataset.feet_runs == runs
    names = [Path(path).name for path in dataset.data_path(5)]
    assert names == [f"S005R{run:02d}.edf" for run in runs]


def test_missing_subjects_are_named_with_those_there(fake_home):
    with pytest.raises(ValueError, match=r"subjects \[3, 9\]; it has .* \[2, 5\]"):
        load_physionet_mi([2, 3, 9], data_home=fake_home)


def test_a_folder_without_any_recording_is_an_error(tmp_path):
    (tmp_path / "eegmmidb").mkdir()
    with pytest.raises(ValueError, match=r"it has those of \[\]"):
        load_physionet_mi(data_home=tmp_path)


def test_a_given_folder_without_eegmmidb_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no folder eegmmidb"):
        load_physionet_mi(data_home=tmp_path)


def test_unknown_imagery_is_an_error():
    with pytest.raises(ValueError, match="'imagery' parameter"):
        load_physionet_mi(imagery="rest")


def test_without_a_folder_it_is_what_moabb_downloads(monkeypatch):
    from moabb.datasets import PhysionetMI

    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    dataset = load_physionet_mi([3])
    assert type(dataset) is PhysionetMI
    assert dataset.subject_list == [3]
    assert (dataset.hand_runs, dataset.feet_runs) == ([4, 8, 12], [])


def test_local_recordings_are_moabbs_data_set_with_its_metadata(fake_home):
    from moabb.datasets import PhysionetMI

    dataset = pickle.loads(pickle.dumps(load_physionet_mi(data_home=fake_home)))
    assert isinstance(dataset, PhysionetMI)
    assert dataset.code == PhysionetMI().code
    assert dataset.metadata == PhysionetMI().metadata


@pytest.mark.realdata
def test_left_right_gives_45_trials_a_subject(data_home):
    dataset = load_physionet_mi([1, 3], data_home=data_home)
    X, y, metadata = LeftRightImagery().get_data(dataset)
    assert X.shape == (90, 64, 481)
    assert metadata.subject.value_counts().to_dict() == {1: 45, 3: 45}
    assert set(y) == {"left_hand", "right_hand"}


@pytest.mark.realdata
def test_hands_feet_gives_45_trials_a_subject(data_home):
    dataset = load_physionet_mi([4], imagery="hands_feet", data_home=data_home)
    X, y, _ = MotorImagery(events=["hands", "feet"], n_classes=2).get_data(dataset)
    assert X.shape == (45, 64, 481)
    assert set(y) == {"hands", "feet"}


@pytest.mark.realdata
def test_loading_touches_neither_network_nor_environment(data_home, tmp_path):
    """In a new process with an empty home: no file, no variable, no connection."""
    out = _run(
        "import os, socket, json\n"
        "def refuse(*args): raise AssertionError('the network was used')\n"
        "socket.socket.connect = refuse\n"
        "from sklogit.datasets import load_physionet_mi\n"
        "from moabb.paradigms import LeftRightImagery\n"
        "before = dict(os.environ)\n"
        "X, _, _ = LeftRightImagery().get_data(load_physionet_mi([2]))\n"
        "print(json.dumps([len(X), dict(os.environ) == before]))",
        SKLOGIT_DATA=str(data_home),
        HOME=str(tmp_path),
        _MNE_FAKE_HOME_DIR=str(tmp_path),
    )
    assert json.loads(out.splitlines()[-1]) == [45, True]
    assert not (tmp_path / ".mne").exists()
    assert not (tmp_path / "mne_data").exists()
