"""Picture of the singular values of published logits."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._plotting import one_axes
from ._random_matrix import noise_edge

_SURE = ("exact", "noisy")


class SingularValueDisplay:
    """Singular values of logits, with the rank that was told from them.

    Parameters
    ----------
    singular_values : array-like of shape (n_values,)
        Singular values, the largest first.
    rank : int
        The rank.
    status : str
        Its status.
    noise_edge : float, default=None
        Largest singular value that noise has, if the noise is known or fitted.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    signal_ : matplotlib Line2D
        Values up to the rank.
    rest_ : matplotlib Line2D
        Values beyond it.
    rank_line_ : matplotlib Line2D or None
        The rank; dashed if it is not sure, and None if it is zero.
    edge_line_ : matplotlib Line2D or None
        Edge of the noise.

    See Also
    --------
    LogitLeakageAuditor : What it draws.

    Examples
    --------
    >>> from sklogit.audit import LogitLeakageAuditor, SingularValueDisplay
    >>> from sklogit.datasets import make_language_logits
    >>> model = make_language_logits(100, 400, hidden_dim=16, random_state=0)
    >>> auditor = LogitLeakageAuditor().fit(model.logits.round(1))
    >>> display = SingularValueDisplay.from_estimator(auditor)
    >>> display.rank, display.status
    (16, 'noisy')
    """

    def __init__(self, singular_values, rank, status, *, noise_edge=None):
        self.singular_values = singular_values
        self.rank = rank
        self.status = status
        self.noise_edge = noise_edge

    @classmethod
    def from_estimator(cls, auditor, *, ax=None, **kwargs):
        """Draw the spectrum of a fitted auditor.

        Parameters
        ----------
        auditor : LogitLeakageAuditor
            A fitted one.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        **kwargs
            Given to ``ax.plot`` for the values.

        Returns
        -------
        SingularValueDisplay
            The picture.

        Raises
        ------
        ValueError
            If the auditor has no singular values, as nothing was identifiable.
        """
        check_is_fitted(auditor)
        if not len(auditor.singular_values_):
            raise ValueError(
                f"auditor has no singular values: the rank is {auditor.rank_status_}."
            )
        n_rows, n_columns, rank = (
            auditor.n_queries_,
            auditor.n_features_in_,
            auditor.rank_,
        )
        edge = None
        if auditor.observed_fraction_ == 1 and auditor.rank_status_ in _SURE:
            short = min(n_rows, n_columns) - rank
            edge = auditor.noise_std_ * noise_edge(short, max(n_rows, n_columns) - rank)
        display = cls(
            auditor.singular_values_, rank, auditor.rank_status_, noise_edge=edge
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **kwargs):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        **kwargs
            Given to ``ax.plot`` for the values.

        Returns
        -------
        SingularValueDisplay
            This one.
        """
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        s = np.asarray(self.singular_values, dtype=np.float64)
        index, rank = np.arange(1, len(s) + 1), self.rank
        # Zeros, exact to the last bit, still have a place on the logarithmic axis.
        s = np.maximum(s, (s[0] if len(s) and s[0] > 0 else 1.0) * 1e-18)
        style = {"marker": ".", "linestyle": "none", **kwargs}
        self.signal_ = self.ax_.plot(
            index[:rank], s[:rank], **{"color": "#0072B2", "label": "signal", **style}
        )[0]
        self.rest_ = self.ax_.plot(
            index[rank:], s[rank:], **{"color": "0.6", "label": "rest", **style}
        )[0]
        self.rank_line_ = self.edge_line_ = None
        if rank:
            sure = "-" if self.status in _SURE else "--"
            self.rank_line_ = self.ax_.axvline(
                rank + 0.5,
                color="#D55E00",
                linestyle=sure,
                linewidth=1,
                label=f"rank {rank}, {self.status}",
            )
        if self.noise_edge:
            self.edge_line_ = self.ax_.axhline(
                self.noise_edge, color="k", linestyle=":", linewidth=1, label="noise"
            )
        self.ax_.set(xlabel="index", ylabel="singular value", yscale="log")
        self.ax_.legend(frameon=False, fontsize="small")
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self
