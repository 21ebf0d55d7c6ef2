"""What an interface publishes of the logits of a model."""

import hashlib
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure

_SEEDS = np.iinfo(np.int32).max


class LogitExposure(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Turn full logits into what an interface would publish of them.

    A simulator of defences, for owners of a model. In this order: soft cap
    :math:`c \tanh(z / c)`, log-probabilities, noise, rounding, the largest k. What is
    withheld is NaN.

    Parameters
    ----------
    top_k : int, default=None
        Number of the largest values that are published for each query; None is all.
    log_proba : bool, default=False
        Publish logarithms of probabilities.
    decimals : int, default=None
        Digits after the point to round to; may be negative. None does not round.
    noise_std : float, default=0.0
        Standard deviation of normal noise.
    per_query_noise : bool, default=True
        Whether the same query always meets the same noise, so that asking again does
        not average it away: the noise is a function of the seed and of the row. False
        draws it anew for each row.
    softcap : float, default=None
        Bound c of the logits; None does not bound them.
    dtype : {"float16", "float32", "float64"}, default=None
        Type of what is published; None keeps that of the logits.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR array of what is published, in place of a
        dense one with NaN.
    random_state : int, RandomState instance or None, default=None
        Seed of the noise.

    Attributes
    ----------
    n_features_in_ : int
        Number of outputs.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if the logits have any.

    See Also
    --------
    LogitLeakageAuditor : What can be recovered from it.
    audit_exposures : Several exposures side by side.

    Notes
    -----
    Of equal logits at the k-th place any may be published.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.audit import LogitExposure
    >>> L = np.array([[2.04, -1.0, 0.33], [0.0, 1.26, 1.0]])
    >>> LogitExposure(top_k=2, decimals=1).fit_transform(L)
    array([[2. , nan, 0.3],
           [nan, 1.3, 1. ]])
    """

    _parameter_constraints: dict = {
        "top_k": [Interval(Integral, 1, None, closed="left"), None],
        "log_proba": ["boolean"],
        "decimals": [Integral, None],
        "noise_std": [Interval(Real, 0, None, closed="left")],
        "per_query_noise": ["boolean"],
        "softcap": [Interval(Real, 0, None, closed="neither"), None],
        "dtype": [StrOptions({"float16", "float32", "float64"}), None],
        "sparse_output": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        top_k=None,
        log_proba=False,
        decimals=None,
        noise_std=0.0,
        per_query_noise=True,
        softcap=None,
        dtype=None,
        *,
        sparse_output=False,
        random_state=None,
    ):
        self.top_k = top_k
        self.log_proba = log_proba
        self.decimals = decimals
        self.noise_std = noise_std
        self.per_query_noise = per_query_noise
        self.softcap = softcap
        self.dtype = dtype
        self.sparse_output = sparse_output
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the parameters, and draw the seed of the noise.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_outputs)
            Full logits.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted exposure.

        Raises
        ------
        ValueError
            If `top_k` is more than the number of outputs, or a logit is not finite.
        """
        X = self._logits(X, reset=True)
        if self.top_k is not None and self.top_k > X.shape[1]:
            raise ValueError(
                f"top_k must be at most the number of outputs, {X.shape[1]}, got "
                f"{self.top_k}."
            )
        self._seed = int(check_random_state(self.random_state).randint(_SEEDS))
        return self

    def transform(self, X):
        """Publish.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_outputs)
            Full logits.

        Returns
        -------
        ndarray or CSR array of shape (n_queries, n_outputs)
            What is published, and NaN (or nothing stored) for what is not.
        """
        check_is_fitted(self)
        X = self._logits(X, reset=False)
        out = X
        if self.softcap is not None:
            out = self.softcap * np.tanh(out / self.softcap)
        if self.log_proba:
            out = log_softmax(out, axis=1)
        if self.noise_std > 0:
            out = out + self._noise(X)
        if self.decimals is not None:
            out = np.round(out, self.decimals)
        out = out.astype(self.dtype or X.dtype)
        if self.top_k is None:
            return _stored(out) if self.sparse_output else out
        shown = np.argpartition(-out, self.top_k - 1, axis=1)[:, : self.top_k]
        if self.sparse_output:
            return _stored(np.take_along_axis(out, shown, axis=1), shown, out.shape)
        published = np.full_like(out, np.nan)
        np.put_along_axis(
            published, shown, np.take_along_axis(out, shown, axis=1), axis=1
        )
        return published

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_seed")

    def _logits(self, X, reset):
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)

    def _noise(self, X):
        if not self.per_query_noise:
            rng = np.random.default_rng(self._fresh_seed())
            return self.noise_std * rng.standard_normal(X.shape, dtype=X.dtype)
        noise = np.empty_like(X)
        for row, into in zip(X, noise):
            # A keyed hash: without the seed the noise of a row cannot be told.
            digest = hashlib.blake2b(
                np.ascontiguousarray(row + 0.0),  # -0.0 and 0.0 are the same query
                key=self._seed.to_bytes(8, "little"),
                digest_size=16,
            ).digest()
            rng = np.random.default_rng(int.from_bytes(digest, "little"))
            rng.standard_normal(out=into, dtype=X.dtype)
        return self.noise_std * noise

    def _fresh_seed(self):
        """Return another seed in each call, if the random state has a state."""
        if isinstance(self.random_state, Integral):
            return self._seed
        return int(check_random_state(self.random_state).randint(_SEEDS))


def _stored(values, columns=None, shape=None):
    """Make a CSR array that stores all values, zeros too."""
    shape = values.shape if shape is None else shape
    n_rows, k = values.shape
    if columns is None:
        columns = np.broadcast_to(np.arange(k), values.shape)
    order = np.argsort(columns, axis=1)
    indices = np.take_along_axis(np.asarray(columns), order, axis=1).ravel()
    data = np.take_along_axis(values, order, axis=1).ravel()
    return sparse.csr_array((data, indices, np.arange(n_rows + 1) * k), shape=shape)
