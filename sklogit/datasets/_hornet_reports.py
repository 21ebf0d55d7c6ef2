"""Public reports of what people took for a giant hornet."""

import numpy as np
from sklearn.utils import Bunch

from .._optional import import_optional
from ._data_home import get_data_home

_PATH = ("hornet_reports", "hornet_reports.csv.gz")
# Sightings before that year are typing errors or placeholders, up to the year 515.
_FIRST_YEAR = "2015-01-01"
_TARGETS = {
    "Positive ID": 1,
    "Negative ID": 0,
    "Unverified": -1,
    "Unprocessed": -1,
}

_DESCR = """\
Reports of Vespa mandarinia to the Washington State Department of Agriculture, 2020
===================================================================================

{n} reports that were submitted from {first} to {last}; data set of Problem C of the
Mathematical Contest in Modeling 2021. Coordinates are rounded to 0.001 degrees; names
and addresses in the notes are masked.

target:  1 confirmed ({n_positive}), 0 refuted ({n_negative}), -1 without a verdict
         ({n_unlabeled})

latitude, longitude   degrees
submitted             day on which the report came in
detected              day of the sighting, as reported. Where it is missing, before 2015
                      or after the report ({n_replaced} rows, see detection_replaced) it
                      is the day of submission.
notes                 what the reporter wrote; empty in {n_empty} rows

What leaks, and is left out unless return_leaky=True:

lab_comments          written after the verdict
n_files               number of files attached. Reports with a picture got a verdict,
                      others rarely did: it tells how a report came to have a label.

Labels are not missing at random, and a few notes of positives were written by staff.
{n_positive} positives illustrate a method; they cannot decide between two.
"""


def load_hornet_reports(*, data_home=None, return_leaky=False):
    """Load the reports of giant hornets to the State of Washington, 2020.

    4,440 reports with place, time and text, of which 14 were confirmed and 2,069
    refuted. Nothing is downloaded.

    Parameters
    ----------
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.
    return_leaky : bool, default=False
        Whether to add the columns "n_files" and "lab_comments", which tell the verdict
        or how it came about. They must not be features.

    Returns
    -------
    Bunch
        ``data``, a DataFrame with the columns "latitude" and "longitude" [degrees],
        "submitted" and "detected" (datetime64) and "notes" (text), in order of
        submission; ``target`` of shape (n_samples,), 1 for confirmed, 0 for refuted and
        -1 for reports without verdict; ``status`` (n_samples,), the four kinds of
        verdicts as they were; ``detection_replaced`` (n_samples,), whether the day of
        detection was impossible and is that of submission; ``feature_names`` and
        ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ImportError
        If pandas is missing.

    See Also
    --------
    make_sightings : Reports whose truth is known.
    sklogit.triage.ReportTriageClassifier : Ranks them.

    References
    ----------
    .. [1] "Confirming the Buzz about Hornets", Problem C of the Mathematical Contest in
       Modeling 2021.

    Examples
    --------
    >>> from sklogit.datasets import load_hornet_reports
    >>> try:
    ...     load_hornet_reports(data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 4440 reports, 14 of them confirmed")
    not here; else 4440 reports, 14 of them confirmed
    """
    pandas = import_optional("pandas", "load_hornet_reports")
    table = pandas.read_csv(_path(data_home), keep_default_na=False)
    submitted = pandas.to_datetime(table["Submission Date"], format="%Y-%m-%d")
    table = table.assign(submitted=submitted).sort_values("submitted", kind="stable")
    table = table.reset_index(drop=True)
    detected, replaced = _detected(pandas, table)
    data = pandas.DataFrame(
        {
            "latitude": table["Latitude"].astype(float),
            "longitude": table["Longitude"].astype(float),
            "submitted": table["submitted"],
            "detected": detected,
            "notes": table["Notes"],
        }
    )
    if return_leaky:
        data["n_files"] = table["NFiles"].astype(int)
        data["lab_comments"] = table["Lab Comments"]
    target = table["Lab Status"].map(_TARGETS).to_numpy()
    return Bunch(
        data=data,
        target=target.astype(np.intp),
        status=table["Lab Status"].to_numpy(dtype=object),
        detection_replaced=replaced,
        feature_names=list(data.columns),
        DESCR=_description(data, target, replaced),
    )


def _detected(pandas, table):
    """Days of detection, and which of them are those of submission instead."""
    found = pandas.to_datetime(
        table["Detection Date"], format="%Y-%m-%d", errors="coerce"
    )
    # Comparisons with a missing date are false.
    possible = (found >= _FIRST_YEAR) & (found <= table["submitted"])
    return found.where(possible, table["submitted"]), ~possible.to_numpy()


def _description(data, target, replaced):
    return _DESCR.format(
        n=len(data),
        first=data["submitted"].min().date(),
        last=data["submitted"].max().date(),
        n_positive=(target == 1).sum(),
        n_negative=(target == 0).sum(),
        n_unlabeled=(target == -1).sum(),
        n_replaced=replaced.sum(),
        n_empty=(data["notes"] == "").sum(),
    )


def _path(data_home):
    folder = get_data_home(data_home)
    if folder is None:
        raise FileNotFoundError(
            "The reports of hornets need data_home, or the environment variable "
            "SKLOGIT_DATA."
        )
    path = folder.joinpath(*_PATH)
    if not path.is_file():
        raise FileNotFoundError(f"There is no {'/'.join(_PATH)} in {folder}.")
    return path
