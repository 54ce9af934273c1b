"""A program as the weights of a transformer: each value of each expression is a direction of the residual stream.

    select, aggregate   an attention head: W_Q says which keys a query's value asks for, W_K says which key this is;
                        a beginning-of-text token is chosen where no key is
    count               the same, with that token always among the chosen: its weight is 1 / (1 + count)
    apply               hidden units of a feed-forward network, one for each combination of values, by ReLU

There are no norms: a head reads what was written. Source: Lindner et al. 2023, "Tracr", section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.models.programs.language import (
    Aggregate,
    Apply,
    Count,
    Expression,
    Indices,
    Otherwise,
    Program,
    Selector,
    Tokens,
    Value,
    combined,
    place,
)
from attnviz.nn.config import ModelConfig
from attnviz.nn.transformer import Transformer

START = "start of text"  # the block of the one direction that marks the first token
SURE = 24.0  # by so much a score is above another that must not count: e^−24 = 4e-11 of its weight
NEXT = 16.0  # by so much it is above that of a key that is chosen too, but stands further away
SAID = 10.0  # logit of what the program says; of nothing, half as much
MOST_PARAMETERS = 5_000_000  # 20 MB


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program as a transformer, with what each part of it is for."""

    program: Program
    transformer: Transformer
    blocks: dict[str | Expression, slice]  # the directions of the residual stream that hold an expression's values
    heads: dict[tuple[int, int], Selector]  # layer, head → what it selects; the others are not used

    @property
    def roles(self) -> dict[tuple[int, int], str]:
        """What the heads are, as far as the program says it."""
        roles = self.program.roles
        return {head: roles[selector] for head, selector in self.heads.items() if selector in roles}


@dataclass
class _Layer:
    """What one layer computes."""

    heads: list[Aggregate | Count] = field(default_factory=list)
    functions: list[Apply | Otherwise | Count] = field(default_factory=list)


def compiled(program: Program, ids: dict[str, int], vocab_size: int, start: int, nothing: int) -> Compiled:
    """A transformer that says at each letter what the program means there.

    Arguments
        ids: the tokens' ids, of the letters and of what the program says.
        start: the id of the token that stands before every text.
        nothing: the id of what is said where the program has no value.

    Errors: InvalidParameterError for a program that is too large, or that says what is no token.
    """
    order = list(_in_order(program.output, {}))
    if not any(isinstance(expression, Indices) for expression in order):
        order.insert(0, Indices(program.longest))  # by which the nearer of several keys is known
    layers = _layers(order)
    blocks, width = _blocks(order)
    hidden = max([sum(_units(function) for function in layer.functions) for layer in layers], default=0)
    heads = [head for layer in layers for head in layer.heads]
    head_width = max([_head_width(head) for head in heads], default=1)
    n_heads = max(max(len(layer.heads) for layer in layers), math.ceil(width / head_width), 1)
    config = ModelConfig(
        kind="decoder" if program.causal else "encoder",
        vocab_size=vocab_size,
        max_len=program.longest + 1,
        d_model=n_heads * head_width,
        n_heads=n_heads,
        n_layers=len(layers),
        d_ff=hidden,
        activation="relu",
        norm_first=True,
        norms=False,
        positions="learned",
        head="lm",
        tied=False,
    )
    if config.n_parameters > MOST_PARAMETERS:
        raise InvalidParameterError(
            f"this program takes {config.n_parameters:,} weights: {width:,} directions of the residual stream and "
            f"{hidden:,} hidden units in {len(layers)} layers; at most {MOST_PARAMETERS:,} are written"
        )
    transformer = Transformer(config)
    writer = _Writer(transformer, blocks, program.longest)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.zero_()
        writer.embeddings(order, ids, start)
        for number, layer in enumerate(layers):
            writer.layer(number, layer)
        writer.output(program.output, ids, nothing)
    return Compiled(program, transformer.eval().requires_grad_(False), blocks, writer.heads)


# ---- what is computed when -----------------------------------------------------------------------------


def _in_order(expression: Expression, seen: dict[Expression, None]) -> Iterator[Expression]:
    """Every expression once, what it reads before it."""
    if expression in seen:
        return
    seen[expression] = None
    for source in sources(expression):
        yield from _in_order(source, seen)
    yield expression


