"""What the page "What if?" shows, for its pictures and its sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnviz.analysis import patching
from attnviz.formatting import token_name
from attnviz.web.what_if import text
from attnviz.web.what_if.state import Experiment
from attnviz.web.what_if.sweep import Found


@dataclass(frozen=True, eq=False)
class Shown:
    """What all parts below the fields read."""

    exp: Experiment
    found: Found
    row: int  # of the chosen head
    head: int
    rows: tuple[str, ...]  # names of the map's
    name: str  # of what is measured, in a sentence
    labels: tuple[str, ...]  # of the text that the map of the stream is over
    alone: bool  # one stack

    @property
    def whole(self) -> float:
        """By how much the other text's outcome differs; NaN without one."""
        return self.found.other - self.found.base

    @property
    def where(self) -> str:
        """The chosen head in a sentence."""
        return text.head(self.found.sites[self.row], self.head, alone=self.alone)

    @property
    def at(self) -> str:
        """The token at which heads are changed; "" for every one."""
        return "" if self.exp.at < 0 else token_name(self.labels, self.exp.at)

    @property
    def rank(self) -> int:
        """Where the chosen head stands by the size of its effect, from 1."""
        sizes = np.nan_to_num(np.abs(self.found.effects))
        return 1 + int((sizes > sizes[self.row, self.head]).sum())

    @property
    def is_way(self) -> bool:
        """Whether the two runs differ so that it shows: else there is no share of a way to tell."""
        values = (text.value(self.exp.measure, one) for one in (self.found.base, self.found.other))
        return bool(np.isfinite(self.whole)) and len(set(values)) == 2

    @property
    def in_shares(self) -> bool:
        """Whether the heads' effects are told as shares of the way to the other text."""
        return self.exp.how in patching.NEEDS_OTHER and self.is_way

    def written(self, effect: float) -> str:
        """An effect in a cell: as a share of the way, where there is a way."""
        if np.isnan(effect):
            return "not run yet"
        if self.in_shares:
            return text.share(effect, self.whole)
        return self.changed(effect)

    def changed(self, effect: float) -> str:
        """An effect as a difference of outcomes."""
        return text.compared(self.exp.measure, self.found.base, self.found.base + effect)[2]
