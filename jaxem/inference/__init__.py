"""How far fitted parameters can be trusted: standard errors.

May import: every room up to api. Look first at `uncertainty`.
"""

from jaxem.inference.uncertainty import standard_errors as standard_errors
