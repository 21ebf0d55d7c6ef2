"""Online batch selection by utility and diversity of the logits."""

from copy import copy, deepcopy
from math import ceil
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import validate_data

from .._state import restore_on_failure
from ._arrays import (
    as_double,
    as_floats,
    as_mask,
    as_numpy,
    check_finite,
    is_tensor,
    like,
    masked,
    n_dimensions,
    namespace,
    on_cpu,
)
from ._embedding_buffer import EmbeddingBuffer, pairwise_distances
from ._head import FactoredLogits
from ._projection import BilinearRandomProjection, project
from ._utilities import utilities


class UtilityDiversitySelector(BaseEstimator):
    r"""Choose from a batch the samples that are most worth training on.

    .. math:: s_i = \|L_i\|_* + \alpha \, \min_{z \in Q} \|z_i - z\|_2

    :math:`L_i` are the logits of a sample, positions times classes, under the current
    weights; :math:`z_i` is a random projection of them, and Q holds the projections of
    the samples that were chosen last. The first term is the utility: the model can move
    a lot on the sample, and its positions predict different things. The second is the
    diversity: the sample is no repeat of what was trained on lately. The samples with
    the greatest scores are chosen. The source [1]_ takes the mean distance to Q, not
    the smallest, which is ``distance="mean"``.

    It needs no gradients, no reference model and no validation data.

    Parameters
    ----------
    budget : float or int, default=0.25
        Share of the candidates that is kept, in (0, 1], rounded up, or their number.
    alpha : float, default=1.0
        Weight of the diversity. 0 leaves it out, and remembers nothing.
    utility : str or callable, default="nuclear"
        "nuclear" or "frobenius", norms of the logits; "loss", the cross-entropy;
        "random", which with ``alpha=0`` chooses at random; or a function of logits and
        y that returns one number a sample.
    distance : {"nearest", "mean"}, default="nearest"
        The diversity of a sample is its distance to the nearest in Q, or the mean of
        those to all, as in [1]_. A copy is at no distance from itself, but as far as
        any from the rest: the mean hardly tells copies.
    normalize : {None, "zscore"}, default=None
        "zscore" standardises both terms within the candidates, so that alpha has no
        unit. With None the terms are added as they are.
    length_norm : bool, default=False
        Divide norms by the greatest that as many rows of length one can have, so that
        long samples do not win for their length.
    projection : BilinearRandomProjection, default=None
        How logits are embedded; None is its default. Without a `random_state` it gets
        that of the selector. Give it ``n_positions`` if later samples may be longer
        than those of the first call.
    buffer_size : int, default=1024
        How many embeddings Q holds at most; the oldest give way.
    batch_diversity : float, default=0.0
        Weight of the mean distance to the other candidates, which is added to that to
        Q.
    warm_start_steps : int, default=0
        Calls of ``select`` that keep all candidates, before selection starts.
    random_state : int, RandomState instance or None, default=None
        Seed of the projection, and of ``utility="random"``.

    Attributes
    ----------
    projection_ : BilinearRandomProjection
        The projection; drawn by the first call that needs it.
    buffer_ : array or Tensor of shape (n_remembered, d) or None
        Embeddings in Q, the oldest first; None before any.
    utility_ : array or Tensor of shape (n_samples,)
        Utilities of the last candidates of ``select``.
    diversity_ : array or Tensor of shape (n_samples,)
        Their diversities.
    last_scores_ : array or Tensor of shape (n_samples,)
        Their scores.
    n_steps_ : int
        Calls of ``select``.
    n_seen_ : int
        Candidates in all of them.
    n_selected_ : int
        Samples they chose.

    See Also
    --------
    OnlineBatchSelectionClassifier : Trains any classifier with ``partial_fit`` so.
    sklogit.neural.OnlineSelectionClassifier : Trains nets so.

    Notes
    -----
    Logits of two dimensions are samples with one position. Their nuclear norm is the
    length of the vector, which is greatest where the model is surest: "loss" suits them
    better.

    Only :math:`\alpha` times the scale of the projection has a meaning: published
    values of alpha belong to ``BilinearRandomProjection(scaling="official")`` and
    ``distance="mean"``.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882. The nearest distance, masks, "zscore", the
       length norm and the weights of samples are ours.

    Examples
    --------
    Of three samples that repeat one position, and one that does not:

    >>> import numpy as np
    >>> from sklogit.batch_selection import UtilityDiversitySelector
    >>> logits = np.ones((4, 6, 6))
    >>> logits[2] = np.sqrt(6) * np.eye(6)
    >>> selector = UtilityDiversitySelector(budget=1, random_state=0)
    >>> selector.select(logits)
    array([2])

    The same sample again is no news, others are:

    >>> selector.select(logits), selector.diversity_.round(1)
    (array([2]), array([6.5, 6.5, 0. , 6.5]))
    """

    _parameter_constraints: dict = {
        "budget": [
            Interval(RealNotInt, 0, 1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "utility": [StrOptions({"nuclear", "frobenius", "loss", "random"}), callable],
        "distance": [StrOptions({"nearest", "mean"})],
        "normalize": [StrOptions({"zscore"}), None],
        "length_norm": ["boolean"],
        "projection": [BilinearRandomProjection, None],
        "buffer_size": [Interval(Integral, 1, None, closed="left")],
        "batch_diversity": [Interval(Real, 0, None, closed="left")],
        "warm_start_steps": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        budget=0.25,
        *,
        alpha=1.0,
        utility="nuclear",
        distance="nearest",
        normalize=None,
        length_norm=False,
        projection=None,
        buffer_size=1024,
        batch_diversity=0.0,
        warm_start_steps=0,
        random_state=None,
    ):
        self.budget = budget
        self.alpha = alpha
        self.utility = utility
        self.distance = distance
        self.normalize = normalize
        self.length_norm = length_norm
        self.projection = projection
        self.buffer_size = buffer_size
        self.batch_diversity = batch_diversity
        self.warm_start_steps = warm_start_steps
        self.random_state = random_state

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Forget everything, and prepare for logits of a shape.

        There is no need for it: the first ``select`` does the same.

        Parameters
        ----------
        X : array or Tensor of shape (n_samples, n_positions, n_classes)
            Logits, or of shape (n_samples, n_classes); only their shape matters.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The selector, with an empty buffer.

        Raises
        ------
        TypeError
            If logits are sparse, or no real numbers.
        ValueError
            If a parameter is not allowed, or a logit is not finite.
        """
        if not is_tensor(X) and n_dimensions(X) != 3:
            X = validate_data(self, X)
        self._restart(_checked(X))
        return self

    def score_samples(self, logits, y=None, mask=None, sample_weight=None):
        """Compute the scores of candidates, without choosing any.

        Parameters
        ----------
        logits : array or Tensor of shape (n_samples, n_positions, n_classes)
            Logits, or of shape (n_samples, n_classes), or :class:`FactoredLogits`.
        y : array of shape (n_samples,) or (n_samples, n_positions), default=None
            Class indices, for a utility that needs them; positions with negative ones
            do not count for "loss".
        mask : array of shape (n_samples, n_positions), default=None
            True for positions that count; by default all do.
        sample_weight : array of shape (n_samples,), default=None
            Weights, not negative, by which utilities are multiplied.

        Returns
        -------
        array or Tensor of shape (n_samples,)
            Scores, -inf of samples that training would not notice: those of weight 0,
            and those that the mask hides altogether. Nothing that the selector
            remembers changes.

        Raises
        ------
        TypeError
            If logits are sparse, or no real numbers.
        ValueError
            If a parameter or a shape is not allowed, the number of classes changed, or
            a logit that counts is not finite.
        """
        preview = self._preview()
        return preview._score(_checked(logits), y, mask, sample_weight)[2]

    @restore_on_failure
    def select(self, logits, y=None, mask=None, sample_weight=None):
        """Choose candidates, and remember the chosen ones.

        Parameters
        ----------
        logits : array or Tensor of shape (n_samples, n_positions, n_classes)
            Logits, or of shape (n_samples, n_classes), or :class:`FactoredLogits`.
        y : array of shape (n_samples,) or (n_samples, n_positions), default=None
            Class indices, for a utility that needs them.
        mask : array of shape (n_samples, n_positions), default=None
            True for positions that count; by default all do.
        sample_weight : array of shape (n_samples,), default=None
            Weights, not negative, by which utilities are multiplied.

        Returns
        -------
        array or Tensor of shape (n_selected,)
            Their indices, that of the greatest score first, of equal ones the lowest.
            Samples of weight 0, and those that the mask hides altogether, come last,
            and are not remembered.

        Raises
        ------
        TypeError
            If logits are sparse, or no real numbers.
        ValueError
            If a parameter or a shape is not allowed, the number of classes changed, or
            a logit that counts is not finite. Nothing that the selector remembers has
            changed then.
        """
        logits = _checked(logits)
        if not hasattr(self, "n_steps_"):
            self._restart(logits)
        embeddings, terms, scores = self._score(logits, y, mask, sample_weight)
        n_kept = self.n_kept(len(logits))
        if self.n_steps_ < self.warm_start_steps:
            n_kept = len(logits)
        ranks = as_numpy(scores)
        order = np.argsort(-ranks, kind="stable")[:n_kept]
        # What does not count was not trained on, and says of nothing that it is known.
        counting = order[ranks[order] > -np.inf].tolist()
        if embeddings is not None and counting:
            self._buffer.add(embeddings[counting])
        self.utility_, self.diversity_ = terms
        self.last_scores_ = scores
        self.n_steps_ += 1
        self.n_seen_ += len(logits)
        self.n_selected_ += n_kept
        if not is_tensor(scores):
            return order
        return namespace(scores).as_tensor(order, device=scores.device)

    def n_kept(self, n_candidates):
        """Compute how many of a number of candidates the budget keeps.

        Parameters
        ----------
        n_candidates : int
            Number of candidates.

        Returns
        -------
        int
            Number of samples kept, at least one of any.
        """
        if isinstance(self.budget, Integral):
            return min(int(self.budget), n_candidates)
        # A share such as 0.1 is a little more than a tenth, whose ceiling is not meant.
        return min(ceil(self.budget * n_candidates * (1 - 1e-12)), n_candidates)

    @property
    def buffer_(self):
        """Embeddings of the samples chosen last, the oldest first."""
        buffer = vars(self).get("_buffer")
        return None if buffer is None else buffer.in_order()

    def _restart(self, logits):
        self._validate_params()
        for name in ("utility_", "diversity_", "last_scores_", "projection_"):
            vars(self).pop(name, None)
        self.n_steps_ = self.n_seen_ = self.n_selected_ = 0
        self.n_classes_ = logits.shape[2]
        self.random_state_ = check_random_state(self.random_state)
        if not isinstance(self.random_state, Integral):
            # Its own generator, which goes with pickles.
            seed = self.random_state_.randint(2**31 - 1)
            self.random_state_ = np.random.RandomState(seed)
        self._buffer = EmbeddingBuffer(self.buffer_size)

    def _preview(self):
        """Return a selector whose scoring leaves no trace in this one."""
        preview = copy(self)
        preview.random_state = deepcopy(self.random_state)
        return preview

    def _score(self, logits, y, mask, sample_weight):
        """Embeddings, both terms, and scores, of which the state stays as it was."""
        if not hasattr(self, "n_steps_"):
            self._restart(logits)
        self._validate_params()
        if logits.shape[2] != self.n_classes_:
            raise ValueError(
                f"logits must have {self.n_classes_} classes, as before, got "
                f"{logits.shape[2]}."
            )
        if self.utility == "random":
            # A copy, so that a failure below leaves the generator as it was.
            self.random_state_ = deepcopy(self.random_state_)
        factored = isinstance(logits, FactoredLogits)
        if mask is not None:
            mask = as_mask(mask, logits.hidden if factored else logits)
        if not factored:
            # Here for all that follows, as logits may be many.
            logits = masked(logits, mask)
            check_finite("logits", logits)
        utility = utilities(
            self.utility,
            logits,
            y,
            mask,
            self.random_state_,
            length_norm=self.length_norm,
        )
        check_finite("utility", utility)
        counts = namespace(utility).ones_like(utility)
        if mask is not None:
            counts = like(mask.any(-1), utility)
        if sample_weight is not None:
            weight = _checked_weight(sample_weight, utility)
            utility, counts = utility * weight, counts * weight
        embeddings, diversity = self._diversity(logits, mask, utility)
        scores = self._combined(utility, diversity, counts > 0)
        return embeddings, (utility, diversity), scores

    def _combined(self, utility, diversity, counts):
        """Scores, -inf where a sample does not count."""
        if self.normalize is not None:
            utility = _standardised(utility, counts)
            diversity = _standardised(diversity, counts)
        scores = utility + self.alpha * diversity
        # However new they are: a step for them would change nothing.
        nothing = namespace(scores).full_like(scores, -np.inf)
        return namespace(scores).where(counts, scores, nothing)

    def _diversity(self, logits, mask, utility):
        if self.alpha == 0 or not len(logits):
            return None, namespace(utility).zeros_like(utility)
        if not hasattr(self, "projection_"):
            self.projection_ = self._drawn_projection(logits)
        embeddings = as_double(project(self.projection_, logits, mask))
        diversity = self._buffer.distances(embeddings, self.distance)
        if self.batch_diversity:
            within = pairwise_distances(embeddings, embeddings).mean(-1)
            diversity = diversity + self.batch_diversity * within
        return embeddings, diversity

    def _drawn_projection(self, logits):
        projection = BilinearRandomProjection()
        if self.projection is not None:
            projection = clone(self.projection)
        if projection.random_state is None:
            seed = deepcopy(self.random_state_).randint(2**31 - 1)
            projection.random_state = seed
        # Its own check of the data would make dense what is factored.
        projection._validate_params()
        return projection._draw(logits.shape[1], logits.shape[2])

    def __getstate__(self):
        state = super().__getstate__()
        for name in ("utility_", "diversity_", "last_scores_"):
            if name in state:
                state[name] = on_cpu(state[name])
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags


def _checked(logits):
    """Return logits as (n_samples, n_positions, n_classes), without their graph."""
    if isinstance(logits, FactoredLogits):
        return logits.detached()
    logits = as_floats("logits", logits)
    logits = logits.detach() if is_tensor(logits) else logits
    logits = logits[:, None] if logits.ndim == 2 else logits
    if logits.ndim != 3 or 0 in logits.shape[1:]:
        raise ValueError(
            "logits must have the shape (n_samples, n_positions, n_classes) or "
            f"(n_samples, n_classes), got {tuple(logits.shape)}."
        )
    return logits


def _checked_weight(sample_weight, utility):
    weight = like(sample_weight, utility)
    if tuple(weight.shape) != tuple(utility.shape):
        raise ValueError(
            f"sample_weight must have the shape {tuple(utility.shape)}, got "
            f"{tuple(weight.shape)}."
        )
    check_finite("sample_weight", weight)
    if bool((weight < 0).any()):
        raise ValueError("sample_weight must not be negative.")
    return weight


def _standardised(values, counts):
    """Values that count with mean 0 and deviation 1; 0 if they are all the same."""
    counted = values[counts]
    if not len(counted):
        return 0 * values
    mean = counted.mean()
    spread = float(((counted - mean) ** 2).mean()) ** 0.5
    # Of equal values, round-off alone would be blown up to the size of one.
    if spread <= 1e-12 * float(abs(counted).max()):
        return 0 * values
    return (values - mean) / spread
