"""What Python and the browser hold in common is written in one place, and the committed files are what it says."""

import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnviz.browser import contract
from attnviz.browser.bundle import FOLDER
from attnviz.browser.view_state import DEFAULT, SCHEMA, ViewState
from attnviz.browser.view_values import MOST_PAINTED
from attnviz.errors import InvalidParameterError
from attnviz.figures.palette import DARK, LIGHT, Palette
from tests.support.node import run_node

ROOT = Path(__file__).parents[3]
THEMES = [("light", LIGHT), ("dark", DARK)]


@pytest.mark.parametrize("path", contract.files(), ids=lambda path: path.name)
def test_the_committed_files_are_what_python_writes(path: Path) -> None:
    assert path.read_text("utf-8") == contract.files()[path], "run python -m attnviz.browser.contract"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_command_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m attnviz.browser.contract`, without a Python of its own."""
    before = {path: path.stat() for path in contract.files()}
    runpy.run_module("attnviz.browser.contract", run_name="__main__")
    assert capsys.readouterr().out.split() == ["core/contract.js", "core/palette.css", "core/paper-colours.js"]
    for path, was in before.items():
        assert path.stat().st_size == was.st_size and path.stat().st_mtime_ns > was.st_mtime_ns


def test_the_browser_has_the_defaults_and_the_legal_values() -> None:
    names = "DEFAULTS, OPTIONS, LIMITS, MOST_PAINTED"
    there = run_node(f"const {{{names}}} = contract; give({{{names}}});")
    assert there["DEFAULTS"] == DEFAULT.to_dict()
    assert there["MOST_PAINTED"] == MOST_PAINTED
    assert ViewState.from_dict(there["DEFAULTS"]) == DEFAULT
    for name, options in there["OPTIONS"].items():
        assert [getattr(ViewState(**{name: option}), name) for option in options] == options
    for name, (least, most) in there["LIMITS"].items():
        assert getattr(ViewState(**{name: least}), name) == least
        assert getattr(ViewState(**{name: most}), name) == most
        for beyond in (least - 0.01, most + 0.01):
            with pytest.raises(InvalidParameterError):
                ViewState(**{name: beyond})


def test_every_field_has_a_name_of_its_own_in_a_link() -> None:
    links = [link for link, _ in SCHEMA.values()]
    assert len(set(links)) == len(links) == len(DEFAULT.to_dict())


def test_no_other_module_of_the_browser_has_defaults_of_its_own() -> None:
    for path in FOLDER.rglob("*.js"):
        assert path.name == "contract.js" or "const DEFAULTS" not in path.read_text("utf-8"), path


def hexes(palette: Palette) -> Iterator[str]:
    for value in vars(palette).values():
        yield from [value] if isinstance(value, str) else value


@pytest.mark.parametrize(("name", "palette"), THEMES)
def test_scales_have_ten_steps_and_paper_in_the_middle_of_changes(name: str, palette: Palette) -> None:
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in hexes(palette))
    assert (len(palette.sequential), len(palette.changes), len(palette.categories)) == (10, 10, 4)
    assert palette.sequential[0] == palette.paper
    assert palette.diverging[5] == palette.paper
    assert (*palette.diverging[:5], *palette.diverging[6:]) == palette.changes


@pytest.mark.parametrize(("name", "palette"), THEMES)
def test_streamlit_has_the_same_colours(name: str, palette: Palette) -> None:
    theme: dict[str, Any] = tomllib.loads((ROOT / ".streamlit/config.toml").read_text("utf-8"))["theme"][name]
    categories = theme.pop("chartCategoricalColors")
    assert tuple(categories[:4]) == palette.categories
    assert theme == {
        "primaryColor": palette.accent,
        "backgroundColor": palette.paper,
        "secondaryBackgroundColor": palette.sunken,
        "textColor": palette.ink1,
        "linkColor": palette.accent,
        "borderColor": palette.line,
        "codeTextColor": palette.key_ink,
        "codeBackgroundColor": palette.sunken,
        "chartSequentialColors": list(palette.sequential),
        "chartDivergingColors": list(palette.changes),
    }
