"""What stands for nothing in tables of any kind."""


def is_missing(value):
    """Whether a value is None, NaN, NaT, or NA of pandas.

    Examples
    --------
    >>> from sklogit._missing import is_missing
    >>> [is_missing(value) for value in (None, float("nan"), "", 0)]
    [True, True, False, False]
    """
    # NA of pandas will not be compared; of all else NaN and NaT alone differ from
    # themselves.
    return value is None or type(value).__name__ == "NAType" or bool(value != value)
