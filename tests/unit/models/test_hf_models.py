"""Other architectures through our attention: the numbers are transformers' own, and so are those of a changed model."""

from __future__ import annotations

import copy
import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import attnviz
from attnviz import Intervention, Mask, Trace
from attnviz.__main__ import main
from attnviz.browser import report
from attnviz.browser.attention_message import pack
from attnviz.errors import InvalidParameterError, ModelError, ShapeError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import hf_loading
from attnviz.models.hf_attention import RUN
from attnviz.models.hf_model import HFModel
from tests.support.hf_architectures import ALL_REACHED, REACHED, REFUSED, made, pair
from tests.support.parity import close

LENGTHS, GOALS = (9, 6), (5, 4)  # real tokens of two texts


def ids(n: int = 9, rows: int = 2) -> Tensor:
    return torch.randint(3, 64, (rows, n))


def mask(lengths: tuple[int, ...]) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def same(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], lengths: tuple[int, ...], axis: int) -> None:
    """Equal to 1e-5 at the real tokens, which lie along an axis."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        for row, n in enumerate(lengths):
            close(a[row].narrow(axis, 0, n), b[row].narrow(axis, 0, n), 1e-5)


def compare(trace: Trace, theirs: Any) -> None:
    """A trace against transformers' output with attentions and hidden states."""
    whole = (trace.final.shape[1],) * len(trace.final)
    real = trace.lengths or whole
    if trace.source is not None:
        same(trace.source.attentions, theirs.encoder_attentions, trace.source.lengths, 1)
        same(trace.source.hidden_states, theirs.encoder_hidden_states, trace.source.lengths, 0)
        same(trace.cross_attentions, theirs.cross_attentions, real, 1)
        same(trace.attentions, theirs.decoder_attentions, real, 1)
        same(trace.hidden_states, theirs.decoder_hidden_states, real, 0)
    else:
        same(trace.attentions, theirs.attentions, real, 1)
        same(trace.hidden_states, theirs.hidden_states, real, 0)
    logits = getattr(theirs, "logits", None)
    assert (trace.logits is None) == (logits is None)
    if trace.logits is not None:
        same((trace.logits,), (logits,), real if trace.logits.dim() == 3 else (1,) * len(real), 0)


def run_both(ours: HFModel, theirs: Any) -> tuple[Trace, Any]:
    """A padded batch of two texts, or two images, in both."""
    asked = {"output_attentions": True, "output_hidden_states": True}
    if theirs.main_input_name == "pixel_values":
        pixels = torch.randn(2, 1, 8, 8)
        return ours(pixels), theirs(pixel_values=pixels, **asked)
    text = ids()
    given = {"input_ids": text, "attention_mask": mask(LENGTHS)}
    if ours.config.kind != "encoder-decoder":
        return ours(text, lengths=LENGTHS), theirs(**given, **asked)
    goal = ids(5)
    given |= {"decoder_input_ids": goal, "decoder_attention_mask": mask(GOALS), "use_cache": False}
    return ours(text, goal, lengths=LENGTHS, target_lengths=GOALS), theirs(**given, **asked)


# ---- the same numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_REACHED)
def test_numbers_are_those_of_transformers_own_attention(name: str) -> None:
    ours, theirs = pair(name)
    trace, expected = run_both(ours, theirs)
    compare(trace, expected)
    assert trace.config.n_parameters == sum(p.numel() for p in theirs.parameters())
    assert trace.config.n_layers == len(trace.layers)
    assert trace.config.head_dim == trace.layers[0].attention.q.shape[3]


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel", "T5ForConditionalGeneration"])
def test_the_last_layer_ends_before_the_final_norm(name: str) -> None:
    ours, theirs = pair(name)
    trace, _ = run_both(ours, theirs)
    stack = {
        "L": lambda: theirs.model.norm,
        "G": lambda: theirs.transformer.ln_f,
        "T": lambda: theirs.decoder.final_layer_norm,
    }
    close(stack[name[0]]()(trace.layers[-1].resid_post), trace.final, 1e-5)
    assert not torch.allclose(trace.layers[-1].resid_post, trace.final, atol=1e-2)
    for layer, after in zip(trace.layers, trace.layers[1:], strict=False):
        assert torch.equal(layer.resid_post, after.resid_pre)


