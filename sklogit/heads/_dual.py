"""Two heads on the same features: one predicts, the other one helps to train."""

import math
from numbers import Integral, Real

import torch
from torch import nn

from ._linear import LinearHead

AUX_HEADS = ("linear", "mlp")
OUTPUTS = ("main", "aux", "average")


class DualHead(nn.Module):
    r"""A main head, and an auxiliary head that helps to train the features.

    .. math:: z = W h + b, \qquad a = g(h)

    In training mode it returns both, so that one loss can be put on z and another one
    on a; in evaluation mode it is the main head alone, at its cost.

    Parameters
    ----------
    in_features : int
        Number of features, the size of h.
    n_classes : int
        Number of classes.
    aux : {"linear", "mlp"}, default="linear"
        The auxiliary head g: a linear one, or linear, dropout, batch normalisation,
        ReLU, linear. The latter is for students that are built quite differently from
        their teacher.
    aux_hidden : int, default=200
        Hidden units of "mlp".
    aux_dropout : float, default=0.1
        Its dropout.
    output : {"main", "aux", "average"}, default="main"
        What evaluation mode returns: z, a, or the logarithm of the mean of the
        softmaxes of both.

    Attributes
    ----------
    main : LinearHead
        The main head.
    aux : torch.nn.Module
        The auxiliary head.

    See Also
    --------
    sklogit.distillation.DualHeadDistillationClassifier : Trains it with a teacher.
    LinearHead : A single head.

    Notes
    -----
    The auxiliary weights are drawn without moving torch's random numbers on: with the
    same seed all else in a training run is as with a linear head.

    Rows of features of any number of dimensions share the batch normalisation. A batch
    of one row, which has no variance, is normalised by the running statistics.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import DualHead
    >>> head = DualHead(16, 10, aux="mlp")
    >>> features = torch.randn(5, 16)
    >>> z, a = head(features)
    >>> z.shape, a.shape
    (torch.Size([5, 10]), torch.Size([5, 10]))
    >>> head.eval()(features).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        in_features,
        n_classes,
        aux="linear",
        aux_hidden=200,
        aux_dropout=0.1,
        *,
        output="main",
    ):
        super().__init__()
        _check_parameters(aux, aux_hidden, aux_dropout, output)
        self.in_features = in_features
        self.n_classes = n_classes
        self.output = output
        self.main = LinearHead(in_features, n_classes)
        # Plain training with the same seed must draw the same batches.
        with torch.random.fork_rng(devices=[]):
            self.aux = (
                LinearHead(in_features, n_classes)
                if aux == "linear"
                else nn.Sequential(
                    nn.Linear(in_features, aux_hidden),
                    nn.Dropout(aux_dropout),
                    _RowBatchNorm(aux_hidden),
                    nn.ReLU(),
                    nn.Linear(aux_hidden, n_classes),
                )
            )

    @property
    def num_classes(self):
        """Number of classes."""
        return self.n_classes

    def forward(self, features):
        """Compute logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., n_classes), or a pair of them
            In training mode z and a; in evaluation mode what `output` says.
        """
        if self.training:
            return self.main(features), self.aux(features)
        if self.output == "main":
            return self.main(features)
        if self.output == "aux":
            return self.aux(features)
        pair = torch.stack([self.main(features), self.aux(features)])
        return pair.log_softmax(dim=-1).logsumexp(dim=0) - math.log(2)

    def extra_repr(self):
        """Show the output.

        Returns
        -------
        str
            The parameter.
        """
        return f"output={self.output!r}"


class _RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of features whose dimensions but the last are rows."""

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        if self.training and len(rows) == 1:
            scale = self.weight / (self.running_var + self.eps).sqrt()
            return (x - self.running_mean) * scale + self.bias
        return super().forward(rows).reshape(x.shape)


def _check_parameters(aux, aux_hidden, aux_dropout, output):
    for name, value, allowed in (("aux", aux, AUX_HEADS), ("output", output, OUTPUTS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
    if not isinstance(aux_hidden, Integral) or aux_hidden < 1:
        raise ValueError(f"aux_hidden must be an integer >= 1, got {aux_hidden!r}.")
    if not isinstance(aux_dropout, Real) or not 0 <= aux_dropout < 1:
        raise ValueError(f"aux_dropout must be in [0, 1), got {aux_dropout!r}.")
