"""Models for other programs: what is written is what the model holds and computes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import attnviz
from attnviz import Model, Trace, Transformer, preset
from attnviz.__main__ import main
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models import export, folders
from attnviz.nn.config import ModelConfig


def model(minilm: Model, **changes) -> Model:
    """A small one with random weights, none of them 0, and MiniLM's word pieces."""
    config = preset("test", **{"vocab_size": 30_522, "head": "lm"} | changes)
    transformer = Transformer(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for p in transformer.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return Model(minilm.info, transformer.eval().requires_grad_(False), minilm.tokenizer)


def test_a_folder_is_the_model_again(minilm, tmp_path: Path) -> None:
    small = model(minilm)
    done = export.export(small, tmp_path / "copy", training={"seconds": 3.0}, card="# About it\n")
    found = folders.read(tmp_path / "copy")
    assert done.n_bytes == sum(file.stat().st_size for file in (tmp_path / "copy").iterdir())
    assert found.preprocessor.library.to_str() == minilm.tokenizer.library.to_str()
    assert (found.title, found.training) == (minilm.info.title, {"seconds": 3.0})
    assert (tmp_path / "copy" / "README.md").read_text() == "# About it\n"
    expected = small.transformer.state_dict()
    assert all(torch.equal(x, expected[name].half().float()) for name, x in found.transformer.state_dict().items())
    export.export(small, tmp_path / "copy")  # the same place again


def test_arrays_are_the_weights(minilm, tmp_path: Path) -> None:
    small = model(minilm)
    export.export(small, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as arrays:
        expected = small.transformer.state_dict()
        assert set(arrays) == {"config", *expected}
        assert ModelConfig.from_json(str(arrays["config"])) == small.transformer.config
        assert all(np.array_equal(arrays[name], x.numpy()) for name, x in expected.items())


@pytest.mark.parametrize(("vocab_size", "values"), [(64, True), (30_522, False)])
def test_json_holds_shapes_and_of_small_models_every_value(minilm, tmp_path: Path, vocab_size, values) -> None:
    small = model(minilm, vocab_size=vocab_size)
    done = export.export(small, tmp_path / "w.json")
    content = json.loads((tmp_path / "w.json").read_text("utf-8"))
    assert content["title"] == minilm.info.title
    assert ModelConfig.from_json(json.dumps(content["config"])) == small.transformer.config
    for name, x in small.transformer.state_dict().items():
        kept = content["weights"].pop(name)
        assert kept["shape"] == list(x.shape)
        assert ("values" in kept) == values
        if values:
            assert torch.equal(torch.tensor(kept["values"]).reshape(x.shape), x)
    assert not content["weights"]
    assert ("without values" in done.says) != values


GRAPHS = {
    "bert": {"n_types": 2, "embed_norm": True, "head_transform": True},
    "classifier": {"head": "classification", "n_classes": 3, "positions": "sinusoidal"},
    "rotary decoder": {"kind": "decoder", "positions": "rope", "norm_first": True, "final_norm": True},
    "attention only": {"kind": "decoder", "positions": "alibi", "d_ff": 0, "head": None},
    "encoder-decoder": {"kind": "encoder-decoder", "activation": "relu"},
    "vision": {
        "head": "classification",
        "n_classes": 3,
        "channels": 1,
        "image_size": 8,
        "patch_size": 2,
        "max_len": 17,
        "vocab_size": 0,
    },
}

SLOW = set(GRAPHS) - {"rotary decoder"}  # an export takes 4 to 10 s


@pytest.mark.parametrize(
    "which", [pytest.param(name, marks=pytest.mark.nightly) if name in SLOW else name for name in GRAPHS]
)
def test_onnxruntime_computes_what_torch_computes(minilm, tmp_path: Path, which: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    small = model(minilm, **{"vocab_size": 64} | GRAPHS[which])
    config = small.transformer.config
    export.export(small, tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch, n, m in ((1, 1, 1), (3, 11, 5), (2, 64, 64)):
        if config.channels:
            pixels = torch.randn(batch, 1, 8, 8)
            compare(small.transformer(pixels), session.run(None, {"pixel_values": pixels.numpy()}))
            continue
        lengths, goals = ([max(1, size - 3 * i) for i in range(batch)] for size in (n, m))
        ids, target = torch.randint(64, (batch, n)), torch.randint(64, (batch, m))
        given = {"input_ids": ids, "attention_mask": mask(lengths, n)}
        options: dict = {"lengths": lengths}
        if config.kind == "encoder-decoder":
            given |= {"decoder_input_ids": target, "decoder_attention_mask": mask(goals, m)}
            options |= {"target": target, "target_lengths": goals}
        found = session.run(None, {name: x.numpy() for name, x in given.items()})
        with torch.inference_mode():
            compare(small.transformer(ids, **options), found)


def compare(trace: Trace, found: list) -> None:
    """The graph's outputs against the trace, padding aside."""
    expected = [trace.final] if trace.logits is None else [trace.final, trace.logits]
    assert len(found) == len(expected)
    real = mask(list(trace.lengths), trace.final.shape[1]).bool()
    for ours, theirs in zip(expected, map(torch.from_numpy, found), strict=True):
        picked = (lambda x: x[real]) if ours.dim() == 3 else (lambda x: x)
        torch.testing.assert_close(picked(theirs), picked(ours), atol=1e-4, rtol=1e-4)


def mask(lengths: list[int], n: int) -> torch.Tensor:
    return (torch.arange(n) < torch.tensor(lengths)[:, None]).long()


def test_onnx_without_its_packages_says_what_to_install(minilm, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ModelError, match=r'onnxscript: pip install "attnviz\[onnx\]"'):
        export.export(model(minilm), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_what_onnx_cannot_hold_is_refused(minilm, tmp_path: Path, monkeypatch) -> None:
    preprocessor = model(minilm, kind="decoder", head="classification", n_classes=2)
    with pytest.raises(InvalidParameterError, match="decoder that classifies"):
        export.export(preprocessor, tmp_path / "m.onnx")
    monkeypatch.setattr(export, "MOST_IN_ONNX", 1000)
    with pytest.raises(InvalidParameterError, match="are more than the 1,000"):
        export.export(model(minilm), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_left_alone(minilm, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidParameterError, match="holds other files"):
        export.export(model(minilm), tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["{}"]


TINY = ["--preset", "small", "--set", "d_model=16", "n_layers=1", "batch=4", "steps=2", "warmup=1", "eval_every=2"]


def test_the_command_line_takes_log_and_card_along(tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", "copy", *TINY, "length=12", "--out", str(first)]) == 0
    assert main(["export", str(first), "--out", str(second)]) == 0
    assert "load() and --model take the folder" in capsys.readouterr().out
    for file in first.iterdir():
        assert (second / file.name).read_bytes() == file.read_bytes()
    assert attnviz.load(str(second)).info.trained


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scratch:test", "--out", "model.pt"], "model.pt is neither a folder nor a file ending in .npz, .json, .onnx"),
        (["nothing", "--out", "m.npz"], "'nothing'"),
        (["scratch:test", "--out", "taken/m.npz"], "m.npz cannot be written"),
        (["scratch:test", "--out", "folder.npz"], "folder.npz cannot be written"),
    ],
)
def test_bad_input_gets_a_sentence(arguments, words, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file, no folder")
    (tmp_path / "folder.npz").mkdir()
    assert main(["export", *arguments]) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


@pytest.mark.parametrize("ending", ["", ".npz", ".json", ".onnx"])
def test_what_is_not_made_of_our_layers_alone_is_not_exported(ending: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="bergamot-en-pt is not made of our layers alone"):
        export.export(attnviz.load("bergamot-en-pt"), tmp_path / f"model{ending}")
    assert list(tmp_path.iterdir()) == []


# ---- attentions in ONNX, and transformers' own form -------------------------------------------------------


@pytest.mark.parametrize(
    "which",
    [pytest.param(name, marks=pytest.mark.nightly) for name in ("rotary decoder", "encoder-decoder", "vision")],
)
def test_onnx_gives_out_attentions_on_request(minilm, tmp_path: Path, which: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    small = model(minilm, **{"vocab_size": 64} | GRAPHS[which])
    config = small.transformer.config
    done = export.export(small, tmp_path / "m.onnx", attentions=True)
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    ids, target = torch.randint(64, (2, 9)), torch.randint(64, (2, 5))
    given: dict = {"input_ids": ids, "attention_mask": mask([9, 6], 9)}
    if config.channels:
        given = {"pixel_values": torch.randn(2, 1, 8, 8)}
    if config.kind == "encoder-decoder":
        given |= {"decoder_input_ids": target, "decoder_attention_mask": mask([5, 3], 5)}
    found = dict(
        zip(
            [one.name for one in session.get_outputs()],
            session.run(None, {name: x.numpy() for name, x in given.items()}),
            strict=True,
        )
    )
    with torch.inference_mode():
        if config.channels:
            trace = small.transformer(given["pixel_values"])
        elif config.kind == "encoder-decoder":
            trace = small.transformer(ids, target, lengths=[9, 6], target_lengths=[5, 3])
        else:
            trace = small.transformer(ids, lengths=[9, 6])
    expected = {f"attention_{i}": x for i, x in enumerate(trace.attentions)}
    if trace.source is not None:
        expected = {f"encoder_attention_{i}": x for i, x in enumerate(trace.source.attentions)}
        expected |= {f"decoder_attention_{i}": x for i, x in enumerate(trace.attentions)}
        expected |= {f"cross_attention_{i}": x for i, x in enumerate(trace.cross_attentions)}
    assert expected.keys() == {name for name in found if "attention" in name}
    for name, weights in expected.items():
        torch.testing.assert_close(torch.from_numpy(found[name])[0], weights[0], atol=1e-5, rtol=1e-4)
        assert name in done.says


def test_the_graph_gives_hidden_states_logits_and_attentions_in_this_order(minilm) -> None:
    small = model(minilm, vocab_size=64, kind="encoder-decoder").transformer
    ids, target = torch.tensor([[3, 4, 5, 6]]), torch.tensor([[7, 8, 9]])
    trace = small(ids, target)
    hidden, logits, *weights = export._Graph(small, attentions=True)(ids, None, target, None)
    assert torch.equal(hidden, trace.final) and torch.equal(logits, trace.logits)
    pairs = zip(trace.attentions, trace.cross_attentions, strict=True)
    expected = [*trace.source.attentions, *(one for pair in pairs for one in pair)]
    assert len(weights) == len(export._attention_names(small.config)) == len(expected)
    for ours, theirs in zip(weights, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert len(export._Graph(small)(ids, None, target, None)) == 2


FORMS: dict[str, dict] = {
    "bert": {"n_types": 2, "embed_norm": True, "head_transform": True},
    "bert without a head or segments": {"embed_norm": True, "head": None},
    "gpt2": {"kind": "decoder", "norm_first": True, "final_norm": True, "activation": "gelu_tanh", "tied": False},
    "gpt2, tied": {"kind": "decoder", "norm_first": True, "final_norm": True},
}


@pytest.mark.parametrize("which", FORMS)
def test_transformers_loads_its_form_and_computes_the_same(minilm, tmp_path: Path, which: str) -> None:
    import transformers

    small = model(minilm, **FORMS[which])
    if small.transformer.config.kind == "decoder":
        small.transformer.head["out"].bias.zero_()  # type: ignore[index]
    done = export.export(small, tmp_path / "there", form="transformers")
    assert "Auto classes" in done.says
    kinds = {"decoder": transformers.AutoModelForCausalLM, "encoder": transformers.AutoModelForMaskedLM}
    kind = kinds[small.transformer.config.kind] if small.transformer.config.head else transformers.AutoModel
    theirs, outcome = kind.from_pretrained(tmp_path / "there", output_loading_info=True)
    assert (
        {name for name in outcome["missing_keys"] if "pooler" not in name} == set() == set(outcome["unexpected_keys"])
    )
    trace = small.run("The cat sat on the mat.")
    ids = torch.tensor([trace.encodings[0].ids])
    with torch.no_grad():
        out = theirs.eval()(ids, output_hidden_states=True)
    for ours, state in zip(trace.hidden_states, out.hidden_states, strict=True):
        torch.testing.assert_close(ours, state, atol=1e-4, rtol=1e-4)
    if trace.logits is not None:
        torch.testing.assert_close(trace.logits, out.logits, atol=1e-4, rtol=1e-4)
    again = attnviz.load(tmp_path / "there").run("The cat sat on the mat.")
    torch.testing.assert_close(again.final, trace.final, atol=1e-6, rtol=1e-6)


def test_the_bundled_digits_are_a_vit_of_transformers(tmp_path: Path, capsys) -> None:
    from transformers import AutoModelForImageClassification

    assert main(["export", "digits", "--out", str(tmp_path / "vit"), "--format", "transformers"]) == 0
    theirs, outcome = AutoModelForImageClassification.from_pretrained(tmp_path / "vit", output_loading_info=True)
    assert not outcome["missing_keys"] and not outcome["unexpected_keys"]
    ours = attnviz.load("digits")
    pixels = ours.preprocessor.batch(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(pixels).logits, ours.transformer(pixels).logits, atol=1e-5, rtol=1e-5)


def test_the_bundled_dates_are_a_blenderbot_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    ours = attnviz.load("dates")
    export.export(ours, tmp_path / "there", form="transformers")
    theirs, outcome = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there", output_loading_info=True)
    assert not outcome["missing_keys"] and not outcome["unexpected_keys"]
    trace = ours.run("12 May 1990", target="1990-05-12")
    assert trace.source is not None
    read, said = (torch.tensor([one.encodings[0].ids]) for one in (trace.source, trace))
    with torch.no_grad():
        out = theirs.eval()(read, decoder_input_ids=said, output_hidden_states=True)
        answer = theirs.generate(read, max_new_tokens=12, num_beams=1)[0].tolist()
    torch.testing.assert_close(trace.logits, out.logits, atol=1e-5, rtol=1e-5)
    for ours_state, state in zip(trace.hidden_states, out.decoder_hidden_states, strict=True):
        torch.testing.assert_close(ours_state, state, atol=1e-5, rtol=1e-5)
    assert answer == said[0].tolist()
    again = attnviz.load(tmp_path / "there")
    torch.testing.assert_close(again.transformer(read, said).logits, trace.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("austen", "Austen has positions='rope', a bias of its output, which GPT-2 of transformers has not"),
        ("induction", "positions='alibi'"),
        ("tales", "positions='rope', norm_first=True"),
    ],
)
def test_what_no_family_computes_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        export.export(attnviz.load(name), tmp_path / "there", form="transformers")
    assert all(part in str(caught.value) for part in said.split(", "))
    assert not (tmp_path / "there").exists()


def test_forms_and_attentions_go_with_what_can_hold_them(minilm, tmp_path: Path) -> None:
    small = model(minilm)
    for path, options, said in (
        ("m.npz", {"attentions": True}, "only an ONNX graph gives out attentions, not m.npz"),
        ("there", {"attentions": True}, "only an ONNX graph gives out attentions, not there"),
        ("m.onnx", {"form": "transformers"}, "the form of transformers is a folder, not m.onnx"),
        ("there", {"form": "torch"}, "form='torch' is not one of attnviz, transformers"),
    ):
        with pytest.raises(InvalidParameterError, match=said):
            export.export(small, tmp_path / path, **options)
