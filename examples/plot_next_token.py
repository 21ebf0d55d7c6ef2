"""
=====================================
The next word, out of ten thousand
=====================================

To predict the next word is classification with as many classes as there are words. A
net trained by :class:`~sklogit.neural.LogitClassifier`, three times: with the logits
of all words, with the same loss computed without them, and with a head whose words
share a few code vectors.
"""

# %%
# A text that is at hand
# ----------------------
#
# The docstrings of scikit-learn: half a million words and signs, ten thousand different
# ones. A row are the eight words before; every tenth docstring is held out. With data
# of its own a net reads subwords instead, see
# :func:`~sklogit.datasets.load_next_tokens`.

import inspect
import json
import re
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.utils.discovery import all_estimators, all_functions
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sklogit.datasets import make_next_token_windows
from sklogit.neural import LogitClassifier

documented = [item for _, item in all_estimators() + all_functions()]
texts = [re.findall(r"\w+|[^\w\s]", inspect.getdoc(item) or "") for item in documented]
vocabulary = sorted(set().union(*texts))
id_of = {word: i for i, word in enumerate(vocabulary)}


def windows(texts):
    words = [id_of[word] for text in texts for word in text]
    return make_next_token_windows(words, context_length=8)


held_out = texts[::10]
X_test, y_test = (a[:8000] for a in windows(held_out))
X, y = windows([text for i, text in enumerate(texts) if i % 10])
rows = np.random.default_rng(0).permutation(len(y))[: 300 * 512]
X, y = X[rows], y[rows]
n_words = len(vocabulary)
print(f"{len(y)} rows, {n_words} classes")

# %%
# One net, three ways to end it
# -----------------------------
#
# `classes` tells of all words, whether the training rows have them or not.


class WindowNet(nn.Module):
    """Embeddings of the words before, and two layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(n_words, 32),
            nn.Flatten(),
            nn.Linear(8 * 32, 128),
            nn.GELU(),
            nn.Linear(128, 64),
            nn.LayerNorm(64),
        )

    def forward(self, words):
        """Compute features (n, 64) of windows (n, 8)."""
        return self.layers(words)


def peak_mib(net, n_rows=512):
    """Memory that a step needs above what it finds, by torch's own count."""
    batch = torch.as_tensor(X[:n_rows]), torch.as_tensor(y[:n_rows])
    net.optimizer_.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        net.train_step(batch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf8"))["traceEvents"]
    events = sorted(
        (event["ts"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]"
    )
    return np.cumsum([n_bytes for _, n_bytes in events]).max() / 2**20


endings = {
    "all logits": {},
    "linear_cross_entropy": {"loss": "linear_cross_entropy"},
    "256 codes": {"head": "vq", "head__n_codes": 256},
}
nets, of_steps, milliseconds, mib = {}, {}, {}, {}
torch.set_num_threads(1)
for name, ending in endings.items():
    net = LogitClassifier(
        WindowNet,
        lr=3e-3,
        max_epochs=1,
        batch_size=512,
        classes=range(n_words),
        random_state=0,
        **ending,
    )
    began = time.process_time()
    nets[name] = net.fit(X, y)
    of_steps[name] = [batch["train_loss"] for batch in net.history_[-1]["batches"]]
    milliseconds[name] = 1e3 * (time.process_time() - began) / len(of_steps[name])
    mib[name] = peak_mib(net)
    loss = net.log_loss(X_test, y_test)
    print(f"{name:20s} held out: loss {loss:.3f}, perplexity {np.exp(loss):.1f}")

# %%
# The first two are one and the same: their curves cover each other. Codes begin with
# the counts of the words, so they are ahead at first, in steps a tenth as long; in the
# end they lose the choice among the words of a code. Their head has a fortieth of the
# parameters.

fig, (left, middle, right) = plt.subplots(
    ncols=3, figsize=(10, 3.4), width_ratios=(2, 1, 1), layout="constrained"
)
styles = {"all logits": "-", "linear_cross_entropy": "--", "256 codes": "-"}
smooth = np.ones(10) / 10
for (name, losses), color in zip(of_steps.items(), ("C0", "k", "C1")):
    values = np.convolve(losses, smooth, mode="valid")
    left.plot(np.arange(len(values)) + 5, values, styles[name], color=color, label=name)
left.set(xlabel="step", ylabel="training loss, mean of 10 steps", ylim=(3, 7))
left.legend(frameon=False)
for ax, values, title in (
    (middle, milliseconds, "ms a step"),
    (right, mib, "MiB a step, at the peak"),
):
    bars = ax.bar(list(values), list(values.values()), color=["C0", "k", "C1"])
    ax.bar_label(bars, fmt="%.0f")
    ax.set_title(title, fontsize="medium")
    ax.set_xticks(range(3), ["all\nlogits", "linear_\ncross_\nentropy", "256\ncodes"])
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A few words more
# ----------------
#
# ``predict_topk`` looks at a block of logits at a time, or, with codes, only at the
# members of the best codes.

prompts = [
    "If None , the random number generator is",
    "y : array - like of shape (",
    "the number of features seen during ` fit",
]
for prompt in prompts:
    words = [id_of[word] for word in prompt.split()[-8:]]
    print(prompt)
    for name in ("linear_cross_entropy", "256 codes"):
        best = nets[name].predict_topk(np.array([words]), 4)[0]
        print(f"    {name:20s}", *(vocabulary[i] for i in best), sep="  ")

# %%
# Greedily, word after word:

start = "random_state : int , RandomState instance or None"
words = [id_of[word] for word in start.split()]
for _ in range(24):
    words += nets["linear_cross_entropy"].predict(np.array([words[-8:]])).tolist()
print(" ".join(vocabulary[i] for i in words))
