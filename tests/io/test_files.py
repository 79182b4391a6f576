"""What is saved comes back: the same values, bit for bit, in any JAX mode; nothing is overwritten
unasked, and a write that fails leaves no trace."""

import dataclasses
import json
import os
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import assert_identical, fit_of, sweep_of

import jaxem
from jaxem import io
from jaxem.core import npz
from jaxem.io.classes import KNOWN
from jaxem.io.encoding import decode


@pytest.mark.laws
@pytest.mark.parametrize("case", CASES)
def test_every_model_and_its_parameters_come_back(tmp_path, case):
    model, params = CASES[case].model, CASES[case].truth
    path = tmp_path / "params.npz"
    jaxem.save(path, (model, params))
    again, got = jaxem.load(path)
    assert_identical(params, got)
    assert_identical(model, again)
    assert repr(again) == repr(jax.tree.map(np.asarray, model))


@pytest.mark.laws
@pytest.mark.parametrize("lanes", [(), (5,), (3, 2)], ids=["em", "fit", "fit_many"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fits_of_any_axes_come_back(tmp_path, lanes, dtype):
    case = CASES["tied"]
    report = jaxem.Report(executed=9, needed=4, kernel="blocked", stopping_gain=1e-4)
    fit = fit_of(case.truth, lanes, dtype, report=report)
    fit.params.components.means[..., 0, 0] = np.nan  # as a lane that failed leaves it
    if lanes:
        follows = np.full(lanes, -1, np.int32)
        follows[..., 0] = lanes[-1] - 1
        if len(lanes) == 2:
            follows[0] = 0  # a data set that could not be fitted
        fit = dataclasses.replace(fit, follows=follows, trace=np.ones((*lanes, 4), dtype))
    path = tmp_path / "fit.npz"
    jaxem.save(path, (case.model, fit), columns=("a", "b"))
    model, got = jaxem.load(path)
    assert_identical(fit, got)
    assert dataclasses.asdict(got.report) == dataclasses.asdict(report)
    assert_identical(case.model, model)
    assert io.read(path).metadata == {"columns": ["a", "b"]}


def test_one_of_many_fits_has_scalars_that_stay_scalars(tmp_path):
    case = CASES["spherical"]
    one = fit_of(case.truth, (4,))[2]
    assert isinstance(one.status, np.int32) and isinstance(one.objective, np.float64)
    jaxem.save(tmp_path / "one.npz", (case.model, one))
    assert_identical(one, jaxem.load(tmp_path / "one.npz")[1])


@pytest.mark.laws
def test_a_sweep_comes_back(tmp_path):
    sweep = sweep_of("full", "diag-map")
    jaxem.save(tmp_path / "sweep.npz", sweep)
    got = jaxem.load(tmp_path / "sweep.npz")
    assert type(got) is jaxem.Sweep and got.criterion == "icl" and got.report.needed == 3
    for one, other in zip(sweep.rows, got.rows, strict=True):
        assert_identical((one.model, one.fits), (other.model, other.fits))
        assert one.criteria.aic != one.criteria.aic and other.criteria.aic != other.criteria.aic
        assert dataclasses.replace(one.criteria, aic=0) == dataclasses.replace(
            other.criteria, aic=0
        )
        assert (one.n_components, one.covariance_type, one.held_out) == (
            other.n_components, other.covariance_type, other.held_out)  # fmt: skip
    assert got[3, "diag-map"].fits.log_likelihood[0] == -np.inf
    assert repr(got) == repr(sweep)


def test_sweeps_from_before_keep_their_number_under_its_new_name(tmp_path):
    """What `icl` said is `icl_entropy` today; files that lack the one mean the other."""
    jaxem.save(tmp_path / "new.npz", sweep_of("full", "diag-map"))
    with zipfile.ZipFile(tmp_path / "new.npz") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(entries["header.json"])
    for row in header["thing"]["fields"]["rows"]:
        del row["fields"]["criteria"]["fields"]["icl_entropy"]
    entries["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(tmp_path / "old.npz", "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    got = jaxem.load(tmp_path / "old.npz")
    assert got.criterion == "icl_entropy"
    for row in got.rows:
        assert row.criteria.icl_entropy == 36.0 and np.isnan(row.criteria.icl)
    assert got.best is got.rows[0] and "36.000" in repr(got)
    jaxem.save(tmp_path / "again.npz", got)
    assert jaxem.load(tmp_path / "again.npz").criterion == "icl_entropy"


@pytest.mark.parametrize("what", ["fit", "params", "model"])
def test_without_its_model_a_thing_comes_back_alone(tmp_path, what):
    case = CASES["poisson-map"]
    thing = {"fit": fit_of(case.truth, (2,)), "params": case.truth, "model": case.model}[what]
    jaxem.save(tmp_path / "one", thing)  # no ending is added
    assert os.listdir(tmp_path) == ["one"]
    assert_identical(thing, jaxem.load(tmp_path / "one"))


def test_where_the_rows_lay_is_not_stored(tmp_path):
    case = CASES["full"]
    with pytest.warns(FutureWarning, match="mesh="):
        model = jaxem.shard_rows(case.model, jax.devices()[:2])
    jaxem.save(tmp_path / "model.npz", (model, case.truth))
    assert model.deprecated.mesh is not None
    assert jaxem.load(tmp_path / "model.npz")[0].deprecated.mesh is None


def test_a_loaded_fit_knows_its_model(tmp_path):
    case, x = CASES["full"], CASES["full"].data(30)
    fits = jaxem.fit(case.model, x, key=0, n_starts=2, **case.settings)
    jaxem.save(tmp_path / "fit.npz", (case.model, fits))
    model, loaded = jaxem.load(tmp_path / "fit.npz")
    assert loaded.model is model
    np.testing.assert_array_equal(loaded[0].predict(x), fits[0].predict(x))


def test_settings_that_a_mixture_had_in_older_files(tmp_path):
    case = CASES["poisson"]
    jaxem.save(tmp_path / "now.npz", (case.model, case.truth))
    header, arrays = npz.read(tmp_path / "now.npz")
    old = dict(assignment="hard", exponent=None, kernel="blocked", precision="float32", mesh=None)
    header["model"]["fields"].pop("deprecated")
    header["model"]["fields"].update(old)
    npz.write(tmp_path / "old.npz", header, arrays)
    model, _ = jaxem.load(tmp_path / "old.npz")
    assert model.deprecated.assignment == "hard" and model.deprecated.kernel is None
    x = case.data(60)
    hard = jaxem.fit(case.model, x, key=0, n_starts=2, assignment="hard", **case.settings)
    np.testing.assert_array_equal(jaxem.fit(model, x, key=0, n_starts=2).objective, hard.objective)


def test_float64_comes_back_where_jax_knows_float32_only(tmp_path):
    case, path = CASES["full-map"], tmp_path / "fit.npz"
    fit = fit_of(case.truth)
    jaxem.save(path, (case.model, fit))
    with jax.enable_x64(False):
        model, got = jaxem.load(path)
    assert got.params.means.dtype == np.float64 and model.family.prior.mean.dtype == np.float64
    assert_identical(fit, got)


def test_the_format_is_what_is_documented(tmp_path):
    case, path = CASES["full-map"], tmp_path / "fit.npz"
    jaxem.save(path, (case.model, fit_of(case.truth, (2,))))
    with np.load(path) as file:  # NumPy reads it, without pickles
        assert file["means"].shape == (2, 3, 2) and file["log_likelihood"].shape == (2,)
        np.testing.assert_array_equal(file["model.family.prior.mean"], [1, 2])
        header = json.loads(file["header.json"])
    assert header["format"] == io.FORMAT == 1 and header["kind"] == "fit"
    assert header["model"]["class"] == "Mixture"
    assert header["model"]["fields"]["family"]["class"] == "GaussianFamily"
    assert header["versions"]["jaxem"] == jaxem.__version__
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    before = path.read_bytes()
    jaxem.save(path, (case.model, fit_of(case.truth, (2,))), force=True)
    assert path.read_bytes() == before  # the same content is the same bytes


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "known"])
def test_gaussians_of_older_files_still_load(kind):
    """They were classes of their own: FullGaussian, with the fields that the family has now."""
    arrays = {"covariance": np.eye(2)}
    held = {"covariance": {"array": "covariance"}} if kind == "known" else {"reg_covar": 0.5}
    name = f"{kind.capitalize()}Gaussian"
    got = decode({"class": name, "fields": held}, arrays, KNOWN)
    want = {"covariance": np.eye(2)} if kind == "known" else held
    assert_identical(got, jaxem.Gaussian(kind, **want))
    with pytest.raises(ValueError, match=r"no field '(cunning|covariance)'"):
        wrong = {"cunning": 1} if kind == "known" else arrays
        decode({"class": name, "fields": {**held, **dict.fromkeys(wrong, 1)}}, arrays, KNOWN)


# Refused --------------------------------------------------------------------------------------


def refused():
    case = CASES["full"]
    model, params, fit = case.model, case.truth, fit_of(case.truth, (2,))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    other = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    diag = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=3)
    odd = dataclasses.replace(fit, n_iter=np.zeros(3, int))
    return {
        "a dict": ({"weights": 1}, "save takes a sweep, a pair"),
        "another pair": ((model, "fit"), "got a pair of Mixture and str"),
        "components": ((other, params), r"shapes \[3\], .* are not those of Mixture.*=2"),
        "covariances": ((diag, fit), "not those of Mixture"),
        "lanes": ((model, odd), r"n_iter int64\[3\] is not of fits \[2\]"),
        "half precision": ((model, half), "weights has dtype bfloat16"),
        "settings": ((jaxem.Mixture(jaxem.Gaussian(), 3, weight_prior=-1.0), fit), "weight_prior"),
        "a function": (jaxem.Mixture(print, n_components=3), "model.family is a builtin"),
    }


