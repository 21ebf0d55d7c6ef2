"""Parts of a net as its parameters: by name, class or instance."""

_PARTS = ("module", "head", "loss", "batch_policy")
# Names of skorch, and what they are here.
_RENAMED = {"criterion": "loss", "iterator_train": "batch_policy"}


class PartParametersMixin:
    """Parameters of a net of skorch that has a head, a loss and a batch policy.

    The loss is what skorch calls the criterion, the policy what it calls
    ``iterator_train``: each is one parameter, under its name here.
    """

    @property
    def criterion(self):
        """The parameter `loss`, for skorch."""
        return self.loss

    @criterion.setter
    def criterion(self, value):
        self.loss = value

    @property
    def criterion_(self):
        """The attribute ``loss_``, for skorch."""
        return self.loss_

    @property
    def iterator_train(self):
        """The parameter `batch_policy`, for skorch."""
        return self.batch_policy

    @iterator_train.setter
    def iterator_train(self, value):
        self.batch_policy = value

    @property
    def head_(self):
        """The head."""
        return self.module_.head

    def __setattr__(self, name, value):
        # Parts that are given as instances are parameters still; skorch would take
        # them for components.
        if name in _PARTS:
            vars(self)[name] = value
        else:
            super().__setattr__(name, value)

    def set_params(self, **params):
        """Set parameters; parts of a net that is initialised are made anew.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        LogitClassifier
            The net.
        """
        refuse_names_of_skorch(params)
        # These skorch cannot set, or would make a new module for.
        apart = {
            name: params.pop(name)
            for name in list(params)
            if name in ("batch_policy", "dataset", "optimizer")
            or name.startswith(("batch_policy__", "iterator_train__"))
            or name.startswith("iterator_valid")
        }
        for name, value in apart.items():
            setattr(self, name, value)
        self._params_to_validate.update(name for name in apart if "__" in name)
        if self.initialized_:
            if any(name.startswith("batch_policy") for name in apart):
                self.batch_policy_ = self._make_batch_policy()
            if any(name.partition("__")[0] == "head" for name in params):
                params.setdefault("module", self.module)  # made anew, with its head
        super().set_params(**params)
        if self.initialized_ and "optimizer" in apart:
            self._initialize_optimizer()
        return self


def refuse_names_of_skorch(params):
    """Raise an error if parts are given by skorch's names for them.

    Parameters
    ----------
    params : iterable of str
        Names of parameters.

    Raises
    ------
    TypeError
        If they are.
    """
    for name in params:
        part, _, rest = name.partition("__")
        if part in _RENAMED and not (part == "iterator_train" and rest):
            new = _RENAMED[part]
            raise TypeError(
                f"{name} is called {'__'.join(filter(None, (new, rest)))} here: the "
                f"{new} is a name, a class or an instance."
            )
