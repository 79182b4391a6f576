"""The likelihood in plain NumPy float64: the judge of every peer and precision."""

import numpy as np


def log_likelihood(weights, means, covariances, x: np.ndarray) -> float:
    """Total log-likelihood of x f[n, d] under a full-covariance Gaussian mixture."""
    x = np.asarray(x, np.float64)
    joint = np.empty((len(x), len(weights)))
    triples = zip(*(np.asarray(a, np.float64) for a in (weights, means, covariances)), strict=True)
    for i, (weight, mean, covariance) in enumerate(triples):
        factor = np.linalg.cholesky(covariance)
        z = np.linalg.solve(factor, (x - mean).T)
        log_det = 2 * np.sum(np.log(np.diag(factor)))
        constant = np.log(weight) - 0.5 * (log_det + x.shape[1] * np.log(2 * np.pi))
        joint[:, i] = constant - 0.5 * np.sum(z * z, axis=0)
    top = joint.max(axis=1)
    return float(np.sum(top + np.log(np.sum(np.exp(joint - top[:, None]), axis=1))))


def of_fit(fit, x: np.ndarray) -> float:
    """The same of one `jaxem.Fit` without lane axis."""
    p = fit.params
    return log_likelihood(p.weights, p.means, p.covariances, x)