def sources(expression: Expression) -> tuple[Expression, ...]:
    """What an expression reads."""
    match expression:
        case Apply():
            return expression.sources
        case Otherwise():
            return (expression.source,)
        case Aggregate() | Count():
            values = (expression.values,) if isinstance(expression, Aggregate) else ()
            conditions = expression.selector.conditions
            return (*values, *(side for one in conditions for side in (one.keys, one.queries)))
    return ()


def _layers(order: list[Expression]) -> list[_Layer]:
    """The layers, each expression in the first that can have it: attention reads what stood before its layer,
    the feed-forward network that and what attention wrote. Half steps: 2 l before layer l, 2 l + 1 between."""
    known: dict[Expression, int] = {}
    layers: list[_Layer] = [_Layer()]
    for expression in order:
        ready = max((known[source] for source in sources(expression)), default=0)
        match expression:
            case Tokens() | Indices():
                known[expression] = 0
                continue
            case Apply() | Otherwise():
                layer, known[expression] = ready // 2, 2 * (ready // 2) + 2
            case Aggregate():
                layer, known[expression] = (ready + 1) // 2, 2 * ((ready + 1) // 2) + 1
            case Count():
                layer, known[expression] = (ready + 1) // 2, 2 * ((ready + 1) // 2) + 2
        while len(layers) <= layer:
            layers.append(_Layer())
        if isinstance(expression, Aggregate | Count):
            layers[layer].heads.append(expression)
        if isinstance(expression, Apply | Otherwise | Count):
            layers[layer].functions.append(expression)
    return layers


def _blocks(order: list[Expression]) -> tuple[dict[str | Expression, slice], int]:
    """Directions of the residual stream: one for the start, then one for each value; a count's weight stands last."""
    blocks: dict[str | Expression, slice] = {START: slice(0, 1)}
    width = 1
    for expression in order:
        size = len(expression.domain) + isinstance(expression, Count)
        blocks[expression] = slice(width, width + size)
        width += size
    return blocks, width


def _units(function: Apply | Otherwise | Count) -> int:
    """Hidden units that a function takes."""
    match function:
        case Apply():
            return math.prod(len(source.domain) for source in function.sources)
        case Otherwise():
            return len(function.source.domain) + 1
        case Count():
            return 2 * function.longest + 2


def _head_width(head: Aggregate | Count) -> int:
    asked = sum(len(condition.keys.domain) for condition in head.selector.conditions)
    return max(asked + 2, len(head.domain))  # the start and the place in the text beside what is asked


# ---- the weights -----------------------------------------------------------------------------------------


