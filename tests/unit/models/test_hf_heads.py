"""What other models say at their end: the kind of each head, its numbers, and its classes by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import attnviz
from attnviz import Intervention, ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import anatomy, hf_loading
from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_model import HFModel
from tests.support.hf_architectures import BOTH, DECODER, DISTILBERT, GPT2, GROUPED, REACHED
from tests.support.parity import close

SMALL = {"num_hidden_layers": 1, "vocab_size": 300}
NAMES = {"id2label": {0: "joy", 1: "anger", 2: "fear"}, "label2id": {"joy": 0, "anger": 1, "fear": 2}}
BERT = DECODER | SMALL
ROBERTA = BERT | {"pad_token_id": 1}
DISTIL = DISTILBERT | {"n_layers": 1, "vocab_size": 300}
GPT = GPT2 | {"n_layer": 1, "vocab_size": 300}
LLAMA = GROUPED | SMALL
BART = BOTH | {"encoder_layers": 1, "decoder_layers": 1, "vocab_size": 300}
XLNET = REACHED["XLNetLMHeadModel"] | {"n_layer": 1, "vocab_size": 300}
HEADS: dict[str, tuple[dict[str, Any], str, int]] = {
    "BertForSequenceClassification": (BERT | NAMES, "classification", 3),
    "BertForNextSentencePrediction": (BERT, "classification", 2),
    "BertForTokenClassification": (BERT | NAMES, "token-classification", 3),
    "BertForQuestionAnswering": (BERT, "question-answering", 2),
    "BertForPreTraining": (BERT, "lm", 0),
    "RobertaForSequenceClassification": (ROBERTA | NAMES, "classification", 3),
    "DistilBertForQuestionAnswering": (DISTIL, "question-answering", 2),
    "DistilBertForSequenceClassification": (DISTIL | NAMES, "classification", 3),
    "ElectraForPreTraining": (BERT | {"embedding_size": 16}, "replaced-token", 0),
    "GPT2ForSequenceClassification": (GPT | NAMES, "classification", 3),
    "GPT2ForTokenClassification": (GPT | NAMES, "token-classification", 3),
    "LlamaForSequenceClassification": (LLAMA | NAMES | {"pad_token_id": None}, "classification", 3),
    "LlamaForTokenClassification": (LLAMA | NAMES, "token-classification", 3),
    "LlamaForQuestionAnswering": (LLAMA, "question-answering", 2),
    "BartForSequenceClassification": (BART | NAMES, "classification", 3),
    "XLNetForSequenceClassification": (XLNET | NAMES, "classification", 3),
}
QUICK = (
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "LlamaForSequenceClassification",
    "BertForPreTraining",
)
TEXTS = ["the cat sat on the mat", "the mat"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train_bpe(["the cat sat on the mat " * 20], 300, start=None, end="[SEP]")


def made(name: str, fields: dict[str, Any]) -> Any:
    """A model of a class of transformers with random weights, in eager attention."""
    import transformers

    kind = getattr(transformers, name)
    torch.manual_seed(0)
    return kind._from_config(kind.config_class(**fields), attn_implementation="eager").eval()


def saved(name: str, fields: dict[str, Any], folder: Path, tokenizer: Tokenizer) -> Any:
    theirs = made(name, fields)
    theirs.save_pretrained(folder)
    tokenizer.save(folder / "tokenizer.json")
    return theirs


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in HEADS]
)
def test_numbers_and_kind_of_a_head_are_the_models_own(name: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    fields, kind, n = HEADS[name]
    end = tokenizer.sep_id
    theirs = saved(name, fields | {"eos_token_id": end, "bos_token_id": end}, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    config = model.transformer.config
    assert (config.head, config.n_classes) == (kind, n)
    assert model.classes == (("joy", "anger", "fear") if n == 3 else model.classes)
    assert len(model.classes) == n
    if "NextSentence" in name:
        assert model.classes == ("follows", "does not follow")
    batch = model.run(TEXTS)
    for row, text in enumerate(TEXTS):
        trace = model.run(text)
        ids = (trace.source or trace).encodings[0].ids
        with torch.no_grad():
            out = theirs(torch.tensor([ids]))
        expected = out["start_logits"] if "start_logits" in out else out.get("prediction_logits", out.get("logits"))
        if kind == "question-answering":
            expected = torch.stack([out["start_logits"], out["end_logits"]], dim=-1)
        close(trace.logits, expected, 1e-5)
        shape = (1, len(ids), *expected.shape[2:]) if kind != "classification" else (1, n)
        assert trace.logits is not None and trace.logits.shape == shape
        assert batch.logits is not None
        padded = batch.logits[row] if kind == "classification" else batch.logits[row, : len(ids)]
        close(padded, expected[0], 1e-5)


@pytest.mark.parametrize(
    ("name", "kind", "classes"),
    [
        ("BertForPreTraining", "next-sentence", ("follows", "does not follow")),
        ("AlbertForPreTraining", "sentence-order", ("in order", "swapped")),
        pytest.param(
            "MegatronBertForPreTraining", "next-sentence", ("follows", "does not follow"), marks=pytest.mark.nightly
        ),
    ],
)
def test_the_second_head_of_pre_training_stands_beside_the_first(
    name: str, kind: str, classes: tuple[str, ...], tmp_path: Path, tokenizer: Tokenizer
) -> None:
    theirs = saved(name, BERT | {"type_vocab_size": 2, "embedding_size": 16}, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    config = model.transformer.config
    assert isinstance(config, HFConfig)
    assert (config.head, config.second_head, model.second_classes) == ("lm", kind, classes)
    seconds = ["the mat sat", "the cat sat on the mat"]
    batch = model.run(TEXTS, pair=seconds)
    change = Intervention(head_scale={0: 500.0})
    for row, (text, second) in enumerate(zip(TEXTS, seconds, strict=True)):
        trace = model.run(text, pair=second)
        ids, types = trace.encodings[0].ids, trace.encodings[0].types
        assert max(types) == 1
        with torch.no_grad():
            out = theirs(torch.tensor([ids]), token_type_ids=torch.tensor([types]))
        expected = out["sop_logits" if kind == "sentence-order" else "seq_relationship_logits"]
        assert trace.second_logits is not None and trace.second_logits.shape == (1, 2)
        close(trace.second_logits, expected, 1e-5)
        close(trace.logits, out["prediction_logits"], 1e-5)
        assert batch.second_logits is not None
        close(batch.second_logits[row], expected[0], 1e-5)
        changed = model.run(text, pair=second, intervention=change).second_logits
        assert changed is not None and (changed - expected).abs().max() > 1e-5
    heads = [part for part in anatomy.anatomy(model.transformer).columns[0].blocks[-1].parts if part.kind == "head"]
    assert [part.gives for part in heads] == [(2,)]


def test_a_file_without_the_second_head_is_read_by_our_own_layers(tmp_path: Path, tokenizer: Tokenizer) -> None:
    theirs = saved("BertForMaskedLM", BERT, tmp_path, tokenizer)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": ["BertForPreTraining"]}))
    model = attnviz.load(str(tmp_path))
    assert not isinstance(model.transformer, HFModel) and model.second_classes == ()
    trace = model.run(TEXTS[0])
    close(trace.logits, theirs(torch.tensor([trace.encodings[0].ids])).logits.detach(), 1e-5)
    assert trace.second_logits is None


def test_a_token_classifier_is_no_language_model(tmp_path: Path, tokenizer: Tokenizer) -> None:
    from attnviz.generation import sampling

    saved("LlamaForTokenClassification", LLAMA | {"num_labels": 5}, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    assert model.transformer.config.head == "token-classification"
    assert model.classes == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4")
    with pytest.raises(attnviz.InvalidParameterError, match="predicts no next token"):
        sampling.greedy(model, "the cat", 3)


def test_a_change_reaches_the_numbers_of_a_padded_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    fields = {"n_classes": 3} | LLAMA | NAMES | {"pad_token_id": None}
    fields.pop("n_classes")
    saved("LlamaForSequenceClassification", fields, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    change = Intervention(temperature=9.0, head_scale={0: 5.0})
    batch = model.run(TEXTS, intervention=change)
    for row, text in enumerate(TEXTS):
        alone = model.run(text, intervention=change).logits
        assert batch.logits is not None and alone is not None
        close(batch.logits[row], alone[0], 1e-5)
        plain = model.run(text).logits
        assert plain is not None and (alone - plain).abs().max() > 1e-5


# ---- one sentence for whatever goes wrong inside -------------------------------------------------


def broken(model: HFModel, name: str) -> None:
    def fail(*args: Any, **more: Any) -> None:
        raise RuntimeError("a message of another library, with\nits own lines")

    model.inner.get_submodule(name).forward = fail


def test_an_error_inside_a_run_is_one_sentence_that_names_the_part() -> None:
    hf_loading.register()
    model = HFModel(made("LlamaForCausalLM", LLAMA | {"attn_implementation": None}).train(False))
    broken(model, "model.layers.0.mlp.act_fn")
    with pytest.raises(ModelError) as caught:
        model(torch.tensor([[3, 4]]))
    assert str(caught.value) == (
        "A model of the type llama stops on this input in its part model.layers.0.mlp.act_fn (SiLUActivation)."
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_reason_found_while_it_runs_has_its_subject() -> None:
    model = HFModel(made("BertForMaskedLM", BERT | {"vocab_size": 64}), watched=True)

    def odd(hidden: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        return torch.softmax(hidden[None], dim=-1)[0]

    model.inner.bert.encoder.layer[0].intermediate.forward = odd
    with pytest.raises(
        ModelError, match=r"^A model of the type bert stops on this input: its weights are no softmax of .* and keys\.$"
    ):
        model(torch.tensor([[3, 4]]))


@pytest.mark.parametrize(
    ("fields", "loads"),
    [
        ({"shared_expert_intermediate_size": 1024}, True),
        ({"num_experts": 1024}, False),
        ({"rope_theta": 50_000_000}, True),
        ({"num_hidden_layers": 1024}, False),
    ],
)
def test_limits_are_read_by_meaning(fields: dict[str, int], loads: bool, tmp_path: Path) -> None:
    given = LLAMA | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    given |= {"shared_expert_intermediate_size": 16}
    made("Qwen2MoeForCausalLM", given | (fields if loads and "rope_theta" not in fields else {})).save_pretrained(
        tmp_path
    )
    if not loads or "rope_theta" in fields:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    if loads:
        assert hf_loading.load(tmp_path).transformer.config.n_layers == 1
        return
    with pytest.raises(ModelError, match=f"{next(iter(fields))}=1,024; at most 512"):
        hf_loading.load(tmp_path)


def test_a_decoder_reads_as_many_tokens_as_its_table_has(tmp_path: Path, tokenizer: Tokenizer) -> None:
    fields = BOTH | {"encoder_layers": 1, "decoder_layers": 1, "vocab_size": 300}
    fields |= {"max_target_positions": 24, "max_source_positions": 24, "decoder_start_token_id": 1}
    saved("WhisperForCausalLM", fields, tmp_path, tokenizer)
    trace = attnviz.load(str(tmp_path)).run("the cat sat on the mat " * 20)
    assert trace.final.shape[1] == 24 and trace.encodings[0].cut > 0


def test_an_encoder_decoder_without_a_start_token_begins_as_t5_does(tmp_path: Path, tokenizer: Tokenizer) -> None:
    t5 = {"vocab_size": 300, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4}
    theirs = saved("T5ForConditionalGeneration", t5, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    trace = model.run("the cat", "the mat")
    assert trace.encodings[0].ids[0] == 0 and trace.source is not None
    with torch.no_grad():
        expected = theirs(
            torch.tensor([trace.source.encodings[0].ids]), decoder_input_ids=torch.tensor([trace.encodings[0].ids])
        ).logits
    close(trace.logits, expected, 1e-5)


@pytest.mark.parametrize("flag", ["scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"])
def test_a_gpt2_that_our_layers_do_not_compute_runs_exactly(flag: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    theirs = saved("GPT2LMHeadModel", GPT | {"n_layer": 2, flag: True}, tmp_path, tokenizer)
    model = attnviz.load(str(tmp_path))
    trace = model.run(TEXTS[0])
    with torch.no_grad():
        expected = theirs(torch.tensor([trace.encodings[0].ids]), output_attentions=True)
    close(trace.logits, expected.logits, 1e-5)
    close(trace.attentions[1], expected.attentions[1], 1e-5)
    assert (model.info.family, model.transformer.config.head) == ("GPT", "lm")


@pytest.mark.parametrize("mask", [None, ("window", 3), "causal"])
def test_a_mask_without_a_formula_stays_causal(mask: Any) -> None:
    """Llama 4's chunks: no token sees a later one, whatever replaces the pattern; padding stays out too."""
    hf_loading.register()
    fields = {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 3}
    import transformers

    config = transformers.Llama4TextConfig(**LLAMA | fields, layer_types=["chunked_attention"])
    torch.manual_seed(0)
    model = HFModel(transformers.Llama4ForCausalLM._from_config(config, attn_implementation=hf_loading.NAME))
    trace = model(torch.randint(3, 64, (2, 8)), lengths=(8, 5), intervention=Intervention(mask=mask))
    weights = trace.attentions[0]
    assert weights.triu(1).abs().max() == 0
    assert weights[1, :, :, 5:].abs().max() == 0
    assert trace.layers[0].attention is not None and trace.layers[0].attention.mask.causal
    if mask == ("window", 3):
        assert weights[0, :, 7, 4].min() > 0 and weights[0, :, 7, :4].max() == 0
