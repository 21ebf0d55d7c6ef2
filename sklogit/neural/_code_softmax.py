"""Softmax regression of codes: the objective of VQLogitsClassifier, and its rounds."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from .._lbfgs import MinimisationResult, minimise
from ..heads._code_mapping import ascend, log_shares, without_gaps
from ..heads._feature_moments import FeatureMoments

# Entries of a block of code scores, some of which the cache holds.
_BLOCK_ENTRIES = 2**18
# Part of a feature's variance that is added to it, so that the covariance has a root.
_RIDGE = 1e-8
# Variance, in squared means, of a feature that is constant but for rounding.
_CONSTANT = 1e-14


def row_blocks(n_rows, n_codes):
    """Slices of rows whose scores fit into the cache."""
    size = min(max(_BLOCK_ENTRIES // n_codes, 64), 8192)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


class CodeSoftmax:
    r"""Mean cross-entropy of codes with a penalty, for L-BFGS.

    .. math:: \frac{1}{S} \sum_i s_i \mathrm{CE}(C x_i + \beta, t_i)
        + \frac{1}{2 c S} \|C\|^2

    Its coordinates are those of whitened features, :math:`C L` and
    :math:`\beta + C \mu` with :math:`L L^\top = \Sigma + I / (c S)`: there L-BFGS takes
    a third of the iterations (measured on features of a net). Rows go by block, so that
    the scores of all rows never exist.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_rows, n_features)
        Features.
    target : ndarray of shape (n_rows,)
        Codes.
    weight : ndarray of shape (n_rows,) or None
        Weights s.
    n_codes : int
        Number of codes.
    moments : FeatureMoments
        Mean and covariance of the features.
    strength : float
        1 / c.
    """

    def __init__(self, X, target, weight, n_codes, moments, strength):
        self.X, self.target, self.weight = X, target, weight
        self.n_codes, self.mean = n_codes, moments.mean
        self.total, self.strength = moments.total, strength / moments.total
        variance = moments.variance
        ridge = self.strength + _RIDGE * variance
        ridge[variance <= _CONSTANT * self.mean**2] = 1.0
        if moments.covariance is None:
            self._root = np.sqrt(variance + ridge)
        else:
            self._root = np.linalg.cholesky(moments.covariance + np.diag(ridge))
            self._inverse = np.linalg.inv(self._root)

    def join(self, codebook, bias):
        """Coordinates of a codebook and its biases."""
        diagonal = self._root.ndim == 1
        whitened = codebook * self._root if diagonal else codebook @ self._root
        return np.column_stack([whitened, bias + codebook @ self.mean]).ravel()

    def split(self, theta):
        """Codebook (n_codes, n_features) and biases (n_codes,) of coordinates."""
        theta = theta.reshape(self.n_codes, -1)
        codebook = self._to_codebook(theta[:, :-1])
        return codebook, theta[:, -1] - codebook @ self.mean

    def _to_codebook(self, whitened):
        if self._root.ndim == 1:
            return whitened / self._root
        return whitened @ self._inverse

    def _from_gradient(self, slope):
        if self._root.ndim == 1:
            return slope / self._root
        return slope @ self._inverse.T

    def __call__(self, theta):
        """Value and gradient at some coordinates."""
        codebook, bias = self.split(theta)
        value, slope, bias_slope = self._sums(codebook, bias)
        slope = (slope - np.outer(bias_slope, self.mean)) / self.total
        slope += self.strength * codebook
        value = value / self.total + self.strength * (codebook**2).sum() / 2
        gradient = [self._from_gradient(slope), bias_slope / self.total]
        return value, np.column_stack(gradient).ravel()

    def _sums(self, codebook, bias):
        """Cross-entropy and its derivatives, summed over the rows."""
        slope, bias_slope = np.zeros(codebook.shape), np.zeros(self.n_codes)
        value = 0.0
        columns = np.ascontiguousarray(codebook.T, dtype=self.X.dtype)
        bias = bias.astype(self.X.dtype)
        least = 0.9 * np.log(np.finfo(self.X.dtype).tiny)
        for rows in row_blocks(self.X.shape[0], self.n_codes):
            X, target = self.X[rows], self.target[rows]
            scores = np.asarray(X @ columns)
            scores += bias
            scores -= scores.max(axis=1, keepdims=True)
            places = np.arange(len(target)), target
            losses = -scores[places]
            # Denormal exponentials would make the products several times as slow.
            np.maximum(scores, least, out=scores)
            np.exp(scores, out=scores)
            totals = scores.sum(axis=1)
            losses += np.log(totals)
            factor = 1 / totals
            if self.weight is None:
                value += losses.sum(dtype=np.float64)
                scores *= factor[:, np.newaxis]
                scores[places] -= 1
            else:
                weight = self.weight[rows]
                value += float(weight @ losses)
                scores *= (weight * factor)[:, np.newaxis]
                scores[places] -= weight
            slope += (X.T @ scores).T if sparse.issparse(X) else scores.T @ X
            bias_slope += scores.sum(axis=0)
        return value, slope, bias_slope

    def loss(self, codebook, bias):
        """Mean cross-entropy of the rows, without the penalty."""
        return self._sums(codebook, bias)[0] / self.total


def fit_codes(objective, start, max_iter, tol, on_iteration=None):
    """Minimise the objective by L-BFGS; without iterations the start is the result."""
    if max_iter:
        return minimise(objective, [start], max_iter, tol, on_iteration)
    return MinimisationResult(start, [float(objective(start)[0])])


@dataclass
class Rows:
    """Rows with classes, and what the rounds need of them.

    Attributes
    ----------
    X : {ndarray, sparse matrix} of shape (n_rows, n_features)
        Features.
    y : ndarray of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights.
    n_classes : int
        Number of classes.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    n_classes: int
    counts: np.ndarray = field(init=False)
    moments: FeatureMoments = field(init=False)

    def __post_init__(self):
        self.counts = np.bincount(self.y, self.weight, self.n_classes)
        self.moments = FeatureMoments(self.X, self.weight)

    def part(self, index):
        """Return the rows of an index."""
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.X[index], self.y[index], weight, self.n_classes)

    def class_sums(self):
        """Sum of the features of each class, (n_classes, d), sparse if X is."""
        weight = np.ones(len(self.y)) if self.weight is None else self.weight
        shape = self.n_classes, len(self.y)
        entries = weight.astype(self.X.dtype), (self.y, np.arange(len(self.y)))
        return sparse.csr_array(entries, shape=shape) @ self.X

    def objective(self, codes, n_codes, strength):
        """Objective of the codes of the rows."""
        target = codes[self.y]
        return CodeSoftmax(self.X, target, self.weight, n_codes, self.moments, strength)


