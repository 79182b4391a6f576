"""`python -m jaxem`: the `jaxem` command of this interpreter."""

from jaxem.cli import main

main()
