"""The stream after attention and the attention's output, in other libraries' layers: as forward hooks find them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnviz import Intervention
from attnviz.models import hf_stream
from attnviz.models.hf_attention import RUN, Run
from attnviz.nn.attention import AttentionTrace
from attnviz.nn.layers import LayerTrace
from tests.support.hf_architectures import QUICK, pair
from tests.support.parity import close

IDS = torch.arange(3, 12)[None]
TARGET = torch.tensor([[0, 7, 8, 9]])

# Of each architecture, from its source: the module that the heads go through, then the module that the stream after
# attention goes into ("<") or comes out of (">"). An encoder-decoder has three of each.
LLAMA = ("model.layers.{}.self_attn.o_proj", "<model.layers.{}.post_attention_layernorm")
GEMMA = ("model.layers.{}.self_attn.o_proj", "<model.layers.{}.pre_feedforward_layernorm")
GPT2 = ("transformer.h.{}.attn.c_proj", "<transformer.h.{}.ln_2")
BERT = ("{0}.encoder.layer.{{}}.attention.output.dense", ">{0}.encoder.layer.{{}}.attention.output.LayerNorm")
BART = (
    ("model.encoder.layers.{}.self_attn.out_proj", ">model.encoder.layers.{}.self_attn_layer_norm"),
    ("model.decoder.layers.{}.self_attn.out_proj", ">model.decoder.layers.{}.self_attn_layer_norm"),
    ("model.decoder.layers.{}.encoder_attn.out_proj", ">model.decoder.layers.{}.encoder_attn_layer_norm"),
)
M2M100 = (
    ("model.encoder.layers.{}.self_attn.out_proj", "<model.encoder.layers.{}.final_layer_norm"),
    ("model.decoder.layers.{}.self_attn.out_proj", "<model.decoder.layers.{}.encoder_attn_layer_norm"),
    ("model.decoder.layers.{}.encoder_attn.out_proj", "<model.decoder.layers.{}.final_layer_norm"),
)
T5 = (
    ("encoder.block.{}.layer.0.SelfAttention.o", ">encoder.block.{}.layer.0"),
    ("decoder.block.{}.layer.0.SelfAttention.o", ">decoder.block.{}.layer.0"),
    ("decoder.block.{}.layer.1.EncDecAttention.o", ">decoder.block.{}.layer.1"),
)


def bert(name: str) -> tuple[str, str]:
    return BERT[0].format(name), BERT[1].format(name)


WHERE: dict[str, Any] = {
    **dict.fromkeys(("LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM", "Qwen2ForCausalLM"), LLAMA),
    **dict.fromkeys(("Qwen3ForCausalLM", "GemmaForCausalLM", "SmolLM3ForCausalLM", "Phi3ForCausalLM"), LLAMA),
    **dict.fromkeys(("GptOssForCausalLM", "Llama4ForCausalLM", "DeepseekV3ForCausalLM", "Qwen3MoeForCausalLM"), LLAMA),
    **dict.fromkeys(("StableLmForCausalLM", "OlmoForCausalLM"), LLAMA),
    **dict.fromkeys(("Gemma2ForCausalLM", "Gemma3ForCausalLM"), GEMMA),
    **dict.fromkeys(("GPT2LMHeadModel", "GPTBigCodeForCausalLM"), GPT2),
    "GPTNeoForCausalLM": ("transformer.h.{}.attn.attention.out_proj", "<transformer.h.{}.ln_2"),
    "OpenAIGPTLMHeadModel": ("transformer.h.{}.attn.c_proj", ">transformer.h.{}.ln_1"),
    "OPTForCausalLM": ("model.decoder.layers.{}.self_attn.out_proj", "<model.decoder.layers.{}.final_layer_norm"),
    "BloomForCausalLM": ("transformer.h.{}.self_attention.dense", "<transformer.h.{}.post_attention_layernorm"),
    "MptForCausalLM": ("transformer.blocks.{}.attn.out_proj", "<transformer.blocks.{}.norm_2"),
    "FalconH1ForCausalLM": ("model.layers.{}.self_attn.o_proj", "<model.layers.{}.pre_ff_layernorm"),
    "XGLMForCausalLM": ("model.layers.{}.self_attn.out_proj", "<model.layers.{}.final_layer_norm"),
    "BertForMaskedLM": bert("bert"),
    "RobertaForMaskedLM": bert("roberta"),
    "RoFormerForMaskedLM": bert("roformer"),
    "DebertaForMaskedLM": bert("deberta"),
    "DebertaV2ForMaskedLM": bert("deberta"),
    "MegatronBertForMaskedLM": (
        "bert.encoder.layer.{}.attention.output.dense",
        ">bert.encoder.layer.{}.attention.output",
    ),
    "MPNetForMaskedLM": ("mpnet.encoder.layer.{}.attention.attn.o", ">mpnet.encoder.layer.{}.attention.LayerNorm"),
    "DistilBertForMaskedLM": (
        "distilbert.transformer.layer.{}.attention.out_lin",
        ">distilbert.transformer.layer.{}.sa_layer_norm",
    ),
    "ModernBertForMaskedLM": ("model.layers.{}.attn.Wo", "<model.layers.{}.mlp_norm"),
    "ViTForImageClassification": ("vit.layers.{}.attention.o_proj", "<vit.layers.{}.layernorm_after"),
    "Dinov2Model": ("encoder.layer.{}.attention.o_proj", "<encoder.layer.{}.norm2"),
    "BartForConditionalGeneration": BART,
    "MarianMTModel": BART,
    "M2M100ForConditionalGeneration": M2M100,
    "T5ForConditionalGeneration": T5,
    "MT5ForConditionalGeneration": T5,
}
PLACES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in WHERE]


def hooked(model: Any, where: tuple[str, str], n: int) -> tuple[list[Tensor], list[Tensor]]:
    """What will be seen at two places of each layer of transformers' own model, by plain hooks."""
    outs: list[Tensor] = []
    mids: list[Tensor] = []
    for layer in range(n):
        model.get_submodule(where[0].format(layer)).register_forward_hook(lambda m, x, out: outs.append(out))
        module = model.get_submodule(where[1][1:].format(layer))
        if where[1][0] == "<":
            module.register_forward_pre_hook(lambda m, x: mids.append(x[0]))
        else:
            module.register_forward_hook(lambda m, x, out: mids.append(out[0] if isinstance(out, tuple) else out))
    return outs, mids


