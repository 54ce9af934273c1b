"""Attention in a model's own code, watched while it runs: for architectures that let nobody replace theirs.

Every attention is a product of queries and keys, some factors and terms, a softmax, and a product with the values. Each
torch function that a model calls passes here (torch's TorchFunctionMode); what becomes of a product is followed until
the softmax, which is ours. What is not understood on the way is no attention to us, and the model is refused; what is
understood is compared with the model's own numbers when it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnviz.errors import ModelError
from attnviz.models import hf_refusals
from attnviz.models.hf_attention import FORBIDS, RUN, changed
from attnviz.models.hf_probe import Given
from attnviz.nn.attention import AttentionTrace


@dataclass(frozen=True)
class Score:
    """q·k · scale + bias, whatever its tensor's present shape: (B, H, T, S) or (B · H, T, S)."""

    q: Tensor  # (B, H, T, D)
    k: Tensor  # (B, H, S, D)
    scale: float = 1.0
    terms: tuple[Tensor, ...] = ()  # of the bias, each broadcastable to (B, H, T, S)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.q.shape[:3], self.k.shape[2])


@dataclass(frozen=True)
class Shares:
    """Weights that wait for their values."""

    number: int  # of the record


OTHER_NAMES = {
    "add": ("iadd", "radd"),
    "sub": ("isub", "subtract"),
    "mul": ("imul", "rmul", "multiply"),
    "div": ("truediv", "itruediv", "true_divide", "divide"),
}
PLAIN = {other: name for name, others in OTHER_NAMES.items() for other in others}

# What leaves a score a score, or weights weights: other numbers of the same, or another shape of it.
SAME = {"float", "to", "type", "type_as", "contiguous", "clone", "dropout", "view", "reshape", "unflatten", "flatten"}


