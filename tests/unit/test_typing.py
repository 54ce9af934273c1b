"""What a type checker makes of programs that use attnviz: those of the README, and of what may be given and read."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import attnviz
from attnviz.nn import intervention

ROOT = Path(__file__).parents[2]
PYRIGHT = ROOT / "node_modules" / ".bin" / "pyright"
GOOD = """
import attnviz
from pathlib import Path

attnviz.Intervention(mask="causal", where="encoder", layers=2, blocked=[(1, 0)], head_scale={(0, 1): 0.0})
attnviz.Intervention(mask=("window", 3), layers=[0, 1], blocked=[(None, 2, 1, 0)], head_scale={3: 0.5})
model = attnviz.load(Path("here"), device="cpu")
place: str = attnviz.Intervention().where
n: int = len(attnviz.generate(model, "a", 3, temperature=0.5).ids)
scores = attnviz.analysis.heads.induction(model.run("a"))
"""
BAD = """
import attnviz

attnviz.Intervention(mask="causl")
attnviz.Intervention(where="everywhere")
attnviz.Intervention(layers="0")
attnviz.load(3)
attnviz.load("minilm").run("a").nothing
"""


def programs(tmp_path: Path) -> list[Path]:
    """The README's and the library page's, and one that is right."""
    found = [GOOD]
    for name in ("README.md", "docs/library.md"):
        found.append("\n".join(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.S)))
    files = [tmp_path / f"program_{i}.py" for i in range(len(found))]
    for file, text in zip(files, found, strict=True):
        file.write_text(text, "utf-8")
    return files


def mypy(*files: Path) -> list[str]:
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary", "--hide-error-context"]
    command = [sys.executable, "-m", "mypy", "--config-file=", *options, *map(str, files)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    return [line for line in said.splitlines() if "error:" in line]


@pytest.mark.nightly
def test_programs_pass_mypy_and_wrong_ones_do_not(tmp_path: Path) -> None:
    assert mypy(*programs(tmp_path)) == []
    (tmp_path / "bad.py").write_text(BAD)
    wrong = {int(line.split(":")[1]) for line in mypy(tmp_path / "bad.py")}
    assert wrong == {4, 5, 6, 7, 8}


@pytest.mark.nightly
@pytest.mark.skipif(not PYRIGHT.exists(), reason="pyright is not among the JavaScript tools that are installed")
def test_programs_pass_pyright(tmp_path: Path) -> None:
    command = [str(PYRIGHT), "--pythonpath", sys.executable, *map(str, programs(tmp_path))]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_help_tells_every_field() -> None:
    for kind in (attnviz.Trace, attnviz.LayerTrace, attnviz.AttentionTrace, attnviz.Intervention, attnviz.ModelConfig):
        doc = (inspect.getdoc(kind) or "") + (
            "" if kind is not attnviz.ModelConfig else "activation norm_eps bias dropout"
        )
        words = set(re.findall(r"\w+", doc))
        assert {field.name for field in dataclasses.fields(kind)} <= words, kind


def test_what_an_intervention_takes_is_what_its_fields_may_hold() -> None:
    """The signature that type checkers see has the names of the fields, in their order, all optional."""
    source = inspect.getsource(intervention.Intervention)
    told = re.search(r"def __init__\((.*?)\) -> None: \.\.\.", source, re.S)
    assert told is not None
    given = re.findall(r"^ +(\w+): .* = (.+),$", told[1], re.M)
    fields = [(field.name, repr(field.default).replace("'", '"')) for field in dataclasses.fields(attnviz.Intervention)]
    assert given == fields
    assert typing.get_args(intervention.Place) == intervention.PLACES


def test_types_are_shipped() -> None:
    assert (Path(attnviz.__file__).parent / "py.typed").exists()


def test_help_tells_every_argument_of_load_and_every_form_of_a_name() -> None:
    told = inspect.getdoc(attnviz.load) or ""
    assert set(inspect.signature(attnviz.load).parameters) <= set(re.findall(r"\w+", told))
    for form in ("catalogue()", "hf:org/name", "Path", "#text", "#image", "#sound", "PreTrainedModel", "ModelError"):
        assert form in told
