"""Choice of how strongly a bias is added and trained, by held-out shots."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from scipy.stats import rankdata
from sklearn.utils.parallel import Parallel, delayed

from ._bias import bias_of

# A quarter less time, and held-out scores that mostly differ in the fourth digit.
_COARSER = 3


class Candidate(NamedTuple):
    """A way to add and to train the bias."""

    alpha: float
    lambda_merge: float
    power: float
    l2: float


class HeldOut:
    """One fold: a problem to train, and rows to judge by.

    Parameters
    ----------
    problem : BiasProblem
        The training part.
    test : FewShots
        The held-out rows.
    weight : ndarray of shape (n_test,)
        Their weights, as a share of all rows.
    factor : callable
        Factor of the bias, of prior logits and a power.
    max_iter, tol : int, float
        Of the last training; those of a search are coarser.
    """

    def __init__(self, problem, test, weight, factor, max_iter, tol):
        self.problem, self.test, self.weight = problem, test, weight
        self.factor, self.max_iter, self.tol = factor, max_iter, tol

    def judge(self, candidates):
        """Train and judge candidates one after the other.

        Candidates that are trained alike are trained once, and each training starts
        from the one before it.

        Returns
        -------
        ndarray of shape (n_candidates, 2)
            Weighted sums of the logarithm of the probability of the label, and of
            correct labels.
        """
        bias_by_training, start, sums = {}, None, []
        for candidate in candidates:
            key = _what_training_depends_on(candidate)
            if key not in bias_by_training:
                start, bias_by_training[key] = self._train(candidate, start)
            sums.append(self._sums(candidate, bias_by_training[key]))
        return np.array(sums)

    def _train(self, candidate, start):
        problem = self.problem
        gain = candidate.alpha * self.factor(problem.shots.prior, candidate.power)
        fit = problem.minimise(
            gain,
            candidate.lambda_merge,
            candidate.l2,
            self.max_iter,
            _COARSER * self.tol,
            start=start,
        )
        if fit.interrupt is not None:
            raise fit.interrupt
        coef = problem.coefficients(fit.parameters)
        u = np.asarray(self.test.features @ coef.T)
        return fit.parameters, bias_of(u, problem.scale, problem.by_row)

    def _sums(self, candidate, bias):
        test = self.test
        gain = candidate.alpha * self.factor(test.prior, candidate.power)
        logits = test.prior + gain[:, np.newaxis] * bias
        own = log_softmax(logits, axis=1)[np.arange(test.n_rows), test.y]
        right = logits.argmax(axis=1) == test.y
        return self.weight @ own, self.weight @ right


def _what_training_depends_on(candidate):
    # A bias that is trained for itself does not know how it will be added.
    if candidate.lambda_merge == 0:
        return candidate._replace(alpha=0.0, power=0.0)
    if candidate.alpha == 0:
        return candidate._replace(power=0.0)
    return candidate


class Search:
    """Scores of candidates on all folds, each computed once.

    Parameters
    ----------
    folds : list of HeldOut
        The folds.
    by_accuracy : bool
        Whether to score by accuracy rather than by the log-likelihood.
    n_jobs : int or None
        Folds to train at once.
    """

    def __init__(self, folds, by_accuracy, n_jobs):
        self.folds, self.by_accuracy = folds, by_accuracy
        self.parallel = Parallel(n_jobs=n_jobs)
        # Of each candidate an array of shape (n_folds, 2), as `HeldOut.judge` has them.
        self.sums = {}
        self._weight = np.array([fold.weight.sum() for fold in folds])
        self._total = self._weight.sum()

    def best_of(self, candidates):
        """Return the best; of equal ones the first.

        Of equal accuracies the log-likelihood decides.
        """
        new = [c for c in dict.fromkeys(candidates) if c not in self.sums]
        if new:
            sums = self.parallel(delayed(f.judge)(new) for f in self.folds)
            self.sums.update(zip(new, np.swapaxes(sums, 0, 1)))
        return max(candidates, key=self._key)

    def mean_score(self, candidate):
        """Score of all held-out rows together."""
        return self._key(candidate)[0]

    def _key(self, candidate):
        log_likelihood, right = self.sums[candidate].sum(axis=0) / self._total
        return (right, log_likelihood) if self.by_accuracy else (log_likelihood,)

    def coordinate(self, start, values, n_rounds=2):
        """Improve one number after the other, the others kept.

        Parameters
        ----------
        start : Candidate
            Where to start.
        values : dict
            Values to try of each number, by its name, in the order of the steps.
        n_rounds : int, default=2
            How often to go through all numbers.

        Returns
        -------
        Candidate
            The best that was met.
        """
        best = start
        for _ in range(n_rounds):
            before = best
            for name, of_name in values.items():
                line = [best._replace(**{name: value}) for value in of_name]
                best = self.best_of([best, *line])
            if best == before:
                break
        return best

    def results(self):
        """Return all candidates and their scores as `GridSearchCV` does."""
        table = np.array(list(self.sums), dtype=np.float64).reshape(-1, 4)
        results = {"params": [candidate._asdict() for candidate in self.sums]}
        for name, column in zip(Candidate._fields, table.T):
            results[f"param_{name}"] = column
        which = 1 if self.by_accuracy else 0
        for k, weight in enumerate(self._weight):
            of_fold = [sums[k, which] / weight for sums in self.sums.values()]
            results[f"split{k}_test_score"] = np.array(of_fold)
        mean = np.array([self.mean_score(candidate) for candidate in self.sums])
        results["mean_test_score"] = mean
        results["rank_test_score"] = rankdata(-mean, method="min").astype(np.int32)
        return results
