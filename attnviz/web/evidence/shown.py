"""What the page "Attention and cause" shows, for its pictures and its sentences."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.analysis.evidence import Evidence, Method
from attnviz.analysis.predictions import Prediction
from attnviz.formatting import number
from attnviz.nn.encoding import Encoding

WAITS, CANCELLED = "it is being worked out", "it was cancelled"  # why a measure is not there


@dataclass(frozen=True)
class Asked:
    """One prediction."""

    model: str  # by name
    text: str
    hidden: int | None  # the position of the token that is hidden
    target: int | None


@dataclass(frozen=True)
class Offer:
    """A token or class to ask about."""

    target: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Shown:
    """What all parts of the page read."""

    of: Asked
    title: str  # the model's
    encoding: Encoding  # as the model read it: the hidden token is hidden
    prediction: Prediction
    offers: tuple[Offer, ...]  # the likeliest, and the one that is asked about
    typed_pieces: tuple[str, ...]  # of what was typed, where that is more than one token
    layer: int | None
    found: Evidence

    @property
    def asked(self) -> Offer | None:
        """The token or class that is asked about; None of an embedding."""
        return next((one for one in self.offers if one.target == self.prediction.target), None)

    @property
    def waits(self) -> bool:
        """Whether the erasures are under way."""
        return self.found.missing.get("erasure") == WAITS

    @property
    def n_measures(self) -> int:
        """How many there are, or will be."""
        return len(self.found.values) + list(self.found.missing.values()).count(WAITS)

    @property
    def labels(self) -> tuple[str, ...]:
        """The text's tokens."""
        return self.encoding.labels

    @property
    def moves(self) -> bool:
        """Whether erasing one of the compared tokens changes the prediction by so much that it shows."""
        made = self.found.erased
        if made is None or not self.found.own:
            return False
        return number(float(made.after[self.strongest("erasure")])) != number(made.before)

    def strongest(self, method: Method) -> int:
        """The compared token that a measure puts first."""
        values = self.found.values[method].abs()
        return max(self.found.own, key=lambda token: float(values[token]))
