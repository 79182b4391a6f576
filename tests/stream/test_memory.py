"""Memory does not grow with the file."""

import subprocess
import sys

PROGRAM = """
import resource, sys
import numpy as np
import jaxem

def peak():
    kilobytes = sys.platform != "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if kilobytes else 1)

def write(path, n):
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, 8)}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, n, 100_000):
            rng.normal(size=(100_000, 8)).astype(np.float32).tofile(file)

write("few.npy", 300_000)
write("many.npy", 4_000_000)
model = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=2)
start = model.init(0, np.load("few.npy")[:1000])
asked = dict(key=0, init=start, max_iter=2, memory_limit=200_000_000)
jaxem.fit(model, "few.npy", **asked)
before = peak()
fits = jaxem.fit(model, "many.npy", **asked)
assert np.isfinite(fits.log_likelihood).all()
print(peak() - before)
"""


def test_a_file_ten_times_as_long_takes_no_more_memory(tmp_path):
    """128 MB of rows, after 10 MB of them: the peak of the process grows by less than half
    of the file, and the rows in memory would take it twice."""
    run = dict(cwd=tmp_path, check=True, capture_output=True, text=True)
    grown = int(subprocess.run([sys.executable, "-c", PROGRAM], **run).stdout.split()[-1])
    assert grown < 64e6
