"""Sounds from strangers: read, mixed, brought to the model's rate, and refused before memory is taken."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnviz.errors import InvalidParameterError
from attnviz.inputs import sounds
from attnviz.inputs.sounds import Hearing, Sound, sound

RATE = 16_000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    """A sine: float32 (n,)."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_samples_at_the_models_rate_stay_as_they_are():
    wave = tone(1)
    assert np.array_equal(sound(wave, RATE).at(RATE), wave)
    assert np.array_equal(sound(torch.from_numpy(wave), RATE).samples, wave)
    assert sound(wave, RATE).seconds == 1


def test_channels_are_mixed():
    left, right = tone(1), tone(1, hertz=220)
    mixed = sound(np.stack([left, right], axis=1), RATE).samples
    assert np.allclose(mixed, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_is_the_same_tone(rate: int):
    pytest.importorskip("scipy", reason="needs the extra sound")
    brought = sound((tone(1, rate), rate), RATE).at(RATE)
    assert brought.dtype == np.float32 and abs(len(brought) - RATE) <= 1
    middle = slice(1000, 15_000)  # beside the ends, where a filter has half of its samples
    assert np.allclose(brought[middle], tone(1)[middle], atol=5e-3)


def nan() -> np.ndarray:
    wave = tone(1)
    wave[5] = np.nan
    return wave


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (tone(0.05), "0.05 seconds long; 0.1 to 30"),
        (np.zeros(31 * RATE, np.float32), "31.00 seconds long"),
        (np.zeros((RATE, 9), np.float32), "9 channels; 1 to 8"),
        ((tone(1), 500_000), "500,000 samples a second"),
        ((tone(1), 100), "100 samples a second"),
        (nan(), "The samples reach nan"),
        (100 * tone(1), "The samples reach 50; those of a sound lie between -1 and 1"),
        (np.zeros(RATE, np.int16), r"not int16 \(16000,\)"),
        ([0.0] * RATE, "not a list"),
        (None, "not a NoneType"),
        (Path("no/such.wav"), "such.wav is not a file"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_sentence(given: Any, says: str):
    if isinstance(given, Path):
        pytest.importorskip("soundfile", reason="needs the extra sound")
    with pytest.raises(InvalidParameterError, match=says):
        sound(given, RATE)


class Extractor:
    """A feature extractor that hands over what it is given."""

    sampling_rate = RATE

    def __call__(self, samples: np.ndarray, **more: Any) -> dict[str, Any]:
        return {"input_values": torch.from_numpy(samples)[None]}


def test_tokens_are_named_by_the_second_at_which_they_begin():
    hearing = Hearing(Extractor(), RATE, stride=320)
    features = hearing.features(tone(1))
    assert features["input_values"].shape == (1, RATE)
    encoding = hearing.encoding(features, 49)
    assert encoding.tokens[:3] == ("0.00s", "0.02s", "0.04s") and encoding.tokens[-1] == "0.96s"
    assert encoding.word_texts == encoding.tokens and not any(encoding.special)
    spread = Hearing(Extractor(), RATE).encoding(features, 4)  # no stride is known: even parts of the whole
    assert spread.tokens == ("0.00s", "0.25s", "0.50s", "0.75s")


def test_patches_of_a_spectrogram_are_named_by_second_and_band():
    hearing = Hearing(Extractor(), RATE, bands=2, special=2)
    encoding = hearing.encoding(hearing.features(tone(1)), 2 + 2 * 4)
    assert encoding.tokens[:4] == ("[0]", "[1]", "0.00s band 0", "0.25s band 0")
    assert encoding.tokens[-1] == "0.75s band 1" and encoding.special[:3] == (True, True, False)


# ---- files ---------------------------------------------------------------------------------------


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("soundfile", reason="needs the extra sound")


def written(library: Any, wave: np.ndarray, rate: int = RATE, kind: str = "WAV") -> bytes:
    file = BytesIO()
    library.write(file, wave, rate, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_files_are_read(library: Any, kind: str, tmp_path: Path):
    data = written(library, np.stack([tone(1), tone(1)], axis=1), kind=kind)
    heard = sounds.read(data)
    assert heard.rate == RATE and abs(heard.seconds - 1) < 0.1
    assert np.abs(heard.samples).max() == pytest.approx(0.5, abs=0.05)
    (tmp_path / "x.sound").write_bytes(data)
    assert np.array_equal(sound(str(tmp_path / "x.sound"), RATE).samples, heard.samples)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "no whole sound file"), (b"RIFF" + bytes(60), "no whole sound file"), (b"\x89PNG\r\n", "no whole sound")],
)
def test_what_is_no_file_of_a_sound_is_refused(library: Any, data: bytes, says: str):
    with pytest.raises(InvalidParameterError, match=says):
        sounds.read(data)


def test_a_header_that_says_hours_is_refused_before_it_is_decoded(library: Any, monkeypatch: pytest.MonkeyPatch):
    data = written(library, np.zeros(40 * RATE, np.float32))
    monkeypatch.setattr(library, "read", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InvalidParameterError, match=r"40\.00 seconds long; 0\.1 to 30 are read"):
        sounds.read(data)
    monkeypatch.setattr(sounds, "MAX_BYTES", 1000)
    with pytest.raises(InvalidParameterError, match="at most 1,000 are read"):
        sounds.read(data)


def test_a_sound_is_a_sound_again():
    heard = Sound(tone(1), RATE)
    assert sound(heard, 8_000) is heard
