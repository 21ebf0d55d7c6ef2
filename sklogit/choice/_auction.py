"""Auction of positions among ads that take clicks from each other."""

from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from scipy.special import expit
from sklearn import get_config
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from .._state import restore_on_failure
from ._auction_input import checked_bids, tables_of, virtual_values_of
from ._cascade import check_order, check_solver
from ._checks import check_max_ads
from ._click_model import check_click_labels, check_click_model, predicted_utilities
from ._conditional_logit import ConditionalLogit
from ._log_rows import rows_that_tell
from ._mechanism import Mechanism
from ._outcome import stack_outcomes


class PositionAuction(BaseEstimator):
    r"""Place ads where they are worth most, at prices that make true bids best.

    Click probabilities depend on the ad, its position and what else is shown. For bids
    v per click the placement x maximises welfare :math:`\sum_i v_i \pi_i(x)`, or
    virtual welfare :math:`\sum_i \phi_i(v_i) \pi_i(x)`, whose maximum is that of
    expected revenue. A shown ad pays

    .. math:: t_i = \int_0^{v_i} b \, d\pi_i(b),

    the only payment, up to a constant, that makes bidding the true value a dominant
    strategy. For welfare it is what the ad costs the others.

    Parameters
    ----------
    user_model : {"mnl", "cascade", "independent"}, default="mnl"
        Users who see all and click at most one; who read in an order and leave with
        their first click; or who judge each ad on its own.
    objective : {"welfare", "revenue"} or float, default="welfare"
        What is maximised; a number a between 0 and 1 maximises (1 - a) times welfare
        and a times revenue, in expectation.
    max_ads : int, default=None
        Most ads to show; None for as many as there are positions.
    prior : VirtualValue, distribution, or list of n_ads of these, default=None
        Distribution of values, of each ad or of all; a frozen one of scipy.stats, or a
        tuple of functions (cdf, pdf, ppf). Needed unless the objective is welfare.
    click_model : classifier, default=None
        Learns clicks from logs, with `predict_proba`, and with an outside option if it
        has the choice. None takes a `ConditionalLogit` of what the log tells about such
        users: of impressions for "mnl"; of single rows for the others, for "cascade"
        without those after a click, which were not read.
    order : "value" or array-like of shape (n_positions,), default="value"
        Order of reading of the cascade: free, or this permutation.
    solver : {"auto", "exact", "greedy", "brute"}, default="auto"
        Solver of the cascade, see `cascade_assignment`.
    tol : float, default=1e-12
        Relative tolerance of the value of the placement for "mnl"; above 1e-9 payments
        are not called truthful.
    n_jobs : int, default=None
        Jobs for batches of auctions.
    verbose : int, default=0
        Progress of batches, as joblib reports it.

    Attributes
    ----------
    click_model_ : classifier
        The fitted model of clicks.
    classes_ : ndarray of shape (2,)
        Its labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    ConditionalLogit : Learns from logs how users choose.
    mnl_assignment : The placement alone.

    Notes
    -----
    The model is that of the paper [1]_, of which theorems and proofs were not used:
    Dinkelbach's iteration, the dynamic programme of the cascade and the search for
    payments are ours. Truthful means given the click probabilities: those that are
    learnt must not depend on the bids at hand.

    Losers pay nothing, and no price is above the bid. An auction with a prior has
    reserve prices: ads with a virtual value that is not positive are not shown.

    References
    ----------
    .. [1] "Position Auctions in AI-Generated Content", arXiv:2506.03309.
    .. [2] R. B. Myerson, "Optimal auction design", Mathematics of Operations Research
       6, 1981.

    Examples
    --------
    >>> from sklogit.choice import PositionAuction
    >>> p = [[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]]
    >>> outcome = PositionAuction(max_ads=2).run([3.0, 2.0, 1.0], ctr=p)
    >>> outcome.assignment, outcome.payments.round(6)
    (array([ 0,  1, -1]), array([0.327514, 0.287545, 0.      ]))
    """

    _parameter_constraints: dict = {
        "user_model": [StrOptions({"mnl", "cascade", "independent"})],
        "objective": [
            StrOptions({"welfare", "revenue"}),
            Interval(Real, 0, 1, closed="both"),
        ],
        "max_ads": [Interval(Integral, 0, None, closed="left"), None],
        "prior": "no_validation",  # checked when virtual values are made
        "click_model": [HasMethods("fit"), None],
        "order": [StrOptions({"value"}), "array-like"],
        "solver": [StrOptions({"auto", "exact", "greedy", "brute"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        user_model="mnl",
        objective="welfare",
        *,
        max_ads=None,
        prior=None,
        click_model=None,
        order="value",
        solver="auto",
        tol=1e-12,
        n_jobs=None,
        verbose=0,
    ):
        self.user_model = user_model
        self.objective = objective
        self.max_ads = max_ads
        self.prior = prior
        self.click_model = click_model
        self.order = order
        self.solver = solver
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, groups=None, sample_weight=None):
        """Learn click probabilities from a log.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each ad shown: features of the ad in its position. Rows of an
            impression stand in the order of reading, if users read in an order.
        y : array-like of shape (n_rows,)
            Two labels; the greater one marks clicks.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None makes each row one.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights, the same for all rows of an impression.

        Returns
        -------
        self : object
            The auction.

        Raises
        ------
        ValueError
            As the click model raises; if it takes no groups or weights, and some are
            given; if it has no outside option, or no `predict_proba`; or if y has not
            two labels.
        """
        if self.click_model is None:
            X, y, groups, sample_weight = rows_that_tell(
                self.user_model, X, y, groups, sample_weight
            )
        model = self._model()
        check_click_model(model)
        params = self._fit_params(model, groups=groups, sample_weight=sample_weight)
        self.click_model_ = clone(model).fit(X, y, **params)
        self.classes_ = self.click_model_.classes_
        check_click_labels(self.classes_)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.click_model_, name):
                setattr(self, name, getattr(self.click_model_, name))
        return self

    def allocate(self, bids, X=None, *, utilities=None, ctr=None):
        """Place ads, without prices.

        Parameters
        ----------
        bids : array-like of shape (n_ads,) or (n_auctions, n_ads)
            Bids per click.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs of an ad and a position: positions of the first ad,
            then those of the second, and so on; auctions of a batch follow each other.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click of each pair shown alone; -inf if not eligible. A
            batch has a leading axis, or shares one table.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or the click probabilities of each pair shown alone; as utilities.

        Returns
        -------
        AssignmentResult or list of AssignmentResult
            The placement, or those of a batch.

        Raises
        ------
        ValueError
            If not exactly one of X, utilities and ctr is given; if bids are negative or
            not finite; if rows of X do not fit the number of bids; if there is no
            prior and it is needed.
        """
        return self._each("allocate", bids, X, utilities, ctr)

    def run(self, bids, X=None, *, utilities=None, ctr=None):
        """Place ads and compute payments.

        Parameters
        ----------
        bids : array-like of shape (n_ads,) or (n_auctions, n_ads)
            Bids per click.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs, as for `allocate`.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or click probabilities.

        Returns
        -------
        AuctionOutcome
            The outcome; that of a batch has a leading axis.

        Raises
        ------
        ValueError
            As `allocate`.
        """
        outcome = self._each("run", bids, X, utilities, ctr)
        return stack_outcomes(outcome) if isinstance(outcome, list) else outcome

    def payments(self, bids, X=None, *, utilities=None, ctr=None):
        """Compute expected payments per impression.

        Parameters
        ----------
        bids : array-like of shape (n_ads,) or (n_auctions, n_ads)
            Bids per click.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs, as for `allocate`.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or click probabilities.

        Returns
        -------
        ndarray of shape (n_ads,) or (n_auctions, n_ads)
            Payments; 0 for ads that are not shown.

        Raises
        ------
        ValueError
            As `allocate`.
        """
        return self.run(bids, X, utilities=utilities, ctr=ctr).payments

    def price_per_click(self, bids, X=None, *, utilities=None, ctr=None):
        """Compute prices of a click, payments over click probabilities.

        Parameters
        ----------
        bids : array-like of shape (n_ads,) or (n_auctions, n_ads)
            Bids per click.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs, as for `allocate`.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or click probabilities.

        Returns
        -------
        ndarray of shape (n_ads,) or (n_auctions, n_ads)
            Prices; 0 for ads that are not shown.

        Raises
        ------
        ValueError
            As `allocate`.
        """
        return self.run(bids, X, utilities=utilities, ctr=ctr).price_per_click

    def get_metadata_routing(self):
        """Tell how metadata are routed: those of `fit` to that of the click model.

        Returns
        -------
        MetadataRouter
            The routing.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(
            click_model=self._model(), method_mapping=mapping
        )

    def _model(self):
        if self.click_model is not None:
            return self.click_model
        model = ConditionalLogit()
        if _routing_enabled():
            model.set_fit_request(groups=True, sample_weight=True)
        return model

    def _fit_params(self, model, **params):
        params = {name: value for name, value in params.items() if value is not None}
        if not params:
            return {}
        if _routing_enabled():
            return process_routing(self, "fit", **params).click_model.fit
        for name in params:
            if not has_fit_parameter(model, name):
                raise ValueError(
                    f"fit of the click_model {type(model).__name__} takes no {name}. "
                    "Leave them out, or enable metadata routing for a pipeline with a "
                    "step that does."
                )
        return params

    def _each(self, method, bids, X, utilities, ctr):
        """Call a method of the mechanism for one auction, or for each of a batch."""
        self._validate_params()
        bids = checked_bids(bids)
        tables = self._tables(np.atleast_2d(bids), X, utilities, ctr)
        mechanism = self._mechanism(bids.shape[-1], tables[0].shape[1])
        call = getattr(mechanism, method)
        if bids.ndim == 1:
            return call(bids, tables[0])
        parallel = Parallel(n_jobs=self.n_jobs, verbose=self.verbose)
        return parallel(delayed(call)(b, table) for b, table in zip(bids, tables))

    def _mechanism(self, n_ads, n_positions):
        order = None
        if self.user_model == "cascade":
            order = check_order(self.order, n_positions)
            check_solver(self.solver, order, n_positions)
        virtual_values = virtual_values_of(self.prior, self.objective, n_ads)
        mechanism = Mechanism(
            self.user_model,
            check_max_ads(self.max_ads, n_positions),
            order,
            self.solver,
            virtual_values,
            self.tol,
        )
        if virtual_values is not None and not mechanism.is_monotone:
            raise ValueError(
                "solver='greedy' has no truthful payments for revenue: set "
                "objective='welfare', or an exact solver."
            )
        return mechanism

    def _tables(self, bids, X, utilities, ctr):
        """Tables of each auction: utilities for "mnl", else click probabilities."""
        given = [t is not None for t in (X, utilities, ctr)]
        if sum(given) != 1:
            raise ValueError(
                f"Exactly one of X, utilities and ctr must be given, got {sum(given)}."
            )
        n_auctions, n_ads = bids.shape
        if X is not None:
            utilities = self._utilities(X, n_auctions, n_ads)
            if self.user_model != "mnl":  # where a model may be certain of a click
                ctr = expit(utilities)
        return tables_of(self.user_model, utilities, ctr, n_auctions, n_ads)

    def _utilities(self, X, n_auctions, n_ads):
        check_is_fitted(self, "click_model_")
        utilities = predicted_utilities(self.click_model_, X)
        if len(utilities) % (n_auctions * n_ads):
            raise ValueError(
                f"X must have the same number of rows for each of {n_auctions} x "
                f"{n_ads} bids, got {len(utilities)} rows."
            )
        return utilities.reshape(n_auctions, n_ads, -1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # It learns clicks, which are binary; it predicts placements, not labels.
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        return tags


def _routing_enabled():
    return get_config()["enable_metadata_routing"]
