"""`fits.plot` and `sweep.plot`: one call for each picture. Axes in, axes out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.precision import precision_of
from jaxem.core.types import Params
from jaxem.models import Mixture
from jaxem.plot.criteria import criterion
from jaxem.plot.gaussians import is_gaussian
from jaxem.plot.membership import responsibilities
from jaxem.plot.parameters import clouds
from jaxem.plot.start_paths import starts, traces
from jaxem.plot.style import drawn
from jaxem.plot.two_columns import classified, contours
from jaxem.results.fit import Fit
from jaxem.results.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class FitPlots:
    """Pictures of a `jaxem.Fit`. Each method draws on `ax`, or on a new figure, and returns the
    matplotlib axes.

    The names of the columns of data x f[n, d] label the axes: `names`, or those of a data frame.
    A fit that does not know its model, because it was made under `jit` or `vmap`, needs `model=`.
    Of several starts the best one is drawn.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> axis = fits.plot.ellipses(x, names=datasets.columns("old_faithful"))
    >>> axis.get_xlabel()
    'eruptions'
    """

    def __init__(self, fits: Fit):
        self._fits = fits

    def __repr__(self) -> str:
        return _menu("fits.plot", self)

    def starts(self, ax: "Axes | None" = None, *, bins: int = 30) -> "Axes":
        """Is the best start reproducible? A histogram of what the starts reached."""
        return drawn(ax, starts, self._fits, bins)

    def traces(self, ax: "Axes | None" = None) -> "Axes":
        """How did the runs converge? Their distance to the best, iteration by iteration."""
        return drawn(ax, traces, self._fits)

    def ellipses(
        self,
        x: ArrayLike,
        columns: Sequence[int | str] = (0, 1),
        ax: "Axes | None" = None,
        *,
        names: Sequence[str] | None = None,
        model: Mixture | None = None,
    ) -> "Axes":
        """Where are the components? Rows by component in two columns, ellipses of two sd."""
        known = self._model(model, "ellipses", "family")
        if not is_gaussian(known):
            raise ValueError(f"ellipses() need means and covariances; {known!r} has none.")
        return self._drawn(ax, classified, known, *_pair(x, columns, names))

    def contours(
        self,
        x: ArrayLike,
        columns: Sequence[int | str] = (0, 1),
        ax: "Axes | None" = None,
        *,
        names: Sequence[str] | None = None,
        model: Mixture | None = None,
    ) -> "Axes":
        """What density was fitted? Contours in two columns, the others integrated out."""
        known = self._model(model, "contours", "family")
        return self._drawn(ax, contours, known, *_pair(x, columns, names))

    def responsibilities(
        self, x: ArrayLike, ax: "Axes | None" = None, *, model: Mixture | None = None
    ) -> "Axes":
        """How surely do rows belong to components? Each row's probabilities, stacked."""
        known = self._model(model, "responsibilities", "predict_proba")
        return self._drawn(ax, responsibilities, known, _table(x, None)[0])

    def clouds(
        self,
        columns: Sequence[int | str] = (0, 1),
        ax: "Axes | None" = None,
        *,
        field: str | None = None,
        names: Sequence[str] | None = None,
        reference: Params | None = None,
    ) -> "Axes":
        """How far do parameters scatter? Those of all sound fits, components matched to the best.

        Fits are starts, or replicates (a bootstrap, a study) on the leading axis; of replicates
        that have several starts the best start of each is drawn. Components are matched to those
        of `reference` (parameters; None: of the best fit).
        """
        import jax

        fits = self._fits.best() if np.ndim(self._fits.status) == 2 else self._fits
        if np.ndim(fits.status) != 1 or not fits.sound.any():
            raise ValueError(f"clouds() needs several fits, at least one of them sound; got {fits}")
        reference = fits.best().params if reference is None else reference
        params = jax.tree.map(lambda leaf: np.asarray(leaf)[fits.sound], fits.params)
        pair = tuple(columns)
        return drawn(ax, clouds, params, reference, pair, field, names, self._fits.model)

    def _best_params(self) -> Params:
        """Parameters of the best fit of one data set, on the host."""
        import jax

        best = self._fits.best()
        if np.ndim(best.status):
            raise ValueError(
                f"These are fits of {np.shape(best.status)[0]} data sets: choose one, fits[i].plot."
            )
        return jax.tree.map(np.asarray, best.params)

    def _model(self, model: Mixture | None, picture: str, method: str) -> Mixture:
        """The model given, else that of the fits; ValueError without the method that is needed."""
        model = self._fits.model if model is None else model
        if model is None:
            raise ValueError(
                "these fits do not know their model (they were made under jit or vmap): give it, "
                f"as in fits.plot.{picture}(x, model=model)."
            )
        if not hasattr(model, method):
            raise ValueError(f"{picture}() needs a model with {method}; {model!r} has none.")
        return model

    def _drawn(
        self, ax: "Axes | None", draw: Callable[..., None], model: Mixture, *rest: object
    ) -> "Axes":
        """A picture of the best fit, in its precision."""
        with precision_of(np.asarray(self._fits.log_likelihood).dtype):
            return drawn(ax, draw, model, self._best_params(), *rest)


