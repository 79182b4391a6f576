"""Laws of every door: `em`, `e_step`, `fit`, `fit_many`, `sweep` and the estimators tell the same
truth, in float32 and float64 and in whatever units the data come.

What is reported is held against an independent evaluation in float64 of the parameters that are
reported; a fit that cannot keep this has to say so by its status.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, KINDS, MEANS

import jaxem
from jaxem.core.status import SOUND
from jaxem.sklearn import BernoulliMixture, CategoricalMixture, GaussianMixture, PoissonMixture

KEY = jax.random.key(3)
N = 256


def exactly(case, params, x):
    """Log-likelihood of the rows by SciPy's densities, in float64."""
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    with np.errstate(divide="ignore"):
        joint = np.log(wide.weights)[None] + case.log_density(wide.components, x.astype(float))
    return np.logaddexp.reduce(joint, axis=1).sum()


def tolerance(value, dtype):
    """How far a reported log-likelihood may be off."""
    return 1e-6 * abs(value) + 1e-3 if dtype == np.float32 else 1e-10 * abs(value)


def through_em(model, x):
    start = model.init(KEY, x, "random_from_data")
    return jax.jit(jaxem.em)(model, start, x, tol=1e-7)


def through_fit(model, x):
    return jaxem.fit(model, x, key=KEY, n_starts=3)


def through_fit_many(model, x):
    return jaxem.fit_many(model, [x], key=KEY, n_starts=3)[0]


def through_sweep(model, x):
    table = jaxem.sweep(x, (3,), models=lambda k, kind: model, key=KEY, n_starts=3)
    return table.rows[0].fits


DOORS = {"em": through_em, "fit": through_fit, "many": through_fit_many, "sweep": through_sweep}
#: Cases for what each door does by default. What a door does to data and parameters on the way in
#: and out depends on these kinds: every other case comes through `em` and `fit` below.
SOME = ("full", "tied-map", "spherical", "poisson-map", "exponential")
#: Those in float32, whose winners every door finishes in float64 by programs of its own.
SINGLE = ("full", "poisson-map")


def both(names, quick=(), single=None):
    """Cases in float64, some of them laws of the first tier, and these or others in float32."""
    mark = lambda name: [pytest.mark.laws] if name in quick else []  # noqa: E731
    double = [pytest.param(name, np.float64, marks=mark(name)) for name in names]
    return [*double, *((name, np.float32) for name in (names if single is None else single))]


@pytest.mark.parametrize("name, dtype", both(SOME, quick=["spherical"], single=SINGLE))
def test_the_likelihood_is_that_of_the_parameters(name, dtype):
    case = CASES[name]
    x = case.data(N).astype(dtype)
    for door, through in DOORS.items():
        fits = through(case.model, x)
        assert np.asarray(fits.log_likelihood).dtype == dtype
        fits = jax.tree.map(lambda leaf: np.asarray(leaf)[None], fits) if door == "em" else fits
        assert fits.sound.any(), door
        for one in (fits[i] for i in np.flatnonzero(fits.sound)):
            want = exactly(case, one.params, x)
            assert abs(float(one.log_likelihood) - want) <= tolerance(want, dtype), door


ESTIMATORS = {
    **{kind: lambda kind=kind: GaussianMixture(3, covariance_type=kind, n_init=3)
       for kind in ("full", "tied", "diag", "spherical")},
    "bernoulli": lambda: BernoulliMixture(3, n_init=3),
    "poisson": lambda: PoissonMixture(3, n_init=3),
    "categorical": lambda: CategoricalMixture(3, n_init=3),
}  # fmt: skip


