"""Speech models on a sound: their features, their tokens by name, and what they say of other input."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import attnviz
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models import hf_probe
from attnviz.models.model import Model
from tests.support.zoo import folders


def saved(name: str, folder: Path) -> Path:
    with folders.quietly():
        folders.write(name, folder)
    return folder


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("WhisperForConditionalGeneration", tmp_path_factory.mktemp("models") / "whisper")


@pytest.fixture(scope="module")
def whisper(whisper_folder: Path) -> Model:
    return attnviz.load(str(whisper_folder))


def test_a_sound_and_a_text_have_their_tokens_by_name(whisper: Model):
    trace = whisper.run(folders.sound(), "A cat")
    assert trace.source is not None
    assert trace.source.tokens[:3] == ["0.00s", "0.02s", "0.04s"] and len(trace.source.tokens) == 50
    assert trace.tokens[0] == "</s>" and "cat" in "".join(trace.encodings[0].labels)
    assert trace.cross_attentions[0].shape == (1, 4, len(trace.tokens), 50)
    assert torch.allclose(trace.cross_attentions[0].sum(-1), torch.ones(()), atol=1e-5)
    assert whisper.reads == "sound"


def test_features_are_those_of_transformers_extractor(whisper: Model):
    from transformers import WhisperFeatureExtractor

    theirs = WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    expected = theirs(folders.sound(), sampling_rate=16_000, return_tensors="pt")["input_features"]
    ours = whisper.preprocessor.features(folders.sound())["input_features"]
    assert torch.equal(ours, expected) and ours.shape == (1, 16, 100)


def test_a_text_is_no_sound(whisper: Model):
    with pytest.raises(InvalidParameterError, match=r"a sound is a WAV, FLAC, OGG or MP3 file"):
        whisper.run(["a text"], "A cat")
    with pytest.raises(InvalidParameterError, match="needs a target"):
        whisper.run(folders.sound())
    with pytest.raises(InvalidParameterError, match="reads sounds, no text with an image"):
        whisper.run("a text", image=folders.image())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("sampling_rate", 10**9, "sampling_rate=1,000,000,000; at most 192,000"),
        ("sampling_rate", 0, "sampling_rate=0"),
        ("chunk_length", 10**6, "chunk_length=1,000,000; at most 30"),
        ("n_fft", 10**8, "n_fft=100,000,000; at most 65,536"),
        ("feature_extractor_type", "NoSuchExtractor", "cannot be used"),
    ],
)
def test_hostile_settings_are_refused_in_a_sentence(name: str, value: object, says: str, whisper_folder: Path):
    file = whisper_folder / "preprocessor_config.json"
    before = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(before) | {name: value}))
        with pytest.raises(ModelError, match=says) as caught:
            attnviz.load(str(whisper_folder))
        assert "\n" not in str(caught.value)
    finally:
        file.write_text(before)


def test_an_encoder_of_sounds_alone(tmp_path: Path):
    model = attnviz.load(str(saved("Wav2Vec2Model", tmp_path / "wav2vec2")))
    trace = model.run(folders.sound())
    assert trace.tokens[:2] == ["0.00s", "0.02s"] and len(trace.tokens) == trace.final.shape[1] == 49
    with pytest.raises(InvalidParameterError, match="reads sounds, not text"):
        model.encode("a text")


def test_a_config_of_a_giant_spectrogram_is_refused_before_it_is_made():
    config = SimpleNamespace(model_type="whisper", num_mel_bins=1_000_000, max_source_positions=1_000_000)

    class Inner:
        input_modalities, main_input_name = ("audio",), "input_features"

        def forward(self, input_features: torch.Tensor) -> None: ...

    inner = Inner()
    inner.config = config
    with pytest.raises(ModelError, match=r"2,000,000 × 1,000,000 numbers is not read; at most 2,000,000"):
        hf_probe.probe(inner)
