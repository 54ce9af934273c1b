"""Sounds from strangers to what a speech model reads.

    WAV, FLAC, OGG, MP3 ─ read() ─▶ Sound ─ at() ─▶ samples at the model's rate ─ Hearing.features() ─▶ its tensors

A file's length is known from its header: what is too long is refused before it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import gcd, isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, check_installed
from attnviz.nn.encoding import Encoding

MAX_BYTES = 50_000_000
MAX_SECONDS = 30.0  # 1,500 tokens of most models, whose attention then takes 9 MB a head
MIN_SECONDS = 0.1
RATES = (4_000, 192_000)  # samples a second
MAX_CHANNELS = 8
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Sound:
    """One channel of samples, float32 (n,) from -1 to 1, and how many a second has."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def at(self, rate: int) -> np.ndarray:
        """The samples at another rate, float32 (n,): low-pass filtered, by a polyphase filter."""
        if rate == self.rate:
            return self.samples
        check_installed("A sound of another sampling rate", "scipy")
        from scipy.signal import resample_poly

        shared = gcd(rate, self.rate)
        return np.asarray(resample_poly(self.samples, rate // shared, self.rate // shared), dtype=np.float32)


def read(source: bytes | Path) -> Sound:
    """A sound file (WAV, FLAC, OGG, MP3), its channels mixed into one.

    Errors: InvalidParameterError in one sentence if it is none, broken, too long, or too short.
    """
    check_installed("Reading a sound", "soundfile")
    import soundfile

    data = _file(source) if isinstance(source, Path) else source
    if len(data) > MAX_BYTES:
        raise InvalidParameterError(f"The sound file has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    about = _guarded(lambda: soundfile.info(BytesIO(data)))
    _check(about.frames, about.samplerate, about.channels)
    wave, rate = _guarded(lambda: soundfile.read(BytesIO(data), about.frames, dtype="float32", always_2d=True))
    return _whole(Sound(wave.mean(axis=1), int(rate)))


def sound(given: Any, rate: int) -> Sound:
    """What a person has: a file's content or path, an array or tensor at this rate, or (array, its own rate).

    An array is (samples,) or, as soundfile gives it, (samples, channels). Errors: InvalidParameterError.
    """
    if isinstance(given, Sound):
        return _whole(given)
    if isinstance(given, str):
        given = Path(given)
    if isinstance(given, bytes | Path):
        return read(given)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], int):
        given, rate = given
    wave = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    if not isinstance(wave, np.ndarray) or wave.dtype.kind != "f" or wave.ndim not in (1, 2):
        what = f"a {type(given).__name__}" if not isinstance(wave, np.ndarray) else f"{wave.dtype} {wave.shape}"
        raise InvalidParameterError(
            f"a sound is a WAV, FLAC, OGG or MP3 file, floating-point samples (n,) or (n, channels), or such samples "
            f"with their rate, not {what}"
        )
    _check(wave.shape[0], rate, 1 if wave.ndim == 1 else wave.shape[1])
    return _whole(Sound(np.asarray(wave if wave.ndim == 1 else wave.mean(axis=1), dtype=np.float32), rate))


def _check(n_samples: int, rate: int, channels: int) -> None:
    """Errors: InvalidParameterError for a sound that is too long, too short, or of an odd rate."""
    if not RATES[0] <= rate <= RATES[1]:
        raise InvalidParameterError(f"The sound has {rate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} are read.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidParameterError(f"The sound has {channels} channels; 1 to {MAX_CHANNELS} are read.")
    seconds = n_samples / rate
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InvalidParameterError(
            f"The sound is {seconds:.2f} seconds long; {MIN_SECONDS} to {MAX_SECONDS:.0f} are read."
        )


def _whole(given: Sound) -> Sound:
    """Errors: InvalidParameterError if some samples are no numbers, or far too loud to be a sound's."""
    _check(len(given.samples), given.rate, 1)
    loudest = float(np.abs(given.samples).max())
    if not isfinite(loudest) or loudest > 2:
        raise InvalidParameterError(f"The samples reach {loudest:g}; those of a sound lie between -1 and 1.")
    return given


@dataclass(frozen=True, eq=False)
class Hearing:
    """How a sound becomes a model's features.

    Arguments
        extractor: transformers' own feature extractor, as the model's folder sets it.
        rate: samples a second that the model reads.
        stride: samples from one token to the next, where the model's convolutions say so; 0 where they do not.
        bands: of a spectrogram cut into patches, how many lie above each other; 1 where a token is a moment.
        special: tokens before those of the sound.
    """

    extractor: Any
    rate: int
    stride: int = 0
    bands: int = 1
    special: int = 0

    def features(self, given: Any) -> dict[str, Tensor]:
        """What a model's forward pass takes of one sound. Errors: InvalidParameterError as `sound`."""
        samples = sound(given, self.rate).at(self.rate)
        found = self.extractor(samples, sampling_rate=self.rate, return_tensors="pt")
        return {name: torch.as_tensor(x) for name, x in found.items()}

    def encoding(self, features: Mapping[str, Tensor], n_tokens: int) -> Encoding:
        """The tokens of a sound, named by the second at which each begins (and by its band of frequencies)."""
        special = tuple(f"[{i}]" for i in range(self.special))
        columns = (n_tokens - self.special) // self.bands
        step = self.stride / self.rate if self.stride else self._seconds(features) / columns
        names = [
            f"{column * step:.2f}s" + (f" band {band}" if self.bands > 1 else "")
            for band in range(self.bands)
            for column in range(columns)
        ]
        offsets, at = [(0, 0)] * self.special, 0
        for name in names:
            offsets.append((at, at + len(name)))
            at += len(name) + 1
        labels, n = (*special, *names), self.special
        return Encoding(
            " ".join(names),
            tuple(range(len(labels))),
            labels,
            labels,
            tuple(offsets),
            (*(None,) * n, *range(len(names))),
            (*(True,) * n, *(False,) * len(names)),
        )

    def _seconds(self, features: Mapping[str, Tensor]) -> float:
        """How long the sound is that the features are of, with the silence that fills it up."""
        x = next(x for name, x in features.items() if name.startswith("input"))
        if x.dim() == 2:
            return x.shape[1] / self.rate
        bins = getattr(self.extractor, "feature_size", x.shape[1])
        frames = x.shape[2] if x.shape[1] == bins else x.shape[1]
        hop = getattr(self.extractor, "hop_length", self.rate // 100)  # Kaldi's spectra are 10 ms apart
        return float(frames * hop * getattr(self.extractor, "stride", 1) / self.rate)


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InvalidParameterError(f"{path.name} is not a file.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidParameterError(f"{path.name} cannot be read: {error.strerror}.") from None


def _guarded(decode: Callable[[], T]) -> T:
    """What soundfile returns. Errors: InvalidParameterError for whatever it raises on a file it cannot read."""
    try:
        return decode()
    except Exception:  # the library raises what its decoders raise
        raise InvalidParameterError("This is no whole sound file (WAV, FLAC, OGG or MP3) that can be read.") from None
