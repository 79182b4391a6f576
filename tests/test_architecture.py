"""The shape of the code: imports point down, families and models are strangers, files are short."""

import ast
import doctest
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxem
import jaxem.families

ROOT = Path(jaxem.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PARSER = doctest.DocTestParser()

#: The rooms, bottom to top. A file imports only from rooms below its own and from its own room.
ROOMS = """core numerics data results devices kernels families models engine batch search stream api
inference tools""".split()

#: Guests import what they like, and only guests import them.
GUESTS = {"io", "plot", "sklearn", "cli", "convert", "demo", "datasets", "__main__", "__init__"}


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Rooms of jaxem that a file imports, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("jaxem.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "jaxem":
                found |= {a.name for a in node.names}
            elif (node.module or "").startswith("jaxem."):
                found.add((node.module or "").split(".")[1])
    return found


def test_every_folder_is_a_room():
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders == (set(ROOMS) | GUESTS) - {"__main__", "__init__"}


@pytest.mark.parametrize("room", sorted(set(ROOMS) | GUESTS - {"__main__", "__init__"}))
def test_a_room_says_what_it_is_for_what_it_imports_and_where_to_look(room):
    told = jaxem_docstring(ROOT / room / "__init__.py")
    assert "Look first at" in told or "this file" in told
    assert "ay import" in told or "guest" in told


def jaxem_docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    room = _room(path)
    if room in GUESTS:
        return
    for there in _imports(path) - {room}:
        assert there in ROOMS, f"{path.name} of {room} imports {there}, a guest"
        assert ROOMS.index(there) < ROOMS.index(room), f"{path.name} of {room} imports {there}"


def test_no_module_is_hidden_by_a_function_of_its_name():
    for path in FILES:
        outside = (path.parent / "__init__.py", ROOT / "__init__.py")
        exported = {
            a.name
            for o in outside
            for n in ast.parse(o.read_text()).body
            if isinstance(n, ast.ImportFrom)
            for a in n.names
        }
        defined = {
            n.name
            for n in ast.parse(path.read_text()).body
            if isinstance(n, ast.FunctionDef | ast.ClassDef)
        }
        assert path.stem not in exported & defined, path


def test_every_public_name_is_imported_as_itself_and_nothing_else_happens():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    docstring, *rest = tree.body
    assert isinstance(docstring, ast.Expr)
    for node in rest:
        assert isinstance(node, ast.ImportFrom), ast.unparse(node)
        assert all(a.asname == a.name for a in node.names), ast.unparse(node)


def _names(path: Path) -> set[str]:
    """Identifiers and short strings of a file; docstrings and comments may mention anything."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            if not ast.unparse(node).startswith(("jax.", "jnp.")):  # jax.random.categorical
                found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} if node.value.isidentifier() else set()
    return {name.lower() for name in found}


def _family_names() -> set[str]:
    public = {name for name in vars(jaxem.families) if name[0].isupper()}
    return {name.lower() for name in public} | {
        path.stem for path in (ROOT / "families").glob("*.py") if path.stem != "__init__"
    }


#: Rooms that know models by their protocol alone.
STRANGERS = ("families", "kernels", "engine", "batch", "search", "api", "results")


@pytest.mark.parametrize("room", ["models", "engine", "kernels", "batch", "search"])
def test_models_and_the_engine_name_no_family(room):
    names = _family_names()
    assert {"gaussian", "poisson", "binomial"} <= names
    for path in FILES:
        if _room(path) == room:
            assert not _names(path) & names, path


#: The door whose default is a Gaussian mixture.
MODEL_FILES = {"many_models.py"}


def test_the_engine_and_families_name_no_model():
    for path in FILES:
        if _room(path) in STRANGERS and path.name not in MODEL_FILES:
            assert not _names(path) & {"mixture", "mixtureparams", "hmm"}, path


def _length(path: Path) -> int:
    """Lines of a file; examples in docstrings, and the two lines each sets apart, do not count."""
    text = path.read_text()
    parts = (ast.AsyncFunctionDef, ast.FunctionDef, ast.ClassDef, ast.Module)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, parts)]
    found = [PARSER.get_examples(ast.get_docstring(node) or "") for node in nodes]
    lines = [len((one.source + one.want).splitlines()) for examples in found for one in examples]
    return len(text.splitlines()) - sum(lines) - 2 * sum(map(bool, found))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert _length(path) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1 if ast.get_docstring(node) else 0 :]
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 45, f"the body of {node.name} has {length} lines"


def test_families_are_small():
    shared = {"counts.py": 150}  # what the families of counts have in common
    for path in (ROOT / "families").glob("*.py"):
        assert _length(path) <= shared.get(path.name, 125), path


def test_covariance_structures_are_small():
    for structure in jaxem.families.gaussian._TYPES.values():
        path = Path(inspect.getfile(structure))
        assert len(path.read_text().splitlines()) <= 60, path


def _calls(path: Path) -> list[tuple[str, str]]:
    """(enclosing function, dotted callee) of every call, and "@" for a matrix product."""
    found = []

    def visit(node, function):
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Call):
            found.append((function, ast.unparse(node.func)))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.append((function, "@"))
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(ast.parse(path.read_text()), "")
    return found


#: Files that compute in NumPy on the host.
HOST_FILES = {"scaling.py", "many_models.py", "information_criteria.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_contractions_and_factorisations_go_through_numerics(path):
    if _room(path) == "numerics" or _room(path) in GUESTS:
        return
    products = ("einsum", "dot", "matmul", "tensordot", "vdot", "inner", "dot_general")
    for function, callee in _calls(path):
        where = f"{path.name}:{function} calls {callee}"
        head, _, last = callee.rpartition(".")
        assert not (head in ("jnp", "jax.numpy", "jax.lax", "lax") and last in products), where
        # In NumPy on the host, in float64, `@` is at home.
        assert callee != "@" or path.name in HOST_FILES, where
        if head in ("jnp.linalg", "jax.numpy.linalg", "jax.scipy.linalg", "jax.lax.linalg"):
            assert function == "sample", where


def test_results_work_without_pictures(tmp_path):
    copy = tmp_path / "jaxem"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("plot", "__pycache__"))
    program = """
import jax, jaxem
model = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=2)
fits = jaxem.fit(model, jax.random.normal(jax.random.key(0), (40, 2)), key=jax.random.key(1))
print(jaxem.__file__, fits.best(), fits.optima())
try:
    fits.plot
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout and "jaxem.plot" in done.stdout


def test_importing_does_nothing():
    program = """
import sys, jax
before = dict(jax.config.values)
import jaxem
after = dict(jax.config.values)  # JAX 0.7 gets options of its own with its Pallas
assert before.items() <= after.items(), "import changed JAX's configuration"
from jax._src import xla_bridge
assert not xla_bridge._backends, "import started a backend"
heavy = {"matplotlib", "sklearn", "typer", "rich", "scipy.stats", "chex"} & set(sys.modules)
heavy |= {"jax.experimental.pallas"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stdout, done.stderr


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/laws/test_laws.py::test_a[full]", "full"),
        (
            "tests/engine/test_accelerators.py::test_b[full-weight-prior-squarem]",
            "full-weight-prior",
        ),
        ("tests/engine/test_failures.py::test_c[float32]", "tests/engine/test_failures.py"),
        ("tests/api/test_many_data_sets.py::test_d", "tests/api/test_many_data_sets.py"),
    ],
)
def test_tests_that_share_programs_run_in_one_worker(request, test, group):
    conftest = str(Path(__file__).with_name("conftest.py"))
    plugins = request.config.pluginmanager.get_plugins()
    (plugin,) = [one for one in plugins if getattr(one, "__file__", "") == conftest]
    assert plugin._group(test) == group