@pytest.mark.parametrize("name, dtype", both(ESTIMATORS, quick=["spherical"]))
def test_an_estimator_scores_what_its_parameters_say(name, dtype):
    case, estimator = CASES[name], ESTIMATORS[name]()
    x = case.data(N).astype(dtype)
    estimator.set_params(random_state=0, tol=1e-5, max_iter=1000).fit(x)
    fields = [field.name for field in dataclasses.fields(case.truth.components)]
    components = type(case.truth.components)(*(getattr(estimator, f"{f}_") for f in fields))
    want = exactly(case, jaxem.MixtureParams(estimator.weights_, components), x)
    assert abs(float(estimator.score(x)) * N - want) <= tolerance(want, dtype)
    assert abs(float(estimator.restarts_.best().log_likelihood) - want) <= tolerance(want, dtype)


@pytest.mark.parametrize("name, dtype", both(CASES, quick=["full", "poisson"], single=KINDS))
def test_doors_agree_from_the_same_start(name, dtype):
    """`em`, and `fit` and `fit_many` with this start alone: the same iterations to the same end,
    each with the likelihood of its own parameters."""
    case = CASES[name]
    model, x = case.model, case.data(N).astype(dtype)
    start = jax.tree.map(np.asarray, model.init(KEY, x, "random_from_data"))
    options = dict(tol=1e-8 if dtype == np.float64 else 1e-6, max_iter=2000)
    one = jaxem.em(model, start, x, **options)
    options |= dict(key=KEY, init=start, n_starts=1, accelerate=None)
    others = [jaxem.fit(model, x, **options)[0]]
    others += [jaxem.fit_many(model, [x], **options)[0, 0]] if name in SOME else []
    loose = dict(rtol=1e-9, atol=1e-9) if dtype == np.float64 else dict(rtol=0.02, atol=0.02)
    rtol = 1e-11 if dtype == np.float64 else 1e-5
    for other in (one, *others):
        want = exactly(case, other.params, x)
        assert abs(float(other.log_likelihood) - want) <= tolerance(want, dtype)
        for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
            np.testing.assert_allclose(a, b, **loose)
        np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=rtol)
        np.testing.assert_allclose(one.objective, other.objective, rtol=rtol)
        assert dtype == np.float32 or one.n_iter == other.n_iter


# Units ------------------------------------------------------------------------------------------

#: Units of two columns, and how many of them the origin is away.
UNITS = [((1e-6, 1e6), 0.0), ((1e3, 1.0), 1e3), ((1e6, 1e-6), 1e6)]


def moved(model, params, a, b):
    """Model and parameters of a + b x, by hand: nothing here is jaxem's own change of units."""
    family, components = model.family, params.components
    if hasattr(components, "rates"):  # waiting times
        if family.prior is not None:
            prior = dataclasses.replace(family.prior, rate=family.prior.rate * b)
            family = dataclasses.replace(family, prior=prior)
        components = dataclasses.replace(components, rates=np.asarray(components.rates) / b)
        model = dataclasses.replace(model, family=family)
        return model, dataclasses.replace(params, components=components)
    means, old = np.asarray(components.means), np.asarray(components.covariances)
    square = {"diag": b**2, "spherical": b[0] ** 2}.get(family.covariance_type, np.outer(b, b))
    if family.covariance_type == "known":
        held = np.asarray(family.covariance.matrix) * square
        family = jaxem.Gaussian("known", covariance=held)
    elif family.prior is not None:
        mean, scale = (np.asarray(v) for v in (family.prior.mean, family.prior.scale))
        prior = dataclasses.replace(family.prior, mean=a + b * mean, scale=scale * square)
        family = dataclasses.replace(family, prior=prior)
    components = dataclasses.replace(components, means=a + b * means, covariances=old * square)
    model = dataclasses.replace(model, family=family)
    return model, dataclasses.replace(params, components=components)


def rows(name):
    """Weights, labels and frozen parameters that a case is tried with."""
    weight = 0.5 + np.arange(N) % 4
    label = np.where(np.arange(N) % 8 == 0, np.asarray(CASES[name].truth.weights).argmax(), -1)
    return {"plain": {}, "weights": dict(sample_weight=weight), "labels": dict(labels=label)}


