"""Models, families and parameters of a caller: saved by name and fields, loaded with the classes
that the caller hands in, and with no others."""

import dataclasses
import os
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import own_models
import pytest
from helpers import assert_identical

import jaxem
from jaxem import io
from jaxem.core import npz
from jaxem.core.constraints import Free
from jaxem.core.trees import pytree, static


@pytree
class Arrivals(jaxem.Poisson):
    """A family of a caller with the parameters of one of jaxem."""

    unit: str = static(default="array")  # a name that means something in a file
    array: str = static(default="scalar")


def rows(low, high, *shape):
    return np.random.default_rng(0).integers(low, high, shape).astype(float)


LOGISTIC = own_models.TwoParameterLogistic(31)

#: Model, data, and the classes that `load` needs, in the order in which a file names them.
OWN = {
    "mean": (own_models.NormalMean(), rows(0, 9, 30, 2), ["NormalMean", "Mean"]),
    "blood": (own_models.BloodGroups(), rows(0, 4, 30, 1), ["BloodGroups", "Genes"]),
    "items": (LOGISTIC, rows(0, 2, 30, 3), ["TwoParameterLogistic", "Items"]),
    "family": (jaxem.Mixture(Arrivals(unit="hour"), 2), rows(0, 9, 30, 2), ["Arrivals"]),
}


def classes_of(case):
    return [getattr(own_models, name, Arrivals) for name in OWN[case][2]]


def fits_of(case, **options):
    model, x, _ = OWN[case]
    return jaxem.fit(model, x, **{**dict(key=0, n_starts=3, max_iter=5), **options})


@pytest.mark.parametrize("case", OWN)
def test_fits_of_any_model_come_back(tmp_path, case):
    model, x, names = OWN[case]
    fits, path = fits_of(case), tmp_path / "fit.npz"
    jaxem.save(path, (model, fits))
    again, got = jaxem.load(path, classes=classes_of(case))
    assert_identical((model, fits), (again, got))
    assert got.model is again and type(again) is type(model)
    np.testing.assert_array_equal(got[0].log_prob(x), fits[0].log_prob(x))
    held = " and a ".join(map(repr, names))
    message = rf"a {held}, which this .*load\(path, classes=\[{', '.join(names)}\]\)"
    with pytest.raises(ValueError, match=rf"fit\.npz cannot be loaded: it holds {message}"):
        jaxem.load(path)
    with pytest.raises(ValueError, match=rf"a '{names[-1]}', which .*classes=\[{names[-1]}\]"):
        jaxem.load(path, classes=classes_of(case)[:-1])


@pytest.mark.parametrize("case", OWN)
def test_parts_of_a_fit_come_back(tmp_path, case):
    model, x, _ = OWN[case]
    one = fits_of(case)[0]
    for number, value in enumerate([(model, one.params), (model, one), one, one.params, model]):
        jaxem.save(tmp_path / f"{number}.npz", value)
        assert_identical(value, jaxem.load(tmp_path / f"{number}.npz", classes_of(case)))
    many = jaxem.fit_many(model, [x, x[:20]], key=0, n_starts=2, max_iter=3)
    jaxem.save(tmp_path / "many.npz", (model, many))
    assert_identical(many, jaxem.load(tmp_path / "many.npz", classes_of(case))[1])


def test_a_sweep_of_any_models_comes_back(tmp_path):
    models = {"own": own_models.NormalMean(), "jaxem's": jaxem.Mixture(jaxem.Gaussian("diag"), 1)}
    x, path = OWN["mean"][1], tmp_path / "sweep.npz"
    sweep = jaxem.sweep(x, models=models, key=0, n_starts=2, max_iter=5)
    jaxem.save(path, sweep, columns=["a", "b"])
    got = jaxem.load(path, classes_of("mean"))
    assert repr(got) == repr(sweep) and got.rows[0].criteria.bic == sweep.rows[0].criteria.bic
    for one, other in zip(sweep.rows, got.rows, strict=True):
        assert_identical((one.model, one.fits), (other.model, other.fits))


def test_names_of_columns_are_counted_where_the_model_tells(tmp_path):
    fits = {case: (OWN[case][0], fits_of(case)) for case in ("mean", "blood", "items")}
    for case, columns in (("mean", ["a", "b"]), ("blood", ["group"]), ("items", ["a", "b", "c"])):
        jaxem.save(tmp_path / f"{case}.npz", fits[case], columns=columns)
        with pytest.raises(ValueError, match=f"{len(columns) + 1} names of columns for"):
            jaxem.save(tmp_path / "wrong.npz", fits[case], columns=[*columns, "more"])
    assert io.read(tmp_path / "blood.npz", classes_of("blood")).metadata == {"columns": ["group"]}


