"""The sentences of the page "Compare", written from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.comparison import Change
from attnviz.browser.intervention_text import intervention_text
from attnviz.formatting import listed, percent, shares
from attnviz.web.compare.shown import Shown, Side
from attnviz.web.settings_text import shortened

KINDS = {
    "text": "Another text",
    "head": "Another head",
    "change": "Another run",
    "model": "Another model",
}
MORE_NAMED = 6  # tokens of one text alone
ONLY_TEXT = "Type another text above: B is the same head on it."
COLOURS = (
    "Blue: B gives more. Red: B gives less. A cell stands out the more, the larger the difference; at ten points the "
    "colour is full, unless one is larger. Press a cell to choose it."
)
TOKENIZER = (
    "Only models that read text in the same tokens can be laid side by side: the others in the list have vocabularies "
    "of their own."
)


def changes(causal: bool) -> dict[str, str]:
    """The changes of a run that are offered."""
    mask = "Without its causal mask" if causal else "With a causal mask"
    return {"none": "As trained", "mask": mask, "temperature": "Another temperature", "off": "A head switched off"}


def left_out(n: int, shown: int) -> str:
    """That B's text is shown as far as it fits."""
    return f"B shows the first {shown} tokens of its text; {n:,} more are left out."


def none_alike(title: str) -> str:
    """That a model has a vocabulary of its own."""
    return f"No other model in the list reads text in the tokens of {title}. {TOKENIZER}"


def side(one: Side, kind: str, title: str) -> str:
    """What a matrix shows, beside which letter it has."""
    where = f"layer {one.layer}, head {one.head}"
    if kind == "change":
        return f"{where}: {'as trained' if one.change is None else intervention_text(one.change)}"
    if kind == "text":
        return f"{where}: “{shortened(one.text)}”"
    return f"{where}, {title}" if kind == "model" else where


def main(shown: Shown) -> str:
    """The cell that differs most, and how much attention goes elsewhere on average."""
    n = len(shown.found.pairs)
    special = shown.encodings[0].special
    start = "" if any(not special[i] for i, _ in shown.found.pairs) else "No word stands in both texts. "
    if not shown.changes:
        cells = f"none of the {n * n:,} cells" if n > 1 else "not even the one cell"
        told = f"{cells} that both have differs by more than 0.1 points."
        return f"{start}A and B look alike: {told}{_why(shown)}"
    first = shown.changes[0]
    in_a, in_b, _ = shares(first.a, first.b)
    moved = percent(float(shown.found.moved.mean()))
    elsewhere = f"On average {moved} of a token’s attention goes to other tokens in B than in A."
    return (
        f"{start}“{_label(shown, first.query[0])}” gives “{_label(shown, first.key[0])}” {in_a} in A and "
        f"{in_b} in B, the largest difference. {elsewhere}"
    )


def _why(shown: Shown) -> str:
    """Why nothing changes: both runs are one, or a head was switched off that no weight of this layer has read."""
    if shown.kind == "change" and shown.a.change == shown.b.change:
        return " Both run the same: change one of them above."
    changes = [side.change for side in (shown.a, shown.b) if side.change is not None]
    scaled = [layer for change in changes for layer, _, _ in change.head_scale if layer is not None]
    if scaled and min(scaled) >= shown.a.layer:
        return f" What a head of layer {min(scaled)} writes is first read by the layer after it."
    return ""


def chosen(shown: Shown) -> str:
    """What the locked query looks at most in A and in B; "" where none is locked."""
    parts = []
    for letter, labels, row in zip("AB", shown.labels, shown.rows(), strict=True):
        if row is not None:
            best = int(row.argmax())
            share = float(row[best])
            parts.append(f"at “{labels[best]}” in {letter} ({percent(share)})" if share else f"at nothing in {letter}")
    if not parts:
        return ""
    in_a = shown.query[0] >= 0
    name = shown.labels[0][shown.query[0]] if in_a else shown.labels[1][shown.query[1]]
    only = f", and stands only in {'A' if in_a else 'B'}" if len(parts) == 1 else ""
    return f"“{name}” looks most {listed(parts)}{only}."


def cell(shown: Shown) -> str:
    """The locked cell in both; "" where there is none."""
    place = shown.cell
    if place is None:
        return ""
    in_a, in_b, by = shares(*(float(one[place]) for one in (shown.found.a, shown.found.b)))
    names = f"“{_label(shown, shown.query[0])}” gives “{_label(shown, shown.key[0])}”"
    return f"{names} {in_a} in A and {in_b} in B: {by} points."


def change(shown: Shown, one: Change) -> str:
    """A cell's change in words."""
    way = "more" if one.difference > 0 else "less"
    names = [f"“{_label(shown, position)}” ({position})" for position in (one.query[0], one.key[0])]
    return f"{names[0]} looks {way} at {names[1]}"


def only(shown: Shown) -> str:
    """The tokens that one of the texts has alone; "" where both have all."""
    parts = []
    for letter, labels, side_ in zip("AB", shown.labels, (0, 1), strict=True):
        both = {pair[side_] for pair in shown.found.pairs}
        alone = [label for position, label in enumerate(labels) if position not in both]
        if alone:
            parts.append(f"Only in {letter}: {_named(alone)}.")
    return " ".join(parts)


def _named(labels: Sequence[str]) -> str:
    named = [f"“{one}”" for one in labels[:MORE_NAMED]]
    left = len(labels) - len(named)
    return listed([*named, f"{left} more"] if left else named)


def alternative(shown: Shown) -> str:
    """The difference map for who cannot see it."""
    n = len(shown.found.pairs)
    told = [f"{change(shown, one)}: {shares(one.a, one.b)[2]} points." for one in shown.changes[:3]]
    return " ".join([f"{n} × {n} cells, B less A.", *told, only(shown)]).strip()


def _label(shown: Shown, position: int) -> str:
    return shown.labels[0][position]
