"""A first-in-first-out buffer of embeddings, and distances to it."""

from ._arrays import as_double, is_tensor, like, namespace, on_cpu


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
        elif is_tensor(self.slots) and is_tensor(embeddings):
            # Where they are needed, though a pickle has brought them elsewhere.
            self.slots = self.slots.to(embeddings)
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

    def distances(self, embeddings, kind):
        """Compute the distance of each embedding to those of the buffer.

        Parameters
        ----------
        embeddings : array of shape (n, d)
            Embeddings.
        kind : {"nearest", "mean"}
            That to the nearest, or the mean of those to all.

        Returns
        -------
        array of shape (n,)
            Euclidean distances; 0 if the buffer is empty.
        """
        embeddings = as_double(embeddings)
        if not self.size:
            return namespace(embeddings).zeros_like(embeddings[:, 0])
        remembered = like(self.slots[: self.size], embeddings)
        to_all = pairwise_distances(embeddings, remembered)
        if kind == "mean":
            return to_all.mean(-1)
        return to_all.amin(-1) if is_tensor(to_all) else to_all.min(-1)

    def __getstate__(self):
        return vars(self) | {"slots": on_cpu(self.slots)}


def pairwise_distances(first, second):
    """Compute the Euclidean distance of each row to each of another array.

    Parameters
    ----------
    first : array of shape (n, d)
        Rows.
    second : array of shape (m, d)
        The others.

    Returns
    -------
    array of shape (n, m)
        Distances.
    """
    xp = namespace(first)
    squares = (first**2).sum(-1)[:, None] + (second**2).sum(-1)
    squares = squares - 2 * (first @ second.mT)
    # Round-off leaves small numbers of either sign where rows are the same.
    noise = 4 * xp.finfo(first.dtype).eps * (first**2).sum(-1)[:, None]
    return xp.sqrt(xp.where(squares > noise, squares, 0 * squares))
