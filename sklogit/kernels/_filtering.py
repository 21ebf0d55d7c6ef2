"""Leave negligible entries of the softmax out of the gradient."""


class Filtering:
    r"""Gradient filtering by columns, with a bound on what it leaves out.

    In each tile those columns are multiplied that hold an entry of the softmax of at
    least eps. A row whose entries below eps add up to more than its share of
    `max_dropped_mass` there is multiplied with all columns instead: so of no row more
    than that part of the softmax is left out, whatever eps is.

    The method filters blocks of 128 rows and 128 classes [1]_, for which the classes
    have to be sorted. Columns are gathered instead.

    Parameters
    ----------
    eps : float
        Entries of the softmax below it are negligible.
    max_dropped_mass : float
        The most of a row's softmax that may be left out.
    n_classes : int
        Number of classes.

    Attributes
    ----------
    n_entries, n_multiplied : int
        Entries of the softmax so far, and how many of them were multiplied.

    References
    ----------
    .. [1] "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009.
    """

    def __init__(self, eps, max_dropped_mass, n_classes):
        self.eps = eps
        self.max_dropped_mass = max_dropped_mass
        self.n_classes = n_classes
        self.n_entries = self.n_multiplied = 0

    def add(self, sums, part):
        """Add the gradient of the entries that are not negligible.

        Parameters
        ----------
        sums : Sums
            What is added to.
        part : Part
            The entries; they are used up.
        """
        part = part.normalised()
        n_rows, n_columns = part.S.shape
        self.n_entries += n_rows * n_columns
        kept = self._kept(part.S)
        flat = self._loses_too_much(part.S, kept)
        if flat.any():
            rows = flat.nonzero().squeeze(1)
            # With most rows flat there is little to gain by the others.
            if 2 * len(rows) > n_rows:
                return self._add_all(sums, part)
            self._add_all(sums, part.take(rows))
            # They must not keep columns for the others.
            part.S.index_fill_(0, rows, 0.0)
            kept = self._kept(part.S)
        columns = kept.nonzero().squeeze(1)
        if 2 * len(columns) > n_columns:
            return self._add_all(sums, part)
        self.n_multiplied += n_rows * len(columns)
        if len(columns):
            sums.add_columns(part, columns)

    def _kept(self, softmax):
        return softmax.amax(dim=0) >= self.eps

    def _loses_too_much(self, softmax, kept):
        share = self.max_dropped_mass * softmax.shape[1] / self.n_classes
        return softmax @ (~kept).to(softmax.dtype) > share

    def _add_all(self, sums, part):
        self.n_multiplied += part.S.numel()
        sums.add(part)
