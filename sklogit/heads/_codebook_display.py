"""Picture of how classes and rows are spread over codes."""

import numpy as np
import torch

from .._plotting import stacked_axes
from ._code_mapping import given_codes, score_ceiling, segment_sums


class CodebookUsageDisplay:
    """Rows and classes of each code, the codes sorted by their rows.

    The panels show the part of all rows that a code has, the number of its classes, and
    the part of its rows that its most frequent class has. A code near 1 in the last one
    names its class; rows of other classes cannot be predicted right.

    Parameters
    ----------
    row_shares : ndarray of shape (n_codes,)
        Part of the rows that each code has, in descending order.
    class_counts : ndarray of shape (n_codes,)
        Number of classes of each code.
    largest_shares : ndarray of shape (n_codes,)
        Part of the rows of each code that its most frequent class has; NaN without
        rows.
    ceiling : float
        Largest possible accuracy: rows of the most frequent class of their code.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (3,)
        Panels.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : list of matplotlib Line2D
        A line in each panel.
    effective_codes : float
        Exponential of the entropy of `row_shares`: so many codes of equal use would
        tell rows apart as well.

    See Also
    --------
    VQLogitsHead : The head.
    sklogit.neural.VQLogitsClassifier : The classifier.

    Examples
    --------
    >>> from sklogit.heads import CodebookUsageDisplay
    >>> display = CodebookUsageDisplay.from_codes([0, 1, 1, 2], [4, 3, 1, 8])
    >>> display.row_shares.tolist(), display.ceiling
    ([0.5, 0.25, 0.25], 0.9375)
    """

    def __init__(self, row_shares, class_counts, largest_shares, *, ceiling):
        self.row_shares = row_shares
        self.class_counts = class_counts
        self.largest_shares = largest_shares
        self.ceiling = ceiling

    @property
    def effective_codes(self):
        """Exponential of the entropy of the rows over the codes."""
        p = self.row_shares[self.row_shares > 0]
        return float(np.exp(-(p * np.log(p)).sum()))

    @classmethod
    def from_codes(cls, codes, class_counts, *, ax=None, **kwargs):
        """Draw a mapping.

        Parameters
        ----------
        codes : array-like of int, of shape (n_classes,)
            Code of each class.
        class_counts : array-like of shape (n_classes,)
            Rows of each class.
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        CodebookUsageDisplay
            The display.

        Raises
        ------
        ValueError
            If the lengths differ, a code is negative, or counts are negative or all
            zero.
        """
        counts = np.asarray(class_counts, dtype=np.float64)
        codes = given_codes(codes, len(counts))
        if not ((counts >= 0).all() and counts.any()):
            raise ValueError("class_counts must not be negative, nor all zero.")
        rows = segment_sums(counts, codes, codes.max() + 1)
        largest = np.zeros_like(rows)
        np.maximum.at(largest, codes, counts)
        order = np.argsort(-rows, kind="stable")
        with np.errstate(invalid="ignore"):
            shares = (largest / rows)[order]
        sizes = np.bincount(codes)[order]
        ceiling = score_ceiling(codes, counts)
        display = cls(rows[order] / rows.sum(), sizes, shares, ceiling=ceiling)
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, *, class_counts=None, ax=None, **kwargs):
        """Draw the mapping of a fitted classifier or of a head.

        Parameters
        ----------
        estimator : VQLogitsClassifier or VQLogitsHead
            The classifier or head.
        class_counts : array-like of shape (n_classes,), default=None
            Rows of each class. None takes those of the training data, which a head has
            only if it has counted them itself.
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        CodebookUsageDisplay
            The display.

        Raises
        ------
        TypeError
            If it is neither.
        ValueError
            If the counts are not known.
        """
        codes = getattr(estimator, "codes_", getattr(estimator, "codes", None))
        if codes is None:
            raise TypeError(
                "estimator must be a fitted VQLogitsClassifier or a VQLogitsHead, got "
                f"{type(estimator).__name__}."
            )
        if class_counts is None:
            own = getattr(getattr(estimator, "within", None), "class_counts", None)
            class_counts = getattr(estimator, "class_count_", own)
        if class_counts is None:
            raise ValueError("class_counts must be given: the head does not know them.")
        arrays = (
            a.cpu().numpy() if isinstance(a, torch.Tensor) else a
            for a in (codes, class_counts)
        )
        return cls.from_codes(*arrays, ax=ax, **kwargs)

    def plot(self, *, ax=None, **line_options):
        """Draw the three panels.

        Parameters
        ----------
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines.

        Returns
        -------
        CodebookUsageDisplay
            The display.

        Raises
        ------
        ValueError
            If there are not three Axes.
        """
        self.axes_ = stacked_axes(ax, type(self).__name__, 3, figsize=(6.4, 7))
        self.figure_ = self.axes_[0].figure
        # Of a logarithmic axis rank 1 is the first.
        rank = np.arange(1, len(self.row_shares) + 1)
        used = np.where(self.row_shares > 0, self.row_shares, np.nan)
        # Only the first falls with the rank: lines between the others would be noise.
        styles = ("-", "", "")
        curves = {
            "part of the rows": used,
            "classes": self.class_counts,
            "part of the code's rows\nin its largest class": self.largest_shares,
        }
        self.lines_ = []
        for panel, (label, values), style in zip(self.axes_, curves.items(), styles):
            options = {"marker": ".", "markersize": 5, "linestyle": style}
            self.lines_ += panel.plot(rank, values, **{**options, **line_options})
            panel.set_ylabel(label)
            panel.set_xscale("log")
            panel.grid(alpha=0.3)
        for panel in self.axes_[:2]:
            panel.set_yscale("log")
        even = 1 / len(rank)
        self.axes_[0].axhline(even, color="0.5", linestyle=":", label="even use")
        self.axes_[0].legend(title=f"{self.effective_codes:.0f} effective codes")
        self.axes_[2].set_ylim(0, 1.05)
        self.axes_[2].set_title(
            f"{self.ceiling:.0%} of all rows are of the largest class of their code",
            fontsize="medium",
        )
        for panel in self.axes_[2:] if ax is None else self.axes_:
            panel.set_xlabel("code, by its rows")
        return self
