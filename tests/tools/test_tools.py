"""The mixture tools: laws that densities obey, closed forms, brute force where sizes allow it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxem
from jaxem import tools
from jaxem.tools.alignment import _judged

K, D = 2, 3
WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 1.5]])
ROOT = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [-0.5, 0.3, 0.7]])
FULL = np.stack([ROOT @ ROOT.T, np.diag([0.5, 1.0, 2.0]) @ (ROOT @ ROOT.T) @ np.diag([0.5, 1, 2])])
COVARIANCES = {
    "full": FULL,
    "tied": FULL[0],
    "known": FULL[0],
    "diag": np.array([[1.0, 0.5, 2.0], [0.3, 1.0, 1.0]]),
    "spherical": np.array([0.7, 1.8]),
}
KINDS = list(COVARIANCES)
X = np.random.default_rng(0).normal(size=(9, D)) * 2


def gaussians(kind="full", means=MEANS, weights=WEIGHTS, covariances=None):
    """(model, params) of a Gaussian mixture."""
    own = COVARIANCES[kind] if covariances is None else covariances
    options = {"covariance": own} if kind == "known" else {}
    model = jaxem.Mixture(jaxem.Gaussian(kind, **options), n_components=len(weights))
    return model, jaxem.MixtureParams(weights, jaxem.GaussianParams(means, own))


def exponentials(rates, weights):
    model = jaxem.Mixture(jaxem.Exponential(), n_components=len(weights))
    return model, jaxem.MixtureParams(np.array(weights), jaxem.ExponentialParams(np.array(rates)))


# Marginals, conditionals, regression ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_the_joint_density_is_marginal_times_conditional(kind):
    model, params = gaussians(kind)
    given, rest = [2, 0], [1]
    inner, own = tools.marginal(model, params, given)
    outside = np.asarray(inner.log_prob(own, X[:, given]))
    for row, known in zip(X, outside, strict=True):
        other, conditional = tools.conditional(model, params, given, row[given])
        assert type(other.family) is type(model.family)
        both = known + other.log_prob(conditional, row[None, rest])[0]
        np.testing.assert_allclose(both, model.log_prob(params, row[None])[0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["known", "spherical"])
def test_regression_gives_the_moments_of_the_conditional_mixture(kind):
    model, params = gaussians(kind)
    mean, covariance = tools.regress(model, params, X[:, [1]], [1])
    batch = jax.vmap(lambda v: tools.conditional(model, params, [1], v)[1])(X[:, [1]])
    r, means = np.asarray(batch.weights), np.asarray(batch.means)
    own = np.asarray(batch.covariances)
    spherical = kind == "spherical"
    wide = own[..., None, None] * np.eye(2) if spherical else np.repeat(own[:, None], K, axis=1)
    np.testing.assert_allclose(mean, np.einsum("mk,mkq->mq", r, means), rtol=1e-12)
    second = wide + means[..., :, None] * means[..., None, :]
    want = np.einsum("mk,mkij->mij", r, second) - np.einsum("mi,mj->mij", mean, mean)
    np.testing.assert_allclose(covariance, want, rtol=1e-10, atol=1e-12)


def test_one_component_regresses_linearly():
    model, params = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1])
    mean, covariance = tools.regress(model, params, X[:, 0], 0)
    slope = FULL[0][1:, 0] / FULL[0][0, 0]
    np.testing.assert_allclose(mean, MEANS[0, 1:] + X[:, :1] * slope, rtol=1e-12)
    want = FULL[0][1:, 1:] - np.outer(slope, slope) * FULL[0][0, 0]
    np.testing.assert_allclose(covariance, np.broadcast_to(want, (9, 2, 2)), rtol=1e-12)


def test_dependent_given_columns_are_told_by_nan():
    singular = np.stack([np.ones((D, D)), FULL[1]])
    mean, _ = tools.regress(*gaussians(covariances=singular), X[:, :2], [0, 1])
    assert np.isnan(mean).all()


def test_float64_parameters_stay_so_where_the_default_is_float32():
    model, params = gaussians()
    want, _ = tools.regress(model, params, X[:, [1]], [1])
    with jax.enable_x64(False):
        mean, covariance = tools.regress(model, params, X[:, [1]], [1])
        low = tools.effective_components(jaxem.MixtureParams(np.float32([0.5, 0.5]), None))
    assert isinstance(mean, np.ndarray) and mean.dtype == covariance.dtype == np.float64
    np.testing.assert_allclose(mean, want, rtol=1e-12)
    assert low.dtype == np.float32


@pytest.mark.parametrize(
    ("columns", "message"),
    [([3], "between 0 and 2"), ([0, -3], "twice"), ([], "at least one"), ([0.5], "column numbers")],
)
def test_columns_that_are_not_there(columns, message):
    with pytest.raises(ValueError, match=message):
        tools.marginal(*gaussians(), columns)


def test_what_cannot_be_conditioned_on():
    with pytest.raises(ValueError, match="none is left"):
        tools.conditional(*gaussians(), [0, 1, 2], X[0])
    with pytest.raises(ValueError, match=r"shape \(1,\)"):
        tools.conditional(*gaussians(), [0], X[0])
    with pytest.raises(ValueError, match=r"shape \[m, 1\]"):
        tools.regress(*gaussians(), X, [0])
    with pytest.raises(ValueError, match="Gaussians; got one of Exponential"):
        tools.marginal(*exponentials([[1.0]], [1.0]), [0])
    model, params = gaussians()
    with pytest.raises(ValueError, match=r"fits.best\(\)"):
        tools.marginal(model, jax.tree.map(lambda leaf: leaf[None], params), [0])


# Kullback-Leibler ------------------------------------------------------------------------------


def _kl(mean_a, a, mean_b, b):
    gap, inverse = mean_b - mean_a, np.linalg.inv(b)
    ratio = np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1]
    return 0.5 * (np.trace(inverse @ a) + gap @ inverse @ gap - len(a) + ratio)


def test_between_two_gaussians_the_bounds_are_the_closed_form():
    one = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1])
    two = gaussians("tied", weights=np.ones(1), means=MEANS[1:], covariances=FULL[1])
    want = _kl(MEANS[0], FULL[0], MEANS[1], FULL[1])
    np.testing.assert_allclose(tools.kl_bounds(*one, *two), [want] * 3, rtol=1e-12)


def test_bounds_hold_around_the_divergence_and_are_those_of_the_papers():
    p = gaussians()
    q = gaussians("diag", means=MEANS[::-1] + 0.7, weights=np.array([0.6, 0.4]))
    bounds = tools.kl_bounds(*p, *q)
    drawn = tools.kl_divergence(*p, *q, key=jax.random.key(1), n=20_000)
    assert bounds.lower < drawn.value + 4 * drawn.standard_error
    assert drawn.value - 4 * drawn.standard_error < bounds.upper
    sides = [(MEANS, FULL, WEIGHTS)]
    wide = np.stack([np.diag(row) for row in COVARIANCES["diag"]])
    sides.append((MEANS[::-1] + 0.7, wide, np.array([0.6, 0.4])))

    def table(function, a, b):
        return np.array([[function(*i, *j) for j in zip(*b[:2])] for i in zip(*a[:2])])  # noqa: B905

    def overlap(m, a, mm, b):
        return scipy.stats.multivariate_normal(mm, a + b).pdf(m)

    entropy = [0.5 * np.linalg.slogdet(2 * np.pi * np.e * a)[1] for a in FULL]
    inside, across = table(_kl, sides[0], sides[0]), table(_kl, sides[0], sides[1])
    near = np.exp(-inside) @ WEIGHTS, np.exp(-across) @ sides[1][2]
    far = (table(overlap, sides[0], s) @ s[2] for s in sides)
    far = tuple(far)
    np.testing.assert_allclose(bounds.approximation, WEIGHTS @ np.log(near[0] / near[1]))
    lower = WEIGHTS @ (np.log(near[0] / far[1]) - entropy)
    np.testing.assert_allclose(bounds.lower, max(lower, 0))
    assert bounds.upper <= WEIGHTS @ (np.log(far[0] / near[1]) + entropy) + 1e-12
    assert bounds.upper <= WEIGHTS @ across @ sides[1][2]  # convexity


def test_the_upper_bound_is_the_smaller_of_two():
    """Components far apart cost log 2 less than each against a wide one: the variational bound does
    not see it, that of Durrieu et al. does, for d/2 (1 − log 2)."""
    p = gaussians(means=MEANS * 50, weights=np.full(2, 0.5))
    wide = np.full((2, 3), 1e4)
    q = gaussians("diag", means=MEANS[[0, 0]] * 50, weights=np.full(2, 0.5), covariances=wide)
    pairs = zip(MEANS * 50, FULL, strict=True)
    each = np.mean([_kl(m, a, MEANS[0] * 50, np.diag(wide[0])) for m, a in pairs])
    want = each - np.log(2) + 1.5 * (1 - np.log(2))
    np.testing.assert_allclose(tools.kl_bounds(*p, *q).upper, want, rtol=1e-6)


def test_a_mixture_is_at_distance_zero_from_itself_in_another_order():
    swapped = gaussians(means=MEANS[::-1], weights=WEIGHTS[::-1], covariances=FULL[::-1])
    np.testing.assert_allclose(tools.kl_bounds(*gaussians(), *swapped), 0, atol=1e-12)


def test_bounds_under_jit_and_vmap_over_lanes():
    model, params = gaussians()
    lanes = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1], leaf]), params)
    lanes = jaxem.MixtureParams(
        lanes.weights, jaxem.GaussianParams(lanes.means * 1.5, lanes.covariances)
    )
    many = jax.jit(jax.vmap(lambda q: tools.kl_bounds(model, params, model, q)))(lanes)
    moved = jaxem.MixtureParams(WEIGHTS, jaxem.GaussianParams(MEANS * 1.5, FULL))
    one = tools.kl_bounds(model, params, model, moved)
    for several, single in zip(many, one, strict=True):
        np.testing.assert_allclose(several, [single] * 3, rtol=1e-10)


def test_a_component_that_is_off_counts_for_nothing():
    one, q = np.array([1.0, 0.0]), gaussians(means=MEANS + 1)
    off = gaussians(means=MEANS * [[1], [np.nan]], covariances=FULL.copy(), weights=one)
    off[1].covariances[1] = np.nan
    sane = gaussians(weights=one)
    np.testing.assert_allclose(tools.kl_bounds(*off, *q), tools.kl_bounds(*sane, *q), rtol=1e-9)
    np.testing.assert_allclose(tools.kl_bounds(*q, *off), tools.kl_bounds(*q, *sane), rtol=1e-9)
    assert tools.mixture_wasserstein(*sane, *off).distance == pytest.approx(0, abs=1e-12)


def test_sampling_knows_any_family_and_infinity():
    p, q = exponentials([[4.0]], [1.0]), exponentials([[6.0]], [1.0])
    drawn = tools.kl_divergence(*p, *q, key=jax.random.key(0))
    want = np.log(4 / 6) + 6 / 4 - 1
    assert abs(drawn.value - want) < 4 * drawn.standard_error < 0.1
    never = jaxem.Mixture(jaxem.Bernoulli(), 1), jaxem.BinomialParams(np.array([[0.0]]))
    coin = never[0], jaxem.MixtureParams(np.ones(1), jaxem.BinomialParams(np.array([[0.5]])))
    never = never[0], jaxem.MixtureParams(np.ones(1), never[1])
    assert tools.kl_divergence(*coin, *never, key=jax.random.key(0)).value == np.inf
    with pytest.raises(ValueError, match="same 1 columns; q has means of shape"):
        tools.kl_divergence(*p, *gaussians(), key=jax.random.key(0))
    with pytest.raises(ValueError, match="n must be at least 2"):
        tools.kl_divergence(*p, *q, key=jax.random.key(0), n=1)


# Transport -------------------------------------------------------------------------------------


def _diagonal(seed, k):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, D)) * 3, rng.uniform(0.2, 3, size=(k, D))


def test_transport_of_equal_weights_is_the_best_permutation():
    (m, a), (mm, b), equal = _diagonal(0, 5), _diagonal(1, 5), np.full(5, 0.2)
    p, q = gaussians("diag", m, equal, a), gaussians("diag", mm, equal, b)
    found = tools.mixture_wasserstein(*p, *q)
    gap = ((m[:, None] - mm) ** 2).sum(-1) + ((np.sqrt(a)[:, None] - np.sqrt(b)) ** 2).sum(-1)
    np.testing.assert_allclose(found.cost, gap, rtol=1e-12)
    least = min(gap[range(5), list(order)].mean() for order in itertools.permutations(range(5)))
    np.testing.assert_allclose(found.distance, np.sqrt(least), rtol=1e-9)
    np.testing.assert_allclose(found.plan.sum(0), equal, atol=1e-9)
    np.testing.assert_allclose(found.plan.sum(1), equal, atol=1e-9)


def test_transport_of_unequal_weights_against_all_plans():
    p = gaussians("diag", *_diagonal(2, 2)[:1], WEIGHTS, _diagonal(2, 2)[1])
    q = gaussians("diag", *_diagonal(3, 2)[:1], np.array([0.55, 0.45]), _diagonal(3, 2)[1])
    found = tools.mixture_wasserstein(*p, *q)
    ends = [max(0.0, 0.3 + 0.55 - 1), min(0.3, 0.55)]  # of the mass from 0 to 0
    plans = [np.array([[t, 0.3 - t], [0.55 - t, 0.15 + t]]) for t in ends]
    best = min(plans, key=lambda plan: (plan * found.cost).sum())
    np.testing.assert_allclose(found.plan, best, atol=1e-9)


def test_bures_distance_of_matrices_that_do_not_commute_and_of_singular_ones():
    one = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1])
    two = gaussians(weights=np.ones(1), means=MEANS[1:], covariances=FULL[1:])
    root = scipy.linalg.sqrtm(FULL[0])
    cross = np.trace(scipy.linalg.sqrtm(root @ FULL[1] @ root).real)
    want = ((MEANS[0] - MEANS[1]) ** 2).sum() + np.trace(FULL[0]) + np.trace(FULL[1]) - 2 * cross
    np.testing.assert_allclose(tools.mixture_wasserstein(*one, *two).distance ** 2, want, rtol=1e-9)
    point = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=0 * FULL[:1])
    trace = np.sqrt(np.trace(FULL[0]))
    np.testing.assert_allclose(tools.mixture_wasserstein(*one, *point).distance, trace, rtol=1e-12)
    near = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1] * (1 + 1e-9) ** 2)
    distance = tools.mixture_wasserstein(*one, *near).distance
    np.testing.assert_allclose(distance, 1e-9 * trace, rtol=1e-4)
    with pytest.raises(ValueError, match="same 3 columns"):
        tools.mixture_wasserstein(*one, *gaussians("spherical", MEANS[:, :2]))


# Merging, entropy ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def overlapping():
    """Components 0 and 2 lie on one another, 1 and 3 touch, and rows of each."""
    means = np.array([[0.0, 0], [8, 0], [0.3, 0], [8, 3]])
    model, params = gaussians("spherical", means, np.array([0.3, 0.2, 0.2, 0.3]), np.ones(4))
    x = np.asarray(model.sample(jax.random.key(0), params, 200)[0])
    return model, params, x


def _entropy_of(r, weight):
    return -float(weight @ (r * np.log(np.maximum(r, 1e-300))).sum(axis=1))


def test_merging_joins_the_components_that_lie_on_one_another(overlapping):
    merging = tools.merge_components(*overlapping)
    np.testing.assert_array_equal(merging.merges[0], [0, 2])
    np.testing.assert_array_equal(merging.labels[:, [0, 1]], [[0, 0], [0, 1], [0, 1], [0, 1]])
    assert merging.entropies[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_merging_takes_the_best_pair_at_every_step(overlapping, seed):
    model, params, x = overlapping
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 3, len(x)).astype(float)
    own = jaxem.GaussianParams(rng.normal(size=(4, 2)) * 2 + [4, 1], params.covariances)
    params = jaxem.MixtureParams(params.weights, own)
    merging = tools.merge_components(model, params, x, weight)
    r = np.asarray(model.predict_proba(params, x))

    def level(label):
        parts = [r[:, label == c].sum(axis=1) for c in np.unique(label)]
        return _entropy_of(np.stack(parts, axis=1), weight)

    for g in (4, 3, 2, 1):
        np.testing.assert_array_equal(np.unique(merging.labels[g - 1]), range(g))
        np.testing.assert_allclose(
            merging.entropies[g - 1], level(merging.labels[g - 1]), atol=1e-9
        )
        if g < 4:
            above = merging.labels[g]
            pairs = itertools.combinations(range(g + 1), 2)
            options = [level(np.where(np.isin(above, pair), pair[0], above)) for pair in pairs]
            np.testing.assert_allclose(merging.entropies[g - 1], min(options), atol=1e-9)


def test_merging_one_component_is_nothing():
    one = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1])
    merging = tools.merge_components(*one, X)
    assert merging.merges.shape == (0, 2) and merging.entropies == [0] and merging.labels == [[0]]


def test_entropy_of_responsibilities(overlapping):
    model, params, x = overlapping
    r = np.asarray(model.predict_proba(params, x))
    weight = np.linspace(0, 2, len(x))
    found = tools.entropy(model, params, x, weight)
    want = _entropy_of(r, weight)
    np.testing.assert_allclose(found, [want, want / weight.sum(), want / weight.sum() / np.log(4)])
    twins = gaussians(means=MEANS[[0, 0]], covariances=FULL[[0, 0]], weights=np.full(2, 0.5))
    np.testing.assert_allclose(tools.entropy(*twins, X).normalised, 1)


def test_effective_components():
    weights = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    params = jaxem.MixtureParams(weights, None)
    np.testing.assert_allclose(tools.effective_components(params), [2, 1, 3])


# Alignment -------------------------------------------------------------------------------------


def test_the_assignment_and_its_gaps_by_brute_force():
    for seed in range(5):
        cost = np.random.default_rng(seed).uniform(size=(4, 4))
        best, total, gap, ambiguity = _judged(cost)
        totals = {o: cost[range(4), list(o)].sum() for o in itertools.permutations(range(4))}
        assert total == pytest.approx(min(totals.values()))
        for j in range(4):
            others = {o: v for o, v in totals.items() if o[j] != best[j]}
            second = min(others, key=lambda o: others[o])
            moved = np.array(second) != best
            assert gap[j] == pytest.approx(others[second] - total)
            ratio = cost[range(4), best][moved].sum() / cost[range(4), list(second)][moved].sum()
            assert ambiguity[j] == pytest.approx(ratio)


@pytest.mark.parametrize(("kind", "rows"), [*((kind, False) for kind in KINDS), ("full", True)])
def test_lanes_in_any_order_are_put_in_the_order_of_the_reference(kind, rows, overlapping):
    means = np.array([[0.0, 0], [5, 0], [0, 5]])
    own = {
        "full": np.stack([np.eye(2), 2 * np.eye(2), 3 * np.eye(2)]),
        "diag": np.array([[1.0, 2], [2, 1], [1, 1]]),
        "spherical": np.array([1.0, 2, 3]),
    }.get(kind, np.eye(2) * 1.5)
    model, params = gaussians(kind, means, np.array([0.2, 0.3, 0.5]), own)
    orders = np.array([[[2, 0, 1], [0, 1, 2]], [[1, 0, 2], [2, 1, 0]]])
    lanes = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (2, 2, *leaf.shape)), params)
    shuffled = tools.reorder(model, lanes, orders)
    found = tools.align(model, params, shuffled, overlapping[2] if rows else None)
    np.testing.assert_array_equal(found.permutation, np.argsort(orders, axis=-1))
    assert found.cost.shape == (2, 2) and found.gap.shape == (2, 2, 3)
    np.testing.assert_allclose(found.cost, 0, atol=1e-9)
    assert (found.ambiguity < 1e-6).all() and (found.gap > 0.1).all()
    back = tools.reorder(model, shuffled, found.permutation)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(lanes), strict=True):
        np.testing.assert_array_equal(a, b)


def test_twins_are_ambiguous_and_the_third_is_not():
    means = np.array([[0.0, 0], [0, 0], [9, 9]])
    model, params = gaussians("spherical", means, np.array([0.3, 0.3, 0.4]), np.ones(3))
    found = tools.align(model, params, params)
    np.testing.assert_allclose(found.gap[:2], 0)
    np.testing.assert_allclose(found.ambiguity, [1, 1, 0])
    one = gaussians(weights=np.ones(1), means=MEANS[:1], covariances=FULL[:1])
    alone = tools.align(*one, one[1])
    assert alone.permutation == [0] and alone.gap == [np.inf] and alone.ambiguity == [0]


def test_other_families_are_aligned_on_rows_and_told_so():
    model, params = exponentials([[1.0], [0.05]], [0.4, 0.6])
    other = tools.reorder(model, params, [1, 0])
    x = np.array([[0.1], [1], [19], [25]])
    np.testing.assert_array_equal(tools.align(model, params, other, x).permutation, [1, 0])
    with pytest.raises(ValueError, match="Exponential are compared on data: give x"):
        tools.align(model, params, other)
    with pytest.raises(ValueError, match="as many components"):
        tools.align(model, params, exponentials([[1.0]], [1.0])[1], x)
