"""The rest of the suite runs in JAX's x64 mode; this runs `x64_off.py` in the default mode."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_default_mode():
    file = Path(__file__).with_name("x64_off.py")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-header", str(file)]
    done = subprocess.run(
        command,
        env={**os.environ, "JAXEM_TEST_X64": "0"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
