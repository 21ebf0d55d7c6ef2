"""Ready-made pipelines for MOABB evaluations."""

from pathlib import Path

from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils._param_validation import StrOptions, validate_params

from ._augmented import AugmentedCovariances
from ._classification import AugmentedCovarianceClassifier, AugmentedMDM
from ._multi_lag import MultiLagCovarianceClassifier
from ._search import AugmentedCovarianceClassifierCV
from ._tangent_space import SPDTangentSpace

# Lists rather than ranges and tuples: YAML knows only these, and MOABB files results
# under a checksum of the parameters as they print.
_GRIDS = {
    "small": {
        "orders": [1, 2, 4],
        "lags": [1, 2, 4, 8],
        "Cs": [1.0],
        "kernels": ["linear"],
        "estimator": "oas",
    },
    "paper": {
        "orders": list(range(1, 11)),
        "lags": list(range(1, 11)),
        "Cs": [0.5, 1.0, 1.5],
        "kernels": ["linear", "rbf"],
        "estimator": "cov",
    },
}


@validate_params(
    {"grid": [StrOptions(set(_GRIDS))]}, prefer_skip_nested_validation=True
)
def pipelines(grid="small"):
    """Make the pipelines of this package for MOABB evaluations.

    All take epochs of shape (n_epochs, n_channels, n_times). The one with ``(CV)``
    chooses its order and lag by cross-validation within each training set, so that the
    score of the evaluation is of a nested selection; it is passed to MOABB as it is,
    without ``param_grid``.

    Parameters
    ----------
    grid : {"small", "paper"}, default="small"
        Candidates of the pipeline with ``(CV)``: ``"small"`` are orders 1, 2, 4 and
        lags 1, 2, 4, 8 with shrunk covariances and a linear SVM of C = 1; ``"paper"``
        are the 600 candidates of [1]_, orders and lags 1 to 10 with sample covariances
        and linear and Gaussian SVMs of C = 0.5, 1, 1.5.

    Returns
    -------
    dict of str to Pipeline
        New, unfitted pipelines: ``"TS+SVM"`` (order 1: the plain covariance),
        ``"ACM+TS+SVM"``, ``"ACM+MDM"``, ``"TS+multi-lag+SVM"`` (the plain covariance
        and lagged ones of few components) and ``"ACM+TS+SVM (CV)"``.

    See Also
    --------
    pipelines_directory : The same as files for ``moabb.benchmark``.

    Notes
    -----
    Lags are in samples. Those of ``"TS+multi-lag+SVM"`` and ``"ACM+TS+SVM"`` suit
    recordings of about 160 Hz; for others, make pipelines with lags of your own.

    References
    ----------
    .. [1] "Classification of BCI-EEG based on augmented covariance matrix",
       arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.covariance import pipelines
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=40, n_channels=4, random_state=0)
    >>> for name in ["TS+SVM", "ACM+TS+SVM"]:
    ...     pipeline = pipelines()[name].fit(X[:30], y[:30])
    ...     print(name, pipeline.score(X[30:], y[30:]) > 0.9)
    TS+SVM False
    ACM+TS+SVM True
    """
    return {
        "TS+SVM": make_pipeline(
            AugmentedCovariances(order=1, estimator="oas"),
            SPDTangentSpace(),
            SVC(kernel="linear"),
        ),
        "ACM+TS+SVM": make_pipeline(
            AugmentedCovarianceClassifier(order=4, lag=4, estimator="oas")
        ),
        "ACM+MDM": make_pipeline(AugmentedMDM(order=4, lag=4, estimator="oas")),
        "TS+multi-lag+SVM": make_pipeline(MultiLagCovarianceClassifier(lags=[4, 6, 8])),
        "ACM+TS+SVM (CV)": make_pipeline(
            AugmentedCovarianceClassifierCV(**_GRIDS[grid], cv=3, random_state=42)
        ),
    }


def pipelines_directory():
    """Return the folder of pipeline files for ``moabb.benchmark``.

    The files describe what `pipelines` returns. MOABB writes lock files beside those it
    reads: copy the folder first if the package is installed where you cannot write.

    Returns
    -------
    str
        The folder, as ``moabb.benchmark(pipelines=...)`` takes it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from sklogit.covariance import pipelines_directory
    >>> for path in sorted(Path(pipelines_directory()).glob("*.yml")):
    ...     print(path.name)
    acm_mdm.yml
    acm_ts_svm.yml
    acm_ts_svm_cv.yml
    multi_lag.yml
    ts_svm.yml
    """
    return str(Path(__file__).parent / "moabb_pipelines")
