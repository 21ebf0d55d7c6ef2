"""Forward passes that are the same function of the parameters within one step."""

import torch
from torch.nn.modules.module import register_module_forward_pre_hook


class RepeatedForward:
    """Call a forward pass again with the random numbers of the first call.

    Dropout then keeps its mask, and buffers that a pass changes (running statistics)
    are put back at the end, so that one outer step moves them once.

    Parameters
    ----------
    forward : callable
        Returns the targets.
    deterministic : bool
        Whether to do this at all.
    """

    def __init__(self, forward, deterministic):
        self.forward, self.deterministic = forward, deterministic
        self.n_calls = 0
        self.buffers = {}

    def __call__(self):
        """Evaluate with gradients."""
        self.n_calls += 1
        with torch.enable_grad():
            if not self.deterministic:
                return self.forward()
            if self.n_calls == 1:
                self.before = _random_state()
                result = self.forward()
                self.after = _random_state()
                return result
            _set_random_state(self.before)
            hook = register_module_forward_pre_hook(self._remember_buffers)
            try:
                return self.forward()
            finally:
                hook.remove()

    def restore(self):
        """Put random numbers and buffers where one call leaves them."""
        if not (self.deterministic and self.n_calls > 1):
            return
        _set_random_state(self.after)
        with torch.no_grad():
            for buffer, value in self.buffers.values():
                buffer.copy_(value)

    def _remember_buffers(self, module, args):
        if module.training:
            for buffer in module.buffers(recurse=False):
                if id(buffer) not in self.buffers:
                    self.buffers[id(buffer)] = (buffer, buffer.detach().clone())


def _random_state():
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    return torch.get_rng_state(), cuda


def _set_random_state(state):
    cpu, cuda = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state_all(cuda)
