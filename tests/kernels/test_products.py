"""Products of tiles against those of double precision, whatever this CPU is."""

from types import SimpleNamespace

import pytest
import torch

from sklogit.kernels import _products
from sklogit.kernels._products import (
    BFloat16Products,
    OneDNNProducts,
    Products,
    WideningProducts,
    products_for,
)

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch without oneDNN"
)


def tile(n, v, d, dtype=torch.float32):
    generator = torch.Generator().manual_seed(n + v + d)
    shapes = {"h": (n, d), "W": (v, d), "S": (n, v), "bias": (v,), "total": (v, d)}
    return {
        name: torch.randn(shape, generator=generator).to(dtype)
        for name, shape in shapes.items()
    }


def assert_close(ours, exact, terms, unit):
    """Up to the rounding of a sum of so many terms of size one, or ten for one."""
    assert ours.shape == exact.shape
    atol = 8 * unit * (terms + 5)
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "products",
    [
        Products(torch.float32),
        pytest.param(OneDNNProducts(torch.float32), marks=needs_onednn),
    ],
    ids=["BLAS", "oneDNN"],
)
@pytest.mark.parametrize("wide", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (5, 300, 1), (64, 17, 3), (40, 33, 20), (7, 65, 64)]
)
def test_products_of_single_precision(products, shape, transposed, wide):
    x = tile(*shape)
    x["W"] = x["W"].to(wide)  # a weight may be narrower than the sums
    if transposed:
        x = {k: v.T.contiguous().T if v.ndim == 2 else v for k, v in x.items()}
    d = {k: v.double() for k, v in x.items()}
    n, v, features = shape
    unit = torch.finfo(torch.float32).eps
    prepared = products.prepare(x["h"], 1.5)
    for bias in (None, x["bias"]):
        z = products.logits(prepared, x["W"], bias, 1.5)
        exact = 1.5 * d["h"] @ d["W"].T + (0 if bias is None else d["bias"])
        assert_close(z, exact, features, unit)
    assert_close(products.times(x["S"], x["W"]), d["S"] @ d["W"], v, unit)
    for fresh in (False, True):
        total = x["total"].clone()
        if fresh:
            total.fill_(torch.nan)
        products.add_outer(total, x["S"], x["h"], fresh)
        exact = d["S"].T @ d["h"] + (0 if fresh else d["total"])
        assert_close(total, exact, n, unit)


def test_products_of_bfloat16_have_logits_of_single_precision():
    x = tile(40, 33, 20, torch.bfloat16)
    d = {k: v.double() for k, v in x.items()}
    products = BFloat16Products(Products(torch.float32))
    prepared = products.prepare(x["h"], 1.5)
    z = products.logits(prepared, x["W"], x["bias"].float(), 1.5)
    assert z.dtype == torch.float32
    unit = torch.finfo(torch.float32).eps
    assert_close(z, 1.5 * d["h"] @ d["W"].T + d["bias"], 20, unit)
    half = torch.finfo(torch.bfloat16).eps
    product = products.times(x["S"], x["W"])
    assert product.dtype == torch.float32
    assert_close(product, d["S"] @ d["W"], 33, half)
    for fresh in (False, True):
        total = x["total"].float()
        products.add_outer(total, x["S"], x["h"].float(), fresh)
        exact = d["S"].T @ d["h"] + (0 if fresh else d["total"])
        assert_close(total, exact, 40, half)


def test_products_that_widen_scale_afterwards(monkeypatch):
    # Only GPUs have them: here by a product of wide operands.
    def widening(a, b, out_dtype):
        assert a.dtype == b.dtype == torch.bfloat16
        return a.to(out_dtype) @ b.to(out_dtype)

    monkeypatch.setattr(_products.torch, "mm", widening)
    x = tile(8, 9, 10, torch.bfloat16)
    d = {k: v.double() for k, v in x.items()}
    products = WideningProducts(Products(torch.float32))
    prepared = products.prepare(x["h"], 1.5)
    unit = torch.finfo(torch.float32).eps
    for bias in (None, x["bias"].float()):
        z = products.logits(prepared, x["W"], bias, 1.5)
        exact = 1.5 * d["h"] @ d["W"].T + (0 if bias is None else d["bias"])
        assert_close(z, exact, 10, unit)


class TestChoice:
    def weight(self, dtype):
        return torch.empty(1, 1, dtype=dtype)

    def test_double_precision_has_blas(self):
        products = products_for(self.weight(torch.float64))
        assert type(products) is Products
        assert products.dtype == torch.float64

    @pytest.mark.parametrize("wide_amd", [True, False])
    def test_onednn_where_blas_leaves_wide_registers_idle(self, wide_amd, monkeypatch):
        monkeypatch.setattr(_products, "_is_wide_amd", lambda: wide_amd)
        expected = OneDNNProducts if wide_amd else Products
        assert type(products_for(self.weight(torch.float32))) is expected
        with torch.backends.mkldnn.flags(enabled=False):
            assert type(products_for(self.weight(torch.float32))) is Products

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("native", [True, False])
    def test_half_precision_is_emulated_nowhere(self, native, dtype, monkeypatch):
        monkeypatch.setattr(_products, "_has_bfloat16_instructions", lambda: native)
        products = products_for(self.weight(dtype))
        uses = isinstance(products, BFloat16Products)
        assert uses == (native and dtype == torch.bfloat16)
        assert products.dtype == torch.float32

    def test_what_this_cpu_can_do_is_known(self):
        assert _products._has_bfloat16_instructions() in (True, False)
        assert _products._is_wide_amd() in (True, False)

    def test_older_torch_is_asked_otherwise(self, monkeypatch):
        ask = _products._has_bfloat16_instructions.__wrapped__
        for answer in (True, False):
            older = SimpleNamespace(_is_avx512_bf16_supported=lambda a=answer: a)
            monkeypatch.setattr(_products.torch, "cpu", older)
            assert ask() is answer
        monkeypatch.setattr(_products.torch, "cpu", SimpleNamespace())
        assert ask() is False

    def test_the_maker_of_the_cpu_without_linux(self, monkeypatch):
        def refuse(*args, **kwargs):
            raise OSError

        monkeypatch.setattr("builtins.open", refuse)
        monkeypatch.setattr(_products.platform, "processor", lambda: "AuthenticAMD")
        assert _products._cpu_description() == "AuthenticAMD"
