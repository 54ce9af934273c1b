"""What a model is made of: its parts with their real tensors, in the order in which numbers flow through them.

    Anatomy ─ columns (one stack each: encoder, decoder) ─ blocks (embeddings, layers, output) ─ parts ─ tensors

Nothing is worked out by formula: parts are the model's parameters, sorted, and so they sum to the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, cast

from torch import nn

from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_heads import CLASSIFICATION, LM, REPLACED
from attnviz.models.hf_model import HFModel
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer

SECOND_HEADS = ("seq_relationship", "sop_classifier")  # as transformers calls those of pre-training
_IN_LAYER = re.compile(r"(.+?)\.(\d+)\.(.+)")  # the outermost number is the layer's
_KINDS = {  # the kind of a part of another library's model, by the first of these that its name holds
    "seq_relationship": "head",
    "sop_classifier": "head",
    "qa_outputs": "head",
    "norm": "norm",
    "ln": "norm",
    "cross": "cross",
    "encdec": "cross",
    "encoder_attn": "cross",
    "multihead": "cross",
    "attn": "attention",
    "attention": "attention",
    "embed": "embedding",
    "wte": "embedding",
    "wpe": "embedding",
    "shared": "embedding",
    "tokens": "embedding",
    "rnn": "recurrence",
    "linear": "feed-forward",
    "mlp": "feed-forward",
    "dense": "feed-forward",
    "fc": "feed-forward",
    "ff": "feed-forward",
    "intermediate": "feed-forward",
    "output": "feed-forward",
    "head": "head",
    "classifier": "head",
    "score": "head",
    "out": "head",
    "bias": "head",
}


@dataclass(frozen=True)
class Weights:
    """One tensor of parameters."""

    name: str  # in its part
    shape: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many numbers it holds."""
        n = 1
        for size in self.shape:
            n *= size
        return n


@dataclass(frozen=True)
class Part:
    """One step on the way: what it is called, and its tensors."""

    title: str
    kind: str  # "embedding", "attention", "cross", "recurrence", "feed-forward", "norm", "head" or "other"
    gives: tuple[str | int, ...]  # the shape that comes out for one text, T (or S) its tokens; () if not known
    weights: tuple[Weights, ...]

    @property
    def n(self) -> int:
        """Parameters of it, once."""
        return sum(x.n for x in self.weights)


@dataclass(frozen=True)
class Block:
    """Parts that follow each other, a number of times over."""

    title: str
    times: int
    parts: tuple[Part, ...]
    around: tuple[tuple[int, int], ...] = ()  # residual connections: past which parts, from the first to the last
    layers: bool = False

    @property
    def n(self) -> int:
        """Parameters of all repetitions."""
        return self.times * sum(part.n for part in self.parts)


