"""Distances of models by the graphs of their logits."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from ..losses import coactivation_graph, gw_sorted_bounds
from ..losses._array_twin import as_tensor, takes_arrays
from ..losses._sorted_transport import transport_cost
from ..losses._top_logits import DEFAULT_K, TRANSFORMS, as_logits, check_k, top_values


class GromovWassersteinLogitDistance(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""Distances between models, by how their logits fire together.

    The k greatest transformed logits of each position t of a model, :math:`z_t`, make a
    graph :math:`C = \frac1T \sum_t z_t z_t^T`. The distance of two models is the bound
    of the Gromov-Wasserstein distance of their graphs that
    :func:`~sklogit.losses.gw_sorted` gives from below,

    .. math:: W_r(C 1 / k, D 1 / k)^r \le \mathrm{GW}_r(C, D)^r .

    Models need not have the same classes, outputs or positions. Similar ones are found
    by what takes precomputed distances, such as
    :class:`~sklearn.cluster.AgglomerativeClustering`.

    Parameters
    ----------
    k : int, default=None
        Nodes of the graphs; None is 10, or all outputs of a model that has fewer.
    logit_transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        What is done to each row of logits first, see
        :func:`~sklogit.losses.top_logits`.
    temperature : float, default=1.0
        Logits are divided by it.
    order : float, default=1.0
        The power r, at least 1. No root is taken.

    Attributes
    ----------
    graphs_ : list of ndarray of shape (k, k)
        Graphs of the models that were fitted.
    features_ : list of ndarray of shape (k,)
        Means of their rows.
    n_features_in_ : int
        Second dimension of X, if that is an array.

    See Also
    --------
    FusionDistillationClassifier : Learns from several models.
    sklogit.losses.gw_sorted_bounds : Both bounds of two graphs.

    Notes
    -----
    A distance of 0 does not mean that two models are the same: graphs whose rows have
    the same means are not told apart. Compare models on the same inputs.

    References
    ----------
    .. [1] "InfiGFusion: Graph-on-Logits Distillation via Efficient Gromov-Wasserstein
       for Model Fusion", arXiv:2505.13893.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklogit.distillation import GromovWassersteinLogitDistance
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> sure, unsure = LogisticRegression(), LogisticRegression(C=1e-4)
    >>> logits = [clf.fit(X, y).decision_function(X) for clf in (sure, unsure)]
    >>> logits.append(LogisticRegression().fit(X, y % 7).decision_function(X))
    >>> distance = GromovWassersteinLogitDistance().fit_transform(logits)
    >>> distance.shape
    (3, 3)
    >>> bool(distance[0, 2] < distance[0, 1])  # the sure ones are alike
    True
    """

    _parameter_constraints: dict = {
        "k": [Interval(Integral, 1, None, closed="left"), None],
        "logit_transform": [StrOptions(set(TRANSFORMS))],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "order": [Interval(Real, 1, None, closed="left")],
    }

    def __init__(
        self, k=None, *, logit_transform="softmax", temperature=1.0, order=1.0
    ):
        self.k = k
        self.logit_transform = logit_transform
        self.temperature = temperature
        self.order = order

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Make the graphs of some models.

        Parameters
        ----------
        X : list of array-likes of shape (n_positions, n_outputs), or array-like of \
                shape (n_models, n_positions, n_outputs) or (n_models, n_outputs)
            Logits of the models. Positions and outputs of the arrays of a list need not
            be as many; a model of a list may also be the pair that
            :func:`~sklogit.losses.top_logits` makes.
        y : None
            Ignored.

        Returns
        -------
        GromovWassersteinLogitDistance
            The fitted transformer.

        Raises
        ------
        ValueError
            If logits are not finite or have another shape, or `k` is larger than the
            number of outputs.
        """
        self.graphs_ = self._graphs(X, reset=True)
        self.features_ = [graph.mean(axis=1) for graph in self.graphs_]
        self._n_features_out = len(self.graphs_)
        return self

    def transform(self, X):
        """Compute the distances of models to those that were fitted.

        Parameters
        ----------
        X : list of array-likes, or array-like
            Logits of the models, as of ``fit``.

        Returns
        -------
        ndarray of shape (n_models, n_fitted_models)
            The distances: bounds of Gromov-Wasserstein from below.
        """
        check_is_fitted(self)
        features = [graph.mean(axis=1) for graph in self._graphs(X, reset=False)]
        return _pairwise(features, self.features_, self.order)

    def upper_bounds(self, X):
        """Compute bounds of Gromov-Wasserstein from above.

        Parameters
        ----------
        X : list of array-likes, or array-like
            Logits of the models, as of ``fit``.

        Returns
        -------
        ndarray of shape (n_models, n_fitted_models)
            The bounds: what the coupling costs that is optimal for the distances.
        """
        check_is_fitted(self)
        graphs = self._graphs(X, reset=False)
        bounds = [
            [gw_sorted_bounds(C, D, order=self.order)[1] for D in self.graphs_]
            for C in graphs
        ]
        return np.array(bounds, dtype=graphs[0].dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # -- steps -------------------------------------------------------------------------

    def _graphs(self, X, *, reset):
        if _is_list_of_models(X):
            named = [(f"X[{m}]", logits) for m, logits in enumerate(X)]
        else:
            X = validate_data(
                self, X, allow_nd=True, dtype=[np.float64, np.float32], reset=reset
            )
            named = [(f"X[{m}]", np.atleast_2d(logits)) for m, logits in enumerate(X)]
        return [self._graph(logits, name) for name, logits in named]

    def _graph(self, logits, name):
        with torch.no_grad():
            logits = as_logits(name, logits, self.logit_transform)
            values = logits[0] if isinstance(logits, tuple) else logits
            if values.ndim != 2:
                raise ValueError(
                    f"{name} must have shape (n_positions, n_outputs), got "
                    f"{tuple(values.shape)}."
                )
            k = self.k
            if k is None:
                k = min(DEFAULT_K, values.shape[1])
            check_k(k, values.shape[1], name)
            Z, _ = top_values(name, logits, k, self.logit_transform, self.temperature)
            return coactivation_graph(Z).cpu().numpy()


def _is_list_of_models(X):
    """Whether X is a list of arrays of two dimensions, rather than one array."""
    if not isinstance(X, list | tuple):
        return False
    if not len(X):
        raise ValueError("X must have the logits of at least one model, got none.")
    first = X[0]
    if isinstance(first, tuple):
        return True  # a pair of values and indices
    return (first.ndim if hasattr(first, "ndim") else np.ndim(first)) >= 2


def _pairwise(first, second, order):
    """Distances of all pairs of features."""
    if len({len(f) for f in (*first, *second)}) == 1:
        first, second = np.stack(first)[:, None], np.stack(second)[None]
        return _distance(first, second, order)
    distances = [[_distance(f, g, order) for g in second] for f in first]
    return np.array(distances, dtype=first[0].dtype)


@takes_arrays
def _distance(f, g, order):
    return transport_cost(as_tensor("f", f), as_tensor("g", g), order=order)