@pytest.mark.parametrize(
    ("name", "masks"),
    [
        ("LlamaForCausalLM", [Mask(causal=True)] * 3),
        ("MistralForCausalLM", [Mask(causal=True, window=2)] * 3),
        ("BertForMaskedLM", [Mask()] * 3),
        ("ModernBertForMaskedLM", [Mask(), Mask(window=2), Mask()]),
        ("T5ForConditionalGeneration", [Mask(causal=True)] * 3),
    ],
)
def test_masks_are_described_and_not_stored(name: str, masks: list[Mask]) -> None:
    trace, _ = run_both(*pair(name))
    for layer, expected in zip(trace.layers, masks, strict=True):
        found = layer.attention.mask
        assert (found.causal, found.window, found.dense) == (expected.causal, expected.window, None)
        assert found.lengths == trace.lengths


def test_a_trace_grows_with_the_text_and_not_with_its_square() -> None:
    ours, _ = pair("LlamaForCausalLM")
    sizes = [ours(ids(n, 1)).nbytes for n in (16, 32, 64)]
    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), rel=0.01)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("LlamaForCausalLM", (0, 0, 1, 1)),
        ("GemmaForCausalLM", (0, 0, 0, 0)),
        ("GPT2LMHeadModel", None),
        ("PhiForCausalLM", None),
    ],
)
def test_grouped_queries_are_repeated_and_say_their_group(name: str, groups: tuple | None) -> None:
    trace, _ = run_both(*pair(name))
    attention = trace.layers[1].attention
    assert attention.groups == groups
    assert attention.q.shape[1] == attention.k.shape[1] == attention.v.shape[1] == 4
    if groups:
        assert trace.config.kv_heads == len(set(groups))  # type: ignore[attr-defined]
        for head, group in enumerate(groups):
            first = groups.index(group)
            assert torch.equal(attention.k[:, head], attention.k[:, first])
            assert torch.equal(attention.v[:, head], attention.v[:, first])
        if len(set(groups)) > 1:
            assert not torch.equal(attention.k[:, 0], attention.k[:, -1])


# ---- changes -------------------------------------------------------------------------------------


def scaled_by(factor: float | None) -> Callable[[Any], None]:
    """The oracle's attention with another factor on q·k: itself times `factor`, or 1."""

    def change(model: Any) -> None:
        for layer in model.model.layers:
            layer.self_attn.scaling = 1.0 if factor is None else layer.self_attn.scaling * factor

    return change


