"""Covariance of delay-embedded signals as a differentiable layer, and a net on it."""

from numbers import Integral

import torch
from torch import nn

from ._spd import arithmetic_harmonic_mean, spd_log, spd_power, upper_vector

_ESTIMATORS = ("cov", "scm", "oas")
_TRIMS = ("moabb", "full")
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def augmented_covariance_torch(
    X,
    order=1,
    lag=1,
    *,
    estimator="cov",
    assume_centered=False,
    trim="moabb",
    return_shrinkage=False,
    check_finite=True,
):
    r"""Augmented covariance of each epoch, differentiable in the signal.

    It is the covariance of the delay embedding
    :math:`e(t) = [x(t), x(t+\tau), \ldots, x(t+(p-1)\tau)]`, 0 <= t < N, with
    :math:`p` the order and :math:`\tau` the lag. With :math:`G_{ab} = \sum_{t<N}
    x(t+a\tau) x(t+b\tau)^\top` and :math:`S_a = \sum_{t<N} x(t+a\tau)` block (a, b) is

    .. math:: C_{ab} = s \, (G_{ab} - S_a S_b^\top / N) .

    The embedding is never formed: only the first block row is a product over all
    samples, the others follow along the diagonals from the :math:`\tau` samples that
    leave the window and the :math:`\tau` that enter it,

    .. math:: G_{a+1,b+1} = G_{ab} + \sum_{t<\tau}
        x(N+a\tau+t) x(N+b\tau+t)^\top - x(a\tau+t) x(b\tau+t)^\top .

    Parameters
    ----------
    X : Tensor of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        Signals, float32 or float64; two dimensions are epochs of one channel.
    order : int, default=1
        Number p of delayed copies; 1 is the plain covariance, whatever the lag.
    lag : int, default=1
        Delay between them, in samples.
    estimator : {"cov", "scm", "oas"}, default="cov"
        Sample covariance with s = 1 / (N - 1), with s = 1 / N, or the latter with
        the oracle approximating shrinkage toward a multiple of the identity.
        ``assume_centered`` makes s = 1 / N for all: no mean is estimated.
    assume_centered : bool, default=False
        Whether to take the signals as they are: no mean is subtracted.
    trim : {"moabb", "full"}, default="moabb"
        Samples of the embedding: N = T - p lag as MOABB counts (T at order 1), or all
        N = T - (p - 1) lag.
    return_shrinkage : bool, default=False
        Whether to return the shrinkage intensities too.
    check_finite : bool, default=True
        Whether to look for NaN and infinity. On a GPU that waits for the device.

    Returns
    -------
    C : Tensor of shape (n_epochs, d, d), d = n_channels * order
        The covariances. Row a * n_channels + i is channel i delayed by a * lag.
    shrinkage : Tensor of shape (n_epochs,)
        Share of the identity, 0 for "cov" and "scm". Only if ``return_shrinkage``.

    Raises
    ------
    TypeError
        If X is not a floating-point tensor.
    ValueError
        If X is complex, not finite, has other than 2 or 3 dimensions, or is too short
        for the order and lag; or if a parameter is not one of its allowed values.

    References
    ----------
    .. [1] "Classification of BCI-EEG based on augmented covariance matrix",
       arXiv:2302.04508.
    .. [2] Y. Chen, A. Wiesel, Y. C. Eldar, A. O. Hero, "Shrinkage Algorithms for MMSE
       Covariance Estimation", IEEE Transactions on Signal Processing 58 (2010).

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import augmented_covariance_torch
    >>> X = torch.randn(5, 3, 100)
    >>> augmented_covariance_torch(X, order=4, lag=2, estimator="oas").shape
    torch.Size([5, 12, 12])
    """
    _check_options(order, lag, estimator, trim)
    X = _check_epochs(X, check_finite)
    order, lag = int(order), int(lag)
    n_samples = _n_embedded(X.shape[-1], order, lag, trim)
    if not assume_centered:
        # The covariance does not change, but on data with a large offset the sums of
        # products would keep hardly a digit of it.
        X = X - X.mean(dim=-1, keepdim=True)
    unbiased = estimator == "cov" and not assume_centered
    scale = 1 / (n_samples - 1 if unbiased else n_samples)
    sums = None if assume_centered else _window_sums(X, order, lag, n_samples)
    first = _first_block_row(X, order, lag, n_samples, sums)
    C = scale * first
    if order > 1:
        shift = _diagonal_shift(X, order, lag, n_samples, sums)
        C = _fill_block_rows(scale * first, scale * shift)
    shrinkage = C.new_zeros(len(C))
    if estimator == "oas":
        C, shrinkage = _oas(C, n_samples)
    return (C, shrinkage) if return_shrinkage else C


