"""What the page "Space" shows, for its picture and its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from attnviz.analysis.space import How, Places

What = Literal["tokens", "heads", "table"]
Colour = Literal["token", "position", "norm", "weight"]
KINDS = ("words", "pieces of words", "signs", "special tokens")


@dataclass(frozen=True)
class Point:
    """One of the points, by what it stands for."""

    name: str
    position: int | None  # in the text; None of a row of the table that stands in no text
    kind: int  # among `KINDS`
    is_key: bool = False


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A point that is near the chosen one, or that the chosen query scores high."""

    point: int
    position: int | None  # in the text, if it stands there
    name: str
    cosine: float
    score: float | None = None  # q·k/√d, of a key
    weight: float | None = None
    distance: float = 0.0


@dataclass(frozen=True)
class Asked:
    """What is asked for, and what there is to choose from."""

    model: str  # by name
    text: str
    title: str  # the model's
    what: What
    how: How
    dims: int
    seed: int
    by: Colour
    layer: int
    head: int
    n_layers: int
    n_heads: int
    labels: tuple[str, ...]  # the text's tokens
    special: tuple[bool, ...]
    token: int  # the chosen one's position

    @property
    def needs_head(self) -> bool:
        """Whether a head is part of it."""
        return self.what == "heads" or self.by == "weight"


@dataclass(frozen=True, eq=False)
class Shown(Asked):
    """What the picture and the sentences read."""

    points: tuple[Point, ...]
    vectors: Tensor  # (N, D)
    placed: Places | None  # None while they are being placed
    weights: Tensor | None  # (n,) what the chosen token gives each token of the text, in the chosen head
    neighbours: tuple[Neighbour, ...]

    @property
    def places(self) -> Places:
        """Where they are, once they are placed."""
        assert self.placed is not None
        return self.placed

    @property
    def chosen(self) -> int:
        """The point of the chosen token: as a query, where there are two."""
        return next(i for i, one in enumerate(self.points) if one.position == self.token and not one.is_key)

    @property
    def norms(self) -> Tensor:
        """The length of each vector: (N,)."""
        return self.vectors.double().norm(dim=1)

    def amounts(self) -> list[float | None]:
        """The colour of each point as 0 … 1; None where colours are kinds."""
        n = len(self.points)
        match self.by:
            case "position":
                last = max(1, len(self.labels) - 1)
                return [None if one.position is None else one.position / last for one in self.points]
            case "norm":
                low, high = self.norms.aminmax()
                return [float(x) for x in (self.norms - low) / (high - low).clamp_min(torch.finfo(torch.float64).tiny)]
            case "weight":
                given = self.weights
                is_seen = [one.is_key or self.what != "heads" for one in self.points]
                is_coloured = [
                    given is not None and one.position is not None and seen
                    for one, seen in zip(self.points, is_seen, strict=True)
                ]
                return [
                    float(given[one.position].clamp_min(0).sqrt()) if yes else None  # type: ignore[index]
                    for one, yes in zip(self.points, is_coloured, strict=True)
                ]
        return [None] * n
