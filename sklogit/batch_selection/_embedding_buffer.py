"""A first-in-first-out buffer of embeddings, and distances to it."""

from ._arrays import as_double, like, namespace


class EmbeddingBuffer:
    """The embeddings that were added last.

    Parameters
    ----------
    capacity : int
        How many it holds at most.
    """

    def __init__(self, capacity):
        self.capacity = capacity
        self.slots = None
        self.next = 0
        self.size = 0

    def __len__(self):
        return self.size

    def add(self, embeddings):
        """Add embeddings; the oldest give way.

        Parameters
        ----------
        embeddings : array of shape (n, d)
            In the order of their age, the oldest first.
        """
        xp = namespace(embeddings)
        embeddings = as_double(embeddings)[-self.capacity :]
        if self.slots is None:
            rows = xp.zeros_like(embeddings[:1])
            self.slots = xp.concatenate([rows] * self.capacity)
        places = [(self.next + i) % self.capacity for i in range(len(embeddings))]
        self.slots[places] = like(embeddings, self.slots)
        self.next = (self.next + len(embeddings)) % self.capacity
        self.size = min(self.size + len(embeddings), self.capacity)

    def in_order(self):
        """Return the embeddings, the oldest first.

        Returns
        -------
        array of shape (n, d) or None
            None if none was ever added.
        """
        if self.slots is None:
            return None
        oldest = self.next if self.size == self.capacity else 0
        return self.slots[[(oldest + i) % self.capacity for i in range(self.size)]]

    def mean_distances(self, embeddings):
        """Compute the mean distance of each embedding to those of the buffer.

        Parameters
        ----------
        embeddings : array of shape (n, d)
            Embeddings.

        Returns
        -------
        array of shape (n,)
            Mean Euclidean distances; 0 if the buffer is empty.
        """
        embeddings = as_double(embeddings)
        if not self.size:
            return namespace(embeddings).zeros_like(embeddings[:, 0])
        return mean_distances(embeddings, like(self.slots[: self.size], embeddings))


def mean_distances(first, second):
    """Compute the mean Euclidean distance of each row to the rows of another array.

    Parameters
    ----------
    first : array of shape (n, d)
        Rows.
    second : array of shape (m, d)
        The others.

    Returns
    -------
    array of shape (n,)
        Mean distances.
    """
    xp = namespace(first)
    squares = (first**2).sum(-1)[:, None] + (second**2).sum(-1)
    squares = squares - 2 * (first @ second.mT)
    # Round-off leaves small numbers of either sign where rows are the same.
    noise = 4 * xp.finfo(first.dtype).eps * (first**2).sum(-1)[:, None]
    return xp.sqrt(xp.where(squares > noise, squares, 0 * squares)).mean(-1)