GAUSSIANS = [name for name in CASES if hasattr(CASES[name].truth.components, "means")]
PRIORS = [name for name in GAUSSIANS if "map" in name or "prior" in name]


@pytest.mark.parametrize("scale, offset", UNITS)
@pytest.mark.parametrize("name", GAUSSIANS)
def test_gaussians_in_other_units(name, offset, scale):
    case = CASES[name]
    b = np.array(scale) if not name.startswith("spherical") else np.full(2, scale[0])
    a = offset * b
    x = case.data(N)
    start = case.model.init(KEY, x, "random_from_data")
    options = dict(tol=1e-7, max_iter=300)
    plain = {"plain": {}}
    tries = [((), rows(name) if name in SOME else plain)]
    tries += [(("means",), plain), (("covariances",), plain)] if name in SOME else []
    for frozen, hows in tries:
        home = dataclasses.replace(case.model, frozen=(*case.model.frozen, *frozen))
        away, there = moved(home, start, a, b)
        y = a + b * x
        for how in hows.values():
            one = jaxem.em(home, start, x, **how, **options)
            other = jaxem.em(away, there, y, **how, **options)
            _, expected = moved(home, one.params, a, b)
            # Rounding of y and of the means: 1e6 deviations from the origin, ten digits are left.
            loose = 1e-6 if offset else 1e-8
            np.testing.assert_allclose(other.params.weights, expected.weights, rtol=loose)
            gap = (np.asarray(other.params.means) - np.asarray(expected.means)) / b
            assert np.abs(gap).max() < loose * 10, (frozen, how)
            size = np.asarray(expected.covariances)
            atol = 1e-7 * np.abs(size).min() if frozen else 1e-9 * np.abs(size).max()
            np.testing.assert_allclose(other.params.covariances, size, rtol=1e-5, atol=atol)
            total = how.get("sample_weight", np.ones(N)).sum()
            jacobian = total * np.log(b).sum()
            want = float(one.log_likelihood) - jacobian
            np.testing.assert_allclose(other.log_likelihood, want, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("name", ["exponential", "exponential-map"])
def test_waiting_times_in_other_units(name):
    case, b = CASES[name], np.array([1e-6, 1e6])
    x = case.data(N)
    start = case.model.init(KEY, x, "random_from_data")
    away, there = moved(case.model, start, np.zeros(2), b)
    one = jaxem.em(case.model, start, x, **case.settings)
    for other in (
        jaxem.em(away, there, b * x),
        jaxem.fit(away, b * x, key=KEY, init=there, n_starts=1, accelerate=None)[0],
    ):
        np.testing.assert_allclose(other.params.rates, np.asarray(one.params.rates) / b, rtol=1e-8)
        want = float(one.log_likelihood) - N * np.log(b).sum()
        np.testing.assert_allclose(other.log_likelihood, want, rtol=1e-10)


@pytest.mark.parametrize("name", [*PRIORS, "known"])
def test_a_prior_survives_a_change_of_units_through_fit(name):
    case, b = CASES[name], np.array([1e-3, 1e3])
    if name.startswith("spherical"):
        b = b[:1].repeat(2)
    a, x = 1e3 * b, case.data(N)
    start = case.model.init(KEY, x, "random_from_data")
    away, there = moved(case.model, start, a, b)
    options = dict(tol=1e-9, max_iter=2000)
    one = jaxem.em(case.model, start, x, **options, **case.settings)
    fit = jaxem.fit(away, a + b * x, key=KEY, init=there, n_starts=1, accelerate=None, **options)[0]
    _, expected = moved(case.model, one.params, a, b)
    np.testing.assert_allclose(fit.params.covariances, expected.covariances, rtol=1e-6,
                               atol=1e-9 * np.abs(expected.covariances).max())  # fmt: skip
    objective = away.log_prior(expected) + float(one.log_likelihood) - N * np.log(b).sum()
    if not case.settings:
        np.testing.assert_allclose(fit.objective, objective, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [1e3, 1e6])
@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_steps_far_from_the_origin(kind, offset, dtype):
    """`seed`, `e_step` and `m_step`: sums in parts about one base point add."""
    case = CASES[kind]
    x = (case.data(N) + offset).astype(dtype)
    model, resp = case.model, np.eye(3)[np.arange(N) % 3]
    near = x.astype(float) - offset
    seeded, home = model.seed(x, resp), model.seed(near, resp)
    eps = float(np.finfo(dtype).eps) * offset  # what the means lose by being written down
    np.testing.assert_allclose(seeded.means - offset, home.means, atol=4 * eps + 1e-12)
    np.testing.assert_allclose(seeded.covariances, home.covariances, atol=1e-9 + 20 * eps)
    truth = dataclasses.replace(
        case.truth.components, means=(np.asarray(MEANS) + offset).astype(dtype),
        covariances=np.asarray(case.truth.components.covariances, dtype),
    )  # fmt: skip
    params = jaxem.MixtureParams(np.asarray(case.truth.weights, dtype), truth)
    parts = [model.e_step(params, piece) for piece in (x[:100], x[100:])]
    stats, total = jax.tree.map(lambda p, q: p + q, *parts)
    want = exactly(case, params, x)
    assert abs(float(total) - want) <= tolerance(want, dtype)
    one, whole = model.m_step(stats, params), model.e_step(params, x)[0]
    at_home = jaxem.MixtureParams(np.asarray(case.truth.weights), case.truth.components)
    best = model.m_step(model.e_step(at_home, near)[0], at_home)
    np.testing.assert_allclose(one.means - offset, best.means, atol=20 * eps + 1e-9)
    np.testing.assert_allclose(one.covariances, best.covariances, atol=1e-9 + 40 * eps)
    again = model.m_step(whole, params)
    np.testing.assert_allclose(
        again.covariances, one.covariances, rtol=1e-4 if eps > 1e-5 else 1e-6
    )


def test_a_base_point_of_ones_own():
    case, base = CASES["full"], np.array([3.0, -2.0])
    x = case.data(N)
    plain, there = (
        case.model.e_step(case.truth, x, base=b, **case.settings)[0] for b in (None, base)
    )
    assert plain.base is None or not np.asarray(plain.base).any()
    np.testing.assert_allclose(there.base, N * base)
    there = jax.tree.map(np.asarray, there)
    count = there.moments[:, :1]
    np.testing.assert_allclose(
        there.moments[:, 1:3], plain.moments[:, 1:3] - count * base, rtol=1e-10
    )
    a, b = (case.model.m_step(stats, case.truth) for stats in (plain, there))
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-10, atol=1e-12)


