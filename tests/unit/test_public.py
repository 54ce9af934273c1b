"""The package as other programs use it: its wings as attributes, `generate`, and what `help` and type checkers see."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import attnviz
from attnviz.errors import InvalidParameterError
from attnviz.generation import beam_search, sampling

ROOT = Path(__file__).parents[2]
WINGS = ("analysis", "browser", "figures", "generation", "inputs", "models", "nn", "training")


HEAVY = ("torch", "transformers", "sklearn", "streamlit", "plotly", "pandas", "tokenizers", "huggingface_hub")


@pytest.fixture(scope="module")
def said() -> list[str]:
    """A fresh interpreter: the heavy libraries that `import attnviz` brings, and whether every module then comes."""
    code = f"""
import sys, attnviz
print(*[name for name in {HEAVY} if name in sys.modules])
for wing in {WINGS}:
    assert wing in dir(attnviz)
    for name in dir(getattr(attnviz, wing)):
        getattr(getattr(attnviz, wing), name)
assert not hasattr(attnviz, "nothing") and not hasattr(attnviz.analysis, "nothing")
assert attnviz.analysis.provenance.steps.__name__ == "attnviz.analysis.provenance.steps"
print("all came")
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    return [*result.stdout.splitlines(), result.stderr]


def test_importing_attnviz_leaves_the_heavy_libraries_alone(said: list[str]) -> None:
    assert said[0] == "", said


def test_wings_and_their_modules_come_when_they_are_asked_for(said: list[str]) -> None:
    assert said[1] == "all came", said


def test_all_that_is_promised_is_there() -> None:
    assert {name for name in attnviz.__all__ if not hasattr(attnviz, name)} == set()
    assert set(WINGS) <= set(attnviz.__all__)
    for wing in WINGS:
        assert getattr(attnviz, wing) is importlib.import_module(f"attnviz.{wing}")


ERRORS = {"InvalidParameterError", "ShapeError", "DTypeError", "ModelError"}


@pytest.mark.parametrize("package", [attnviz, attnviz.nn, attnviz.models, attnviz.figures])
def test_type_checkers_see_what_is_imported_late(package: Any) -> None:
    """The names under TYPE_CHECKING are those that `__getattr__` knows, from the same modules.

    None is imported with the package: two threads that import a module and its package would see half of one.
    """
    tree = ast.parse(inspect.getsource(package))
    (typing,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: f"{one.module}.".removeprefix(f"{package.__name__}.").removesuffix(".")
        for one in typing.body
        if isinstance(one, ast.ImportFrom) and one.module
        for alias in one.names
    }
    top = package is attnviz
    assert seen == package._HOMES | (dict.fromkeys(WINGS, "") if top else {})
    assert set(package.__all__) == set(seen) | (ERRORS if top else set()) and set(package.__all__) <= set(dir(package))
    for name, home in package._HOMES.items():
        assert getattr(package, name) is getattr(importlib.import_module(f"{package.__name__}.{home}"), name)
    eager = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert eager <= ({"typing", "collections.abc", "attnviz.errors"} if top else {"typing", "attnviz"})


def test_help_names_what_there_is() -> None:
    told = pydoc.plaintext.document(attnviz)
    assert [name for name in attnviz.__all__ if name not in told] == []


def test_generate_is_greedy_drawn_or_searched() -> None:
    austen = attnviz.load("austen")
    assert attnviz.generate(austen, "It is", 5) == sampling.greedy(austen, "It is", 5)
    drawn = attnviz.generate(austen, "It is", 5, temperature=1.5, top_k=50, seed=3)
    assert (
        drawn == sampling.say(austen, "It is", 5, sampling.Sampling(1.5, 50), 3) != sampling.greedy(austen, "It is", 5)
    )
    assert attnviz.generate(austen, "It is", 3, n_beams=2) == beam_search.beam(austen, "It is", 2, 3)[0]
    with pytest.raises(InvalidParameterError, match="n_beams=2 searches for the likeliest answer"):
        attnviz.generate(austen, "It is", 3, n_beams=2, top_p=0.5)
    with pytest.raises(InvalidParameterError, match="predicts no next token"):
        attnviz.generate(attnviz.load("scratch:tiny"), "It is")


def test_a_program_that_took_generate_for_a_module_still_runs() -> None:
    from attnviz import generate

    assert generate.greedy is sampling.greedy and generate.beam is beam_search.beam


def test_help_says_what_load_takes() -> None:
    doc, signature = inspect.getdoc(attnviz.load) or "", inspect.signature(attnviz.load)
    for name in signature.parameters:
        assert f"{name}:" in doc or f"{name}, " in doc or f", {name}:" in doc, name
    for given in ("hf:org/name", "folder", "PreTrainedModel", "minilm", "ModelError"):
        assert given in doc
