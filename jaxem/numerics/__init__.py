"""Numerics: precision of products, small linear algebra, special functions.

May import: nothing of jaxem. Look first at `contraction` (`einsum`), then `elimination`.
"""

from jaxem.numerics.batch_last import batch_minor as batch_minor
from jaxem.numerics.contraction import PRECISIONS as PRECISIONS
from jaxem.numerics.contraction import ROUNDOFF as ROUNDOFF
from jaxem.numerics.contraction import check_precision as check_precision
from jaxem.numerics.contraction import device_einsum as device_einsum
from jaxem.numerics.contraction import einsum as einsum
from jaxem.numerics.elimination import cholesky as cholesky
from jaxem.numerics.elimination import eliminate as eliminate
from jaxem.numerics.elimination import inverse_factor as inverse_factor
from jaxem.numerics.exp import exp_nonpositive as exp_nonpositive
from jaxem.numerics.safe import NEGLIGIBLE as NEGLIGIBLE
from jaxem.numerics.safe import safe_divide as safe_divide
from jaxem.numerics.safe import safe_log as safe_log
from jaxem.numerics.special import count_part as count_part
from jaxem.numerics.special import deviance as deviance
from jaxem.numerics.special import log1p_minus as log1p_minus
from jaxem.numerics.special import safe_log1p as safe_log1p
from jaxem.numerics.stacking import stack_rows as stack_rows
