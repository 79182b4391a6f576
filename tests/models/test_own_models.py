"""Models of a user's own go every way that mixtures go; the engine has no line for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own_models import LSAT7, BloodGroups, NormalMean, TwoParameterLogistic

import jaxem
from jaxem import Status
from jaxem.core.trees import pytree

KEY = jax.random.key(0)
ROWS = np.random.default_rng(0).normal([3.0, -1.0], size=(60, 2))
PHENOTYPES, COUNTS = np.arange(4.0)[:, None], np.array([186.0, 38.0, 13.0, 284.0])

#: model, data, weights, the maximum of the likelihood.
CASES = {
    "mean": (NormalMean(), ROWS, None, None),
    "blood": (BloodGroups(), PHENOTYPES, COUNTS, None),
    "items": (TwoParameterLogistic(), *LSAT7, -2658.805),
}


@pytest.fixture(params=list(CASES), scope="module")
def case(request):
    return CASES[request.param]


def fit(case, **options):
    model, x, weight, _ = case
    given = dict(key=KEY, n_starts=6, sample_weight=weight, tol=1e-9, max_iter=3000)
    return jaxem.fit(model, x, **(given | options))


def test_fit_and_em_from_its_start(case):
    model, x, weight, top = case
    fits = fit(case)
    assert (fits.status == Status.CONVERGED).all() and fits.optima().best_count == 6
    best = fits.best()
    total = np.asarray(model.log_prob(best.params, x)) @ (
        np.ones(len(x)) if weight is None else weight
    )
    np.testing.assert_allclose(best.log_likelihood, total, rtol=1e-10)
    if top is not None:
        assert round(float(best.log_likelihood), 3) == top
    start = jax.tree.map(lambda leaf: leaf[0], fit(case, max_iter=0).params)
    options = dict(sample_weight=weight, tol=1e-9, max_iter=3000)
    one = jaxem.em(model, start, x, **options)
    again = jaxem.fit(model, x, key=KEY, init=start, n_starts=1, accelerate=None, **options)[0]
    assert one.n_iter == again.n_iter
    np.testing.assert_allclose(one.log_likelihood, again.log_likelihood, rtol=1e-12)


def test_the_gene_frequencies_are_those_of_the_textbook():
    """186 A, 38 B, 13 AB and 284 O, as Lange (2010, Numerical Analysis for Statisticians) has
    them."""
    best = fit(CASES["blood"]).best()
    np.testing.assert_allclose(best.params.frequencies, [0.2136, 0.0501, 0.7363], atol=1e-4)


def test_item_parameters_are_those_of_another_package():
    """Slopes and intercepts of LSAT 7 as mirt prints them for its 2PL."""
    best = fit(CASES["items"]).best()
    np.testing.assert_allclose(best.params.slopes, [0.988, 1.081, 1.706, 0.765, 0.736], atol=2e-3)
    want = [1.856, 0.808, 1.804, 0.486, 1.855]
    np.testing.assert_allclose(best.params.intercepts, want, atol=2e-3)


def test_the_race(case):
    fits = fit(case, n_starts=80, race=True, accelerate=None)
    np.testing.assert_allclose(fits.best().objective, fit(case).best().objective, rtol=1e-9)


def test_float32_is_finished_in_float64(case):
    model, x, weight, _ = case
    fits = fit((model, x.astype(np.float32), weight, None))
    assert fits.log_likelihood.dtype == np.float32
    np.testing.assert_allclose(
        fits.best().log_likelihood, fit(case).best().log_likelihood, rtol=1e-6
    )


def test_many_data_sets(case):
    model, x, weight, _ = case
    weight = np.ones(len(x)) if weight is None else weight
    sets, weights = [x, x[::-1], x[: len(x) - 1]], [weight, weight[::-1], weight[:-1]]
    options = dict(key=KEY, n_starts=3, tol=1e-9, max_iter=3000)
    many = jaxem.fit_many(model, sets, sample_weight=weights, **options)
    assert many.sound.all()
    np.testing.assert_allclose(many[0].best().objective, fit(case).best().objective, rtol=1e-9)
    np.testing.assert_allclose(many[1].best().objective, many[0].best().objective, rtol=1e-9)


def test_ten_thousand_populations():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(521, COUNTS / COUNTS.sum(), size=10_000).astype(float)
    x = np.broadcast_to(PHENOTYPES, (10_000, 4, 1))
    many = jaxem.fit_many(BloodGroups(), x, key=KEY, n_starts=1, sample_weight=counts)
    assert many.sound.all()
    one = jaxem.fit(BloodGroups(), PHENOTYPES, key=KEY, n_starts=1, sample_weight=counts[7])
    np.testing.assert_allclose(many.log_likelihood[7], one.log_likelihood, rtol=1e-7)
    # The mean over populations is the truth, to four standard errors of a mean of 10,000.
    freq = many.params.frequencies[:, 0].mean(axis=0)
    np.testing.assert_allclose(freq, [0.2136, 0.0501, 0.7363], atol=1e-3)


def test_a_checkpoint_goes_on_to_the_same_bits(case, tmp_path, monkeypatch):
    from jaxem.batch import checkpoint, lanes

    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    options = dict(n_starts=80, race=True, accelerate=None, max_iter=60)
    want, real, calls = fit(case, **options), lanes.advance, []

    def advance(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="interrupted"):
        patch.setattr(lanes, "advance", advance)
        some = fit(case, checkpoint=tmp_path / "point", **options)
    assert some.report.interrupted
    got = fit(case, checkpoint=tmp_path / "point", **options)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(one, other)


def test_standard_errors_are_those_of_the_hessian(case):
    model, x, weight, _ = case
    best = fit(case, tol=1e-12).best()
    weight = np.ones(len(x)) if weight is None else weight
    errors = best.standard_errors(x, sample_weight=weight)
    if isinstance(model, BloodGroups):
        free = lambda t: type(best.params)(jnp.append(t, 1 - jnp.sum(t)))  # noqa: E731
        at, pick = best.params.frequencies[:2], lambda e: e.frequencies[:2]
    else:
        flat, free = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, best.params))
        at, pick = flat, lambda e: jax.flatten_util.ravel_pytree(e)[0]
    total = lambda t: jnp.sum(weight * model.log_prob(free(t), jnp.asarray(x)))  # noqa: E731
    want = np.sqrt(np.diag(np.linalg.inv(-jax.hessian(total)(jnp.asarray(at)))))
    np.testing.assert_allclose(pick(errors), want, rtol=1e-6)


def test_a_fit_knows_its_model(case):
    model, x, _, _ = case
    best = fit(case).best()
    assert best.model is model
    np.testing.assert_array_equal(best.log_prob(x), model.log_prob(best.params, x))
    drawn, _ = best.sample(3, 50)
    assert drawn.shape == (50, x.shape[1])


# What is wrong is told at the door ---------------------------------------------------------------


def without(name):
    body = {k: v for k, v in vars(NormalMean).items() if k != name and not k.startswith("__")}
    return pytree(type("Short", (), body))()


@pytest.mark.parametrize("name", ["m_step", "expect", "health", "constraints"])
def test_a_method_that_is_missing(name):
    with pytest.raises(ValueError, match=f"Short is no Model: it lacks {name}"):
        jaxem.fit(without(name), ROWS, key=0)


def test_a_capability_in_part():
    half = pytree(type("Half", (), {**_body(), "can_propose": lambda self: True}))()
    with pytest.raises(ValueError, match="Half provides Proposing in part: it lacks propose"):
        jaxem.fit(half, ROWS, key=0)


def test_a_misspelt_method():
    odd = pytree(type("Odd", (), {**_body(), "signatur": lambda self, params: params.mean}))()
    with pytest.raises(
        ValueError, match=r"Odd\.signatur is no member that jaxem knows; did you mean signature"
    ):
        jaxem.fit_many(odd, [ROWS], key=0)


def _body():
    return {k: v for k, v in vars(NormalMean).items() if not k.startswith("__")}


def test_statistics_that_do_not_add_up():
    class Wrong(NormalMean): ...

    def expect(self, params, prepared, reference):
        stats, total, size = NormalMean.expect(self, params, prepared, reference)
        return {**stats, "rows": prepared.x}, total, size

    wrong = pytree(type("Wrong", (), {**_body(), "expect": expect}))()
    with pytest.raises(ValueError, match=r"Wrong.*statistics.*\['rows'\]"):
        jaxem.fit(wrong, ROWS, key=0)


def test_a_start_that_breaks_its_constraint():
    start = BloodGroups().blank(1, float)
    start = type(start)(np.array([0.5, 0.2, 0.2]))
    with pytest.raises(ValueError, match="frequencies must sum to 1"):
        jaxem.fit(BloodGroups(), PHENOTYPES, key=0, init=start, sample_weight=COUNTS)


def test_assignment_needs_a_model_that_assigns():
    with pytest.raises(ValueError, match="expect_assigned: NormalMean has none"):
        jaxem.fit(NormalMean(), ROWS, key=0, assignment="hard")
    with pytest.raises(ValueError, match="expected_gain: NormalMean has none"):
        jaxem.fit(NormalMean(), ROWS, key=0, stop="q")


def test_starts_with_leading_axes():
    model, x, weight, _ = CASES["blood"]
    starts = fit(CASES["blood"], max_iter=0).params
    batch = jaxem.fit(model, x, key=KEY, init=starts, sample_weight=weight, tol=1e-9)
    assert batch.status.shape == (6,)
    one = jax.tree.map(lambda leaf: leaf[2], starts)
    alone = jaxem.fit(model, x, key=KEY, init=one, n_starts=1, sample_weight=weight, tol=1e-9)
    np.testing.assert_allclose(batch.log_likelihood[2], alone.log_likelihood[0], rtol=1e-9)
    with pytest.raises(ValueError, match="init gives 6 starts, and n_starts=5"):
        jaxem.fit(model, x, key=KEY, init=starts, n_starts=5, sample_weight=weight)
    lead = jax.tree.map(lambda leaf: np.stack([leaf, leaf[::-1]]), starts)
    many = jaxem.fit_many(model, [x, x], key=KEY, init=lead, sample_weight=[weight] * 2, tol=1e-9)
    np.testing.assert_allclose(many.log_likelihood[1], many.log_likelihood[0][::-1], rtol=1e-9)
