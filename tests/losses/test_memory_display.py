import json
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklogit.losses import LossMemoryDisplay

N, D = 512, 16
SIZES = [2048, 8192]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def display():
    display = LossMemoryDisplay.from_losses(n_classes=SIZES, n_rows=N, n_features=D)
    plt.close("all")
    return display


def test_the_usual_loss_holds_three_matrices_of_logits(display):
    # The logits, their logarithmic softmax, and the gradient; then the first is freed.
    expected = [3 * 4 * N * V for V in SIZES]
    np.testing.assert_allclose(display.peak_bytes["all logits"], expected, rtol=0.02)


def test_the_gradients_are_those_of_features_weight_and_bias(display):
    assert display.gradient_bytes.tolist() == [4 * (N * D + V * D + V) for V in SIZES]


def test_recomputing_needs_little_more_than_the_gradients(display):
    extra = display.peak_bytes["recompute"] - display.gradient_bytes
    # Tiles: they do not grow with the number of classes.
    assert extra[1] < 1.5 * extra[0]
    assert (extra > 0).all()


def test_a_loss_of_my_own():
    def wasteful(features, weight, bias, target):
        kept = torch.zeros(10_000_000)
        return F.cross_entropy(F.linear(features, weight, bias), target) + kept[0]

    display = LossMemoryDisplay.from_losses(
        {"wasteful": wasteful}, n_classes=[10], n_rows=4, n_features=3
    )
    assert display.peak_bytes["wasteful"][0] == pytest.approx(4e7, rel=0.01)


def test_narrow_numbers_need_half():
    sizes = {"n_classes": [5000], "n_rows": 64, "n_features": 8}
    wide = LossMemoryDisplay.from_losses(**sizes)
    narrow = LossMemoryDisplay.from_losses(**sizes, dtype=torch.bfloat16)
    assert 2 * narrow.gradient_bytes[0] == wide.gradient_bytes[0]
    ratio = narrow.peak_bytes["all logits"] / wide.peak_bytes["all logits"]
    assert ratio == pytest.approx(0.5, rel=0.02)


def test_it_draws_a_line_for_each_loss_and_one_for_the_gradients(display):
    ax = plt.figure().subplots()
    assert display.plot(ax=ax, linewidth=3).ax_ is ax
    labels = [line.get_label() for line in display.lines_]
    assert labels == ["all logits", "chunk", "recompute", "gradients alone"]
    drawn = display.lines_[0].get_xydata()
    np.testing.assert_allclose(drawn[:, 0], SIZES)
    np.testing.assert_allclose(drawn[:, 1], display.peak_bytes["all logits"] / 2**20)
    assert display.lines_[0].get_linewidth() == 3
    assert "MiB" in ax.get_ylabel()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_agrees_with_the_memory_of_a_process():
    # Not ru_maxrss, which a process inherits from the one that has started it.
    code = """
import json, re, torch
from sklogit.losses._memory_display import _peak_bytes, _random_data, all_logits

def resident(name):
    status = open("/proc/self/status").read()
    return 1024 * int(re.search(name + r":\\s+(\\d+) kB", status)[1])

torch.set_num_threads(1)
head, target = _random_data(16, 16, 64, torch.float32, "cpu")
torch.autograd.grad(all_logits(*head, target), head)  # what libraries allocate once
head, target = _random_data(1024, 16, 32768, torch.float32, "cpu")
before = resident("VmRSS")
torch.autograd.grad(all_logits(*head, target), head)
grown = resident("VmHWM") - before
print(json.dumps([grown, _peak_bytes(all_logits, head, target)]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    grown, counted = json.loads(run.stdout.splitlines()[-1])
    assert counted == pytest.approx(grown, rel=0.1)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"losses": {}}, TypeError, "losses must be a dict"),
        ({"losses": {"a": 3}}, TypeError, "losses must be a dict"),
        ({"losses": F.cross_entropy}, TypeError, "losses must be a dict"),
        ({"n_classes": []}, ValueError, "n_classes must have at least one"),
        ({"n_classes": [0]}, ValueError, "n_classes == 0"),
        ({"n_classes": [2.5]}, TypeError, "n_classes must be an instance of int"),
        ({"n_rows": 0}, ValueError, "n_rows == 0"),
        ({"n_features": -1}, ValueError, "n_features == -1"),
    ],
)
def test_bad_input(parameters, error, message):
    with pytest.raises(error, match=message):
        LossMemoryDisplay.from_losses(**parameters)
