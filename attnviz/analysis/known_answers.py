"""Heads of bundled models whose task knows the answers: whom a pronoun means, where a digit comes from.

A head is right where the largest of its weights is on the right token. Which head is best was chosen on validation
texts and measured on test texts, when the model was trained; a test works the numbers out anew.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from attnviz.inputs.assets import ASSETS

SURE = 1.96  # standard deviations that hold 95 %


@dataclass(frozen=True)
class Known:
    """The head that is best at one thing, and what rules and chance reach."""

    what: str
    layer: int
    head: int
    score: float  # how often it is right
    by_place: float  # what the best rule reaches that knows only positions
    by_chance: float
    n: int  # answers that it was measured on

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, as Wilson 1927 has it for a share of n."""
        z2, p, n = SURE * SURE, self.score, self.n
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = SURE / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


def of_model(name: str) -> tuple[Known, ...]:
    """Those of a bundled model by name; () where no answers are known."""
    known = {file.parent.name: file for file in (ASSETS / "models").glob("*/training.json")}
    if name not in known:
        return ()
    return tuple(Known(**one) for one in json.loads(known[name].read_text(encoding="utf-8")).get("heads", ()))
