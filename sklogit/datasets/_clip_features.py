"""Features that CLIP gives for images, in the split of few-shot learning."""

import numpy as np
from sklearn.utils import Bunch

from ._images import _path

_FILES = {
    "caltech101": "caltech101_vitb32.npz",
    "oxford_pets": "oxford_pets_vitb32.npz",
}
_SUBSETS = {"train": "train16", "val": "val", "test": "test"}


def load_clip_features(
    name, *, subset="train", data_home=None, return_X_y=False, dtype=np.float32
):
    """Load CLIP features of Caltech101 or Oxford-IIIT Pets.

    The features of images, in the usual split of few-shot learning: 16 training images
    a class. The features of the class names, which would make a zero-shot classifier,
    are not among them. Nothing is downloaded.

    Parameters
    ----------
    name : {"caltech101", "oxford_pets"}
        The images: objects of 100 classes, or 37 breeds of cats and dogs.
    subset : {"train", "val", "test"}, default="train"
        1,600, 1,649 or 2,465 images of "caltech101"; 592, 736 or 3,669 of
        "oxford_pets".
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.
    return_X_y : bool, default=False
        Whether to return only data and target.
    dtype : dtype, default=numpy.float32
        Of the data; they are stored in half precision.

    Returns
    -------
    Bunch or (data, target)
        ``data`` of shape (n_samples, 512), rows of length one but for rounding, those
        of "train" averaged over crops and flips of the image; ``target`` of shape
        (n_samples,), class indices.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If there are no such images, or no such subset.

    See Also
    --------
    sklogit.few_shot.ZeroShotLogits : Makes logits of such features.

    References
    ----------
    .. [1] "Learning Transferable Visual Models From Natural Language Supervision",
       arXiv:2103.00020.

    Examples
    --------
    >>> from sklogit.datasets import load_clip_features
    >>> try:
    ...     load_clip_features("oxford_pets", data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 16 images of each of 37 breeds")
    not here; else 16 images of each of 37 breeds
    """
    for parameter, value, allowed in (
        ("name", name, _FILES),
        ("subset", subset, _SUBSETS),
    ):
        if value not in allowed:
            raise ValueError(
                f"{parameter} must be one of {list(allowed)}, got {value!r}."
            )
    part = _SUBSETS[subset]
    with np.load(_path(data_home, "clip_features", _FILES[name])) as file:
        data, target = file[f"F_{part}"].astype(dtype), file[f"y_{part}"]
    target = target.astype(np.int64)
    return (data, target) if return_X_y else Bunch(data=data, target=target)
