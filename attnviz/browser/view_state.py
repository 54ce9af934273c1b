"""What a visitor has chosen in the attention view, and its two written forms: a link and plain JSON.

The fields of `ViewState` are the one source: `frontend/core/contract.js`, which the browser reads, is written from them
by `python -m attnviz.browser.contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from attnviz.browser import view_values as values
from attnviz.browser.view_values import CELLS, FLAG, INDEX, INDICES, PAIR, PAIRS, RANGES, WORD, Kind, optional
from attnviz.nn.intervention import Intervention

SIDES = ("q", "k")
MASKS = ("model", "causal", "none", "window", "painted")
COLOURS = ("sqrt", "linear", "log")


def _field(default: Any, link: str, kind: Kind) -> Any:
    """A field with its default, its name in a link, and the kind of its values."""
    return field(default=default, metadata={"link": link, "kind": kind})


@dataclass(frozen=True)
class ViewState:
    """Selection and settings of the attention view; layers, heads and tokens count from 0.

    Errors: InvalidParameterError for a value out of range; `from_query` and `from_dict`, which read what
    strangers wrote, take the default instead.
    """

    layer: int = _field(0, "layer", INDEX)
    head: int = _field(0, "head", INDEX)
    queries: tuple[int, ...] = _field((), "q", INDICES)  # tokens locked as queries, in order, without repeats
    key: int | None = _field(None, "k", optional(INDEX))  # token locked as key
    # The side that was chosen: "q" where they look, "k" who looks at the key.
    side: str = _field("q", "side", values.one_of(*SIDES))
    temperature: float = _field(1.0, "temp", values.number(0.01, 100.0))
    scaled: bool = _field(True, "scaled", FLAG)  # False: scores without the factor 1/√d
    mask: str = _field("model", "mask", values.one_of(*MASKS))
    window: int = _field(4, "window", INDEX)  # |query - key| <= window; used when mask is "window"
    # (query, key) blocked beside the model's own mask; for "painted".
    painted: tuple[tuple[int, int], ...] = _field((), "cells", CELLS)
    threshold: float = _field(0.0, "min", values.number(0.0, 1.0))  # smallest weight drawn
    join: bool = _field(False, "join", FLAG)  # pieces merged into words
    hide: bool = _field(False, "hide", FLAG)  # special tokens hidden
    renormalise: bool = _field(False, "renorm", FLAG)  # rows add up to 1 again after hiding
    colour: str = _field("sqrt", "colour", values.one_of(*COLOURS))
    diff: bool = _field(False, "diff", FLAG)  # draw the change against the model as trained
    whole: bool = _field(False, "whole", FLAG)  # the same change runs through the whole model
    # Order of the grid: "layer" or a score ("entropy", "previous" …, or one that the page sent); and what colours it.
    sort: str = _field("layer", "sort", WORD)
    tint: str = _field("weights", "tint", WORD)
    heads: tuple[tuple[int, int], ...] = _field((), "heads", PAIRS)  # further (layer, head) pairs drawn in Lines
    # Lines lie (True), stand (False), or follow the script of the text (None).
    horizontal: bool | None = _field(None, "flat", optional(FLAG))
    sentences: tuple[int, int] | None = _field(None, "from", optional(PAIR))  # only from this sentence to that one
    # Queries [a, b) and keys [c, d) in the matrix.
    zoom: tuple[int, int, int, int] | None = _field(None, "zoom", optional(RANGES))

    def __post_init__(self) -> None:
        for name, (_, kind) in SCHEMA.items():
            object.__setattr__(self, name, kind.check(getattr(self, name)))

    def to_query(self) -> dict[str, str]:
        """Short names and values for a link; what has its default value is left out, and so is a painting too long."""
        changed = {name: getattr(self, name) for name in SCHEMA if getattr(self, name) != getattr(DEFAULT, name)}
        link = {SCHEMA[name][0]: SCHEMA[name][1].write(value) for name, value in changed.items()}
        if len(link.get("cells", "")) > values.LONGEST_PAINTING:
            del link["cells"]
        return link

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> ViewState:
        """Read a link's parameters (strings, or lists: the last counts); bad values become defaults."""
        values: dict[str, Any] = {}
        for name, (link, kind) in SCHEMA.items():
            value = query.get(link)
            if isinstance(value, (list, tuple)):
                value = value[-1] if value else None
            if isinstance(value, str):
                values |= _accepted(name, value, kind.read)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON for the browser: the fields by name, tuples as lists."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: object) -> ViewState:
        """Read the browser's JSON; a field that is missing, of a wrong type or range is the default."""
        if not isinstance(value, Mapping):
            return cls()
        values: dict[str, Any] = {}
        for name in SCHEMA.keys() & value.keys():
            values |= _accepted(name, value[name])
        return cls(**values)

    def to_intervention(self) -> Intervention:
        """What the temperature, the factor 1/√d and the mask ask of the whole model."""
        others: dict[str, Any] = {"model": None, "painted": None, "window": ("window", self.window)}
        blocked = self.painted if self.mask == "painted" else ()
        mask = others.get(self.mask, self.mask)
        return Intervention(temperature=self.temperature, scaled=self.scaled, mask=mask, blocked=blocked)

    def clamp(self, n_layers: int, n_heads: int, n_tokens: int, n_keys: int | None = None) -> ViewState:
        """The same choices without what this trace lacks; n_keys: source tokens in cross-attention."""
        keys = n_tokens if n_keys is None else n_keys
        zoom = self.zoom
        if zoom is not None and (zoom[1] > n_tokens or zoom[3] > keys):
            zoom = None
        return replace(
            self,
            layer=min(self.layer, max(0, n_layers - 1)),
            head=min(self.head, max(0, n_heads - 1)),
            queries=tuple(i for i in self.queries if i < n_tokens),
            key=self.key if self.key is not None and self.key < keys else None,
            painted=tuple(cell for cell in self.painted if cell[0] < n_tokens and cell[1] < keys),
            heads=tuple(pair for pair in self.heads if pair[0] < n_layers and pair[1] < n_heads),
            zoom=zoom,
        )


def _accepted(name: str, value: Any, read: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The field with a value (of a link: once read); nothing, so that it keeps its default, if that is not legal."""
    try:
        return {name: SCHEMA[name][1].check(value if read is None else read(value))}
    except (ValueError, KeyError):
        return {}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


# Each field's name in a link, and its kind.
SCHEMA: dict[str, tuple[str, Kind]] = {
    one.name: (one.metadata["link"], one.metadata["kind"]) for one in fields(ViewState)
}
DEFAULT = ViewState()
