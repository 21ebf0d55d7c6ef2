"""Ready-made pipelines: as objects, as MOABB's files, and in MOABB's evaluations."""

import subprocess
import sys

import pytest
from sklearn.base import clone

pytest.importorskip("moabb")

from moabb.analysis.results import get_digest, get_string_rep
from moabb.evaluations import (
    CrossSessionEvaluation,
    CrossSubjectEvaluation,
    WithinSessionEvaluation,
)
from moabb.paradigms import LeftRightImagery
from moabb.pipelines.utils import (
    generate_paradigms,
    generate_param_grid,
    parse_pipelines_from_directory,
)

from sklogit.covariance import pipelines, pipelines_directory
from sklogit.datasets import SyntheticBCI, make_bci_epochs

NAMES = ["TS+SVM", "ACM+TS+SVM", "ACM+MDM", "TS+multi-lag+SVM", "ACM+TS+SVM (CV)"]


def test_names():
    assert list(pipelines()) == NAMES


def test_pipelines_are_new_each_time():
    first, second = pipelines(), pipelines()
    assert all(first[name] is not second[name] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pipelines_fit_epochs_and_predict(name):
    X, y = make_bci_epochs(40, 4, 200, random_state=0)
    pipeline = pipelines()[name].fit(X[:30], y[:30])
    assert pipeline.predict(X[30:]).shape == (10,)


@pytest.mark.parametrize("grid", ["small", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_representation_is_the_same_after_cloning(name, grid):
    """MOABB files results under a checksum of it, without memory addresses."""
    pipeline = pipelines(grid)[name]
    representation = get_string_rep(pipeline)
    assert representation == get_string_rep(clone(pipeline))
    assert b"0x" not in representation


def test_representation_is_the_same_in_another_process():
    code = (
        "from moabb.analysis.results import get_digest\n"
        "from sklogit.covariance import pipelines\n"
        "print(*(get_digest(pipeline) for pipeline in pipelines().values()))"
    )
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.split() == [get_digest(pipeline) for pipeline in pipelines().values()]


def test_paper_grid_has_600_candidates():
    search = pipelines("paper")["ACM+TS+SVM (CV)"][-1]
    grid = search.orders, search.lags, search.Cs, search.kernels
    n_candidates = 1
    for values in grid:
        n_candidates *= len(values)
    assert n_candidates == 600
    assert search.estimator == "cov"


def test_unknown_grid_is_an_error():
    with pytest.raises(ValueError, match="'grid' parameter"):
        pipelines("huge")


def test_files_describe_the_same_pipelines():
    configs = parse_pipelines_from_directory(pipelines_directory())
    of_files = generate_paradigms(configs)
    for paradigm in ("LeftRightImagery", "MotorImagery"):
        described = {
            name: get_string_rep(pipeline)
            for name, pipeline in of_files[paradigm].items()
        }
        expected = {
            name: get_string_rep(pipeline) for name, pipeline in pipelines().items()
        }
        assert described == expected


def test_files_leave_no_grid_to_the_evaluation():
    configs = parse_pipelines_from_directory(pipelines_directory())
    assert generate_param_grid(configs) == {}


@pytest.mark.parametrize(
    "evaluation",
    [WithinSessionEvaluation, CrossSessionEvaluation, CrossSubjectEvaluation],
)
def test_time_structure_decides_in_every_evaluation(evaluation, tmp_path):
    """Same covariance at lag zero: chance at order 1, nearly perfect above."""
    results = evaluation(
        paradigm=LeftRightImagery(),
        datasets=[SyntheticBCI(n_subjects=3, n_sessions=2, n_channels=6)],
        hdf5_path=str(tmp_path),
        overwrite=True,
        random_state=42,
    ).process(pipelines())
    scores = results.groupby("pipeline")["score"].mean()
    assert scores["TS+SVM"] <= 0.65
    assert scores["ACM+TS+SVM"] >= 0.9
    assert scores["ACM+TS+SVM (CV)"] >= 0.9
    assert scores["ACM+MDM"] >= 0.8
