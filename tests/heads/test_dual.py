"""Two heads on the same features."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch import nn

from sklogit.heads import DualHead, LinearHead

FEATURES = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 8))).float()


def test_training_gives_both_logits_and_evaluation_the_main_ones():
    head = DualHead(8, 3)
    z, a = head(FEATURES)
    torch.testing.assert_close(z, head.main(FEATURES))
    torch.testing.assert_close(a, head.aux(FEATURES))
    assert not torch.allclose(z, a)
    torch.testing.assert_close(head.eval()(FEATURES), z)


def test_evaluation_does_not_run_the_auxiliary_head():
    head = DualHead(8, 3, aux="mlp").eval()

    def refuse(*args):
        raise AssertionError("the auxiliary head ran")

    head.aux.register_forward_hook(refuse)
    assert head(FEATURES).shape == (6, 3)


@pytest.mark.parametrize("output", ["aux", "average"])
def test_output_says_what_evaluation_gives(output):
    head = DualHead(8, 3, output=output).eval()
    logits = head(FEATURES).detach().numpy()
    z, a = (part(FEATURES).detach().numpy() for part in (head.main, head.aux))
    if output == "aux":
        np.testing.assert_allclose(logits, a, rtol=1e-6)
    else:
        mean = (softmax(z, axis=1) + softmax(a, axis=1)) / 2
        np.testing.assert_allclose(logits, np.log(mean), rtol=1e-5)
        np.testing.assert_allclose(logsumexp(logits, axis=1), 0, atol=1e-6)


def test_mlp_has_the_layers_of_the_paper():
    head = DualHead(8, 3, aux="mlp", aux_hidden=20, aux_dropout=0.3)
    kinds = [nn.Linear, nn.Dropout, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert all(isinstance(a, b) for a, b in zip(head.aux, kinds, strict=True))
    assert head.aux[0].out_features == head.aux[2].num_features == 20
    assert head.aux[1].p == 0.3


def test_batch_normalisation_of_sequences_is_that_of_their_rows():
    head = DualHead(8, 3, aux="mlp", aux_dropout=0.0)
    _, flat = head(FEATURES)
    _, nested = head(FEATURES.reshape(2, 3, 8))
    torch.testing.assert_close(nested.reshape(6, 3), flat)


def test_batch_of_one_row_is_normalised_by_the_running_statistics():
    head = DualHead(8, 3, aux="mlp", aux_dropout=0.0)
    head(FEATURES)
    _, one = head(FEATURES[:1])
    torch.testing.assert_close(one, head.eval().aux(FEATURES[:1]))


@pytest.mark.parametrize("aux", ["linear", "mlp"])
def test_auxiliary_head_leaves_the_random_numbers_of_a_linear_head(aux):
    torch.manual_seed(0)
    head, after = DualHead(8, 3, aux=aux), torch.rand(3)
    torch.manual_seed(0)
    linear, after_linear = LinearHead(8, 3), torch.rand(3)
    torch.testing.assert_close(head.main.weight, linear.weight, rtol=0, atol=0)
    torch.testing.assert_close(after, after_linear, rtol=0, atol=0)


def test_pickle_round_trip():
    head = DualHead(8, 3, aux="mlp").eval()
    copy = pickle.loads(pickle.dumps(head))
    torch.testing.assert_close(copy(FEATURES), head(FEATURES))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"aux": "deep"}, r"aux must be one of \('linear', 'mlp'\), got 'deep'"),
        ({"aux_hidden": 0}, "aux_hidden must be an integer >= 1, got 0"),
        ({"aux_dropout": 1.0}, r"aux_dropout must be in \[0, 1\), got 1.0"),
        ({"output": "both"}, "output must be one of .* got 'both'"),
        ({"n_classes": 0}, "must be an integer >= 1, got 0"),
    ],
)
def test_wrong_parameters_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DualHead(**{"in_features": 8, "n_classes": 3} | wrong)
