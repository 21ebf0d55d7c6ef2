"""A walk over chunks of rows and tiles of classes."""

import torch

from ._filtering import Filtering
from ._gradients import Part, Targets, add_part
from ._smoothing import LabelSmoothing
from ._softmax import TiledHead


class Walk:
    """The rows that count, in chunks, and the classes, in tiles.

    Parameters
    ----------
    features : Tensor of shape (N, D)
        Features.
    weight : Tensor of shape (V, D)
        Weight of the head.
    bias : Tensor of shape (V,) or None
        Its bias.
    task : Task
        What to compute.
    counts : Tensor of shape (N,)
        Which rows count, bool: of the others no logits are made.

    Attributes
    ----------
    features : Tensor of shape (n, D)
        Those of the rows that count.
    task : Task
        That of these rows.
    head : TiledHead
        The head.
    smoothing : LabelSmoothing or None
        Label smoothing.
    filtering : Filtering or None
        Gradient filtering.
    """

    def __init__(self, features, weight, bias, task, counts):
        self._rows = None if counts.all() else counts.nonzero().squeeze(1)
        self._inputs = features, weight, bias
        self.features = self.pick(features)
        self.task = task if self._rows is None else task.take(self._rows)
        self._size = _even_size(len(self.features), task.rows_of_chunk(weight))
        self.head = TiledHead(weight, bias, task.softcap, self._size)
        self.smoothing = self.filtering = None
        if task.smoothing is not None:
            self.smoothing = LabelSmoothing(self.head, task.smoothing)
        if task.filter_eps is not None:
            self.filtering = Filtering(
                task.filter_eps, task.max_dropped_mass, len(weight)
            )

    def chunks(self):
        """Go through the chunks.

        Yields
        ------
        slice
            Which of the rows that count.
        Rows
            The chunk.
        """
        for start in range(0, len(self.features), self._size):
            rows = slice(start, start + self._size)
            yield rows, self.head.rows(self.features[rows], self.task.target[rows])

    def zeros(self, *shape):
        """Make zeros to add to.

        Parameters
        ----------
        *shape : int
            The shape.

        Returns
        -------
        Tensor
            Zeros, in the dtype of the sums.
        """
        device = self.features.device
        return torch.zeros(shape, dtype=self.head.products.dtype, device=device)

    def pick(self, values):
        """Take the values of the rows that count.

        Parameters
        ----------
        values : Tensor of shape (N, ...) or None
            Values of all rows.

        Returns
        -------
        Tensor of shape (n, ...) or None
            Those of the rows that count.
        """
        return values if self._rows is None or values is None else values[self._rows]

    def spread(self, values):
        """Put the values of the rows that count among zeros.

        Parameters
        ----------
        values : Tensor of shape (n, ...)
            Their values.

        Returns
        -------
        Tensor of shape (N, ...)
            Those of all rows.
        """
        if self._rows is None:
            return values
        n_rows = len(self._inputs[0])
        zeros = values.new_zeros((n_rows, *values.shape[1:]))
        return zeros.index_copy_(0, self._rows, values)

    def add(self, sums, chunk, i, S, norm, factors, entries, slope):
        """Add the gradient of a chunk and a tile.

        Parameters
        ----------
        sums : Sums
            Sums of that chunk and that tile.
        chunk : Rows
            The chunk.
        i : int
            Number of the tile.
        S, norm : Tensor of shape (n, v) and (n, 1)
            The softmax without the entries of targets, and what it is multiplied by.
        factors : RowFactors
            Factors of the rows.
        entries : Tensor of shape (n,)
            Entries of the gradient at the targets.
        slope : Tensor of shape (n, v) or None
            What the cap of the logits multiplies the gradient by.
        """
        tile, (rows, columns) = self.head.tiles[i], chunk.places[i]
        alpha = factors.softmax.unsqueeze(1)
        smooth = None
        if self.smoothing is not None:
            smooth = self.smoothing.taken(factors.smooth, tile)
        add_part(
            sums,
            Part(S, norm, alpha, chunk.features, self.head.weight[tile]),
            Targets(rows, columns, entries[rows]),
            slope,
            smooth,
            self.filtering,
        )

    def gradients(self, sums):
        """Make gradients of sums.

        Parameters
        ----------
        sums : list of Tensor or None
            Of the features of the rows that count, of the weight and of the bias.

        Returns
        -------
        list of Tensor or None
            Of all features, weight and bias, in their dtypes.
        """
        pairs = list(zip(sums, self._inputs))
        pairs = [(s if s is None else s.to(like.dtype)) for s, like in pairs]
        if pairs[0] is not None:
            pairs[0] = self.spread(pairs[0])
        return pairs


def _even_size(n_rows, most):
    """Rows of a chunk if all have about as many: a last one of few rows would cost."""
    n_chunks = max(1, -(-n_rows // most))
    return max(1, -(-n_rows // n_chunks))
