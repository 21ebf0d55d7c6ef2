"""Random features of polynomial kernels from products of Hadamard transforms."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from ._polynomial_sketch import draw_polynomial_sketch


class TensorSRHT(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Random features of the polynomial kernel by products of Hadamard transforms.

    Makes features z of which the scalar products are, in the mean over
    `random_state`, the kernel [1]_:

    .. math:: E\, z(x)^\top z(y) = (\gamma\, x^\top y + c)^p .

    With coordinates :math:`\tilde x = (\sqrt\gamma\, x, \sqrt c)`, random signs
    :math:`D_q` and Sylvester's Hadamard matrix H, a feature is the product of one row
    of each of p transforms,

    .. math:: z_l(x) = \frac{1}{\sqrt m} \prod_{q=1}^{p} (H D_q \tilde x)_{i_{q,l}} .

    A linear model on the features is a polynomial model of degree p of the data, in
    time and memory that grow with m and not with the number of monomials.

    Parameters
    ----------
    n_components : int, default=256
        Number of features to make.
    degree : int, default=2
        Degree p of the kernel.
    gamma : float, default=1.0
        Factor of the scalar products in the kernel.
    coef0 : float, default=0.0
        Constant term c of the kernel; not negative.
    complex_to_real : bool, default=True
        Multiply half of the coordinates, chosen at random for every factor, by the
        imaginary unit, and return real and imaginary parts as two features [2]_. The
        variance for rows in similar directions is smaller, the more so the higher the
        degree, and the time is the same. An odd number of features is made up by a
        real one.
    exact_mean : bool, default=True
        Take the direction u of the mean of the training data out of the randomness.
        The powers of :math:`a = u^\top \tilde x` in the binomial expansion of the
        kernel are exact, and only those of the rest :math:`\tilde x - a u` are
        sketched, each with the number of features that makes the variance least. The
        features stay unbiased for all x and y, whatever their mean. Those of data
        without a preferred direction are hardly worse, those of pixels or counts, or
        with a `coef0`, far better. It takes effect if there are enough features for
        all powers, that is 2 * degree + 1.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers.

    Attributes
    ----------
    signs_ : ndarray of shape (degree, n_coordinates)
        Diagonals of :math:`D_q`; the coordinates are the features and, with a `coef0`,
        a constant. With `exact_mean` they are mirrored so that u becomes an axis, and
        the sign of this axis is zero.
    columns_ : ndarray of shape (degree, n_coordinates)
        Column of H that stands for each coordinate. With `complex_to_real` the second
        half of the columns is multiplied by the imaginary unit.
    indices_ : ndarray of shape (degree, n_products)
        Row of H that product l takes of each factor. Of complex products, features
        2 l and 2 l + 1 are the parts.
    degrees_ : ndarray of shape (n_components,)
        Number of factors of each feature, in the order of the features: the power of
        the rest that it stands for. Without `exact_mean` it is the degree.
    direction_ : ndarray of shape (n_coordinates,) or None
        Direction u of the mean; None if it was not taken out.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    kronecker_sketch : The transform for Kronecker products of design matrices.
    sklearn.kernel_approximation.PolynomialCountSketch : Count sketches instead.
    sklearn.kernel_approximation.Nystroem : Features from a sample of the data, better
        if the kernel matrix has a low rank, and slower with many features.

    Notes
    -----
    The rows of H are drawn in such a way that every factor uses each of them equally
    often, and the first factor meets each other one in as many different pairs of rows
    as there can be. With w the number of columns of H, and without `exact_mean`,
    :math:`w^p` real, or twice as many real and imaginary, features give the kernel
    without error.

    The relative variance of the kernel grows like :math:`2^p / m` for complex and
    :math:`3^p / m` for real products. High degrees need many features.

    Of data with more than 8 features for every product (and more than 1024) several
    features share a column of H, as in a count sketch; the time then grows with the
    number of values that are not zero, not with the number of features.

    The rows are transformed in blocks: beside the result it needs some megabytes.
    Float32 data give float32 features.

    References
    ----------
    .. [1] "Oblivious Sketching of High-Degree Polynomial Kernels", arXiv:1909.01410.
    .. [2] "Complex-to-Real Sketches for Tensor Products with Applications to the
       Polynomial Kernel", arXiv:2202.02031.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.metrics.pairwise import polynomial_kernel
    >>> from sklogit.sketching import TensorSRHT
    >>> X = load_digits().data / 64
    >>> sketch = TensorSRHT(1024, degree=3, coef0=1, random_state=0)
    >>> Z = sketch.fit_transform(X)
    >>> K = polynomial_kernel(X, degree=3, gamma=1, coef0=1)
    >>> bool(np.linalg.norm(Z @ Z.T - K) < 0.01 * np.linalg.norm(K))
    True
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "coef0": [Interval(Real, 0, None, closed="left")],
        "complex_to_real": ["boolean"],
        "exact_mean": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=256,
        *,
        degree=2,
        gamma=1.0,
        coef0=0.0,
        complex_to_real=True,
        exact_mean=True,
        random_state=None,
    ):
        self.n_components = n_components
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.complex_to_real = complex_to_real
        self.exact_mean = exact_mean
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Draw the random numbers, and look at the mean of the data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data. Without `exact_mean` nothing but the number of features counts.
        y : Ignored
            Present for the conventions of scikit-learn.

        Returns
        -------
        self : TensorSRHT
            Fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of its range or a value of X is not finite.
        """
        X = self._validated(X, reset=True)
        self._sketch = draw_polynomial_sketch(
            check_random_state(self.random_state),
            X,
            self.n_components,
            self.degree,
            self.gamma,
            self.coef0,
            is_complex=self.complex_to_real,
            exact_mean=self.exact_mean,
        )
        factors, split = self._sketch.factors, self._sketch.split
        self.signs_, self.columns_ = factors.signs, factors.columns
        self.indices_ = factors.indices
        self.degrees_, self.direction_ = self._sketch.degrees, split.direction
        self._n_features_out = self.n_components
        return self

    def transform(self, X):
        """Make the features.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features, of the dtype of X.

        Raises
        ------
        ValueError
            If X has another number of features than in fit, or values that are not
            finite.
        """
        check_is_fitted(self)
        return self._sketch.features(self._validated(X, reset=False))

    def _validated(self, X, reset):
        dtypes = [np.float64, np.float32]
        return validate_data(self, X, accept_sparse="csr", dtype=dtypes, reset=reset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
