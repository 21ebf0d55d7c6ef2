"""Training of a logit bias: all that does not depend on how strongly it is added."""

import numpy as np

from .._lbfgs import MinimisationResult, minimise
from ._adamw import adamw
from ._bias import bias_of, mean_row_std, standardise_rows, standardise_rows_backward
from ._features import coordinates_of
from ._objective import BiasObjective, two_losses

# With more, iterations are hardly fewer, and cost as much as the loss does.
_CORRECTIONS = 10


class BiasProblem:
    """Few shots with initial coefficients, in coordinates that suit a solver.

    Candidates of a search share it: only `gain`, `lambda_merge` and `l2` differ.

    Parameters
    ----------
    shots : FewShots
        The rows.
    init_coef : ndarray of shape (n_classes, n_auxiliary)
        Initial coefficients.
    normalize : {"row", "scale", None}
        How scores become a bias.

    Attributes
    ----------
    scale : float
        What scores are divided by, with "scale".
    by_row : bool
        Whether they are standardised by row instead.
    """

    def __init__(self, shots, init_coef, normalize):
        self.shots, self.init_coef = shots, init_coef
        u = np.asarray(shots.features @ init_coef.T)
        # "row" too has coefficients of this unit, for its penalty.
        unit = mean_row_std(u, shots.weight)
        self.by_row = normalize == "row"
        self.scale = unit if normalize == "scale" else 1.0
        self._unit = 1.0 if normalize is None else unit
        self._start = u / self._unit
        self.coordinates = coordinates_of(shots.features, shots.weight, shots.n_classes)

    def objective(self, gain, lambda_merge, l2):
        """Loss of the coefficients, as a function of what they add to the initial."""
        shots = self.shots
        return BiasObjective(
            self.coordinates.rows,
            self._start,
            shots.prior,
            gain,
            shots.y,
            shots.weight,
            lambda_merge,
            l2,
            self.by_row,
            self.coordinates.balance,
        )

    def minimise(
        self, gain, lambda_merge, l2, max_iter, tol, start=None, on_iteration=None
    ):
        """Find the best coefficients by L-BFGS.

        Parameters
        ----------
        gain : ndarray of shape (n_rows,)
            What the bias is multiplied by.
        lambda_merge, l2 : float
            Share of the fused loss, and strength of the penalty; inf keeps the start.
        max_iter : int
            Most iterations; 0 keeps the start.
        tol : float
            Largest derivative at the end.
        start : ndarray, default=None
            Parameters of an earlier fit.
        on_iteration : callable, default=None
            Called with the coefficients after each iteration; a true value stops.

        Returns
        -------
        MinimisationResult
            The fit; `coefficients` turns its parameters into coefficients.
        """
        kept = max_iter == 0 or np.isinf(l2)
        objective = self.objective(gain, lambda_merge, 0.0 if kept else l2)
        zero = np.zeros(np.prod(objective.shape))
        if kept:
            return MinimisationResult(zero, [objective(zero)[0]])

        def after_iteration(fit):
            return on_iteration(self.coefficients(fit.parameters))

        return minimise(
            objective,
            [zero if start is None else start],
            max_iter,
            tol,
            None if on_iteration is None else after_iteration,
            corrections=_CORRECTIONS,
        )

    def coefficients(self, parameters):
        """Coefficients of the features, of the parameters of `minimise`."""
        V = parameters.reshape(len(self.init_coef), -1)
        added = self._unit * self.coordinates.coefficients(V)
        return (self.init_coef + added).astype(self.init_coef.dtype)

    def adamw(self, gain, lambda_merge, **options):
        """Train the coefficients by AdamW; the parameters of the fit are they."""
        shots = self.shots
        weight = shots.weight * shots.n_rows

        def loss_of_batch(W, batch):
            A = shots.features[batch]
            u = np.asarray(A @ W.T)
            b, std = standardise_rows(u) if self.by_row else (u / self.scale, None)
            value, slope = two_losses(
                b.astype(np.float64),
                shots.prior[batch],
                gain[batch],
                shots.y[batch],
                weight[batch] / len(batch),
                lambda_merge,
            )
            slope = (
                standardise_rows_backward(slope, b, std)
                if self.by_row
                else slope / self.scale
            )
            return value, np.asarray(A.T @ slope.astype(W.dtype)).T

        fit = adamw(loss_of_batch, self.init_coef, shots.n_rows, **options)
        if not fit.loss_curve:  # no epochs, or an interrupt in the first one
            b = bias_of(
                np.asarray(shots.features @ fit.parameters.T), self.scale, self.by_row
            )
            value, _ = two_losses(
                b.astype(np.float64),
                shots.prior,
                gain,
                shots.y,
                shots.weight,
                lambda_merge,
            )
            fit.loss_curve.append(value)
        return fit