class Watch(TorchFunctionMode):
    """While it is entered, the softmax of each attention is ours, and its record goes to the present run."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch  # texts in the run: how many of the B · H matrices belong to one
        self.known: dict[int, tuple[Tensor, Score | Shares]] = {}  # a tensor's id → itself, which keeps the id its own

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")  # "__add__", "add_" and "add" are one
        name = PLAIN.get(name, name)
        followed = self._followed(args[0]) if args else None
        if name == "softmax" and isinstance(followed, Score):
            return self._softmax(args[0], followed, kwargs.get("dtype"))
        if name == "softmax" and isinstance(args[0], Tensor) and args[0].dim() > 3:
            raise ModelError("its weights are no softmax of one product of queries and keys")
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.dim() in (3, 4):
            found = self._understood(name, followed, args, kwargs, out)
            if found is not None:
                self.known[id(out)] = (out, found)
            else:
                self.known.pop(id(out), None)  # changed in place by what is not understood
        return out

    def _followed(self, x: Any) -> Score | Shares | None:
        return self.known[id(x)][1] if id(x) in self.known else None

    def _understood(
        self, name: str, followed: Score | Shares | None, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor
    ) -> Score | Shares | None:
        """What a function's result is, if it is part of an attention."""
        if name in ("matmul", "bmm", "baddbmm", "einsum"):
            return self._product(name, args, kwargs)
        if name in SAME and followed is not None:
            return followed if self._keeps(followed, out) else None
        if name == "where":
            return self._where(*args)
        if isinstance(followed, Score):
            return self._changed_score(name, followed, args, kwargs)
        if name == "add" and len(args) > 1 and isinstance(self._followed(args[1]), Score):
            return self._changed_score(name, self._followed(args[1]), (args[1], args[0]), {})  # type: ignore[arg-type]
        return None

    def _keeps(self, followed: Score | Shares, out: Tensor) -> bool:
        shape = self._shape(followed)
        return out.shape == shape or out.shape == (shape[0] * shape[1], *shape[2:])

    def _shape(self, followed: Score | Shares) -> tuple[int, ...]:
        if isinstance(followed, Score):
            return followed.shape
        record = RUN.get().records[followed.number]
        return (*record.q.shape[:3], record.k.shape[2])

    def _four(self, x: Tensor) -> Tensor:
        """(B · H, T, S) → (B, H, T, S)."""
        if x.dim() == 4:
            return x
        lead = (self.batch, -1) if x.shape[0] % self.batch == 0 and x.shape[0] > 1 else (1, x.shape[0])
        return x.unflatten(0, lead)

    # ---- products ----

    def _product(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Score | None:
        """Of queries and keys a score; of weights and values the end of a record."""
        if name == "einsum":
            equation, *operands = args
            if len(operands) == 1 and isinstance(operands[0], list | tuple):
                operands = list(operands[0])
            pair = _as_product(equation, operands) if isinstance(equation, str) and len(operands) == 2 else None
            if pair is None:
                return None
            first, second, original = pair
        elif name == "baddbmm":
            first, second = args[1:] if len(args) > 2 else (kwargs.get("batch1"), kwargs.get("batch2"))
            original = first
        elif len(args) > 1:
            first, second, original = args[0], args[1], args[0]
        else:
            return None
        if not (isinstance(first, Tensor) and isinstance(second, Tensor)) or first.dim() != second.dim():
            return None
        if first.dim() not in (3, 4):
            return None
        shares = self._followed(original)
        if isinstance(shares, Shares):
            self._values(shares, self._four(second))
            return None
        q, k = self._four(first), self._four(second).mT
        if k.shape[1] == 1:  # one for all heads
            k = k.expand(-1, q.shape[1], -1, -1)
        if q.shape[:2] != k.shape[:2] or q.shape[0] != self.batch:
            return None
        if name != "baddbmm":
            return Score(q, k)
        beta, alpha = float(kwargs.get("beta", 1)), float(kwargs.get("alpha", 1))
        return Score(q, k, alpha, () if beta == 0 else (beta * self._four(args[0]),))

    def _values(self, shares: Shares, v: Tensor) -> None:
        run = RUN.get()
        record = run.records[shares.number]
        z = record.weights @ v
        if v.shape[1] == 1:
            v = v.expand(-1, z.shape[1], -1, -1)
        if record.head_scale is not None:
            z = z * record.head_scale[None, :, None, None]
        run.records[shares.number] = replace(record, v=v, z=z)

    # ---- what becomes of a score ----

    def _changed_score(self, name: str, score: Score, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Score | None:
        """A score after one function; None if it is not understood."""
        if name == "masked_fill":
            return self._filled(score, args[1], args[2] if len(args) > 2 else kwargs["value"])
        if len(args) < 2 or (kwargs and set(kwargs) != {"alpha"}):
            return None
        other = args[1]
        number = _number(other)
        if name in ("max", "maximum"):  # a floor under what a mask adds changes no weight
            return score if number is not None and number < FORBIDS else None
        if name in ("mul", "div") and number is not None:
            factor = number if name == "mul" else 1 / number
            return replace(score, scale=score.scale * factor, terms=tuple(term * factor for term in score.terms))
        if name == "mul" and isinstance(other, Tensor) and bool(((other == 0) | (other == 1)).all()):
            return self._filled(score, other == 0, -torch.inf)
        if name in ("add", "sub"):
            term = score.q.new_tensor(number) if number is not None else other
            sign = float(kwargs.get("alpha", 1)) * (1 if name == "add" else -1)
            return self._plus(score, term if sign == 1 else term * sign)
        return None

    def _plus(self, score: Score, term: Any) -> Score | None:
        if not isinstance(term, Tensor) or not term.is_floating_point():
            return None
        heads = score.shape[0] * score.shape[1]
        if term.dim() == 3 and term.shape[0] == heads > 1:
            term = term.unflatten(0, score.shape[:2])
        term = term.reshape((1,) * (4 - term.dim()) + tuple(term.shape))
        return replace(score, terms=(*score.terms, term))

    def _where(self, condition: Any, kept: Any = None, other: Any = None) -> Score | None:
        score = self._followed(kept)
        return self._filled(score, ~condition, other) if isinstance(score, Score) else None

    def _filled(self, score: Score, where: Tensor, value: Any) -> Score | None:
        """Without some cells: what is put in their place has to be as low as a mask is."""
        low = _number(value)
        if low is None or low > FORBIDS:
            return None
        nothing = torch.zeros_like(where, dtype=score.q.dtype)
        return self._plus(score, nothing.masked_fill(where.bool(), -torch.inf))

    # ---- the softmax ----

    def _softmax(self, given: Tensor, score: Score, dtype: torch.dtype | None) -> Tensor:
        run, caller = RUN.get(), 0
        seat = run.seat(caller)
        masks = [term for term in score.terms if bool((term <= FORBIDS).any())]
        mask, bias = run.mask(sum(masks[1:], masks[0]) if masks else None, score.q, score.k, seat)
        for term in score.terms:
            if not any(term is one for one in masks):
                bias = term if bias is None else bias + term
        options: dict[str, Any] = {"keep": mask, "bias": bias, "scale": score.scale}
        change = run.change(seat)
        if change is not None:
            options = changed(options, change, score.q)
        mask = options.pop("keep")
        trace = AttentionTrace(score.q, score.k, score.k, score.q, mask=mask, **options)
        run.record(trace, seat, caller)
        weights = trace.weights
        if trace.head_scale is not None:
            weights = weights * trace.head_scale[None, :, None, None]
        out = weights.expand(score.shape).reshape(given.shape).to(dtype or given.dtype)
        self.known = {id(out): (out, Shares(len(run.records) - 1))}  # what led here is not needed any more
        return out


def _number(x: Any) -> float | None:
    """A number, or a tensor that holds one."""
    if isinstance(x, Tensor) and x.numel() == 1:
        return float(x)
    return float(x) if isinstance(x, int | float) else None


def _as_product(equation: str, operands: list[Any]) -> tuple[Tensor, Tensor, Tensor] | None:
    """An einsum over one letter as a matrix product: ((B, H, T, D), (B, H, D, S), the first operand as it was)."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    first, _, second = inputs.partition(",")
    over = set(first) & set(second) - set(output)
    if len(output) != 4 or len(over) != 1 or not (len(first) == len(second) == 4):
        return None
    both = [letter for letter in output if letter in first and letter in second]
    rows = [letter for letter in output if letter in first and letter not in second]
    columns = [letter for letter in output if letter in second and letter not in first]
    if not (len(both) == 2 and len(rows) == len(columns) == 1):
        return None
    letter = over.pop()
    left, right = [*both, *rows, letter], [*both, letter, *columns]
    return (
        operands[0].permute([first.index(x) for x in left]),
        operands[1].permute([second.index(x) for x in right]),
        operands[0],
    )


def check_watched(model: Any, source: Given) -> None:
    """Errors: ModelError unless a model gives the same numbers while it is watched as it gives by itself.

    `source`: what it was run on before, of whose kind it is given something less even.
    """
    name, in_code = f"A model of the type {model.config.architecture}", hf_refusals.in_own_code(model.inner)
    ids = torch.arange(8)[None].remainder(model.config.vocab_size or 1)
    lengths = (8,)
    target = ids if model.config.kind == "encoder-decoder" else None
    noise = torch.Generator().manual_seed(0)
    if isinstance(source, Tensor) and not source.is_floating_point():
        source = ids
    elif isinstance(source, Tensor):
        source = torch.randn(source.shape, generator=noise)
    else:
        source = {name: torch.randn(x.shape, generator=noise) for name, x in source.items()}
    with torch.inference_mode():
        own = model.inner(**model.given(source, lengths, target, lengths))
        trace = model(source, target)
    states = own.decoder_hidden_states if trace.source is not None else own.hidden_states
    for ours, theirs in zip(trace.hidden_states, states, strict=True):
        if not torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max() + 1)):
            raise ModelError(f"{name} attends {in_code}, which gives other numbers when it is followed.")
    if any(layer.attention is None or layer.attention.v is layer.attention.k for layer in trace.layers):
        raise ModelError(f"{name} attends {in_code}, which does not show its values.")
