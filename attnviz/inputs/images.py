"""Images from strangers to the pixels that a vision transformer reads.

    PNG or JPEG ─ read() ─▶ upright picture ─ Preprocessing.pixels() ─▶ float32 (1, channels, height, width)

A picture's size is known from its header: what is too large is refused before it is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, ModelError, check_installed

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "preprocessor_config.json"
FORMATS = ("PNG", "JPEG")
MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000  # decoded, 100 MB
MIN_SIDE = 8
MAX_SIDE = 4096  # that a model reads, or that a picture is scaled to
BILINEAR = 2  # Pillow's number
STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}

T = TypeVar("T")


def read(source: bytes | Path) -> Image:
    """A PNG or JPEG file, decoded and turned upright; of an animation the first frame.

    Errors: InvalidParameterError in one sentence if it is neither, broken, or too large or too small.
    """
    check_installed("Reading an image", "PIL")
    from PIL import Image, ImageOps

    data = _file(source) if isinstance(source, Path) else source
    if len(data) > MAX_BYTES:
        raise InvalidParameterError(f"The image file has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    picture = _guarded(lambda: Image.open(BytesIO(data), formats=FORMATS))
    check_size(picture)
    return _guarded(lambda: ImageOps.exif_transpose(picture))


def frames(data: bytes) -> int:
    """How many pictures a PNG or JPEG file holds: more than 1 in an animation. Errors: as `read`."""
    check_installed("Reading an image", "PIL")
    from PIL import Image

    return _guarded(lambda: getattr(Image.open(BytesIO(data), formats=FORMATS), "n_frames", 1))


def check_size(picture: Image) -> None:
    """Errors: InvalidParameterError for a picture that is too large to decode, or too small to show anything."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InvalidParameterError(f"The image has {width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are read.")
    if min(width, height) < MIN_SIDE:
        raise InvalidParameterError(f"The image has {width} × {height} pixels; it needs {MIN_SIDE} × {MIN_SIDE}.")


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a model's pixels: (scaled, cut, x · scale − mean) / std, as Hugging Face's processors do.

    Arguments
        size: side of what the model reads; channels: 1 (grey) or 3 (red, green, blue).
        resize: the picture is scaled to this side first, None: not at all; keep_shape: only its shorter side is, and
            the other one follows; crop: the middle is cut out.
        resample: Pillow's number of the filter; scale, mean, std: of values 0 … 255, one per channel.
    """

    size: int
    channels: int
    resize: int | None
    keep_shape: bool = False
    crop: bool = False
    resample: int = BILINEAR
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @classmethod
    def of(cls, given: dict[str, Any], size: int, channels: int) -> Preprocessing:
        """What a preprocessor_config.json says, for a model of images of `size`. Errors: ModelError."""
        if channels not in (1, 3):
            raise ModelError(f"Images of {channels} channels are not read; 1 (grey) and 3 (colours) are.")
        unknown = sorted(name for name, on in given.items() if name.startswith("do_") and on and name not in STEPS)
        if unknown:
            raise ModelError(f"The image preprocessing asks for {', '.join(unknown)}, which is not done here.")
        crop = given.get("do_center_crop", False) is True
        resize, keep_shape = _side(given.get("size", size)) if given.get("do_resize", True) else (None, False)
        cut = _side(given.get("crop_size", size))[0] if crop else resize
        if cut not in (size, None) or (resize is not None and resize < size) or (keep_shape and not crop):
            raise ModelError(f"The image preprocessing does not end in {size} × {size} pixels, which the model reads.")
        resample = given.get("resample", BILINEAR)
        if type(resample) is not int or resample not in range(6):
            raise ModelError(f"The image preprocessing says resample={resample!r}, which is no filter (0 to 5).")
        scale = given.get("rescale_factor", 1 / 255) if given.get("do_rescale", True) else 1.0
        mean, std = given.get("image_mean", 0.5), given.get("image_std", 0.5)
        if not given.get("do_normalize", True):
            mean, std = 0.0, 1.0
        preprocessing = cls(
            size,
            channels,
            resize,
            keep_shape,
            crop,
            resample,
            _numbers("rescale_factor", scale, 1)[0],
            _numbers("image_mean", mean, channels),
            _numbers("image_std", std, channels),
        )
        if 0.0 in preprocessing.std:
            raise ModelError("The image preprocessing divides by image_std 0.")
        return preprocessing

    def to_json(self) -> dict[str, Any]:
        """What `of` reads, and Hugging Face's image processors too."""
        side = {"height": self.size, "width": self.size}
        target = {"shortest_edge": self.resize} if self.keep_shape else {"height": self.resize, "width": self.resize}
        return {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": self.resize is not None,
            "size": side if self.resize is None else target,
            "do_center_crop": self.crop,
            "crop_size": side,
            "resample": self.resample,
            "do_rescale": True,
            "rescale_factor": self.scale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }

    def pixels(self, picture: Image) -> Tensor:
        """A picture as the model reads it: float32 (1, channels, size, size). Errors: InvalidParameterError."""
        check_size(picture)
        picture = _scaled(_guarded(lambda: _converted(picture, self.channels)), self)
        if picture.size != (self.size, self.size):
            width, height = picture.size
            raise InvalidParameterError(
                f"The image has {width} × {height} pixels; the model reads {self.size} × {self.size}."
            )
        values = np.asarray(picture, dtype=np.float64).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)
        return self._normal(torch.from_numpy((values * self.scale).astype(np.float32)))[None]

    def from_brightness(self, brightness: Tensor) -> Tensor:
        """Grey from 0 (black) to 1 (white), float (size, size), as the model reads it, without rounding to bytes.

        Returns float32 (1, channels, size, size). Errors: InvalidParameterError.
        """
        if tuple(brightness.shape) != (self.size, self.size):
            raise InvalidParameterError(
                f"brightness is ({self.size}, {self.size}) for this model, not {tuple(brightness.shape)}"
            )
        return self._normal((255 * self.scale * brightness).float().expand(self.channels, -1, -1))[None]

    def inverted(self, pixels: Tensor) -> Tensor:
        """The negative of what the model reads: bright and dark change places. (B, channels, size, size) both."""
        return self._normal(255 * self.scale - self._raw(pixels))

    def seen(self, pixels: Tensor) -> np.ndarray:
        """What the model reads, (1, channels, size, size), back as a picture: uint8 (size, size, channels)."""
        values = self._raw(pixels[0]) / self.scale
        return values.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()

    def batch(self, given: Any) -> Tensor:
        """What a person has → (B, channels, size, size).

        A file's content or path, a picture of Pillow, or an array or tensor of bytes (height, width[, 3]) is
        preprocessed. Floating-point numbers, (height, width), (channels, height, width) or with a batch before
        these, are taken as pixels that already are. A list holds several. Errors: InvalidParameterError.
        """
        if isinstance(given, list | tuple) and given:
            return torch.cat([self.batch(one) for one in given])
        x = _tensor(given)
        if x is not None and x.is_floating_point():
            return self._ready(x)
        check_installed("Reading an image", "PIL")
        from PIL import Image

        if isinstance(given, str):
            given = Path(given)
        if isinstance(given, bytes | Path):
            given = read(given)
        if isinstance(given, Image.Image):
            return self.pixels(given)
        if x is not None and x.dtype == torch.uint8 and (x.dim() == 2 or (x.dim() == 3 and x.shape[2] == 3)):
            return self.pixels(Image.fromarray(x.numpy()))
        what = f"a {type(given).__name__}" if x is None else f"{x.dtype} of the shape {tuple(x.shape)}"
        raise InvalidParameterError(
            f"an image is a PNG or JPEG file, a picture of Pillow, bytes (height, width) or (height, width, 3), or "
            f"floating-point pixels, not {what}"
        )

    def _ready(self, x: Tensor) -> Tensor:
        """Pixels that are said to be preprocessed, as a batch. Errors: InvalidParameterError if they cannot be."""
        shape = (self.channels, self.size, self.size)
        if x.dim() not in (2, 3, 4) or tuple(x.shape[-3:]) != (shape if x.dim() > 2 else shape[1:]) or not len(x):
            raise InvalidParameterError(f"pixels are {shape}, or a batch of such, not {tuple(x.shape)}")
        black, white = self._normal(torch.zeros(shape)).min(), self._normal(torch.full(shape, 255 * self.scale)).max()
        low, high, slack = float(x.min()), float(x.max()), 1e-3 * float(white - black)
        if not (black - slack <= low and high <= white + slack):  # NaN is not
            raise InvalidParameterError(
                f"pixels are {low:g} … {high:g}; this model reads {black:g} (black) … {white:g} (white)"
            )
        return x.float().reshape(-1, *shape)

    def _normal(self, x: Tensor) -> Tensor:
        """(x − mean) / std per channel, of x (…, channels, height, width)."""
        mean, std = self._per_channel()
        return (x - mean) / std

    def _raw(self, x: Tensor) -> Tensor:
        """What `_normal` was given."""
        mean, std = self._per_channel()
        return x * std + mean

    def _per_channel(self) -> tuple[Tensor, Tensor]:
        """Mean and std, (channels, 1, 1) each."""
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return mean, std


