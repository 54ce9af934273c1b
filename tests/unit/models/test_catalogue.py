"""The models by name: MiniLM against Hugging Face, untrained ones, the hub, and running texts."""

from __future__ import annotations

import copy
import json
import math
import re
import shutil
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import attnviz
from attnviz import Intervention, InvalidParameterError, Model, ModelError, Transformer, catalogue, load, preset
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models import catalogue as models
from attnviz.models.marian import INFOS
from attnviz.models.model import LONGEST_ENCODED, MOST_ENCODED
from attnviz.nn.config import PRESETS
from attnviz.nn.embeddings import patch_names
from tests.support.parity import close

TIRED = "The animal didn't cross the street because it was too tired."
TEXTS = [
    TIRED,
    "The animal didn't cross the street because it was too wide.",
    "",
    "a",
    "Café, naïve — “well-known” [CLS] <pad> words\n\tand  blanks. 日本語 😀 supercalifragilistic",
    "word " * 80,
]

# ------------------------------------------------------------------------------- MiniLM against Hugging Face


def reference(hf_minilm, ids: torch.Tensor, lengths: list[int] | None = None):
    real = torch.ones_like(ids)
    for row, n in enumerate(lengths or []):
        real[row, n:] = 0
    with torch.inference_mode():
        return hf_minilm(ids, attention_mask=real, output_hidden_states=True, output_attentions=True)


def same(trace, output, tolerance: float = 1e-5) -> None:
    """Hidden states and attentions of all tokens, and the queries that are padding left out."""
    assert len(trace.hidden_states) == len(output.hidden_states) == 7
    assert len(trace.attentions) == len(output.attentions) == 6
    for row, n in enumerate(trace.lengths):
        for ours, theirs in zip(trace.hidden_states, output.hidden_states, strict=True):
            close(ours[row, :n], theirs[row, :n], tolerance)
        for ours, theirs in zip(trace.attentions, output.attentions, strict=True):
            close(ours[row, :, :n], theirs[row, :, :n], tolerance)
        close(trace.final[row, :n], output.last_hidden_state[row, :n], tolerance)


@pytest.mark.parametrize("text", TEXTS)
def test_minilm_is_hugging_faces(minilm, hf_minilm, text: str) -> None:
    trace = minilm.run(text)
    same(trace, reference(hf_minilm, torch.tensor([trace.encodings[0].ids])))


def test_minilm_on_a_padded_batch(minilm, hf_minilm) -> None:
    trace = minilm.run(TEXTS)
    lengths = [len(encoding) for encoding in trace.encodings]
    assert trace.lengths == tuple(lengths)
    ids = torch.zeros(len(TEXTS), max(lengths), dtype=torch.int64)
    for row, encoding in enumerate(trace.encodings):
        ids[row, : len(encoding)] = torch.tensor(encoding.ids)
    same(trace, reference(hf_minilm, ids, lengths))


def test_minilm_in_float64_leaves_no_room_for_a_difference(minilm, hf_minilm) -> None:
    """1e-10, padded queries too: what float32 shows is rounding and nothing else."""
    ours, theirs = copy.deepcopy(minilm.transformer).double(), copy.deepcopy(hf_minilm).double()
    lengths = [16, 3, 9]
    ids = torch.randint(1000, 29_000, (3, 16))
    trace = ours(ids, lengths=lengths)
    output = reference(theirs, ids, lengths)
    same(trace, output, 1e-10)
    for ours, theirs in zip(trace.hidden_states, output.hidden_states, strict=True):
        close(ours, theirs, 1e-10)


def test_minilm_on_512_tokens(minilm, hf_minilm) -> None:
    trace = minilm.run("The quick brown fox jumps over the lazy dog, again and again. " * 60)
    assert trace.final.shape == (1, 512, 384)
    assert trace.encodings[0].cut > 0
    same(trace, reference(hf_minilm, torch.tensor([trace.encodings[0].ids])))


