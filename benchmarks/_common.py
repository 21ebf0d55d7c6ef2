"""What the benchmarks share: timing in turns, tables, files."""

import csv
import platform
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results"


def cpu_times(*functions, repeats=3):
    """Best CPU seconds of each function, called in turns so that drift hits all.

    BLAS has one thread meanwhile, so that CPU time means the same for all. Returns the
    times and what each function returned last.
    """
    best = [float("inf")] * len(functions)
    values = [None] * len(functions)
    with threadpool_limits(1):
        for _ in range(repeats):
            for i, function in enumerate(functions):
                start = time.process_time()
                values[i] = function()
                best[i] = min(best[i], time.process_time() - start)
    return best, values


def report(name, rows):
    """Print rows (dicts with the same keys) as a table; write results/NAME.csv."""
    columns = list(rows[0])
    cells = [columns] + [[_cell(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths)))
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.csv", "w", newline="", encoding="utf8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(cells)
    print(f"wrote {RESULTS.name}/{name}.csv")


def _cell(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def versions():
    """Print what the figures were measured with."""
    import numpy
    import pyriemann
    import sklearn

    print(
        f"Python {platform.python_version()}, numpy {numpy.__version__}, "
        f"scikit-learn {sklearn.__version__}, pyriemann {pyriemann.__version__}, "
        f"{platform.machine()}; CPU time, one BLAS thread, best of the repeats"
    )


def band_passed_noise(n_epochs, n_channels, n_times, sfreq=250.0, seed=0):
    """Noise of 8 to 32 Hz, mixed between channels: conditioned like filtered EEG."""
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_channels, n_channels))
    noise = rng.standard_normal((n_epochs, n_channels, n_times + 2 * int(sfreq)))
    sos = butter(4, (8.0, 32.0), btype="bandpass", fs=sfreq, output="sos")
    signal = sosfiltfilt(sos, mixing @ noise, axis=2)
    edge = int(sfreq)
    return np.ascontiguousarray(signal[:, :, edge : edge + n_times])
