"""What a family must provide, and what its constraints decide: of families that users write."""

import re
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxem
from jaxem.core.constraints import (
    Free,
    Interval,
    Positive,
    Simplex,
    SymmetricPD,
    complaint,
    retract,
    shared_fields,
)
from jaxem.core.protocols import CAPABILITIES, Family, check_family
from jaxem.core.trees import pytree

FULL = jaxem.Gaussian("full")
X = np.random.default_rng(0).normal(size=(90, 2)) @ np.array([[1.0, 0.5], [0, 3.0]])


@pytree
class ScatterParams:
    centre: jax.Array
    scatter: jax.Array


def theirs(params):
    return jaxem.GaussianParams(params.centre, params.scatter)


@pytree
class Scatter:
    """Full Gaussians whose parameters have names of their own; no capability."""

    prior: ClassVar[None] = None

    def constraints(self):
        return {"centre": Free(), "scatter": SymmetricPD()}

    def validate(self, x):
        FULL.validate(x)

    def features(self, x):
        return FULL.features(x)

    def log_base(self, x):
        return FULL.log_base(x)

    def embed(self, x):
        return x

    def coefficients(self, params):
        return FULL.coefficients(theirs(params))

    def blank(self, k, d, dtype):
        return ScatterParams(*vars(FULL.blank(k, d, dtype)).values())

    def maximize(self, stats, params, frozen=()):
        names = {"centre": "means", "scatter": "covariances"}
        new = FULL.maximize(stats, theirs(params), tuple(names[name] for name in frozen))
        return ScatterParams(new.means, new.covariances)

    def log_prior(self, params):
        return jnp.zeros((), params.centre.dtype)

    def sample(self, key, params, labels):
        return FULL.sample(key, theirs(params), labels)

    def n_parameters(self, n_components, d, frozen=()):
        own = {"centre": d, "scatter": d * (d + 1) // 2}
        return n_components * sum(size for name, size in own.items() if name not in frozen)

    def usable(self, params):
        return FULL.usable(theirs(params))

    def healthy(self, params, stats):
        return self.usable(params)


def made(kind):
    return jaxem.Mixture(kind(), n_components=2)


# Standard errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [(), ("covariances",)])
def test_a_matrix_of_another_name_has_the_errors_of_a_full_gaussian(frozen):
    names = {"means": "centre", "covariances": "scatter"}
    resp = np.eye(2)[(X[:, 0] > 0).astype(int)]
    peer = jaxem.Mixture(FULL, 2, frozen=frozen)
    own = jaxem.Mixture(Scatter(), 2, frozen=tuple(names[name] for name in frozen))
    start = jaxem.em(peer, jaxem.Mixture(FULL, 2).seed(X, resp), X, tol=1e-9).params
    same = ScatterParams(start.means, start.covariances)
    want = jaxem.standard_errors(peer, start, X)
    got = jaxem.standard_errors(own, jaxem.MixtureParams(start.weights, same), X)
    np.testing.assert_allclose(got.centre, want.means, rtol=1e-6)
    np.testing.assert_allclose(got.scatter, want.covariances, rtol=1e-6)
    np.testing.assert_array_equal(got.scatter, got.scatter.swapaxes(-1, -2))
    assert (got.scatter == 0).all() == bool(frozen)


def test_a_variance_far_below_one_is_not_at_the_end_of_its_range():
    x = 1e-6 * X
    model = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=1)
    params = model.seed(x, np.ones((len(x), 1)))
    found = jaxem.standard_errors(model, params, x)  # warnings are errors here
    np.testing.assert_allclose(
        found.covariances, np.sqrt(2 / len(x)) * np.asarray(params.covariances), rtol=1e-5
    )


# Constraints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_family_keeps_its_own_constraints(name):
    model, truth = CASES[name].model, CASES[name].truth
    constraints = model.constraints()
    assert list(constraints) == ["weights", *vars(truth.components)]
    assert model.complaints(truth) == ""
    d = CASES[name].data(2).shape[1]
    alone = jax.eval_shape(lambda: model.family.blank(7, d, np.float64))
    shared = shared_fields(model.family.constraints())
    for key, value in vars(alone).items():
        assert (value.shape[0] == 7) == (key not in shared)


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (Free(), [[-1.0, 1e9]], [[np.nan, 0]]),
        (Positive(), [[1e-30, 2.0]], [[0.0, 2.0]]),
        (Interval(0.0, 1.0), [[0.0, 1.0]], [[0.0, 1.1]]),
        (Simplex(), [[0.25, 0.75]], [[0.25, 0.25]]),
        (Simplex((1, 2)), [[1.0, 0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]),
        (SymmetricPD(), [[1e-18, 1e-4], [1e-4, 1e12]], [[1.0, 2.0], [2.0, 1.0]]),
        (SymmetricPD(), [[2.0, 1.0], [1.0, 2.0]], [[2.0, 1.0], [0.5, 2.0]]),
    ],
)
def test_what_breaks_a_constraint(constraint, good, bad):
    assert complaint(constraint, np.array(good)) == ""
    assert complaint(constraint, np.array(bad)).startswith("must ")


