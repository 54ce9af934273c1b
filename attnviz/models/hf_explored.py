"""What a model of the transformers library is made of, found out by one run: sizes, layers and their places."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import ModelError
from attnviz.models import hf_refusals, hf_stream
from attnviz.models.hf_attention import RUN, Run, Seat
from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_exchange import exchange
from attnviz.models.hf_faults import one_sentence, part_at_fault
from attnviz.models.hf_heads import LM, SEVERAL, head_of, logits_of, n_classes, named_head, second_of
from attnviz.models.hf_probe import Given, patch_side, reads, text_number
from attnviz.nn.attention import AttentionTrace

MAX_TOKENS = 2048  # of a text, whatever the model could read
LENGTHS = ("max_position_embeddings", "n_positions", "max_target_positions", "max_seq_len", "max_sequence_length")
TABLES = ("position_embeddings", "embed_positions", "wpe")
WIDTHS = ("intermediate_size", "decoder_ffn_dim", "d_ff", "n_inner", "ffn_dim", "hidden_dim", "dff", "d_inner")
WHAT = {"text": "a text", "image": "an image", "sound": "a sound"}
XLNET_SEGMENTS = 3  # whose config names none
N_TARGET = 2  # tokens that a decoder is tried on
ENDS_WITH_TOKENS = {"yolos"}  # types whose special tokens stand after the patches too


def has_decoder(inner: Any) -> bool:
    """Whether a model is an encoder with a decoder: not so a classifier on the encoder of one."""
    takes = inspect.signature(inner.forward).parameters
    return bool(getattr(inner.config, "is_encoder_decoder", False)) and "decoder_input_ids" in takes


@dataclass(frozen=True)
class Explored:
    """What was found."""

    config: HFConfig
    seats: dict[int, list[Seat]]  # of each attention, in the order of its calls
    layers: dict[str, tuple[int, ...]]  # by place, the numbers of the layers that attend
    ends: dict[str, int]  # by place, the id of the module whose output is the last layer's
    around: dict[Seat, hf_stream.Around]  # what can be read around each attention
    blocks: dict[Seat, tuple[int, int]]  # the layer that each is in: its module's id, and which call of it


def explored(inner: Any, call: Callable[..., Any], source: Given) -> Explored | None:
    """What a model is made of, from a run of `call` on `source` (and a target of two tokens).

    From then on its layers' ends are kept in each run. None if no attention of it was seen. Errors: ModelError in one
    sentence.
    """
    given = inner.config
    name, both = f"A model of the type {given.model_type}", has_decoder(inner)
    n = source.shape[1] if isinstance(source, Tensor) else 0
    target: Any = torch.zeros(1, N_TARGET, dtype=torch.long) if both else None
    if both and named_head(type(inner).__name__) not in (None, LM):
        target = source  # these read the text again, and look for its end there
    if reads(inner) != "text":
        hf_refusals.check_even(name, given)
    run, base = Run(None), inner.base_model
    if named_head(type(inner).__name__) == SEVERAL:
        raise ModelError(f"{name} with a head of multiple choice reads several answers at once, not a text alone.")
    fails = f"does not run on {WHAT[reads(inner)]} alone{hf_refusals.needed_too(inner, reads(inner))}: it stops"
    outermost = [module for _, module, _ in _items(inner)]
    base.register_forward_hook(_remember_final)
    with one_sentence(name, fails, inner), _places_known(inner, run), hf_stream.followed(outermost, run) as streams:
        try:
            with torch.inference_mode():
                out = call(run, source, (n,), target, (N_TARGET if target is not source else n,))
        except ModelError as error:
            raise ModelError(f"{name} cannot be looked into{part_at_fault(error, inner)}: {error}.") from None
    if not run.records:
        return None
    if both and target is source:
        places = _places_by_mask(run.records)
    else:
        places = [_place(record, both) for record in run.records]
    states: dict[str, tuple[Tensor, ...]] = {
        place: getattr(out, f"{prefix}hidden_states", None) or ()
        for place, prefix in ({"decoder": "decoder_", "encoder": "encoder_"} if both else {places[-1]: ""}).items()
    }
    if not all(states.values()):
        raise ModelError(f"{name} does not give out its hidden states.")
    for place, found in states.items():
        hf_refusals.check_length(name, place, found)
    counts = {place: len(found) - 1 for place, found in states.items()}
    unseen = next((place for place in counts if place not in places), None)
    if unseen is not None:
        raise hf_refusals.hidden(inner, unseen)
    seats, layers = _seats(name, places, run, counts)
    _check_alike(name, run.records)
    ends = {}
    for place, n in counts.items():
        last = max((i for i, seat in enumerate(seats) if seat.place == place), default=None)
        if last is not None and layers[place][-1] == n - 1 and (block := run.blocks[last]) is not None:
            ends[place] = id(block[0])
    for module in inner.modules():
        if id(module) in ends.values():
            module.register_forward_hook(remember)
    kind = "encoder-decoder" if both else places[-1]
    attends = layers["decoder" if both else kind]
    whole = len(attends) == counts["decoder" if both else kind]
    config = _config(inner, kind, run.records, out, len(attends), () if whole else attends)
    if reads(inner) == "image":
        n = states["encoder" if both else places[-1]][-1].shape[1]
        config = _of_images(name, config, source, n, inner)
    if not both and (final := run.last.get(id(base))) is not None:
        config = replace(config, normed=torch.equal(final, states[places[-1]][-1]))
    around = dict(zip(seats, streams.results(), strict=True))
    hf_stream.keep([point for one in around.values() for point in (one.out, one.mid) if point is not None])
    config = replace(config, lacks=hf_stream.lacks(around))
    by_caller: dict[int, list[Seat]] = {}
    for caller, seat in zip(run.callers, seats, strict=True):
        by_caller.setdefault(caller, []).append(seat)
    return Explored(config, by_caller, layers, ends, around, _blocks(seats, run))


def _blocks(seats: tuple[Seat, ...], run: Run) -> dict[Seat, tuple[int, int]]:
    """The layer of each attention, whose stream can be exchanged from now on; cross-attention has its decoder's."""
    blocks: dict[Seat, tuple[int, int]] = {}
    calls: Counter[int] = Counter()
    modules = {id(block[0]): block[0] for block in run.blocks if block is not None}
    for module in modules.values():
        if exchange not in module._forward_pre_hooks.values():  # a tower shares its layers with the whole model
            module.register_forward_pre_hook(exchange, with_kwargs=True)
    for seat, block in zip(seats, run.blocks, strict=True):
        if block is not None and seat.place != "cross":
            blocks[seat] = id(block[0]), calls[id(block[0])]
            calls[id(block[0])] += 1
    return blocks


