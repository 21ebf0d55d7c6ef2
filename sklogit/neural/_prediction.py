"""What a net with a head says about data, without holding all logits."""

from functools import partial
from itertools import chain

import numpy as np
import torch
from skorch.dataset import get_len
from skorch.utils import is_dataset, to_device, to_numpy

from ..heads._checks import check_k
from ._composition import as_rows, nll_of_rows
from ._net import split_weight

# Logits that are held at once, 16 MiB in float32, or those of one row.
_LOGITS_AT_ONCE = 2**22


class LogitPredictionMixin:
    """Predictions of a net that has a head: labels, probabilities, log-loss.

    Batches of features are turned into logits a few rows at a time.
    """

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The label with the greatest logit; of equal ones the first. Within the
            training loop class indices.
        """
        indices = self._gather(X, self._best)
        return self.classes_[indices]

    def predict_topk(self, X, k=5):
        """Predict the k most probable labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.
        k : int, default=5
            Number of labels, at most that of the classes.

        Returns
        -------
        ndarray of shape (n_samples, k)
            Labels, the most probable first.

        Raises
        ------
        ValueError
            If there are not k classes.
        """
        self.check_is_fitted()
        check_k(k, len(self.classes_))
        indices = self._gather(X, lambda features: self._topk(features, k))
        return self.classes_[indices]

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Logits; of two classes their difference, positive for the second one. For
            many classes it is large: 4 bytes times their number a row.
        """
        return self._gather(X, self._decisions)

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Softmax of the logits, or what ``predict_nonlinearity`` makes of them, in
            the order of ``classes_``. For many classes it is large: 4 bytes times
            their number a row.
        """
        self.check_is_fitted()
        nonlinearity = partial(torch.softmax, dim=-1)
        if self.predict_nonlinearity != "auto":
            nonlinearity = self._get_predict_nonlinearity()
        return self._gather(X, lambda features: nonlinearity(self._logits(features)))

    def predict_log_proba(self, X):
        """Compute the logarithm of each class's probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, not those of rounded probabilities: they are finite.
        """
        self.check_is_fitted()
        return self._gather(X, lambda features: self._logits(features).log_softmax(1))

    def log_loss(self, X, y=None, sample_weight=None):
        """Compute the mean of -log p of the labels, without keeping probabilities.

        Its exponential is the perplexity.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.
        y : array-like of shape (n_samples,), default=None
            Labels; None if X is a Dataset that holds class indices.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        float
            The (weighted) mean; targets of -100 do not count.
        """
        self.check_is_fitted()
        dataset = self._labelled_dataset(X, y, sample_weight)
        total = weight_of_all = 0.0
        for batch in self.get_iterator(dataset, training=False):
            weight = split_weight(batch[0])[1]
            features = self.evaluation_step(batch)
            features, target, weight = as_rows(features, batch[1], weight)
            kept = target != -100
            weight = (kept.double() if weight is None else weight * kept).cpu()
            target = to_device(torch.where(kept, target, 0), self.device)
            nll = self._in_blocks(
                lambda rows, target: nll_of_rows(self.head_, rows, target),
                features,
                target,
            )
            nll = torch.cat(list(nll))
            total += float((nll.cpu().double() * weight).sum())
            weight_of_all += float(weight.sum())
        return total / weight_of_all if weight_of_all else float("nan")

    # -- steps -------------------------------------------------------------------------

    def _gather(self, X, of_features):
        """Array of what a function of features, a row each, gives for all of X."""
        data = self._check_for_prediction(X)
        # What a scoring callback of skorch has cached need not be all rows of X.
        cached = "forward_iter" in vars(self)
        parts = self._parts(data, of_features)
        return concatenated(parts, None if cached else _known_length(data))

    def _parts(self, data, of_features):
        for features in self.forward_iter(data, device=self.device):
            blocks = self._in_blocks(of_features, features.flatten(0, -2))
            if features.ndim == 2:  # one by one: a batch may be all rows
                yield from map(to_numpy, blocks)
                continue
            values = torch.cat(list(blocks))
            yield to_numpy(values.reshape(*features.shape[:-1], *values.shape[1:]))

    def _in_blocks(self, function, features, *others):
        """Yield what a function gives for a few rows at a time."""
        # A net that was initialised by hand may not know how many there are.
        n_rows = max(1, _LOGITS_AT_ONCE // (self._n_outputs() or 1))
        self.head_.eval()
        for block in zip(*(rows.split(n_rows) for rows in (features, *others))):
            with torch.no_grad():  # not around yield: the caller's code would be in it
                values = function(*block)
            yield values

    def _logits(self, features):
        return self.head_(features)

    def _decisions(self, features):
        logits = self._logits(features)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _best(self, features):
        return self._topk(features, 1)[:, 0]

    def _topk(self, features, k):
        if hasattr(self.head_, "predict_topk"):
            return self.head_.predict_topk(features, k)[1]
        logits = self._logits(features)
        if k == 1:  # of equal ones max takes the first
            return logits.max(dim=1, keepdim=True).indices
        return logits.topk(k, dim=1).indices


def _known_length(data):
    try:
        return len(data) if is_dataset(data) else get_len(data)
    except (TypeError, ValueError):
        return None


def concatenated(parts, n_rows):
    """Concatenate arrays, of which all would not fit twice.

    Parameters
    ----------
    parts : iterable of ndarray
        At least one array.
    n_rows : int or None
        The number of rows of all, or more; None if it is unknown.

    Returns
    -------
    ndarray
        All rows.
    """
    parts = iter(parts)
    first = next(parts)
    if n_rows is None or first.ndim == 1:
        return np.concatenate([first, *parts])
    values = np.empty((n_rows, *first.shape[1:]), first.dtype)
    end = 0
    for part in chain([first], parts):
        values[end : end + len(part)] = part
        end += len(part)
    return values[:end]
