"""Momentum SGD along geodesics of the Grassmann manifold."""

import torch

from ._mixed_optimizer import MixedOptimizer


class GrassmannSGD(MixedOptimizer):
    r"""Momentum SGD for subspaces, along geodesics.

    A subspace is given by a basis S of shape (n, k) with orthonormal columns. With the
    Euclidean gradient D of the loss, a step is

    .. math:: M \leftarrow \mu M + (1 - \delta) (D - S S^\top D), \qquad
        S \leftarrow \exp_S(-\mathrm{lr}\, M) ,

    where exp is the exponential map of the Grassmann manifold, and the momentum M is
    parallel-transported along that geodesic, so that it is tangent where S goes. The
    first step has :math:`M = D - S S^\top D`, as in :class:`torch.optim.SGD`. Both need
    a function of the k x k matrix :math:`M^\top M` only [2]_.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters or groups. Those of shape (..., n, k) that are
        tagged (:class:`~sklogit.heads.GrassmannParameter`, or a group with
        ``"manifold": "grassmann"``) move along geodesics, all others by
        :class:`torch.optim.SGD` with the same settings: the whole of a model can be
        given.
    lr : float, default=0.05
        Learning rate.
    momentum : float, default=0.9
        The factor :math:`\mu`.
    dampening : float, default=0.0
        The :math:`\delta`; not for the first step.
    reorthogonalize : {"polar", "qr"} or None, default="polar"
        How rounding errors are removed from S. "polar" is a Newton-Schulz step
        :math:`S(\frac32 I - \frac12 S^\top S)`, in whose place a QR decomposition
        comes if errors exceed 0.001; "qr" is always that one, with signs kept.
    reorth_every : int, default=1
        Once in so many steps. Between them errors grow, fastest where gradients are
        long within the subspaces; each 8th step saves about an eighth of the time.
    weight_decay : float, default=0.0
        Must be 0: subspaces have no size. A group without tagged parameters may have
        its own.
    nesterov : bool, default=False
        Must be False; a group without tagged parameters may have its own.
    maximize : bool, default=False
        Whether to maximise.
    foreach : bool or None, default=None
        For the other parameters, as in :class:`torch.optim.SGD`.

    Raises
    ------
    ValueError
        If no parameter is tagged, bases are not orthonormal, or a setting is not
        allowed.
    TypeError
        If bases are neither float32 nor float64.

    See Also
    --------
    GrassmannAdamW : AdamW for the other parameters.
    sklogit.heads.GrassmannHead : Has subspaces as its parameters.

    Notes
    -----
    The official code of [1]_ keeps a momentum of Euclidean gradients and projects it
    at each step; QR decompositions turn columns of S, but not of that momentum.
    Momentum that is transported, and the polar step, are ours.

    Step and momentum of each parameter are its state; nothing is shared between
    optimisers. A learning rate that turns subspaces by more than 10 000 radians, or
    gradients that are not finite, raise ValueError before any parameter is moved; the
    momentum of subspaces is forgotten then.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.
    .. [2] "The Geometry of Algorithms with Orthogonality Constraints",
       arXiv:physics/9806030.

    Examples
    --------
    The plane in which a symmetric matrix is largest:

    >>> import torch
    >>> from sklogit.heads import GrassmannParameter
    >>> from sklogit.optim import GrassmannSGD
    >>> A = torch.diag(torch.tensor([1.0, 5.0, 4.0, 2.0]))
    >>> start = torch.ones(4, 2) + torch.eye(4, 2)
    >>> S = GrassmannParameter(torch.linalg.qr(start)[0])
    >>> optimizer = GrassmannSGD([S], lr=0.05, maximize=True)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     (S.mT @ A @ S).trace().backward()
    ...     optimizer.step()
    >>> round((S.mT @ A @ S).trace().item(), 3)
    9.0
    """

    def __init__(
        self,
        params,
        lr=0.05,
        momentum=0.9,
        dampening=0.0,
        reorthogonalize="polar",
        reorth_every=1,
        *,
        weight_decay=0.0,
        nesterov=False,
        maximize=False,
        foreach=None,
    ):
        self._check_refused({"weight_decay": weight_decay, "nesterov": nesterov})
        super().__init__(
            params,
            lr,
            torch.optim.SGD,
            grassmann_lr=lr,
            grassmann_momentum=momentum,
            grassmann_dampening=dampening,
            reorthogonalize=reorthogonalize,
            reorth_every=reorth_every,
            maximize=maximize,
            momentum=momentum,
            dampening=dampening,
            foreach=foreach,
        )
        # Schedulers that cycle the momentum, too, look for it here.
        self.defaults |= {"lr": lr, "momentum": momentum}

    def add_param_group(self, param_group):
        """Add parameters; the tagged ones get a group of their own.

        Parameters
        ----------
        param_group : dict
            With "params", and settings for them; ``lr`` is for both kinds.
        """
        if "lr" in param_group:
            param_group = {"grassmann_lr": param_group["lr"], **param_group}
        super().add_param_group(param_group)

    def _check_refused(self, settings):
        if settings.get("weight_decay", 0.0) != 0:
            raise ValueError(
                "weight_decay must be 0 for bases of subspaces, which have no size, "
                f"got {settings['weight_decay']!r}: give other parameters a group of "
                "their own that has it."
            )
        if settings.get("nesterov", False):
            raise ValueError("nesterov must be False for bases of subspaces.")
