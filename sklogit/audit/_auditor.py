"""The auditor: rank, subspace and status of published logits."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._state import restore_on_failure
from ._audit_fit import (
    Audit,
    audit_censored,
    audit_stream,
    new_stream,
)
from ._noise_level import NoiseLevel, check_magnitude, check_noise, precision_of
from ._projection import coordinates
from ._rank import METHODS
from ._similarity import principal_cosines
from ._summary import report_of, summary_of

_DEFAULT_DIRECTIONS = 1024


class LogitLeakageAuditor(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""What published logits give away of the output layer of a model.

    It is for owners of a model, and works on arrays that they have; it opens no
    connection. Logits are :math:`z = W h(x) + b` with W of shape (n_outputs, h), so
    that a matrix of answers has rank h, and its row space is the column space of W
    [1]_ [2]_. The auditor tells rank and row space, and with a status how sure it is:
    it does not give a number where there is none.

    Parameters
    ----------
    rank : "auto" or int, default="auto"
        Number of directions; "auto" estimates it.
    center : {"auto", "both", "rows", "columns"} or None, default="auto"
        Means to subtract. Those of rows remove the constant of log-probabilities,
        those of columns the bias of the output layer; "auto" is both, so that the rank
        is that of the hidden states, of which layer normalisation takes one.
    noise_std : "auto", "fit", float or ("decimals", d), default="auto"
        Noise of an entry: its standard deviation, or what rounding to d decimals does,
        :math:`10^{-d} / \sqrt{12}`. "fit" fits it to the singular values, and "auto"
        does so unless the entries all have the same few decimals.
    rank_method : str, default="auto"
        One of "auto", "numerical", "gap", "marchenko_pastur" and "gavish_donoho", see
        `estimate_rank`.
    svd_solver : {"auto", "full", "gram"}, default="auto"
        "full" computes singular values that are accurate down to round-off; "gram"
        from a Gram matrix, those above 1e-8 of the largest, several times faster;
        "auto" is "gram" for float32, and for float64 where it shows that this is
        enough.
    softcap : float, default=None
        Bound c of logits that are published as :math:`c \tanh(z / c)`: undone first.
    holdout : float, default=0.1
        Share of the observed entries that is held out where entries are missing.
    max_iter : int, default=60
        Most sweeps of alternating least squares for each rank, likewise.
    ridge : float, default=1e-3
        Its first ridge, relative to the mean of the diagonal.
    max_rank : int, default=None
        Most directions to look for. Of streams, twice as many rows are kept at most.
        None is 1024, or 64 where entries are missing.
    stability_check : bool, default=True
        Whether a rank that was told from noise must come again from a random 80 % of
        the rows, and of the columns.
    random_state : int, RandomState instance or None, default=None
        Choice of these, and of held-out entries.

    Attributes
    ----------
    rank_ : int
        Number of directions. Only a lower bound, or a guess, depending on the status.
    rank_status_ : str
        "exact" and "noisy" are sure. "saturated": there are too few queries, the rank
        is at least that. "full_width": as many directions as outputs, nothing is known
        of the width. "ambiguous": signal and noise cannot be told apart.
        "unidentifiable": the observed entries do not determine it; the rank is zero
        then. "given": it was a parameter.
    rank_reason_ : str
        Why.
    singular_values_ : ndarray of shape (n_values,)
        Of the centred logits, the largest first.
    log_gap_ : int
        Where their logarithms fall most: a second opinion.
    noise_std_ : float
        Noise of an entry, given or fitted.
    noise_std_to_hide_ : float
        Noise at which the weakest direction would not be seen with this number of
        queries. More queries need more noise.
    components_ : ndarray of shape (rank, n_outputs)
        Orthonormal rows that span the row space.
    mean_ : ndarray of shape (n_outputs,)
        Means that were subtracted from the columns; zero if none were.
    n_queries_ : int
        Number of rows.
    n_distinct_queries_ : int
        Number of different rows. Of full rows those that come again are left out, as
        asking again tells nothing new; means and singular values are of the others.
    n_queries_sufficient_ : int or None
        Least number of such queries that are expected to give the rank. None if the
        rank is not sure.
    leaked_parameters_ : int
        Degrees of freedom of the subspace, :math:`r (V - r)`.
    observed_fraction_ : float
        Share of the entries that is observed.
    topk_ratio_ : float
        Observed entries for each degree of freedom of a matrix of that rank. Below 1 it
        cannot be completed; up to 3 it is hard where the entries are the largest ones;
        NaN if the rank is zero.
    topk_ambiguity_ : float
        Mean of `topk_tv_diameter`; zero if all entries are observed.
    cv_path_ : ndarray of shape (n_ranks, 2)
        Ranks and held-out errors where entries are missing.
    n_iter_ : int
        Sweeps of least squares where entries are missing, else 1.
    report_ : dict
        All of this but the arrays; JSON can write it.
    n_features_in_ : int
        Number of outputs.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    audit_exposures : Several defences side by side.
    queries_required : How many queries it takes.
    SubspaceStudent : How well a model trained on the answers does.

    Notes
    -----
    The hidden layer is known up to an invertible matrix only: what leaks is a
    subspace. The rank is less than the width where hidden states lie in a subspace, as
    after layer normalisation without shift, by one.

    Independent noise is no defence against one who asks again: m answers to the same
    query leave :math:`\sigma / \sqrt m`.

    References
    ----------
    .. [1] "Stealing Part of a Production Language Model", arXiv:2403.06634.
    .. [2] "Logits of API-Protected LLMs Leak Proprietary Information",
       arXiv:2403.09539.

    Examples
    --------
    >>> from sklogit.audit import LogitExposure, LogitLeakageAuditor
    >>> from sklogit.datasets import make_language_logits
    >>> model = make_language_logits(200, 800, hidden_dim=64, random_state=0)
    >>> answers = LogitExposure(decimals=1).fit_transform(model.logits)
    >>> auditor = LogitLeakageAuditor(random_state=0).fit(answers)
    >>> auditor.rank_, auditor.rank_status_
    (64, 'noisy')
    >>> bool(auditor.subspace_overlap(model.head).min() > 0.9)
    True
    """

    _parameter_constraints: dict = {
        "rank": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "center": [StrOptions({"auto", "both", "rows", "columns"}), None],
        "noise_std": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto", "fit"}),
            tuple,
        ],
        "rank_method": [StrOptions(set(METHODS))],
        "svd_solver": [StrOptions({"auto", "full", "gram"})],
        "softcap": [Interval(Real, 0, None, closed="neither"), None],
        "holdout": [Interval(Real, 0, 1, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "max_rank": [Interval(Integral, 1, None, closed="left"), None],
        "stability_check": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        rank="auto",
        center="auto",
        noise_std="auto",
        rank_method="auto",
        svd_solver="auto",
        softcap=None,
        holdout=0.1,
        max_iter=60,
        ridge=1e-3,
        max_rank=None,
        stability_check=True,
        random_state=None,
    ):
        self.rank = rank
        self.center = center
        self.noise_std = noise_std
        self.rank_method = rank_method
        self.svd_solver = svd_solver
        self.softcap = softcap
        self.holdout = holdout
        self.max_iter = max_iter
        self.ridge = ridge
        self.max_rank = max_rank
        self.stability_check = stability_check
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Audit published logits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_outputs)
            Logits or log-probabilities. NaN is not observed; of sparse matrices, what
            is not stored, and rows without entries are ignored.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted auditor.

        Raises
        ------
        ValueError
            If a row has no entry, an entry is infinite, beyond the soft cap or not
            zero and outside of 1e-140 to 1e140 in size, or there are fewer than two
            rows or outputs.
        """
        check_noise(self.noise_std)
        self.__dict__.pop("_stream", None)
        eps = _precision(X)
        X = self._published(X, reset=True)
        noise = NoiseLevel(self.noise_std, self.softcap)
        noise.look_at(X, eps)
        X = self._uncapped(X)
        if sparse.issparse(X) or np.isnan(X).any():
            self._store(audit_censored(self, _observed(X), noise))
        else:
            stream = self._new_stream(X)
            stream.noise = noise
            stream.eps = max(stream.eps, precision_of(X, eps))
            self._stream = stream.add(X)
            self._store(audit_stream(self, stream))
        return self

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Audit more rows, together with those before; rows are not kept.

        Blocks of 2 * `max_rank` rows or more cost least. As long as there are no more
        rows than that in all, the result is that of `fit`; after that weak directions
        are left out, which costs exact data nothing.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_outputs)
            Logits or log-probabilities, none missing.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The auditor of all rows so far.

        Raises
        ------
        ValueError
            As `fit`; and if an entry is missing: completion needs all rows at once.
        """
        check_noise(self.noise_std)
        first = not hasattr(self, "_stream")
        eps = _precision(X)
        X = self._published(X, reset=first, in_parts=True)
        if first:
            stream = self._new_stream(X)
            stream.noise = NoiseLevel(self.noise_std, self.softcap)
        else:
            stream = self._stream.copy()
        stream.noise = stream.noise.copy()
        stream.noise.look_at(X, eps)
        X = self._uncapped(X)
        stream.eps = max(stream.eps, precision_of(X, eps))
        stream.add(X)
        self._stream = stream
        if stream.n_asked < 2:  # nothing to tell yet; the row is kept
            return self
        self._store(audit_stream(self, stream))
        return self

    def transform(self, X):
        """Compute coordinates of logits in the subspace.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_outputs)
            Logits of the same model. Of rows with missing entries, the coordinates of
            least squares on the others.

        Returns
        -------
        ndarray of shape (n_queries, rank)
            Coordinates of the centred rows.
        """
        check_is_fitted(self)
        return coordinates(self, self._new_rows(X))[0]

    def inverse_transform(self, X):
        """Compute logits of coordinates; with centred rows, up to a constant in each.

        Parameters
        ----------
        X : array-like of shape (n_queries, rank)
            Coordinates.

        Returns
        -------
        ndarray of shape (n_queries, n_outputs)
            Logits, means of columns included.

        Raises
        ------
        ValueError
            If X has another number of columns than there are directions.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32], ensure_min_features=0)
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X must have a column for each of the {self._n_features_out} "
                f"directions, got {X.shape[1]}."
            )
        return X @ self.components_ + self.mean_

    def score(self, X, y=None):
        """Share of the energy of centred logits that lies in the subspace.

        Near 1 for new answers of the same model, and for another one, or after its head
        was changed, far below.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_outputs)
            New logits.
        y : None
            Ignored.

        Returns
        -------
        float
            The share, at most 1.
        """
        check_is_fitted(self)
        _, left, energy = coordinates(self, self._new_rows(X))
        return float(1 - left.sum() / energy.sum()) if energy.sum() > 0 else 0.0

    def subspace_overlap(self, W):
        """Compute cosines of the angles between the subspace and the head's.

        Parameters
        ----------
        W : array-like of shape (n_outputs, n_hidden)
            Weights of the output layer. It is centred as the logits were.

        Returns
        -------
        ndarray of shape (min(rank, n_hidden),)
            Cosines, the largest first; all 1 if the whole subspace leaked.

        Raises
        ------
        ValueError
            If W has another number of outputs.
        """
        check_is_fitted(self)
        W = np.asarray(W, dtype=np.float64)
        if W.ndim != 2 or len(W) != self.n_features_in_:
            raise ValueError(
                f"W must have shape (n_outputs={self.n_features_in_}, n_hidden), got "
                f"{W.shape}."
            )
        W = W[self._seen]
        if self._centers_rows:
            W = W - W.mean(axis=0)
        return principal_cosines(self.components_[:, self._seen].T, W)

    def with_rank(self, rank):
        """Return an auditor of the same rows with another number of directions.

        Parameters
        ----------
        rank : int
            Number of directions.

        Returns
        -------
        LogitLeakageAuditor
            With status "given"; this one is not changed.

        Raises
        ------
        ValueError
            If the rank is no positive integer, or entries were missing: fit again
            then.
        """
        check_is_fitted(self)
        if not isinstance(rank, Integral) or isinstance(rank, bool) or rank < 1:
            raise ValueError(f"rank must be a positive integer, got {rank!r}.")
        if not hasattr(self, "_stream"):
            raise ValueError("with_rank needs a fit to rows without missing entries.")
        other = clone(self).set_params(rank=rank)
        for name, value in vars(self).items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(other, name, value)
        other._stream = self._stream
        other._store(audit_stream(other, self._stream))
        return other

    def summary(self):
        """Return the report as text.

        Returns
        -------
        str
            A few lines: rank, status, reason, and what would change them.
        """
        check_is_fitted(self)
        return summary_of(self.report_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "rank_")

    @property
    def _n_features_out(self):
        return len(self.components_)

    @property
    def _centers_rows(self):
        return self.center in ("auto", "both", "rows")

    @property
    def _centers_columns(self):
        return self.center in ("auto", "both", "columns")

    def _published(self, X, reset, in_parts=False):
        X = validate_data(
            self,
            X,
            accept_sparse=False if in_parts else "csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=True if in_parts else "allow-nan",
            ensure_min_samples=1 if in_parts or not reset else 2,
            ensure_min_features=2 if reset else 1,
            reset=reset,
        )
        stored = X.data if sparse.issparse(X) else X
        if sparse.issparse(X) and np.isnan(stored).any():
            raise ValueError("X must store what is observed, and no NaN.")
        if sparse.issparse(X) and reset and not len(stored):
            raise ValueError("X must have an entry at least, got none that is stored.")
        check_magnitude(stored)
        if not in_parts and not sparse.issparse(X):
            empty = np.isnan(X).all(axis=1)
            if empty.any():
                raise ValueError(
                    f"X must have an entry in each row: all of row {np.argmax(empty)} "
                    "are NaN."
                )
        return X

    def _new_rows(self, X):
        return self._uncapped(self._published(X, reset=False))

    def _uncapped(self, X):
        """Invert the soft cap."""
        if self.softcap is None:
            return X
        stored = X.data if sparse.issparse(X) else X
        largest = np.nanmax(np.abs(stored), initial=0.0)
        if largest >= self.softcap:
            raise ValueError(
                f"softcap must be above all logits, got {self.softcap} and {largest}."
            )
        stored = self.softcap * np.arctanh(stored / self.softcap)
        if not sparse.issparse(X):
            return stored
        return type(X)((stored, X.indices, X.indptr), shape=X.shape)

    def _new_stream(self, X):
        return new_stream(
            X.shape[1],
            X.dtype,
            center_rows=self._centers_rows,
            center_columns=self._centers_columns,
            max_directions=self.max_rank or _DEFAULT_DIRECTIONS,
            solver=self.svd_solver,
        )

    def _random_state(self):
        return check_random_state(self.random_state)

    def _store(self, audit: Audit):
        """Set the fitted attributes."""
        for name, value in vars(audit).items():
            setattr(self, f"_{name}" if name == "seen" else f"{name}_", value)
        self.report_ = report_of(self)


def _precision(X):
    """Relative precision in which logits come: of float16 too, which is read wider."""
    dtype = getattr(X, "dtype", None)
    if dtype is None or np.dtype(dtype).kind != "f":
        return float(np.finfo(np.float64).eps)
    return float(np.finfo(dtype).eps)


def _observed(X):
    """CSR array of what is observed, zeros too."""
    if sparse.issparse(X):
        return sparse.csr_array(X)
    row, column = np.nonzero(~np.isnan(X))
    return sparse.csr_array((X[row, column], (row, column)), shape=X.shape)
