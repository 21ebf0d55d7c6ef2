"""
============================================
What an augmented covariance sees, and where
============================================

Two imagined movements whose oscillations differ in frequency, not in power, have the
same spatial covariance. The covariance of the *delay-embedded* signal tells them apart.
This example shows the matrix, the search for its two parameters, and what the choice
by the signal alone would have been.
"""

# %%
# Epochs without a spatial difference
# -----------------------------------
# Three of eight sources oscillate at 10 Hz in one class and at 10.6 Hz in the other;
# all have unit variance, and the same mixing takes them to the channels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_score

from sklogit.covariance import (
    AugmentedCovarianceClassifier,
    AugmentedCovarianceClassifierCV,
    AugmentedCovarianceDisplay,
    AugmentedCovariances,
    EmbeddingScoreDisplay,
    EmbeddingSelector,
)
from sklogit.datasets import make_bci_epochs

sfreq = 125.0
X, y = make_bci_epochs(n_epochs=120, sfreq=sfreq, freqs=(10.0, 10.6), random_state=0)
print("epochs, channels, samples:", X.shape)

# %%
# The matrix and its blocks
# -------------------------
# Each block holds the correlations of all channels with all channels some delay later.
# The block in the top left corner is all that a spatial covariance has: it is the same
# in both classes, and so are all blocks on the diagonal. The others differ. (Here with
# 9 and 12 Hz and many epochs: at 10.6 Hz the eye sees only the noise of the estimate.)

shown, label_of = make_bci_epochs(
    n_epochs=600, sfreq=sfreq, freqs=(9.0, 12.0), random_state=0
)
acm = AugmentedCovariances(order=4, lag=4).fit(shown)
figure, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
first, second = (
    AugmentedCovarianceDisplay.from_estimator(
        acm, shown[label_of == label], sfreq=sfreq, ax=ax
    )
    for label, ax in zip(np.unique(y), axes)
)
difference = AugmentedCovarianceDisplay(
    second.covariance - first.covariance, order=4, lag=4, sfreq=sfreq
).plot(ax=axes[2])
for ax, title in zip(axes, ("9 Hz", "12 Hz", "difference")):
    ax.set_title(title)

# %%
# Order and lag by cross-validation
# ---------------------------------
# The search scores all pairs on the same folds. At order 1 there is no lag: the row is
# the plain tangent-space classifier.

search = AugmentedCovarianceClassifierCV(
    orders=[1, 2, 3, 4, 6],
    lags=[1, 2, 3, 4, 6, 8],
    Cs=[1.0],
    kernels=["linear"],
    estimator="oas",
    cv=5,
    random_state=0,
).fit(X, y)
print("best:", search.best_params_)
EmbeddingScoreDisplay.from_estimator(search)

# %%
# The best score of a search flatters it. An outer cross-validation around the search
# is what to report.

nested = cross_val_score(search, X, y, cv=3)
plain = cross_val_score(AugmentedCovarianceClassifier(order=1), X, y, cv=3)
print(f"plain covariance {plain.mean():.2f}, augmented, nested {nested.mean():.2f}")

# %%
# Order and lag by the signal alone
# ---------------------------------
# The first zero of the autocorrelation and Cao's criterion need no labels and no
# folds, and ask for what describes the *signal*, not for what tells classes apart.

selector = EmbeddingSelector().fit(X)
chosen = AugmentedCovarianceClassifier(order=selector.order_, lag=selector.lag_)
score = cross_val_score(chosen, X, y, cv=3).mean()
print(f"order {selector.order_}, lag {selector.lag_}: accuracy {score:.2f}")
plt.show()