def _window_sums(X, order, lag, n_samples):
    """Sum X over the p windows of the embedding: S_a as (n, p, c)."""
    starts = range(0, order * lag, lag)
    return torch.stack([X[..., s : s + n_samples].sum(-1) for s in starts], dim=1)


def _first_block_row(X, order, lag, n_samples, sums):
    """Blocks (0, b) of the unscaled covariance, as (n, c, p * c)."""
    starts = range(0, order * lag, lag)
    window = X[..., :n_samples]
    row = torch.cat([window @ X[..., s : s + n_samples].mT for s in starts], dim=-1)
    if sums is None:
        return row
    return row - sums[:, 0].unsqueeze(-1) * sums.flatten(1).unsqueeze(1) / n_samples


def _diagonal_shift(X, order, lag, n_samples, sums):
    """Differences between block (a+1, b+1) and (a, b), as (n, (p-1) c, (p-1) c).

    One product of a matrix with few columns: samples that enter, samples that leave,
    and the window sums before and after the shift.
    """
    width = (order - 1) * lag

    def slab(start):
        blocks = X[..., start : start + width].unflatten(-1, (order - 1, lag))
        return blocks.transpose(1, 2).flatten(1, 2)

    entering, leaving = slab(n_samples), slab(0)
    columns, signs = [entering, leaving], [1.0] * lag + [-1.0] * lag
    if sums is not None:
        before, after = sums[:, :-1].flatten(1), sums[:, 1:].flatten(1)
        columns += [before.unsqueeze(-1), after.unsqueeze(-1)]
        signs += [1 / n_samples, -1 / n_samples]
    factor = torch.cat(columns, dim=-1)
    return (factor * factor.new_tensor(signs)) @ factor.mT


def _fill_block_rows(first, shift):
    """Run the recursion down the diagonals from the first block row."""
    n_channels = first.shape[-2]
    shifts = shift.split(n_channels, dim=-2)
    rows = [first]
    for block, step in zip(first.split(n_channels, dim=-1)[1:], shifts):
        rows.append(torch.cat([block.mT, rows[-1][..., :-n_channels] + step], dim=-1))
    return torch.cat(rows, dim=-2)


def _oas(C, n_samples):
    """Shrink C (n, d, d) by the oracle approximating intensity; both are returned."""
    d = C.shape[-1]
    mu = C.diagonal(dim1=-2, dim2=-1).mean(-1)
    # The intensity has no unit. Dividing by mu first keeps float32 away from the
    # fourth powers of volts, which underflow.
    unit = torch.where(mu > 0, mu, 1)
    alpha = (C / unit[:, None, None]).square().mean((-2, -1))
    numerator = alpha + 1
    denominator = (n_samples + 1) * (alpha - 1 / d)
    # min(1, numerator / denominator), without a division by zero at C = mu I.
    rho = numerator / torch.maximum(numerator, denominator)
    identity = torch.eye(d, dtype=C.dtype, device=C.device)
    target = (rho * mu)[:, None, None] * identity
    return (1 - rho)[:, None, None] * C + target, rho


def _n_embedded(n_times, order, lag, trim):
    """Return the number of embedded samples, at least 2."""
    lost = (order - 1 if trim == "full" or order == 1 else order) * lag
    if n_times - lost < 2:
        raise ValueError(
            f"order={order} and lag={lag} leave {max(n_times - lost, 0)} samples of "
            f"epochs of {n_times} (trim={trim!r}); at least 2 are needed."
        )
    return n_times - lost


