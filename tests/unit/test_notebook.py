"""The example notebook runs from top to bottom, and a trace in it shows the view without Streamlit."""

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import attnviz

ROOT = Path(__file__).parents[2]
FILE = ROOT / "assets" / "examples" / "attention.ipynb"


def run_cells() -> list[Any]:
    """What each code cell ends with, all run here in one namespace: without a kernel, and so in a moment."""
    namespace: dict[str, Any] = {}
    ends = []
    for cell in nbformat.read(FILE, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        *before, last = ast.parse(cell.source).body
        exec(compile(ast.Module(before, []), str(FILE), "exec"), namespace)
        assert isinstance(last, ast.Expr)
        ends.append(eval(compile(ast.Expression(last.value), str(FILE), "eval"), namespace))
    return ends


def test_its_cells_end_with_the_librarys_numbers() -> None:
    trace = attnviz.load("minilm").run("The animal didn't cross the street because it was too tired.")
    it, animal = trace.tokens.index("it"), trace.tokens.index("animal")
    shown, weight, *_ = run_cells()
    assert "<iframe" in shown._repr_html_() and "6 layers" in repr(shown)
    assert float(weight) == pytest.approx(float(trace.layers[3].attention.weights[0, 1, it, animal]), abs=1e-6)


# ---- in a kernel of its own ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    """The executed notebook."""
    content = nbformat.read(FILE, as_version=4)
    check = nbformat.v4.new_code_cell("import sys\n'streamlit' in sys.modules", id="check")
    content.cells.append(check)
    return NotebookClient(content, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()


def outputs(notebook: nbformat.NotebookNode) -> list[dict]:
    return [cell.outputs[-1].data for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.nightly
def test_a_trace_shows_the_view(notebook: nbformat.NotebookNode) -> None:
    shown = outputs(notebook)[0]
    assert "<iframe" in shown["text/html"] and "6 layers" in shown["text/plain"]


@pytest.mark.nightly
def test_its_numbers_are_the_librarys(notebook: nbformat.NotebookNode) -> None:
    trace = attnviz.load("minilm").run("The animal didn't cross the street because it was too tired.")
    it, animal = trace.tokens.index("it"), trace.tokens.index("animal")
    weight = trace.layers[3].attention.weights[0, 1, it, animal]
    assert float(outputs(notebook)[1]["text/plain"]) == pytest.approx(float(weight), abs=1e-6)


@pytest.mark.nightly
def test_streamlit_is_not_imported(notebook: nbformat.NotebookNode) -> None:
    assert outputs(notebook)[-1]["text/plain"] == "False"