def test_settings_that_no_shape_tells_do_not_stand_in_the_way(tmp_path):
    """Three columns, of which the parameters show nothing. Names need not be English."""

    @pytree
    class Mittel:
        μ: jax.Array  # f[]

    @pytree
    class Trios(own_models.NormalMean):
        def validate_settings(self, d):
            if d != 3:
                raise ValueError("trios are three columns.")

        def blank(self, d, dtype):
            return Mittel(jnp.zeros((), dtype))

    value = Trios(), Mittel(np.array(2.0))
    jaxem.save(tmp_path / "trios.npz", value)
    assert_identical(value, jaxem.load(tmp_path / "trios.npz", [Trios, Mittel]))


# Refused --------------------------------------------------------------------------------------


def test_parameters_of_another_model_are_refused(tmp_path):
    fits = fits_of("mean")
    for model in (own_models.BloodGroups(), own_models.TwoParameterLogistic()):
        with pytest.raises(ValueError, match="cannot be saved: parameters of shapes"):
            jaxem.save(tmp_path / "fit.npz", (model, fits))
    with pytest.raises(ValueError, match="got a pair of NormalMean and NormalMean"):
        jaxem.save(tmp_path / "fit.npz", (OWN["mean"][0], OWN["mean"][0]))
    odd = dataclasses.replace(fits, params=own_models.Mean(np.zeros((4, 2))))
    with pytest.raises(ValueError, match=r"of shapes \[4, 2\] are not those .* in fits \[3\]"):
        jaxem.save(tmp_path / "fit.npz", (OWN["mean"][0], odd))
    assert os.listdir(tmp_path) == []


LIES = {
    "a field": (lambda h: h["model"]["fields"].update(cunning=1), "has no field 'cunning'"),
    "dunder": (lambda h: h["model"]["fields"].update(__class__=1), "has no field '__class__'"),
    "another class": (lambda h: h["model"].update({"class": "Items"}), "Items has no field|lacks"),
    "parameters": (lambda h: h.update(model=None, thing=h["model"], kind="params"), "arrays"),
    "a model of ours": (lambda h: h["model"].update({"class": "Mixture"}), "no field 'nodes'"),
    "a module": (lambda h: h["model"].update({"class": "own_models.Mean"}), "holds a 'own_models"),
}


@pytest.mark.parametrize("lie", LIES)
def test_files_that_lie_about_your_classes(tmp_path, lie):
    model, _, _ = OWN["items"]
    jaxem.save(tmp_path / "good.npz", (model, fits_of("items")))
    header, arrays = npz.read(tmp_path / "good.npz")
    change, message = LIES[lie]
    change(header)
    npz.write(tmp_path / "bad.npz", header, arrays)
    with pytest.raises(ValueError, match=rf"bad\.npz cannot be loaded: .*({message})"):
        jaxem.load(tmp_path / "bad.npz", classes_of("items"))


@pytree
class LevelParams:
    level: jax.Array


@pytree
class Levels:
    width: float = static(default=1.0)
    prior: ClassVar[None] = None

    def constraints(self):
        return {"level": Free()}

    def validate(self, x):
        """Anything goes."""

    def blank(self, k, d, dtype):
        return LevelParams(jnp.zeros((k, d), dtype))

    def never(self, *_):
        """What no file asks for."""

    features = log_base = embed = coefficients = maximize = log_prior = sample = never
    n_parameters = usable = healthy = never


def test_classes_of_one_name_are_refused(tmp_path):
    model = jaxem.Mixture(Levels(2.5), n_components=2)
    params = jaxem.MixtureParams(np.full(2, 0.5), LevelParams(np.arange(6.0).reshape(2, 3)))
    path = tmp_path / "own.npz"
    jaxem.save(path, (model, params))
    assert_identical((model, params), jaxem.load(path, families=[Levels, LevelParams]))
    with pytest.raises(ValueError, match=r"must be made by jaxem\.pytree; got 3"):
        jaxem.load(path, classes=[3])
    poisson, level_params, levels = (
        dataclasses.make_dataclass(name, [], bases=(Levels,), frozen=True)
        for name in ("Poisson", "LevelParams", "Levels")
    )
    with pytest.raises(ValueError, match="Poisson is the name of a class of jaxem"):
        jaxem.load(path, classes=[poisson])
    with pytest.raises(ValueError, match="Levels is the name of another of your classes"):
        jaxem.load(path, classes=[Levels, levels])
    for impostor, whose in (
        (poisson, "a class of jaxem"),
        (level_params, "another of your classes"),
    ):
        message = f"your class {impostor.__name__} has the name of {whose}: rename it"
        with pytest.raises(ValueError, match=message):
            jaxem.save(path, (jaxem.Mixture(impostor(), n_components=2), params), force=True)
