"""The textbook examples of EM, exact: run with `jaxem demo`, or read one file each.

A guest: may import any room. Look first at `coins`.
"""

from jaxem.demo.coins import COINS as COINS
from jaxem.demo.example import Example as Example
from jaxem.demo.gaussians_1d import GAUSSIANS_1D as GAUSSIANS_1D
from jaxem.demo.gaussians_2d import GAUSSIANS_2D as GAUSSIANS_2D
from jaxem.demo.three_coins import THREE_COINS as THREE_COINS

EXAMPLES: dict[str, Example] = {
    example.name: example for example in (COINS, THREE_COINS, GAUSSIANS_1D, GAUSSIANS_2D)
}
