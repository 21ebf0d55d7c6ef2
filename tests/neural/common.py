"""What the tests of LogitClassifier share."""

from torch import nn
from torch.nn import functional as F

from sklogit.neural import LogitClassifier


class Hidden(nn.Module):
    def __init__(self, n_inputs=64, n_hidden=16):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.ReLU())

    def forward(self, X):
        return self.layers(X)


class Ridge(nn.Module):
    """A loss that sees the weights of the head."""

    needs_head = True

    def forward(self, features, target, head):
        penalty = 0.01 * (head.weight**2).sum()
        return F.cross_entropy(head(features), target) + penalty


class LinearOnly(Ridge):
    """A loss that says what it needs."""

    def check_head(self, head):
        if not isinstance(head, nn.Linear):
            raise ValueError(f"head must be linear, got {type(head).__name__}.")


class CodeHead(nn.Module):
    """Its nll is exact, its logits are of no use."""

    def __init__(self, in_features, num_classes, class_counts):
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes)
        self.class_counts = class_counts
        self.n_calls = 0

    def nll(self, features, target):
        self.n_calls += 1
        return F.cross_entropy(self.layer(features), target, reduction="none")

    def forward(self, features):
        assert not self.training, "logits were made in training"
        return self.layer(features)


def full_batch(**kwargs):
    """Nothing random but the start: for comparisons."""
    defaults = {"batch_size": -1, "lr": 0.1, "max_epochs": 30, "dtype": "float64"}
    return LogitClassifier(**{"random_state": 0} | defaults | kwargs)
