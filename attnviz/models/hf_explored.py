"""What a model of the transformers library is made of, found out by one run: sizes, layers and their places."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import ModelError
from attnviz.models.hf_attention import RUN, Run
from attnviz.models.hf_probe import Given, patch_side, reads, text_number
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.config import ModelConfig

MAX_TOKENS = 2048  # of a text, whatever the model could read
OWN_ATTENTION = "A model of the type {} computes attention in code of its own, where nobody else can look."
WHAT = {"text": "a text", "image": "an image", "sound": "a sound"}
N_TARGET = 2  # tokens that a decoder is tried on
ENDS_WITH_TOKENS = {"yolos"}  # types whose special tokens stand after the patches too


@dataclass(frozen=True)
class HFConfig(ModelConfig):
    """The shape of a model that another library computes: what is known of it. Positions and norms are its own."""

    architecture: str = ""  # its model_type, such as "llama"
    kv_heads: int = 0  # key and value heads of grouped-query attention; n_heads where each query has its own
    width: int = 0  # of a head
    parameters: int = 0
    start_id: int | None = None  # what an encoder-decoder's target begins with
    special: int = 0  # tokens before an image's patches: a class token, and registers
    reads: str = "text"  # or "image", "sound": what the model, or its encoder, is given
    normed: bool = True  # whether its last hidden state is the one after the final norm

    def __post_init__(self) -> None:
        """Nothing to check: the sizes are those of a model that ran."""

    @property
    def head_dim(self) -> int:
        return self.width

    @property
    def n_parameters(self) -> int:
        return self.parameters

    @property
    def n_special(self) -> int:
        return self.special

    @property
    def special_names(self) -> tuple[str, ...]:
        return ("[CLS]", *(f"[REG{i}]" for i in range(1, self.special)))[: self.special]

    @property
    def ends_normed(self) -> bool:
        return self.normed


def has_decoder(inner: Any) -> bool:
    """Whether a model is an encoder with a decoder: not so a classifier on the encoder of one."""
    takes = inspect.signature(inner.forward).parameters
    return bool(getattr(inner.config, "is_encoder_decoder", False)) and "decoder_input_ids" in takes


@dataclass(frozen=True)
class Explored:
    """What one run showed of a model."""

    config: HFConfig
    places: dict[int, str]  # the id of each attention module → "encoder", "decoder" or "cross"
    ends: dict[str, int]  # the id of each stack's last layer


def explored(inner: Any, call: Callable[..., Any], source: Given) -> Explored:
    """What a model is made of, from a run of `call` on `source` (and a target of two tokens).

    From then on its layers' ends are kept in each run. Errors: ModelError in one sentence.
    """
    given = inner.config
    name, both = f"A model of the type {given.model_type}", has_decoder(inner)
    n = source.shape[1] if isinstance(source, Tensor) else 0
    target = torch.zeros(1, N_TARGET, dtype=torch.long) if both else None
    run, base = Run(None), inner.base_model
    base.register_forward_hook(_remember_final)
    try:
        with torch.inference_mode():
            out = call(run, source, (n,), target, (N_TARGET,))
    except ModelError as error:
        raise ModelError(f"{name} cannot be looked into: {error}.") from None
    except Exception:  # in another library's code, on a config from strangers
        raise ModelError(f"{name} does not run on {WHAT[reads(inner)]} alone.") from None
    records = run.records.get("", [])
    if not records:
        raise ModelError(OWN_ATTENTION.format(given.model_type))
    places = [_place(record, both) for record in records]
    states = {
        place: getattr(out, f"{prefix}hidden_states", None)
        for place, prefix in ({"decoder": "decoder_", "encoder": "encoder_"} if both else {places[-1]: ""}).items()
    }
    if not all(states.values()):
        raise ModelError(f"{name} does not give out its hidden states.")
    _check_whole(name, places, {place: len(found) - 1 for place, found in states.items()}, records)
    ends = {}
    for module, place in zip(run.modules, places, strict=True):
        if place != "cross" and (block := _block(inner, module)) is not None:
            ends[place] = id(block)
    for module in inner.modules():
        if id(module) in ends.values():
            module.register_forward_hook(_remember)
    config = _config(inner, "encoder-decoder" if both else places[-1], records[-1], out)
    if reads(inner) == "image":
        config = _of_images(name, config, source, next(iter(states.values()))[-1].shape[1] if not both else 0, inner)
    if not both and (final := run.last.get(id(base))) is not None:
        config = replace(config, normed=torch.equal(final, states[places[-1]][-1]))
    return Explored(config, {id(module): place for module, place in zip(run.modules, places, strict=True)}, ends)


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
        max_len=n_tokens,
        image_size=side,
        patch_size=patch,
        channels=pixels.shape[1],
        special=n_tokens - n_patches,
    )


def _place(record: AttentionTrace, both: bool) -> str:
    """Where an attention stands: an encoder reads more than the target's tokens."""
    queries, keys = record.q.shape[2], record.k.shape[2]
    if not both:
        return "decoder" if record.mask.causal else "encoder"
    return "encoder" if queries != N_TARGET else "decoder" if keys == N_TARGET else "cross"


