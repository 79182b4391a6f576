"""Three models that this package does not ship, each written against `jaxem.Model` alone."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import Cost, pytree
from jaxem.core.constraints import Free, Simplex

# A model without components or weights ----------------------------------------------------------


@pytree
class Mean:
    mean: jax.Array  # f[d]


@jaxem.model
class NormalMean:
    """x ~ N(mean, I): the statistics are Σ w and Σ w x."""

    def constraints(self):
        return {"mean": Free()}

    def blank(self, d, dtype):
        return Mean(jnp.zeros(d, dtype))

    def cost(self, d, dtype):
        return Cost(per_unit=1, features=d)

    def start(self, key, data, init, active=None):
        return Mean(data.x[jax.random.randint(key, (), 0, data.x.shape[0])])

    def expect(self, params, prepared, reference):
        level = self.log_prob(params, prepared.x)
        stats = {"count": prepared.weight, "sum": prepared.w @ prepared.x}
        return stats, prepared.w @ (level - reference), prepared.w @ jnp.abs(level)

    def m_step(self, stats, params):
        return Mean(stats["sum"] / stats["count"])

    def log_prob(self, params, x):
        return -0.5 * jnp.sum((x - params.mean[None]) ** 2 + jnp.log(2 * jnp.pi), axis=1)

    def sample(self, key, params, n):
        return params.mean[None] + jax.random.normal(key, (n, params.mean.size)), jnp.zeros(n)


# Blood groups -----------------------------------------------------------------------------------


@pytree
class Genes:
    frequencies: jax.Array  # f[3], of the alleles A, B and O


#: Genotypes AA, AO, BB, BO, AB, OO: alleles A, B, O in each, the phenotype A, B, AB, O of each.
ALLELES = np.array([[2, 0, 0], [1, 0, 1], [0, 2, 0], [0, 1, 1], [1, 1, 0], [0, 0, 2]], float)
PHENOTYPE = np.array([0, 0, 1, 1, 2, 3])


@jaxem.model
class BloodGroups:
    """Gene frequencies from phenotypes x f[n, 1] in {0: A, 1: B, 2: AB, 3: O}, whose counts are
    weights (Dempster, Laird and Rubin 1977 treat Rao's linkage in the same way)."""

    def validate_settings(self, d):
        if d != 1:
            raise ValueError(f"blood groups are one column; got {d}.")

    def validate(self, data):
        if not np.isin(data.x, (0, 1, 2, 3)).all():
            raise ValueError("blood groups must be 0 (A), 1 (B), 2 (AB) or 3 (O).")

    def constraints(self):
        return {"frequencies": Simplex(shared=True)}

    def blank(self, d, dtype):
        return Genes(jnp.full(3, 1 / 3, dtype))

    def cost(self, d, dtype):
        return Cost(per_unit=len(ALLELES), features=1)

    def start(self, key, data, init, active=None):
        return Genes(jax.random.dirichlet(key, jnp.ones(3, data.x.dtype)))

    def genotypes(self, params, x):
        """log p(genotype, phenotype) f[n, 6]."""
        p = params.frequencies[None]
        both = jnp.prod(jnp.where(ALLELES > 0, p, 1) ** ALLELES, axis=1)[None]
        ways = np.where(ALLELES.max(axis=1) == 2, 1.0, 2.0)
        fits = x[:, :1] == PHENOTYPE[None]
        return jnp.where(fits, jnp.log(jnp.maximum(ways[None] * both, 1e-30)), -1e30)

    def expect(self, params, prepared, reference):
        joint = self.genotypes(params, prepared.x)
        level = jax.nn.logsumexp(joint, axis=1)
        share = jnp.exp(joint - level[:, None]) * prepared.w[:, None]
        magnitude = prepared.w @ jnp.abs(level)
        return jnp.sum(share, axis=0) @ ALLELES, prepared.w @ (level - reference), magnitude

    def m_step(self, stats, params):
        return Genes(stats / jnp.sum(stats))

    def log_prob(self, params, x):
        return jax.nn.logsumexp(self.genotypes(params, x), axis=1)

    def sample(self, key, params, n):
        p = params.frequencies
        genes = jax.random.categorical(key, jnp.log(p), shape=(n, 2))
        a, b = jnp.any(genes == 0, axis=1), jnp.any(genes == 1, axis=1)
        return jnp.where(a & b, 2, jnp.where(a, 0, jnp.where(b, 1, 3)))[:, None].astype(
            p.dtype
        ), genes


# Item response ----------------------------------------------------------------------------------


@pytree
class Items:
    slopes: jax.Array  # f[d]
    intercepts: jax.Array  # f[d]


@jaxem.model
class TwoParameterLogistic:
    """P(x_j = 1 | θ) = 1 / (1 + exp(−a_j θ − d_j)), θ ~ N(0, 1) on fixed nodes (Bock and Aitkin
    1981, Psychometrika 46, 443): a Newton step for each item in the M-step."""

    nodes: int = jaxem.static(default=61)

    def validate(self, data):
        if not np.isin(data.x, (0, 1)).all():
            raise ValueError("answers must be 0 or 1.")

    def constraints(self):
        return {"slopes": Free(), "intercepts": Free()}

    def blank(self, d, dtype):
        return Items(jnp.ones(d, dtype), jnp.zeros(d, dtype))

    def cost(self, d, dtype):
        return Cost(per_unit=self.nodes, features=d)

    def start(self, key, data, init, active=None):
        spread = 0.3 * jax.random.normal(key, (2, data.x.shape[1]), data.x.dtype)
        return Items(jnp.exp(spread[0]), spread[1])

    def quadrature(self, dtype):
        """Nodes and log weights f[q] of the standard normal distribution."""
        theta = jnp.linspace(-6.0, 6.0, self.nodes, dtype=dtype)
        return theta, jax.nn.log_softmax(-0.5 * theta**2)

    def joint(self, params, x):
        """log p(x, node) f[n, q]."""
        theta, log_weight = self.quadrature(x.dtype)
        logit = params.slopes[:, None] * theta[None] + params.intercepts[:, None]
        yes, no = jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)
        return x @ yes + (1 - x) @ no + log_weight[None]

    def expect(self, params, prepared, reference):
        joint = self.joint(params, prepared.x)
        level = jax.nn.logsumexp(joint, axis=1)
        share = jnp.exp(joint - level[:, None]) * prepared.w[:, None]
        stats = {"persons": jnp.sum(share, axis=0), "yes": prepared.x.T @ share}
        return stats, prepared.w @ (level - reference), prepared.w @ jnp.abs(level)

    def m_step(self, stats, params):
        theta, _ = self.quadrature(params.slopes.dtype)
        design = jnp.stack([theta, jnp.ones_like(theta)])  # f[2, q]

        def item(ab, yes):
            p = jax.nn.sigmoid(ab @ design)
            slope = design @ (yes - stats["persons"] * p)
            curve = (design * (stats["persons"] * p * (1 - p))[None]) @ design.T
            return ab + jnp.linalg.solve(curve + 1e-6 * jnp.eye(2, dtype=ab.dtype), slope)

        ab = jax.vmap(item)(jnp.stack([params.slopes, params.intercepts], axis=1), stats["yes"])
        return Items(ab[:, 0], ab[:, 1])

    def log_prob(self, params, x):
        return jax.nn.logsumexp(self.joint(params, x), axis=1)

    def sample(self, key, params, n):
        who, what = jax.random.split(key)
        theta = jax.random.normal(who, (n, 1), params.slopes.dtype)
        p = jax.nn.sigmoid(theta * params.slopes[None] + params.intercepts[None])
        return jax.random.bernoulli(what, p).astype(p.dtype), theta


