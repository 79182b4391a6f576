"""Methods that `jaxem.model` gives a class are those that it would have written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from own_models import BloodGroups, Genes, NormalMean, TwoKindsOfPersons, TwoParameterLogistic

import jaxem
from jaxem import Status
from jaxem.core.capabilities import check
from jaxem.core.constraints import Free, Interval, Positive, Simplex, SymmetricPD, broken, n_free
from jaxem.core.model_protocol import CAPABILITIES, Model
from jaxem.core.trees import pytree


@pytest.mark.parametrize(
    ("model", "d", "count"),
    [(NormalMean(), 3, 3), (BloodGroups(), 1, 2), (TwoParameterLogistic(), 5, 10)],
)
def test_free_parameters(model, d, count):
    assert model.n_parameters(d) == count
    check(type(model), Model, CAPABILITIES)


FREE = [n for n in CASES if not CASES[n].given and not CASES[n].model.frozen]


@pytest.mark.parametrize("name", sorted(FREE))
def test_free_parameters_of_families_follow_from_their_constraints(name):
    model, x = CASES[name].model, CASES[name].data(5)
    blank = model.blank(x.shape[1], np.float64)
    found = n_free(model.family.constraints(), blank.components) + model.n_components - 1
    assert found == model.n_parameters(x.shape[1])


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (Simplex(), [0.0, 1.0], [-0.1, 1.1]),
        (Positive(), [1e-9, 2.0], [0.0, 2.0]),
        (Interval(0.0, 1.0), [0.0, 1.0], [0.5, 1.5]),
        (SymmetricPD(), [[2.0, 1.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]]),
        (Free(), [-1.0, 5.0], None),
    ],
)
def test_health_is_singular_where_a_constraint_is_broken(constraint, good, bad):
    @pytree
    class Field:
        value: jax.Array

    @jaxem.model
    class One:
        def constraints(self):
            return {"value": constraint}

    for value, status in ((good, Status.RUNNING), (bad, Status.SINGULAR)):
        if value is None:
            continue
        params = Field(jnp.asarray(value))
        assert jax.jit(broken, static_argnums=0)(_Fixed(constraint), params) == (value is bad)
        assert One().health(params, None, None).status == status


class _Fixed(dict):
    """Constraints as a static argument."""

    def __init__(self, constraint):
        super().__init__(value=constraint)

    def __hash__(self):
        return hash(self["value"])


def test_shares_are_brought_back_to_a_sum_of_one():
    moved = BloodGroups().retract(Genes(jnp.array([0.3, 0.1, 0.8])))
    np.testing.assert_allclose(moved.frequencies, [0.25, 0.1 / 1.2, 0.8 / 1.2])


def test_data_that_are_not_finite_are_told_by_their_row():
    x = np.zeros((4, 3, 2))
    x[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="row 2 is not"):
        NormalMean().validate(jaxem.Data(x, np.ones(4)))


def test_a_method_of_the_class_goes_first():
    @jaxem.model
    class Own:
        def log_prior(self, params):
            return 7.0

    assert Own().log_prior(None) == 7.0 and Own().validate_settings(3) is None
    assert TwoKindsOfPersons.validate is not NormalMean.validate