def _of_images(name: str, config: HFConfig, pixels: Given, n_tokens: int, inner: Any) -> HFConfig:
    """The config of a model of images, which knows their grid. Errors: ModelError if its tokens are none."""
    assert isinstance(pixels, Tensor)
    side, patch = pixels.shape[-1], patch_side(inner.config)
    n_patches = (side // patch) ** 2 if patch else 0
    if not n_patches or n_tokens < n_patches or side % patch or inner.config.model_type in ENDS_WITH_TOKENS:
        raise ModelError(
            f"{name} makes {n_tokens} tokens of a picture, which are no grid of patches after special tokens."
        )
    return replace(
        config,
        max_len=config.max_len if config.kind == "encoder-decoder" else n_tokens,
        image_size=side,
        patch_size=patch,
        channels=pixels.shape[1],
        special=n_tokens - n_patches,
    )


@contextmanager
def _places_known(inner: nn.Module, run: Run) -> Iterator[None]:
    """While it lasts, a run knows in which layer it is: an item of an outermost list of modules."""
    hooks = []
    for _, module, number in _items(inner):

        def begin(module: nn.Module, inputs: Any, number: int = number) -> None:
            run.around.append((module, number))

        def end(module: nn.Module, inputs: Any, output: Any) -> None:
            run.around.pop()

        hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _items(inner: nn.Module) -> Iterator[tuple[str, nn.Module, int]]:
    """What stands in the outermost lists of modules: path, module, number in its list; each module once."""
    seen: set[int] = set()
    outer: list[str] = []
    for path, module in inner.named_modules():
        if not isinstance(module, nn.ModuleList) or any(path.startswith(before + ".") for before in outer):
            continue
        outer.append(path)
        for number, item in enumerate(module):
            if id(item) not in seen:
                seen.add(id(item))
                yield f"{path}.{number}", item, number


def remember(module: nn.Module, inputs: Any, output: Any) -> None:
    """Keeps what a layer gave out, in the present run."""
    if run := RUN.get(None):
        run.last[id(module)] = hf_stream.first(output)


def _remember_final(module: nn.Module, inputs: Any, output: Any) -> None:
    """Keeps the states after the final norm, in the present run."""
    if (run := RUN.get(None)) and isinstance(final := getattr(output, "last_hidden_state", None), Tensor):
        run.last[id(module)] = final


def _place(record: AttentionTrace, both: bool) -> str:
    """Where an attention stands: an encoder reads more than the target's tokens."""
    queries, keys = record.q.shape[2], record.k.shape[2]
    if not both:
        return "decoder" if record.mask.causal else "encoder"
    return "encoder" if queries != N_TARGET else "decoder" if keys == N_TARGET else "cross"


def _places_by_mask(records: list[AttentionTrace]) -> list[str]:
    """Where each attention of an encoder-decoder stands, whose two texts are equally long: only a decoder is causal."""
    places: list[str] = []
    for record in records:
        decodes = "decoder" in places
        places.append("decoder" if record.mask.causal else "cross" if decodes else "encoder")
    return places


def _seats(
    name: str, places: list[str], run: Run, counts: dict[str, int]
) -> tuple[tuple[Seat, ...], dict[str, tuple[int, ...]]]:
    """Where each attention stands, and which layers attend. Errors: ModelError unless each layer's can be told."""
    layers: dict[str, tuple[int, ...]] = {}
    for place in dict.fromkeys(places):
        n = counts.get("decoder" if place == "cross" else place)
        numbers = tuple(range(places.count(place)))
        if n is None:
            raise ModelError(f"{name} has layers of several kinds ({place}).")
        if len(numbers) != n:  # some layers do something else, or attend more than once
            blocks = [block for block, at in zip(run.blocks, places, strict=True) if at == place]
            numbers = tuple(block[1] for block in blocks if block is not None)
            rising = list(numbers) == sorted(set(numbers)) and len(numbers) == places.count(place)
            if not rising or numbers[-1] >= n or place != places[-1] or len(layers) > 0:
                raise hf_refusals.uneven(name, place, places.count(place), n)
        layers[place] = numbers
    seen: dict[str, int] = {}
    seats = []
    for place in places:
        seats.append(Seat(place, seen.get(place, 0)))
        seen[place] = seen.get(place, 0) + 1
    return tuple(seats), layers


def _check_alike(name: str, records: list[AttentionTrace]) -> None:
    """Errors: ModelError unless all layers have the same number of heads."""
    found = sorted({record.q.shape[1] for record in records})
    if len(found) > 1:
        raise ModelError(f"{name} has layers of different numbers of heads ({', '.join(map(str, found))}).")


def _config(
    inner: Any, kind: str, records: list[AttentionTrace], out: Any, n: int, attends: tuple[int, ...]
) -> HFConfig:
    given = inner.config
    states = getattr(out, "hidden_states", None) or out.decoder_hidden_states
    head, logits = head_of(type(inner).__name__, out), logits_of(out)
    record = records[-1]
    heads = record.q.shape[1]
    return HFConfig(
        kind=kind,
        vocab_size=_rows(inner) if reads(inner) == "text" or kind == "encoder-decoder" else 0,
        max_len=_max_len(inner, states[0].shape[1]),
        d_model=states[0].shape[2],
        n_heads=heads,
        n_layers=n,
        d_ff=number(given, *WIDTHS) or 4 * states[0].shape[2] * hasattr(given, "n_inner"),  # GPT-2's default
        positions="own",
        activation="own",
        head=head,
        n_classes=n_classes(head, logits),
        architecture=given.model_type,
        kv_heads=record.kv_heads or heads,
        width=max(one.q.shape[3] for one in records),
        parameters=sum(p.numel() for p in inner.parameters()),
        start_id=_start(inner) if kind == "encoder-decoder" else None,
        segments=getattr(given, "type_vocab_size", XLNET_SEGMENTS) or 0,
        attends=attends,
        reads=reads(inner),
        second_head=second_of(out),
    )


def _start(inner: Any) -> int | None:
    """The token that a decoder begins with: what the config says, else what generation_config.json says.

    T5's padding where neither says it.
    """
    places = (inner.config, getattr(inner, "generation_config", None))
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    found = (getattr(place, name, None) for name in names for place in places)
    return next((start for start in found if isinstance(start, int)), None)


def number(given: Any, *names: str) -> int:
    """The first of these settings that is a number."""
    return next((x for name in names if isinstance(x := getattr(given, name, None), int)), 0)


def _rows(inner: Any) -> int:
    """Tokens that the model knows: the config's number, or the rows of its table where the config does not say."""
    known = text_number(inner.config, "vocab_size")
    table = None if known else inner.get_input_embeddings()
    return table.num_embeddings if isinstance(table, nn.Embedding) else known


def _max_len(inner: Any, read: int) -> int:
    """Tokens that the model reads at most."""
    given = inner.config
    if not text_number(given, "vocab_size"):
        return read  # an image's
    n = next((x for name in LENGTHS if (x := text_number(given, name)) > 0), MAX_TOKENS)
    if getattr(given, "attention_type", "") == "block_sparse":  # BigBird's: up to here every token sees every other
        n = min(n, (5 + 2 * number(given, "num_random_blocks")) * number(given, "block_size"))
    for name, module in inner.named_modules():  # a table of positions, whose first rows no token may have
        if isinstance(module, nn.Embedding) and name.endswith(TABLES):
            first = module.padding_idx + 1 if module.padding_idx is not None else getattr(module, "offset", 0)
            n = min(n, module.num_embeddings - first)
    return min(n, MAX_TOKENS)