class _Writer:
    """Writes a transformer's weights, all of them 0 before."""

    def __init__(self, transformer: Transformer, blocks: dict[str | Expression, slice], longest: int) -> None:
        self.transformer, self.blocks, self.longest = transformer, blocks, longest
        self.heads: dict[tuple[int, int], Selector] = {}

    def at(self, expression: Expression, number: int) -> int:
        """The direction of one value of an expression."""
        start: int = self.blocks[expression].start
        return start + number

    def embeddings(self, order: list[Expression], ids: dict[str, int], start: int) -> None:
        """A letter says which it is, a position says where it is; the first token says that it is the start."""
        tokens, positions = (self.transformer.embed[name].weight for name in ("tokens", "positions"))
        assert isinstance(tokens, Tensor) and isinstance(positions, Tensor)
        tokens[start, 0] = 1.0
        for expression in order:
            for number, value in enumerate(expression.domain):
                if isinstance(expression, Tokens):
                    tokens[ids[str(value)], self.at(expression, number)] = 1.0
                if isinstance(expression, Indices):
                    positions[number + 1, self.at(expression, number)] = 1.0  # the start stands at position 0

    def layer(self, number: int, layer: _Layer) -> None:
        """A layer's heads and the units of its feed-forward network."""
        stack: Any = self.transformer.decoder if self.transformer.encoder is None else self.transformer.encoder
        weights = stack["layers"][number]
        for head, expression in enumerate(layer.heads):
            self.heads[number, head] = expression.selector
            self._head(weights.self_attn, head, expression)
        unit = 0
        for function in layer.functions:
            match function:
                case Apply():
                    self._apply(weights, unit, function)
                case Otherwise():
                    self._otherwise(weights, unit, function)
                case Count():
                    self._count(weights, unit, function)
            unit += _units(function)

    def _head(self, attention: Any, head: int, expression: Aggregate | Count) -> None:
        """One head. A score is the number of conditions that hold, times `step`; see the module's top."""
        c, d = self.transformer.config.d_model, self.transformer.config.head_dim
        weight, bias, out = attention.in_proj_weight, attention.in_proj_bias, attention.out_proj.weight
        selector, counts = expression.selector, isinstance(expression, Count)
        near = 0.0 if counts else NEXT
        step = math.sqrt(d) * 2 * (SURE + near * self.longest)  # √d: the scores are divided by it
        query, key, value = (part * c + head * d for part in range(3))  # the head's first rows
        column = 0
        for condition in selector.conditions:
            for number, wanted in enumerate(condition.keys.domain):
                weight[key + column, self.at(condition.keys, number)] = 1.0
                for asking, value_of_query in enumerate(condition.queries.domain):
                    if condition.holds(wanted, value_of_query):
                        weight[query + column, self.at(condition.queries, asking)] = step
                column += 1
        bias[query + column] = step * (len(selector.conditions) - (0.0 if counts else 0.5))
        weight[key + column, 0] = 1.0  # the start
        if near:
            bias[query + column + 1] = math.sqrt(d) * (near if selector.prefer == "last" else -near)
            self._places(weight[key + column + 1])
        if isinstance(expression, Count):
            weight[value, 0] = 1.0
            out[self.blocks[expression].stop - 1, head * d] = 1.0
            return
        for number in range(len(expression.domain)):
            weight[value + number, self.at(expression.values, number)] = 1.0
            out[self.at(expression, number), head * d + number] = 1.0

    def _places(self, row: Tensor) -> None:
        """The place in the text as a number, read from the positions."""
        indices = next(one for one in self.blocks if isinstance(one, Indices))
        for number in range(self.longest):
            row[self.at(indices, number)] = float(number)

    def _apply(self, layer: Any, unit: int, function: Apply) -> None:
        """A unit for each combination of values, 1 where all are there: ReLU(sum − (how many − 1))."""
        first, bias, second = _feed_forward(layer)
        for number, values in enumerate(combined(function.sources), start=unit):
            for source, value in zip(function.sources, values, strict=True):
                first[number, self.at(source, place(source.domain, value))] = 1.0
            bias[number] = 1.0 - len(values)
            second[self.at(function, place(function.domain, function.function(*values))), number] = 1.0

    def _otherwise(self, layer: Any, unit: int, function: Otherwise) -> None:
        """Every value as it is, and 1 − all of them for the default; never at the start."""
        first, bias, second = _feed_forward(layer)
        n = len(function.source.domain)
        for number, value in enumerate(function.source.domain):
            first[unit + number, self.at(function.source, number)] = 1.0
            second[self.at(function, place(function.domain, value)), unit + number] = 1.0
            first[unit + n, self.at(function.source, number)] = -1.0
        bias[unit + n], first[unit + n, 0] = 1.0, -1.0
        second[self.at(function, place(function.domain, function.default)), unit + n] = 1.0

    def _count(self, layer: Any, unit: int, count: Count) -> None:
        """Steps at the middles between 1 / (1 + n) and 1 / (2 + n), each of two units; a count is where one ends."""
        first, bias, second = _feed_forward(layer)
        weight = self.blocks[count].stop - 1
        steep = 4.0 * (count.longest + 1) * (count.longest + 2)
        for n in range(count.longest + 1):
            middle = (1 / (1 + n) + 1 / (2 + n)) / 2
            for half, number in ((0.5, unit + 2 * n), (-0.5, unit + 2 * n + 1)):
                first[number, weight], bias[number] = steep, half - steep * middle
                first[number, 0] = -2 * steep  # the start counts nothing
                second[self.at(count, n), number] = 2 * half
                if n < count.longest:
                    second[self.at(count, n + 1), number] = -2 * half

    def output(self, expression: Expression, ids: dict[str, int], nothing: int) -> None:
        """The values that the program says, as logits of their tokens."""
        head: Any = self.transformer.head
        for number, value in enumerate(expression.domain):
            said = shown(value)
            if said not in ids:
                raise InvalidParameterError(f"the program says {said!r}, which is not one of its tokens")
            head["out"].weight[ids[said], self.at(expression, number)] = SAID
        head["out"].bias[nothing] = SAID / 2


def shown(value: Value) -> str:
    """A value as the model says it: truths are “T” and “F”."""
    if isinstance(value, bool):
        return "T" if value else "F"
    return str(value)


def _feed_forward(layer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """W_1 (F, C), its bias (F,) and W_2 (C, F)."""
    return layer.linear1.weight, layer.linear1.bias, layer.linear2.weight
