"""The report of an audit, as a dict and as text."""

import math

import numpy as np

_MEANING = {
    "exact": "The width leaks, and the subspace with it.",
    "noisy": "The width leaks through the noise, and the subspace with it.",
    "saturated": "There are too few queries: the rank is at least this.",
    "full_width": "There are no more outputs than directions: the width does not leak.",
    "ambiguous": "Signal and noise cannot be told apart: take the rank for a guess.",
    "unidentifiable": "The observed entries do not determine the rank.",
    "given": "The rank was given, not estimated.",
}
_IN_REPORT = (
    "rank",
    "rank_status",
    "rank_reason",
    "log_gap",
    "noise_std",
    "noise_std_to_hide",
    "n_queries",
    "n_distinct_queries",
    "n_queries_sufficient",
    "leaked_parameters",
    "observed_fraction",
    "topk_ratio",
    "topk_ambiguity",
)


def report_of(auditor):
    """Fitted numbers and texts of an auditor, such that JSON can write them."""
    report = {name: _plain(getattr(auditor, f"{name}_")) for name in _IN_REPORT}
    report["n_outputs"] = int(auditor.n_features_in_)
    report["n_unseen_outputs"] = int(np.count_nonzero(~auditor._seen))
    return report


def summary_of(report):
    """Tell a report in a few lines."""
    lines = [
        f"rank {report['rank']} ({report['rank_status']}): {report['rank_reason']}.",
        _meaning(report),
        f"{report['n_queries']} queries, {report['n_outputs']} outputs, "
        f"{report['observed_fraction']:.1%} of the entries observed.",
    ]
    if report["n_queries_sufficient"] is not None:
        lines.append(
            f"{report['n_queries_sufficient']} queries would have been enough."
        )
    if report["noise_std_to_hide"] is not None:
        lines.append(
            f"Noise per entry {_number(report['noise_std'])}; the weakest direction "
            f"would drown at {_number(report['noise_std_to_hide'])}, with this number "
            "of queries."
        )
    if report["observed_fraction"] < 1:
        ratio = report["topk_ratio"]
        lines.append(
            f"Entries for each degree of freedom: {_number(ratio)}"
            f"{'' if ratio is None else f' ({_light(ratio)})'}; an answer leaves open "
            f"{report['topk_ambiguity']:.2f} of total variation."
        )
    return "\n".join(lines)


def _meaning(report):
    if report["rank"] == 0 and report["rank_status"] in ("exact", "noisy"):
        return "No direction is seen: nothing leaks through the rank."
    return _MEANING[report["rank_status"]]


def _light(ratio):
    if ratio < 1:
        return "below 1: cannot be completed"
    return "up to 3: hard" if ratio <= 3 else "above 3: leaks"


def _number(value):
    return "unknown" if value is None else f"{value:.3g}"


def _plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
