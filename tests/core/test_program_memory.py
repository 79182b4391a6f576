"""Ever new shapes in one process: programs are dropped before the memory maps run out, and no
sooner."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jaxem
from jaxem.core import program_memory

linux = pytest.mark.skipif(
    program_memory.maps_in_use() is None, reason="memory maps are counted on Linux"
)

#: What the programs below begin with. Times are the compiler's: one family of few parameters, given
#: starts, float64 (which nothing refines), and a limit of memory, with which `fit` pads nothing.
BEGIN = """
import json, threading
import jax, numpy as np
import jaxem
from jaxem.core import compilation
from jaxem.core import program_memory

key, keeper = jax.random.key(0), program_memory.KEEPER
x = np.random.default_rng(0).poisson(4, size=(400, 1)).astype(float)
model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
rates = jaxem.families.PoissonParams(np.array([[2.0], [6.0]]))
start = jaxem.MixtureParams(np.array([0.3, 0.7]), rates)
how = dict(init=start, max_iter=3, accelerate=None)

calls = dict(
    fit=lambda n: jaxem.fit(model, x[:n], key=key, n_starts=1, memory_limit=1 << 30, **how),
    many=lambda n: jaxem.fit_many(model, [x[:n]], key=key, n_starts=n, **how),
    em=lambda n: jaxem.em(model, start, x[:n], max_iter=3),
    log_prob=lambda n: model.log_prob(start, x[:n]),
    e_step=lambda n: model.e_step(start, x[:n]),
)

def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]

def compiled(work):
    before = compilation.programs_so_far()
    work()
    return compilation.programs_so_far() - before
"""

MANY = """
own = jax.jit(lambda a: 2 * a)
own(x)
before, costs = {}, []
for name, call in calls.items():
    begun = program_memory.maps_in_use()
    before[name] = bits(call(20))
    costs.append(program_memory.maps_in_use() - begun)
again = sum(compiled(lambda: call(20)) for call in calls.values())
few = keeper.drops

program_memory.drop()
keeper.left, keeper.every = program_memory.maps_in_use(), 2
keeper.crowded = 1.0  # dropping the package's own programs has to be enough
keeper.limit = keeper.left + 3 * max(costs)  # a few shapes of any of the calls exceed it
drops, most = dict.fromkeys(calls, 0), 0
for name, call in calls.items():
    for n in range(30, 50):
        was = keeper.drops
        call(n)
        drops[name] += keeper.drops - was
        most = max(most, program_memory.maps_in_use())
        if drops[name]:
            break
kept = compiled(lambda: own(x)) == 0
same = [name for name, call in calls.items() if bits(call(20)) == before[name]]
print(json.dumps([again, few, drops, most - keeper.limit, kept, same]))
"""

THREADS = """
keeper.limit, keeper.every = 1, 1  # all programs are dropped at each look
shapes = range(20, 24)
calls = {name: calls[name] for name in ("fit", "e_step")}
alone = [[bits(call(n)) for call in calls.values()] for n in shapes]
found = {}

def line(number):
    order = list(shapes)[::-1] if number else shapes
    found[number] = {n: [bits(call(n)) for call in calls.values()] for n in order}

keeper.drops = 0
lines = [threading.Thread(target=line, args=(number,)) for number in range(2)]
for one in lines:
    one.start()
for one in lines:
    one.join()
same = [[found[i][n] for n in shapes] == alone for i in range(2)]
print(json.dumps([same, keeper.drops]))
"""


def _run(program):
    """What a program prints, in a process of its own, which may be ended by the compiler."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@linux
def test_ever_new_shapes_stay_below_the_limit():
    again, few, drops, over, kept, same = _run(MANY)
    assert again == 0, "the second call of a shape compiles"
    assert few == 0, "few programs were dropped"
    assert all(drops.values()), drops
    assert over < 0, "more maps than the limit"
    assert kept, "a program of the caller's own was dropped"
    assert same == list(drops), "results differ after a drop"


@linux
def test_two_threads_do_not_take_each_others_programs():
    same, drops = _run(THREADS)
    assert same == [True, True]
    assert drops > 5


@pytest.fixture
def keeper(monkeypatch):
    """A keeper of its own; what it drops, and how many maps it sees, are numbers."""
    keeper = program_memory.Keeper(every=1)
    keeper.maps, keeper.holds = 0, 0
    monkeypatch.setattr(program_memory, "KEEPER", keeper)
    monkeypatch.setattr(program_memory, "maps_in_use", lambda: keeper.maps)
    monkeypatch.setattr(program_memory, "maps_allowed", lambda: 1000)
    monkeypatch.setattr(program_memory, "drop", lambda: setattr(keeper, "maps", keeper.holds))
    monkeypatch.setattr(jax, "clear_caches", lambda: setattr(keeper, "maps", 10))
    return keeper


def _with(keeper, maps):
    keeper.maps = maps
    keeper.look()
    return keeper.drops, keeper.emptied


def test_half_of_the_room_is_used(keeper):
    keeper.holds = 100
    assert _with(keeper, 500) == (0, 0)
    assert _with(keeper, 501) == (1, 0)
    # 100 are others', which dropping does not free: half of the other 900 is 450.
    assert _with(keeper, 550) == (1, 0)
    assert _with(keeper, 551) == (2, 0)


def test_all_caches_are_emptied_only_where_little_else_helps(keeper):
    keeper.holds = 700
    assert _with(keeper, 800) == (1, 0)
    assert _with(keeper, 850) == (1, 0)
    keeper.holds = 701
    assert _with(keeper, 851) == (2, 1)
    assert keeper.maps == keeper.left == 10


def test_programs_are_counted_where_maps_are_not(keeper, monkeypatch):
    programs = 800
    keeper.maps = None
    monkeypatch.setattr(program_memory, "programs_so_far", lambda: programs)
    keeper.look()
    assert keeper.drops == 0
    programs = 801
    keeper.look()
    assert keeper.drops == 1 and keeper.emptied == 0
    keeper.maps, programs = None, 1601
    keeper.look()
    assert keeper.drops == 1


def test_no_look_before_so_many_programs_nor_in_a_trace(keeper, monkeypatch):
    looks = []
    programs = 31
    monkeypatch.setattr(program_memory, "programs_so_far", lambda: programs)
    monkeypatch.setattr(program_memory.Keeper, "look", lambda self: looks.append(programs))
    keeper.every, keeper.looked = 32, 0
    program_memory.make_room()
    programs = 32
    jax.jit(lambda x: program_memory.make_room() or x)(1.0)
    assert looks == []
    program_memory.make_room()
    assert looks == [32]


@linux
def test_the_real_numbers():
    lines = Path("/proc/self/maps").read_text().count("\n")
    assert abs(program_memory.maps_in_use() - lines) < 50
    told = int(Path("/proc/sys/vm/max_map_count").read_text())
    assert program_memory.maps_allowed() == min(65_530, told)
    assert program_memory.maps_in_use() < told


def test_every_program_that_is_compiled_counts():
    before = program_memory.programs_so_far()
    function = jax.jit(lambda x: x + 1)
    function(jnp.zeros(3))
    between = program_memory.programs_so_far()
    function(jnp.zeros(3))
    assert between > before and program_memory.programs_so_far() == between


def test_every_function_of_the_package_can_be_dropped():
    for path in Path(jaxem.__file__).parent.rglob("*.py"):
        names = [node for node in ast.walk(ast.parse(path.read_text())) if _is_jit(node)]
        assert not names or path.name == "compiled.py", f"{path}: jitted, not jax.jit"


def _is_jit(node):
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "jax.jit"
