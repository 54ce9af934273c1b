"""Cards as a file: what is known of a model's heads over the sample, worked out once and shipped with the model.

The file says which weights and which texts it is of, so that a file of others is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnviz.analysis import roles
from attnviz.analysis.cards import Cards, Cost, Example, Lost
from attnviz.errors import InvalidParameterError
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.atomic_write import write_whole
from attnviz.inputs.sample import sample

if TYPE_CHECKING:
    from attnviz.models.model import Model

FOLDER = ASSETS / "heads"
TENSORS = ("score", "low", "high", "chance", "at_work")
DIGITS = 4


@dataclass(frozen=True, eq=False)
class Stored:
    """The cards of a model, and what they are of."""

    cards: Cards
    texts: tuple[str, ...]
    is_sample: bool  # whether the texts are those of `inputs.sample`
    model: str  # fingerprint of its weights


def shipped(name: str) -> Stored | None:
    """What comes with a model: its cards over the sample, or over texts of its own language."""
    path = FOLDER / f"{name}.json"
    return read(path) if path.name in {one.name for one in FOLDER.glob("*.json")} else None


def write(path: Path, model: Model, texts: Sequence[str], cards: Cards) -> None:
    """Writes the cards of a model over texts. Errors: ModelError."""
    found, lost = cards.roles, cards.lost
    is_sample = tuple(texts) == sample()
    about: dict[str, Any] = {
        "model": fingerprint(model),
        "sample": texts_fingerprint(sample()) if is_sample else None,
        "texts": None if is_sample else list(texts),
        "queries": found.queries.tolist(),
        **{name: _rounded(getattr(found, name)) for name in TENSORS},
        "examples": [[[_plain(one) for one in head] for head in layer] for layer in cards.examples],
        "wakes": [[None if one is None else _plain(one) for one in layer] for layer in cards.wakes],
        "lost": None,
    }
    if lost is not None:
        about["lost"] = {name: _rounded(getattr(lost, name)) for name in ("moved", "low", "high")}
        about["lost"]["n_texts"] = lost.n_texts
        if lost.cost is not None:
            about["lost"]["cost"] = {name: _rounded(getattr(lost.cost, name)) for name in ("more", "low", "high")}
            about["lost"]["cost"]["base"] = round(lost.cost.base, DIGITS)
    lines = (
        f"{json.dumps(name)}:{json.dumps(about[name], separators=(',', ':'), ensure_ascii=False)}" for name in about
    )
    write_whole(path, ("{" + ",\n".join(lines) + "}\n").encode("utf-8", "replace"))


def read(path: Path) -> Stored:
    """What `write` wrote. Errors: OSError, and InvalidParameterError for a file of an older sample."""
    about = json.loads(path.read_text(encoding="utf-8"))
    if about["texts"] is None and about["sample"] != texts_fingerprint(sample()):
        raise InvalidParameterError(f"{path.name} is of other texts than the sample: write it anew")
    texts = sample() if about["texts"] is None else tuple(about["texts"])
    score, low, high, chance, at_work = (_tensor(about[name]) for name in TENSORS)
    found = roles.Roles(score, low, high, chance, at_work, torch.tensor(about["queries"]), len(texts))
    examples = tuple(tuple(tuple(Example(*one) for one in head) for head in layer) for layer in about["examples"])
    lost = about["lost"]
    if lost is not None:
        moved, low, high = (_tensor(lost[name]) for name in ("moved", "low", "high"))
        lost = Lost(moved, low, high, lost["n_texts"], _cost(lost.get("cost")))
    wakes = tuple(tuple(None if one is None else Example(*one) for one in layer) for layer in about.get("wakes", ()))
    return Stored(Cards(found, examples, lost, wakes), texts, about["texts"] is None, about["model"])


def _cost(about: dict[str, Any] | None) -> Cost | None:
    if about is None:
        return None
    return Cost(about["base"], *(_tensor(about[name]) for name in ("more", "low", "high")))


def fingerprint(model: Model) -> str:
    """A name for the weights: equal for equal ones."""
    digest = hashlib.sha256()
    for name, values in sorted(model.transformer.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def texts_fingerprint(texts: Sequence[str]) -> str:
    """The same for texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _plain(one: Example) -> tuple[float, ...]:
    return one.text, one.rank, round(one.share, DIGITS), one.query, one.key, round(one.weight, DIGITS)


def _rounded(values: Tensor) -> Any:
    def plain(one: Any) -> Any:
        if isinstance(one, list):
            return [plain(part) for part in one]
        return None if math.isnan(one) else round(one, DIGITS)

    return plain(values.tolist())


def _tensor(values: Any) -> Tensor:
    def number(one: Any) -> Any:
        return [number(part) for part in one] if isinstance(one, list) else math.nan if one is None else one

    return torch.tensor(number(values))
