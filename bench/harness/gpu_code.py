"""GPU kernels read without a GPU: operations in what JAX lowers to, instructions in what the
compiler makes of it.

JAX lowers a Pallas kernel to Triton's language on any machine. Where the `triton` package is
installed, its compiler turns that into machine code, whose registers, spills, shared memory and
instructions are read from the listing; it runs in a process of its own, beside which no second
LLVM is loaded.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from jaxlib.mlir import ir
from jaxlib.triton import dialect

#: Operations of Triton's language by kind; the others move or rename data on chip.
KINDS = {
    "arith.mulf": "mul", "arith.addf": "add", "arith.subf": "add", "arith.divf": "div",
    "arith.maxnumf": "max", "arith.maximumf": "max", "math.exp": "exp", "math.exp2": "exp",
    "math.log": "log", "math.log2": "log", "tt.load": "load", "tt.store": "store",
    "tt.dot": "dot", "tt.reduce": "reduce", "__nv_expf": "exp", "__nv_exp2f": "exp",
    "__nv_exp": "exp", "__nv_exp2": "exp", "__nv_logf": "log", "__nv_log": "log",
}  # fmt: skip

#: Instructions that a kernel names, by the beginning of their names.
NAMED = {"fma": "fma", "ex2": "exp", "lg2": "log", "rcp": "div"}

#: Machine instructions by kind, by the beginning of their names.
INSTRUCTIONS = (
    ("fma", ("FFMA", "DFMA")), ("matrix", ("HMMA", "DMMA", "WGMMA", "HGMMA")),
    ("float", ("FMUL", "FADD", "FMNMX", "DMUL", "DADD")), ("special", ("MUFU",)),
    ("global", ("LDG", "STG")), ("shared", ("LDS", "STS", "SHFL", "LDSM", "STSM")),
    ("barrier", ("BAR",)), ("local", ("LDL", "STL")),
)  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """One kernel of a lowered program, in Triton's language."""

    text: str
    warps: int
    programs: int  # of the grid
    counts: dict[str, float]  # elements by kind in one turn of its loop


def kernels(lowered: Any) -> list[Kernel]:
    """The kernels in a program that JAX lowered for CUDA."""
    found: list[Kernel] = []
    for operation in _walk(lowered.compiler_ir().operation):
        if "mhlo.backend_config" not in operation.attributes:
            continue
        config = {a.name: a.attr for a in operation.attributes["mhlo.backend_config"]}
        context = ir.Context()
        dialect.register_dialect(context)
        module = ir.Module.parse(config["ir"].value_bytes, context)
        grid = prod(ir.IntegerAttr(config[f"grid_{axis}"]).value for axis in "xyz")
        warps = ir.IntegerAttr(config["num_warps"]).value
        found.append(Kernel(str(module), warps, grid, _in_loop(module)))
    return found


def _walk(operation: Any) -> Any:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner.operation
                yield from _walk(inner.operation)


def _in_loop(module: Any) -> dict[str, float]:
    """Elements by kind in the body of the loop; of products, multiplications."""
    counts: Counter[str] = Counter()
    for loop in (one for one in _walk(module.operation) if one.name == "scf.for"):
        for one in loop.regions[0].blocks[0].operations:
            kind = _kind_of(one.operation)
            if kind:
                shape = _shape(one.operation.operands[0])
                columns = _shape(one.operation.results[0])[-1] if kind == "dot" else 1
                counts[kind] += prod(shape) * columns
    return dict(counts)


def _kind_of(operation: Any) -> str | None:
    """A function of CUDA's library goes by its own name, an instruction by its first part."""
    if operation.name == "tt.elementwise_inline_asm":
        return NAMED.get(ir.StringAttr(operation.attributes["asm_string"]).value.split(".")[0])
    called = operation.name == "tt.extern_elementwise"
    name = ir.StringAttr(operation.attributes["symbol"]).value if called else operation.name
    return KINDS.get(name)


def _shape(value: Any) -> list[int]:
    return list(ir.RankedTensorType(value.type).shape) if "tensor" in str(value.type) else [1]


def compiled(kernel: Kernel, architecture: int) -> dict[str, Any]:
    """Registers of a thread, bytes spilled and shared, and instructions in the loop by kind;
    `trouble` alone where the compiler is not there or fails."""
    if importlib.util.find_spec("triton") is None:
        return {"trouble": "triton is not installed: pip install triton"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ttir"
        path.write_text(kernel.text)
        command = [sys.executable, __file__, str(path), str(architecture), str(kernel.warps)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        return {"trouble": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def listing(sass: str) -> dict[str, int]:
    """Instructions by kind in the longest loop of a listing: from a label back to it."""
    labels: dict[str, int] = {}
    names: list[str] = []
    loop: list[str] = []
    for line in sass.splitlines():
        if label := re.match(r"\s*(\.L\w+):", line):
            labels[label[1]] = len(names)
        elif named := re.match(
            r"\s*(?:/\*[0-9a-f]+\*/)\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", line
        ):
            names.append(named[1])
            target = re.search(r"BRA\w*\s.*?\((\.L\w+)\)", line)
            if target and len(names) - labels.get(target[1], len(names)) > len(loop):
                loop = names[labels[target[1]] :]
    kinds = Counter(_kind(name) for name in loop)
    return {"all": len(loop), **kinds}


def _kind(name: str) -> str:
    return next((kind for kind, heads in INSTRUCTIONS if name.startswith(heads)), "other")


def _compile(path: str, architecture: str, warps: str) -> dict[str, Any]:
    """What `compiled` returns, in the process that loads Triton."""
    import triton
    from triton.backends.compiler import GPUTarget

    options = {"num_warps": int(warps), "num_stages": 1}
    made = triton.compile(path, target=GPUTarget("cuda", int(architecture), 32), options=options)
    binary = Path(path).with_suffix(".cubin")
    binary.write_bytes(made.asm["cubin"])
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"

    def ask(*command: str) -> str:
        command = str(tools / command[0]), *command[1:], str(binary)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    usage = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", ask("cuobjdump", "-res-usage")))
    return {
        "registers": int(usage["REG"]),
        "spilled_bytes": int(usage["STACK"]) + int(usage["LOCAL"]),
        "shared_bytes": int(made.metadata.shared),
        "instructions": listing(ask("nvdisasm", "-c")),
        "triton": triton.__version__,
    }


if __name__ == "__main__":
    print(json.dumps(_compile(*sys.argv[1:])))
