"""Axes of the displays; matplotlib is imported when something is drawn."""

import numpy as np

from ._optional import import_optional


def one_axes(ax, display):
    """Return the given axes, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes given by the user.
    display : str
        Name of the display, for the error if matplotlib is missing.

    Returns
    -------
    matplotlib Axes
        Axes to draw on.
    """
    plt = import_optional("matplotlib.pyplot", display)
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def stacked_axes(ax, display, n_panels, **figure_options):
    """Return the given axes, or those of a new figure with panels above each other.

    Parameters
    ----------
    ax : sequence of matplotlib Axes, or None
        Axes given by the user.
    display : str
        Name of the display, for error messages.
    n_panels : int
        Number of axes needed.
    **figure_options
        Given to the new figure.

    Returns
    -------
    ndarray of matplotlib Axes, of shape (n_panels,)
        Axes to draw on.

    Raises
    ------
    ValueError
        If another number of axes is given.
    """
    plt = import_optional("matplotlib.pyplot", display)
    if ax is None:
        options = {"layout": "constrained", **figure_options}
        return plt.subplots(n_panels, 1, sharex=True, **options)[1]
    axes = np.array(ax, dtype=object).ravel()
    if len(axes) != n_panels:
        raise ValueError(f"ax must be {n_panels} Axes for {display}, got {len(axes)}.")
    return axes