# Counts -----------------------------------------------------------------------------------------


def stirling(x):
    """log x! − x log x + x in extended precision, for x >= 100."""
    x = np.longdouble(x)
    return 0.5 * np.log(2 * np.longdouble(np.pi) * x) + 1 / (12 * x) - 1 / (360 * x**3)


def log_poisson(x, rate):
    x, rate = np.longdouble(x), np.longdouble(rate)
    return x * np.log(rate / x) + x - rate - stirling(x)


def log_binomial(x, m, p):
    x, m, p = (np.longdouble(v) for v in (x, m, p))
    y, q = m - x, 1 - p
    ways = stirling(m) - stirling(x) - stirling(y)
    return x * np.log(m * p / x) + y * np.log(m * q / y) + ways


def mixed(weights, logs):
    return float(np.logaddexp.reduce(np.log(np.longdouble(weights))[None] + logs, axis=1).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [1e3, 1e5, 1e6, 1e9])
def test_large_counts(rate, dtype):
    rates = np.array([rate, rate + 4 * np.sqrt(rate)])
    rng = np.random.default_rng(0)
    x = rng.poisson(rates[rng.integers(0, 2, 1000)])[:, None].astype(dtype)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    start = jaxem.MixtureParams(np.full(2, 0.5), jaxem.PoissonParams(rates[:, None]))
    fits = [
        jaxem.em(model, start, x),
        jaxem.fit(model, x, key=KEY, n_starts=4).best(),
        jaxem.fit_many(model, [x, x[:500]], key=KEY, n_starts=4)[0].best(),
    ]
    for fit in fits:
        own = np.asarray(fit.params.rates, np.longdouble)[:, 0]
        want = mixed(fit.params.weights, log_poisson(x, own[None]))
        assert fit.status in SOUND
        assert abs(float(fit.log_likelihood) - want) <= tolerance(want, dtype)
    # About a base point float32 converges; counts as they are would be blurred.
    assert rate == 1e9 or fits[0].status == jaxem.Status.CONVERGED
    # Rates are found to a fraction of their own deviation, which float32 cannot write down at 1e9.
    lost = rate * np.finfo(dtype).eps / np.sqrt(rate)
    found = np.sort(np.asarray(fits[1].params.rates, float)[:, 0])
    assert np.abs(found - rates).max() < (0.3 + lost) * np.sqrt(rate)
    density = model.log_prob(fits[1].params, x)
    own = np.asarray(fits[1].params.rates, np.longdouble)[:, 0]
    rtol = 1e-12 if dtype == np.float64 and rate < 1e9 else 1e-5
    np.testing.assert_allclose(np.sum(density, dtype=float),
        mixed(fits[1].params.weights, log_poisson(x, own[None])), rtol=rtol)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("trials", [1000, 10**5, 10**8])
