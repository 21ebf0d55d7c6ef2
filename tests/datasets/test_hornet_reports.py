"""Reports of hornets: counts of the file, and what must not be a feature."""

import gzip

import numpy as np
import pandas as pd
import pytest

from sklogit.datasets import load_hornet_reports

COLUMNS = ["latitude", "longitude", "submitted", "detected", "notes"]
ROWS = """\
GlobalID,Detection Date,Notes,Lab Status,Lab Comments,Submission Date,\
Latitude,Longitude,NFiles
{B},2020-05-01,seen,Negative ID,a bee,2020-05-02,47.5,-122.25,1
{A},6/21/515,,Positive ID,a hornet,2020-02-01,48.5,-122.5,2
{C},<Null>,"big, loud",Unverified,,2020-06-01,48,-121,0
{D},2014-12-31,NA,Unprocessed,,2020-06-02,48,-121,0
{E},2020-07-02,x,Negative ID,,2020-07-01,48,-121,1
{F},2015-01-01,y,Negative ID,,2020-07-01,48,-121,1
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hornet_reports").mkdir()
    path = tmp_path / "hornet_reports" / "hornet_reports.csv.gz"
    with gzip.open(path, "wt", encoding="utf8") as file:
        file.write(ROWS)
    return tmp_path


def test_reports_are_sorted_by_submission(folder):
    reports = load_hornet_reports(data_home=folder)
    assert list(reports.data) == reports.feature_names == COLUMNS
    assert reports.data["latitude"].tolist()[:2] == [48.5, 47.5]
    np.testing.assert_array_equal(reports.target, [1, 0, -1, -1, 0, 0])
    assert reports.status[3] == "Unprocessed"
    assert reports.data["submitted"][0] == pd.Timestamp("2020-02-01")


def test_impossible_days_of_detection_become_those_of_submission(folder):
    reports = load_hornet_reports(data_home=folder)
    expected = ["02-01", "05-01", "06-01", "06-02", "07-01"]
    found = reports.data["detected"]
    assert found[:5].dt.strftime("%m-%d").tolist() == expected
    assert found[5] == pd.Timestamp("2015-01-01")
    np.testing.assert_array_equal(reports.detection_replaced, [1, 0, 1, 1, 1, 0])


def test_empty_notes_and_words_like_na_stay_text(folder):
    notes = load_hornet_reports(data_home=folder).data["notes"]
    assert notes.tolist() == ["", "seen", "big, loud", "NA", "x", "y"]


def test_what_leaks_is_there_only_if_asked_for(folder):
    reports = load_hornet_reports(data_home=folder, return_leaky=True)
    assert reports.feature_names == [*COLUMNS, "n_files", "lab_comments"]
    assert reports.data["n_files"].tolist() == [2, 1, 0, 0, 1, 1]
    assert reports.data["lab_comments"][0] == "a hornet"


def test_environment_names_the_folder(folder, monkeypatch):
    monkeypatch.setenv("SKLOGIT_DATA", str(folder))
    assert len(load_hornet_reports().data) == 6


def test_missing_data_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no hornet_reports/.* in"):
        load_hornet_reports(data_home=tmp_path)
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="SKLOGIT_DATA"):
        load_hornet_reports()


@pytest.mark.realdata
def test_counts_of_the_real_reports(data_home):
    reports = load_hornet_reports(data_home=data_home)
    assert reports.data.shape == (4440, 5)
    counts = dict(zip(*np.unique(reports.status.astype(str), return_counts=True)))
    assert counts == {
        "Positive ID": 14,
        "Negative ID": 2069,
        "Unverified": 2342,
        "Unprocessed": 15,
    }
    assert np.bincount(reports.target + 1).tolist() == [2357, 2069, 14]
    # 14 that are no date of those centuries, 21 before 2015, 18 after the submission.
    assert reports.detection_replaced.sum() == 14 + 21 + 18
    assert (reports.data["detected"] <= reports.data["submitted"]).all()
    assert reports.data["detected"].min() >= pd.Timestamp("2015-01-01")
    assert not reports.data.isna().any(axis=None)
    assert "4440 reports" in reports.DESCR
    assert "53 rows" in reports.DESCR
