"""Metrics of learning task after task: accuracy over time, and what is forgotten."""

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array


def continual_accuracy_matrix(
    estimator, tasks_train, tasks_test, *, classes=None, return_estimator=False
):
    r"""Train on tasks one after the other, and test on all of them each time.

    .. math:: A_{tj} = \text{accuracy on test data of task } j
        \text{ after training on tasks } 0, \dots, t

    Parameters
    ----------
    estimator : classifier with partial_fit
        A clone of it is trained.
    tasks_train : sequence of (X, y)
        Training data of each task.
    tasks_test : sequence of (X, y)
        Test data of each task.
    classes : array-like of shape (n_classes,), default=None
        Given to the first `partial_fit`, for classifiers that need it.
    return_estimator : bool, default=False
        Whether to return the trained clone, too.

    Returns
    -------
    accuracies : ndarray of shape (n_tasks, n_tasks)
        The matrix; its last row has the mean that is called final average accuracy.
    estimator : classifier
        The trained clone; only with `return_estimator`.

    Raises
    ------
    ValueError
        If there are no tasks, or not as many for training as for tests.
    TypeError
        If the classifier has no `partial_fit`.

    See Also
    --------
    average_forgetting : How much of it is lost again.
    sklogit.continual.class_incremental_splits : Makes tasks of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklogit.metrics import continual_accuracy_matrix
    >>> X, y = np.array([[0.0], [0.1], [1.0], [1.1], [2.0], [2.1]]), [0, 0, 1, 1, 2, 2]
    >>> tasks = [(X[:4], y[:4]), (X[4:], y[4:])]
    >>> continual_accuracy_matrix(GaussianNB(), tasks, tasks, classes=[0, 1, 2])
    array([[1., 0.],
           [1., 1.]])
    """
    tasks_train, tasks_test = list(tasks_train), list(tasks_test)
    if not tasks_train or len(tasks_train) != len(tasks_test):
        raise ValueError(
            "tasks_train and tasks_test must have as many tasks, at least one, got "
            f"{len(tasks_train)} and {len(tasks_test)}."
        )
    if not hasattr(estimator, "partial_fit"):
        raise TypeError(
            "estimator must have the method partial_fit, got "
            f"{type(estimator).__name__}."
        )
    estimator = clone(estimator)
    given = {} if classes is None else {"classes": classes}
    accuracies = []
    for X, y in tasks_train:
        estimator.partial_fit(X, y, **given)
        given = {}
        accuracies.append(
            [accuracy_score(y, estimator.predict(X)) for X, y in tasks_test]
        )
    accuracies = np.array(accuracies)
    return (accuracies, estimator) if return_estimator else accuracies


def average_forgetting(accuracies, *, include_last=False):
    r"""Average what is lost of the best accuracy on each task.

    .. math:: \frac{1}{T - 1} \sum_{j < T - 1}
        \Big( \max_{t \ge j} A_{tj} - A_{T-1,\, j} \Big)

    Parameters
    ----------
    accuracies : array-like of shape (n_tasks, n_tasks)
        Accuracy after each task (rows) on each task (columns). What is above the
        diagonal, on tasks that were not trained yet, is not looked at.
    include_last : bool, default=False
        Whether to take the mean over all T tasks; of the last nothing is forgotten.

    Returns
    -------
    float
        Between 0 and 1; 0 for a single task.

    Raises
    ------
    ValueError
        If the matrix is not square, or not finite up to the diagonal.

    See Also
    --------
    average_incremental_accuracy : How good it was on the way.
    continual_accuracy_matrix : Makes the matrix.

    References
    ----------
    .. [1] "Riemannian Walk for Incremental Learning: Understanding Forgetting and
       Intransigence", arXiv:1801.10112.

    Examples
    --------
    >>> from sklogit.metrics import average_forgetting
    >>> average_forgetting([[1.0, 0.0], [0.4, 1.0]])
    0.6
    """
    A = _checked(accuracies)
    lost = [A[j:, j].max() - A[-1, j] for j in range(len(A) - (not include_last))]
    return float(np.mean(lost)) if lost else 0.0


def average_incremental_accuracy(accuracies):
    r"""Average the accuracy on the tasks so far over time.

    .. math:: \frac{1}{T} \sum_{t} \frac{1}{t + 1} \sum_{j \le t} A_{tj}

    Parameters
    ----------
    accuracies : array-like of shape (n_tasks, n_tasks)
        Accuracy after each task (rows) on each task (columns). What is above the
        diagonal, on tasks that were not trained yet, is not looked at.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the matrix is not square, or not finite up to the diagonal.

    See Also
    --------
    average_forgetting : How much is lost.
    continual_accuracy_matrix : Makes the matrix.

    References
    ----------
    .. [1] "iCaRL: Incremental Classifier and Representation Learning",
       arXiv:1611.07725.

    Examples
    --------
    >>> from sklogit.metrics import average_incremental_accuracy
    >>> average_incremental_accuracy([[1.0, 0.0], [0.4, 1.0]])
    0.85
    """
    A = _checked(accuracies)
    return float(np.mean([A[t, : t + 1].mean() for t in range(len(A))]))


def _checked(accuracies):
    A = check_array(
        accuracies, dtype=np.float64, ensure_all_finite=False, input_name="accuracies"
    )
    if A.shape[0] != A.shape[1]:
        raise ValueError(
            f"accuracies must be a square matrix, a row a task, got shape {A.shape}."
        )
    if not np.isfinite(A[np.tril_indices(len(A))]).all():
        raise ValueError("accuracies must be finite up to the diagonal.")
    return A