def same(ours: list[Tensor | None], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a is not None
        close(a, b.reshape(a.shape), 1e-5)


def run(name: str) -> tuple[tuple[LayerTrace, ...], tuple[LayerTrace, ...], list[tuple[list[Tensor], list[Tensor]]]]:
    """The layers of our trace, of its encoder's, and what hooks find in transformers' own model."""
    ours, theirs = pair(name)
    places = WHERE[name] if isinstance(WHERE[name][0], tuple) else (WHERE[name],)
    both = len(places) > 1
    given = torch.randn(1, 1, 8, 8) if theirs.main_input_name == "pixel_values" else IDS
    if both:
        trace = ours(IDS, TARGET)
        assert trace.source is not None
        depths = (len(trace.source.layers), len(trace.layers), len(trace.layers))
        seen = [hooked(theirs, where, n) for where, n in zip(places, depths, strict=True)]
        theirs(input_ids=IDS, decoder_input_ids=TARGET, use_cache=False)
        return trace.layers, trace.source.layers, seen
    layers = ours(given).layers
    seen = [hooked(theirs, places[0], len(layers))]
    theirs(given)
    return layers, (), seen


@pytest.mark.parametrize("name", PLACES)
def test_they_are_what_hooks_find(name: str) -> None:
    layers, encoder, seen = run(name)
    own = seen[1 if encoder else 0]
    same([layer.attention.out for layer in layers], own[0])
    same([layer.resid_mid for layer in layers], own[1])
    if encoder:
        same([layer.attention.out for layer in encoder], seen[0][0])
        same([layer.resid_mid for layer in encoder], seen[0][1])
        same([layer.cross_attention and layer.cross_attention.out for layer in layers], seen[2][0])  # type: ignore[misc]
        same([layer.resid_cross for layer in layers], seen[2][1])
    else:
        assert all(layer.resid_cross is None for layer in layers)


def test_before_the_norm_it_is_the_stream_and_the_output() -> None:
    ours, _ = pair("LlamaForCausalLM")
    trace = ours(IDS)
    for layer in trace.layers:
        assert layer.attention.out is not None and layer.resid_mid is not None
        close(layer.resid_mid, layer.resid_pre + layer.attention.out, 1e-6)
        assert not torch.allclose(layer.resid_mid, layer.resid_post, atol=1e-2)
    assert trace.config.lacks == ()


def test_a_head_that_is_off_is_off_in_the_output() -> None:
    ours, theirs = pair("LlamaForCausalLM")
    off = ours(IDS, intervention=Intervention(head_scale={(0, 1): 0.0})).layers[0]
    plain = ours(IDS).layers[0]
    matrix = theirs.model.layers[0].self_attn.o_proj.weight
    assert off.attention.out is not None and plain.attention.out is not None
    close(plain.attention.out - off.attention.out, plain.attention.z[:, 1] @ matrix[:, 8:16].T, 1e-5)
    assert off.resid_mid is not None
    close(off.resid_mid, off.resid_pre + off.attention.out, 1e-6)


def test_one_module_that_is_every_layer_is_read_each_time() -> None:
    """ALBERT's layers share their weights: the same module is called once for each."""
    ours, theirs = pair("AlbertForMaskedLM")
    outs: list[Tensor] = []
    mids: list[Tensor] = []
    attention = theirs.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    attention.dense.register_forward_hook(lambda m, x, out: outs.append(out))
    attention.LayerNorm.register_forward_hook(lambda m, x, out: mids.append(out))
    theirs(IDS)
    layers = ours(IDS).layers
    assert len(layers) == 3
    same([layer.attention.out for layer in layers], outs)
    same([layer.resid_mid for layer in layers], mids)


@pytest.mark.parametrize(
    ("name", "sentence", "out", "mid"),
    [
        ("GPTJForCausalLM", hf_stream.SIDE_BY_SIDE, True, False),
        pytest.param("GPTNeoXForCausalLM", hf_stream.SIDE_BY_SIDE, True, False, marks=pytest.mark.nightly),
        pytest.param("FalconForCausalLM", hf_stream.SIDE_BY_SIDE, True, False, marks=pytest.mark.nightly),
        pytest.param("CohereForCausalLM", hf_stream.SIDE_BY_SIDE, True, False, marks=pytest.mark.nightly),
        ("XLMWithLMHeadModel", hf_stream.UNSEEN, True, False),
        pytest.param("XLNetLMHeadModel", hf_stream.NO_OUT, False, True, marks=pytest.mark.nightly),
        ("Qwen3NextForCausalLM", hf_stream.NO_OUT, False, True),
    ],
)
def test_where_there_is_none_a_sentence_says_so(name: str, sentence: str, out: bool, mid: bool) -> None:
    ours, _ = pair(name)
    trace = ours(IDS)
    assert trace.config.lacks == (sentence,)  # type: ignore[attr-defined]
    for layer in trace.layers:
        assert ((layer.attention.out is not None), (layer.resid_mid is not None)) == (out, mid)


def test_a_tensor_that_is_written_over_is_kept_as_it_was() -> None:
    """A layer that adds its feed-forward network's output in place."""

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.feed = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            heads = x.unflatten(-1, (2, 2)).transpose(1, 2)
            run.record(AttentionTrace(heads, heads, heads, heads * 1), None, 0)
            mid = x + self.mix(run.records[-1].z.transpose(1, 2).flatten(2))
            mid += self.feed(mid)
            return mid

    layer, run = Layer(), Run(None)
    with torch.inference_mode(), hf_stream.followed([layer], run) as streams:
        layer(torch.randn(1, 3, 4))
    (around,) = streams.results()
    assert around.mid is not None and around.mid.module is layer.feed and around.mid.changes
    assert around.out is not None and around.out.module is layer.mix
    hf_stream.keep([around.mid])
    run, x = Run(None), torch.randn(1, 3, 4)
    token = RUN.set(run)
    with torch.inference_mode():
        end = layer(x)
        mid = around.mid.of(run, x)
        assert mid is not None and torch.equal(mid + layer.feed(mid), end)
    RUN.reset(token)


def test_nothing_is_kept_on_the_model_and_no_hook_stays_but_those_that_are_needed() -> None:
    ours, _ = pair("LlamaForCausalLM")
    first, second = ours(IDS), ours(IDS + 1)
    again = ours(IDS)
    for a, b, c in zip(first.layers, second.layers, again.layers, strict=True):
        assert a.resid_mid is not None and b.resid_mid is not None and c.resid_mid is not None
        assert torch.equal(a.resid_mid, c.resid_mid) and not torch.equal(a.resid_mid, b.resid_mid)
    hooks: list[Any] = []
    for module in ours.inner.modules():
        hooks += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    kinds = [getattr(hook, "__module__", type(hook).__module__) for hook in hooks]
    assert kinds.count(hf_stream.__name__) == 2 * len(first.layers)