def test_many_trials(trials, dtype):
    p = np.array([0.3, 0.3 + 4 * np.sqrt(0.21 / trials)])
    rng = np.random.default_rng(0)
    x = rng.binomial(trials, p[rng.integers(0, 2, 1000)])[:, None].astype(dtype)
    model = jaxem.Mixture(jaxem.Binomial(trials), n_components=2)
    start = jaxem.MixtureParams(np.full(2, 0.5), jaxem.BinomialParams(p[:, None]))
    for fit in (jaxem.em(model, start, x), jaxem.fit(model, x, key=KEY, n_starts=4).best()):
        own = np.asarray(fit.params.probabilities, np.longdouble)[:, 0]
        want = mixed(fit.params.weights, log_binomial(x, trials, own[None]))
        assert fit.status in SOUND
        assert abs(float(fit.log_likelihood) - want) <= tolerance(want, dtype)


def test_two_hundred_columns_of_counts():
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.choice([15, 20, 25], (500, 1)) * np.ones((500, 200))).astype(np.float32)
    case = CASES["poisson"]
    fits = jaxem.fit(jaxem.Mixture(jaxem.Poisson(), 3), x, key=KEY, n_starts=4)
    best = fits.best()
    want = exactly(case, best.params, x)
    assert abs(float(best.log_likelihood) - want) <= 0.02  # 1e-6 of it are 0.29


