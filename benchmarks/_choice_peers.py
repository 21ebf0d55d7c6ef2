"""Fits of conditional logits by other packages, from rows as ours takes them.

Each function takes a table in long form and prepares what the package wants, which is
not timed. It returns a function that fits, and one that reads (coefficients,
log-likelihood) of what that returns. Standard errors are part of the fit, as of
ours, except with choice-learn, which gives them on demand only.
"""

import collections
import collections.abc
import os

import numpy as np


def ours(X, y, groups):
    """Fit ConditionalLogit without outside option and penalty."""
    from sklogit.choice import ConditionalLogit

    clf = ConditionalLogit(C=np.inf, outside_option=False)
    return lambda: clf.fit(X, y, groups), lambda m: (m.coef_.ravel(), m.log_likelihood_)


def xlogit(X, y, groups):
    """Fit xlogit's MultinomialLogit, which wants every alternative for everyone."""
    from xlogit import MultinomialLogit

    features, chosen, available = padded(X, y, groups)
    n, m, d = features.shape
    names = [f"x{j}" for j in range(d)]
    data = {
        "X": features.reshape(n * m, d),
        "y": chosen.ravel(),
        "ids": np.repeat(np.arange(n), m),
        "alts": np.tile(np.arange(m), n),
    }
    if not available.all():
        data["avail"] = available.ravel().astype(int)

    def fit():
        model = MultinomialLogit()
        model.fit(varnames=names, verbose=0, **data)
        return model

    return fit, lambda m: (m.coeff_, m.loglikelihood)


def statsmodels(X, y, groups):
    """Fit the ConditionalLogit of statsmodels."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    return (
        lambda: ConditionalLogit(y, X, groups=groups).fit(disp=0),
        lambda m: (m.params, m.llf),
    )


def choice_learn(X, y, groups):
    """Fit the SimpleMNL of choice-learn by its L-BFGS, in single precision."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf
    from choice_learn.data import ChoiceDataset
    from choice_learn.models import SimpleMNL

    if not tf.config.list_logical_devices():
        raise RuntimeError("TensorFlow has no device")
    features, chosen, available = padded(X, y, groups)
    data = ChoiceDataset(
        choices=chosen.argmax(axis=1),
        items_features_by_choice=(features.astype(np.float32),),
        available_items_by_choice=available.astype(np.float32),
    )

    def fit():
        model = SimpleMNL(intercept=None, optimizer="lbfgs", epochs=1000, batch_size=-1)
        model.fit(data)
        return model

    def read(model):
        coef = np.ravel(model.trainable_weights[0].numpy())
        return coef, -float(model.evaluate(data)) * len(data)

    return fit, read


def pylogit(X, y, groups):
    """Fit the MNL of pylogit, from a table of pandas."""
    # pylogit 1.0.1 wants what Python 3.10 and NumPy 2.4 have dropped.
    collections.Iterable = collections.abc.Iterable
    np.in1d = np.isin  # noqa: NPY201
    import pandas as pd
    import pylogit as pl

    names = [f"x{j}" for j in range(X.shape[1])]
    table = pd.DataFrame(X, columns=names)
    number = np.unique(groups, return_inverse=True)[1]
    table["observation"], table["chosen"] = number + 1, y
    table["alternative"] = alternatives(number) + 1
    specification = collections.OrderedDict((name, "all_same") for name in names)
    labels = collections.OrderedDict((name, name) for name in names)

    def fit():
        model = pl.create_choice_model(
            data=table,
            alt_id_col="alternative",
            obs_id_col="observation",
            choice_col="chosen",
            specification=specification,
            model_type="MNL",
            names=labels,
        )
        model.fit_mle(np.zeros(len(names)), print_res=False)
        return model

    return fit, lambda m: (m.coefs.to_numpy(), m.llf)


def alternatives(number):
    """Return the number of each row in its choice, of sorted numbers of choices."""
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    sizes = np.diff(starts, append=len(number))
    return np.arange(len(number)) - np.repeat(starts, sizes)


def padded(X, y, groups):
    """Tables (n_choices, n_alternatives, ...) of features, choices and availability."""
    number = np.unique(groups, return_inverse=True)[1]
    place = alternatives(number)
    shape = (number[-1] + 1, place.max() + 1)
    features = np.zeros((*shape, X.shape[1]))
    chosen, available = np.zeros(shape, dtype=int), np.zeros(shape, dtype=bool)
    features[number, place] = X
    chosen[number, place] = y
    available[number, place] = True
    return features, chosen, available


PEERS = {
    "sklogit": ours,
    "xlogit": xlogit,
    "statsmodels": statsmodels,
    "pylogit": pylogit,
    "choice-learn": choice_learn,
}