def test_only_shares_are_brought_back():
    own = ScatterParams(np.array([[0.2, 0.2]]), np.array([2.0]))
    moved = retract({"centre": Simplex(), "scatter": Positive()}, own)
    np.testing.assert_allclose(moved.centre, [[0.5, 0.5]])
    assert moved.scatter is own.scatter
    assert retract({"centre": Free(), "scatter": Positive()}, own) is own


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scatter", np.stack([[[1.0, 2.0], [2.0, 1.0]]] * 2), "scatter must be symmetric"),
        ("scatter", np.stack([[[1.0, 0.9], [0.1, 1.0]]] * 2), "scatter must be symmetric"),
        ("centre", np.full((2, 2), np.inf), "centre must be finite"),
    ],
)
def test_a_start_that_breaks_a_constraint_is_told_by_name(field, value, message):
    fields = dict(centre=np.zeros((2, 2)), scatter=np.stack([np.eye(2)] * 2))
    start = jaxem.MixtureParams(np.full(2, 0.5), ScatterParams(**{**fields, field: value}))
    with pytest.raises(ValueError, match=f"init is not a start of Mixture: {message}"):
        jaxem.fit(made(Scatter), X, key=jax.random.key(0), n_starts=1, init=start)


def test_weights_that_do_not_sum_to_one_are_told_by_name():
    own = jaxem.PoissonParams(np.ones((2, 2)))
    start = jaxem.MixtureParams(np.full(2, 0.7), own)
    with pytest.raises(ValueError, match="init is not a start of Mixture: weights must sum to 1"):
        jaxem.fit(made(jaxem.Poisson), np.ones((9, 2)), key=jax.random.key(0), init=start)


def test_constraints_name_the_fields():
    class Forgetful(Scatter):
        def constraints(self):
            return {"centre": Free()}

    jax.tree_util.register_static(Forgetful)
    with pytest.raises(ValueError, match=r"Forgetful\.constraints must name centre, scatter"):
        jaxem.fit(made(Forgetful), X, key=jax.random.key(0))


# Protocols ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["narowness", "min_row", "log_densty", "common_feature", "standardise"]
)
def test_a_misspelt_method_is_refused_where_a_mixture_is_made(name):
    wrong = type("Wrong", (Scatter,), {name: lambda self: None})
    with pytest.raises(ValueError, match=rf"Wrong\.{name} is no member that jaxem knows"):
        jaxem.Mixture(wrong(), n_components=2)


@pytest.mark.parametrize(
    ("has", "lacks"),
    [
        (["narrowness"], "min_rows"),
        (["log_density", "condition"], "residual_form"),
        (["scale_kind", "standardized", "standardize"], "unstandardize"),
        (["common_coefficients"], "common_features"),
        (["base_of"], "far_below"),
    ],
)
def test_a_capability_in_part_is_refused_where_a_mixture_is_made(has, lacks):
    wrong = type("Half", (Scatter,), {name: lambda self, *_: None for name in has})
    with pytest.raises(ValueError, match=f"in part: it lacks {lacks}"):
        jaxem.Mixture(wrong(), n_components=2)


def test_a_required_method_that_is_missing_is_named():
    wrong = type("Lacking", (), {"__dataclass_fields__": {}, "features": lambda self, x: x})
    with pytest.raises(ValueError, match=r"Lacking is no Family: it lacks .*maximize"):
        jaxem.Mixture(wrong(), n_components=2)


def test_placeholders_stand_where_a_family_does():
    model = made(Scatter)
    leaves, structure = jax.tree.flatten(jaxem.Mixture(jaxem.Poisson(), 2))
    assert jax.tree.unflatten(structure, [object()] * len(leaves)).n_components == 2
    assert jax.tree.map(lambda _: None, model).n_components == 2
    assert jaxem.Mixture(None, 2).family is None  # a prefix, as in_axes of jax.vmap takes it


@pytest.mark.parametrize("name", sorted(CASES))
def test_own_families_provide_all_of_it(name):
    check_family(type(CASES[name].model.family))


def test_every_protocol_has_documented_members():
    for protocol in (Family, *CAPABILITIES):
        for name, member in vars(protocol).items():
            if not name.startswith("_"):
                assert member.__doc__, (protocol, name)


def test_no_optional_method_is_looked_up_by_name():
    by_name = re.compile(r"(has|get)attr\((family|\w+\.family)\b")
    for room in ("models", "data", "batch", "search", "engine", "api", "inference"):
        for path in (Path(jaxem.__file__).parent / room).glob("*.py"):
            assert not by_name.search(path.read_text()), path
