"""What every room uses: pytree dataclasses, statuses, protocols, types, files, argument checks.

May import: nothing of jaxem. Look first at `protocols` (what a family and a model must provide),
then `status`. `compiled` wraps `jax.jit`; `compilation` counts and caches what XLA compiles.
"""
