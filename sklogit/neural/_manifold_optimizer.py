"""Geodesic steps for bases of subspaces, whatever optimiser a net was given."""

from torch.optim import SGD, Optimizer

from ..optim import GrassmannSGD, MixedOptimizer
from ..optim._mixed_optimizer import is_grassmann


class ManifoldOptimizerMixin:
    """Geodesic steps for the parameters of a net that hold bases of subspaces.

    Optimisers of torch would move them off their manifold.
    """

    def initialize_optimizer(self, *args, **kwargs):
        """Create the optimiser; for bases of subspaces one that keeps them so."""
        parameters = [p for _, p in self.get_all_learnable_params()]
        chosen = self.optimizer
        if not any(map(is_grassmann, parameters)) or knows_manifolds(chosen):
            return super().initialize_optimizer(*args, **kwargs)
        groups, options = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        if chosen is SGD:
            # One rule, and one rate, for all.
            self.optimizer_ = GrassmannSGD(*groups, **{"momentum": 0.0} | options)
        else:
            self.optimizer_ = MixedOptimizer(*groups, optimizer=chosen, **options)
        return self

    def set_params(self, **params):
        """Set parameters; of two learning rates only the one that is meant.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        LogitClassifier
            The net.
        """
        optimizer = vars(self).get("optimizer_")
        rates = _rates_of_bases(optimizer)
        super().set_params(**params)
        if rates is None or vars(self).get("optimizer_") is not optimizer:
            return self
        # skorch gives a new value to all groups, whatever it is called there.
        rate = params.get("optimizer__grassmann_lr")
        for group in optimizer.param_groups:
            group.pop("grassmann_lr", None)
        for group, before in rates:
            group["lr"] = before if rate is None else rate
        return self


def _rates_of_bases(optimizer):
    """Return groups of bases, and rates, if these are not those of the others."""
    if not isinstance(optimizer, MixedOptimizer) or isinstance(optimizer, GrassmannSGD):
        return None
    return [(g, g["lr"]) for g in optimizer.param_groups if g["manifold"] is not None]


def knows_manifolds(optimizer):
    """Whether an optimiser keeps bases of subspaces orthonormal.

    Parameters
    ----------
    optimizer : class or callable
        The optimiser.

    Returns
    -------
    bool
        Whether it does. What is no class of torch is trusted.
    """
    is_class = isinstance(optimizer, type) and issubclass(optimizer, Optimizer)
    return not is_class or issubclass(optimizer, MixedOptimizer)
