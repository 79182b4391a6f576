"""Standard errors of fitted parameters.

May import: every room up to api. Look first at `uncertainty`.
"""

from jaxem.inference.uncertainty import standard_errors as standard_errors
