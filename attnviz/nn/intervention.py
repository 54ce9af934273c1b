"""A change to a forward pass, described as data: the model itself is shared by everyone and never touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.nn.checks import check_bool, check_finite, check_index, check_temperature
from attnviz.nn.masks import Mask
from attnviz.nn.positions import described

Place = Literal["all", "encoder", "decoder", "cross"]
MaskName = Literal["causal", "none"] | tuple[Literal["window"], int] | None
Cell = tuple[int | None, int | None, int, int]  # layer, head (None for all), query, key
HeadFactor = tuple[int | None, int, float]  # layer (None for all), head, factor
PLACES: tuple[Place, ...] = get_args(Place)


@dataclass(frozen=True)
class Intervention:
    """What to do differently while the model runs. The default changes nothing.

    Arguments
        temperature: τ > 0 in softmax(scores / τ); below 1 sharpens attention, above 1 evens it out.
        scaled: False leaves out the factor 1/√d of the scores.
        mask: None for the model's own, "causal", "none" (padding stays), or ("window", n).
        blocked: cells that may not be attended to: (query, key) in every head, or (layer, head, query, key).
        head_scale: factor on a head's output: {head: factor} in every layer, or {(layer, head): factor};
            0 switches the head off, and factors on the same head multiply.
        positions: None for the model's own, or one of `positions.SCHEMES`. Absolute encodings are added at the
            input, whatever `layers` says.
        layers: the layers to act in, counted from 0; None for every layer.
        where: "all", or only the "encoder", the "decoder" (its self-attention) or the "cross"-attention. A
            blocked cell has to exist wherever it acts.

    Errors: InvalidParameterError with the offending number. Hashable, so it can key a cache.
    """

    temperature: float = 1.0
    scaled: bool = True
    mask: MaskName = None
    blocked: tuple[Cell, ...] = ()
    head_scale: tuple[HeadFactor, ...] = ()
    positions: str | None = None
    layers: tuple[int, ...] | None = None
    where: Place = "all"

    if TYPE_CHECKING:  # what may be given; the fields hold it in one form

        def __init__(
            self,
            temperature: float = 1.0,
            scaled: bool = True,
            mask: MaskName = None,
            blocked: Iterable[tuple[int, int] | Cell | Sequence[int]] = (),
            head_scale: Mapping[int, float] | Mapping[tuple[int, int], float] | Iterable[HeadFactor] = (),
            positions: str | None = None,
            layers: int | Iterable[int] | None = None,
            where: Place = "all",
        ) -> None: ...

    def __post_init__(self) -> None:
        _set(self, "temperature", check_temperature(self.temperature))
        check_bool("scaled", self.scaled)
        _set(self, "mask", _check_mask(self.mask))
        _set(self, "blocked", tuple(sorted({_cell(cell) for cell in _items("blocked", self.blocked)}, key=str)))
        _set(self, "head_scale", _head_factors(self.head_scale))
        if self.positions is not None:
            described(self.positions)
        if self.where not in PLACES:
            raise InvalidParameterError(f"where={self.where!r} is not one of {', '.join(PLACES)}")
        if self.layers is not None:
            given: Any = self.layers  # what was given: a number, or a list of them
            layers = (given,) if isinstance(given, int) else _items("layers", given)
            _set(self, "layers", tuple(sorted({check_index("layer", layer) for layer in layers})))

    @property
    def changes_nothing(self) -> bool:
        """True for an intervention that leaves the model's run as it is."""
        idle = Intervention(layers=self.layers, where=self.where)
        return self == idle or (self.layers == () and self.positions is None)

    def at(self, layer: int, place: str) -> Intervention | None:
        """What is left of it in one layer's attention ("encoder", "decoder" or "cross"); None if nothing."""
        if self.where not in ("all", place) or (self.layers is not None and layer not in self.layers):
            return None
        here = copy(self)  # and not `replace`, which would check thousands of painted cells again for every layer
        _set(here, "blocked", tuple((None, head, q, k) for at, head, q, k in self.blocked if at in (None, layer)))
        _set(here, "head_scale", tuple((None, head, f) for at, head, f in self.head_scale if at in (None, layer)))
        _set(here, "mask", None if place == "cross" else self.mask)
        _set(here, "layers", None)
        _set(here, "where", "all")
        return None if here.changes_nothing else here

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from the default, as plain JSON values."""
        default = Intervention()
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != getattr(default, field.name)
        }


def changed_mask(mask: Mask, intervention: Intervention) -> Mask:
    """The mask under an intervention that is already narrowed to one layer (`Intervention.at`)."""
    if intervention.mask is not None:
        mask = mask.replaced(intervention.mask)
    cells = tuple((head, query, key) for _, head, query, key in intervention.blocked)
    return replace(mask, blocked=mask.blocked + cells) if cells else mask


def head_factors(intervention: Intervention, n_heads: int, like: Tensor) -> Tensor | None:
    """The factor on each head's output, (n_heads,), on the device and in the dtype of `like`; None if all are 1.

    Errors: InvalidParameterError for a head that is not there.
    """
    if not intervention.head_scale:
        return None
    scale = like.new_ones(n_heads)
    for _, head, factor in intervention.head_scale:
        if head >= n_heads:
            raise InvalidParameterError(f"head_scale names head {head} of {n_heads} (from 0)")
        scale[head] *= factor
    return scale


def _set(self: Intervention, name: str, value: object) -> None:
    object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else


def _check_mask(mask: Any) -> MaskName:
    if mask is None or mask in ("causal", "none"):
        return mask
    if isinstance(mask, tuple | list) and len(mask) == 2 and mask[0] == "window":
        return ("window", check_index("window size", mask[1]))
    raise InvalidParameterError(f'mask={mask!r} is not None, "causal", "none" or ("window", n)')


def _items(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidParameterError(f"{name}={given!r} is not a list")
    return list(given)


def _cell(cell: Any) -> Cell:
    parts = tuple(_items("blocked cell", cell))
    if len(parts) == 2:
        parts = (None, None, *parts)
    if len(parts) != 4:
        raise InvalidParameterError(f"blocked cell {parts} is neither (query, key) nor (layer, head, query, key)")
    layer, head = (None if part is None else check_index("blocked layer or head", part) for part in parts[:2])
    return layer, head, check_index("blocked query", parts[2]), check_index("blocked key", parts[3])


def _head_factors(given: Any) -> tuple[HeadFactor, ...]:
    if isinstance(given, Mapping):
        given = [(*key, f) if isinstance(key, tuple) else (None, key, f) for key, f in given.items()]
    factors = []
    for item in _items("head_scale", given):
        parts = tuple(_items("head_scale entry", item))
        if len(parts) != 3:
            raise InvalidParameterError(f"head_scale entry {parts} is not (layer or None, head, factor)")
        layer, head, factor = parts
        check_finite(f"head_scale factor of head {head!r}", factor)
        place = None if layer is None else check_index("head_scale layer", layer)
        head = check_index("head_scale head", head)
        if factor != 1:  # 1 changes nothing
            factors.append((place, head, float(factor)))
    return tuple(sorted(factors, key=str))