def _tensor(given: Any) -> Tensor | None:
    """An array of bytes or floating-point numbers as a tensor; None for anything else."""
    if isinstance(given, np.ndarray) and (given.dtype.kind == "f" or given.dtype == np.uint8):
        given = torch.tensor(np.ascontiguousarray(given, np.float32 if given.dtype.kind == "f" else np.uint8))
    return given.detach() if isinstance(given, Tensor) else None


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InvalidParameterError(f"{path.name[:100]} is not a file: an image is the path or the bytes of one.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidParameterError(f"{path.name[:100]} cannot be read: {error.strerror}.") from None


def _guarded(decode: Callable[[], T]) -> T:
    """What Pillow returns. Errors: InvalidParameterError for whatever it raises on a file it cannot read."""
    from PIL import Image

    try:
        return decode()
    except InvalidParameterError:
        raise
    except Image.DecompressionBombError:
        raise InvalidParameterError(f"The image has far more than {MAX_PIXELS:,} pixels.") from None
    except Exception:  # decoders raise what they like on a broken file
        raise InvalidParameterError("This is no whole PNG or JPEG image that can be read.") from None


def _converted(picture: Image, channels: int) -> Image:
    """In grey or in colour, on white where it is transparent."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut instead of scale
        picture = Image.fromarray((np.asarray(picture).clip(0, 65535) / 257).astype(np.uint8))
    if picture.mode == "F":
        raise InvalidParameterError("The image holds floating-point numbers; give them as an array instead.")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("L" if channels == 1 else "RGB")


def _scaled(picture: Image, wanted: Preprocessing) -> Image:
    """Scaled and cut."""
    if wanted.resize is not None:
        width = height = wanted.resize
        if wanted.keep_shape:
            short = min(picture.size)
            width, height = (int(wanted.resize * side / short) for side in picture.size)
            if width * height > MAX_PIXELS:
                long, wide = picture.size
                raise InvalidParameterError(f"The image of {long} × {wide} pixels is too far from square.")
        picture = picture.resize((width, height), wanted.resample)
    if not wanted.crop:
        return picture
    left, top = ((side - wanted.size) // 2 for side in picture.size)
    return picture.crop((left, top, left + wanted.size, top + wanted.size))


def _side(given: Any) -> tuple[int, bool]:
    """224, {"height": 224, "width": 224} or {"shortest_edge": 224} → the side, and whether only the shorter one is.

    Errors: ModelError.
    """
    names, sides = (set(given), list(given.values())) if isinstance(given, dict) else ({"height", "width"}, [given] * 2)
    known = names in ({"height", "width"}, {"shortest_edge"}) and all(type(side) is int for side in sides)
    if not known or len(set(sides)) > 1 or not 0 < sides[0] <= MAX_SIDE:
        raise ModelError(
            f"The image preprocessing says size {given!r:.80}; it has to be square, of 1 to {MAX_SIDE:,} pixels."
        )
    return sides[0], names == {"shortest_edge"}


def _numbers(name: str, given: Any, channels: int) -> tuple[float, ...]:
    """One finite number per channel; one number stands for all."""
    values = given if isinstance(given, list) else [given] * channels
    plain = [x for x in values if isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)]
    if len(plain) != channels or len(values) != channels:
        raise ModelError(f"The image preprocessing says {name} {given!r:.80}; it needs {channels} finite numbers.")
    return tuple(float(x) for x in plain)
