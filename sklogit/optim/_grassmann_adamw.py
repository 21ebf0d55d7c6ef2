"""AdamW for a model whose head holds subspaces."""

import torch

from ._mixed_optimizer import MixedOptimizer


class GrassmannAdamW(MixedOptimizer):
    r"""AdamW, and geodesic steps of momentum SGD for subspaces.

    Tagged parameters (:class:`~sklogit.heads.GrassmannParameter`) take the steps of
    :class:`GrassmannSGD` with `grassmann_lr`, all others those of
    :class:`torch.optim.AdamW` with `lr`. It is one optimiser, as skorch and training
    loops have it; learning-rate schedulers scale both rates.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters or groups of them. A group may have its own
        ``lr`` and ``grassmann_lr``.
    lr : float, default=0.001
        Learning rate of AdamW.
    grassmann_lr : float, default=0.05
        Learning rate of the subspaces.
    momentum : float, default=0.9
        Momentum of the subspaces.
    dampening : float, default=0.0
        Dampening of that momentum.
    betas : tuple of two floats, default=(0.9, 0.999)
        Of AdamW.
    eps : float, default=1e-8
        Of AdamW.
    weight_decay : float, default=0.01
        Of AdamW; subspaces have none.
    amsgrad : bool, default=False
        Of AdamW.
    reorthogonalize : {"polar", "qr"} or None, default="polar"
        How rounding errors of the bases are removed, see :class:`GrassmannSGD`.
    reorth_every : int, default=1
        Once in so many steps.
    maximize : bool, default=False
        Whether to maximise.
    foreach : bool or None, default=None
        Of AdamW.
    fused : bool or None, default=None
        Of AdamW.

    Raises
    ------
    ValueError
        If no parameter is tagged, bases are not orthonormal, or a setting is not
        allowed.
    TypeError
        If bases are neither float32 nor float64.

    See Also
    --------
    MixedOptimizer : Any other optimiser in place of AdamW.

    Notes
    -----
    A gradient of a subspace is of the size of `gamma` of the head: with gamma = 25,
    rates from 0.03 to 0.1 suit backbones whose features are normalised.

    Schedulers that cycle the momentum, such as ``OneCycleLR``, need
    ``cycle_momentum=False``: AdamW and the subspaces call theirs by different names.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import GrassmannHead
    >>> from sklogit.optim import GrassmannAdamW
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), GrassmannHead(6, 3, 2))
    >>> optimizer = GrassmannAdamW(model.parameters(), lr=0.001, grassmann_lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    >>> model(torch.randn(4, 8)).logsumexp(dim=1).sum().backward()
    >>> optimizer.step(), scheduler.step()
    (None, None)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.0005, 0.05]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        *,
        grassmann_lr=0.05,
        momentum=0.9,
        dampening=0.0,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.01,
        amsgrad=False,
        reorthogonalize="polar",
        reorth_every=1,
        maximize=False,
        foreach=None,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            torch.optim.AdamW,
            grassmann_lr=grassmann_lr,
            grassmann_momentum=momentum,
            grassmann_dampening=dampening,
            reorthogonalize=reorthogonalize,
            reorth_every=reorth_every,
            maximize=maximize,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            foreach=foreach,
            fused=fused,
        )
