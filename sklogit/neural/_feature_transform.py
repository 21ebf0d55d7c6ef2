"""What a net's module says about data, as features for other models."""

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ._parts import zeros_of


class FeatureTransformMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The features that the head of a net gets, as output of ``transform``."""

    def transform(self, X):
        """Compute the features: what the module returns, and the head gets.

        A linear model on them is a transfer of the net to other classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, ..., in_features)
            Features, of the dtype of the parameters.
        """
        self.check_is_fitted()
        return self._gather(X, lambda features: features)

    @property
    def _n_features_out(self):
        self.check_is_fitted()
        self.module_.eval()
        with torch.no_grad():
            return self.infer(zeros_of(self.input_shapes_)).shape[-1]
