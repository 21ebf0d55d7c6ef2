"""Numbers, notes, labels and columns on their way into the matrix."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from sklogit.triage._categories import CategoryNames
from sklogit.triage._class_weights import without_weight
from sklogit.triage._columns import late_word, usual_column
from sklogit.triage._labels import encode_known_labels, encode_labels
from sklogit.triage._notes import NoteFeatures, NoteLength, as_texts
from sklogit.triage._numbers import NumberFeatures


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(3.0, 2.0, (50, 3))


def test_numbers_are_standardised_as_by_scikit_learn(numbers):
    weight = np.linspace(0, 1, 50)
    out = NumberFeatures().fit_transform(numbers, sample_weight=weight)
    scaler = StandardScaler().fit(numbers, sample_weight=weight)
    np.testing.assert_allclose(out, scaler.transform(numbers))


def test_missing_numbers_are_the_mean_and_marked(numbers):
    numbers[:10, 1] = np.nan
    features = NumberFeatures()
    out = features.fit_transform(numbers)
    assert features.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x1_missing"]
    np.testing.assert_array_equal(out[:10, 1], 0.0)
    np.testing.assert_allclose(out[10:, 1].std(), 1.0)
    np.testing.assert_allclose(out.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(out[:10, 3], out[0, 3])
    assert out[0, 3] > 0 > out[-1, 3]
    # What was never missing in training may be so later.
    later = features.transform([[np.nan, 3.0, 3.0]])
    assert later[0, 0] == 0.0
    assert np.isfinite(later).all()


def test_a_column_without_values_is_zero():
    X = np.column_stack([np.full(5, np.nan), np.full(5, 1e8)])
    out = NumberFeatures().fit_transform(X)
    np.testing.assert_array_equal(out, 0.0)


def test_probabilities_are_clipped_logits():
    X = np.array([[0.0], [0.3], [0.5], [1.0]])
    out = NumberFeatures(probability=True).fit_transform(X)
    expected = logit(np.clip(X, 1e-4, 1 - 1e-4))
    np.testing.assert_allclose(out, StandardScaler().fit_transform(expected))


def test_a_probability_beyond_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        NumberFeatures(probability=True).fit([[0.5], [1.5]])


NOTES = ["a big hornet", None, "a hornet nest", np.nan, "hornet", "", pd.NA, 17]


def test_missing_notes_are_empty():
    expected = ["a big hornet", "", "a hornet nest", "", "hornet", "", "", "17"]
    assert as_texts(pd.Series(NOTES, dtype=object)) == expected


def test_notes_are_vectorized_as_by_scikit_learn():
    out = NoteFeatures(TfidfVectorizer()).fit_transform(NOTES)
    expected = TfidfVectorizer().fit_transform(as_texts(NOTES))
    np.testing.assert_array_equal(out.toarray(), expected.toarray())


@pytest.mark.parametrize("notes", [["", None, ""], ["the", "", "a"], ["b c"], []])
def test_notes_without_words_have_no_features(notes):
    features = NoteFeatures().fit(notes)
    assert features.transform(["hornet", ""]).shape == (2, 0)
    assert features.get_feature_names_out().tolist() == []


def test_other_errors_of_a_vectorizer_are_not_hidden():
    with pytest.raises(ValueError, match="ngram_range"):
        NoteFeatures(TfidfVectorizer(ngram_range=(2, 1))).fit(["a hornet"])


def test_categories_are_strings_of_any_type():
    table = pd.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, pd.NA], "c": [np.inf, 2, np.nan]}
    )
    names = CategoryNames().fit(table)
    assert names.transform(table).tolist() == [
        ["1", "x", "inf"],
        ["2", "missing", "2"],
        ["3", "missing", "missing"],
    ]
    assert names.get_feature_names_out().tolist() == ["a", "b", "c"]


def test_length_of_a_note():
    out = NoteLength().fit_transform(["hornet", "", None])
    np.testing.assert_allclose(out, np.log1p([[6.0], [0.0], [0.0]]))


@pytest.mark.parametrize(
    ("y", "codes", "positive_label", "unlabeled_label"),
    [
        ([0, 1, 0, -1], [0, 1, 0, -1], None, -1),
        ([0, 1, 0, 0], [1, 0, 1, 1], 0, -1),
        ([-1, 1, 1, -1], [0, 1, 1, 0], None, -1),
        ([True, False, True, False], [1, 0, 1, 0], None, -1),
        ([2.0, 5.0, -1.0, 2.0], [0, 1, -1, 0], None, -1),
        (["no", "yes", "?", "no"], [0, 1, -1, 0], "yes", "?"),
        (["no", "yes", "?", "no"], [1, 0, -1, 1], "no", "?"),
    ],
)
def test_codes_of_labels(y, codes, positive_label, unlabeled_label):
    found, classes, positive = encode_labels(y, positive_label, unlabeled_label)
    assert found.tolist() == codes
    true = [label for label, code in zip(y, codes) if code == 1]
    assert classes[positive] == true[0]
    again = encode_known_labels(y, classes, positive, unlabeled_label)
    assert again.tolist() == codes


def test_a_single_verdict_is_no_two_classes():
    with pytest.raises(ValueError, match="no positive label 'yes'"):
        encode_labels(["no", "maybe"], "yes")
    with pytest.raises(ValueError, match="no negative"):
        encode_labels(["yes", "?"], "yes", "?")


@pytest.mark.parametrize("ratio", [0.01, 7.0, 150.0])
def test_weight_is_undone_as_odds(ratio):
    p = np.linspace(0.01, 0.99, 99)
    weighted = ratio * p / (ratio * p + 1 - p)
    np.testing.assert_allclose(without_weight(weighted, ratio), p, rtol=1e-12)
    assert (np.diff(without_weight(p, ratio)) > 0).all()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Lab Comments", "lab"),
        ("labComments", "lab"),
        ("verdict", "verdict"),
        ("n_files", "files"),
        ("collaboration", None),
        ("notes", None),
        ("label_free", "label"),
        (3, None),
    ],
)
def test_names_of_columns_that_come_late(name, word):
    assert late_word(name) == word


def test_usual_names_are_found_in_any_spelling():
    names = ["id", "Submission Date", " LATITUDE", 5, "Lng"]
    assert usual_column(names, "submitted") == "Submission Date"
    assert usual_column(names, "latitude") == " LATITUDE"
    assert usual_column(names, "longitude") == "Lng"
    assert usual_column(names, "detected") is None