def _check_options(order, lag, estimator, trim):
    for name, value in (("order", order), ("lag", lag)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")
    if estimator not in _ESTIMATORS:
        raise ValueError(f"estimator must be one of {_ESTIMATORS}, got {estimator!r}.")
    if trim not in _TRIMS:
        raise ValueError(f"trim must be one of {_TRIMS}, got {trim!r}.")


def _check_epochs(X, check_finite=True):
    """Return X as (n, c, T) after the checks that name what was found."""
    if not isinstance(X, torch.Tensor):
        raise TypeError(f"X must be a torch.Tensor, got {type(X).__name__}.")
    if X.is_complex():
        raise ValueError(f"Complex data not supported: X has dtype {X.dtype}.")
    if not X.is_floating_point():
        raise TypeError(f"X must be of a floating-point dtype, got {X.dtype}.")
    if X.ndim not in (2, 3):
        raise ValueError(
            "X must have shape (n_epochs, n_channels, n_times) or (n_epochs, n_times), "
            f"got {X.ndim} dimensions: {tuple(X.shape)}."
        )
    if check_finite and not (finite := X.isfinite()).all():
        raise ValueError(
            f"X contains NaN or infinity: {int((~finite).sum())} of {X.numel()} values."
        )
    return X if X.ndim == 3 else X.unsqueeze(1)


class AugmentedCovarianceNet(nn.Module):
    r"""Epochs in, logits out: augmented covariance, matrix logarithm, linear layer.

    For an epoch x of shape (c, T), with a learnable spatial filter F (the identity
    without ``n_filters``),

    .. math:: C = \mathrm{acm}_{p,\tau}(F x), \qquad
        z = \mathrm{upper}\bigl(\log(M^{-1/2} C M^{-1/2})\bigr), \qquad
        \mathrm{logits} = W z + b .

    z are the coordinates of C in the tangent space at the reference M, in the
    affine-invariant geometry. Without a reference (M = I) the layer would compute the
    log-Euclidean map, which depends on the units and the mixing of the channels and is
    clearly worse on recorded EEG.

    The reference is data, not a weight: :meth:`fit_reference` sets it once from
    training epochs, and it then stays. A running average over batches, as in batch
    normalisation, would move the features under the linear layer and differ between
    training and prediction; a batch of 32 epochs says little about a mean with
    d (d + 1) / 2 free entries. The map stays affine-invariant when F is trained and C
    moves: M is then just no longer the exact centre; calling :meth:`fit_reference`
    again re-centres it.

    Parameters
    ----------
    n_channels : int
        Number of channels c.
    n_classes : int
        Number of logits.
    order : int, default=4
        Embedding dimension p.
    lag : int, default=4
        Delay, in samples.
    estimator : {"cov", "scm", "oas"}, default="oas"
        Covariance estimator. Only the shrinkage of "oas" makes C invertible when the
        epoch has fewer samples than C has rows.
    trim : {"moabb", "full"}, default="moabb"
        See :func:`augmented_covariance_torch`.
    n_filters : int or None, default=None
        Number of rows of F; None feeds the channels as they are.

    Attributes
    ----------
    reference : Tensor of shape (d, d), d = order * (n_filters or n_channels)
        The reference M, a buffer; the identity before :meth:`fit_reference`.
    has_reference : bool
        Whether a reference was set. A buffer keeps it, so ``state_dict`` carries it.
    spatial_filter : Linear or None
        F, initialised with orthonormal rows.
    classifier : Linear
        W of shape (n_classes, d * (d + 1) / 2) and b, initialised with zeros: without
        filters this is a logistic regression, convex, and zero favours no class.

    References
    ----------
    .. [1] "Classification of BCI-EEG based on augmented covariance matrix",
       arXiv:2302.04508.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import AugmentedCovarianceNet
    >>> X = torch.randn(10, 3, 200)
    >>> net = AugmentedCovarianceNet(n_channels=3, n_classes=2, order=2, lag=1)
    >>> net.fit_reference(X)(X).shape
    torch.Size([10, 2])
    """

    def __init__(
        self,
        n_channels,
        n_classes,
        order=4,
        lag=4,
        estimator="oas",
        trim="moabb",
        n_filters=None,
    ):
        super().__init__()
        _check_options(order, lag, estimator, trim)
        _check_sizes(n_channels, n_classes, n_filters)
        self.n_channels, self.n_classes = int(n_channels), int(n_classes)
        self.order, self.lag = int(order), int(lag)
        self.estimator, self.trim = estimator, trim
        self.n_filters = n_filters
        self.spatial_filter = None
        if n_filters is not None:
            self.spatial_filter = nn.Linear(n_channels, n_filters, bias=False)
            nn.init.orthogonal_(self.spatial_filter.weight)
        d = self.order * int(n_filters or n_channels)
        self.register_buffer("reference", torch.eye(d))
        self.register_buffer("whitening", torch.eye(d))
        self.register_buffer("_has_reference", torch.tensor(False))
        self.classifier = nn.Linear(d * (d + 1) // 2, self.n_classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : Tensor of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Signals of any real dtype. The mean of each channel is subtracted in that
            dtype, then the rest runs in the dtype of the weights.

        Returns
        -------
        Tensor of shape (n_epochs, n_classes)
            The logits.
        """
        return self.classifier(self.features(X))

    def features(self, X):
        """Return the tangent vectors, on which the linear layer works.

        Parameters
        ----------
        X : Tensor of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        Tensor of shape (n_epochs, d * (d + 1) / 2)
            Tangent vectors.
        """
        C = self.covariances(X)
        return upper_vector(spd_log(self.whitening @ C @ self.whitening))

    def covariances(self, X):
        """Return the augmented covariances of the filtered epochs.

        Parameters
        ----------
        X : Tensor of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        Tensor of shape (n_epochs, d, d)
            Covariances.
        """
        X = self._prepare(X)
        n_samples = _n_embedded(X.shape[-1], self.order, self.lag, self.trim)
        d = len(self.reference)
        if self.estimator != "oas" and n_samples - 1 < d:
            raise ValueError(
                f"{n_samples} embedded samples give singular covariances of {d} rows "
                f"with estimator={self.estimator!r}: use estimator='oas'."
            )
        if self.spatial_filter is not None:
            X = self.spatial_filter.weight @ X
        return augmented_covariance_torch(
            X,
            self.order,
            self.lag,
            estimator=self.estimator,
            trim=self.trim,
            check_finite=False,
        )

    @property
    def has_reference(self):
        """Whether a reference is set: even the identity may be one."""
        return bool(self._has_reference)

    @torch.no_grad()
    def fit_reference(self, X):
        """Set the reference to the arithmetic-harmonic mean of the covariances of X.

        That mean has the invariances of the Riemannian mean and needs one pass.

        Parameters
        ----------
        X : Tensor of shape (n_epochs, n_channels, n_times), or iterable of them
            Training epochs, whole or in batches.

        Returns
        -------
        AugmentedCovarianceNet
            The module itself.

        Raises
        ------
        ValueError
            If a covariance is not positive definite, or there are no epochs.
        """
        # Sums of inverses of ill-conditioned matrices want float64, which not every
        # device has.
        arithmetic, inverse, n_epochs = 0.0, 0.0, 0
        for batch in [X] if isinstance(X, torch.Tensor) else X:
            C = self.covariances(batch.to(self.reference.device)).cpu().double()
            arithmetic = arithmetic + C.sum(0)
            inverse = inverse + spd_power(C, -1).sum(0)
            n_epochs += len(C)
        if n_epochs == 0:
            raise ValueError("fit_reference needs at least one epoch, got none.")
        harmonic = spd_power(inverse / n_epochs, -1)
        return self.set_reference(
            arithmetic_harmonic_mean(arithmetic / n_epochs, harmonic)
        )

    @torch.no_grad()
    def set_reference(self, M):
        """Set the reference point of the tangent space.

        Parameters
        ----------
        M : Tensor of shape (d, d)
            A symmetric positive definite matrix.

        Returns
        -------
        AugmentedCovarianceNet
            The module itself.

        Raises
        ------
        ValueError
            If M has another shape or is not positive definite.
        """
        if M.shape != self.reference.shape:
            raise ValueError(
                f"The reference must have shape {tuple(self.reference.shape)}, got "
                f"{tuple(M.shape)}."
            )
        whitening = spd_power(M.cpu().double(), -0.5)
        self.reference.copy_(M)
        self.whitening.copy_(whitening)
        self._has_reference.fill_(True)
        return self

    @torch.no_grad()
    def reset_reference(self):
        """Forget the reference: it is the initial identity again.

        Returns
        -------
        AugmentedCovarianceNet
            The module itself.
        """
        for matrix in (self.reference, self.whitening):
            matrix.copy_(torch.eye(len(matrix)))
        self._has_reference.fill_(False)
        return self

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # A state saved without the flag: there the identity stood for no reference.
        flag, M = prefix + "_has_reference", state_dict.get(prefix + "reference")
        if M is not None and flag not in state_dict:
            state_dict[flag] = (torch.eye(*M.shape).to(M) != M).any()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _prepare(self, X):
        """Check X, centre it in its own precision, cast it to that of the weights."""
        if isinstance(X, torch.Tensor) and X.dtype in _INTEGERS:
            X = X.to(self.reference.dtype)
        X = _check_epochs(X)
        if X.shape[1] != self.n_channels:
            raise ValueError(
                f"X has {X.shape[1]} channels, but the net has "
                f"n_channels={self.n_channels}."
            )
        return (X - X.mean(dim=-1, keepdim=True)).to(self.reference.dtype)


def _check_sizes(n_channels, n_classes, n_filters):
    for name, value, lowest in (
        ("n_channels", n_channels, 1),
        ("n_classes", n_classes, 1),
        ("n_filters", 1 if n_filters is None else n_filters, 1),
    ):
        if not isinstance(value, Integral) or value < lowest:
            raise ValueError(f"{name} must be an integer >= {lowest}, got {value!r}.")
    if n_filters is not None and n_filters > n_channels:
        raise ValueError(
            f"n_filters={n_filters} exceeds n_channels={n_channels}: the filtered "
            "signals would be linearly dependent."
        )
