r"""The objective of multinomial logistic regression, for many classes.

.. math:: \frac{\sum_i s_i\, \mathrm{nll}_i}{\sum_i s_i} + \frac\lambda2 \|W\|^2

with the loss of each row, smoothed or not. Parameters are one vector: weights, then
intercepts.

The preconditioner is the inverse of a guess at the Hessian. The blocks of that are
:math:`E[p_v (1 - p_v)\, x x^\top] + \lambda I` for class v; the guess is
:math:`\sqrt{\pi_v / V}\, \Sigma + \lambda I` with the share :math:`\pi_v` of the class
and the covariance of the features: at the start all :math:`p_v` are 1/V, near the
optimum they are :math:`\pi_v` on average, and it is the geometric mean of both.
"""

import math
import warnings

import numpy as np
import torch
from scipy import sparse

from ..kernels import linear_cross_entropy

# Up to this number of features the covariance is diagonalised, if the products with it
# cost no more than the loss does.
_MOST_ROTATED = 2048
# Softmax of a chunk of sparse rows, and its number of rows.
_CHUNK_BYTES = 2**26
_FEWEST_ROWS, _MOST_ROWS = 64, 512
_LOG2E = 1 / math.log(2)


def softmax_objective(X, y, weight, n_classes, penalty, **options):
    """Make the objective of dense or sparse rows.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Rows, float32 or float64.
    y : ndarray of shape (n_samples,)
        Class indices.
    weight : ndarray of shape (n_samples,) or None
        Weights.
    n_classes : int
        Number of classes.
    penalty : float
        The penalty, lambda.
    **options : dict
        ``fit_intercept``, ``label_smoothing`` and ``chunk_size``.

    Returns
    -------
    DenseSoftmax or SparseSoftmax
        The objective.
    """
    of_rows = SparseSoftmax if sparse.issparse(X) else DenseSoftmax
    return of_rows(X, y, weight, n_classes, penalty, **options)


