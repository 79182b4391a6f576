"""Estimators in scikit-learn's manner; `GaussianMixture` is a drop-in for scikit-learn's own.

A guest: may import any room. Look first at `gaussian`.
"""

from jaxem.sklearn.gaussian import GaussianMixture as GaussianMixture
from jaxem.sklearn.mixtures import BernoulliMixture as BernoulliMixture
from jaxem.sklearn.mixtures import CategoricalMixture as CategoricalMixture
from jaxem.sklearn.mixtures import PoissonMixture as PoissonMixture
from jaxem.sklearn.selector import MixtureSelector as MixtureSelector