def test_minilm_tokens_are_hugging_faces(minilm, minilm_files) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(minilm_files)
    for text in TEXTS:
        text = text.replace("[CLS]", "CLS")  # which they take for the special token, and we for what was typed
        output = theirs(text, truncation=True, max_length=512)
        assert list(minilm.encode(text).ids) == output["input_ids"]
        assert list(minilm.run(text).tokens) == theirs.convert_ids_to_tokens(output["input_ids"])


def test_minilm_knows_which_sentences_mean_the_same(minilm) -> None:
    """The weights are the trained ones: means of the last layer, as the model was trained to compare."""
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "The stock market fell sharply."]
    means = torch.cat([minilm.run(text).final.mean(1) for text in texts])
    means = torch.nn.functional.normalize(means, dim=-1)
    near, far = (means[0] @ means[1]).item(), (means[0] @ means[2]).item()
    assert near > 0.6
    assert far < 0.2


def test_minilms_line_of_the_catalogue_is_true(minilm) -> None:
    info, config = minilm.info, minilm.transformer.config
    assert info == catalogue()[0]
    assert (info.name, info.family, info.trained) == ("minilm", "BERT", True)
    assert (info.n_layers, info.n_heads, info.d_model, info.max_len) == (6, 12, 384, 512)
    assert (config.n_layers, config.n_heads, config.d_model, config.max_len) == (6, 12, 384, 512)
    count = sum(p.numel() for p in minilm.transformer.parameters())
    assert info.n_parameters == count == config.n_parameters
    assert minilm.unused_weights == ("embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight")
    assert not minilm.transformer.training


def test_the_package_is_read_and_never_imported(minilm) -> None:
    assert models.MINILM_PACKAGE not in sys.modules


def copy_of(files: Path, folder: Path, *, without: str = "") -> Path:
    for file in files.iterdir():
        if file.is_file() and file.name not in (without, "model.safetensors"):
            shutil.copy(file, folder)
    return folder


