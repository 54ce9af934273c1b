"""The example notebook runs from top to bottom, and a trace in it shows the view without Streamlit."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import attnviz

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    """The executed notebook."""
    content = nbformat.read(ROOT / "assets" / "examples" / "attention.ipynb", as_version=4)
    check = nbformat.v4.new_code_cell("import sys\n'streamlit' in sys.modules", id="check")
    content.cells.append(check)
    return NotebookClient(content, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()


def outputs(notebook: nbformat.NotebookNode) -> list[dict]:
    return [cell.outputs[-1].data for cell in notebook.cells if cell.cell_type == "code"]


def test_a_trace_shows_the_view(notebook: nbformat.NotebookNode) -> None:
    shown = outputs(notebook)[0]
    assert "<iframe" in shown["text/html"] and "6 layers" in shown["text/plain"]


def test_its_numbers_are_the_librarys(notebook: nbformat.NotebookNode) -> None:
    trace = attnviz.load("minilm").run("The animal didn't cross the street because it was too tired.")
    it, animal = trace.tokens.index("it"), trace.tokens.index("animal")
    weight = trace.layers[3].attention.weights[0, 1, it, animal]
    assert float(outputs(notebook)[1]["text/plain"]) == pytest.approx(float(weight), abs=1e-6)


def test_streamlit_is_not_imported(notebook: nbformat.NotebookNode) -> None:
    assert outputs(notebook)[-1]["text/plain"] == "False"
