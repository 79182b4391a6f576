"""Files that are damaged, foreign, newer or malicious: a ValueError that names the file, nothing
executed, no memory taken on a file's word, and no endless loop."""

import io as streams
import json
import os
import pickle
import resource
import struct
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
from cases import CASES
from helpers import assert_identical, fit_of, sweep_of

import jaxem
from jaxem.core import npz


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The entries of a good file of four starts, by name."""
    case, path = CASES["full-map"], tmp_path_factory.mktemp("good") / "fit.npz"
    fit = fit_of(
        case.truth,
        (4,),
        follows=np.array([-1, 0, 0, -1], np.int32),
        parent=np.full(4, -1, np.int32),
    )
    jaxem.save(path, (case.model, fit), columns=["a", "b"])
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries, compression=zipfile.ZIP_STORED):
    """The bytes of a zip of these (name, content) pairs."""
    out = streams.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return out.getvalue()


def forged(good, **changes):
    """A good file with some entries changed; None takes one away. Underscores stand for dots."""
    entries = dict(good)
    for name, content in changes.items():
        entries[name.replace("__", ".")] = content
    return archive_of((n, c) for n, c in entries.items() if c is not None)


def header_with(good, change):
    """The header after `change(header)`."""
    header = json.loads(good["header.json"])
    change(header)
    return json.dumps(header).encode()


def npy(array=None, descr="<f8", shape=(4, 3), fortran=False, data=b""):
    """An NPY entry that says what it likes of itself."""
    if array is not None:
        out = streams.BytesIO()
        np.lib.format.write_array(out, array, allow_pickle=True)
        return out.getvalue()
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode() + b"\n" + data


@contextmanager
def little_memory(more=256 << 20):
    """Address space for `more` bytes beyond what is mapped now, and no more."""
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def assert_refused(tmp_path, content, message):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz cannot be loaded: .*" + message):
        jaxem.load(path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["bad.npz"]


def test_the_forger_forges_good_files(tmp_path, good):
    path = tmp_path / "fit.npz"
    path.write_bytes(forged(good))
    model, fit = jaxem.load(path)
    assert_identical(CASES["full-map"].model, model)
    assert fit.optima().starts == 4


# The archive ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated(tmp_path, good, share):
    whole = forged(good)
    assert_refused(
        tmp_path, whole[: int(share * len(whole))], "no archive, or damaged or cut short"
    )


def test_a_flipped_byte_is_found_or_harmless(tmp_path, good):
    whole, path = forged(good), tmp_path / "fit.npz"
    path.write_bytes(whole)
    want = jaxem.load(path)
    draw, found = np.random.default_rng(0), 0
    for at in draw.choice(len(whole), 60, replace=False):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ draw.integers(1, 256)]) + whole[at + 1 :])
        try:
            got = jaxem.load(path)
        except ValueError as error:
            assert "fit.npz cannot be loaded: " in str(error)
            found += 1
        else:  # a date, or a space in front of an array
            assert_identical(want, got)
    assert found > 40


class Bomb:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def strangers():
    stream = streams.BytesIO()
    np.savez(stream, weights=np.ones(2), header=np.array("{}"))
    objects = streams.BytesIO()
    np.savez(objects, weights=np.array([Bomb()], object))
    return {
        "empty": (b"", "no archive"),
        "text": (b"a,b\n1,2\n", "no archive"),
        "pickle": (pickle.dumps(Bomb()), "no archive"),
        "npy": (npy(np.ones(3)), "no archive"),
        "another NPZ": (stream.getvalue(), "no header.json: another program"),
        "NPZ of pickles": (objects.getvalue(), "no header.json: another program"),
        "empty archive": (archive_of([]), "no header.json"),
    }


@pytest.mark.parametrize("kind", strangers())
def test_files_of_other_programs(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    assert_refused(tmp_path, *strangers()[kind])
    assert not os.path.exists("executed")


@pytest.mark.parametrize(
    "name", ["../means.npy", "/tmp/means.npy", "C:\\means.npy", "a/b.npy", "..npy", "means", ".npy"]
)
def test_path_tricks(tmp_path, good, name):
    content = archive_of([*good.items(), (name, good["means.npy"])])
    assert_refused(tmp_path, content, "an entry has the strange name")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_tricks_of_the_archive(tmp_path, good):
    twice = archive_of([*good.items(), ("means.npy", good["means.npy"])])
    assert_refused(tmp_path, twice, "two entries have the same name")
    small = archive_of(good.items(), zipfile.ZIP_DEFLATED)
    assert_refused(tmp_path, small, "compressed")
    bomb = archive_of([("header.json", b" " * (1 << 26))], zipfile.ZIP_DEFLATED)
    assert_refused(tmp_path, bomb, "compressed")
    assert_refused(tmp_path, forged(good, means__npy=None), "arrays are not those that its header")
    more = forged(good, extra__npy=npy(np.ones(2)))
    assert_refused(tmp_path, more, "arrays are not those that its header")
    whole = forged(good)
    at = whole.rindex(b"PK\x01\x02")  # the archive's own table: sizes at 20 and 24
    for sizes, message in (
        (b"\xf0\xff\xff\xff" * 2, "larger than the file"),
        (b"\x00\x00\x00\x00\xf0\xff\xff\xff", "contradicts itself about its size"),
    ):
        liar = whole[: at + 20] + sizes + whole[at + 28 :]
        assert_refused(tmp_path, liar, message)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [(6, 99, "zip file version 9.9"), (8, 1, "encrypted|plain"), (10, 99, "compress|plain")],
)
def test_an_archive_that_zipfile_does_not_know(tmp_path, good, field, value, message):
    """A version, an encryption, a method: what zipfile raises then is not what it calls a bad
    file."""
    content = bytearray(archive_of(good.items()))
    at = content.index(b"PK\x01\x02") + field  # of the first entry of the table
    content[at : at + 2] = struct.pack("<H", value)
    assert_refused(tmp_path, bytes(content), message)


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        jaxem.load(tmp_path / "none.npz")
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)  # opening it would wait for ever
    for path in (tmp_path, pipe, "/dev/zero"):
        with pytest.raises(ValueError, match="it is not a plain file"):
            jaxem.load(path)


# Arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry, message",
    [
        (npy(shape=(10**12, 3)), "does not hold the"),
        (npy(shape=(10**18, 10**18)), "does not hold the"),
        (npy(shape=(2**32, 2**32), data=b"12345678"), "does not hold the"),
        (npy(shape=(4, 3), data=b"0" * 95), "does not hold the"),
        (npy(shape=(4, 3), data=b"0" * 97), "does not hold the"),
        (npy(shape=(0, 10**18)), ""),
        (npy(shape=(-1, 3)), "not a plain array"),
        (npy(shape=("4", "3")), "not a plain array"),
        (npy(descr="|O", shape=(12,)), "not a plain array"),
        (npy(descr="<U0", shape=(10**18,)), "not a plain array"),
        (npy(shape="(4L, 3)", data=b"0" * 96), "not a plain array"),
        (npy(shape="(----------4, 3)", data=b"0" * 96), "not a plain array"),
        (npy(descr="<c16", data=b"0" * 192), "not a plain array"),
        (npy(descr="<f3", data=b"0" * 36), "weights.npy"),
        (npy(descr="<U999999999"), "weights.npy"),
        (npy(fortran=True, data=b"0" * 96), "not a plain array"),
        (npy(np.array([(1, 2)], "i4,i4")), "not a plain array"),
        (npy(np.array([Bomb()], object)), "not a plain array"),
        (b"\x93NUMPY\x03\x00\xff\xff\xff\xff", "not an NPY array"),
        (b"\x93NUMPY\x01\x00\x08\x00", "not a plain array"),
        (b"", "not an NPY array"),
        (npy(np.ones((4, 3), "i8")), "parameters must be floating-point"),
        (npy(np.ones((4, 2))), "parameters of shapes"),
        (npy(np.ones((3, 3))), "parameters of shapes"),
        (npy(np.array(["a"])), "parameters"),
    ],
)
def test_arrays_that_lie(tmp_path, good, monkeypatch, entry, message):
    monkeypatch.chdir(tmp_path)
    with little_memory():
        assert_refused(tmp_path, forged(good, weights__npy=entry), message)


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("status", [1, 1, 1, 99], "a status that this jaxem does not know"),
        ("status", [1, 1, 1], "is not of fits"),
        ("follows", [-1, 0, 0, 4], "a start that does not exist"),
        ("follows", [-2, 0, 0, 0], "a start that does not exist"),
        ("follows", [1, 2, 0, -1], "goes round in a circle"),
        ("follows", [3, -1, -1, 0], "goes round in a circle"),
        ("parent", [-2, 0, 0, -1], "a start that does not exist"),
        ("n_iter", [[1, 1, 1, 1]], "is not of fits"),
    ],
)
def test_results_that_no_fit_has(tmp_path, good, name, values, message):
    entry = npy(np.array(values, np.int32))
    assert_refused(tmp_path, forged(good, **{f"{name}__npy": entry}), message)


# The header -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "it is not a file that jaxem.save wrote"),
        (b'{"format": NaN}', "NaN in header.json"),
        (b'{"format": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"[1, 2]", "it is not a file that jaxem.save wrote"),
        (b'{"format": "1"}', "it is not a file that jaxem.save wrote"),
        (b'{"format": 1}', "it is not a file that jaxem.save wrote"),
        (b'{"format": 2, "kind": "forest"}', r"written by a newer jaxem \(format 2;.*update jaxem"),
        (b'{"format": 2, "mark": "x"}', "newer jaxem"),
    ],
)
def test_headers_that_are_none(tmp_path, good, text, message):
    assert_refused(tmp_path, forged(good, header__json=text), message)


def test_a_long_header_is_not_read(tmp_path, good, monkeypatch):
    monkeypatch.setattr(npz, "LONGEST", 1000)
    assert_refused(tmp_path, forged(good), "header.json is longer than 1000 bytes")


def fields(header):
    return header["model"]["fields"]


def named(header, name, value):
    fields(header)["family"][name] = value


CHANGES = {
    "kind": (lambda h: h.update(kind="tree"), "holds a 'tree'"),
    "kind of another": (lambda h: h.update(kind="sweep"), "stands where a sweep should"),
    "params for fit": (lambda h: h.update(kind="params"), "a Fit stands where parameters should"),
    "no model": (lambda h: h.update(model=h["thing"]), "arrays are not those"),
    "a model of text": (lambda h: named(h, "class", "Criteria"), "Criteria has no field"),
    "class of Python": (lambda h: named(h, "class", "os.system"), "'os.system', which this jaxem"),
    "builtin": (lambda h: named(h, "class", "eval"), "holds a 'eval', which this jaxem"),
    "escape": (lambda h: named(h, "class", "\x1b[31m"), r"holds a '\\x1b\[31m'"),
    "other fields": (lambda h: fields(h).update(cunning=1), "Mixture has no field 'cunning'"),
    "dunder": (lambda h: fields(h).update(__class__=1), "Mixture has no field '__class__'"),
    "lacks": (lambda h: fields(h).pop("n_components"), "lacks its field 'n_components'"),
    "text for number": (lambda h: fields(h).update(n_components="3"), "cannot be a str"),
    "true for number": (lambda h: fields(h).update(n_components=True), "cannot be a bool"),
    "too many": (lambda h: fields(h).update(n_components=10**15), "parameters of shapes"),
    "none": (lambda h: fields(h).update(n_components=0), "makes no sense"),
    "negative": (lambda h: fields(h).update(n_components=-3), "makes no sense"),
    "assignment": (lambda h: fields(h).update(assignment="x" * 9999), "assignment"),
    "frozen": (lambda h: fields(h).update(frozen=["cats"]), r"frozen names \['cats'\]"),
    "frozen text": (lambda h: fields(h).update(frozen="weights"), "frozen cannot be a str"),
    "exponent": (lambda h: fields(h).update(exponent={"float": "nan"}), "exponent must be finite"),
    "prior": (lambda h: fields(h).update(weight_prior="much"), "weight_prior cannot be a str"),
    "no family": (lambda h: fields(h).update(exponent=3, family=None), "arrays are not those"),
    "float": (lambda h: fields(h).update(exponent={"float": "1e9"}), "where a value should stand"),
    "array": (lambda h: fields(h).update(exponent={"array": "x"}), "arrays are not those"),
    "borrowed": (lambda h: fields(h).update(exponent={"array": "means"}), "arrays are not those"),
    "a large number": (lambda h: fields(h).update(weight_prior=2**70), "more than 32 bits"),
    "names": (lambda h: h["facts"].update(columns=["a"]), "1 names of columns for 2"),
    "a name": (lambda h: h["facts"].update(columns="ab"), "columns must be a list"),
    "rows": (lambda h: h["facts"].update(n_rows="many"), "facts are not those"),
    "table": (lambda h: h["facts"].update(table=[[1]]), "table is not one"),
    "facts": (lambda h: h.update(facts=[]), "facts are not an object"),
    "beside": (lambda h: h.update(beside={"means": "x"}), "header is not one"),
    "no versions": (lambda h: h.update(versions=[]), "header is not one"),
    "versions": (lambda h: h.update(versions={"jaxem": 3}), "header is not one"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_headers_that_lie(tmp_path, good, change):
    edit, message = CHANGES[change]
    assert_refused(tmp_path, forged(good, header__json=header_with(good, edit)), message)


def test_categories_without_number(tmp_path):
    case, path = CASES["categorical"], tmp_path / "c.npz"
    jaxem.save(path, (case.model, case.truth))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    path.unlink()
    for count in (0, -1, 10**12, [3, 3], [3, 3, 3, 3, 0], [3] * 4 + [10**12], [2] * 5, [3.0] * 5):

        def edit(header, count=count):
            fields(header)["family"]["fields"]["n_categories"] = count

        assert_refused(tmp_path, forged(entries, header__json=header_with(entries, edit)), "")


SWEEPS = {
    "criterion": (lambda f: f.update(criterion="luck"), "judged by 'luck'"),
    "no rows": (lambda f: f.update(rows=[]), "arrays are not those"),
    "rows": (lambda f: f.update(rows=3), "Sweep.rows cannot be a int"),
    "components": (lambda f: f["rows"][0]["fields"].update(n_components=4), "differ in components"),
    "criteria": (lambda f: f["rows"][0]["fields"].update(criteria=3.0), "criteria cannot be a"),
}


@pytest.mark.parametrize("change", SWEEPS)
def test_sweeps_that_lie(tmp_path, change):
    path = tmp_path / "sweep.npz"
    jaxem.save(path, sweep_of("full"))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    path.unlink()
    edit, message = SWEEPS[change]
    header = header_with(entries, lambda header: edit(header["thing"]["fields"]))
    message = "arrays are not those" if change == "rows" else message
    assert_refused(tmp_path, forged(entries, header__json=header), message)


def test_a_sweep_without_models_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a sweep without models"):
        jaxem.save(tmp_path / "s.npz", jaxem.Sweep((), "bic", jaxem.Report()))
