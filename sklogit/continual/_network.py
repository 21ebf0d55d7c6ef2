"""A small network with a head that grows: parameters, features and gradients."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np


@dataclass
class Network:
    """Hidden layers with rectifiers, and a row of weights for each class.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
        Weights of the hidden layers.
    intercepts : list of ndarray of shape (n_out,)
        Their intercepts.
    head_coef : ndarray of shape (n_classes, n_hidden)
        Weights of the logits.
    head_intercept : ndarray of shape (n_classes,) or None
        Their intercepts.
    velocities : list of ndarray
        Momentum of each of `parameters`; empty without.
    """

    coefs: list
    intercepts: list
    head_coef: np.ndarray
    head_intercept: np.ndarray | None
    velocities: list = field(default_factory=list)

    @classmethod
    def random(cls, n_features, hidden_layer_sizes, fit_intercept, dtype, rng):
        """Draw hidden layers; the head has no classes yet.

        Parameters
        ----------
        n_features : int
            Width of the input.
        hidden_layer_sizes : sequence of int
            Widths of the hidden layers.
        fit_intercept : bool
            Whether classes have intercepts.
        dtype : dtype
            That of all parameters.
        rng : RandomState
            Draws them.

        Returns
        -------
        Network
            The network.
        """
        sizes = [n_features, *hidden_layer_sizes]
        shapes = list(pairwise(sizes))
        coefs = [np.sqrt(2 / n) * rng.standard_normal((n, m)) for n, m in shapes]
        return cls(
            [coef.astype(dtype) for coef in coefs],
            [np.zeros(m, dtype) for _, m in shapes],
            np.zeros((0, sizes[-1]), dtype),
            np.zeros(0, dtype) if fit_intercept else None,
        )

    @property
    def parameters(self):
        """All arrays that are trained: weights first, then intercepts."""
        head = [] if self.head_intercept is None else [self.head_intercept]
        return [*self.coefs, self.head_coef, *self.intercepts, *head]

    def copy(self):
        """Copy the network.

        Returns
        -------
        Network
            One that shares no array with this.
        """
        bias = self.head_intercept
        return Network(
            [coef.copy() for coef in self.coefs],
            [intercept.copy() for intercept in self.intercepts],
            self.head_coef.copy(),
            None if bias is None else bias.copy(),
            [velocity.copy() for velocity in self.velocities],
        )

    def grow(self, places, rng):
        """Make room for new classes; logits of the others stay as they are.

        Parameters
        ----------
        places : ndarray of int, of shape (n_new,)
            Rows of the new head that are those of new classes, sorted.
        rng : RandomState
            Draws their weights, of mean 0 and variance 1 / n_hidden.
        """
        # np.insert counts positions before insertion.
        before = places - np.arange(len(places))
        width, dtype = self.head_coef.shape[1], self.head_coef.dtype
        rows = rng.standard_normal((len(places), width)) / np.sqrt(width)
        if self.velocities:
            of_head = [len(self.coefs)] + [-1] * (self.head_intercept is not None)
            for i in of_head:
                self.velocities[i] = np.insert(self.velocities[i], before, 0, axis=0)
        self.head_coef = np.insert(self.head_coef, before, rows.astype(dtype), axis=0)
        if self.head_intercept is not None:
            self.head_intercept = np.insert(self.head_intercept, before, 0)

    def activations(self, X):
        """Compute the outputs of all hidden layers.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows.

        Returns
        -------
        list of ndarray of shape (n, n_out)
            The rows themselves, and the output of each layer; the last are the
            features.
        """
        outputs = [X]
        for coef, intercept in zip(self.coefs, self.intercepts):
            hidden = outputs[-1] @ coef
            hidden += intercept
            outputs.append(np.maximum(hidden, 0, out=hidden))
        return outputs

    def hidden_gradients(self, outputs, dH):
        """Take the gradient of the features back to the hidden layers.

        Parameters
        ----------
        outputs : list of ndarray
            What `activations` returned.
        dH : ndarray of shape (n, n_hidden)
            Gradient with respect to the features.

        Returns
        -------
        coefs, intercepts : list of ndarray
            Gradients with respect to weights and intercepts.
        """
        coefs, intercepts = [], []
        for i in reversed(range(len(self.coefs))):
            dH = dH * (outputs[i + 1] > 0)
            coefs.insert(0, outputs[i].T @ dH)
            intercepts.insert(0, dH.sum(axis=0))
            if i:
                dH = dH @ self.coefs[i].T
        return coefs, intercepts

    def descend(self, gradients, learning_rate, momentum=0.0, alpha=0.0):
        """Take a step of gradient descent, as torch.optim.SGD does.

        Parameters
        ----------
        gradients : list of ndarray
            Gradient of each of `parameters`.
        learning_rate : float
            Length of the step.
        momentum : float, default=0.0
            Part of the last step's direction that is kept.
        alpha : float, default=0.0
            Strength of the penalty on weights, not on intercepts.
        """
        parameters = self.parameters
        n_weights = len(self.coefs) + 1
        if alpha:
            for gradient, coef in zip(gradients[:n_weights], parameters):
                gradient += alpha * coef
        if momentum:
            if not self.velocities:
                self.velocities = [np.zeros_like(values) for values in parameters]
            for velocity, gradient in zip(self.velocities, gradients):
                velocity *= momentum
                velocity += gradient
            gradients = self.velocities
        for values, gradient in zip(parameters, gradients):
            values -= learning_rate * gradient
