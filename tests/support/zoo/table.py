"""What was found of the zoo as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.zoo import names
from tests.support.zoo.agreement import CLOSE
from tests.support.zoo.judge import Row

FILE = Path(__file__).parents[3] / "docs" / "model-zoo.md"
VERDICTS = ("exact", "part", "refused")
COMPARED = {
    "attention": "A",
    "hidden states": "H",
    "logits": "L",
    "interventions": "I",
    "stream after attention": "R",
    "padding": "P",
    "image in the text": "V",
    "greedy": "G",
    "beams": "B",
}
INTRODUCTION = """# The zoo

Each line is a class of transformers. A tiny model of it with random weights is saved as a folder, loaded with
`attnviz.load(folder)` and compared, number by number, with transformers' own eager attention on the same folder.
The page is written by `python -m tests.support.zoo --write`, and a nightly test finds the same.

**Exact** means that all that the model has agrees to {close:g} of its largest number: the attention of every layer
and kind (A), the hidden states (H), the logits (L), a run with temperature 0.6, a window of one token and a head
switched off, against the same change made in transformers' softmax (I), the residual stream after attention (R, where
layers have one: put back into transformers' own run under that change, it leaves every hidden state as it was), a
short text padded beside a long one (P), a text with an image in it (V), what greedy decoding says (G) and what three
beams say (B). Two towers are compared part by part. **Part** says what differs; **refused** is the sentence that
`load` gives.

{counts}

The 60 that are marked • stand for what the hub's readers download most: sentence encoders, classifiers, language
models, image and speech encoders that led the hub's lists by downloads in 2024 and 2025, by architecture. The list
is our reading of them, made without asking the hub today; {popular} of its 60 are exact.
"""


def page(lines: Mapping[str, str]) -> str:
    """The whole page, of a line for each architecture."""
    verdicts = {name: line.split(" | ")[1] for name, line in lines.items()}
    counts = ", ".join(f"{list(verdicts.values()).count(verdict)} {verdict}" for verdict in VERDICTS)
    popular = sum(verdicts.get(name) == "exact" for name in names.MOST_DOWNLOADED)
    parts = [INTRODUCTION.format(close=CLOSE, counts=f"Of {len(lines)}: {counts}.", popular=popular)]
    for title, members in names.SECTIONS.items():
        rows = [lines[name] for name in sorted(members, key=str.lower) if name in lines]
        if rows:
            head = f"## {title}\n\n| architecture | result | what agrees, or what it says |\n|---|---|---|\n"
            parts.append(head + "\n".join(rows) + "\n")
    return "\n".join(parts)


def line(row: Row) -> str:
    """A row of the table."""
    mark = " •" if row.name in names.MOST_DOWNLOADED else ""
    letters = " ".join(COMPARED[what] for what in row.compared)
    says = row.says.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return f"| {row.name}{mark} | {row.verdict} | {f'{letters}. {says}' if letters and says else letters or says} |"


def written(text: str) -> dict[str, str]:
    """The lines of a page, by architecture."""
    rows = (one for one in text.splitlines() if any(f" | {verdict} | " in one for verdict in VERDICTS))
    return {one.split()[1]: one for one in rows}
