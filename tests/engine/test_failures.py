"""Data that break a fit end in a status: never NaN as a result, never CONVERGED, never best."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxem
from jaxem import Status
from jaxem.core.status import SOUND
from jaxem.core.trees import pytree, replace
from jaxem.families.gaussian import GaussianFamily

TYPES = ["full", "tied", "diag", "spherical"]
FAILED = (Status.SINGULAR, Status.EMPTY_COMPONENT, Status.DECREASED, Status.NONFINITE)
UNSOUND = (*FAILED, Status.DEGENERATE)


def _mixture(kind, k, **options):
    return jaxem.Mixture(jaxem.Gaussian(kind, **options), n_components=k)


def _fit(model, x, n_starts=4, **options):
    return jaxem.fit(model, x, key=jax.random.key(0), n_starts=n_starts, **options)


def _check(fits, allowed):
    """Every lane has one of the statuses allowed; a lane that is offered as sound is finite."""
    status = [Status(int(s)) for s in np.ravel(fits.status)]
    assert set(status) <= set(allowed), status
    for i in np.flatnonzero(np.isin(np.ravel(fits.status), SOUND)):
        chex.assert_tree_all_finite(fits[int(i)].params)
        assert np.isfinite(np.ravel(fits.log_likelihood)[i])


def _rows(n=60, d=2):
    return np.random.default_rng(0).normal(size=(n, d))


# Most fits here have 256 rows, 2 columns, 3 components and 4 starts: one program for each type.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_column(kind, value, dtype):
    x = np.c_[_rows(256, 1), np.full(256, value)].astype(dtype)
    fits = _fit(_mixture(kind, 3), x)
    _check(fits, UNSOUND)
    with pytest.raises(ValueError, match=r"No sound fit among 4.*SINGULAR"):
        fits.best()


def test_a_constant_column_is_fine_where_variances_are_pooled_or_a_prior_helps():
    x = np.c_[_rows(256, 1), np.full(256, 0.1)].astype(np.float32)
    prior = jaxem.NormalInverseWishart(np.zeros(2), 0.1, 5.0, np.eye(2))
    for model in (_mixture("spherical", 3), _mixture("full", 3, prior=prior)):
        best = _fit(model, x).best()
        chex.assert_tree_all_finite(best.params)
        assert best.params.means.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", TYPES)
def test_as_many_distinct_rows_as_components(kind, dtype):
    # Copies of 3 rows: the likelihood is unbounded, every good start collapses.
    x = np.resize([[0.0, 0.1], [3.0, 1.0], [1.0, 7.0]], (256, 2)).astype(dtype)
    fits = _fit(_mixture(kind, 3), x)
    status = np.asarray(fits.status)
    _check(fits, (*UNSOUND, Status.CONVERGED, Status.MAX_ITER, Status.STALLED))
    assert np.isin(status, UNSOUND).any()
    for i in np.flatnonzero(fits.converged):
        # Converged only where two components share a row group and nothing collapsed.
        assert float(np.min(np.linalg.eigvalsh(_wide(fits[int(i)].params)))) > 1e-3


def _wide(params):
    k, d = params.means.shape
    v = np.asarray(params.covariances, float)
    shapes = {
        (k, d, d): lambda: v,
        (d, d): lambda: v[None],
        (k, d): lambda: v[:, :, None] * np.eye(d)[None],
        (k,): lambda: v[:, None, None] * np.eye(d)[None],
    }
    return shapes[v.shape]()


@pytest.mark.parametrize("kind", TYPES)
def test_all_rows_the_same(kind):
    fits = _fit(_mixture(kind, 3), np.ones((256, 2)))
    _check(fits, UNSOUND)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_one_row(kind):
    fits = _fit(_mixture(kind, 1), np.asarray([[1.0, 2.0]]), n_starts=2)
    _check(fits, UNSOUND)


def test_one_row_is_enough_for_one_parameter_per_feature():
    model = jaxem.Mixture(jaxem.Poisson(), n_components=1)
    best = _fit(model, np.asarray([[4.0, 2.0]])).best()
    np.testing.assert_allclose(best.params.rates, [[4.0, 2.0]])
    known = jaxem.Mixture(jaxem.Gaussian("known", covariance=np.eye(2)), n_components=1)
    np.testing.assert_allclose(_fit(known, [[4.0, 2.0]]).best().params.means, [[4.0, 2.0]])


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical", "known", "poisson"])
def test_a_component_that_dies(name):
    case = CASES[name]
    x = case.data(256)
    far = jax.tree.map(lambda leaf: leaf, case.truth)
    field = "rates" if name == "poisson" else "means"
    components = {k: v for k, v in vars(far.components).items()}
    components[field] = components[field].at[2].set(1e5)
    start = jaxem.MixtureParams(far.weights, type(far.components)(**components))
    run = jaxem.em(case.model, start, x, **case.settings)
    assert run.status == Status.EMPTY_COMPONENT
    assert np.isfinite(run.log_likelihood) and not run.converged
    chex.assert_tree_all_finite(run.params)


def test_a_hard_component_without_rows_dies():
    model = jaxem.Mixture(jaxem.Gaussian("spherical"), n_components=2)
    start = jaxem.MixtureParams(
        jnp.asarray([0.5, 0.5]),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [50.0, 50.0]]), jnp.ones(2)),
    )
    assert jaxem.em(model, start, _rows(), assignment="hard").status == Status.EMPTY_COMPONENT


def test_a_component_switched_off_stays_off_and_is_no_failure():
    case = CASES["full"]
    x = case.data(256)
    weights = jnp.asarray([0.4, 0.0, 0.6])
    run = jaxem.em(
        case.model, jaxem.MixtureParams(weights, case.truth.components), x, **case.settings
    )
    assert run.status == Status.CONVERGED and run.params.weights[1] == 0
    two = jaxem.Mixture(case.model.family, n_components=2)
    keep = np.array([0, 2])
    pair = jax.tree.map(lambda leaf: leaf[keep], case.truth.components)
    want = jaxem.em(two, jaxem.MixtureParams(weights[keep], pair), x)
    np.testing.assert_allclose(run.log_likelihood, want.log_likelihood, rtol=1e-10)


def _lanes(model, x, n):
    keys = jax.random.split(jax.random.key(0), n)
    return jax.jit(jax.vmap(lambda key: model.init(key, x)))(keys)


@pytest.mark.parametrize("kind", TYPES)
def test_a_nan_start_does_not_touch_its_neighbours(kind):
    x, model = CASES["full"].data(256), _mixture(kind, 3)
    starts = _lanes(model, x, 4)
    run = jax.jit(jax.vmap(lambda p: jaxem.em(model, p, x, max_iter=25)))
    good = run(starts)
    sick = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), starts)
    bad = run(sick)
    keep = np.array([0, 2, 3])
    chex.assert_trees_all_equal(good[keep], bad[keep])
    assert bad.status[1] in (Status.NONFINITE, Status.SINGULAR)
    with pytest.raises(ValueError, match=r"not sound|No sound"):
        bad[1].best()


def test_a_nan_data_set_does_not_touch_its_neighbours():
    model = _mixture("full", 3)
    x = jnp.stack([CASES["full"].data(256, seed) for seed in range(3)])
    start = CASES["full"].truth
    run = jax.jit(jax.vmap(lambda x: jaxem.em(model, start, x, max_iter=25)))
    good, bad = run(x), run(x.at[1, 17, 0].set(jnp.nan))
    keep = np.array([0, 2])
    chex.assert_trees_all_equal(good[keep], bad[keep])
    assert bad.status[1] == Status.NONFINITE and not bad.converged[1]
    # The parameters are the last good ones: here the start.
    chex.assert_trees_all_close(bad[1].params, start, rtol=1e-12)


@pytest.mark.parametrize("lanes", [1, 3])
def test_nan_that_arises_on_the_way_is_refused(lanes, monkeypatch):
    # An M-step that breaks once the first rate has passed 2.5; 250 rows so that it is compiled.
    def breaking(self, stats, params, frozen=()):
        new = maximize(self, stats, params, frozen)
        return jax.tree.map(lambda leaf: jnp.where(leaf[0, 0] > 2.5, jnp.nan, leaf), new)

    maximize = jaxem.Poisson.maximize
    monkeypatch.setattr(jaxem.Poisson, "maximize", breaking)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    x = np.random.default_rng(0).poisson(np.repeat([4, 20], 125)[:, None] * 1.0)
    weights = jnp.full((lanes, 2), 0.5)
    rates = jnp.stack([jnp.asarray([[0.01 * 10**i], [2.0]]) for i in range(lanes)])
    starts = jaxem.MixtureParams(weights, jaxem.PoissonParams(rates))
    run = jax.vmap(lambda p: jaxem.em(model, p, x, tol=0.0, max_iter=200))(starts)
    assert np.isin(run.status, FAILED).all()
    chex.assert_tree_all_finite(run)
    assert (run.params.rates[:, 0] <= 2.5).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinity_never_converge(value, dtype):
    x = CASES["full"].data(256).astype(dtype)
    x[3, 0] = value
    for kind in TYPES:
        case = CASES[kind]
        run = jaxem.em(
            case.model, jax.tree.map(lambda a: a.astype(dtype), case.truth), x, **case.settings
        )
        assert run.status == Status.NONFINITE, kind


def test_numbers_that_overflow_never_converge():
    case = CASES["full"]
    x = (case.data(256) * 1e25).astype(np.float32)  # squares exceed float32
    start = jax.tree.map(lambda a: a.astype(np.float32), case.truth)
    assert jaxem.em(case.model, start, x, **case.settings).status not in SOUND
    # At the front door data are standardised first: these squares would overflow in their sum.
    best = _fit(case.model, (case.data(256) * 1e18).astype(np.float32), **case.settings).best()
    chex.assert_tree_all_finite(best.params)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_an_offset_in_float32_is_harmless(kind, offset):
    # gmmx 0.7 turns this into NaN called converged; scikit-learn 1.9 raises.
    x = CASES["full"].data(256).astype(np.float32)
    far = (16 * x + np.float32(offset)).astype(np.float32)
    near = far - np.float32(offset)
    a, b = [_fit(_mixture(kind, 3), rows, tol=1e-4).best() for rows in (near, far)]
    assert b.params.means.dtype == np.float32
    # Another start may win by a rounding: the same optimum, its components in another order.
    means = [m[np.argsort(m[:, 1])] for m in (a.params.means, b.params.means - np.float32(offset))]
    np.testing.assert_allclose(means[1], means[0], atol=1e-2 * 16)
    np.testing.assert_allclose(b.log_likelihood, a.log_likelihood, rtol=1e-4)


@pytest.mark.parametrize("kind", TYPES)
def test_a_variance_is_never_negative(kind):
    x = np.asarray([[9999.0], [0.0]], np.float32)
    _check(_fit(_mixture(kind, 1), x), (*UNSOUND, Status.CONVERGED, Status.STALLED))
    fits = _fit(_mixture(kind, 2), x)
    _check(fits, (*UNSOUND, Status.CONVERGED, Status.STALLED))
    for value in (fits, jaxem.em(_mixture(kind, 1), _mixture(kind, 1).seed(x, np.ones((2, 1))), x)):
        assert (np.asarray(value.params.covariances) >= 0).all()


def test_max_iter_is_not_convergence():
    # hmmlearn and gmmx report converged when the iterations run out.
    case = CASES["poisson"]
    run = jaxem.em(case.model, case.truth, case.data(256), tol=0.0, max_iter=2, **case.settings)
    assert run.status == Status.MAX_ITER and run.n_iter == 2 and not run.converged


@pytree
class Falling(GaussianFamily):
    """Full covariance with an M-step that misses the means."""

    def maximize(self, stats, params, frozen=()):
        best = super().maximize(stats, params, frozen)
        return replace(best, means=best.means + 1)


def test_a_falling_objective_is_refused_and_named():
    case = CASES["full"]
    x = case.data(256)
    run = jaxem.em(jaxem.Mixture(Falling(), n_components=3), case.truth, x)
    assert run.status == Status.DECREASED and not run.converged
    chex.assert_trees_all_close(run.params, case.truth, rtol=1e-12)


def test_best_ignores_failed_starts_and_says_so_when_all_failed():
    fits = _fit(_mixture("full", 3), np.c_[np.zeros(256), np.arange(256.0)])
    with pytest.raises(ValueError, match=r"No sound fit among 4: 4 SINGULAR.*fewer components"):
        fits.best()
    mixed = jaxem.Fit(
        params=jnp.arange(3.0),
        log_likelihood=jnp.asarray([1.0, 99.0, 2.0]),
        objective=jnp.asarray([1.0, 99.0, 2.0]),
        status=jnp.asarray([Status.CONVERGED, Status.DEGENERATE, Status.MAX_ITER]),
        n_iter=jnp.zeros(3, int),
    )
    assert float(mixed.best().params) == 2.0
    assert "1 DEGENERATE" in mixed.summary()


def test_a_spurious_maximum_is_degenerate():
    # One component on two of sixty rows: its likelihood wins, its covariance is nonsense.
    x = _rows()
    label = np.zeros(60, int)
    x[58:] = [[20.0, 20.0], [20.1, 20.3]]
    label[57:] = 1
    x[57] = [20.2, 20.1]
    fits = _fit(_mixture("full", 2), x, n_starts=1, init=np.eye(2)[label])
    assert fits.status[0] == Status.DEGENERATE


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("accelerate", [None, "squarem"])
def test_a_start_that_cannot_have_made_some_rows_is_left_behind(dtype, accelerate):
    """EM from a category of probability 0 that the rows have: one step makes it possible."""
    x = np.random.default_rng(0).integers(0, 3, size=(9000, 3)).astype(dtype)
    x[-1] = 4
    model = jaxem.Mixture(jaxem.Categorical(5), n_components=2)
    start = jaxem.fit(model, x[:3000], key=0, n_starts=1)[0].params
    fit = jaxem.em(model, start, x, accelerate=accelerate, max_iter=2000)
    assert fit.status == jaxem.Status.CONVERGED
    probabilities = np.asarray(fit.params.probabilities)
    weighted = np.asarray(fit.params.weights)[:, None] * probabilities[:, 0]
    np.testing.assert_allclose(weighted.sum(axis=0)[4], 1 / 9000, rtol=1e-3)
    total = np.sum(np.asarray(model.log_prob(fit.params, x), float))
    np.testing.assert_allclose(fit.log_likelihood, total, rtol=1e-5)
