"""Pairs of texts that differ in one thing, for each model that comes along: their effect was measured first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Two texts of equally many tokens, and what their runs are compared by."""

    label: str
    model: str
    text: str
    other: str
    measure: str
    token: str = ""
    versus: str = ""
    answer: str = ""  # so far, of a model that reads two texts
    position: int = -1
    layer: int = 0  # the head to look at
    head: int = 0
    place: str = ""
    how: str = "patch"

    @property
    def settings(self) -> dict[str, Any]:
        """The page's fields."""
        names = ("other", "measure", "token", "versus", "answer", "position", "layer", "head", "place", "how")
        return {name: getattr(self, name) for name in names}


KEYS = " bird moon ship {} tree bird moon ship"
PRESETS = (
    Preset(
        "MiniLM: too tired, too wide",
        "minilm",
        "The animal didn't cross the street because it was too tired.",
        "The animal didn't cross the street because it was too wide.",
        "likeness",
        layer=5,
        head=8,
    ),
    Preset("MiniLM: a good film", "minilm", "The film was good.", "The film was bad.", "likeness", layer=5, head=9),
    Preset(
        "Austen: which Mr.?",
        "austen",
        "Elizabeth met Mr. Darcy in the park, and Mr.",
        "Elizabeth met Mr. Collins in the park, and Mr.",
        "lead",
        " Darcy",
        " Collins",
        layer=2,
        head=1,
    ),
    Preset(
        "Austen: he or she?",
        "austen",
        "The father of the family was glad, for",
        "The mother of the family was glad, for",
        "lead",
        " he",
        " she",
        layer=3,
        head=0,
    ),
    Preset(
        "Tales: one dog or many?",
        "tales",
        "The dog near the cats licks the ball.",
        "The dogs near the cats licks the ball.",
        "lead",
        " licks",
        " lick",
        position=6,
        layer=1,
        head=1,
    ),
    Preset(
        "Induction: which word is copied?",
        "induction",
        KEYS.format("salt"),
        KEYS.format("star"),
        "lead",
        " salt",
        " star",
        layer=1,
        head=3,
    ),
    Preset(
        "Induction: without the head before",
        "induction",
        KEYS.format("salt"),
        KEYS.format("star"),
        "probability",
        " salt",
        how="zero",
        layer=0,
        head=4,
    ),
    Preset(
        "Dates: which year?",
        "dates",
        "May 12, 2020",
        "May 12, 1987",
        "lead",
        "2",
        "1",
        layer=0,
        head=1,
        place="cross",
    ),
)


def partner(model: str, text: str) -> str:
    """The other text of the first pair that a text begins; "" for a text of none."""
    return next((one.other for one in PRESETS if (one.model, one.text) == (model, text)), "")
