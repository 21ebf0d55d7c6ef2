"""What logits give away: rank and subspace, defences, top-k, streams, a real head.

Claims: full logits, also rounded to one decimal, show rank and subspace from little
more queries than the rank; explained variance and Minka's MLE do not find it; top-k
logits show it only from about three entries for each degree of freedom on; 10,000
answers of 50,000 outputs are audited in bounded memory; the head of a net trained on
text leaks in the same way.

    [SKLOGIT_DATA=...] python benchmarks/bench_logit_leakage.py [PART ...]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from _common import report
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor

from sklogit.audit import (
    LogitExposure,
    LogitLeakageAuditor,
    SubspaceStudent,
    audit_exposures,
    gavish_donoho_threshold,
    queries_required,
)
from sklogit.datasets import make_language_logits

EXPOSURES = {
    "float32": LogitExposure(dtype="float32"),
    "float16": LogitExposure(dtype="float16"),
    "2 decimals": LogitExposure(decimals=2),
    "1 decimal": LogitExposure(decimals=1),
    "integers": LogitExposure(decimals=0),
    "noise 0.1": LogitExposure(noise_std=0.1, random_state=0),
    "noise 0.3": LogitExposure(noise_std=0.3, random_state=0),
    "noise 1": LogitExposure(noise_std=1.0, random_state=0),
    "soft cap 3": LogitExposure(softcap=3.0),
}


def ranks():
    """Our rank estimate against those of others, width 128, 300 queries."""
    model = make_language_logits(
        300, 1500, hidden_dim=128, norm="rms", bias=True, random_state=0
    )
    rows = []
    for name, exposure in EXPOSURES.items():
        L = exposure.fit_transform(model.logits)
        auditor = LogitLeakageAuditor(random_state=0).fit(L)
        fitted = LogitLeakageAuditor(random_state=0, noise_std="fit").fit(L)
        cosines = auditor.with_rank(128).subspace_overlap(model.head)
        rows.append(
            {
                "published": name,
                "rank": auditor.rank_,
                "status": auditor.rank_status_,
                "noise fitted": fitted.rank_,
                **others(L.astype(np.float64)),
                "cos min": float(cosines.min()),
                "cos mean": float(cosines.mean()),
            }
        )
    report("logit_leakage_ranks", rows)


def others(L):
    """Ranks of the same doubly centred logits by other rules."""
    L = L - L.mean(axis=1, keepdims=True)
    L = L - L.mean(axis=0)
    s = np.linalg.svdvals(L)
    share = np.cumsum(s**2) / np.sum(s**2)
    floor = s[0] * max(L.shape) * np.finfo(float).eps
    threshold = gavish_donoho_threshold(
        min(L.shape) / max(L.shape), median_sv=float(np.median(s))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        # Minka's MLE asks for more samples than features: outputs are the samples.
        mle = PCA(n_components="mle", svd_solver="full").fit(L.T).n_components_
    clipped = np.log(np.maximum(s, floor))
    return {
        "95 % of variance": int(np.searchsorted(share, 0.95)) + 1,
        "99 % of variance": int(np.searchsorted(share, 0.99)) + 1,
        "PCA mle": int(mle),
        "matrix_rank": int(np.count_nonzero(s > floor)),
        "log gap": int(np.argmax(clipped[:-1] - clipped[1:])) + 1,
        "Gavish-Donoho": int(np.count_nonzero(s > threshold)),
    }


def queries():
    """From how many queries rank and subspace are known; width 512, 5000 outputs."""
    h, V = 512, 5000
    model = make_language_logits(700, V, hidden_dim=h, norm="rms", random_state=0)
    needed = queries_required(h, V)
    rows = []
    for n in (needed - 1, needed, 700):
        for name, L in {
            "float64": model.logits[:n],
            "2 decimals": np.round(model.logits[:n], 2),
        }.items():
            auditor = LogitLeakageAuditor(center=None, random_state=0).fit(L)
            cosines = auditor.subspace_overlap(model.head)
            rows.append(
                {
                    "queries": n,
                    "published": name,
                    "rank": auditor.rank_,
                    "status": auditor.rank_status_,
                    "cos min": float(cosines.min()),
                    "cos mean": float(cosines.mean()),
                }
            )
    report("logit_leakage_queries", rows)


def topk():
    """Completion of top-k answers and of random entries, around the bound."""
    h, V = 16, 400
    rows = []
    for n, k in ((800, 16), (800, 40), (800, 80), (300, 160)):
        model = make_language_logits(n, V, hidden_dim=h, decay=0.0, random_state=0)
        shown = np.random.default_rng(0).permuted(
            np.tile(np.arange(V) < k, (n, 1)), axis=1
        )
        for name, L in {
            "largest k": LogitExposure(top_k=k).fit_transform(model.logits),
            "random k": np.where(shown, model.logits, np.nan),
        }.items():
            auditor = LogitLeakageAuditor(random_state=0).fit(L)
            hidden, cosine = np.nan, np.nan
            if auditor.rank_:
                seen = auditor._seen
                completed = auditor.inverse_transform(auditor.transform(L))
                error = (completed - model.logits)[:, seen]
                error -= error.mean(axis=1, keepdims=True)
                hidden = float(np.sqrt(np.mean(error[np.isnan(L[:, seen])] ** 2)))
                cosine = float(auditor.subspace_overlap(model.head).min())
            rows.append(
                {
                    "queries": n,
                    "k": k,
                    "shown": name,
                    "entries / freedom": n * k / (h * (n + V - h)),
                    "rank": auditor.rank_,
                    "status": auditor.rank_status_,
                    "RMSE of hidden": hidden,
                    "cos min": cosine,
                    "TV of an answer": auditor.topk_ambiguity_,
                }
            )
    report("logit_leakage_topk", rows)


def stream():
    """Audit 10,000 x 50,000 logits block by block, each case in a fresh process."""
    rows = []
    for decimals in ("none", "1"):
        command = [sys.executable, __file__, "stream-case", decimals]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(run.stdout.splitlines()[-1]))
    report("logit_leakage_stream", rows)


def stream_case(decimals, n=10_000, V=50_000, h=128, block=1000, max_rank=160):
    """Print what auditing one stream of float32 blocks takes."""
    rng = np.random.default_rng(0)
    head = rng.standard_normal((V, h), dtype=np.float32) / np.float32(np.sqrt(h))
    bias = rng.standard_normal(V, dtype=np.float32)
    exposure = LogitExposure(decimals=None if decimals == "none" else int(decimals))
    auditor = LogitLeakageAuditor(max_rank=max_rank, random_state=0)
    seconds = 0.0
    for _ in range(0, n, block):
        hidden = rng.standard_normal((block, h), dtype=np.float32)
        hidden *= np.arange(1, h + 1, dtype=np.float32) ** -0.5 * 5
        logits = exposure.fit_transform(hidden @ head.T + bias)
        start = time.process_time()
        auditor.partial_fit(logits)
        seconds += time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = {
        "queries": n,
        "outputs": V,
        "decimals": decimals,
        "rank": auditor.rank_,
        "status": auditor.rank_status_,
        "cos min": round(float(auditor.subspace_overlap(head).min()), 6),
        "all logits GiB": round(4 * n * V / 2**30, 2),
        "peak GiB": round(peak, 2),
        "CPU s": round(seconds, 1),
    }
    print(json.dumps(row))


def student():
    """Quality of students that learn the answers, for numbers of queries."""
    model = make_language_logits(
        6000, 400, hidden_dim=32, n_features=10, logit_std=2.0, random_state=0
    )
    X, L = model.inputs, model.logits
    rows = []
    for n in (250, 1000, 4000):
        for name, temperature, exposure in (
            ("plain, full", None, LogitExposure()),
            ("T = 2, full", 2.0, LogitExposure()),
            ("T = 2, 1 decimal", 2.0, LogitExposure(decimals=1)),
        ):
            body = MLPRegressor(
                hidden_layer_sizes=(64, 64), max_iter=200, random_state=0
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = SubspaceStudent(body, temperature=temperature).fit(
                    X[:n], exposure.fit_transform(L[:n])
                )
            rows.append(
                {"queries": n, "student": name, **fitted.report(X[4000:], L[4000:])}
            )
    report("logit_leakage_student", rows)


def text(n_tokens=4000, context=8, width=64, n_queries=(64, 80, 100, 200, 400)):
    """Audit the head of a next-token net that is trained here on WikiText-2."""
    import torch
    from torch import nn

    from sklogit.datasets import load_next_tokens
    from sklogit.neural import LogitClassifier

    torch.manual_seed(0)
    torch.set_num_threads(1)
    words = {}

    def tokenizer(text):
        ids, counts = np.unique(text.split(), return_counts=True)
        frequent = ids[np.argsort(-counts, kind="stable")[: n_tokens - 1]]
        words.update({word: i + 1 for i, word in enumerate(frequent)})
        return [words.get(word, 0) for word in text.split()]

    X, y = load_next_tokens("wikitext2_valid", context, tokenizer=tokenizer)
    module = nn.Sequential(
        nn.Embedding(n_tokens, width),
        nn.Flatten(),
        nn.Linear(context * width, 2 * width),
        nn.GELU(),
        nn.Linear(2 * width, width),
        nn.LayerNorm(width),
    )
    net = LogitClassifier(
        module,
        max_epochs=1,
        lr=3e-3,
        batch_size=512,
        classes=np.arange(n_tokens),
        random_state=0,
    ).fit(X[:-10_000], y[:-10_000])
    print(f"held-out loss {net.log_loss(X[-10_000:], y[-10_000:]):.3f}")
    logits = net.decision_function(X[-10_000::20])
    W = net.head_.weight.detach().numpy().astype(np.float64)
    rows = []
    exposures = {
        "float32": LogitExposure(),
        "log-probabilities": LogitExposure(log_proba=True),
        "2 decimals": LogitExposure(decimals=2),
        "1 decimal": LogitExposure(decimals=1),
        "integers": LogitExposure(decimals=0),
        "noise 0.3": LogitExposure(noise_std=0.3, random_state=0),
        "noise 1": LogitExposure(noise_std=1.0, random_state=0),
        "top 20": LogitExposure(top_k=20),
    }
    for n in n_queries:
        chosen = exposures if n == max(n_queries) else {"float32": LogitExposure()}
        for row in audit_exposures(logits[:n], chosen, W):
            rows.append({"queries": n, "outputs": n_tokens, "width": width, **row})
    report("logit_leakage_text", rows)


PARTS = {f.__name__: f for f in (ranks, queries, topk, student, stream, text)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parts = parser.parse_args().parts
    if parts[0] == "stream-case":
        stream_case(parts[1])
    else:
        for part in parts:
            print(part)
            PARTS[part]()
