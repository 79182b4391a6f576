"""Two hundred fits in a row: threaded LAPACK inside compiled loops would deadlock here."""

import jax
import numpy as np
import pytest

import jaxem


@pytest.mark.timeout(150, method="thread")
def test_hundreds_of_fits_end():
    # Sizes at which a prototype with LAPACK in the loop hung in half of its trials on two cores.
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(m, 1, size=(40, 6)) for m in (0, 3, 6)])
    model = jaxem.Mixture(jaxem.Gaussian("full", reg_covar=1e-3), n_components=3)
    starts = jax.jit(jax.vmap(lambda key: model.init(key, x)))
    run = jax.jit(
        jax.vmap(lambda p, x: jaxem.em(model, p, x, tol=1e-5, max_iter=30), in_axes=(0, None))
    )
    for i in range(200):
        key = jax.random.key(i)
        if i % 8 == 0:
            fits = jaxem.fit(model, x, key=key, n_starts=16, tol=1e-5, max_iter=30)
        else:
            fits = run(starts(jax.random.split(key, 16)), x)
        assert np.isfinite(fits.log_likelihood).all()
