"""Tip-Adapter: similarities to the few shots, added to the logits of a prior model."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from .._cross_entropy import softmax_cross_entropy
from .._lbfgs import MinimisationResult
from ._adamw import adamw
from ._cache import affinities, cache_logits
from ._fused_classifier import FusedLogitsClassifier


class TipAdapterClassifier(FusedLogitsClassifier):
    r"""Add similarities to a few labelled rows to the logits of a prior model.

    .. math:: \ell_c = z_c + \alpha \sum_{k : y_k = c} s_k\,
        \exp\!\big(-\beta (1 - \langle f, F_k \rangle)\big)

    With ``n_epochs=0`` the keys F are the rows of the few shots, of length one, and
    nothing is trained: Tip-Adapter. Else they are the start of AdamW for the
    cross-entropy of the fused logits: Tip-Adapter-F [1]_.

    Parameters
    ----------
    n_logits : int, default=0
        Number of columns of X, the first ones, that are logits of the prior model: the
        number of classes, or 0 for none.
    alpha : float, default=1.0
        Strength of the similarities.
    beta : float, default=5.5
        Sharpness: how fast the influence of a key falls with its distance.
    n_epochs : int, default=0
        Epochs in which the keys are trained; 20 in the paper.
    learning_rate : float, default=0.001
        First learning rate; it falls to zero along half a cosine.
    weight_decay : float, default=0.01
        Decoupled pull of the keys to zero.
    batch_size : int, default=256
        Batch size.
    classes : array-like of shape (n_classes,), default=None
        All labels, in the order of the columns of logits; by default those in y,
        sorted. A label without rows keeps its prior logit.
    random_state : int, RandomState instance or None, default=None
        Order of the rows in training.

    Attributes
    ----------
    keys_ : ndarray or CSR of shape (n_keys, n_auxiliary)
        Keys.
    key_class_ : ndarray of shape (n_keys,)
        Class index of each key.
    key_weight_ : ndarray of shape (n_keys,)
        Its weight, 1 without ``sample_weight``.
    classes_ : ndarray of shape (n_classes,)
        Labels, **sorted**. All outputs have this order, whatever that of ``classes``.
    n_iter_ : int
        Epochs.
    loss_ : float
        Cross-entropy of the few shots; if the keys were trained, of the last epoch.
    loss_curve_ : ndarray
        The loss of each epoch.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    CacheLogits : The similarities alone.
    LogitBiasClassifier : A linear bias, of other features.

    Notes
    -----
    Each row of the few shots is its own key, of similarity 1. With fixed features there
    is little left to learn on them: the papers draw new crops of the images in each
    epoch.

    Keys that are trained are dense, also those of sparse features.

    References
    ----------
    .. [1] "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
       arXiv:2207.09519.

    Examples
    --------
    >>> from sklogit.few_shot import TipAdapterClassifier
    >>> X = [[0.1, 0.0, 1.0, 0.0], [0.0, 0.1, 0.0, 1.0]]  # two logits, two features
    >>> clf = TipAdapterClassifier(n_logits=2).fit(X, ["a", "b"])
    >>> clf.predict([[0.3, 0.0, 0.0, 1.0], [9.0, 0.0, 0.0, 1.0]])
    array(['b', 'a'], dtype='<U1')
    """

    _parameter_constraints: dict = {
        **FusedLogitsClassifier._parameter_constraints,
        "n_epochs": [Interval(Integral, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_logits=0,
        *,
        alpha=1.0,
        beta=5.5,
        n_epochs=0,
        learning_rate=1e-3,
        weight_decay=0.01,
        batch_size=256,
        classes=None,
        random_state=None,
    ):
        self.n_logits = n_logits
        self.alpha = alpha
        self.beta = beta
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.classes = classes
        self.random_state = random_state

    def _train(self, shots, report):
        shots = shots.weighing()
        self.keys_, self.key_class_ = shots.features, shots.y
        self.key_weight_ = shots.weight * shots.total
        if self.n_epochs == 0:
            fused = shots.prior + self.alpha * self._bias(shots.features)
            loss, _ = softmax_cross_entropy(
                fused.astype(np.float64), shots.y, shots.weight
            )
            return MinimisationResult(shots.features, [loss])
        keys = shots.features
        keys = keys.toarray() if sparse.issparse(keys) else keys

        def on_epoch(fit):
            attributes = {"keys_": fit.parameters.copy()}
            for name in ("key_class_", "key_weight_"):
                attributes[name] = getattr(self, name)
            return report(**attributes)

        loss = _LossOfKeys(shots, self.key_weight_, self.alpha, self.beta)
        fit = adamw(
            loss,
            keys,
            shots.n_rows,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            rng=check_random_state(self.random_state),
            on_epoch=None if report is None else on_epoch,
        )
        self.keys_ = fit.parameters
        if not fit.loss_curve:  # an interrupt in the first epoch
            fit.loss_curve.append(loss(fit.parameters, np.arange(shots.n_rows))[0])
        return fit

    def _n_iterations(self):
        return self.n_epochs

    def _bias(self, features):
        return cache_logits(
            features,
            self.keys_,
            self.key_class_,
            self.key_weight_,
            len(self.classes_),
            self.beta,
        )

    def _gain(self, prior):
        return np.full(len(prior), self.alpha)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.n_epochs > 0 and self.random_state is None
        return tags


class _LossOfKeys:
    """Mean cross-entropy of a batch, and its gradient by the keys."""

    def __init__(self, shots, key_weight, alpha, beta):
        self.shots, self.alpha, self.beta = shots, alpha, beta
        self.weight = shots.weight * shots.n_rows
        self.values = np.zeros((shots.n_rows, shots.n_classes))
        self.values[np.arange(shots.n_rows), shots.y] = key_weight

    def __call__(self, keys, batch):
        shots, features = self.shots, self.shots.features[batch]
        affinity = affinities(features, keys, self.beta)
        logits = shots.prior[batch] + self.alpha * (affinity @ self.values)
        weight = self.weight[batch] / len(batch)
        value, slope = softmax_cross_entropy(logits, shots.y[batch], weight)
        slope = self.alpha * self.beta * affinity * (slope @ self.values.T)
        gradient = (features.T @ slope.astype(keys.dtype)).T
        return value, np.asarray(gradient)
