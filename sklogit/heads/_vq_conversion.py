"""From the rows of a linear classifier to a few codes, and what that costs."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch.nn import functional as F

from ._code_mapping import (
    MAPPINGS,
    frequency_codes,
    given_codes,
    log_shares,
    random_codes,
    segment_logsumexp,
    weighted_means,
)
from ._vector_quantize import cluster_rows
from ._within_code import in_single_at_least

# Added to the counts as weights of k-means: classes that never occur count a little.
COUNT_OF_NONE = 0.5
# Entries of a block of logits.
_BLOCK_ENTRIES = 2**22
# Of classes whose probabilities round to zero.
_LEAST_COUNT = 1e-9
_STEPS_OF_CALIBRATION, _LARGEST_STEP, _CALIBRATED = 10, 5.0, 1e-3


@dataclass
class VQConversionReport:
    """What a head of codes loses against the linear layer it was made from.

    Attributes
    ----------
    n_rows : int
        Rows of features that were compared.
    kl_divergence : float
        Mean Kullback-Leibler divergence of the codes' probabilities from the linear
        layer's, in nats: the expected excess of the negative log-likelihood, if the
        linear layer is right.
    logit_error : float
        Root mean square of the difference of the logits, after its mean within each
        row, which changes no probability, is taken off.
    probable_logit_error : float
        The same with each class weighted by its probability in the row.
    agreement : float
        Part of the rows for which both predict the same class.
    nll : float or None
        Mean negative log-likelihood of the targets; None if none were given.
    linear_nll : float or None
        The same of the linear layer.
    n_codes : int
        Codes.
    n_bytes : int
        Bytes of codebook, biases, shares and the table of codes.
    linear_bytes : int
        Bytes of the linear layer.
    """

    n_rows: int
    kl_divergence: float
    logit_error: float
    probable_logit_error: float
    agreement: float
    nll: float | None
    linear_nll: float | None
    n_codes: int
    n_bytes: int
    linear_bytes: int

    @property
    def excess_nll(self):
        """Excess of the negative log-likelihood of the targets, in nats."""
        return None if self.nll is None else self.nll - self.linear_nll

    @property
    def compression(self):
        """Bytes of the linear layer for each byte of the codes."""
        return self.linear_bytes / self.n_bytes


@dataclass
class LinearCodes:
    """Codes that stand in for the rows of a linear classifier.

    Attributes
    ----------
    codes : ndarray of shape (n_classes,)
        Code of each class.
    codebook : ndarray of shape (n_codes, n_features)
        Code vectors.
    code_bias : ndarray of shape (n_codes,)
        Biases, those of all classes of a code together.
    log_shares : ndarray of shape (n_classes,)
        Logarithms of the parts that the classes have of their codes.
    """

    codes: np.ndarray
    codebook: np.ndarray
    code_bias: np.ndarray
    log_shares: np.ndarray


def quantize_linear(
    W,
    b,
    n_codes,
    *,
    mapping,
    within,
    counts=None,
    moments=None,
    smoothing=0.5,
    random_state=None,
):
    """Choose codes for the rows of a linear classifier, and their values.

    Parameters
    ----------
    W : ndarray of shape (n_classes, n_features)
        Weights.
    b : ndarray of shape (n_classes,)
        Biases.
    n_codes : int
        Most codes; not used with a mapping that is an array.
    mapping : str or array-like of int
        See `VQLogitsHead.from_linear`.
    within : {"bias", "prior", "uniform"}
        How the classes of a code share its probability.
    counts : ndarray of shape (n_classes,) or None
        Rows of each class.
    moments : FeatureMoments or None
        Of the features.
    smoothing : float, default=0.5
        Added to the counts for "prior".
    random_state : int, RandomState or None
        For k-means and random codes.

    Returns
    -------
    LinearCodes
        The codes.
    """
    weight = (1.0 if counts is None else counts) + np.full(len(W), COUNT_OF_NONE)
    own_offsets = within != "uniform"

    def comparable():
        if moments is None:
            return W
        return moments.rows_in_logits(W, centred=own_offsets)

    codes = choose_codes(
        mapping,
        n_codes,
        weight,
        counts=counts,
        plain=lambda: W,
        comparable=comparable,
        random_state=random_state,
    )
    codebook = weighted_means(W, codes, weight)
    if own_offsets and moments is not None:
        # The offset of a class makes up for the mean of what its row has lost.
        b = b + (W - codebook[codes]) @ moments.mean
    code_bias = segment_logsumexp(b, codes, len(codebook))
    if within == "bias":
        shares = b - code_bias[codes]
    else:
        mass = counts + smoothing if within == "prior" else np.ones(len(W))
        shares = log_shares(codes, mass)
    return LinearCodes(codes, codebook, code_bias, shares)


def choose_codes(mapping, n_codes, weight, *, counts, plain, comparable, random_state):
    """Choose the code of each class.

    Parameters
    ----------
    mapping : str or array-like of int
        See `VQLogitsHead.from_linear`.
    n_codes : int
        Most codes; not used with a mapping that is an array.
    weight : ndarray of shape (n_classes,)
        Weights of the classes for "weighted_kmeans".
    counts : ndarray of shape (n_classes,) or None
        Rows of each class, for "frequency".
    plain, comparable : callable
        Return the rows (n_classes, n_dimensions) for "kmeans" and for
        "weighted_kmeans".
    random_state : int, RandomState or None
        For k-means and random codes.

    Returns
    -------
    ndarray of shape (n_classes,)
        Codes from 0, each with a class.

    Raises
    ------
    ValueError
        If the mapping is unknown, does not fit the classes, or needs counts.
    """
    n_classes = len(weight)
    if not isinstance(mapping, str) or mapping not in MAPPINGS:
        return given_codes(mapping, n_classes)
    if mapping == "frequency" and counts is None:
        raise ValueError("mapping='frequency' needs class_counts.")
    if n_codes == n_classes:
        return np.arange(n_classes)
    if mapping == "random":
        return random_codes(n_classes, n_codes, check_random_state(random_state))
    if mapping == "frequency":
        return frequency_codes(counts, n_codes)
    if mapping == "kmeans":
        return cluster_rows(plain(), n_codes, None, random_state)
    return cluster_rows(comparable(), n_codes, weight, random_state)


def expected_counts(weight, bias, features):
    """Rows that each class has by the probabilities of a linear layer.

    Parameters
    ----------
    weight : Tensor of shape (n_classes, n_features)
        Weights.
    bias : Tensor of shape (n_classes,)
        Biases.
    features : Tensor of shape (n_rows, n_features)
        Features.

    Returns
    -------
    Tensor of shape (n_classes,)
        Sum of the probabilities, in float64 and positive.
    """
    counts = torch.full(
        bias.shape, _LEAST_COUNT, dtype=torch.float64, device=bias.device
    )
    for block in features.split(max(1, _BLOCK_ENTRIES // len(weight))):
        logits = in_single_at_least(F.linear(block, weight, bias))
        counts += logits.softmax(dim=1).sum(dim=0)
    return counts


def calibrated_bias(codebook, bias, features, counts):
    """Biases with which each code has the given rows, by its probabilities.

    Each step moves every bias by what its code lacks (iterative scaling). It is the
    bias of the least Kullback-Leibler divergence from a layer that expects these rows.
    Where the logits of a layer spread over tens of nats, codes without it are far too
    sure of themselves: .25 nats of 1.8 were lost, measured.

    Parameters
    ----------
    codebook : Tensor of shape (n_codes, n_features)
        Code vectors.
    bias : Tensor of shape (n_codes,)
        Biases to start from.
    features : Tensor of shape (n_rows, n_features)
        Features.
    counts : Tensor of shape (n_codes,)
        Rows of each code, positive.

    Returns
    -------
    Tensor of shape (n_codes,)
        The biases.
    """
    for _ in range(_STEPS_OF_CALIBRATION):
        step = (counts / expected_counts(codebook, bias, features)).log()
        bias = bias + step.clamp(-_LARGEST_STEP, _LARGEST_STEP).to(bias)
        if step.abs().max() < _CALIBRATED:
            break
    return bias


@torch.no_grad()
def conversion_report(head, weight, bias, features, target):
    """Compare a head of codes with the linear layer it was made from.

    Parameters
    ----------
    head : VQLogitsHead
        The head.
    weight, bias : Tensor
        The linear layer.
    features : Tensor of shape (n_rows, n_features)
        Features.
    target : Tensor of shape (n_rows,) or None
        Class indices.

    Returns
    -------
    VQConversionReport
        The report.
    """
    n, n_classes = len(features), len(weight)
    size = max(1, _BLOCK_ENTRIES // n_classes)
    sums = torch.zeros(6, dtype=torch.float64, device=weight.device)
    for start in range(0, n, size):
        rows = slice(start, start + size)
        own = in_single_at_least(F.linear(features[rows], weight, bias))
        own = own.log_softmax(dim=1)
        other = head.log_prob(features[rows].to(head.codebook)).to(own)
        p, difference = own.exp(), own - other
        centred = difference - difference.mean(dim=1, keepdim=True)
        kl = (p * difference).sum(dim=1)
        spread = p * (difference - kl[:, None]) ** 2
        sums[0] += kl.sum()
        sums[1] += (centred**2).mean(dim=1).sum()
        sums[2] += spread.sum()
        sums[3] += (own.argmax(dim=1) == other.argmax(dim=1)).sum()
        if target is not None:
            sums[4] -= other.gather(1, target[rows, None]).sum()
            sums[5] -= own.gather(1, target[rows, None]).sum()
    kl, logits, probable, agreed, nll, linear_nll = (sums / n).tolist()
    return VQConversionReport(
        n_rows=n,
        kl_divergence=kl,
        logit_error=logits**0.5,
        probable_logit_error=probable**0.5,
        agreement=agreed,
        nll=None if target is None else nll,
        linear_nll=None if target is None else linear_nll,
        n_codes=len(head.codebook),
        n_bytes=sum(t.nbytes for t in head.state_dict().values()),
        linear_bytes=weight.nbytes + bias.nbytes,
    )
