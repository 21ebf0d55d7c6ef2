"""What training changes in place, as it was before: to put back after a failure."""

from copy import deepcopy

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

# Of a module; its other attributes are put back as they were.
_OF_MODULES = ("_parameters", "_buffers", "_modules")


class Snapshot:
    """Copies of the modules, the optimisers and the batch policy of a net.

    Modules and optimisers get their values back and stay the same objects: a module
    that a user gave as an instance remains that of the net. (A copy of an optimiser
    lacks what its class does not pickle; L-BFGS of torch does not work without.)

    Parameters
    ----------
    net : NeuralNet
        The net.
    fresh : bool
        Whether training will make new parts. Then nothing is copied, unless a module
        was given as an instance.
    """

    def __init__(self, net, *, fresh):
        parts = vars(net)
        modules = {k: v for k, v in parts.items() if isinstance(v, nn.Module)}
        self.modules, self.optimizers, self.policy = [], [], {}
        if fresh and all(name.endswith("_") for name in modules):
            return
        all_modules = {id(m): m for part in modules.values() for m in part.modules()}
        memo = {}
        deepcopy(modules, memo)
        self.modules = [(m, memo[i]) for i, m in all_modules.items()]
        self.optimizers = [
            (value, deepcopy(value.state_dict()))
            for value in parts.values()
            if isinstance(value, Optimizer)
        ]
        if "batch_policy_" in parts:
            # What it remembers may be the net or a module: these are no copies.
            memo = {id(value): value for value in (net, *all_modules.values())}
            self.policy["batch_policy_"] = deepcopy(parts["batch_policy_"], memo)

    def put_back(self, net):
        """Let everything be as it was.

        Parameters
        ----------
        net : NeuralNet
            The net, with the attributes that it had.
        """
        for module, copy in self.modules:
            _put_back(module, copy)
        for optimizer, state in self.optimizers:
            optimizer.load_state_dict(state)
        vars(net).update(self.policy)


def _put_back(module, copy):
    """Give a module the values and attributes of its copy; its parts stay its own."""
    attributes = vars(copy).items()
    vars(module).update({k: v for k, v in attributes if k not in _OF_MODULES})
    module._buffers.update(copy._buffers)
    for name, value in copy._parameters.items():
        own = module._parameters[name]
        if value is None or is_lazy(value):  # by now it may have become a real one
            module._parameters[name] = value
        else:
            own.data, own.grad = value.data, value.grad
            own.requires_grad_(value.requires_grad)
    module.__class__ = type(copy)
