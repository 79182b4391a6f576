"""Estimators in scikit-learn's manner; `GaussianMixture` is a drop-in for scikit-learn's own."""

from jaxem.sklearn.family import BernoulliMixture as BernoulliMixture
from jaxem.sklearn.family import CategoricalMixture as CategoricalMixture
from jaxem.sklearn.family import PoissonMixture as PoissonMixture
from jaxem.sklearn.gaussian import GaussianMixture as GaussianMixture
from jaxem.sklearn.select import MixtureSelector as MixtureSelector
