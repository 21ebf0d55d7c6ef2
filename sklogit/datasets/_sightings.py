"""Reports of sightings, few of them true, from a model that is known."""

from numbers import Integral, Real

import numpy as np
from scipy import optimize, special
from sklearn.utils import Bunch, check_random_state

from .._optional import import_optional

_KM_PER_DEGREE = 6371.0088 * np.pi / 180
_START = np.datetime64("2020-01-01", "D")
# Words that are likelier in true reports, in false ones, and in neither.
_TRUE_WORDS = ["orange", "huge", "head", "large", "loud", "thumb", "queen", "hive"]
_FALSE_WORDS = ["striped", "small", "black", "blue", "fly", "cicada", "bee", "nest"]
_OTHER_WORDS = ["saw", "garden", "found", "flying", "dead", "house", "insect", "today"]
_VOCABULARY = np.array([*_TRUE_WORDS, *_FALSE_WORDS, *_OTHER_WORDS])


def make_sightings(
    n_samples=4500,
    n_nests=6,
    n_towns=15,
    *,
    prevalence=0.03,
    nest_spread_km=3.0,
    town_spread_km=8.0,
    rural_share=0.3,
    text_shift=1.2,
    words=8,
    empty_text=0.1,
    n_days=240,
    active_days=120,
    size_km=200.0,
    latitude=48.0,
    longitude=-122.0,
    return_bunch=False,
    random_state=None,
):
    r"""Generate sighting reports: false ones from towns, true ones from nests.

    People report from where they live, and see what they look for only near nests. With
    the share :math:`\pi` of true reports, the density :math:`f_1` of place and time of
    true ones, that of false ones :math:`f_0`, and the probabilities :math:`q` of the
    words w, a report is true with odds

    .. math:: \frac{\pi}{1 - \pi} \cdot \frac{f_1(x, t)}{f_0(x, t)} \cdot
        \prod_w \frac{q_1(w)}{q_0(w)} .

    :math:`f_1` is a mean of normal distributions around nests, each active for some
    time; :math:`f_0` is constant in time, a mixture of normal distributions around
    towns of random size, and of a uniform one.

    Parameters
    ----------
    n_samples : int, default=4500
        Number of reports.
    n_nests : int, default=6
        Number of nests, whose places have nothing to do with those of towns.
    n_towns : int, default=15
        Number of towns.
    prevalence : float, default=0.03
        Probability :math:`\pi` that a report is true.
    nest_spread_km : float, default=3.0
        Standard deviation of the distance from the nest, in each direction [km].
    town_spread_km : float, default=8.0
        The same for towns [km].
    rural_share : float, default=0.3
        Share of the false reports that come from anywhere.
    text_shift : float, default=1.2
        What words tell: root of the symmetric Kullback-Leibler divergence of whole
        notes, which is that of two normal scores this many standard deviations apart.
    words : int, default=8
        Number of words of a note.
    empty_text : float, default=0.1
        Share of notes that are empty.
    n_days : int, default=240
        Days over which reports come in.
    active_days : int, default=120
        Days for which a nest is active, within `n_days`: some nests come late.
    size_km : float, default=200.0
        Length of the side of the square region [km].
    latitude : float, default=48.0
        Latitude of its centre [degrees].
    longitude : float, default=-122.0
        Longitude of its centre [degrees].
    return_bunch : bool, default=False
        Whether to return all of the truth.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : DataFrame of shape (n_samples, 5)
        Columns "latitude" and "longitude" [degrees], "submitted" and "detected"
        (datetime64) and "notes" (text), in order of submission.
    y : ndarray of shape (n_samples,)
        1 for true reports, else 0.
    nests : DataFrame of shape (n_nests, 4)
        Columns "latitude", "longitude", "active_from" and "active_to".
    bunch : Bunch
        With `return_bunch`, instead of the three: ``data``, ``target``, ``nests``,
        ``towns`` (a DataFrame with "latitude", "longitude" and "share" of the false
        reports), ``probability`` (n_samples,), that a report is true given all that is
        in its row, and ``word_log_odds``, a dict from words to
        :math:`\log q_1 / q_0`.

    Raises
    ------
    ValueError
        If a size is not positive, a number out of range, or no report true or false.
    ImportError
        If pandas is missing.

    See Also
    --------
    load_hornet_reports : Real reports.
    sklogit.triage.ReportTriageClassifier : Ranks them.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklogit.datasets import make_sightings
    >>> X, y, nests = make_sightings(random_state=0)
    >>> X.shape, nests.shape
    ((4500, 5), (6, 4))
    >>> truth = make_sightings(return_bunch=True, random_state=0)
    >>> bool(roc_auc_score(y, truth.probability) > 0.95)
    True
    """
    _check_sizes(
        n_samples=n_samples,
        n_nests=n_nests,
        n_towns=n_towns,
        words=words,
        n_days=n_days,
        active_days=active_days,
    )
    _check_shares(prevalence=prevalence, rural_share=rural_share, empty_text=empty_text)
    _check_lengths(
        nest_spread_km=nest_spread_km, town_spread_km=town_spread_km, size_km=size_km
    )
    _check_rest(text_shift, active_days, n_days, latitude, longitude, size_km)
    pandas = import_optional("pandas", "make_sightings")
    rng = check_random_state(random_state)
    nests = _Nests(rng, n_nests, size_km, nest_spread_km, n_days, active_days)
    towns = _Towns(rng, n_towns, size_km, town_spread_km, rural_share)
    y = _truth(rng, n_samples, prevalence)
    places, days = towns.draw(rng, n_samples), rng.randint(0, n_days, n_samples)
    true = np.flatnonzero(y)
    places[true], days[true] = nests.draw(rng, len(true))
    order = np.argsort(days, kind="stable")
    places, days, y = places[order], days[order], y[order]
    log_odds = _word_log_odds(text_shift, words)
    word_numbers = _words(rng, y, log_odds, words)
    silent = rng.uniform(size=n_samples) < empty_text
    frame = _Frame(pandas, latitude, longitude)
    X = frame.places(places)
    X["submitted"] = (_START + days).astype("datetime64[us]")
    X["detected"] = X["submitted"] - frame.days(np.floor(rng.exponential(2.0, len(y))))
    notes = [" ".join(note) for note in _VOCABULARY[word_numbers].tolist()]
    X["notes"] = np.where(silent, "", notes)
    nest_table = nests.table(frame)
    if not return_bunch:
        return X, y, nest_table
    odds = special.logit(prevalence) + ~silent * log_odds[word_numbers].sum(axis=1)
    odds += np.log(nests.density(places, days)) - np.log(towns.density(places) / n_days)
    return Bunch(
        data=X,
        target=y,
        nests=nest_table,
        towns=towns.table(frame),
        probability=special.expit(odds),
        word_log_odds=dict(zip(_VOCABULARY.tolist(), log_odds.tolist())),
    )


