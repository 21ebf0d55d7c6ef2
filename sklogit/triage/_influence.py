"""Influence of reports on each other, by distance and time."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_array, check_consistent_length

from .._days import to_days
from ._geometry import check_coordinates
from ._kernel import DECAYS, Kernel
from ._neighbours import Places, influence_matrix

# Parameters of the kernel, as estimators share them; infinity is a length and a radius.
KERNEL_CONSTRAINTS = {
    "length_km": [Interval(Real, 0, None, closed="right"), None],
    "length_days": [Interval(Real, 0, None, closed="right"), None],
    "radius_km": [Interval(Real, 0, None, closed="right")],
    "spatial": [StrOptions(set(DECAYS))],
    "temporal": [StrOptions(set(DECAYS))],
    "causal": ["boolean"],
    "max_neighbors": [Interval(Integral, 1, None, closed="left"), None],
}


@validate_params(
    {
        "coords_a": ["array-like"],
        "coords_b": ["array-like", None],
        "time_a": ["array-like", None],
        "time_b": ["array-like", None],
        **KERNEL_CONSTRAINTS,
        "exclude_self": ["boolean"],
        "missing_location": [StrOptions({"error", "impute"})],
    },
    prefer_skip_nested_validation=True,
)
def neighbour_influence(
    coords_a,
    coords_b=None,
    time_a=None,
    time_b=None,
    *,
    length_km=10.0,
    length_days=30.0,
    radius_km=60.0,
    spatial="exponential",
    temporal="exponential",
    causal=False,
    max_neighbors=None,
    exclude_self=False,
    missing_location="error",
):
    r"""Influence of reports b on reports a, as a sparse matrix.

    .. math:: F_{ij} = k_s(d_{ij} / \ell_d) \, k_t(|t_i - t_j| / \ell_t)

    with the great-circle distance d in km and a decay k: "exponential"
    :math:`e^{-u}`, "gaussian" :math:`e^{-u^2/2}` or "tophat" :math:`[u \le 1]`. It is
    zero beyond `radius_km`.

    Parameters
    ----------
    coords_a : array-like of shape (n_a, 2)
        Latitude and longitude in degrees.
    coords_b : array-like of shape (n_b, 2), default=None
        Those of the references; None for a itself.
    time_a, time_b : array-like of shape (n_a,) and (n_b,), default=None
        Times as datetime64, ISO strings, or days. Without both, time has no
        influence. A missing time does not decay, and is never before another.
    length_km : float, default=10.0
        Length of the decay in space; None or infinity for none.
    length_days : float, default=30.0
        Length of the decay in time; None or infinity for none.
    radius_km : float, default=60.0
        Radius.
    spatial, temporal : {"exponential", "gaussian", "tophat"}, default="exponential"
        Shapes of the decay.
    causal : bool, default=False
        Whether only references strictly before a report have influence.
    max_neighbors : int, default=None
        Keep only the influence of this many nearest references of each report, which
        bounds memory in dense places.
    exclude_self : bool, default=False
        Leave out the influence of row i of b on row i of a. Other reports of the same
        place keep theirs.
    missing_location : {"error", "impute"}, default="error"
        Whether NaN coordinates are an error, or reports without any influence.

    Returns
    -------
    influence : csr_array of shape (n_a, n_b)
        Influence F, between 0 and 1.

    Raises
    ------
    ValueError
        If a latitude is beyond 90 or a longitude beyond 180 degrees, coordinates are
        NaN, `causal` is set without times, or lengths differ.

    See Also
    --------
    SpatioTemporalRateEncoder : Rates of true reports in the neighbourhood, as features.

    Notes
    -----
    Time and memory grow with the number of neighbours, not with n_a times n_b.

    References
    ----------
    .. [1] "Priority prediction of Asian Hornet sighting report using machine learning
       methods", arXiv:2107.05465.

    Examples
    --------
    >>> from sklogit.triage import neighbour_influence
    >>> blaine, bellingham, seattle = [48.99, -122.75], [48.75, -122.48], [47.6, -122.3]
    >>> F = neighbour_influence([blaine, bellingham, seattle])
    >>> F.toarray().round(3)
    array([[1.   , 0.036, 0.   ],
           [0.036, 1.   , 0.   ],
           [0.   , 0.   , 1.   ]])
    """
    queries = _places(coords_a, time_a, "a", missing_location)
    references = queries
    if coords_b is not None:
        references = _places(coords_b, time_b, "b", missing_location)
    elif time_b is not None:
        raise ValueError("time_b needs coords_b.")
    if causal and (queries.days is None or references.days is None):
        raise ValueError("causal=True needs the times of both sets of reports.")
    if exclude_self and len(queries) != len(references):
        raise ValueError(
            "exclude_self=True compares rows, but there are "
            f"{len(queries)} and {len(references)}."
        )
    kernel = Kernel(
        length_km, length_days, radius_km, spatial, temporal, causal, max_neighbors
    )
    own = np.arange(len(queries)) if exclude_self else None
    return influence_matrix(queries, references, kernel, own)


def _places(coords, time, name, missing):
    coords = check_array(
        coords, ensure_all_finite=False, input_name=f"coords_{name}", dtype=np.float64
    )
    if coords.shape[1] != 2:
        raise ValueError(
            f"coords_{name} must have the columns latitude and longitude, got "
            f"{coords.shape[1]} columns."
        )
    latitude, longitude = check_coordinates(coords[:, 0], coords[:, 1], missing)
    days = None if time is None else to_days(time, f"time_{name}")
    check_consistent_length(coords, days)
    return Places.from_degrees(latitude, longitude, days)
