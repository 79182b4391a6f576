"""What every room uses: pytree dataclasses, statuses, protocols, types, files, argument checks.

May import: nothing of jaxem. Look first at `model_protocol` (what a model must provide) and
`protocols` (what a family must), then `status`. `compiled` wraps `jax.jit`; `compilation` counts
and caches what XLA compiles.
"""
