"""One auction: placement and payments for checked bids."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ._cascade import cascade_placement
from ._independent import independent_matching
from ._mnl import best_value, mnl_matching, odds_of
from ._outcome import make_outcome
from ._payments import externality_payment, virtual_payment

# A placement that may be better by more than this part is none to be truthful with.
_TRUTHFUL_TOL = 1e-9


@dataclass(frozen=True)
class Mechanism:
    """A user model with its objective, ready to run.

    Attributes
    ----------
    user_model : {"mnl", "independent", "cascade"}
        How users click.
    max_ads : int
        Most ads to show.
    order : ndarray of shape (n_positions,) or None
        Order of reading of the cascade; None if it is free.
    solver : str
        Solver of the cascade.
    virtual_values : list of VirtualValue, or None
        Of each ad; None for welfare.
    tol : float
        Tolerance of the placement.
    """

    user_model: str
    max_ads: int
    order: np.ndarray | None
    solver: str
    virtual_values: list | None
    tol: float

    @property
    def is_monotone(self):
        """Whether clicks never fall as a bid rises, as payments need."""
        return not (self.user_model == "cascade" and self.solver == "greedy")

    @property
    def is_truthful(self):
        """Whether the placement is exact, so that its payments are truthful."""
        return self.is_monotone and (
            self.user_model != "mnl" or self.tol <= _TRUTHFUL_TOL
        )

    def place(self, weights, reachable, table):
        """Place ads of these weights, given a value that is known to be reachable."""
        if self.user_model == "mnl":
            return mnl_matching(weights, table, self.max_ads, self.tol, start=reachable)
        if self.user_model == "independent":
            return independent_matching(weights, table, self.max_ads)
        return cascade_placement(weights, table, self.max_ads, self.order, self.solver)

    def value(self, weights, reachable, table):
        """Value of that placement."""
        if self.user_model == "mnl":
            return best_value(weights, table, self.max_ads, self.tol, reachable)
        return self.place(weights, reachable, table).value

    def weights(self, bids):
        """Bids, or their virtual values."""
        if self.virtual_values is None:
            return bids
        weights = np.empty_like(bids)
        of_prior = {id(phi): phi for phi in self.virtual_values}
        for key, phi in of_prior.items():  # one call for all ads that share one
            ads = [i for i, own in enumerate(self.virtual_values) if id(own) == key]
            weights[ads] = phi(bids[ads])
        # Below the support the virtual value is -inf: never shown, like any negative.
        return np.maximum(weights, -1.0)

    def allocate(self, bids, table):
        """Place ads for bids."""
        return self.place(self.weights(bids), 0.0, self._prepared(table))

    def run(self, bids, table):
        """Place ads and compute what they pay."""
        weights, table = self.weights(bids), self._prepared(table)
        placed = self.place(weights, 0.0, table)
        payments = np.zeros(len(bids))
        place, value = (
            partial(self.place, table=table),
            partial(self.value, table=table),
        )
        for i in placed.rows:
            if self.virtual_values is None:
                payments[i] = externality_payment(value, weights, i, placed)
            else:
                phi = self.virtual_values[i]
                payments[i] = virtual_payment(place, weights, i, placed, phi, bids[i])
        return make_outcome(placed, bids, payments, self.max_ads, self.is_truthful)

    def _prepared(self, table):
        return odds_of(table) if self.user_model == "mnl" else table
