"""What `attnviz.load` takes: names, folders, models in memory; where it puts them, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import attnviz
from attnviz import Intervention, InvalidParameterError, ModelError
from attnviz.generation import sampling
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.scratch import SCRATCH_TOKENIZER
from tests.support.parity import close

TEXT = "The old man said that the cat sat."
SIZES = {"vocab_size": 30_522, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return PreTrainedTokenizerFast(tokenizer_file=str(SCRATCH_TOKENIZER / "tokenizer.json"))


@pytest.fixture
def llama() -> Any:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.train()


def test_a_model_in_memory_is_run_as_it_is(llama: Any, tokenizer: Any) -> None:
    model = attnviz.load(llama, tokenizer=tokenizer)
    trace = model.run(TEXT)
    ids = torch.tensor([trace.encodings[0].ids])
    llama.eval().set_attn_implementation("eager")
    with torch.no_grad():
        theirs = llama(ids, output_attentions=True, output_hidden_states=True)
    close(trace.logits, theirs.logits, 1e-5)
    for ours, weights in zip(trace.attentions, theirs.attentions, strict=True):
        close(ours, weights, 1e-6)
    assert (model.info.title, model.info.family, model.info.source) == ("LlamaForCausalLM", "llama", "in memory")
    changed = model.run(TEXT, intervention=Intervention(temperature=0.5))
    assert (changed.final - trace.final).abs().max() > 1e-3


def test_it_is_left_as_it_was_and_its_weights_are_shared(llama: Any, tokenizer: Any) -> None:
    before = {name: x.clone() for name, x in llama.state_dict().items()}
    attends, calls = llama.config._attn_implementation, []
    llama.model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    model = attnviz.load(llama, tokenizer=tokenizer)
    assert llama.training and all(p.requires_grad for p in llama.parameters())
    assert llama.config._attn_implementation == attends
    assert all(torch.equal(x, before[name]) for name, x in llama.state_dict().items())
    places = {p.data_ptr() for p in llama.parameters()}
    assert {p.data_ptr() for p in model.transformer.parameters()} == places
    with torch.no_grad():
        llama.model.layers[0].self_attn.q_proj.weight.mul_(2)  # trained on: the run follows
    changed = model.run(TEXT).layers[0].attention.q
    with torch.no_grad():
        llama.model.layers[0].self_attn.q_proj.weight.div_(2)
    close(changed, 2 * model.run(TEXT).layers[0].attention.q, 1e-5)
    half = attnviz.load(llama, tokenizer=tokenizer, dtype=torch.bfloat16)
    assert half.run(TEXT).final.dtype == torch.bfloat16 and next(llama.parameters()).dtype == torch.float32
    llama(torch.tensor([[1, 2]])).logits.sum().backward()  # still its own


def test_an_encoder_decoder_in_memory(tokenizer: Any) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30_522, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
    t5 = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).eval()
    trace = attnviz.load(t5, tokenizer=tokenizer).run(TEXT, "a cat")
    assert trace.source is not None and len(trace.cross_attentions) == 2


def test_what_may_be_its_tokenizer(llama: Any, tokenizer: Any, tmp_path: Path) -> None:
    ours = Tokenizer.from_file(SCRATCH_TOKENIZER)
    expected = attnviz.load(llama, tokenizer=tokenizer).run(TEXT).tokens
    for given in (ours, ours.library, SCRATCH_TOKENIZER, str(SCRATCH_TOKENIZER)):
        assert attnviz.load(llama, tokenizer=given).run(TEXT).tokens == expected
    with pytest.raises(ModelError, match=r"needs its tokenizer: load\(model, tokenizer=…\)"):
        attnviz.load(llama)
    llama.save_pretrained(tmp_path)
    ours.save(tmp_path / "tokenizer.json")
    again = LlamaForCausalLM.from_pretrained(tmp_path)
    assert attnviz.load(again).run(TEXT).tokens == expected  # from where the model came
    close(attnviz.load(again).run(TEXT).final, attnviz.load(tmp_path).run(TEXT).final)


def test_a_path_is_a_folder_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = Path(attnviz.models.catalogue.BUNDLED) / "induction"
    monkeypatch.chdir(tmp_path)
    Path("minilm").symlink_to(bundled)
    assert attnviz.load(Path("minilm")).info.title == attnviz.load("induction").info.title
    assert attnviz.load(str(bundled)).info.source == f"the folder {bundled}"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_runs_in_other_numbers(dtype: torch.dtype) -> None:
    plain = attnviz.load("scratch:gpt")
    for model in (attnviz.load("scratch:gpt", dtype=dtype), attnviz.load("scratch:gpt", device="cpu", dtype=dtype)):
        trace = model.run(TEXT)
        assert {trace.final.dtype, trace.layers[0].attention.q.dtype} == {dtype}
        close(trace.final.float(), plain.run(TEXT).final, 0.2 if dtype == torch.bfloat16 else 1e-5)
    assert attnviz.generate(attnviz.load("austen", dtype=torch.float64), "It is", 4) == attnviz.generate(
        attnviz.load("austen"), "It is", 4
    )


def test_an_image_model_in_other_numbers() -> None:
    digit = torch.zeros(1, 8, 8).numpy()
    model = attnviz.load("digits", dtype=torch.float64)
    assert model.run(digit).final.dtype == torch.float64


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("no/such", {}, "no folder no/such. The model of that name on the Hugging Face hub is hf:no/such"),
        ("./no/such", {}, "no/such is not a folder"),
        (Path("no/such"), {}, "no/such is not a folder"),
        (Path("minilm"), {}, "minilm is not a folder"),
        ("modle", {}, "no model 'modle'. Known are minilm"),
        (7, {}, "7 is not a model's name"),
        (torch.nn.Linear(2, 2), {}, "A Linear is no model of transformers"),
        ("scratch:tiny", {"tokenizer": 3}, "a model by name, or from a folder, has its own"),
        ("scratch:tiny", {"dtype": torch.int8}, "dtype=torch.int8 is no floating-point type"),
        ("scratch:tiny", {"dtype": "half"}, "dtype='half' is no floating-point type"),
        (
            "scratch:tiny",
            {"device": "moon"},
            "cannot go to device='moon': torch knows none of that name; \"cpu\" is one.",
        ),
        ("scratch:tiny", {"device": "cuda:99"}, "cannot go to device='cuda:99': none can be reached from here."),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(given: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said.replace("(", r"\(").replace("?", r"\?")):
        attnviz.load(given, **options)


def test_a_text_is_cut_where_no_more_is_read_than_the_model_could() -> None:
    austen = attnviz.load("austen")
    assert austen.longest == austen.transformer.config.max_len == 256
    some = replace(austen, most_tokens=16)
    text = " She was not at all what he had wished for, and that was the end of it."
    whole, cut = austen.encode(text), some.encode(text)
    assert whole.cut == 0 and len(cut) == 16 and cut.cut == len(whole) - 16 and cut.ids == whole.ids[:16]
    assert some.run(text).lengths == (16,) and len(some.run("a", pair=text).encodings[0]) == 16
    with pytest.raises(InvalidParameterError, match="fills the model's 16 tokens"):
        sampling.prompt(some, text)
    assert replace(austen, most_tokens=10**6).longest == 256
