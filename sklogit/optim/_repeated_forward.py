"""Forward passes that are the same function of the parameters within one step."""

from contextlib import contextmanager
from threading import get_ident

import torch
from torch.nn.modules.module import register_module_forward_pre_hook


class RepeatedForward:
    """Call a forward pass again with the random numbers and buffers of the first call.

    Dropout then keeps its mask. Numbers drawn by others between the calls, an oracle
    for one, are not drawn again. `finish` leaves the buffers (running statistics) where
    one call leaves them.

    Parameters
    ----------
    forward : callable
        Returns the targets.
    deterministic : bool
        Whether to do this at all.
    devices : iterable of torch.device
        Where random numbers may be drawn, besides the CPU.
    """

    def __init__(self, forward, deterministic, devices=()):
        self.forward, self.deterministic = forward, deterministic
        self.devices = [d for d in devices if d.type == "cuda"]
        self.n_calls = 0
        self.random = None
        self.buffers = []

    def __call__(self):
        """Evaluate with gradients."""
        self.n_calls += 1
        with torch.enable_grad():
            if not self.deterministic:
                return self.forward()
            return self._first() if self.n_calls == 1 else self._again()

    def finish(self):
        """Put the buffers where one call leaves them."""
        if self.n_calls > 1:
            _set_buffers((buffer, after) for buffer, _, after in self.buffers)

    def _first(self):
        before = self._random_state()
        with _buffers_met() as met:
            result = self.forward()
        if not all(map(torch.equal, before, self._random_state())):
            self.random = before
        # By value: batch norm changes its buffers without counting it as a change.
        self.buffers = [
            (buffer, old, buffer.detach().clone())
            for buffer, old in met.values()
            if not torch.equal(buffer, old)
        ]
        return result

    def _again(self):
        # Safe: the graph of the last call, which may hold the buffers, is used up.
        _set_buffers((buffer, before) for buffer, before, _ in self.buffers)
        if self.random is None:
            return self.forward()
        here = self._random_state()
        self._set_random_state(self.random)
        try:
            return self.forward()
        finally:
            self._set_random_state(here)

    def _random_state(self):
        return [
            torch.get_rng_state(),
            *(torch.cuda.get_rng_state(device) for device in self.devices),
        ]

    def _set_random_state(self, states):
        torch.set_rng_state(states[0])
        for device, state in zip(self.devices, states[1:]):
            torch.cuda.set_rng_state(state, device)


@contextmanager
def _buffers_met():
    """Collect the buffers of modules in training that this thread calls, as they are.

    The optimiser sees parameters and a function, not the modules; a hook on all modules
    finds those that the function calls.
    """
    met, thread = {}, get_ident()

    def remember(module, args):
        if module.training and get_ident() == thread:
            for buffer in module.buffers(recurse=False):
                if id(buffer) not in met:
                    met[id(buffer)] = (buffer, buffer.detach().clone())

    hook = register_module_forward_pre_hook(remember)
    try:
        yield met
    finally:
        hook.remove()


@torch.no_grad()
def _set_buffers(pairs):
    for buffer, value in pairs:
        buffer.copy_(value)