def test_columns_of_zeros_and_millions_go_on_in_float64():
    """No base point is near all rates: the digits come from float64, and `em` says what it has."""
    rng = np.random.default_rng(0)
    rates = np.array([0.1, 1e6, 1e6 + 4e3])
    x = rng.poisson(rates[rng.integers(0, 3, 1500)])[:, None].astype(np.float32)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=3)
    best = jaxem.fit(model, x, key=KEY, n_starts=16).best()
    np.testing.assert_allclose(np.sort(best.params.rates[:, 0]), rates, rtol=0.3)
    case = CASES["poisson"]
    want = exactly(case, best.params, x)
    assert best.status in SOUND and abs(float(best.log_likelihood) - want) <= tolerance(
        want, x.dtype
    )
    one = jaxem.em(model, best.params, x)
    want = exactly(case, one.params, x)
    assert one.status == jaxem.Status.STALLED
    assert abs(float(one.log_likelihood) - want) <= tolerance(want, x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_priors_of_large_counts(dtype):
    """With one component the posterior mode is known, and em, fit and fit_many all find it."""
    x = np.random.default_rng(0).poisson(1e6, (100, 1)).astype(dtype)
    total, wide = x.sum(dtype=float), 1e6 * 2
    poisson = jaxem.Poisson(jaxem.Gamma(5e5, 0.5))
    binomial = jaxem.Binomial(int(wide), jaxem.Beta(2e7, 6e7))
    rate = (total + 5e5 - 1) / (100 + 0.5)
    p = (total + 2e7 - 1) / (100 * wide + 8e7 - 2)
    for family, name, want in ((poisson, "rates", rate), (binomial, "probabilities", p)):
        model = jaxem.Mixture(family, n_components=1)
        start = model.seed(x, np.ones((100, 1)))
        for fit in (
            jaxem.em(model, start, x),
            jaxem.fit(model, x, key=KEY, n_starts=2).best(),
            jaxem.fit_many(model, [x, x[:90]], key=KEY, n_starts=2)[0].best(),
        ):
            rtol = 1e-13 if dtype == np.float64 else 3e-7
            np.testing.assert_allclose(getattr(fit.params, name)[0, 0], want, rtol=rtol)
            if dtype == np.float64:
                prior = float(model.log_prior(fit.params))
                assert abs(float(fit.objective) - float(fit.log_likelihood) - prior) < 1e-5


@pytest.mark.parametrize("door", ["em", "fit", "many"])
def test_what_float32_cannot_write_down_is_in_the_likelihood(door):
    """A million deviations from the origin the means are rounded, and the likelihood is theirs."""
    case = CASES["full"]
    x = (case.data(N) + 1e6).astype(np.float32)
    start = case.model.init(KEY, x, "random_from_data")
    fits = {
        "em": lambda: jaxem.em(case.model, start, x, **case.settings),
        "fit": lambda: jaxem.fit(case.model, x, key=KEY, n_starts=3, **case.settings).best(),
        "many": lambda: jaxem.fit_many(
            case.model, [x, x[:200]], key=KEY, n_starts=3, **case.settings
        )[0].best(),
    }[door]()
    want = exactly(case, fits.params, x)
    assert abs(float(fits.log_likelihood) - want) <= tolerance(want, np.float32)


@pytest.mark.parametrize("name", ["means", "covariances"])
def test_what_is_frozen_stays_to_the_bit_through_em(name):
    case = CASES["full"]
    model = dataclasses.replace(case.model, frozen=(name,))
    x = case.data(N) * [1e-3, 7.0] + [1e3, 0.1]
    start = case.model.init(KEY, x, "random_from_data")
    fit = jaxem.em(model, start, x)
    assert fit.n_iter > 1
    np.testing.assert_array_equal(getattr(fit.params, name), getattr(start, name))


def test_derivatives_through_em_know_no_frame():
    """Forward derivatives of a likelihood at its maximum are those at fixed parameters."""
    case = CASES["full"]
    x = jnp.asarray(case.data(N) + 100.0)
    start = case.model.init(KEY, x, "random_from_data")
    direction = jnp.asarray(np.random.default_rng(1).normal(size=x.shape))
    run = lambda x: jaxem.em(case.model, start, x, tol=1e-12, max_iter=3000, **case.settings)  # noqa: E731
    value, slope = jax.jvp(lambda x: run(x).log_likelihood, (x,), (direction,))
    end = run(x).params
    want = jax.jvp(lambda x: case.model.log_prob(end, x).sum(), (x,), (direction,))[1]
    np.testing.assert_allclose(slope, want, rtol=1e-4)

    def away(shift):
        components = dataclasses.replace(start.components, means=start.means + shift)
        there = dataclasses.replace(start, components=components)
        return jaxem.em(
            case.model, there, x + shift, tol=1e-12, max_iter=3000, **case.settings
        ).log_likelihood

    several = jax.vmap(away)(jnp.asarray([0.0, 1e3]))
    np.testing.assert_allclose(several, value, rtol=1e-9)
