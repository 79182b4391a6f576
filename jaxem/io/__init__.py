"""Models, parameters, fits and sweeps in files: `save`, `load`, and the metadata of a file.

A guest: may import any room. Look first at `files`.
"""

from jaxem.io.files import FORMAT as FORMAT
from jaxem.io.files import File as File
from jaxem.io.files import load as load
from jaxem.io.files import read as read
from jaxem.io.files import save as save
from jaxem.io.files import write as write
