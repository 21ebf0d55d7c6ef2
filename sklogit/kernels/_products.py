"""The three matrix products of a linear head, by the fastest library at hand.

They take three quarters and more of the time of the loss, so the library behind them
matters more than all else here.
"""

import platform
from functools import cache

import torch


def products_for(weight):
    """Choose how to multiply with tiles of a weight.

    Parameters
    ----------
    weight : Tensor of shape (V, D)
        The weight of a head.

    Returns
    -------
    Products
        What multiplies fastest on its device, and sums in single precision or better.
    """
    dtype = torch.promote_types(weight.dtype, torch.float32)
    on_cpu = weight.device.type == "cpu"
    wide = Products(dtype)
    # oneDNN has no products over no features.
    if on_cpu and dtype == torch.float32 and weight.shape[1] and _onednn_is_faster():
        wide = OneDNNProducts(dtype)
    # Not float16: the factors of a row, one over a sum of thousands, would underflow.
    if weight.dtype == torch.bfloat16:
        if on_cpu and _has_bfloat16_instructions():
            return BFloat16Products(wide)
        if weight.device.type == "cuda" and _mm_widens():
            return WideningProducts(wide)
    return wide


class Products:
    """Products by torch's BLAS, in the dtype of the sums.

    Shapes: features h (n, D), tile W of the weight (v, D), tile S of the softmax
    (n, v).

    Parameters
    ----------
    dtype : torch.dtype
        That of the sums, float32 or float64. The weight may be narrower.

    Attributes
    ----------
    dtype : torch.dtype
        That of the sums.
    tile_dtype : torch.dtype
        In which tiles of the softmax are to be kept.
    """

    def __init__(self, dtype):
        self.dtype = self.tile_dtype = dtype

    def prepare(self, features, scale):
        """Make of features what `logits` takes.

        Parameters
        ----------
        features : Tensor of shape (n, D)
            Features, in their own dtype.
        scale : float
            Factor of the logits.

        Returns
        -------
        Tensor of shape (n, D)
            The left operand.
        """
        return features.to(self.dtype) * scale

    def logits(self, prepared, W, bias, scale):
        """Compute :math:`s h W^T + b`.

        Parameters
        ----------
        prepared, W : Tensor
            What `prepare` has made, and a tile of the weight.
        bias : Tensor of shape (v,) or None
            In the dtype of the sums, scaled.
        scale : float
            The factor that `prepare` got.

        Returns
        -------
        Tensor of shape (n, v)
            Scaled logits, a new tensor in the dtype of the sums.
        """
        W = W.to(self.dtype)
        return prepared @ W.T if bias is None else torch.addmm(bias, prepared, W.T)

    def times(self, S, W):
        """Compute :math:`S W`.

        Parameters
        ----------
        S, W : Tensor
            A tile of the softmax, and one of the weight.

        Returns
        -------
        Tensor of shape (n, D)
            The product, in the dtype of the sums.
        """
        return S @ W.to(self.dtype)

    def add_outer(self, total, S, h, fresh=False):
        """Add :math:`S^T h` to a sum, in place.

        Parameters
        ----------
        total : Tensor of shape (v, D)
            The sum.
        S, h : Tensor
            A tile of the softmax, and features in the dtype of the sums.
        fresh : bool, default=False
            Whether the sum has no value yet.
        """
        # With beta=0 what is in the memory does not count, even if it is NaN.
        torch.addmm(total, S.T, h, beta=0 if fresh else 1, out=total)


class OneDNNProducts(Products):
    """Products by oneDNN, which torch takes for float32 only in compiled modules.

    Measured on an AMD EPYC of family 26: 240 Gflop/s a core, against 105 of MKL.
    """

    def logits(self, prepared, W, bias, scale):
        """Compute :math:`s h W^T + b`; see `Products`."""
        return _linear(prepared, W.to(self.dtype), bias)

    def times(self, S, W):
        """Compute :math:`S W`; see `Products`."""
        return _linear(S, W.to(self.dtype).T)

    def add_outer(self, total, S, h, fresh=False):
        """Add :math:`S^T h` to a sum; see `Products`."""
        # Its left operand must be contiguous, and it does not sum in place. Of the two
        # ways the one that transposes less.
        if h.shape[1] <= len(h) // 2:
            product = _linear(h.T.contiguous(), S.T).T.contiguous()
        else:
            product = _linear(S.T.contiguous(), h.T)
        total.copy_(product) if fresh else total.add_(product)


class BFloat16Products(Products):
    """Products of a bfloat16 gradient, with logits of single precision.

    Logits rounded to bfloat16 are off by up to one part in 256, and the softmax of
    large ones by some percent. The gradient is rounded to bfloat16 in the end, so its
    products may be of bfloat16.

    Parameters
    ----------
    wide : Products
        Those of single precision.
    """

    def __init__(self, wide):
        super().__init__(wide.dtype)
        self.tile_dtype = torch.bfloat16
        self._wide = wide

    def logits(self, prepared, W, bias, scale):
        """Compute :math:`s h W^T + b`; see `Products`."""
        return self._wide.logits(prepared, W, bias, scale)

    def times(self, S, W):
        """Compute :math:`S W`; see `Products`."""
        return (S.to(torch.bfloat16) @ W).to(self.dtype)

    def add_outer(self, total, S, h, fresh=False):
        """Add :math:`S^T h` to a sum; see `Products`."""
        product = S.T.to(torch.bfloat16) @ h.to(torch.bfloat16)
        total.copy_(product) if fresh else total.add_(product)


class WideningProducts(BFloat16Products):
    """Products of bfloat16 that GPUs return in single precision.

    Tested with a stand-in for the GPU's product only.
    """

    def prepare(self, features, scale):
        """Make of features what `logits` takes; see `Products`."""
        # Scaled features would have to be rounded.
        return features

    def logits(self, prepared, W, bias, scale):
        """Compute :math:`s h W^T + b`; see `Products`."""
        z = torch.mm(prepared, W.T, out_dtype=self.dtype).mul_(scale)
        return z if bias is None else z.add_(bias)


def _linear(x, W, bias=None):
    return torch.ops.mkldnn._linear_pointwise(x, W, bias, "none", [], "")


def _onednn_is_faster():
    """Whether BLAS leaves the wide registers of this CPU idle, and oneDNN does not.

    MKL takes kernels for AVX2 on CPUs of other makers than Intel, and OpenBLAS on those
    that it does not know. oneDNN asks the CPU what it can do.
    """
    return torch.backends.mkldnn.enabled and _is_wide_amd()


@cache
def _is_wide_amd():
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "AuthenticAMD" in _cpu_description()
    )


def _cpu_description():
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            return file.read(4096)
    except OSError:
        return platform.processor()


@cache
def _has_bfloat16_instructions():
    """Whether the CPU multiplies bfloat16; otherwise torch emulates it, very slowly."""
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    asks = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(asks and asks())


@cache
def _mm_widens():
    return "dtype" in torch.ops.aten.mm.overloads()