class _Softmax:
    """What both kinds of rows share.

    Subclasses have ``shape``, that of the weights in the vector of parameters, whether
    that ``is_transposed``, and ``_loss``, which returns the loss and writes gradients.
    """

    def __init__(
        self,
        X,
        y,
        weight,
        n_classes,
        penalty,
        *,
        fit_intercept=True,
        label_smoothing=0.0,
        chunk_size="auto",
    ):
        self.n_classes, self.n_features = n_classes, X.shape[1]
        self.dtype = torch.float32 if X.dtype == np.float32 else torch.float64
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.label_smoothing = label_smoothing
        self.chunk_size = chunk_size
        weight = np.ones(len(y)) if weight is None else weight.astype(np.float64)
        self.share = weight / weight.sum()
        self._look_at_features(X, self.share)
        of_class = np.bincount(y, self.share, minlength=n_classes)
        self._curvature = _single(np.sqrt(of_class / n_classes))
        # Classes without weight have no curvature: any step suits them.
        self._curvature.clamp_(min=1e-3 / n_classes)

    def split(self, theta):
        """Part weights and intercepts, or their gradients.

        Parameters
        ----------
        theta : Tensor of shape (n_parameters,)
            Parameters.

        Returns
        -------
        W : Tensor
            A view of the weights, of shape ``shape``.
        b : Tensor of shape (n_classes,) or None
            A view of the intercepts.
        """
        size = self.n_classes * self.n_features
        W = theta[:size].view(self.shape)
        return W, theta[size:] if self.fit_intercept else None

    def join(self, coef, intercept):
        """Make parameters of coefficients.

        Parameters
        ----------
        coef : ndarray of shape (n_classes, n_features)
            Coefficients.
        intercept : ndarray of shape (n_classes,)
            Intercepts.

        Returns
        -------
        Tensor of shape (n_parameters,)
            The parameters.
        """
        size = coef.size + (self.n_classes if self.fit_intercept else 0)
        theta = torch.zeros(size, dtype=self.dtype)
        W, b = self.split(theta)
        coef = torch.from_numpy(np.ascontiguousarray(coef))
        W.copy_(coef.T if self.is_transposed else coef)
        if b is not None:
            b.copy_(torch.from_numpy(np.ascontiguousarray(intercept)))
        return theta

    def coefficients(self, theta):
        """Make coefficients of parameters.

        Parameters
        ----------
        theta : Tensor of shape (n_parameters,)
            Parameters.

        Returns
        -------
        coef : ndarray of shape (n_classes, n_features)
            Coefficients.
        intercept : ndarray of shape (n_classes,)
            Intercepts, or zeros.
        """
        W, b = self.split(theta)
        W = W.T if self.is_transposed else W
        b = theta.new_zeros(self.n_classes) if b is None else b
        return W.numpy(), b.numpy()

    def __call__(self, theta):
        """Compute value and gradient.

        Parameters
        ----------
        theta : Tensor of shape (n_parameters,)
            Parameters.

        Returns
        -------
        value : float
            The objective.
        gradient : Tensor of shape (n_parameters,)
            Its gradient.
        """
        W, b = self.split(theta)
        gradient = torch.empty_like(theta)
        loss = self._loss(W, b, *self.split(gradient))
        weights, of_weights = W.reshape(-1), gradient[: W.numel()]
        of_weights.add_(weights, alpha=self.penalty)
        square = float(torch.dot(weights, weights))
        return loss + 0.5 * self.penalty * square, gradient

    def precondition(self, gradient):
        """Multiply by the inverse of the guess at the Hessian.

        Parameters
        ----------
        gradient : Tensor of shape (n_parameters,)
            In single precision.

        Returns
        -------
        Tensor of shape (n_parameters,)
            The product, a new tensor.
        """
        result = torch.empty_like(gradient)
        (W, b), (product, of_b) = self.split(gradient), self.split(result)
        if self.is_transposed:
            W, product = W.T, product.T
        if b is not None:  # intercepts of centred features have blocks of their own
            W = torch.addr(W, b, self._mean, alpha=-1)
        guess = torch.outer(self._curvature, self._variances).add_(self.penalty)
        if self._axes is None:
            product.copy_(W / guess)
        else:
            product.copy_((W @ self._axes).div_(guess) @ self._axes.T)
        if b is not None:
            torch.div(b, self._curvature, out=of_b)
            of_b.sub_(product @ self._mean)
        return result

    def _look_at_features(self, X, share):
        """Find mean, axes and variances of the features."""
        mean = np.zeros(X.shape[1])
        if self.fit_intercept:
            mean = np.asarray(X.T @ share).ravel()
        size = X.nnz if sparse.issparse(X) else X.size
        with np.errstate(over="ignore", invalid="ignore"):  # which is checked
            if X.shape[1] <= _MOST_ROTATED and 2 * X.shape[1] ** 2 <= size:
                moments = _second_moments(X, share)
                of_features = moments.diagonal().copy()
                _check_not_too_large(of_features)
                moments -= np.outer(mean, mean)
                variances, axes = np.linalg.eigh(moments)
                self._axes, noise = _single(axes), of_features @ axes**2
            else:
                square = X.multiply(X) if sparse.issparse(X) else X**2
                noise = np.asarray(square.T @ share).ravel()
                _check_not_too_large(noise)
                self._axes, variances = None, noise - mean**2
        # Of features that are constant or depend on others rounding is left. Without a
        # penalty it would be divided by zero, or by less than itself.
        least = np.finfo(np.float32).eps * noise
        variances = np.maximum(variances, np.where(least > 0, least, 1.0))
        self._variances = _single(variances)
        self._mean = _single(mean)


class DenseSoftmax(_Softmax):
    """Objective of dense rows; see `softmax_objective`."""

    is_transposed = False

    def __init__(self, X, y, weight, n_classes, penalty, **options):
        super().__init__(X, y, weight, n_classes, penalty, **options)
        self.shape = n_classes, X.shape[1]
        self.X = _tensor(X)
        self.y = torch.from_numpy(y)
        self.weight = None if weight is None else _tensor(weight)

    def _loss(self, W, b, of_W, of_b):
        W = W.detach().requires_grad_()
        b = None if b is None else b.detach().requires_grad_()
        loss = linear_cross_entropy(
            self.X,
            W,
            self.y,
            b,
            sample_weight=self.weight,
            label_smoothing=self.label_smoothing,
            chunk_size=self.chunk_size,
        )
        loss.backward()
        of_W.copy_(W.grad)
        if b is not None:
            of_b.copy_(b.grad)
        return float(loss.detach())