def head_times(layer: int, head: int, factor: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.model.layers[layer].self_attn.o_proj.weight[:, 8 * head : 8 * (head + 1)] *= factor

    return change


def allowed(keep: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A mask in transformers' form, (1, 1, 9, 9), of the pairs (query, key) that `keep` says."""
    i, j = torch.arange(9)[:, None], torch.arange(9)[None, :]
    return torch.zeros(9, 9).masked_fill(~keep(i, j), torch.finfo(torch.float32).min)[None, None]


CHANGES: dict[str, tuple[Intervention, Callable[[Any], None] | None, Tensor | None]] = {
    "sharper": (Intervention(temperature=0.25), scaled_by(4.0), None),
    "flatter": (Intervention(temperature=3.0), scaled_by(1 / 3), None),
    "unscaled": (Intervention(scaled=False), scaled_by(None), None),
    "a head off": (Intervention(head_scale={(1, 2): 0.0}), head_times(1, 2, 0.0), None),
    "a head doubled": (Intervention(head_scale={(0, 3): 2.0}), head_times(0, 3, 2.0), None),
    "no mask": (Intervention(mask="none"), None, allowed(lambda i, j: i == i + 0 * j)),
    "a window": (Intervention(mask=("window", 2)), None, allowed(lambda i, j: (j <= i) & (i - j <= 2))),
    "a cell": (Intervention(blocked=[(5, 3)]), None, allowed(lambda i, j: (j <= i) & ~((i == 5) & (j == 3)))),
}


@pytest.mark.parametrize("which", CHANGES)
def test_a_change_is_what_a_changed_model_computes(which: str) -> None:
    change, oracle, allowed_pairs = CHANGES[which]
    ours, theirs = pair("LlamaForCausalLM")
    text = ids()
    before = ours(text)
    changed = ours(text, intervention=change)
    if oracle is not None:
        oracle(theirs)
    compare(changed, theirs(text, attention_mask=allowed_pairs, output_attentions=True, output_hidden_states=True))
    assert changed.intervention == change
    assert (changed.logits - before.logits).abs().max() > 1e-4
    again = ours(text)
    assert torch.equal(again.logits, before.logits)  # nothing stays behind
    assert all(torch.equal(a, b) for a, b in zip(again.attentions, before.attentions, strict=True))


@pytest.mark.parametrize("name", ["BartForConditionalGeneration", "T5ForConditionalGeneration", "MarianMTModel"])
@pytest.mark.parametrize("where", ["encoder", "decoder", "cross"])
def test_a_change_acts_where_it_should(name: str, where: str) -> None:
    ours, _ = pair(name)
    text, goal = ids(), ids(5)
    plain = ours(text, goal)
    hot = ours(text, goal, intervention=Intervention(temperature=5.0, layers=[0], where=where))
    assert plain.source is not None and hot.source is not None
    temperatures = {
        "encoder": [layer.attention.temperature for layer in hot.source.layers],
        "decoder": [layer.attention.temperature for layer in hot.layers],
        "cross": [layer.cross_attention.temperature for layer in hot.layers if layer.cross_attention],
    }
    for place, found in temperatures.items():
        assert found == [5.0 if place == where and i == 0 else 1.0 for i in range(len(found))]
    assert torch.equal(plain.source.final, hot.source.final) == (where != "encoder")
    assert not torch.equal(plain.final, hot.final)
    if where == "cross":
        assert torch.equal(plain.attentions[0], hot.attentions[0])
        assert entropy(hot.cross_attentions[0]) > entropy(plain.cross_attentions[0])


def entropy(weights: Tensor) -> float:
    return float(torch.special.entr(weights).sum(-1).mean())


def test_the_record_is_what_was_used() -> None:
    """z and weights belong together under every kind of change at once, bias of positions included."""
    change = Intervention(temperature=0.5, mask=("window", 3), blocked=[(4, 4)], head_scale={1: 0.5})
    ours, _ = pair("T5ForConditionalGeneration")
    trace = ours(ids(7), ids(6), intervention=change, lengths=(7, 5), target_lengths=(6, 6))
    for layer in trace.layers:
        attention = layer.attention
        factors = torch.tensor([1, 0.5, 1, 1])[None, :, None, None]
        close(attention.z, attention.weights @ attention.v * factors, 1e-5)
        assert attention.bias is not None and attention.weights[:, :, 4, 4].max() == 0


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("LlamaForCausalLM", Intervention(positions="none"), "its own positions"),
        ("LlamaForCausalLM", Intervention(temperature=2.0, layers=[3]), "layer 3 of 3"),
        ("LlamaForCausalLM", Intervention(head_scale={4: 0}), "head 4 of 4"),
        ("LlamaForCausalLM", Intervention(blocked=[(9, 0)]), r"blocked cell \(9, 0\)"),
        ("T5ForConditionalGeneration", Intervention(scaled=False), "no factor 1/√d"),
        ("OPTForCausalLM", Intervention(scaled=False), "no factor 1/√d"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(name: str, change: Intervention, words: str) -> None:
    ours, _ = pair(name)
    with pytest.raises(InvalidParameterError, match=words):
        ours(ids(), ids(5) if ours.config.kind == "encoder-decoder" else None, intervention=change)
    assert RUN.get(None) is None


def test_bad_input_is_refused_with_its_numbers() -> None:
    ours, _ = pair("LlamaForCausalLM")
    with pytest.raises(InvalidParameterError, match="has no use for a target"):
        ours(ids(), ids())
    with pytest.raises(ShapeError, match="65 tokens are more than the model's 64"):
        ours(ids(65))
    with pytest.raises(InvalidParameterError, match="outside 0…63"):
        ours(ids() + 60)
    with pytest.raises(ShapeError, match="lengths"):
        ours(ids(), lengths=(9, 10))
    with pytest.raises(InvalidParameterError, match="segments"):
        ours(ids(), types=ids())
    with pytest.raises(InvalidParameterError, match="llama is not made of our layers"):
        _ = ours.embed
    with pytest.raises(InvalidParameterError, match="needs a target"):
        pair("T5ForConditionalGeneration")[0](ids())


def test_two_threads_change_one_shared_model_each_in_its_own_way() -> None:
    ours, _ = pair("LlamaForCausalLM")
    text = ids()
    changes = [Intervention(temperature=0.3, head_scale={0: 0}), Intervention(mask="none")]
    expected = [ours(text, intervention=change) for change in changes]
    wrong: list[str] = []
    together = threading.Barrier(2)

    def many(which: int) -> None:
        together.wait()
        with torch.inference_mode():
            for _ in range(200):
                trace = ours(text, intervention=changes[which])
                pairs = zip(trace.attentions, expected[which].attentions, strict=True)
                if not (torch.equal(trace.logits, expected[which].logits) and all(torch.equal(a, b) for a, b in pairs)):
                    wrong.append(f"thread {which}")

    threads = [threading.Thread(target=many, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- loading -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train_bpe(["the cat sat on the mat " * 20], 300, start="[BOS]", end=None)


def saved(model: Any, folder: Path, tokenizer: Tokenizer | None = None, shard: str = "1GB") -> Path:
    model.save_pretrained(folder, max_shard_size=shard)
    if tokenizer is not None:
        tokenizer.save(folder / "tokenizer.json")
    return folder


def config_of(folder: Path, **changes: Any) -> None:
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(given | changes))


@pytest.mark.parametrize("shard", ["1GB", "40KB"], ids=["one file", "shards"])
def test_a_folder_is_loaded_and_runs_like_any_model(tmp_path: Path, tokenizer: Tokenizer, shard: str, capsys) -> None:
    theirs = made("LlamaForCausalLM", "eager", vocab_size=300)
    folder = saved(theirs, tmp_path / "small-llama", tokenizer, shard)
    assert len(list(folder.glob("*.safetensors"))) == (1 if shard == "1GB" else 5)
    model = attnviz.load(str(folder))
    assert (model.info.family, model.info.n_layers, model.info.n_heads) == ("llama", 3, 4)
    assert model.info.n_parameters == sum(p.numel() for p in theirs.parameters())
    trace = model.run("the cat sat", intervention=Intervention(temperature=2.0))
    scaled_by(0.5)(theirs)
    expected = theirs(torch.tensor([trace.encodings[0].ids]), output_attentions=True, output_hidden_states=True)
    compare(trace, expected)
    assert pack(trace) and report.html(trace) and report.npz(trace)
    assert main(["run", "the cat sat", "--model", str(folder)]) == 0
    assert "small-llama: 3 layers × 4 heads" in capsys.readouterr().out
    assert main(["export", str(folder), "--out", str(tmp_path / "w.npz")]) == 1
    assert "is not made of our layers alone" in capsys.readouterr().err


def test_an_encoder_decoders_target_begins_as_it_was_trained(tmp_path: Path) -> None:
    both = Tokenizer.train_bpe(["the cat sat on the mat " * 20], 300, start=None, end="</s>")
    start = both.library.token_to_id("[PAD]")
    theirs = made("MarianMTModel", "eager", vocab_size=300, decoder_start_token_id=start, pad_token_id=start)
    model = attnviz.load(str(saved(theirs, tmp_path / "pt-en", both)))
    trace = model.run("the mat", "the cat")
    assert trace.tokens[0] == "[PAD]" and "</s>" not in trace.tokens and trace.encodings[0].text == "the cat"
    assert trace.source is not None and trace.source.tokens[-1] == "</s>"
    assert len(trace.encodings[0]) == trace.final.shape[1] and trace.encodings[0].special[0]
    labels = torch.tensor([both.encode("the cat").ids])
    expected = theirs(
        torch.tensor([trace.source.encodings[0].ids]),
        labels=labels,
        output_attentions=True,
        output_hidden_states=True,
        use_cache=False,
    )
    compare(trace, expected)  # transformers shifts the labels by itself
    long = model.run("the mat", "the cat sat on the mat " * 40)
    assert len(long.encodings[0]) == 64 and long.encodings[0].cut > 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_looked_into_says_so_in_a_sentence(name: str, tmp_path: Path) -> None:
    folder = saved(made(name, "eager"), tmp_path / "model")
    with pytest.raises(ModelError, match=REFUSED[name][1]) as caught:
        hf_loading.load(folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.fixture(scope="module")
def llama(tmp_path_factory, tokenizer: Tokenizer) -> Path:
    theirs = made("LlamaForCausalLM", "eager", vocab_size=300)
    return saved(theirs, tmp_path_factory.mktemp("models") / "llama", tokenizer)


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(llama, tmp_path / "llama"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers=1,000,000,000"),
        ({"num_hidden_layers": 4}, "are missing from the file: model.layers.3"),
        ({"num_labels": 10**7}, "num_labels=10,000,000"),
        ({"hidden_size": 10**9}, "hidden_size=1,000,000,000"),
        (
            {"hidden_size": 400_000, "intermediate_size": 400_000},
            "parameters, more than the 2,000,000,000",
        ),
        ({"vocab_size": 10**7, "hidden_size": 4096}, "parameters, more than"),
        ({"hidden_size": 64}, "cannot be read"),
        ({"num_attention_heads": 3}, "cannot be"),
        ({"hidden_act": "no such thing"}, "cannot be used"),
        ({"hidden_size": "wide"}, "cannot be used"),
        ({"vocab_size": 299}, "cannot be read"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
        ({"model_type": "made-up"}, "'made-up', which the installed transformers does not know"),
        ({"model_type": ["llama"]}, "does not know"),
        ({"architectures": ["CLIPModel"]}, "missing"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_in_a_sentence(folder: Path, changes: dict, words: str) -> None:
    config_of(folder, **changes)
    if changes.get("architectures"):  # another family's class is not taken: what is left is the model without its head
        assert attnviz.load(str(folder)).run("the cat").logits is None
        return
    with pytest.raises(ModelError, match=words) as caught:
        attnviz.load(str(folder))
    assert "\n" not in str(caught.value)


def test_a_table_of_positions_beyond_memory_is_refused_before_it_is_made(tmp_path: Path) -> None:
    folder = saved(made("MarianMTModel", "eager"), tmp_path / "marian")
    config_of(folder, max_position_embeddings=19_000_000)
    with pytest.raises(ModelError, match="a table of 19,000,000 × 32 numbers"):
        hf_loading.load(folder)


def test_code_that_comes_with_a_model_never_runs(folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    for name in ("modeling_evil.py", "configuration_evil.py"):
        (folder / name).write_text(f"open({str(proof)!r}, 'w')\nclass Evil: pass\n")
    evil = {
        "AutoConfig": "configuration_evil.Evil",
        "AutoModelForCausalLM": "modeling_evil.Evil",
        "AutoModel": "modeling_evil.Evil",
    }
    config_of(folder, auto_map=evil)
    assert attnviz.load(str(folder)).info.family == "llama"  # known here: transformers' own code serves
    config_of(folder, auto_map=evil, model_type="evil")
    with pytest.raises(ModelError, match="code of its own, which is never run here"):
        attnviz.load(str(folder))
    assert not proof.exists()


def test_only_safetensors_are_read(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        attnviz.load(str(folder))


@pytest.mark.parametrize("place", ["../other.safetensors", "/etc/passwd", "missing.safetensors", 3])
def test_an_index_that_leads_out_of_the_folder_is_refused(folder: Path, place: object) -> None:
    index = {"metadata": {}, "weight_map": {"model.norm.weight": place}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="names files that are not in the folder"):
        attnviz.load(str(folder))


def test_broken_weights_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    whole, tensors = file.read_bytes(), load_file(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        attnviz.load(str(folder))
    file.write_bytes(whole)
    with pytest.raises(ModelError, match="more than the 1,000 allowed"):
        attnviz.load(str(folder), max_bytes=1000)
    bad = copy.copy(tensors)
    bad["model.norm.weight"] = torch.full_like(bad["model.norm.weight"], math.nan)
    save_file(bad, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight holds NaN"):
        attnviz.load(str(folder))
    save_file({name: x for name, x in tensors.items() if "k_proj" not in name}, file, {"format": "pt"})
    with pytest.raises(ModelError, match="3 tensors are missing from the file"):
        attnviz.load(str(folder))
    save_file(tensors | {"extra": torch.zeros(2)}, file, {"format": "pt"})
    assert attnviz.load(str(folder)).unused_weights == ("extra",)


def test_a_token_beyond_the_models_rows_is_refused_when_a_text_has_it(folder: Path) -> None:
    texts = ["the cat sat on the mat " * 20, " ".join(REACHED) * 2]
    Tokenizer.train_bpe(texts, 340, start="[BOS]", end=None).save(folder / "tokenizer.json")
    model = attnviz.load(str(folder))
    assert model.tokenizer.vocab_size == 340 > model.transformer.config.vocab_size == 300
    assert model.run("q z x").logits is not None
    beyond = next(text for text in REACHED if max(model.encode(text).ids) >= 300)
    with pytest.raises(InvalidParameterError, match="are outside 0…299"):
        model.run(beyond)


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="No tokenizer could be read"):
        attnviz.load(str(folder))


def test_heads_of_two_widths_are_filled_up_with_zeros() -> None:
    """Gemma 4's layers that see everything have wider heads than those with a window."""
    from tests.support.zoo import folders

    hf_loading.register()
    theirs = folders.random_model("Gemma4ForCausalLM")
    ids = torch.randint(3, 300, (1, 7), generator=torch.Generator().manual_seed(1))
    expected = theirs(ids, output_attentions=True)
    ours = copy.deepcopy(theirs)
    assert hf_loading.attend_as_ours(ours)
    model = HFModel(ours)
    trace = model(ids)
    close(trace.logits, expected.logits, 1e-5)
    sizes = []
    for layer, weights in zip(trace.layers, expected.attentions, strict=True):
        attention = layer.attention
        assert attention is not None and attention.q.shape[3] == model.config.width == attention.z.shape[3]
        close(attention.weights, weights, 1e-5)
        used = [x.abs().amax(dim=(0, 1, 2)).count_nonzero() for x in (attention.q, attention.z)]
        sizes.append(int(used[0]))
        assert used[0] == used[1]
    assert sorted(sizes) == [8, 512]
