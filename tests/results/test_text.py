"""Results at a prompt and in a notebook: short, and always able to show themselves."""

import re
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core.status import Status
from jaxem.results.sweep import Row

VALUES = np.array([-10.0, -12.5, -10.0, np.nan])
ENDS = np.array([Status.CONVERGED, Status.MAX_ITER, Status.CONVERGED, Status.SINGULAR])
PARAMS = jaxem.MixtureParams(
    np.array([0.25, 0.75]), jaxem.GaussianParams(np.array([[1.0, 2000.0], [3.0, 4.0]]), np.ones(2))
)


def fits(values=VALUES, ends=ENDS, params=None):
    return jaxem.Fit(params, values, values, ends, np.full(np.shape(ends), 7))


class Cells(HTMLParser):
    """Rows of text of all tables, tags checked to close in order."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def test_fits_count_how_they_ended():
    text = "Fit(4 fits, best log-likelihood -10, 2 converged, 1 max_iter, 1 singular)"
    assert repr(fits()) == text
    assert repr(fits()[1]) == "Fit(MAX_ITER after 7 iterations, log-likelihood -12.5)"
    assert repr(fits()[3:]) == "Fit(1 fits, no sound fit, 1 singular)"
    assert repr(fits()[:0]) == "Fit(0 fits, no sound fit)"
    many = fits(VALUES.reshape(2, 2), ENDS.reshape(2, 2))
    assert repr(many).startswith("Fit(2 × 2 fits, 2 converged")
    assert "-1234567.89" in repr(fits(np.array([-1234567.891]), ENDS[:1]))


def test_fits_show_themselves_where_they_hold_no_numbers():
    seen = []

    @jax.jit
    @jax.vmap
    def look(value):
        one = fits(value, jnp.ones((), jnp.int32), PARAMS)
        seen.extend([repr(one), one._repr_html_()])
        return one.log_likelihood

    look(jnp.zeros(3, jnp.float32))
    assert seen[0] == "Fit(traced or not at hand, log_likelihood=float32[])"
    assert Cells(seen[1]).rows == [[]]
    shapes = jax.eval_shape(lambda v: fits(v, jnp.ones((3,), jnp.int32)), jnp.zeros(3, jnp.float32))
    assert "float32[3]" in repr(shapes)
    assert "NoneType" in repr(jax.tree.map(lambda _: None, fits()))
    gone = fits(jnp.zeros(3), jnp.ones(3, jnp.int32))
    gone.log_likelihood.delete()
    assert "not at hand" in repr(gone)


def test_tables_of_fits():
    rows = Cells(fits()._repr_html_()).rows
    assert ["-10.0000", "2", "50.0%"] in rows and ["-12.5000", "1", "25.0%"] in rows
    assert any(row[:2] == ["1", "SINGULAR"] and "fewer components" in row[2] for row in rows)
    one = Cells(fits(-1.0, Status.CONVERGED, PARAMS)._repr_html_()).rows
    assert one[0] == ["component", "weight", "means", "covariances"]
    assert one[1] == ["1", "0.2500", "[1, 2000.00]", "1"]
    many = fits(np.repeat(VALUES, 30).reshape(30, 4), np.repeat(ENDS, 30).reshape(30, 4))
    rows = Cells(many._repr_html_()).rows
    assert rows[1] == ["0", "-10.0000", "4 of 4", "4 converged"] and rows[-1][0] == "20 more"


def test_tables_escape_names():
    scores = jaxem.Criteria(-10.0, 3, 30.0, 26.0, 31.0)
    name = "<script>alert('x')</script>"
    good = Row(2, name, None, fits(), scores)  # type: ignore[arg-type]
    bad = Row(3, "b&w", None, fits()[3:], None)  # type: ignore[arg-type]
    swept = jaxem.Sweep((bad, good), "bic", jaxem.Report())
    text = swept._repr_html_()
    assert "<script" not in text and "b&w" not in text
    rows = Cells(text).rows
    assert rows[1][:3] == ["3", "b&w", "no sound fit"]
    assert rows[2][1] == name and rows[2][2:7] == ["-10.000", "3", "30.000", "26.000", "31.000"]
    assert rows[2][-2:] == ["2 of 4", "2 converged, 1 max_iter, 1 singular"]
    assert [bool(re.search("bold", line)) for line in text.splitlines()[-3:-1]] == [False, True]
    assert repr(swept).splitlines()[2].endswith("best by bic")
    nothing = jaxem.Sweep((bad,), "bic", jaxem.Report())
    assert "best by" not in repr(nothing)
    with pytest.raises(ValueError, match=r"sound fit\..*SINGULAR.*fewer components"):
        nothing.best  # noqa: B018
    with pytest.raises(KeyError, match=r"choose from .*b&w"):
        nothing[9, "full"]


def test_models_are_shown_as_the_calls_that_make_them():
    prior = jaxem.Gamma(2.0, 0.5)
    made = {
        "Gaussian('full', reg_covar=1e-06)": jaxem.Gaussian("VVV", reg_covar=1e-6),
        "Gaussian('known', covariance=[[1, 0], [0, 1]])": jaxem.Gaussian(
            "known", covariance=np.eye(2)
        ),
        "Poisson(prior=Gamma(shape=2, rate=0.5))": jaxem.Poisson(prior),
        "Binomial(n_trials=1)": jaxem.Bernoulli(),
        "Mixture(family=Gaussian('diag'), n_components=3)": jaxem.Mixture(
            jaxem.Gaussian("diag"), n_components=3
        ),
        "Mixture(family=Exponential(), n_components=2, weight_prior=0.5, frozen=('weights',))": (
            jaxem.Mixture(jaxem.Exponential(), 2, weight_prior=0.5, frozen=("weights",))
        ),
    }
    for text, value in made.items():
        assert repr(value) == text


def test_parameters_show_few_numbers_or_their_shape():
    text = repr(PARAMS)
    assert "weights=[0.25, 0.75]" in text and "means=[[1, 2000.00], [3, 4]]" in text
    wide = jaxem.GaussianParams(np.zeros((3, 4)), jnp.zeros((3, 4, 4), jnp.float32))
    assert repr(wide) == "GaussianParams(means=float64[3, 4], covariances=float32[3, 4, 4])"
    shown = []
    jax.vmap(lambda w: shown.append(repr(jaxem.MixtureParams(w, None))) or w)(jnp.ones((5, 2)))
    assert re.fullmatch(r"MixtureParams\(weights=float(32|64)\[2\], components=None\)", shown[0])


def test_names_complete():
    for name in ("best", "plot", "summary", "optima", "log_likelihood", "params"):
        assert name in dir(fits())
    assert "means" in dir(PARAMS) and "components" in dir(PARAMS)