#: LSAT section 7 (Bock and Lieberman 1970, Psychometrika 35, 179): patterns of five answers, and
#: how many of 1000 persons gave each.
LSAT7 = (
    np.array([[(i >> 4 - j) & 1 for j in range(5)] for i in range(32)], float),
    np.array(
        "12 19 1 7 3 19 3 17 10 5 3 7 7 23 8 28 7 39 11 34 14 51 15 90 6 25 7 35 18 136 32 "
        "308".split(),
        float,
    ),
)

# Units of several rows ---------------------------------------------------------------------------


@pytree
class Two:
    share: jax.Array  # f[2]
    means: jax.Array  # f[2, d]


@jaxem.model
class TwoKindsOfPersons:
    """Persons x f[n, t, d], each seen t times: of two kinds, with N(mean of the kind, I) at each
    time. The rows of a person share the latent kind, so their log densities add up before the
    softmax."""

    def validate(self, data):
        if np.ndim(data.x) != 3:
            raise ValueError(f"persons are f[n, t, d]; got {np.shape(data.x)}.")

    def constraints(self):
        return {"share": Simplex(shared=True), "means": Free()}

    def blank(self, d, dtype):
        return Two(jnp.full(2, 0.5, dtype), jnp.zeros((2, d), dtype))

    def cost(self, d, dtype):
        return Cost(per_unit=2, features=d)

    def start(self, key, data, init, active=None):
        there = data.weight / jnp.sum(data.weight)  # rows of weight 0 are padding
        pick = jax.random.choice(key, data.x.shape[0], (2,), replace=False, p=there)
        return Two(jnp.full(2, 0.5, data.x.dtype), data.x[pick, 0])

    def joint(self, params, x):
        """log p(person, kind) f[n, 2]."""
        far = jnp.sum((x[:, None] - params.means[None, :, None]) ** 2, axis=(2, 3))
        constant = 0.5 * x.shape[1] * x.shape[2] * jnp.log(2 * jnp.pi)
        return jnp.log(params.share)[None] - 0.5 * far - constant

    def expect(self, params, prepared, reference):
        joint = self.joint(params, prepared.x)
        level = jax.nn.logsumexp(joint, axis=1)
        share = jnp.exp(joint - level[:, None]) * prepared.w[:, None]
        sums = jnp.einsum("nk,ntd->kd", share, prepared.x, precision="highest")
        stats = {"persons": jnp.sum(share, axis=0), "sums": sums / prepared.x.shape[1]}
        return stats, prepared.w @ (level - reference), prepared.w @ jnp.abs(level)

    def m_step(self, stats, params):
        count = stats["persons"]
        return Two(count / jnp.sum(count), stats["sums"] / count[:, None])

    def log_prob(self, params, x):
        return jax.nn.logsumexp(self.joint(params, x), axis=1)

    def sample(self, key, params, n):
        who, what = jax.random.split(key)
        kind = jax.random.categorical(who, jnp.log(params.share), shape=(n,))
        noise = jax.random.normal(what, (n, 3, params.means.shape[1]), params.means.dtype)
        return params.means[kind][:, None] + noise, kind
