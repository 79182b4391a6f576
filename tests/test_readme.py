"""The README is run: its two commands are well formed, its Python examples work in order."""

import re
import shlex
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)


def _commands(block):
    """The commands of a block of one line that can be pasted, joined by &&."""
    (line,) = block.splitlines()
    return [shlex.split(command) for command in line.split(" && ")]


def test_the_first_two_commands_install_and_run_and_test():
    run, test = [_commands(block) for block in _blocks("bash")[:2]]
    for commands in (run, test):
        assert commands[0][:3] == ["python3", "-m", "venv"]
        home = commands[0][3]
        assert all(command[0].startswith(f"{home}/bin/") for command in commands[1:])
        assert any("install" in command for command in commands)
    assert Path(run[-1][0]).name == "jaxem" and run[-1][1] in ("fit", "demo")
    assert test[-1][1:3] == ["-m", "pytest"] or Path(test[-1][0]).name == "pytest"
    assert any("test" in word for command in test[:-1] for word in command if word.endswith("]"))


def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = _blocks("python")
    assert blocks
    namespace = {"__name__": "readme"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)