def test_other_weights_under_minilms_name_are_refused(minilm_files, tmp_path, monkeypatch) -> None:
    copy_of(minilm_files, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(models, "minilm_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"SHA-256 is [0-9a-f]{12}…, not 53aa51172d14…"):
        load("minilm")


def test_one_changed_byte_is_enough(minilm_files, tmp_path, monkeypatch) -> None:
    copy_of(minilm_files, tmp_path)
    data = bytearray((minilm_files / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    monkeypatch.setattr(models, "minilm_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="SHA-256"):
        load("minilm")


def test_the_checksum_is_taken_beside_the_loading(minilm_files, monkeypatch) -> None:
    both = threading.Barrier(2, timeout=60)  # broken, if one of them ends before the other begins
    real = models._load_folder

    def load_folder(*given, **more) -> Model:
        both.wait()
        return real(*given, **more)

    def sha256(file: Path) -> str:
        both.wait()
        return models.MINILM_SHA256

    monkeypatch.setattr(models, "_load_folder", load_folder)
    monkeypatch.setattr(models, "sha256", sha256)
    assert load("minilm").info.name == "minilm"


def test_an_empty_file_is_not_minilm(minilm_files, tmp_path, monkeypatch) -> None:
    copy_of(minilm_files, tmp_path)
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(models, "minilm_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="SHA-256 is e3b0c44298fc…"):
        load("minilm")


def test_minilm_without_its_weights(minilm_files, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(models, "minilm_folder", lambda: copy_of(minilm_files, tmp_path))
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load("minilm")


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json"])
def test_minilm_without_another_file(missing: str, minilm_files, tmp_path, monkeypatch) -> None:
    copy_of(minilm_files, tmp_path, without=missing)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "model.safetensors").symlink_to(minilm_files / "model.safetensors")
    monkeypatch.setattr(models, "minilm_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=re.escape(missing)):
        load("minilm")


# ------------------------------------------------------------------------------------------ untrained models


@pytest.mark.parametrize("info", catalogue(), ids=lambda info: info.name)
def test_every_line_of_the_catalogue_loads_as_announced(info) -> None:
    model = load(info.name)
    assert model.info == info
    config = model.transformer.config
    assert (info.n_layers, info.n_heads, info.d_model, info.max_len, info.n_parameters) == (
        config.n_layers,
        config.n_heads,
        config.d_model,
        config.max_len,
        config.n_parameters,
    )
    assert sum(p.numel() for p in model.transformer.parameters()) == info.n_parameters
    target = "Das Tier war müde." if config.kind == "encoder-decoder" else None
    image = torch.zeros(config.channels, config.image_size, config.image_size)
    trace = model.run(image if config.channels else TIRED, target)
    assert trace.title == info.title
    assert trace.final.isfinite().all()
    expected = patch_names(config) if config.channels else model.encode(TIRED) if not target else model._goal(target)
    assert trace.tokens == list(expected.tokens)


def test_the_catalogues_names_are_unique_and_the_trained_model_is_first() -> None:
    names = [info.name for info in catalogue()]
    bundled = {folder.parent.name for folder in models.BUNDLED.glob("*/config.json")}
    assert len(set(names)) == len(names) and set(names) == {
        "minilm",
        *bundled,
        *filter(models.installed, INFOS),
        *(f"scratch:{name}" for name in PRESETS),
    }
    assert catalogue()[0].trained
    with pytest.raises(FrozenInstanceError):
        catalogue()[0].name = "mine"  # type: ignore[misc]


def weights_of(name: str) -> torch.Tensor:
    return load(name).transformer.embed["tokens"].weight


def test_the_seed_makes_the_model() -> None:
    state = torch.get_rng_state()
    first, again, other = (
        weights_of("scratch:test"),
        weights_of("scratch:test?seed=0"),
        weights_of("scratch:test?seed=1"),
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(weights_of("scratch"), weights_of("scratch:tiny"))
    assert load("scratch:test?seed=7").info.name == "scratch:test?seed=7"
    assert state.shape == torch.get_rng_state().shape


def test_threads_that_load_at_once_get_the_same_models() -> None:
    names = [f"scratch:test?seed={seed}" for seed in range(4)]
    alone = [weights_of(name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(weights_of, names * 4))
    for n, weights in enumerate(together):
        assert torch.equal(weights, alone[n % 4])


@pytest.mark.parametrize(
    "name",
    [
        "scratch:huge",
        "scratch:test?seed=",
        "scratch:test?seed=-1",
        "scratch:test?seed=1.5",
        "scratch:test?seed=٣",
        "scratch:test?size=3",
        "scratch:test?seed=1&seed=2",
        "scratch:test?seed=" + "9" * 40,
        "scratch?seed=x",
    ],
)
def test_bad_names_of_untrained_models(name: str) -> None:
    with pytest.raises(ModelError, match="scratch"):
        load(name)


def test_a_seed_is_never_cut_short() -> None:
    """Either it is refused or it is the one that was asked for."""
    try:
        model = load("scratch:test?seed=12345678901")
    except ModelError:
        return
    assert model.info.name.endswith("=12345678901")


ODD_NAMES = ["", " ", "gpt5", "MiniLM", "a" * 300, "a/" + "b" * 300, "a\0b", "/dev/null", "/nowhere/at/all", None, 3]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_unknown_names_get_one_clear_sentence(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        load(name)
    assert len(str(caught.value)) < 600
    if name == "gpt5":
        assert "minilm" in str(caught.value)
        assert "scratch:tiny" in str(caught.value)


# ----------------------------------------------------------------------------------------------------- runs


def test_a_run_is_frozen_complete_and_without_gradients(minilm) -> None:
    trace = minilm.run(TIRED)
    assert trace.tokens == list(trace.encodings[0].tokens)
    assert trace.encodings[0].text == TIRED
    assert trace.title == "MiniLM"
    assert trace.final.is_inference()
    assert trace.lengths == (len(trace.tokens),)
    assert "6 layers × 12 heads, 1 × 16 tokens" in repr(trace)
    assert repr(trace.layers[0].attention) == "AttentionTrace(1 × 12 heads, 16 queries × 16 keys)"
    assert len(repr(trace.layers[0])) < 200 and repr(minilm).startswith("Model(MiniLM: 6 layers × 12 heads, 22,")
    with pytest.raises(FrozenInstanceError):
        trace.title = "mine"  # type: ignore[misc]
    close(trace.attentions[0].sum(-1), torch.ones(1, 12, 16), 1e-6)


def test_the_last_texts_are_remembered_as_tokens(minilm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read once, however often a page asks; a long one, and one of long ago, is read again."""
    model, read, encode = replace(minilm), [], Tokenizer.encode
    monkeypatch.setattr(
        Tokenizer, "encode", lambda self, *given, **n: read.append(given[0]) or encode(self, *given, **n)
    )
    first = model.encode("one")
    assert model.encode("one") is first and model.run("one").encodings[0] == first and read == ["one"]
    for n in range(100):
        model.encode(f"another {n}")
        assert model.encode("one") is first
    assert len(read) == 101 and len(model._encoded) == MOST_ENCODED
    model.encode("another 0")
    long = "word " * LONGEST_ENCODED
    assert model.encode(long) == model.encode(long)
    assert read[101:] == ["another 0", long, long]


def test_a_padded_batch_equals_single_runs(minilm) -> None:
    batch = minilm.run(TEXTS)
    assert batch.tokens == [list(encoding.tokens) for encoding in batch.encodings]
    for row, text in enumerate(TEXTS):
        single = minilm.run(text)
        n = len(single.tokens)
        close(batch.final[row, :n], single.final[0], 1e-5)
        for both, one in zip(batch.attentions, single.attentions, strict=True):
            close(both[row, :, :n, :n], one[0], 1e-5)
            assert both[row, :, :, n:].eq(0).all()


def test_one_text_in_a_list_is_that_text(minilm) -> None:
    assert torch.equal(minilm.run([TIRED]).final, minilm.run(TIRED).final)
    assert torch.equal(minilm.run((TIRED,)).final, minilm.run(TIRED).final)


def test_a_long_text_is_cut_and_counted(minilm) -> None:
    encoding = minilm.run("word " * 600).encodings[0]
    assert len(encoding) == 512
    assert encoding.cut == 90  # 600 words, 510 places beside [CLS] and [SEP]


def test_what_a_trace_holds_grows_with_the_tokens(minilm) -> None:
    sizes = {n: minilm.run("word " * (n - 2)).nbytes for n in (128, 256, 384, 512)}
    steps = [sizes[256] - sizes[128], sizes[384] - sizes[256], sizes[512] - sizes[384]]
    assert max(steps) <= 1.01 * min(steps)
    assert sizes[512] == pytest.approx(4 * sizes[128], rel=0.01)
    # per token and layer 8 vectors of 384 float32: q, k, v, z, out, mid, post, and one input or output
    assert sizes[512] < 512 * 6 * 8 * 384 * 4 * 1.1


@pytest.mark.parametrize("kind", ["hot", "unscaled", "causal", "window", "head off", "blocked", "no positions"])
def test_interventions_on_the_real_model(minilm, kind: str) -> None:
    change = {
        "hot": Intervention(temperature=50.0),
        "unscaled": Intervention(scaled=False),
        "causal": Intervention(mask="causal"),
        "window": Intervention(mask=("window", 1)),
        "head off": Intervention(head_scale={(2, 5): 0.0}),
        "blocked": Intervention(blocked=[(3, 4)]),
        "no positions": Intervention(positions="none"),
    }[kind]
    before = minilm.run(TIRED)
    trace = minilm.run(TIRED, intervention=change)
    after = minilm.run(TIRED)
    assert torch.equal(before.final, after.final)
    assert (trace.final - before.final).abs().max() > 0.01
    assert trace.intervention == change
    first, plain, n = trace.layers[0].attention, before.layers[0].attention, len(trace.tokens)
    match kind:
        case "hot":
            assert (first.weights - 1 / n).abs().max() < (plain.weights - 1 / n).abs().max()
            close(first.weights, (plain.scores / 50).softmax(-1))
        case "unscaled":
            close(first.scores, plain.scores * math.sqrt(32), 1e-4)
        case "causal":
            assert all(weights.triu(1).eq(0).all() for weights in trace.attentions)
        case "window":
            assert first.weights.triu(2).eq(0).all()
            assert first.weights.tril(-2).eq(0).all()
        case "head off":
            third, same = trace.layers[2].attention, before.layers[2].attention
            w_o = minilm.transformer.encoder["layers"][2].self_attn.out_proj.weight[:, 160:192]
            close(third.out, same.out - same.z[:, 5] @ w_o.T)
            assert torch.equal(trace.layers[1].resid_post, before.layers[1].resid_post)
        case "blocked":
            assert all(weights[:, :, 3, 4].eq(0).all() for weights in trace.attentions)
            assert trace.attentions[0][:, :, 4, 3].gt(0).all()
        case "no positions":
            words = "cat sat dog"
            one = minilm.run(words, intervention=change).final
            other = minilm.run("dog sat cat", intervention=change).final
            close(one[:, [0, 3, 2, 1, 4]], other, 1e-4)


def test_sessions_in_threads_do_not_disturb_each_other(minilm) -> None:
    texts = [TIRED, "A short one.", "Another text of some length, for the third session."]
    changes = [
        None,
        Intervention(temperature=0.1),
        Intervention(head_scale={3: 0.0}),
        Intervention(mask="causal"),
    ]
    jobs = [(text, change) for text in texts for change in changes]
    alone = [minilm.run(text, intervention=change).final for text, change in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: minilm.run(job[0], intervention=job[1]).final, jobs * 3))
    for n, final in enumerate(together):
        assert torch.equal(final, alone[n % len(jobs)])


def tiny_model(minilm: Model, kind: str, **changes) -> Model:
    """An untrained model of any kind that reads MiniLM's word pieces."""
    config = preset("test", kind=kind, vocab_size=30_522, **changes)
    transformer = Transformer(config, torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    return Model(replace(minilm.info, title="Small"), transformer, minilm.tokenizer)


def test_a_source_and_a_target(minilm) -> None:
    model = tiny_model(minilm, "encoder-decoder", head="lm")
    trace = model.run(["the cat sat", "a dog"], target=["die katze", "ein sehr alter hund"])
    assert trace.tokens == [list(model.encode(text).tokens) for text in ("die katze", "ein sehr alter hund")]
    assert trace.source.tokens == [list(model.encode(text).tokens) for text in ("the cat sat", "a dog")]
    assert trace.title == trace.source.title == "Small"
    single = model.run("a dog", target="ein sehr alter hund")
    n, m = len(single.tokens), len(single.source.tokens)
    close(trace.logits[1, :n], single.logits[0])
    close(trace.cross_attentions[0][1, :, :n, :m], single.cross_attentions[0][0])
    assert trace.cross_attentions[0][1, :, :, m:].eq(0).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.run([]), InvalidParameterError, "text"),
        (lambda m: m.run(None), InvalidParameterError, "text.*None"),
        (lambda m: m.run(3), InvalidParameterError, "text.*3"),
        (lambda m: m.run(["a", 3]), InvalidParameterError, "text.*3"),
        (lambda m: m.run(b"bytes"), InvalidParameterError, "text"),
        (lambda m: m.run("a", target="b"), InvalidParameterError, "encoder.*target"),
        (lambda m: m.run("a\ud800"), InvalidParameterError, "D800"),
        (lambda m: m.run("a" * 1_000_001), InvalidParameterError, "1,000,001"),
        (lambda m: m.run("a", intervention=0.5), InvalidParameterError, "intervention=0.5 is no attnviz.Intervention"),
        (lambda m: m.run("a", intervention={"temperature": 2}), InvalidParameterError, "is no attnviz.Intervention"),
        (lambda m: m.run("a", intervention=Intervention(scaled=False, layers=[6])), InvalidParameterError, "layer 6"),
        (lambda m: m.run("a", intervention=Intervention(head_scale={12: 0.0})), InvalidParameterError, "head 12 of 12"),
        (lambda m: m.run("a", intervention=Intervention(blocked=[(3, 0)])), InvalidParameterError, r"\(3, 0\).*3 × 3"),
    ],
)
def test_bad_input_to_a_run(minilm, call, error, words: str) -> None:
    with pytest.raises(error, match=words):
        call(minilm)


def test_source_and_target_have_to_match(minilm) -> None:
    model = tiny_model(minilm, "encoder-decoder")
    with pytest.raises(InvalidParameterError, match="target"):
        model.run("a")
    with pytest.raises(InvalidParameterError, match="2 texts and 1 targets do not make pairs"):
        model.run(["a", "b"], target="c")


def test_a_text_without_any_token(minilm) -> None:
    """A tokenizer that puts nothing around the text gives no token for an empty one."""
    from attnviz.inputs.tokenizers import Tokenizer

    bare = Tokenizer.train_char(["abc"], start=None, end=None)
    model = replace(tiny_model(minilm, "encoder"), preprocessor=bare)
    with pytest.raises(InvalidParameterError, match="text 1 is empty"):
        model.run(["abc", ""])


# -------------------------------------------------------------------------------------------------- bertviz


def test_bertviz_takes_a_trace(minilm) -> None:
    from bertviz import head_view, model_view

    trace = minilm.run(TIRED)
    for view in (head_view, model_view):
        html = view(trace.attentions, trace.tokens, html_action="return").data
        data = next(
            json.loads(m) for m in re.findall(r"(?:PYTHON_PARAMS = |const params = )?(\{\"attention\".*?\});", html)
        )
        (shown,) = data["attention"]
        assert shown["left_text"] == trace.tokens
        attention = torch.tensor(shown["attn"])
        assert attention.shape == (6, 12, 16, 16)
        close(attention, torch.cat(trace.attentions), 1e-6)


def test_bertviz_takes_an_encoder_decoder_trace(minilm) -> None:
    from bertviz import head_view

    trace = tiny_model(minilm, "encoder-decoder").run("the cat sat", target="die katze")
    html = head_view(
        encoder_attention=trace.source.attentions,
        decoder_attention=trace.attentions,
        cross_attention=trace.cross_attentions,
        encoder_tokens=trace.source.tokens,
        decoder_tokens=trace.tokens,
        html_action="return",
    ).data
    assert "kat" in html


# -------------------------------------------------------------------------------------------------- the hub


@pytest.mark.parametrize("name", ["", "bert", "a/b/c", "/b", "a/", "../..", "a b/c", "a/b?x", "a/" + "b" * 200])
def test_names_that_are_no_repository(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(f"hf:{name}")
    assert len(str(caught.value)) < 600


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for huggingface_hub's calls: what it answers is set by the test."""
    import huggingface_hub

    state = SimpleNamespace(info=None, error=None, folder=None, asked=[])

    def model_info(self, repo, **options):
        state.asked.append((repo, options))
        if state.error:
            raise state.error
        return state.info

    def download(repo, *args, **options):
        if state.folder is None:
            raise OSError("not cached")
        if args or "filename" in options:
            return str(state.folder / (args[0] if args else options["filename"]))
        return str(state.folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return state


def siblings(folder: Path, **others: int) -> SimpleNamespace:
    files = [SimpleNamespace(rfilename=f.name, size=f.stat().st_size) for f in folder.iterdir() if f.is_file()]
    files += [SimpleNamespace(rfilename=name, size=size) for name, size in others.items()]
    return SimpleNamespace(sha="a" * 40, siblings=files)


def test_a_bert_from_the_hub(hub, minilm, minilm_files) -> None:
    hub.info, hub.folder = siblings(minilm_files), minilm_files
    model = load("hf:sentence-transformers/all-MiniLM-L6-v2")
    assert hub.asked[0][0] == "sentence-transformers/all-MiniLM-L6-v2"
    assert hub.asked[0][1]["timeout"] <= 10
    assert model.info.name == "hf:sentence-transformers/all-MiniLM-L6-v2"
    assert torch.equal(model.run(TIRED).final, minilm.run(TIRED).final)


def test_minilm_from_the_hub_where_the_package_is_not_installed(hub, minilm, minilm_files, monkeypatch) -> None:
    hub.info, hub.folder = siblings(minilm_files), minilm_files
    monkeypatch.setattr(models, "minilm_folder", lambda: None)
    model = load("minilm")
    assert model.info == minilm.info
    assert hub.asked[0][0] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_cached_model_serves_without_a_network(hub, minilm_files) -> None:
    hub.error, hub.folder = ConnectionError("no network"), minilm_files
    assert load("hf:some/model").info.name == "hf:some/model"


def test_a_repository_without_safetensors(hub) -> None:
    hub.info = SimpleNamespace(sha="a", siblings=[SimpleNamespace(rfilename="pytorch_model.bin", size=9)])
    with pytest.raises(ModelError, match=r"some/model .*safetensors"):
        load("hf:some/model")
    hub.info = SimpleNamespace(sha="a", siblings=None)
    with pytest.raises(ModelError, match=r"some/model .*safetensors"):
        load("hf:some/model")


def test_a_repository_without_a_config_is_not_called_out_of_reach(hub, minilm_files, tmp_path) -> None:
    (tmp_path / "model.safetensors").symlink_to(minilm_files / "model.safetensors")
    hub.info, hub.folder = siblings(tmp_path), tmp_path
    with pytest.raises(ModelError, match=r"config\.json"):
        load("hf:some/model")


def test_a_repository_too_large(hub) -> None:
    hub.info = SimpleNamespace(sha="a", siblings=[SimpleNamespace(rfilename="model.safetensors", size=10**12)])
    with pytest.raises(ModelError, match="1,000,000,000,000"):
        load("hf:some/model")
    hub.info = SimpleNamespace(sha="a", siblings=[SimpleNamespace(rfilename="model.safetensors", size=1001)])
    with pytest.raises(ModelError, match=r"1,001.*1,000"):
        load("hf:some/model", max_bytes=1000)


@pytest.mark.parametrize(
    ("name", "words"),
    [("GatedRepoError", "gated"), ("RepositoryNotFoundError", "not on the Hugging Face hub")],
)
def test_what_the_hub_refuses(hub, name: str, words: str) -> None:
    from huggingface_hub import errors

    kind = getattr(errors, name)
    hub.error = kind.__new__(kind)
    with pytest.raises(ModelError, match=words):
        load("hf:some/model")


def answers_half() -> socket.socket:
    """A server that answers the first question about the model, and then nothing any more."""
    server = socket.create_server(("127.0.0.1", 0))
    body = json.dumps(
        {
            "_id": "1",
            "id": "some/model",
            "modelId": "some/model",
            "sha": "a" * 40,
            "private": False,
            "tags": [],
            "siblings": [{"rfilename": "config.json", "size": 10}, {"rfilename": "model.safetensors", "size": 99}],
        }
    )
    answer = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    held = []  # connections stay open

    def talk() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            line = connection.recv(9999).split(b"\r\n")[0]
            if re.match(rb"GET /api/models/some/model(\?\S*)? ", line):
                connection.sendall(answer.encode())

    threading.Thread(target=talk, daemon=True).start()
    return server


@pytest.mark.parametrize("kind", ["refused", "offline", "silent", pytest.param("half", marks=pytest.mark.nightly)])
def test_a_hub_out_of_reach_is_told_within_ten_seconds(kind: str, tmp_path, monkeypatch) -> None:
    """Four kinds of dead network, each behind the real huggingface_hub; the rest still works."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # it retries in its own thread for a while after we have given up
    server = socket.create_server(("127.0.0.1", 0), backlog=50) if kind == "silent" else answers_half()
    port = 9 if kind == "refused" else server.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", kind == "offline")
    start = time.monotonic()
    with server, pytest.raises(ModelError, match=r"hub cannot be reached .*some/model"):
        load("hf:some/model")
    assert time.monotonic() - start < 10
    assert load("scratch:test").run("still here").tokens == ["[CLS]", "still", "here", "[SEP]"]


# ------------------------------------------------------------------------------------------------- the names


def test_the_public_names_are_there() -> None:
    for name in attnviz.__all__:
        assert getattr(attnviz, name) is not None
    for name in (
        "MultiheadAttention",
        "TransformerEncoderLayer",
        "TransformerEncoder",
        "TransformerDecoderLayer",
        "TransformerDecoder",
        "attend",
        "catalogue",
        "load",
        "Intervention",
        "InvalidParameterError",
        "ShapeError",
        "DTypeError",
    ):
        assert name in attnviz.__all__
