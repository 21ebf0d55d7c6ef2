"""A net whose classes are subspaces of its features."""

import torch
from torch import nn

from ..optim import GrassmannAdamW
from ._logit_classifier import LogitClassifier


class RowsWithConstant(nn.Module):
    """Rows as features, and a constant behind them.

    Subspaces contain the origin: without the constant, features of opposite signs have
    the same logits.

    Parameters
    ----------
    constant : float, default=1.0
        The constant.
    """

    def __init__(self, constant=1.0):
        super().__init__()
        self.constant = constant

    def forward(self, X):
        """Append the constant.

        Parameters
        ----------
        X : Tensor of shape (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, n_features + 1)
            Rows, flattened, and the constant.
        """
        rows = X.flatten(1)
        return torch.cat([rows, rows.new_full((len(rows), 1), self.constant)], dim=1)


class GrassmannNetClassifier(LogitClassifier):
    r"""Classify by a net whose classes are subspaces of its features.

    .. math:: z_{ic} = \gamma \, \Big| S_c^\top \frac{h_i}{|h_i|} \Big| , \qquad
        h_i = \mathrm{module}_\theta(X_i)

    Each class has a subspace with the orthonormal basis :math:`S_c`, and the logit is
    the length of the features' projection [1]_. Softmax cross-entropy is minimised by
    minibatches: the subspaces move along geodesics, everything else by AdamW. It is
    :class:`LogitClassifier` with ``head="grassmann"``, with defaults that suit it.

    Parameters
    ----------
    module : class, callable, instance or None, default=RowsWithConstant
        Makes features of shape (n, in_features). The default takes the rows of X,
        flattened, with a constant appended; None takes them without.
    head : str, class or instance, default="grassmann"
        :class:`~sklogit.heads.GrassmannHead`.
    optimizer : class, default=GrassmannAdamW
        :class:`~sklogit.optim.GrassmannAdamW` or :class:`~sklogit.optim.GrassmannSGD`.
        Another one is combined with geodesic steps, see :class:`LogitClassifier`.
    lr : float, default=0.001
        Learning rate of the module; that of the subspaces is
        ``optimizer__grassmann_lr``, 0.05 by default.
    **kwargs
        All parameters of :class:`LogitClassifier`, and those of the parts:
        ``head__subspace_dim`` ("auto" by default: half of the features, 8 at most),
        ``head__gamma``, ``module__*``, ``optimizer__*`` and so on.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    module_ : torch.nn.Module
        The whole model, from inputs to logits; ``module_.module`` makes the features.
    head_ : GrassmannHead
        The head; ``head_.subspaces`` are the bases, ``head_.subspace_angles()`` says
        how far apart they are.
    history_ : skorch.history.History
        Losses and scores of every epoch.

    See Also
    --------
    sklogit.subspace.GrassmannClassifier : For arrays, without torch.
    LogitClassifier : Any head and loss.

    Notes
    -----
    ``transform`` gives the features h. Those of a class may vary within its subspace,
    so they hold more for other classes than those of a linear head: fit a linear model
    on them to transfer the net.

    Without normalisation in the module (batch or layer normalisation), large learning
    rates can bring training to a halt at chance level: lower them, or ``head__gamma``.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from sklogit.neural import GrassmannNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU())
    >>> net = GrassmannNetClassifier(module, max_epochs=5, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.9, net.transform(X).shape
    (True, (1797, 32))
    """

    def __init__(
        self,
        module=RowsWithConstant,
        *,
        head="grassmann",
        optimizer=GrassmannAdamW,
        lr=0.001,
        **kwargs,
    ):
        kwargs.setdefault("head__subspace_dim", "auto")
        super().__init__(module, head=head, optimizer=optimizer, lr=lr, **kwargs)
