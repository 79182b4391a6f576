"""Sphinx: the API from docstrings, and guides whose code is run while they are built.

Sphinx with MyST-NB: guides are Markdown that reads well unbuilt, cells run in a kernel of their
own, and a cell that fails, like any warning, fails the build (`python -m docs`).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from jaxem import __version__

project = "jaxem"
author = "the jaxem contributors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = f"jaxem {__version__}"
html_static_path: list[str] = []
exclude_patterns = ["_build"]

# Docstrings are plain text with `code` in single quotes.
default_role = "code"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "remove"

# Kernels inherit these: the CPU, quick compilation, and one idea of a good figure.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
os.environ.setdefault("MATPLOTLIBRC", str(Path(__file__).with_name("matplotlibrc")))


def _skip(app, what, name, value, skip, options):
    """scikit-learn's generated methods have docstrings of their own kind."""
    return True if name.endswith("_request") else None


def _escape(app, what, name, value, options, lines):
    """|x| is an absolute value in our docstrings, not a substitution."""
    lines[:] = [re.sub(r"(^|[\s(])\|", r"\1\\|", line) for line in lines]


def _draw(app):
    """The picture of the floors, from the imports as they are."""
    path = Path(__file__).with_name("floors.py")
    subprocess.run([sys.executable, str(path)], check=True, capture_output=True)


def setup(app):
    """Sphinx's entry point."""
    app.connect("builder-inited", _draw)
    app.connect("autodoc-process-docstring", _escape)
    app.connect("autodoc-skip-member", _skip)
