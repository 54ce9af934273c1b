"""A model that another library computes, run like ours.

    model ─ its own layers ─▶ queries, keys, values, mask ─▶ attend() ─▶ its own layers ─▶ Trace

What it is made of is found out by running it once on a few tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.hf_attention import RUN, Run
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.config import ModelConfig
from attnviz.nn.embeddings import check_ids, real_lengths
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

MAX_TOKENS = 2048  # of a text, whatever the model could read
OWN_ATTENTION = "A model of the type {} computes attention in code of its own, where nobody else can look."


@dataclass(frozen=True)
class HFConfig(ModelConfig):
    """The shape of a model that another library computes: what is known of it. Positions and norms are its own."""

    architecture: str = ""  # its model_type, such as "llama"
    kv_heads: int = 0  # key and value heads of grouped-query attention; n_heads where each query has its own
    width: int = 0  # of a head
    parameters: int = 0
    start_id: int | None = None  # what an encoder-decoder's target begins with

    def __post_init__(self) -> None:
        """Nothing to check: the sizes are those of a model that ran."""

    @property
    def head_dim(self) -> int:
        return self.width

    @property
    def n_parameters(self) -> int:
        return self.parameters


class HFModel(Transformer):
    """A model of the transformers library that is run like a `Transformer`, with the same `Trace`.

    Of a trace's layers, what happens between attention and output is the other library's: resid_mid and out are None.
    Positions cannot be changed, and what `Transformer` is made of (embed, encoder, decoder, head) is not there.
    """

    config: HFConfig

    def __init__(self, inner: Any) -> None:
        """`inner`: a PreTrainedModel whose attention is `attention`; it belongs to this model from now on.

        Errors: ModelError in one sentence if it cannot run here, or hides the attention of some layer.
        """
        nn.Module.__init__(self)
        self.inner = inner.eval().requires_grad_(False)
        self._takes = inspect.signature(inner.forward).parameters
        self.config, self._places, self._ends = _explored(self)

    def __getattr__(self, name: str) -> Any:
        if name in ("embed", "encoder", "decoder", "head"):
            raise InvalidParameterError(f"a model of the type {self.config.architecture} is not made of our layers")
        return super().__getattr__(name)

    def goal(self, encoding: Encoding, tokenizer: Tokenizer) -> Encoding:
        """A target as the decoder reads it: the model's start token before it, and no end."""
        start = self.config.start_id
        return encoding if start is None else after_start(encoding, tokenizer, start, self.config.max_len)

    def forward(
        self,
        inputs: Tensor,
        target: Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        target_lengths: Sequence[int] | None = None,
        types: Tensor | None = None,
        intervention: Intervention | None = None,
    ) -> Trace:
        """As `Transformer.forward`; of `types` and an intervention's positions it says that it has none."""
        config = self.config
        if types is not None:
            raise InvalidParameterError(f"segments are not given to a model of the type {config.architecture}")
        if intervention is not None and intervention.positions is not None:
            raise InvalidParameterError(f"{config.architecture} has its own positions, which cannot be changed here")
        if intervention is not None and intervention.changes_nothing:
            intervention = None
        self._check_layers(intervention)
        if (target is not None) != (config.kind == "encoder-decoder"):
            needs = "needs" if target is None else "has no use for"
            raise InvalidParameterError(f"a model of kind {config.kind!r} {needs} a target")
        real = self._real(inputs, lengths)
        goal = real if target is None else self._real(target, target_lengths)
        place = "decoder" if config.kind != "encoder" else "encoder"
        run = Run(self._places, {"encoder": real, place: goal, "cross": real}, intervention)
        out = self._call(run, inputs, real, target, goal)
        names = ("encoder_hidden_states", "decoder_hidden_states") if target is not None else ("", "hidden_states")
        logits = getattr(out, "logits", None)
        source = None
        if target is not None:
            source = self._trace(run, "encoder", getattr(out, names[0]), real, None, None)
        return self._trace(run, place, getattr(out, names[1]), goal, source, logits)

    def _call(self, run: Run, inputs: Tensor, real: Sequence[int], target: Tensor | None, goal: Sequence[int]) -> Any:
        """The other library's forward pass, with its attention in this run."""
        given: dict[str, Any] = {"output_hidden_states": True, "return_dict": True, "use_cache": False}
        if inputs.is_floating_point():
            given["pixel_values"] = inputs
        else:
            given |= {"input_ids": inputs, "attention_mask": _ones(inputs, real)}
        if target is not None:
            given |= {"decoder_input_ids": target, "decoder_attention_mask": _ones(target, goal)}
        anything = any(p.kind == p.VAR_KEYWORD for p in self._takes.values())
        given = {name: x for name, x in given.items() if name in self._takes or (anything and name != "use_cache")}
        token = RUN.set(run)
        try:
            return self.inner(**given)
        finally:
            RUN.reset(token)

    def _trace(
        self,
        run: Run,
        place: str,
        states: Sequence[Tensor],
        real: tuple[int, ...],
        source: Trace | None,
        logits: Tensor | None,
    ) -> Trace:
        """A stack's run: `states` are the embeddings and each layer's output, the last one after the final norm."""
        end = run.last.get(self._ends.get(place, 0), states[-1])
        crossed = run.records["cross"] if source is not None else [None] * (len(states) - 1)
        layers = tuple(
            LayerTrace(pre, attention, None, cross, None, post)
            for pre, attention, cross, post in zip(
                states[:-1], run.records[place], crossed, [*states[1:-1], end], strict=True
            )
        )
        return Trace(self.config, layers, states[-1], logits, real, (), source, run.intervention)

    def _real(self, inputs: Tensor, lengths: Sequence[int] | None) -> tuple[int, ...]:
        """Real tokens of each text. Errors: as `Embeddings.lengths`."""
        if inputs.is_floating_point():
            return (self.config.max_len,) * inputs.shape[0]
        return real_lengths("token ids", inputs, check_ids(inputs, self.config), lengths)