def _truth(rng, n, prevalence):
    y = (rng.uniform(size=n) < prevalence).astype(np.intp)
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"All of the {n} reports are {'true' if y[0] else 'false'}: "
            f"prevalence={prevalence} needs more of them."
        )
    return y


class _Nests:
    """Where and when true reports come from; places in km from the centre."""

    def __init__(self, rng, n, size, spread, n_days, active_days):
        self.places = rng.uniform(-0.5, 0.5, (n, 2)) * size * 0.9
        self.spread = spread
        self.active_days = active_days
        self.first_day = rng.randint(0, n_days - active_days + 1, n)

    def draw(self, rng, n):
        which = rng.randint(0, len(self.places), n)
        days = self.first_day[which] + rng.randint(0, self.active_days, n)
        return self.places[which] + self.spread * rng.standard_normal((n, 2)), days

    def density(self, places, days):
        """Compute the density per square km and day."""
        density = np.zeros(len(places))
        for place, first in zip(self.places, self.first_day):
            active = (days >= first) & (days < first + self.active_days)
            density += active * _normal(places - place, self.spread)
        return np.maximum(density / len(self.places) / self.active_days, 1e-300)

    def table(self, frame):
        table = frame.places(self.places)
        table["active_from"] = (_START + self.first_day).astype("datetime64[us]")
        table["active_to"] = table["active_from"] + frame.days(self.active_days - 1)
        return table


