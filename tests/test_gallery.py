"""The script that changes one import in scikit-learn's gallery, on examples of the same kinds."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

PATH = Path(__file__).parents[1] / "docs" / "gallery.py"
SAME = """
import matplotlib.pyplot as plt
import numpy as np
{line}
x = np.random.default_rng(0).normal(size=(40, 1)) + 6 * (np.arange(40) % 2)[:, None]
fitted = {name}(2, covariance_type="diag", random_state=0).fit(x)
plt.figure(figsize=(2, 2))
plt.plot(x[:, 0], fitted.predict_proba(x)[:, 0], "o")
"""
FROM = SAME.format(line="from sklearn.mixture import GaussianMixture", name="GaussianMixture")
WHOLE = SAME.format(line="from sklearn import mixture", name="mixture.GaussianMixture")
OTHER = FROM.replace("fitted.predict_proba(x)[:, 0]", "40 * [len(type(fitted).__module__)]")


@pytest.fixture
def gallery(tmp_path):
    """The script, whose examples are two of ours under `tmp_path`."""
    spec = importlib.util.spec_from_file_location("gallery", PATH)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert len(script.EXAMPLES) == 5
    script.EXAMPLES = ("one.py", "two.py")
    (tmp_path / "one.py").write_text(FROM)
    (tmp_path / "two.py").write_text(WHOLE)
    return script


def test_the_same_pictures_from_one_changed_import(gallery, tmp_path, capsys):
    assert gallery.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in said] == [
        f"{name}: 1 figures, pixels that differ 0.00%" for name in gallery.EXAMPLES
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.png", "two.png"]
    (tmp_path / "two.py").write_text(OTHER)
    assert gallery.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1


def test_what_it_says_when_the_examples_are_not_there(gallery, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"one\.py does not exist: --source is the folder"):
        gallery.main(["--source", str(tmp_path / "out"), "--out", str(tmp_path)])
    monkeypatch.setattr(gallery, "WEB", (tmp_path / "missing").as_uri())
    with pytest.raises(SystemExit, match=r"cannot be fetched .*--source FOLDER"):
        gallery.main(["--out", str(tmp_path)])
    (tmp_path / "one.py").write_text("import no_such_module_at_all")
    with pytest.raises(SystemExit, match="pip install no_such_module_at_all"):
        gallery.main(["--source", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="does not import GaussianMixture"):
        gallery.changed("import sklearn")
