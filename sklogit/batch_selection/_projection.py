"""Random projections of matrices, from both sides."""

from numbers import Integral

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from ._arrays import as_floats, check_finite, is_tensor, n_dimensions
from ._head import FactoredLogits
from ._random_map import RandomMap


class BilinearRandomProjection(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""Project matrices from both sides to vectors that keep their distances.

    .. math:: z_i = \mathrm{vec}(G_2 L_i G_1^\top), \qquad
        \mathrm{E} \|z_i\|_2^2 = \|L_i\|_F^2

    with random :math:`G_2` of shape (d2, n_positions) and :math:`G_1` of shape
    (d1, n_classes) [1]_. The matrix of all of it, their Kronecker product, is never
    formed.

    Parameters
    ----------
    n_components : tuple of two ints, or int, default=(8, 128)
        (d2, d1), or the same for both. A side that is no longer is kept as it is.
    kind : {"srft", "sign", "gaussian"}, default="srft"
        Rows of the real Fourier basis, drawn without replacement, behind random signs;
        random signs; or normal numbers. With "srft" pickles hold no matrix, and sides
        for which it would have more than 2**25 numbers go through an FFT instead.
    scaling : {"jl", "official"}, default="jl"
        "jl" keeps lengths in the mean. "official" multiplies by
        :math:`\sqrt{n_{positions} n_{classes}} / 2`, which the code that goes with [1]_
        does: published values of alpha belong to it.
    n_positions : int, default=None
        Greatest number of positions; default those of the data of ``fit``.
    random_state : int, RandomState instance or None, default=None
        Seed of the projection.

    Attributes
    ----------
    n_positions_ : int
        Greatest number of positions; shorter matrices count as filled up with zeros.
    n_classes_ : int
        Number of columns.
    n_components_ : tuple of two ints
        (d2, d1), after sides that are kept.
    positions_map_, classes_map_ : RandomMap
        Both sides; ``dense()`` gives their matrices.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    UtilityDiversitySelector : Measures distances in it.
    sklearn.random_projection.GaussianRandomProjection : For vectors.

    Notes
    -----
    Data of two dimensions are matrices of one row. For matrices that are nearly of rank
    one, d2 alone says how exact a distance is: its relative error is about
    :math:`1 / \sqrt{2 d_2}`.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.batch_selection import BilinearRandomProjection
    >>> L = np.random.default_rng(0).standard_normal((5, 64, 1000))
    >>> projection = BilinearRandomProjection(random_state=0)
    >>> z = projection.fit_transform(L)
    >>> z.shape
    (5, 1024)
    >>> lengths = np.linalg.norm(z, axis=1) / np.linalg.norm(L, axis=(1, 2))
    >>> bool((abs(lengths - 1) < 0.15).all())
    True
    """

    _parameter_constraints: dict = {
        "n_components": [tuple, list, Interval(Integral, 1, None, closed="left")],
        "kind": [StrOptions({"srft", "sign", "gaussian"})],
        "scaling": [StrOptions({"jl", "official"})],
        "n_positions": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=(8, 128),
        *,
        kind="srft",
        scaling="jl",
        n_positions=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.kind = kind
        self.scaling = scaling
        self.n_positions = n_positions
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Draw the projection, of which the data only give the shape.

        Parameters
        ----------
        X : array or Tensor of shape (n_samples, n_positions, n_classes)
            Matrices, or rows, of shape (n_samples, n_classes).
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted projection.

        Raises
        ------
        TypeError
            If data are sparse, or no real numbers.
        ValueError
            If a parameter or a shape is not allowed, or a value is not finite.
        """
        matrices = self._matrices(X, reset=True)
        self._draw(matrices.shape[1], matrices.shape[2])
        self._check_shape(matrices)
        return self

    def transform(self, X):
        """Project matrices.

        Parameters
        ----------
        X : array or Tensor of shape (n_samples, n_positions, n_classes)
            Matrices, with at most as many positions as in ``fit``, or rows, of shape
            (n_samples, n_classes).

        Returns
        -------
        array or Tensor of shape (n_samples, d2 * d1)
            Vectors, of the dtype of X, or float32 for half precision.

        Raises
        ------
        ValueError
            If a shape is not that of ``fit``, or a value is not finite.
        """
        check_is_fitted(self)
        matrices = self._matrices(X, reset=False)
        self._check_shape(matrices)
        small = self.positions_map_.middle_axis(matrices)
        return self._scaled(self.classes_map_.last_axis(small))

    def project_head(self, weight, bias=None):
        """Project the weights of a linear head, for ``transform_factored``.

        Parameters
        ----------
        weight : array or Tensor of shape (n_classes, n_features)
            Weights.
        bias : array or Tensor of shape (n_classes,), default=None
            Biases.

        Returns
        -------
        array or Tensor of shape (d1, n_features)
            With one more column if there is a bias. It holds while the head does not
            change.

        Raises
        ------
        ValueError
            If the head has another number of classes than in ``fit``, or its parts do
            not fit.
        """
        check_is_fitted(self)
        head = FactoredLogits(weight[:1], weight, bias)
        self._check_shape(head)
        columns = head.columns()
        return self.classes_map_.last_axis(columns.mT).mT

    def transform_factored(self, logits, mask=None, *, projected_head=None):
        r"""Project logits of a linear head, without forming them.

        .. math:: G_2 L G_1^\top = (G_2 [H, 1]) \, (G_1 [W, b])^\top

        Parameters
        ----------
        logits : FactoredLogits
            Logits.
        mask : array of shape (n_samples, n_positions), default=None
            True for positions that count; the others are taken as zero.
        projected_head : array or Tensor, default=None
            What ``project_head`` returned; by default it is computed, and kept with
            the logits.

        Returns
        -------
        array or Tensor of shape (n_samples, d2 * d1)
            Vectors, as ``transform`` gives them.
        """
        check_is_fitted(self)
        self._check_shape(logits)
        if projected_head is None:
            if logits.projected is None or logits.projected[0] is not self:
                head = self.project_head(logits.weight, logits.bias)
                logits.projected = self, head
            projected_head = logits.projected[1]
        inputs = self.positions_map_.middle_axis(logits.inputs(mask))
        return self._scaled(inputs @ projected_head.mT)

    def _draw(self, n_positions, n_classes):
        d2, d1 = self._checked_components()
        rng = check_random_state(self.random_state)
        self.n_positions_ = self.n_positions or n_positions
        self.n_classes_ = n_classes
        self.positions_map_ = RandomMap(self.kind, d2, self.n_positions_, rng)
        self.classes_map_ = RandomMap(self.kind, d1, n_classes, rng)
        self.n_components_ = (
            self.positions_map_.n_components,
            self.classes_map_.n_components,
        )
        return self

    def _checked_components(self):
        sizes = self.n_components
        if isinstance(sizes, Integral):
            return sizes, sizes
        integers = all(isinstance(size, Integral) and size > 0 for size in sizes)
        if len(sizes) != 2 or not integers:
            raise ValueError(
                "n_components must be two positive integers, for positions and for "
                f"classes, got {sizes!r}."
            )
        return sizes

    def _matrices(self, X, *, reset):
        if not is_tensor(X) and n_dimensions(X) != 3:
            # Of two dimensions, or it says what is wrong.
            dtypes = [np.float64, np.float32]
            return validate_data(self, X, dtype=dtypes, reset=reset)[:, None]
        matrices = as_floats("X", X)
        matrices = matrices[:, None] if matrices.ndim == 2 else matrices
        if matrices.ndim != 3 or 0 in matrices.shape[1:]:
            raise ValueError(
                "X must have the shape (n_samples, n_positions, n_classes), got "
                f"{tuple(matrices.shape)}."
            )
        check_finite("X", matrices)
        if reset:
            self.n_features_in_ = matrices.shape[2]
            vars(self).pop("feature_names_in_", None)
        return matrices

    def _check_shape(self, matrices):
        _, n_positions, n_classes = matrices.shape
        if n_classes != self.n_classes_:
            raise ValueError(
                f"X must have {self.n_classes_} classes, as in fit, got {n_classes}."
            )
        if n_positions > self.n_positions_:
            raise ValueError(
                f"X must have at most {self.n_positions_} positions, got {n_positions}:"
                f" set n_positions to the greatest number."
            )

    def _scaled(self, products):
        vectors = products.reshape(len(products), self._n_features_out)
        if self.scaling == "official":
            return vectors * (np.sqrt(self.n_positions_ * self.n_classes_).item() / 2)
        return vectors

    @property
    def _n_features_out(self):
        return self.n_components_[0] * self.n_components_[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = self.random_state is None
        return tags


def project(projection, logits, mask):
    """Project logits, dense or factored.

    Parameters
    ----------
    projection : BilinearRandomProjection
        A fitted one.
    logits : array of shape (n_samples, n_positions, n_classes) or FactoredLogits
        Logits; dense ones are zero where the mask hides them.
    mask : array of shape (n_samples, n_positions) or None
        True for positions that count.

    Returns
    -------
    array of shape (n_samples, d)
        Embeddings.
    """
    if isinstance(logits, FactoredLogits):
        return projection.transform_factored(logits, mask)
    return projection.transform(logits)
