"""Picture of what defences give away against what they cost."""

import numpy as np

from .._plotting import one_axes
from ._audit_exposures import audit_exposures

_COSTS = {
    "kl": "cost to honest users: KL of what they see [nats]",
    "top1_change": "cost to honest users: changed first answers",
    "withheld_mass": "cost to honest users: withheld mass",
}
_LEAKS = {
    "leakage": "share of the head's subspace that leaks",
    "overlap_mean": "mean cosine with the head's subspace",
    "overlap_min": "least cosine with the head's subspace",
}
_COLORS = {"exact": "#D55E00", "noisy": "#E69F00"}
_HIDDEN = "#0072B2"
# Points nearer than this part of the axes share a label.
_NEAR = 0.05


class LeakageFrontierDisplay:
    """Leakage of defences against their cost, and those that no other one beats.

    Colours tell whether the width is known too: "exact" and "noisy" statuses say that
    it is, all others that it is not.

    Parameters
    ----------
    audits : list of dict
        Of `audit_exposures`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    points_ : matplotlib PathCollection
        The defences.
    frontier_ : matplotlib Line2D
        Steps through the defences that are best for their cost.
    best_ : list of str
        Their names, the cheapest first.

    See Also
    --------
    audit_exposures : What it draws.

    Examples
    --------
    >>> from sklogit.audit import LeakageFrontierDisplay
    >>> audits = [
    ...     {"name": "full", "rank_status": "exact", "leakage": 1.0, "kl": 0.0},
    ...     {"name": "noise", "rank_status": "noisy", "leakage": 0.9, "kl": 0.2},
    ...     {"name": "top", "rank_status": "unidentifiable", "leakage": 0.0, "kl": 0.1},
    ... ]
    >>> LeakageFrontierDisplay(audits).plot().best_
    ['full', 'top']
    """

    def __init__(self, audits):
        self.audits = audits

    @classmethod
    def from_exposures(
        cls, L, exposures, W=None, *, auditor=None, cost="kl", leak="leakage", ax=None
    ):
        """Audit exposures and draw them.

        Parameters
        ----------
        L : array-like of shape (n_queries, n_outputs)
            Full logits.
        exposures : dict of str to LogitExposure, or iterable of LogitExposure
            What to compare.
        W : array-like of shape (n_outputs, n_hidden), default=None
            Weights of the output layer.
        auditor : LogitLeakageAuditor, default=None
            Auditor to clone.
        cost : {"kl", "top1_change", "withheld_mass"}, default="kl"
            What to draw to the right.
        leak : {"leakage", "overlap_mean", "overlap_min"}, default="leakage"
            What to draw upwards.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        LeakageFrontierDisplay
            The picture.
        """
        audits = audit_exposures(L, exposures, W, auditor=auditor)
        return cls(audits).plot(cost=cost, leak=leak, ax=ax)

    def plot(self, *, cost="kl", leak="leakage", ax=None, **kwargs):
        """Draw.

        Parameters
        ----------
        cost : {"kl", "top1_change", "withheld_mass"}, default="kl"
            What to draw to the right.
        leak : {"leakage", "overlap_mean", "overlap_min"}, default="leakage"
            What to draw upwards.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        **kwargs
            Given to ``ax.scatter``.

        Returns
        -------
        LeakageFrontierDisplay
            This one.

        Raises
        ------
        ValueError
            If a cost or leak is unknown, or there are no audits.
        """
        for name, value, known in (("cost", cost, _COSTS), ("leak", leak, _LEAKS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {[*known]}, got {value!r}.")
        if not self.audits:
            raise ValueError("audits must have one member at least.")
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        x = np.maximum([audit[cost] for audit in self.audits], 0.0)
        y = np.array([audit[leak] for audit in self.audits])
        statuses = [audit["rank_status"] for audit in self.audits]
        colors = [_COLORS.get(status, _HIDDEN) for status in statuses]
        self.points_ = self.ax_.scatter(x, y, **{"c": colors, "zorder": 3, **kwargs})
        self._draw_frontier(x, y)
        for label, color in {
            "width known, exactly": _COLORS["exact"],
            "width known, through noise": _COLORS["noisy"],
            "width not known": _HIDDEN,
        }.items():
            if color in colors:
                self.ax_.scatter([], [], c=color, label=label)
        # Costs span decades, and full logits cost nothing.
        if (x > 0).any():
            self.ax_.set_xscale("symlog", linthresh=float(x[x > 0].min()))
            self.ax_.set_xlim(left=0)
        self.ax_.set(xlabel=_COSTS[cost], ylabel=_LEAKS[leak], ylim=(-0.05, 1.2))
        self._label(x, y)
        self.ax_.legend(frameon=False, fontsize="small", loc="best")
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self

    def _label(self, x, y):
        """Write the names; those of points that lie on each other, in lines."""
        at = self.ax_.transAxes.inverted().transform(
            self.ax_.transData.transform(np.column_stack([x, y]))
        )
        left = list(range(len(at)))
        while left:
            near = [i for i in left if np.abs(at[i] - at[left[0]]).max() < _NEAR]
            left = [i for i in left if i not in near]
            side = "right" if at[near[0], 0] > 0.8 else "left"
            self.ax_.annotate(
                "\n".join(self.audits[i]["name"] for i in near),
                (x[near[0]], y[near[0]]),
                (-4 if side == "right" else 4, 4),
                textcoords="offset points",
                ha=side,
                fontsize="small",
            )

    def _draw_frontier(self, x, y):
        """Draw steps through points that have less leakage than all cheaper ones."""
        order = np.lexsort((y, x))
        best, least = [], np.inf
        for i in order:
            if y[i] < least:
                best.append(i)
                least = y[i]
        self.best_ = [self.audits[i]["name"] for i in best]
        self.frontier_ = self.ax_.step(
            x[best], y[best], where="post", color="0.5", linewidth=1
        )[0]
