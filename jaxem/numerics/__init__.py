"""Precision and small linear algebra: the only place where a contraction or a factor is written."""

from jaxem.numerics.exponential import exp_nonpositive as exp_nonpositive
from jaxem.numerics.factor import cholesky as cholesky
from jaxem.numerics.factor import eliminate as eliminate
from jaxem.numerics.factor import inverse_factor as inverse_factor
from jaxem.numerics.minor import batch_minor as batch_minor
from jaxem.numerics.precision import NEGLIGIBLE as NEGLIGIBLE
from jaxem.numerics.precision import PRECISIONS as PRECISIONS
from jaxem.numerics.precision import ROUNDOFF as ROUNDOFF
from jaxem.numerics.precision import check_precision as check_precision
from jaxem.numerics.precision import device_einsum as device_einsum
from jaxem.numerics.precision import einsum as einsum
from jaxem.numerics.precision import safe_divide as safe_divide
from jaxem.numerics.precision import safe_log as safe_log
from jaxem.numerics.rows import stack_rows as stack_rows
from jaxem.numerics.special import count_part as count_part
from jaxem.numerics.special import deviance as deviance
from jaxem.numerics.special import log1p_minus as log1p_minus
from jaxem.numerics.special import safe_log1p as safe_log1p
