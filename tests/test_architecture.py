"""The shape of the code: imports point down, families and models are strangers, files are short."""

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import jaxem
import jaxem.families

ROOT = Path(jaxem.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PARSER = doctest.DocTestParser()

#: Bottom to top. A module imports only from lower rows; a package may import within itself.
#: The last row are guests: they import what they like, and only guests import them.
FLOORS = [
    {"display"},
    {"_version", "names", "pytree", "status", "checks", "budget", "clock", "npz", "distributed"}
    | {"compiler"},
    {"summaries", "abreast", "room"},
    {"data", "numerics", "protocols", "result", "ragged", "progress", "place"},
    {"priors", "kernels", "initialize", "stopping", "frame", "refine"},
    {"families", "regroup"},
    {"models", "accelerate"},
    {"engine", "shard"},
    {"loop"},
    {"lanes"},
    {"store", "stream"},
    {"packing"},
    {"schedule"},
    {"race", "checkpoint", "starts"},
    {"offspring", "winners", "problems"},
    {"run", "polish"},
    {"fit"},
    {"many"},
    {"select", "infer", "tools"},
    {"sklearn", "cli", "plot", "io", "convert", "tables", "demo", "datasets", "__main__"},
]
GUESTS = len(FLOORS) - 1

#: Results ask a guest in when their `plot` is asked for: inside that property, never at import.
DOORS = {("result", "plot"), ("select", "plot")}


def _module(path: Path) -> str:
    """The room of a file: the first name under jaxem."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def _floor(module: str) -> int:
    for level, names in enumerate(FLOORS):
        if module in names:
            return level
    raise AssertionError(f"jaxem.{module} is not in FLOORS: give the new module its place.")


def _floor_of(path: Path) -> int:
    return -1 if path == ROOT / "__init__.py" else _floor(_module(path))


def _imports(path: Path, at_import: bool = False) -> set[str]:
    """Rooms of jaxem that a file imports, wherever in the file the import stands, or only those
    outside of functions and classes."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("jaxem.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "jaxem":
                found |= {a.name for a in node.names}
            elif (node.module or "").startswith("jaxem."):
                found.add((node.module or "").split(".")[1])
    return found


def _inside():
    return [path for path in FILES if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", _inside(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = _module(path)
    level = _floor(here)
    for there in _imports(path) - {here}:
        if level == GUESTS:
            continue
        if (here, there) in DOORS:
            assert there not in _imports(path, at_import=True), f"jaxem.{there} is a guest"
            continue
        assert _floor(there) < level, f"jaxem.{here} imports jaxem.{there}"


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


@pytest.mark.parametrize("room", ["models", "engine", "kernels", "accelerate", "stopping"])
def test_models_and_the_engine_name_no_family(room):
    names = _family_names()
    assert {"gaussian", "poisson", "binomial"} <= names
    for path in FILES:
        if _module(path) == room:
            assert not _names(path) & names, path


def test_the_engine_and_families_name_no_model():
    for path in FILES:
        if _module(path) in ("families", "engine", "kernels", "accelerate", "stopping"):
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
    for path in (ROOT / "families").glob("*.py"):
        assert _length(path) <= 180, path


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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_contractions_and_factorisations_go_through_numerics(path):
    if _module(path) == "numerics" or _floor_of(path) == GUESTS:
        return
    products = ("einsum", "dot", "matmul", "tensordot", "vdot", "inner", "dot_general")
    for function, callee in _calls(path):
        where = f"{path.name}:{function} calls {callee}"
        head, _, last = callee.rpartition(".")
        assert not (head in ("jnp", "jax.numpy", "jax.lax", "lax") and last in products), where
        # In NumPy on the host, in float64, `@` is at home.
        assert callee != "@" or _module(path) in ("frame", "select"), where
        if head in ("jnp.linalg", "jax.numpy.linalg", "jax.scipy.linalg", "jax.lax.linalg"):
            assert function == "sample", where


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
assert not heavy, heavy
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stdout, done.stderr


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/test_laws.py::test_a[full]", "full"),
        ("tests/test_accelerate.py::test_b[full-weight-prior-squarem]", "full-weight-prior"),
        ("tests/test_failures.py::test_c[float32]", "tests/test_failures.py"),
        ("tests/test_many.py::test_d", "tests/test_many.py"),
    ],
)
def test_tests_that_share_programs_run_in_one_worker(request, test, group):
    conftest = str(Path(__file__).with_name("conftest.py"))
    plugins = request.config.pluginmanager.get_plugins()
    (plugin,) = [one for one in plugins if getattr(one, "__file__", "") == conftest]
    assert plugin._group(test) == group