def after_start(encoding: Encoding, tokenizer: Tokenizer, start: int, longest: int) -> Encoding:
    """A text after a start token instead of before an end, at most `longest` tokens: what such a decoder reads."""
    stop = len(encoding) - (encoding.special[-1:] == (True,))
    name = tokenizer.library.id_to_token(start) or str(start)
    first = Encoding("", (start,), (name,), (name,), ((0, 0),), (None,), (True,))
    parts = ("ids", "tokens", "labels", "offsets", "words", "special")
    joined = {part: (getattr(first, part) + getattr(encoding, part)[:stop])[:longest] for part in parts}
    return replace(encoding, **joined, cut=encoding.cut + max(0, 1 + stop - longest))


# ---- what a model is -----------------------------------------------------------------------------


def _explored(model: HFModel) -> tuple[HFConfig, dict[int, str], dict[str, int]]:
    """Config, the place of each attention module, and each stack's last layer, from a run on a few tokens.

    Errors: ModelError in one sentence.
    """
    given = model.inner.config
    name, both = f"A model of the type {given.model_type}", bool(getattr(given, "is_encoder_decoder", False))
    source, target = _probe(given), torch.zeros(1, 2, dtype=torch.long) if both else None
    run = Run(None)
    try:
        with torch.inference_mode():
            out = model._call(run, source, (source.shape[1],), target, (2,))
    except ModelError as error:
        raise ModelError(f"{name} cannot be looked into: {error}.") from None
    except Exception as error:  # in another library's code, on a config from strangers
        said = str(error).strip().partition("\n")[0][:200]
        raise ModelError(f"{name} cannot be run on a text alone ({type(error).__name__}: {said}).") from None
    records = run.records.get("", [])
    if not records:
        raise ModelError(OWN_ATTENTION.format(given.model_type))
    places = [_place(record, both, source) for record in records]
    states = (
        {"decoder": out.decoder_hidden_states, "encoder": out.encoder_hidden_states}
        if both
        else {places[-1]: out.hidden_states}
    )
    _check_whole(name, places, {place: len(found) - 1 for place, found in states.items()}, records)
    ends = {}
    for module, place in zip(run.modules, places, strict=True):
        if place != "cross" and (block := _block(model.inner, module)) is not None:
            ends[place] = id(block)
    for module in model.inner.modules():
        if id(module) in ends.values():
            module.register_forward_hook(_remember)
    config = _config(model.inner, "encoder-decoder" if both else places[-1], records[-1], out)
    return config, {id(module): place for module, place in zip(run.modules, places, strict=True)}, ends


def _probe(given: Any) -> Tensor:
    """Something to read: three tokens, or a black image."""
    if getattr(given, "vocab_size", None) is None and isinstance(getattr(given, "image_size", None), int):
        return torch.zeros(1, getattr(given, "num_channels", 3), given.image_size, given.image_size)
    end = _number(given, "eos_token_id")
    return torch.full((1, 3), end if 0 <= end < _number(given, "vocab_size") else 0)


def _place(record: AttentionTrace, both: bool, source: Tensor) -> str:
    queries, keys = record.q.shape[2], record.k.shape[2]
    if not both:
        return "decoder" if record.mask.causal else "encoder"
    return "encoder" if queries == source.shape[1] else "decoder" if queries == keys else "cross"


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


def _config(inner: Any, kind: str, record: AttentionTrace, out: Any) -> HFConfig:
    given = inner.config
    logits, states = getattr(out, "logits", None), getattr(out, "hidden_states", None) or out.decoder_hidden_states
    heads = record.q.shape[1]
    return HFConfig(
        kind=kind,
        vocab_size=getattr(given, "vocab_size", None) or 0,
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
        start_id=given.decoder_start_token_id if kind == "encoder-decoder" else None,
    )


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


def _ones(ids: Tensor, real: Sequence[int]) -> Tensor:
    """1 at tokens, 0 at padding: (B, T)."""
    return (torch.arange(ids.shape[1], device=ids.device) < torch.tensor(real, device=ids.device)[:, None]).long()
