"""Synthetic brain signals whose classes differ in their time structure only."""

from numbers import Integral, Real

import numpy as np
from scipy.signal import lfilter
from sklearn.utils import Bunch, check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params


def ar2_with_peak(freq, pole_radius, sfreq=1.0):
    r"""AR(2) process of unit variance whose spectrum peaks at a given frequency.

    The process :math:`s_t = \phi_1 s_{t-1} + \phi_2 s_{t-2} + e_t` with poles
    :math:`r e^{\pm i\theta}` has :math:`\phi_1 = 2 r \cos\theta`,
    :math:`\phi_2 = -r^2`. Its spectrum peaks not at :math:`\theta` but where
    :math:`\cos\omega = \cos\theta \, (1 + r^2) / (2 r)`, hence
    :math:`\phi_1 = 4 r^2 \cos\omega / (1 + r^2)`.

    Parameters
    ----------
    freq : float
        Frequency of the peak, in the unit of ``sfreq``.
    pole_radius : float in [0, 1)
        Distance of the poles from the origin: the nearer to 1, the narrower the peak.
    sfreq : float, default=1.0
        Sampling frequency.

    Returns
    -------
    coefs : ndarray of shape (2,)
        :math:`\phi_1, \phi_2`.
    innovation_variance : float
        Variance of :math:`e_t` that gives :math:`s_t` the variance 1.
    """
    phi_2 = -(pole_radius**2)
    cos_peak = np.cos(2 * np.pi * freq / sfreq)
    phi_1 = -4 * phi_2 * cos_peak / (1 - phi_2)
    variance = (1 - phi_2) / ((1 + phi_2) * ((1 - phi_2) ** 2 - phi_1**2))
    return np.array([phi_1, phi_2]), 1 / variance


def _simulate_ar2(coefs, innovation_variance, shape, rng):
    """Draw a unit-variance AR(2) process along the last axis, stationary at once."""
    phi_1, phi_2 = coefs
    innovations = np.sqrt(innovation_variance) * rng.standard_normal(shape)
    # The two samples before the first come from their joint stationary law, so that
    # no burn-in is needed and the variance is 1 from the first sample on.
    rho = phi_1 / (1 - phi_2)
    before, last = rng.standard_normal((2, *shape[:-1]))
    last = rho * before + np.sqrt(1 - rho**2) * last
    state = np.stack([phi_1 * last + phi_2 * before, phi_2 * last], axis=-1)
    return lfilter([1.0], [1.0, -phi_1, -phi_2], innovations, axis=-1, zi=state)[0]


def random_mixing(n_channels, n_sources, rng):
    """Draw a Gaussian mixing matrix (n_channels, n_sources) with rows of norm 1."""
    mixing = rng.standard_normal((n_channels, n_sources))
    return mixing / np.linalg.norm(mixing, axis=1, keepdims=True)


def check_consistent(n_epochs, freqs, sfreq, n_oscillators, n_sources):
    """Raise ValueError where the parameters of the generator contradict each other."""
    if len(freqs) < 1 or not all(0 < freq < sfreq / 2 for freq in freqs):
        raise ValueError(
            "freqs must hold one frequency a class, each between 0 and sfreq / 2 = "
            f"{sfreq / 2:g} Hz; got {freqs}."
        )
    if n_epochs < len(freqs):
        raise ValueError(
            f"n_epochs={n_epochs} is less than the number of classes, {len(freqs)}."
        )
    if n_oscillators > n_sources:
        raise ValueError(
            f"n_oscillators={n_oscillators} is more than n_sources={n_sources}."
        )


def _check_mixing(mixing, n_channels, n_sources, rng):
    if mixing is None:
        return random_mixing(n_channels, n_sources, rng)
    mixing = check_array(mixing, input_name="mixing", dtype=np.float64)
    if mixing.shape != (n_channels, n_sources):
        raise ValueError(
            f"mixing must have the shape (n_channels, n_sources) = "
            f"{(n_channels, n_sources)}; got {mixing.shape}."
        )
    return mixing


