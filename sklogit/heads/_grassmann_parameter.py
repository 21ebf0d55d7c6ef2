"""A parameter that knows that its values are bases of subspaces."""

from collections import OrderedDict

from torch import nn


class GrassmannParameter(nn.Parameter):
    r"""Parameter that holds orthonormal bases of subspaces.

    It is a :class:`torch.nn.Parameter` with the tag ``manifold = "grassmann"``, by
    which optimisers know it. The tag belongs to the class: it stays in copies and
    pickles, where attributes of a plain parameter are lost.

    Parameters
    ----------
    data : Tensor of shape (..., n, k)
        Bases, each with orthonormal columns.
    requires_grad : bool, default=True
        Whether gradients are computed.

    See Also
    --------
    GrassmannHead : The head that has one.
    sklogit.optim.GrassmannSGD : Moves it along geodesics.

    Examples
    --------
    >>> import copy, torch
    >>> from sklogit.heads import GrassmannParameter
    >>> basis = GrassmannParameter(torch.eye(5, 2))
    >>> copy.deepcopy(basis).manifold
    'grassmann'
    """

    manifold = "grassmann"

    def __reduce_ex__(self, protocol):
        # That of Parameter would make a plain one of it.
        hooks = OrderedDict()
        return _rebuilt, (type(self), self.data, self.requires_grad, hooks)

    def __repr__(self):
        return super().__repr__().replace("Parameter", "GrassmannParameter", 1)


def _rebuilt(cls, data, requires_grad, hooks):
    parameter = cls(data, requires_grad)
    parameter._backward_hooks = hooks
    return parameter