class SparseSoftmax(_Softmax):
    """Objective of sparse rows; see `softmax_objective`.

    Weights are of shape (n_features, n_classes): a row of X is a sum of a few rows of
    them.
    """

    is_transposed = True

    def __init__(self, X, y, weight, n_classes, penalty, **options):
        super().__init__(X, y, weight, n_classes, penalty, **options)
        self.shape = X.shape[1], n_classes
        self.X, self.y = X, torch.from_numpy(y)

    def _loss(self, W, b, of_W, of_b):
        of_W.zero_()
        of_W, weights = of_W.numpy(), W.numpy()
        if b is not None:
            of_b.zero_()
        smooth = None
        if self.label_smoothing:
            smooth = weights.mean(axis=1), 0.0 if b is None else float(b.mean())
        loss = 0.0
        for start in range(0, self.X.shape[0], self._chunk()):
            rows = slice(start, start + self._chunk())
            X = self.X[rows]
            z = torch.from_numpy(X @ weights)
            if b is not None:
                z += b
            share = torch.from_numpy(self.share[rows])
            mean_logit = None if smooth is None else X @ smooth[0] + smooth[1]
            loss += self._to_gradient(z, self.y[rows], share, mean_logit)
            used = np.unique(X.indices)
            of_W[used] += X.T.tocsr()[used] @ z.numpy()
            if b is not None:
                of_b += z.sum(dim=0)
        return loss

    def _to_gradient(self, z, y, share, mean_logit):
        """Turn logits into their gradient, in place, and return the loss."""
        y, share = y.unsqueeze(1), share.to(z.dtype).unsqueeze(1)
        greatest = z.amax(dim=1, keepdim=True)
        own_logit = z.gather(1, y) - greatest
        z.sub_(greatest).mul_(_LOG2E).exp2_()
        own = z.gather(1, y)
        # The target's entry apart: 1 - p would cancel in rows that are sure.
        z.scatter_(1, y, 0)
        others = z.sum(dim=1, keepdim=True)
        total = others + own
        nll = torch.where(
            others < own, torch.log1p(others / own), total.log() - own_logit
        )
        z.scatter_(1, y, -others)
        z.mul_(share / total)
        if mean_logit is not None:
            smoothing = self.label_smoothing
            difference = torch.from_numpy(mean_logit).unsqueeze(1) - greatest
            nll = nll + smoothing * (own_logit - difference.to(z.dtype))
            z.scatter_add_(1, y, smoothing * share)
            z.sub_(share * (smoothing / self.n_classes))
        return float((share * nll).sum(dtype=torch.float64))

    def _chunk(self):
        if self.chunk_size != "auto":
            return self.chunk_size
        n_rows = _CHUNK_BYTES // (self.dtype.itemsize * self.n_classes)
        return int(min(max(n_rows, _FEWEST_ROWS), _MOST_ROWS))


def _check_not_too_large(squares):
    largest = squares.max()
    if not largest <= np.finfo(np.float32).max:
        raise ValueError(
            "X must have features whose mean square is below 3.4e38, the limit of "
            f"single precision, got {largest:.3g}: scale them."
        )


def _second_moments(X, share, n_rows=4096):
    """Weighted mean of the outer products of rows, without a copy of them."""
    total = np.zeros((X.shape[1], X.shape[1]))
    for start in range(0, X.shape[0], n_rows):
        rows = X[start : start + n_rows]
        of_rows = share[start : start + n_rows, np.newaxis]
        if sparse.issparse(X):
            total += (rows.T @ rows.multiply(of_rows)).toarray()
        else:
            total += rows.T @ (rows * of_rows)
    return total


def _single(values):
    return torch.from_numpy(np.asarray(values, np.float32))


def _tensor(X):
    if min(X.strides) < 0:  # which torch does not have
        X = np.ascontiguousarray(X)
    with warnings.catch_warnings():
        # Memory-mapped rows cannot be written to, and are not.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(X)