@validate_params(
    {
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "n_channels": [Interval(Integral, 1, None, closed="left")],
        "n_times": [Interval(Integral, 1, None, closed="left")],
        "sfreq": [Interval(Real, 0, None, closed="neither")],
        "freqs": ["array-like"],
        "n_oscillators": [Interval(Integral, 0, None, closed="left")],
        "n_sources": [Interval(Integral, 1, None, closed="left")],
        "pole_radius": [Interval(Real, 0, 1, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "mixing": ["array-like", None],
        "return_info": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_bci_epochs(
    n_epochs=120,
    n_channels=8,
    n_times=500,
    *,
    sfreq=125.0,
    freqs=(9.0, 11.0),
    n_oscillators=3,
    n_sources=8,
    pole_radius=0.93,
    noise=0.1,
    mixing=None,
    return_info=False,
    random_state=None,
):
    r"""Generate epochs whose classes have the same covariance at lag zero.

    Each epoch mixes independent sources of unit variance,

    .. math:: x(t) = A\, s(t) + \sigma\, e(t), \qquad e(t) \sim N(0, I),

    where the mixing matrix :math:`A` is the same for all epochs. The first
    ``n_oscillators`` sources are AR(2) processes
    :math:`s_t = \phi_1 s_{t-1} + \phi_2 s_{t-2} + \varepsilon_t` whose spectrum peaks
    at ``freqs[k]`` in class k,

    .. math::

        \phi_1 = \frac{4 r^2}{1 + r^2} \cos\frac{2 \pi f_k}{f_s}, \quad
        \phi_2 = -r^2, \quad
        \mathrm{var}(\varepsilon_t) =
        \frac{(1 + \phi_2) \left((1 - \phi_2)^2 - \phi_1^2\right)}{1 - \phi_2};

    the others are white noise. The covariance at lag zero is
    :math:`A A^\top + \sigma^2 I` in every class, so that methods which see only the
    covariance of an epoch stay near chance, while the covariances between lags tell
    the classes apart. A band-pass filter applied afterwards keeps this property only
    if it passes all peaks alike.

    Parameters
    ----------
    n_epochs : int, default=120
        Number of epochs, shared out evenly over the classes.
    n_channels : int, default=8
        Number of channels.
    n_times : int, default=500
        Number of samples of an epoch.
    sfreq : float, default=125.0
        Sampling frequency in Hz.
    freqs : array-like of shape (n_classes,), default=(9.0, 11.0)
        Peak frequency of the oscillators in each class, in Hz.
    n_oscillators : int, default=3
        Number of sources that carry the class.
    n_sources : int, default=8
        Number of sources.
    pole_radius : float in [0, 1), default=0.93
        Radius r of the poles; the width of the peak is about
        :math:`-\ln(r) f_s / \pi`, here 2.9 Hz.
    noise : float, default=0.1
        Standard deviation :math:`\sigma` of the white noise of each channel. With the
        random mixing each channel has a signal of variance 1.
    mixing : array-like of shape (n_channels, n_sources), default=None
        The matrix A. ``None`` draws it from a normal law and scales its rows to
        norm 1.
    return_info : bool, default=False
        Whether to return the ground truth too.
    random_state : int, RandomState instance or None, default=None
        Determines the mixing, the sources, the noise and the order of the classes.

    Returns
    -------
    X : ndarray of shape (n_epochs, n_channels, n_times)
        The epochs.
    y : ndarray of shape (n_epochs,)
        The class of each epoch, an integer below ``len(freqs)``.
    info : Bunch
        Only if ``return_info``: ``mixing`` (n_channels, n_sources), ``ar_coefs``
        (n_classes, 2), ``innovation_variance`` (n_classes,), and ``covariance``
        (n_channels, n_channels), the covariance at lag zero of every class.

    Raises
    ------
    ValueError
        If a parameter is out of its range, a frequency not below ``sfreq / 2``, or
        ``mixing`` of another shape.

    See Also
    --------
    SyntheticBCI : The same signals as a MOABB data set.

    References
    ----------
    .. [1] "Classification of BCI-EEG based on augmented covariance matrix",
       arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=20, n_channels=4, n_times=250, random_state=0)
    >>> X.shape
    (20, 4, 250)
    >>> int((y == 1).sum())
    10
    """
    freqs = np.asarray(freqs, dtype=np.float64).ravel()
    check_consistent(n_epochs, freqs, sfreq, n_oscillators, n_sources)
    rng = check_random_state(random_state)
    mixing = _check_mixing(mixing, n_channels, n_sources, rng)

    y = rng.permutation(np.arange(n_epochs) % len(freqs))
    processes = [ar2_with_peak(freq, pole_radius, sfreq) for freq in freqs]
    sources = rng.standard_normal((n_epochs, n_sources, n_times))
    for k, (coefs, innovation_variance) in enumerate(processes):
        of_class = np.flatnonzero(y == k)
        shape = (len(of_class), n_oscillators, n_times)
        sources[of_class, :n_oscillators] = _simulate_ar2(
            coefs, innovation_variance, shape, rng
        )
    X = mixing @ sources
    X += noise * rng.standard_normal(X.shape)
    if not return_info:
        return X, y
    info = Bunch(
        mixing=mixing,
        ar_coefs=np.array([coefs for coefs, _ in processes]),
        innovation_variance=np.array([inno for _, inno in processes]),
        covariance=mixing @ mixing.T + noise**2 * np.eye(n_channels),
    )
    return X, y, info