@pytest.mark.parametrize("what", refused())
def test_what_a_file_cannot_hold_is_said(tmp_path, what):
    thing, message = refused()[what]
    with pytest.raises(ValueError, match=message):
        jaxem.save(tmp_path / "file.npz", thing)
    assert os.listdir(tmp_path) == []


def test_columns_and_traced_values_are_refused(tmp_path):
    case, path = CASES["full"], tmp_path / "file.npz"
    for columns, message in (
        (["a"], "1 names of columns for 2 columns"),
        (["a", "a"], "same name"),
    ):
        with pytest.raises(ValueError, match=message):
            jaxem.save(path, (case.model, case.truth), columns=columns)

    @jax.jit
    def inside(params):
        jaxem.save(path, (case.model, params))

    with pytest.raises(ValueError, match="outside of jit"):
        inside(case.truth)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten_unasked(tmp_path):
    case, path = CASES["full"], tmp_path / "file.npz"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"file\.npz exists, and was left as it is"):
        jaxem.save(path, case.model)
    assert path.read_text() == "mine"
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    with pytest.raises(FileExistsError):
        jaxem.save(link, case.model)
    jaxem.save(link, case.model, force=True)  # the file it points to, not the link
    assert link.is_symlink()
    assert_identical(case.model, jaxem.load(path))
    with pytest.raises(ValueError, match="not a plain file"):
        jaxem.save(tmp_path, case.model, force=True)
    with pytest.raises(FileNotFoundError):
        jaxem.save(tmp_path / "nowhere" / "file.npz", case.model)


def test_a_file_made_in_the_meantime_is_not_overwritten(tmp_path):
    path = tmp_path / "labels.csv"

    def fill(file):
        file.write(b"ours")
        path.write_text("theirs")

    with pytest.raises(FileExistsError):
        npz.in_one_step(path, fill, force=False)
    assert path.read_text() == "theirs" and os.listdir(tmp_path) == ["labels.csv"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, call, force):
    path = tmp_path / "file.npz"
    if force:
        path.write_text("mine")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        jaxem.save(path, CASES["full"].model, force=force)
    assert os.listdir(tmp_path) == (["file.npz"] if force else [])
    assert not force or path.read_text() == "mine"
