"""Stochastic gradient descent on subspaces, along geodesics."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from .._unit_rows import unit_rows
from ._geometry import geodesic, polar_step, project_tangent
from ._logits import cross_entropy, lengths, projections, softmax_loss
from ._threads import threads_for

# Rows are visited so that no block of unit rows or projections has more numbers.
_BLOCK_ENTRIES = 1 << 22


@dataclass
class LabelledRows:
    """Rows with class indices.

    Attributes
    ----------
    X : {ndarray, CSR} of shape (n_rows, n_features)
        The rows, as the user gave them.
    y : ndarray of int, of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Positive weights.
    constant : float
        Appended to each row before its norm is taken; 0 appends none.
    """

    X: object
    y: np.ndarray
    weight: np.ndarray | None
    constant: float

    def take(self, chosen):
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[chosen]
        return LabelledRows(self.X[chosen], self.y[chosen], weight, self.constant)

    def unit(self):
        """Return the rows, divided by their norms."""
        return unit_rows(self.X, self.constant)


class GrassmannDescent:
    r"""Subspaces that move, with momentum, against the gradient of their loss.

    A step is

    .. math:: M \leftarrow \mu M + D - S S^\top D, \qquad
        (S, M) \leftarrow \text{geodesic}(S, M, -\text{learning rate}),

    with the Euclidean gradient D of the mean cross-entropy of a batch. The momentum M
    stays tangent, because it is carried along the geodesic. Then one polar step removes
    rounding errors from S.

    Parameters
    ----------
    S : ndarray of shape (n_classes, n, k)
        Orthonormal bases to start from.
    gamma : float
        Largest logit.
    momentum : float
        The factor :math:`\mu`.
    M : ndarray of shape (n_classes, n, k), default=None
        Momentum of earlier steps, tangent at S.
    """

    def __init__(self, S, gamma, momentum, M=None):
        self.S, self.M = S, M
        self.gamma, self.momentum = gamma, momentum

    def step(self, batch, learning_rate):
        """Take a step, and return the loss of the batch before it.

        Parameters
        ----------
        batch : LabelledRows
            Rows of the step.
        learning_rate : float
            Its length, in multiples of the momentum.

        Returns
        -------
        float
            The loss.

        Raises
        ------
        FloatingPointError
            If the step is so long that its end means nothing, or numbers overflow.
        """
        loss, D = cross_entropy(batch.unit(), batch.y, batch.weight, self.S, self.gamma)
        M = project_tangent(self.S, D)
        if self.M is not None and self.momentum:
            M = self.momentum * self.M + M
        with np.errstate(over="ignore", invalid="ignore"):  # geodesic tells
            S, M = geodesic(self.S, M, -learning_rate)
            S = polar_step(S)
        self.S, self.M = S, M
        return loss

    def epoch(self, rows, batch_size, learning_rate, random_state):
        """Take a step for each batch of all rows, in random order.

        Parameters
        ----------
        rows : LabelledRows
            All rows.
        batch_size : int
            Most rows of a batch; batches are of equal sizes, give or take a row.
        learning_rate : float
            Length of the steps.
        random_state : RandomState
            Source of the order. One batch of all rows needs none.

        Returns
        -------
        float
            Weighted mean of the losses of the batches, each before its step.
        """
        n_rows = len(rows.y)
        n_batches = -(-n_rows // batch_size)
        # Products with sparse rows are not those of BLAS.
        dense = 0 if sparse.issparse(rows.X) else min(batch_size, n_rows)
        with threads_for(dense * self.S.size):
            if n_batches == 1:
                return self.step(rows, learning_rate)
            order = random_state.permutation(n_rows)
            total = mass = 0.0
            for chosen in np.array_split(order, n_batches):
                batch = rows.take(chosen)
                share = len(chosen) if rows.weight is None else batch.weight.sum()
                total += float(share) * self.step(batch, learning_rate)
                mass += float(share)
        return total / mass

    def loss(self, rows):
        """Mean cross-entropy of all rows.

        Parameters
        ----------
        rows : LabelledRows
            The rows.

        Returns
        -------
        float
            Weighted mean.
        """
        logits = self.gamma * block_lengths(rows.X, self.S, rows.constant)
        return softmax_loss(logits, rows.y, rows.weight)[0]


def block_lengths(X, S, constant):
    """Lengths of the projections of unit rows, in blocks that fit into memory.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n_rows, n_features)
        Rows, not yet divided by their norms.
    S : ndarray of shape (n_classes, n, k)
        Orthonormal bases.
    constant : float
        Appended to each row before its norm is taken; 0 appends none.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        The lengths.
    """
    n_classes, n, k = S.shape
    result = np.empty((X.shape[0], n_classes), dtype=S.dtype)
    step = max(1, _BLOCK_ENTRIES // max(n_classes * k, n))
    for start in range(0, len(result), step):
        block = slice(start, start + step)
        result[block] = lengths(projections(unit_rows(X[block], constant), S))
    return result


@dataclass
class EarlyStopping:
    """Follows the loss of rows, and keeps the subspaces with the lowest.

    Attributes
    ----------
    tol : float
        Least decrease of the loss that counts.
    n_iter_no_change : int
        So many epochs in a row without such a decrease end the training.
    rows : LabelledRows or None
        Rows that are not trained on; None follows the training loss, and keeps none.
    losses : list of float
        The losses, that of the start first.
    best : float
        The lowest.
    best_S : ndarray or None
        The subspaces that had it.
    """

    tol: float
    n_iter_no_change: int
    rows: LabelledRows | None = None
    losses: list = field(default_factory=list)
    best: float = np.inf
    best_S: np.ndarray | None = None
    _reference: float = np.inf
    _idle: int = 0

    def update(self, descent, training_loss):
        """Look at the subspaces after an epoch.

        Parameters
        ----------
        descent : GrassmannDescent
            The subspaces.
        training_loss : float
            Loss of the epoch.

        Returns
        -------
        bool
            Whether to stop.
        """
        loss = training_loss if self.rows is None else descent.loss(self.rows)
        self.losses.append(loss)
        if loss < self.best:
            self.best = loss
            if self.rows is not None:
                self.best_S = descent.S
        self._idle += 1
        if loss < self._reference - self.tol:
            # Not at every fall: small ones add up.
            self._reference, self._idle = loss, 0
        return self._idle >= self.n_iter_no_change


@dataclass
class Descended:
    """What `descend` reports.

    Attributes
    ----------
    loss_curve : list of float
        Mean loss at the start, and of each epoch.
    converged : bool
        Whether the loss had stopped decreasing.
    stopped : bool
        Whether a callback ended the training.
    interrupt : KeyboardInterrupt or None
        What ended it early.
    """

    loss_curve: list
    converged: bool = False
    stopped: bool = False
    interrupt: BaseException | None = None


def descend(descent, rows, learning_rates, batch_size, random_state, stopping, report):
    """Train for some epochs.

    Parameters
    ----------
    descent : GrassmannDescent
        The subspaces; changed in place.
    rows : LabelledRows
        Training rows.
    learning_rates : sequence of float
        Length of the steps in each epoch.
    batch_size : int
        Most rows of a batch.
    random_state : RandomState
        Source of the order of the rows.
    stopping : EarlyStopping or None
        What may end the training before its time.
    report : callable or None
        Called with the descent and the losses after each epoch; a true value stops.

    Returns
    -------
    Descended
        The report.

    Raises
    ------
    FloatingPointError
        If a step is so long that numbers overflow.
    """
    result = Descended([descent.loss(rows)])
    if stopping is not None:
        stopping.update(descent, result.loss_curve[0])
    try:
        for rate in learning_rates:
            loss = descent.epoch(rows, batch_size, rate, random_state)
            result.loss_curve.append(loss)
            if stopping is not None and stopping.update(descent, loss):
                result.converged = True
            if report is not None and report(descent, result.loss_curve):
                result.stopped = True
            if result.converged or result.stopped:
                break
    except KeyboardInterrupt as interrupt:
        result.interrupt = interrupt
    return result


def learning_rates(initial, schedule, max_iter):
    """Length of the steps in each epoch.

    Parameters
    ----------
    initial : float
        That of the first epoch.
    schedule : {"cosine", "constant"}
        "cosine" falls to nothing after the last epoch, by half a period.
    max_iter : int
        Number of epochs.

    Returns
    -------
    ndarray of shape (max_iter,)
        The lengths.
    """
    if schedule == "constant":
        return np.full(max_iter, float(initial))
    return initial * 0.5 * (1 + np.cos(np.pi * np.arange(max_iter) / max(max_iter, 1)))
