"""Every column may have its own count: a feature that is 1 where the cell is observed. So a family
with cells that are missing needs nothing of the engine."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core.constraints import Interval
from jaxem.core.trees import pytree
from jaxem.numerics import safe_divide, safe_log, stack_rows


@pytree
class Shares:
    yes: jax.Array  # f[k, d]


@pytree
class Answers:
    """Answers 1 or 0, −1 where there is none, missing at random: log p(x|k) is the sum over the
    cells that are there."""

    prior: ClassVar[None] = None

    def constraints(self):
        return {"yes": Interval(0.0, 1.0)}

    def validate(self, x):
        if not np.isin(x, (-1, 0, 1)).all():
            raise ValueError("answers are 1 or 0, −1 where there is none.")

    def features(self, x):
        there = (x >= 0).astype(x.dtype)
        return stack_rows([jnp.ones((1, len(x)), x.dtype), there.T, (there * x).T])

    def log_base(self, x):
        return jnp.zeros(x.shape[:1], x.dtype)

    def coefficients(self, params):
        no, yes = safe_log(1 - params.yes), safe_log(params.yes)
        return jnp.concatenate([jnp.zeros_like(no[:, :1]), no, yes - no], axis=1)

    def maximize(self, stats, params, frozen=()):
        there, yes = jnp.split(stats.moments[:, 1:], 2, axis=1)
        return Shares(safe_divide(yes, there, params.yes))  # each column by its own count

    def embed(self, x):
        return jnp.where(x < 0, 0.5, x)

    def blank(self, k, d, dtype):
        return Shares(jnp.full((k, d), 0.5, dtype))

    def sample(self, key, params, labels):
        return jax.random.bernoulli(key, params.yes[labels]).astype(params.yes.dtype)

    def log_prior(self, params):
        return jnp.zeros((), params.yes.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        return n_components * d

    def usable(self, params):
        return jnp.all((params.yes >= 0) & (params.yes <= 1), axis=1)

    def healthy(self, params, stats):
        return self.usable(params)


MODEL, KEY = jaxem.Mixture(Answers(), n_components=2), jax.random.key(0)


@pytest.fixture(scope="module")
def answers():
    draw = np.random.default_rng(0)
    shares = np.array([[0.9, 0.8, 0.7, 0.2, 0.6], [0.2, 0.1, 0.4, 0.7, 0.5]])
    x = (draw.uniform(size=(400, 5)) < shares[draw.integers(0, 2, 400)]).astype(float)
    return np.where(draw.uniform(size=x.shape) < 0.3, -1, x)


def by_hand(x, weights, yes, steps):
    """EM on the cells that are there, cell by cell (Rubin 1976: the others are ignorable)."""
    there = x >= 0
    for _ in range(steps):
        cell = np.where(x[:, None] == 1, np.log(yes)[None], np.log(1 - yes)[None])
        joint = np.log(weights) + np.sum(np.where(there[:, None], cell, 0), axis=2)
        level = np.logaddexp(*joint.T)
        r = np.exp(joint - level[:, None])
        weights = r.mean(axis=0)
        yes = (r.T @ np.where(there, x, 0)) / (r.T @ there)
    return weights, yes, level.sum()


def test_the_steps_are_those_of_em_on_the_cells_that_are_there(answers):
    start = jaxem.fit(MODEL, answers, key=KEY, n_starts=1, max_iter=0)[0].params
    weights, yes = np.asarray(start.weights), np.asarray(start.components.yes)
    for steps in (1, 7):
        fit = jaxem.em(MODEL, start, answers, max_iter=steps, tol=0)
        want = by_hand(answers, weights, yes, steps)
        np.testing.assert_allclose(fit.params.weights, want[0], rtol=1e-10)
        np.testing.assert_allclose(fit.params.components.yes, want[1], rtol=1e-10)


def test_every_public_function_takes_it(answers):
    options = dict(key=KEY, n_starts=8, tol=1e-12, max_iter=5000)
    best = jaxem.fit(MODEL, answers, **options).best()
    want = by_hand(answers, np.array([0.5, 0.5]), np.asarray(best.params.components.yes), 3000)
    np.testing.assert_allclose(best.log_likelihood, want[2], rtol=1e-9)
    score = jax.grad(lambda p: jnp.sum(MODEL.log_prob(p, jnp.asarray(answers))))(best.params)
    np.testing.assert_allclose(score.components.yes, 0, atol=1e-4)
    many = jaxem.fit_many(MODEL, [answers, answers[:200]], **options)
    np.testing.assert_allclose(many[0].best().log_likelihood, best.log_likelihood, rtol=1e-9)
    counts = np.random.default_rng(1).multinomial(400, np.full(400, 1 / 400), size=3)
    boot = jaxem.fit_many(MODEL, answers, sample_weight=counts, **options)
    assert boot.best().sound.all()
    assert np.isfinite(best.standard_errors(answers).components.yes).all()


def test_a_row_without_any_answer_changes_only_the_number_of_rows(answers):
    more = np.concatenate([answers, np.full((30, 5), -1.0)])
    options = dict(key=KEY, n_starts=8, tol=1e-12, max_iter=5000)
    one, other = (jaxem.fit(MODEL, x, **options).best() for x in (answers, more))
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-9)