def _check_whole(name: str, places: list[str], layers: dict[str, int], records: list[AttentionTrace]) -> None:
    """Errors: ModelError unless each layer showed its attention, all with the same number of heads."""
    if "cross" in places:
        layers = layers | {"cross": layers["decoder"]}
    for place, n in layers.items():
        if places.count(place) != n:
            raise ModelError(f"{name} shows attention in {places.count(place)} of its {n} layers only ({place}).")
    heads = sorted({record.q.shape[1] for record in records})
    if len(places) != sum(layers.values()) or len(heads) > 1:
        raise ModelError(f"{name} has layers of several kinds, or with different numbers of heads ({heads}).")


def _block(inner: nn.Module, module: nn.Module) -> nn.Module | None:
    """The layer that a module belongs to: what lies in the outermost list of modules around it."""
    path = next(name for name, other in inner.named_modules() if other is module).split(".")
    for i in range(len(path)):
        if isinstance(inner.get_submodule(".".join(path[:i])), nn.ModuleList):
            return inner.get_submodule(".".join(path[: i + 1]))
    return None


def _remember(module: nn.Module, inputs: Any, output: Any) -> None:
    """Keeps what a layer gave out, in the present run."""
    if run := RUN.get(None):
        run.last[id(module)] = output[0] if isinstance(output, tuple) else output


def _remember_final(module: nn.Module, inputs: Any, output: Any) -> None:
    """Keeps the states after the final norm, in the present run."""
    if (run := RUN.get(None)) and isinstance(final := getattr(output, "last_hidden_state", None), Tensor):
        run.last[id(module)] = final


def _config(inner: Any, kind: str, record: AttentionTrace, out: Any) -> HFConfig:
    given = inner.config
    logits, states = getattr(out, "logits", None), getattr(out, "hidden_states", None) or out.decoder_hidden_states
    heads = record.q.shape[1]
    return HFConfig(
        kind=kind,
        vocab_size=text_number(given, "vocab_size") if reads(inner) == "text" or kind == "encoder-decoder" else 0,
        max_len=_max_len(inner, states[0].shape[1]),
        d_model=states[0].shape[2],
        n_heads=heads,
        n_layers=len(states) - 1,
        d_ff=_number(given, "intermediate_size", "decoder_ffn_dim", "d_ff", "n_inner", "ffn_dim", "hidden_dim", "dff")
        or 4 * states[0].shape[2] * hasattr(given, "n_inner"),  # GPT-2's default
        positions="own",
        activation="own",
        head=None if logits is None else "lm" if logits.dim() == 3 else "classification",
        n_classes=logits.shape[1] if logits is not None and logits.dim() == 2 else 0,
        architecture=given.model_type,
        kv_heads=record.kv_heads or heads,
        width=record.q.shape[3],
        parameters=sum(p.numel() for p in inner.parameters()),
        start_id=_start(inner) if kind == "encoder-decoder" else None,
        reads=reads(inner),
    )


def _start(inner: Any) -> int | None:
    """The token that a decoder begins with: what the config says, else what generation_config.json says."""
    places = (inner.config, getattr(inner, "generation_config", None))
    names = ("decoder_start_token_id", "bos_token_id")
    found = (getattr(place, name, None) for name in names for place in places)
    return next((start for start in found if isinstance(start, int)), None)


def _number(given: Any, *names: str) -> int:
    """The first of these settings that is a number."""
    return next((x for name in names if isinstance(x := getattr(given, name, None), int)), 0)


def _max_len(inner: Any, read: int) -> int:
    """Tokens that the model reads at most."""
    if not getattr(inner.config, "vocab_size", None):
        return read  # an image's
    n = _number(inner.config, "max_position_embeddings", "n_positions") or MAX_TOKENS
    for name, module in inner.named_modules():  # positions that begin after the padding's number
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            n = min(n, module.num_embeddings - module.padding_idx - 1)
    return min(n, MAX_TOKENS)
