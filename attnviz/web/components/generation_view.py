"""A text that grows token by token, as a Streamlit component: candidates go in, the reader's choice comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from attnviz.browser import bundle
from attnviz.web.components import bridge

_mount = bridge.component(
    "attnviz_writer",
    "widgets/writer.js",
    f'<div class="av av-writer"></div>{bridge.NO_SCRIPT}',
    bundle.css("widgets/writer.css"),
)


@dataclass(frozen=True)
class Chip:
    """A token of the text."""

    label: str
    special: bool = False
    continues: bool = False  # the word of the token before it
    p: float = 0.0  # with which it was said; of the prompt's tokens 0


@dataclass(frozen=True)
class Candidate:
    """A token that could be said."""

    id: int
    label: str
    p: float
    here: bool = False  # it is the one that stands there


def writer(
    chips: Sequence[Chip],
    candidates: Sequence[Candidate],
    *,
    start: int,
    focus: int,
    tints: Sequence[float],
    heading: str,
    ended: bool,
    key: str,
    on_write: Callable[[], None],
) -> None:
    """Draws the text and what could be said at `focus`.

    Arguments
        start: how many of the chips the reader gave. focus: the position that is asked for, `len(chips)` for the next.
        tints: weights (0 to 1) that the token before the focus gives to the tokens up to itself.
        ended: whether nothing can follow. on_write: called before the run that follows a click; see `written`.
    """
    data: dict[str, Any] = {
        "tokens": [asdict(chip) for chip in chips],
        "candidates": [asdict(one) for one in candidates],
        "start": start,
        "focus": focus,
        "tints": [round(float(tint), 5) for tint in tints],
        "heading": heading,
        "ended": ended,
    }
    _mount(data=data, key=key, on_write_change=on_write)


def written(key: str) -> tuple[int, int | None] | None:
    """What the reader did: (position, None) to ask for a token, (position, id) to say one; None for anything else."""
    report = bridge.reported_fields(key, "write")
    if type(at := report.get("at")) is not int:
        return None
    if report.get("act") == "focus":
        return at, None
    token = report.get("id")
    return (at, token) if report.get("act") == "take" and type(token) is int else None