@dataclass
class MappingRound:
    """A mapping with its fitted codes.

    Attributes
    ----------
    codes : ndarray of shape (n_classes,)
        Code of each class.
    codebook, bias : ndarray
        Codes, (n_codes, n_features) and (n_codes,).
    objective : float
        Negative log-likelihood of the training rows plus the penalty.
    held_out : float
        Negative log-likelihood of the held-out rows.
    n_iter : int
        Iterations of the solver.
    """

    codes: np.ndarray
    codebook: np.ndarray
    bias: np.ndarray
    objective: float
    held_out: float
    n_iter: int


def mapping_rounds(train, held_out, start, mass_of, n_updates, *, strength, **options):
    """Fit codes and move classes by turns.

    Parameters
    ----------
    train, held_out : Rows
        Rows to fit to, and to judge by.
    start : LinearCodes
        The first mapping, codebook and biases.
    mass_of : callable
        Masses of the classes, of which each has its share within the code, from counts.
    n_updates : int
        Most updates of the mapping.
    strength : float
        Of the penalty.
    **options
        Of the solver: `max_iter` and `tol`.

    Yields
    ------
    MappingRound
        The first mapping, and that after each update that moves a class.
    """
    codes, codebook, bias = start.codes, start.codebook, start.code_bias
    mass, sums = mass_of(train.counts), train.class_sums()
    for round_ in range(n_updates + 1):
        objective = train.objective(codes, len(codebook), strength)
        fit = fit_codes(objective, objective.join(codebook, bias), **options)
        if fit.interrupt is not None:
            raise fit.interrupt
        codebook, bias = objective.split(fit.parameters)
        shares = log_shares(codes, mass)
        judge = held_out.objective(codes, len(codebook), strength)
        yield MappingRound(
            codes,
            codebook,
            bias,
            fit.loss_curve[-1] - train.counts @ shares / train.counts.sum(),
            judge.loss(codebook, bias)
            - held_out.counts @ shares / held_out.counts.sum(),
            fit.n_iter,
        )
        if round_ == n_updates:
            return
        scores = _MeanScores(sums, train.counts, codebook, bias)
        codes, n_moved = ascend(codes, train.counts, mass, scores, len(codebook))
        if not n_moved:
            return
        used = np.unique(codes)
        codes, codebook, bias = without_gaps(codes), codebook[used], bias[used]


@dataclass
class _MeanScores:
    """Mean score of each code over the rows of some classes."""

    sums: np.ndarray
    counts: np.ndarray
    codebook: np.ndarray
    bias: np.ndarray

    def __call__(self, classes):
        scores = np.asarray(self.sums[classes] @ self.codebook.T, dtype=np.float64)
        return scores / self.counts[classes, np.newaxis] + self.bias
