"""What Whisper is told before it answers: the language and the task, as transformers' generate tells it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import attnviz
from attnviz.__main__ import main
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation import run_command, sampling
from tests.support.zoo import folders

N = 5
LANGUAGES = {"<|en|>": 260, "<|de|>": 261, "<|pt|>": 262}
TASKS = {"transcribe": 263, "translate": 264}
MULTILINGUAL: dict[str, Any] = {"lang_to_id": LANGUAGES, "task_to_id": TASKS, "is_multilingual": True}
MULTILINGUAL |= {"no_timestamps_token_id": 265, "return_timestamps": False}
ENGLISH = {"is_multilingual": False, "no_timestamps_token_id": 265, "forced_decoder_ids": [[1, 265]]}
ENGLISH |= {"return_timestamps": False}
ASKED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (MULTILINGUAL, {}),
    (MULTILINGUAL, {"language": "de"}),
    (MULTILINGUAL, {"language": "Portuguese", "task": "translate"}),
    (MULTILINGUAL, {"language": "<|pt|>"}),
    (MULTILINGUAL, {"task": "translate"}),
    (MULTILINGUAL | {"forced_decoder_ids": [[1, None], [2, 263]]}, {}),
    (MULTILINGUAL | {"forced_decoder_ids": [[1, None], [2, 263]]}, {"language": "en"}),
    (MULTILINGUAL | {"forced_decoder_ids": [[1, 262], [2, 264]]}, {}),
    (MULTILINGUAL | {"language": "pt", "task": "transcribe"}, {}),
    (MULTILINGUAL | {"begin_suppress_tokens": [17, 200], "suppress_tokens": [5, 6]}, {"language": "en"}),
    (ENGLISH, {}),
    ({}, {}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whisper"
    with folders.quietly():
        folders.write("WhisperForConditionalGeneration", folder)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    import transformers

    kind = transformers.WhisperForConditionalGeneration
    return kind.from_pretrained(folder, attn_implementation="eager").eval()


def told(folder: Path, **fields: Any) -> attnviz.Model:
    """The model of the folder with these in its generation_config.json."""
    usual = {"decoder_start_token_id": 2, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
    (folder / "generation_config.json").write_text(json.dumps(usual | fields))
    return attnviz.load(str(folder))


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize(("fields", "asked"), ASKED)
def test_what_is_told_and_said_is_that_of_transformers(
    fields: dict[str, Any], asked: dict[str, Any], beams: int, folder: Path, theirs: Any, monkeypatch: Any
) -> None:
    from transformers import GenerationConfig

    model = told(folder, **fields)
    begins: list[list[int]] = []
    original = theirs._retrieve_init_tokens

    def seen(*args: Any, **named: Any) -> Any:
        found = original(*args, **named)
        begins.append(found[0].tolist())
        return found

    monkeypatch.setattr(theirs, "_retrieve_init_tokens", seen)
    monkeypatch.setattr(theirs, "generation_config", GenerationConfig.from_pretrained(folder))
    features = model.given(folders.sound())["input_features"]
    with folders.quietly(), torch.no_grad():
        said = theirs.generate(features, max_new_tokens=N, num_beams=beams, do_sample=False, **asked)[0].tolist()
    expected = said[len(begins[0]) :] if said[: len(begins[0])] == begins[0] else said
    assert sampling.prompt(model.speaking(**asked), folders.sound()).start == tuple(begins[0])
    ours = attnviz.generate(model, folders.sound(), N, n_beams=beams, **asked)
    assert list(ours.ids) == expected[: len(ours.ids)] and len(expected) - len(ours.ids) in (0, int(ours.ended))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "fields",
    [
        MULTILINGUAL,
        MULTILINGUAL | {"max_initial_timestamp_index": 3, "return_timestamps": True},
        MULTILINGUAL | {"suppress_tokens": [5, 260], "begin_suppress_tokens": [17, 281]},
        MULTILINGUAL | {"eos_token_id": 270},  # a text may end between two times
        ENGLISH,
    ],
)
def test_times_are_those_of_transformers(
    fields: dict[str, Any], beams: int, folder: Path, theirs: Any, monkeypatch: Any
) -> None:
    from transformers import GenerationConfig

    model = told(folder, **fields)
    monkeypatch.setattr(theirs, "generation_config", GenerationConfig.from_pretrained(folder))
    features = model.given(folders.sound())["input_features"]
    begins = model.speaking(timestamps=True).begins(model.given(folders.sound()))
    with folders.quietly(), torch.no_grad():
        said = theirs.generate(
            features, max_new_tokens=12, num_beams=beams, return_timestamps=True, force_unique_generate_call=True
        )[0].tolist()
    asked = None if fields["return_timestamps"] else True  # the folder says so by itself
    ours = attnviz.generate(model, folders.sound(), 12, n_beams=beams, timestamps=asked)
    expected = said[len(begins) :]
    assert tuple(said[: len(begins)]) == begins and 265 not in begins
    assert list(ours.ids) == expected[: len(ours.ids)] and len(expected) - len(ours.ids) in (0, int(ours.ended))
    assert ours.ids[0] > 265 and any(token < 265 for token in ours.ids)


def test_a_target_stands_after_what_the_model_is_told(folder: Path, theirs: Any) -> None:
    told(folder, **MULTILINGUAL)
    model = attnviz.load(str(folder), language="german", task="translate")
    trace = model.run(folders.sound(), "A cat")
    ids = list(trace.encodings[0].ids)
    assert ids[:4] == [2, 261, 264, 265] and "A cat" in trace.encodings[0].text
    assert model.tokenizer.decode(ids[4:]).strip() == "A cat" and 2 not in ids[4:] and 1 not in ids[4:]
    with torch.no_grad():
        out = theirs(model.given(folders.sound())["input_features"], decoder_input_ids=torch.tensor([ids]))
    assert trace.logits is not None and torch.allclose(trace.logits, out.logits, atol=1e-4)


def test_what_a_model_cannot_be_told_is_a_sentence(folder: Path) -> None:
    model = told(folder, **MULTILINGUAL)
    with pytest.raises(InvalidParameterError, match="'klingon' is none that this model knows: de, en, pt"):
        model.speaking("klingon")
    with pytest.raises(InvalidParameterError, match="'fr' is none that this model knows"):
        attnviz.generate(model, folders.sound(), N, language="fr")
    with pytest.raises(InvalidParameterError, match="task='sing' is none that this model knows: transcribe, translate"):
        model.speaking(task="sing")
    with pytest.raises(InvalidParameterError, match="names no languages"):
        told(folder).speaking("en")
    with pytest.raises(InvalidParameterError, match="hears one language only"):
        told(folder, **ENGLISH).speaking("en")
    with pytest.raises(InvalidParameterError, match="names no no_timestamps_token_id: it writes no times"):
        attnviz.generate(told(folder), folders.sound(), N, timestamps=True)
    for asked in ({"language": "en"}, {"timestamps": True}):
        with pytest.raises(InvalidParameterError, match="is no Whisper"):
            attnviz.load("austen").speaking(**asked)


@pytest.mark.parametrize(
    "fields",
    [
        {"lang_to_id": {"<|en|>": 10**9}},
        {"lang_to_id": ["en"]},
        {"task_to_id": {"translate": "x"}},
        {"no_timestamps_token_id": -1},
        {"return_timestamps": "yes"},
        {"max_initial_timestamp_index": -1},
        {"forced_decoder_ids": [[1, 5], [3, 6]]},
        {"forced_decoder_ids": [[1, 10**9]]},
    ],
)
def test_a_config_that_means_nothing_is_refused_in_a_sentence(fields: dict[str, Any], folder: Path) -> None:
    with pytest.raises(ModelError, match=rf"generation_config.json .*{next(iter(fields))}=.* which is none\.$"):
        told(folder, **fields)
    with pytest.raises(ModelError, match="cannot be used: language='fr' is none"):
        told(folder, **MULTILINGUAL | {"language": "fr"})


def test_the_command_line_tells_it_and_lets_it_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, sound = told(folder, **MULTILINGUAL), folders.sound()
    file = SimpleNamespace(read_bytes=lambda: sound)  # samples, for which nothing need be installed
    asked = argparse.Namespace(sound=file, image=None, target=None, language="pt", task=None, timestamps=False)
    said = attnviz.generate(model, sound, language="pt").ids
    trace = run_command.trace(model, None, asked, attnviz.Intervention())
    assert trace.encodings[0].ids == (2, 262, 263, 265, *said) and trace.source is not None
    asked.timestamps = True
    timed = attnviz.generate(model, sound, language="pt", timestamps=True).ids
    assert run_command.trace(model, None, asked, attnviz.Intervention()).encodings[0].ids == (2, 262, 263, *timed)
    asked.timestamps, asked.target = False, "A cat"
    assert run_command.trace(model, None, asked, attnviz.Intervention()).encodings[0].ids[:4] == (2, 262, 263, 265)
    assert main(["run", "austen", "--model", "austen", "--language", "pt"]) == 1
    assert "is no Whisper" in capsys.readouterr().err
