"""Nets that meet new classes while they learn."""

import numpy as np
import torch
from skorch.utils import is_dataset, to_numpy

from ..continual._labels import check_labels, checked_classes
from ._net import seeded
from ._stratified import labels_at_hand


class GrowingClassesMixin:
    """A net whose head gets a row for each label that it has not seen before.

    The head needs the method ``insert_classes``, or labels stay those of the first
    call; and so they do where the net was told which classes there are. A policy that
    remembers class indices needs ``renumber_classes``.
    """

    # Whether partial_fit was told all classes.
    classes_are_given_ = False

    def initialize(self):
        """Make all parts.

        Returns
        -------
        LogitClassifier
            The net.
        """
        super().initialize()
        # Of rows to come: a stream that goes on from a pickle is to draw the same.
        self.growth_seed_ = _new_seed()
        return self

    def _check_training_data(self, X, y, sample_weight, *, fresh, classes=None):
        fresh = fresh or not hasattr(self, "classes_inferred_")
        grows = not fresh and self._can_grow()
        given = None if classes is None else checked_classes(classes)
        if grows:
            self._meet(_labels_of(X, y) if given is None else self._all(given))
        data = super()._check_training_data(
            X, y, sample_weight, fresh=fresh, classes=classes
        )
        if fresh or (grows and classes is not None):
            self.classes_are_given_ = classes is not None
        return data

    def _check_classes(self, y):
        # A stream may begin with a single class; what is fitted at once may not.
        if self.in_fit_ or self._labels.shape != (1,):
            super()._check_classes(y)

    def _can_grow(self):
        told = self.classes is not None or self.classes_are_given_
        return not told and hasattr(self.head_, "insert_classes")

    def _all(self, classes):
        missing = np.setdiff1d(self._labels, classes)
        if len(missing):
            raise ValueError(f"classes must include {self._labels}, got {classes}.")
        return classes

    def _meet(self, labels):
        """Give new labels among these a row of the head."""
        known = self._labels
        if labels is None or _is_number(labels) != _is_number(known):
            return  # an error is to come
        new = np.setdiff1d(labels, known)
        if not len(new) or (new.dtype.kind == "f" and not np.isfinite(new).all()):
            return
        check_labels(labels)  # numbers that are none would make a row each
        grown = np.union1d(known, new)
        self._insert(np.flatnonzero(np.isin(grown, new)))
        self.classes_inferred_ = grown

    def _insert(self, places):
        head, policy, states = self.head_, self.batch_policy_, self.optimizer_.state
        old = np.delete(np.arange(len(self._labels) + len(places)), places)
        shapes = {parameter: parameter.shape for parameter in head.parameters()}
        can_grow = all(map(_has_its_shape, states.values(), states))
        with seeded(self.growth_seed_):
            head.insert_classes(places)
            self.growth_seed_ = _new_seed()
        if can_grow:
            for parameter, shape in shapes.items():
                _grow_state(states.get(parameter, {}), shape, parameter, old)
        else:
            self.initialize_optimizer()
        if hasattr(policy, "renumber_classes"):
            policy.renumber_classes(old)
        if self.class_counts_ is not None:
            counts = np.zeros(len(old) + len(places), self.class_counts_.dtype)
            counts[old] = self.class_counts_
            self.class_counts_ = counts


def _new_seed():
    return int(torch.randint(2**31 - 1, ()))


def _labels_of(X, y):
    if not is_dataset(X):
        return None if y is None else _as_array(y)
    indices = labels_at_hand(X)
    if indices is None or indices.dtype.kind not in "iu" or not indices.size:
        return None
    return np.arange(indices.max() + 1)


def _as_array(y):
    return to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)


def _is_number(labels):
    return labels.dtype.kind in "iufb"


def _has_its_shape(state, parameter):
    """Whether all that an optimiser remembers of a parameter has its shape.

    Sums over rows and columns have not, nor vectors of all parameters.
    """
    arrays = [v for v in state.values() if not isinstance(v, int | float | None)]
    return all(
        isinstance(value, torch.Tensor) and value.shape in (parameter.shape, ())
        for value in arrays
    )


def _grow_state(state, shape, parameter, old):
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and value.shape == shape:
            grown = value.new_zeros(parameter.shape)
            grown[old] = value
            state[name] = grown
