"""A dataset that reads the rows of a batch at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset
from skorch.utils import is_pandas_ndframe
from torch.utils.data import Subset, default_collate

# What torch has tensors of; numpy's other kinds of numbers become the nearest of them.
_TORCH_DTYPES = {"b": None, "i": None, "u": np.int64, "f": np.float64}


class RowDataset(Dataset):
    """Rows of arrays, tensors, frames and sparse matrices, read a batch at a time.

    The dataset of skorch is read row by row, which for small rows costs more than the
    training step. This one indexes the array once a batch, and makes the rows of
    sparse matrices dense then.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame, Tensor, or dict or list of them
        Data; what else skorch's dataset takes is read row by row.
    y : array-like of shape (n_samples,) or None, default=None
        Targets.
    length : int or None, default=None
        Number of rows; by default that of X.

    See Also
    --------
    LogitClassifier : Reads with it.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import eye_array
    >>> from torch.utils.data import DataLoader
    >>> from sklogit.neural import RowDataset
    >>> data = RowDataset(eye_array(4, format="csr"), np.arange(4))
    >>> loader = DataLoader(data, batch_size=3, collate_fn=RowDataset.collate)
    >>> [(X.shape, y.tolist()) for X, y in loader]
    [(torch.Size([3, 4]), [0, 1, 2]), (torch.Size([1, 4]), [3])]
    """

    def __init__(self, X, y=None, length=None):
        super().__init__(_indexable(X), y, length)
        self.at_once = _is_array(self.X) and (y is None or _is_array(y))

    def __getitems__(self, indices):
        """Read rows."""
        if not self.at_once:
            return [self[i] for i in indices]
        rows = np.asarray(indices)
        y = torch.zeros(len(rows)) if self.y is None else _take(self.y, rows)
        return Rows(_take(self.X, rows), y, len(rows))

    def transform(self, X, y):
        """Make the data of one row dense, and None a number.

        Parameters
        ----------
        X : object
            Data of a row.
        y : object
            Its target.

        Returns
        -------
        tuple
            Both, as loaders take them.
        """
        return _dense_row(X), torch.zeros(1) if y is None else y

    @staticmethod
    def collate(rows):
        """Make a batch of what a loader has read.

        Parameters
        ----------
        rows : Rows or list
            Rows.

        Returns
        -------
        tuple or list
            Tensors of the data and of the targets.
        """
        return rows.batch if isinstance(rows, Rows) else default_collate(rows)


class Rows(Sequence):
    """Rows read at once; a sequence of pairs for those who collate them their own way.

    Parameters
    ----------
    X, y : Tensor, or dict or list of them
        Data and targets, of the same length.
    length : int
        That length.
    """

    def __init__(self, X, y, length):
        self.batch = X, y
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        if not -self.length <= i < self.length:
            raise IndexError(i)
        return tuple(_row(part, i) for part in self.batch)


def reads_at_once(dataset):
    """Whether a dataset reads the rows of a batch at once.

    Parameters
    ----------
    dataset : Dataset
        Any dataset, or a subset of one.

    Returns
    -------
    bool
        Whether it does.
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return isinstance(dataset, RowDataset) and dataset.at_once


def _indexable(X):
    """Frames as arrays, sparse matrices by rows; all else as it is."""
    if isinstance(X, Mapping):
        return {name: _indexable(values) for name, values in X.items()}
    if isinstance(X, list | tuple):
        return [_indexable(values) for values in X]
    if sparse.issparse(X):
        return X.tocsr()
    return X.to_numpy() if is_pandas_ndframe(X) else X


def _is_array(X):
    if isinstance(X, Mapping):
        return bool(X) and all(map(_is_array, X.values()))
    if isinstance(X, list | tuple):
        return bool(X) and all(map(_is_array, X))
    if isinstance(X, np.ndarray):
        return X.dtype.kind in _TORCH_DTYPES
    return isinstance(X, torch.Tensor) or sparse.issparse(X)


def _take(X, rows):
    if isinstance(X, Mapping):
        return {name: _take(values, rows) for name, values in X.items()}
    if isinstance(X, list | tuple):
        return [_take(values, rows) for values in X]
    if isinstance(X, torch.Tensor):
        return X[torch.from_numpy(rows).to(X.device)]
    if sparse.issparse(X):
        return _tensor(X[rows].toarray())
    return _tensor(X[rows])


def _tensor(values):
    """Return an array as a tensor, of a dtype that torch has."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    try:
        return torch.from_numpy(values)
    except TypeError:
        return torch.from_numpy(values.astype(_TORCH_DTYPES[values.dtype.kind]))


def _dense_row(X):
    if isinstance(X, Mapping):
        return {name: _dense_row(values) for name, values in X.items()}
    if isinstance(X, list | tuple):
        return [_dense_row(values) for values in X]
    return X.toarray().ravel() if sparse.issparse(X) else X


def _row(X, i):
    if isinstance(X, Mapping):
        return {name: _row(values, i) for name, values in X.items()}
    return [_row(values, i) for values in X] if isinstance(X, list) else X[i]