class SweepPlots:
    """Pictures of a `jaxem.Sweep`; for the fits of one model see `row.fits.plot`.

    Each method draws on `ax`, or on a new figure, and returns the matplotlib axes.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> table.plot.criterion("bic").get_title()
    'BIC: best is full, K = 2'
    """

    def __init__(self, swept: Sweep):
        self._swept = swept

    def __repr__(self) -> str:
        return _menu("sweep.plot", self)

    def criterion(
        self,
        name: str | None = None,
        ax: "Axes | None" = None,
        *,
        x: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> "Axes":
        """Which model? A criterion over the number of components, with the spread of the starts.

        `name` is "bic", "aic", "icl", "icl_entropy", "log_likelihood" or "held_out" (None: the
        sweep's own). The spread of ICL, of either form, needs the data `x` (and
        `sample_weight`) of the sweep.
        """
        name = name or self._swept.criterion
        return drawn(ax, criterion, self._swept, name, x, sample_weight)


def _menu(name: str, plots: object) -> str:
    """The pictures, one line each."""
    public = [key for key in vars(type(plots)) if not key.startswith("_")]
    lines = [(key, (getattr(plots, key).__doc__ or "").strip().splitlines()[0]) for key in public]
    return "\n".join(f"{name}.{key:<18} {line}" for key, line in lines)


def _table(x: ArrayLike, names: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """x as f[n, d], and names of its columns: `names`, those of a data frame, or x0, x1, ..."""
    rows = np.asarray(x)
    rows = rows[:, None] if rows.ndim == 1 else rows
    known = getattr(x, "columns", [f"x{j}" for j in range(rows.shape[1])])
    names = list(map(str, known if names is None else names))
    if len(names) != rows.shape[1]:
        raise ValueError(f"names: {len(names)} given for {rows.shape[1]} columns of x.")
    return rows, names


def _pair(
    x: ArrayLike, columns: Sequence[int | str], names: Sequence[str] | None
) -> tuple[np.ndarray, list[str], tuple[int, int]]:
    """x as f[n, d], names of its columns, and two of them, given by number or name."""
    rows, known = _table(x, names)
    chosen = [known.index(name) if name in known else name for name in columns]
    numbers = [int(j) for j in chosen if isinstance(j, int | np.integer) and 0 <= j < len(known)]
    if not len(numbers) == len(chosen) == 2:
        listed = ", ".join(f"{j} ({name})" for j, name in enumerate(known))
        raise ValueError(f"columns must be two of {listed}; got {columns}.")
    return rows, known, (numbers[0], numbers[1])
