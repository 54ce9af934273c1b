"""What the browser's modules take from Python: `python -m attnviz.browser.contract` writes it into `frontend/core/`.

contract.js holds the view's state: fields, types, defaults and legal values. palette.css holds the colours, and
paper-colours.js which of the light theme stand on paper for those of the dark one. A test compares the files with what
would be written, so that nothing drifts.
"""

import dataclasses
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from attnviz.browser.bundle import FOLDER
from attnviz.browser.view_state import DEFAULT, SCHEMA
from attnviz.browser.view_values import LONGEST_LIST, LONGEST_PAINTING, MOST_PAINTED, TEMPERATURES
from attnviz.figures.palette import DARK, LIGHT, Palette

WRITTEN = "Written by python -m attnviz.browser.contract; not to be edited."
GUIDES = {LIGHT: 0.55, DARK: 0.6}  # how much ink the lines have that lead from a cell to its labels


def contract_js() -> str:
    """The module core/contract.js."""
    fields = "\n".join(f" * @property {{{kind.js}}} {name}" for name, (_, kind) in SCHEMA.items())
    options = {name: list(kind.options) for name, (_, kind) in SCHEMA.items() if kind.options}
    links = {name: link for name, (link, _) in SCHEMA.items()}
    ranges = {name: list(kind.range) for name, (_, kind) in SCHEMA.items() if kind.range}
    return f"""/* contract.js: the state of the attention view, as attnviz/browser/view_state.py has it.
   {WRITTEN} */

/**
 * Selection and settings; layers, heads and tokens count from 0.
 * @typedef {{object}} ViewState
{fields}
 */

/** @type {{ViewState}} */
export const DEFAULTS = {_literal(DEFAULT.to_dict())};

/** All legal values of the fields that are words of a list. */
export const OPTIONS = {_literal(options)};

/** The least and the largest legal value of the fields that are numbers. */
export const LIMITS = {_literal(ranges)};

/** What each field is called in a link. */
export const LINKS = {_literal(links)};

/** What a slider of temperatures steps through. */
export const TEMPERATURES = [
{_rows(TEMPERATURES)}
];

/** Cells that may be blocked by hand. */
export const MOST_PAINTED = {MOST_PAINTED};

/** Characters of a link that painted cells may take. */
export const LONGEST_PAINTING = {LONGEST_PAINTING};

/** Tokens that may be selected together. */
export const LONGEST_LIST = {LONGEST_LIST};
"""


def palette_css() -> str:
    """The style sheet core/palette.css."""
    return f"""/* palette.css: the colours of attnviz/figures/palette.py.
   {WRITTEN} */
.av {{
{_variables(LIGHT)}
  color-scheme: light;
}}
.av[data-theme="dark"] {{
{_variables(DARK)}
  color-scheme: dark;
}}
"""


def paper_colours_js() -> str:
    """The module core/paper-colours.js."""
    lines = "".join(f'  "{dark}": "{light}",\n' for dark, light in on_paper().items())
    return f"""/* paper-colours.js: for each colour of the dark theme the light one that stands for it on paper, of
   attnviz/figures/palette.py. {WRITTEN} */
export const ON_PAPER = {{
{lines}}};
"""


def on_paper() -> dict[str, str]:
    """Each colour of the dark theme with its place's in the light one; of two places with one colour the later."""
    pairs: list[tuple[str, str]] = []
    for field in dataclasses.fields(Palette):
        dark, light = getattr(DARK, field.name), getattr(LIGHT, field.name)
        pairs += [(dark, light)] if isinstance(dark, str) else zip(dark, light, strict=True)
    return {dark.lower(): light.lower() for dark, light in pairs}


def _literal(values: dict[str, Any]) -> str:
    """An object as Prettier writes it, a field per line."""
    lines = [f"  {name}: {_value(value)},\n" for name, value in values.items()]
    return f"{{\n{''.join(lines)}}}"


def _value(value: Any) -> str:
    """JSON, in which a number has no decimals that say nothing."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _rows(numbers: tuple[float, ...]) -> str:
    """Numbers as Prettier fills them into lines of an array."""
    texts = textwrap.fill(" ".join(f"{number:g}," for number in numbers), 118)
    return textwrap.indent(texts, "  ")


def _variables(palette: Palette) -> str:
    guide = ", ".join(str(int(palette.ink[i : i + 2], 16)) for i in (1, 3, 5))
    variables = {
        **{name: getattr(palette, name) for name in ("paper", "sunken", "line", "grid", "edge", "ink", "ink1", "ink2")},
        "accent": palette.accent,
        **_role("q", palette.query_fill, palette.query_ink, palette.query),
        **_role("k", palette.key_fill, palette.key_ink, palette.key),
        "v-bg": palette.value_fill,
        "v-ink": palette.value_ink,
        "pos": palette.positive,
        "neg": palette.negative,
        "neg-ink": palette.negative_ink,
        "flow": palette.positive,
        "guide": f"rgba({guide}, {GUIDES[palette]})",
        "seq": ", ".join(palette.sequential),
        "div": ", ".join(palette.diverging),
        "cat": ", ".join(palette.categories),
    }
    return "\n".join(f"  --{name}: {value.lower()};" for name, value in variables.items())


def _role(letter: str, fill: str, ink: str, edge: str) -> dict[str, str]:
    return {f"{letter}-bg": fill, f"{letter}-ink": ink, f"{letter}-edge": edge}


def files() -> dict[Path, str]:
    """Every file that is written, with its text."""
    core = FOLDER / "core"
    written = {"contract.js": contract_js(), "palette.css": palette_css(), "paper-colours.js": paper_colours_js()}
    return {core / name: text for name, text in written.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.relative_to(FOLDER)}\n")