@dataclass(frozen=True)
class Column:
    """One stack, from what it reads to what it gives."""

    title: str
    reads: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Anatomy:
    """A model, taken apart."""

    columns: tuple[Column, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Layers of each stack."""
        return tuple(sum(block.times for block in column.blocks if block.layers) for column in self.columns)

    @property
    def n(self) -> int:
        """All parameters, each counted once."""
        return sum(block.n for column in self.columns for block in column.blocks)


def anatomy(model: Transformer) -> Anatomy:
    """The parts of a model; it may be one on torch's meta device, which takes no memory."""
    return _foreign(model, model.config) if isinstance(model.config, HFConfig) else _own(model)


# ---- our own ---------------------------------------------------------------------------------------------


def _own(model: Transformer) -> Anatomy:
    config = model.config
    columns = []
    for place in ("encoder", "decoder"):
        stack = cast("nn.ModuleDict | None", getattr(model, place))
        if stack is None:
            continue
        alone = config.kind != "encoder-decoder"
        first = _embeddings(model, new=alone or place == "encoder")
        layers = _layers(stack, config, crossed=not alone and place == "decoder")
        last = alone or place == "decoder"
        blocks = [first, *layers, *_output(model, stack, speaks=last)]
        reads = "an image" if config.channels else "token ids"
        columns.append(Column(place.capitalize(), reads, tuple(blocks)))
    return Anatomy(_lettered(columns))


def _lettered(columns: list[Column]) -> tuple[Column, ...]:
    """The tokens of an encoder beside a decoder are S, not T."""
    if len(columns) == 1:
        return tuple(columns)

    def source(part: Part) -> Part:
        return replace(part, gives=tuple("S" if size == "T" else size for size in part.gives))

    first = [replace(block, parts=tuple(map(source, block.parts))) for block in columns[0].blocks]
    return (replace(columns[0], blocks=tuple(first)), *columns[1:])


def _embeddings(model: Transformer, *, new: bool) -> Block:
    """`new`: these are their own, not those of the other stack again."""
    config, names = (
        model.config,
        {
            "patches": "Patches",
            "special": "Class token, put before them",
            "tokens": "Tokens",
            "positions": "Positions, added",
            "types": "Segments, added",
            "norm": "LayerNorm",
        },
    )
    parts = []
    for name, title in names.items():
        if name in model.embed:
            tensors = _tensors(model.embed[name]) if new else ()
            n_tokens = f"(T − {config.n_special})" if name == "patches" else "T"  # the special ones come after
            parts.append(Part(title, "norm" if name == "norm" else "embedding", (n_tokens, config.d_model), tensors))
    if config.scheme.table is not None:
        name = f"Positions, added: {config.scheme.label}"
        parts.insert(1, Part(name, "other", ("T", config.d_model), ()))
    return Block("Embeddings" if new else "The same embeddings", 1, tuple(parts))


def _layers(stack: nn.ModuleDict, config: ModelConfig, *, crossed: bool) -> list[Block]:
    """The layers, those of the same shapes as one block."""
    blocks: list[tuple[tuple[Part, ...], tuple[tuple[int, int], ...]]] = []
    layer: Any  # an encoder or a decoder layer
    for layer in cast(nn.ModuleList, stack["layers"]):
        sublayers = [Part("Self-attention", "attention", ("T", config.d_model), _tensors(layer.self_attn))]
        if crossed:
            sublayers.append(Part("Cross-attention", "cross", ("T", config.d_model), _tensors(layer.multihead_attn)))
        if config.d_ff:
            both = _tensors(layer.linear1, "linear1.") + _tensors(layer.linear2, "linear2.")
            sublayers.append(Part("Feed-forward", "feed-forward", ("T", config.d_model), both))
        parts: list[Part] = []
        around = []
        for i, part in enumerate(sublayers, 1):
            pair = [part]
            if config.norms:
                norm = Part("LayerNorm", "norm", ("T", config.d_model), _tensors(getattr(layer, f"norm{i}")))
                pair = [norm, part] if config.norm_first else [part, norm]
            last = len(parts) + (len(pair) - 1 if config.norm_first else 0)
            around.append((len(parts), last))
            parts += pair
        blocks.append((tuple(parts), tuple(around)))
    return _grouped(blocks)


def _grouped(layers: list[tuple[tuple[Part, ...], tuple[tuple[int, int], ...]]]) -> list[Block]:
    """Layers that follow each other with the same shapes become one block."""
    blocks, at = [], 0
    for (parts, around), same in groupby(layers):
        times = len(list(same))
        title = f"Layer {at}" if times == 1 else f"Layers {at} to {at + times - 1}"
        blocks.append(Block(title, times, parts, around, layers=True))
        at += times
    return blocks


def _output(model: Transformer, stack: nn.ModuleDict, *, speaks: bool) -> list[Block]:
    """What comes after the layers."""
    config, parts = model.config, []
    if config.final_norm:
        parts.append(Part("LayerNorm", "norm", ("T", config.d_model), _tensors(stack["norm"])))
    if speaks and model.head is not None:
        shared = {id(p) for p in model.embed.parameters()}
        if config.head_transform:
            both = _tensors(model.head["dense"], "dense.") + _tensors(model.head["norm"], "norm.")
            parts.append(Part("Dense and LayerNorm", "head", ("T", config.d_model), both))
        scores: tuple[str | int, ...] = ("T", config.vocab_size) if config.head == "lm" else (config.n_classes,)
        for name, title in (
            ("out", "A score per token" if config.head == "lm" else "Classes"),
            ("distilled", "Classes, from the distillation token"),
        ):
            if name in model.head:
                parts.append(Part(title, "head", scores, _tensors(model.head[name], without=shared)))
    return [Block("Output", 1, tuple(parts))] if parts else []


def _tensors(
    module: nn.Module, prefix: str = "", without: frozenset[int] | set[int] = frozenset()
) -> tuple[Weights, ...]:
    """A module's parameters; those with an id in `without` are counted elsewhere."""
    named = module.named_parameters()
    return tuple(Weights(prefix + name, tuple(x.shape)) for name, x in named if id(x) not in without)


# ---- another library's -------------------------------------------------------------------------------------


def _foreign(model: Transformer, config: HFConfig) -> Anatomy:
    """By the parameters' names, in their library's order: a numbered list is layers, the rest is before or after."""
    inner = model.inner if isinstance(model, HFModel) else model
    named = [(name, Weights(name, tuple(x.shape))) for name, x in inner.named_parameters()]
    both = config.kind == "encoder-decoder"
    columns = []
    for place in ("encoder", "decoder") if both else (config.kind,):
        in_stack = [(name, x) for name, x in named if not both or _place(name) == place]
        given = {"text": "token ids", "image": "an image", "sound": "a sound"}[config.reads]
        reads = "token ids" if both and place == "decoder" else given
        columns.append(Column(place.capitalize(), reads, tuple(_transformers_blocks(in_stack, config))))
    return Anatomy(_lettered(columns))


def _place(name: str) -> str:
    """The stack that a parameter of an encoder-decoder belongs to; what both share stands with the encoder."""
    return "decoder" if "decoder" in name or "head" in name or name == "bias" else "encoder"


def _transformers_blocks(named: list[tuple[str, Weights]], config: HFConfig) -> list[Block]:
    layers: dict[tuple[str, str], list[tuple[str, Weights]]] = {}
    before: list[tuple[str, Weights]] = []
    after: list[tuple[str, Weights]] = []
    for name, x in named:
        if match := _IN_LAYER.fullmatch(name):
            rest = match[3] if _kind(_title(match[3])) != "other" else f"{match[1].rpartition('.')[2]}.{match[3]}"
            layers.setdefault((match[1], match[2]), []).append((rest, x))
        else:
            early = "embed" in name or not (layers or _kind(name) in ("norm", "head"))
            (before if early else after).append((name, x))
    blocks = [Block("Embeddings", 1, _transformers_parts(before, config))] if before else []
    blocks += _grouped([(_transformers_parts(weights, config), ()) for weights in layers.values()])
    return [*blocks, *([Block("Output", 1, _transformers_parts(after, config))] if after else [])]


def _transformers_parts(named: list[tuple[str, Weights]], config: HFConfig) -> tuple[Part, ...]:
    """Neighbours of one module are one part, under the module's own name."""
    parts = []
    for title, group in groupby(named, key=lambda pair: _title(pair[0])):
        weights = tuple(Weights(name, x.shape) for name, x in group)
        kind = _kind(title)
        gives = _head_gives(title, config) if kind == "head" else ("T", config.d_model)
        parts.append(Part(title, kind, () if kind == "other" else gives, weights))
    return tuple(parts)


def _head_gives(title: str, config: HFConfig) -> tuple[str | int, ...]:
    """The shape of a head's numbers."""
    if config.second_head and title in SECOND_HEADS:
        return (len(config.second_classes),)
    if config.head == CLASSIFICATION:
        return (config.n_classes,)
    if config.head == REPLACED:
        return ("T",)
    return "T", config.vocab_size if config.head == LM else config.n_classes or config.d_model


def _title(name: str) -> str:
    """The module of a parameter, as its library calls it: "self_attn" of "self_attn.q_proj.weight"."""
    steps = name.split(".")[:-1] or [name]
    numbered = [i for i, step in enumerate(steps) if step.isdigit()]  # T5's layer.0.SelfAttention
    if numbered and numbered[-1] + 1 < len(steps):
        return ".".join(steps[: numbered[0] + 2])
    known = next((step for step in steps if _kind(step) != "other"), steps[-1])
    return known


def _kind(name: str) -> str:
    low = name.lower()
    return next((kind for part, kind in _KINDS.items() if part in low), "other")