class _Towns:
    """Where false reports come from."""

    def __init__(self, rng, n, size, spread, rural_share):
        self.places = rng.uniform(-0.5, 0.5, (n, 2)) * size * 0.9
        self.size = size
        self.spread = spread
        self.shares = (1 - rural_share) * rng.dirichlet(np.ones(n))
        self.rural_share = rural_share

    def draw(self, rng, n):
        shares = np.append(self.shares, self.rural_share)
        which = rng.choice(len(shares), size=n, p=shares / shares.sum())
        places = self.size * rng.uniform(-0.5, 0.5, (n, 2))
        urban = which < len(self.places)
        noise = self.spread * rng.standard_normal((urban.sum(), 2))
        places[urban] = self.places[which[urban]] + noise
        return places

    def density(self, places):
        """Compute the density per square km."""
        inside = (np.abs(places) <= self.size / 2).all(axis=1)
        density = self.rural_share * inside / self.size**2
        for place, share in zip(self.places, self.shares):
            density = density + share * _normal(places - place, self.spread)
        return np.maximum(density, 1e-300)

    def table(self, frame):
        return frame.places(self.places).assign(share=self.shares)


class _Frame:
    """From km to degrees, and from arrays to tables."""

    def __init__(self, pandas, latitude, longitude):
        self.pandas = pandas
        self.latitude = latitude
        self.longitude = longitude

    def places(self, km):
        latitude = self.latitude + km[:, 1] / _KM_PER_DEGREE
        # Meridians come together towards the poles.
        scale = _KM_PER_DEGREE * np.cos(np.radians(latitude))
        longitude = self.longitude + km[:, 0] / scale
        longitude = (longitude + 180) % 360 - 180
        return self.pandas.DataFrame({"latitude": latitude, "longitude": longitude})

    def days(self, values):
        return self.pandas.to_timedelta(values, unit="D")


def _normal(offsets, spread):
    square = np.sum((offsets / spread) ** 2, axis=1)
    return np.exp(-square / 2) / (2 * np.pi * spread**2)


def _word_log_odds(shift, words):
    """Log of the ratio of probabilities of words, which tells as much as asked for."""
    direction = np.repeat([1.0, -1.0, 0.0], len(_TRUE_WORDS))

    def log_odds(scale):
        return scale * direction - special.logsumexp(
            scale * direction, b=1 / len(direction)
        )

    def excess(scale):
        ratio = log_odds(scale)
        return words * np.mean((np.exp(ratio) - 1) * ratio) - shift**2

    if shift == 0:
        return log_odds(0.0)
    upper = 1.0
    while excess(upper) < 0:
        upper *= 2
    return log_odds(optimize.brentq(excess, 0.0, upper, xtol=1e-12))


def _words(rng, y, log_odds, words):
    """Draw the words of each note, as numbers of the vocabulary."""
    tilted = np.exp(log_odds)
    upto = np.cumsum([np.ones(len(tilted)), tilted / tilted.mean()], axis=1)
    drawn = rng.uniform(0.0, len(tilted), (len(y), words))
    found = np.empty(drawn.shape, dtype=np.intp)
    for label in (0, 1):
        found[y == label] = np.searchsorted(upto[label], drawn[y == label])
    return np.minimum(found, len(tilted) - 1)


def _check_sizes(**sizes):
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")


def _check_shares(**shares):
    for name, value in shares.items():
        inside = isinstance(value, Real) and 0 <= value <= 1
        if not inside or (name == "prevalence" and value in (0, 1)):
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}.")


def _check_lengths(**lengths):
    for name, value in lengths.items():
        if not isinstance(value, Real) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive, got {value!r}.")


def _check_rest(text_shift, active_days, n_days, latitude, longitude, size_km):
    if not isinstance(text_shift, Real) or not 0 <= text_shift <= 10:
        raise ValueError(f"text_shift must be between 0 and 10, got {text_shift!r}.")
    if active_days > n_days:
        raise ValueError(
            f"active_days must be at most n_days = {n_days}, got {active_days}."
        )
    reach = size_km / _KM_PER_DEGREE
    if not isinstance(latitude, Real) or not abs(latitude) + reach < 90:
        raise ValueError(
            f"latitude must leave room for {size_km} km to the poles, got {latitude!r}."
        )
    if not isinstance(longitude, Real) or not abs(longitude) <= 180:
        raise ValueError(f"longitude must be within 180 degrees, got {longitude!r}.")
