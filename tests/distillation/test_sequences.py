"""Students of token sequences: a label and teacher logits for each position."""

import numpy as np
import pytest
import torch
from torch import nn

from sklogit.neural import LogitClassifier, RowDataset

from .common import assert_same_weights, full_batch, student

N_TOKENS = 6
RNG = np.random.default_rng(0)
# The next token is mostly the token plus one.
STEPS = (RNG.random((30, 9)) < 0.2).astype(np.int64) + 1
TOKENS = np.cumsum(STEPS, axis=1) % N_TOKENS
X, Y = TOKENS[:, :-1], TOKENS[:, 1:]
LOGITS = np.log(0.02 + 0.8 * np.eye(N_TOKENS)[(X + 1) % N_TOKENS])


class Reader(nn.Module):
    """Features of every position, from the tokens up to it."""

    def __init__(self, size=8):
        super().__init__()
        self.embedding = nn.Embedding(N_TOKENS, size)
        self.gru = nn.GRU(size, size, batch_first=True)

    def forward(self, tokens):
        return self.gru(self.embedding(tokens))[0]


def reader(**params):
    defaults = {"backbone": Reader, "optimizer": "adam", "lr": 0.05, "max_epochs": 25}
    return student(**defaults | {"lr_milestones": ()} | params)


@pytest.mark.parametrize("aux_head", ["linear", "mlp", None])
def test_a_student_learns_next_tokens(aux_head):
    model = reader(aux_head=aux_head).fit(X, Y, teacher_logits=LOGITS)
    assert model.predict(X).shape == Y.shape
    assert model.predict_proba(X).shape == (30, 8, N_TOKENS)
    assert model.decision_function(X).shape == (30, 8, N_TOKENS)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=2), 1, rtol=1e-5)
    assert (model.predict(X) == Y).mean() > 0.5  # one in six by chance
    assert (np.diff(model.history_["logit_loss"][::8]) < 0).all()


def test_a_net_of_the_library_teaches():
    teacher = LogitClassifier(
        Reader, classes=np.arange(N_TOKENS), max_epochs=3, random_state=0
    ).fit(RowDataset(X, Y), None)
    model = reader(teacher=teacher, max_epochs=2).fit(X, Y)
    given = reader(max_epochs=2).fit(X, Y, teacher_logits=teacher.decision_function(X))
    assert_same_weights(model.module_, given.module_, rtol=1e-4, atol=1e-6)


def test_a_module_teaches():
    teacher = nn.Sequential(Reader(), nn.Linear(8, N_TOKENS))
    model = reader(teacher=teacher, max_epochs=2).fit(X, Y)
    with torch.no_grad():
        logits = teacher(torch.from_numpy(X))
    given = reader(max_epochs=2).fit(X, Y, teacher_logits=logits)
    assert_same_weights(model.module_, given.module_, rtol=1e-4, atol=1e-6)


def test_ignored_positions_count_in_neither_loss():
    # Padding at the end, which a GRU does not see before it.
    y, logits = Y.copy(), LOGITS.copy()
    y[:, 6:] = -100
    logits[:, 6:] += 50 * RNG.standard_normal((30, 2, N_TOKENS))
    padded = full_batch(backbone=Reader).fit(X, y, teacher_logits=logits)
    short = full_batch(backbone=Reader).fit(
        X[:, :6], Y[:, :6], teacher_logits=LOGITS[:, :6]
    )
    assert padded.classes_.tolist() == list(range(N_TOKENS))
    assert_same_weights(padded.net_.module_, short.net_.module_, rtol=1e-8, atol=1e-10)


def test_weights_of_sequences_repeat_them():
    weight = RNG.integers(0, 3, 30)
    rows = np.repeat(np.arange(30), weight)
    weighted = full_batch(backbone=Reader).fit(X, Y, weight, teacher_logits=LOGITS)
    repeated = full_batch(backbone=Reader).fit(
        X[rows], Y[rows], teacher_logits=LOGITS[rows]
    )
    assert_same_weights(
        weighted.net_.module_, repeated.net_.module_, rtol=1e-8, atol=1e-10
    )


def test_partial_fit_takes_sequences():
    model = reader()
    for rows in (slice(0, 20), slice(20, 30)):
        model.partial_fit(
            X[rows], Y[rows], np.arange(N_TOKENS), teacher_logits=LOGITS[rows]
        )
    assert model.n_iter_ == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": Y[:, :3]}, "X must have as many positions as y, 3"),
        ({"y": Y.astype(float)}, "integers of shape .* for sequences, got float64"),
        ({"teacher_logits": LOGITS[:, 0]}, r"n_positions, 6\).*got \(30, 6\)"),
        ({"teacher_logits": LOGITS[:, :3]}, r"\(30, 8, 'n_classes'\), got \(30, 3, 6"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        reader().fit(**{"X": X, "y": Y, "teacher_logits": LOGITS} | change)


def test_a_backbone_that_drops_positions_is_refused():
    class Mean(Reader):
        def forward(self, tokens):
            return super().forward(tokens).mean(dim=1)

    with pytest.raises(ValueError, match=r"backbone must return features of shape"):
        reader(backbone=Mean).fit(X, Y, teacher_logits=LOGITS)


def test_the_default_backbone_takes_no_sequences():
    with pytest.raises(ValueError, match="backbone must be given"):
        student().fit(X, Y, teacher_logits=LOGITS)


def test_the_default_teacher_takes_no_sequences():
    with pytest.raises(ValueError, match="teacher must be given"):
        reader().fit(X, Y)


def test_score_is_over_the_positions_that_count():
    model = reader(max_epochs=2).fit(X, Y, teacher_logits=LOGITS)
    y = np.where(RNG.random(Y.shape) < 0.3, -100, Y)
    right = (model.predict(X) == Y)[y != -100].mean()
    assert model.score(X, y) == pytest.approx(right)


def test_score_says_what_is_wrong():
    model = reader(max_epochs=1).fit(X, Y, teacher_logits=LOGITS)
    with pytest.raises(ValueError, match=r"y must have shape \(30, 8\).*\(30, 3\)"):
        model.score(X, Y[:, :3])
    with pytest.raises(ValueError, match="y must have a label other than -100"):
        model.score(X, np.full_like(Y, -100))


def test_labels_that_are_all_ignored_are_refused():
    with pytest.raises(ValueError, match="y has no label other than -100"):
        reader().fit(X, np.full_like(Y, -100), teacher_logits=LOGITS)
