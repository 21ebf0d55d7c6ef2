"""A dataset that reads the rows of a batch at once."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, Subset

from sklogit.neural import RowDataset
from sklogit.neural._row_dataset import reads_at_once

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10)


def batches(dataset, **kwargs):
    return list(
        DataLoader(dataset, batch_size=4, collate_fn=RowDataset.collate, **kwargs)
    )


@pytest.mark.parametrize(
    "data",
    [
        X,
        np.asfortranarray(X),
        X[::-1][::-1],
        X.astype(">f8"),
        torch.tensor(X),
        sparse.csr_matrix(X),
        sparse.csc_array(X),
        pd.DataFrame(X),
        [X, X],
        {"a": X, "b": sparse.csr_array(X), "c": pd.Series(Y), "d": torch.tensor(X)},
    ],
    ids=[
        "array",
        "columns",
        "view",
        "bytes",
        "tensor",
        "csr",
        "csc",
        "frame",
        "list",
        "dict",
    ],
)
def test_batches_are_those_of_rows_read_one_by_one(data):
    dataset = RowDataset(data, Y)
    assert reads_at_once(dataset)
    rows = [dataset[i] for i in range(10)]
    for k, (x, y) in enumerate(batches(dataset)):
        expected = torch.utils.data.default_collate(
            [(native(x_i), y_i) for x_i, y_i in rows[4 * k : 4 * k + 4]]
        )
        torch.testing.assert_close(x, expected[0])
        torch.testing.assert_close(y, expected[1])


def native(row):
    if isinstance(row, np.ndarray):
        return row.astype(row.dtype.newbyteorder("="))
    return row


def test_subsets_read_at_once_too():
    subset = Subset(RowDataset(X, Y), [7, 3, 5])
    assert reads_at_once(subset)
    ((x, y),) = batches(subset)
    assert y.tolist() == [7, 3, 5]
    np.testing.assert_array_equal(x, X[[7, 3, 5]])
    assert not reads_at_once(Dataset(X, Y))


def test_without_targets_there_are_zeros():
    assert [y.tolist() for _, y in batches(RowDataset(X))] == [
        [0] * 4,
        [0] * 4,
        [0] * 2,
    ]
    assert RowDataset(X)[3][1].tolist() == [0]


def test_rows_are_a_sequence_for_other_ways_to_collate():
    rows = RowDataset({"X": sparse.csr_array(X), "s": Y}, Y).__getitems__([2, 4])
    assert len(rows) == 2
    assert [(x["X"].tolist(), x["s"].item(), y.item()) for x, y in rows] == [
        ([4, 5], 2, 2),
        ([8, 9], 4, 4),
    ]
    assert rows[-1][1] == 4
    with pytest.raises(IndexError):
        rows[2]


def test_what_is_no_array_is_read_row_by_row():
    dataset = RowDataset(np.array(["b", "a", "c"]), np.arange(3))
    assert not reads_at_once(dataset)
    assert dataset.__getitems__([1, 2]) == [("a", 1), ("c", 2)]
    ((x, y),) = batches(dataset)
    assert list(x) == ["b", "a", "c"]
    assert y.tolist() == [0, 1, 2]


def test_dtypes_that_torch_lacks_become_the_nearest():
    (x, _), *_ = batches(RowDataset(X.astype(np.longdouble), Y))
    assert x.dtype == torch.float64
    np.testing.assert_array_equal(x, X[:4])


def test_matrix_on_disk_is_read_by_rows(tmp_path):
    stored = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(10, 2))
    stored[:] = X
    stored.flush()
    read = np.memmap(tmp_path / "X", dtype=np.float32, mode="r", shape=(10, 2))
    (x, _), *_ = batches(RowDataset(read, Y))
    np.testing.assert_array_equal(x, X[:4])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="inconsistent lengths"):
        RowDataset(X, Y[:5])
