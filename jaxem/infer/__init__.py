"""What a fit does not tell by itself: how far its parameters can be trusted."""

from jaxem.infer.errors import standard_errors as standard_errors
