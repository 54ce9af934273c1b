"""Images from strangers: what is no image, too large or broken is refused; the rest becomes Hugging Face's pixels."""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.images import MAX_BYTES, MAX_PIXELS, Preprocessing, frames, read
from tests.support.examples import examples
from tests.support.parity import close

GREY = Preprocessing(8, 1, 8)
RGB = Preprocessing(16, 3, 16, mean=(0.5,) * 3, std=(0.25, 0.5, 1.0))


def picture(mode: str = "RGB", width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Random pixels."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def file(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"", *, kind: int = 0, more: bytes = b"") -> bytes:
    """A PNG by hand: its header says the size, whatever the data hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND")


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def refused(call, *words: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 400


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png_is_read(mode: str) -> None:
    image = picture("L").convert(mode) if mode in "1P" else picture(mode)
    found = read(file(image))
    assert found.mode == mode and found.size == (40, 30)
    assert GREY.pixels(found).shape == (1, 1, 8, 8) and RGB.pixels(found).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_kind_of_jpeg_is_read(mode: str) -> None:
    flat = Image.new(mode, (40, 30), {"L": 200, "RGB": (200, 40, 90), "CMYK": (0, 255, 255, 0)}[mode])
    found = RGB.pixels(read(file(flat, "JPEG", quality=100)))
    expected = {"L": (200,) * 3, "RGB": (200, 40, 90), "CMYK": (255, 0, 0)}[mode]
    back = (found * torch.tensor(RGB.std)[:, None, None] + 0.5) * 255
    assert float((back - torch.tensor(expected)[:, None, None]).abs().max()) < 4


def test_sixteen_bits_of_grey_are_scaled_not_cut() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = GREY.pixels(read(file(Image.fromarray(values))))[0, 0]
    expected = torch.from_numpy((values / 257).astype(np.uint8) / 127.5 - 1).float()
    close(found, expected)
    assert float(found.max()) == 1.0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0)).convert(mode)
    data = file(clear, transparency=0) if mode == "P" else file(clear)
    assert float(GREY.pixels(read(data)).min()) == 1.0


def test_the_first_frame_of_an_animation_is_taken() -> None:
    shown = [Image.new("L", (16, 16), value) for value in (255, 0, 0)]
    data = file(shown[0], save_all=True, append_images=shown[1:], default_image=False)
    assert data.count(b"fcTL") == 3 and frames(data) == 3 and frames(file(shown[0])) == 1
    assert float(GREY.pixels(read(data)).min()) == 1.0


def test_pictures_are_turned_upright() -> None:
    image = Image.new("L", (40, 20))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # held on its side: to be turned clockwise
    found = read(file(image, exif=exif))
    assert found.size == (20, 40) and found.getpixel((19, 0)) == 255


def test_a_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "digit.png").write_bytes(file(picture()))
    assert read(tmp_path / "digit.png").size == (40, 30)
    refused(lambda: read(tmp_path / "none.png"), "none.png")
    refused(lambda: read(tmp_path), "not a file")
    os.mkfifo(tmp_path / "pipe")
    refused(lambda: read(tmp_path / "pipe"), "not a file")


# ---- attacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 10_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1), (MAX_PIXELS + 1, 1)]
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_one_is_decoded(width: int, height: int, monkeypatch) -> None:
    decoded, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.size) or load(self))
    refused(lambda: read(png(width, height, bytes(100))), "pixels", f"{MAX_PIXELS:,}")
    assert not decoded
    read(png(20, 20, bytes(21 * 20)))
    assert decoded  # where pictures are decoded


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 100), (100, 7), (1, 10_000)])
def test_too_few_pixels_are_refused(width: int, height: int) -> None:
    refused(lambda: read(file(Image.new("L", (width, height)))), f"{width} × {height}", "8 × 8")


def test_too_large_a_file_is_refused_without_a_look() -> None:
    refused(lambda: read(file(picture()) + bytes(MAX_BYTES)), "bytes", f"{MAX_BYTES:,}")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"PK\x03\x04",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        png(0, 10),
        png(20, 20, b"too short"),
        png(20, 20, bytes(21 * 20), kind=7),
        png(20, 20, bytes(21 * 20))[:-24],
        png(20, 20, bytes(21 * 20)).replace(b"IDAT", b"IDOT"),
        png(20, 20, bytes(21 * 20), more=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000), 9))),
        png(20, 20, bytes(21 * 20), more=chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100_000_000), 9))),
    ],
    ids=range(14),
)
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    try:
        found = read(data)
    except InvalidParameterError as error:
        assert "\n" not in str(error) and len(str(error)) < 200
    else:  # what is broken is beside the picture, and left out
        assert found.size == (20, 20) and (b"iCCP" in data or b"zTXt" in data)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_other_formats_are_refused(form: str) -> None:
    refused(lambda: read(file(picture(), form)), "PNG or JPEG")


@given(st.integers(0, 2**32), st.sampled_from(["PNG", "JPEG"]), st.integers(1, 20))
@settings(max_examples=examples(100), deadline=None)
def test_flipped_bytes_give_an_image_or_a_sentence(seed: int, form: str, count: int) -> None:
    data = bytearray(file(picture(), form))
    drawn = np.random.default_rng(seed)
    for place, value in zip(drawn.integers(0, len(data), count), drawn.integers(0, 256, count), strict=True):
        data[place] = value
    try:
        found = read(bytes(data))
        assert RGB.pixels(found).isfinite().all()
    except InvalidParameterError as error:
        assert "\n" not in str(error)


@given(st.integers(0, 2000))
@settings(max_examples=examples(50), deadline=None)
def test_truncated_files_are_refused(kept: int) -> None:
    data = file(picture())
    refused(lambda: read(data[: min(kept, len(data) - 30)]), "PNG or JPEG")


# ---- pixels --------------------------------------------------------------------------------------

RECIPES = [
    {"do_resize": True, "size": {"height": 16, "width": 16}, "resample": 2},
    {"do_resize": True, "size": 16, "resample": 3},
    {"do_resize": True, "size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": 16, "resample": 3},
    {"do_resize": True, "size": {"height": 20, "width": 20}, "do_center_crop": True, "crop_size": 16, "resample": 0},
    {"size": {"height": 16, "width": 16}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    {"size": {"height": 16, "width": 16}, "do_normalize": False},
    {"size": {"height": 16, "width": 16}, "rescale_factor": 1 / 127.5, "resample": 1},
    {"size": {"height": 16, "width": 16}, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [64.0] * 3},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
@pytest.mark.parametrize(("width", "height"), [(40, 30), (33, 57), (16, 16), (9, 12)])
def test_pixels_are_those_of_hugging_face(recipe, width: int, height: int) -> None:
    from transformers import ViTImageProcessorPil

    image = picture("RGB", width, height)
    theirs = ViTImageProcessorPil(**recipe)(image, return_tensors="pt")["pixel_values"]
    close(Preprocessing.of(recipe, 16, 3).pixels(image), theirs, 1e-5)


def test_what_is_written_is_read_again_by_us_and_by_hugging_face(tmp_path: Path) -> None:
    from transformers import ViTImageProcessorPil

    for recipe in RECIPES:
        ours = Preprocessing.of(recipe, 16, 3)
        assert Preprocessing.of(json.loads(json.dumps(ours.to_json())), 16, 3) == ours
        image = picture()
        theirs = ViTImageProcessorPil(**ours.to_json())(image, return_tensors="pt")["pixel_values"]
        close(ours.pixels(image), theirs, 1e-5)


def test_what_hugging_face_saves_is_read(tmp_path: Path) -> None:
    from transformers import DeiTImageProcessorPil, ViTImageProcessorPil

    for kind in (ViTImageProcessorPil, DeiTImageProcessorPil):
        processor = kind()
        processor.save_pretrained(tmp_path)
        ours = Preprocessing.of(json.loads((tmp_path / "preprocessor_config.json").read_text()), 224, 3)
        image = picture("RGB", 300, 250)
        close(ours.pixels(image), processor(image, return_tensors="pt")["pixel_values"], 1e-5)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"size": {"height": 16, "width": 20}}, ["square"]),
        ({"size": 10**6}, ["1000000"]),
        ({"size": "16"}, ["'16'"]),
        ({"size": True}, ["True"]),
        ({"size": []}, ["[]"]),
        ({"size": {}}, ["{}"]),
        ({"size": {"longest_edge": 16}}, ["longest_edge"]),
        ({"size": {"height": [16], "width": [16]}}, ["square"]),
        ({"size": {"shortest_edge": 16}}, ["16 × 16"]),
        ({"size": 8, "do_center_crop": True, "crop_size": 16}, ["16 × 16"]),
        ({"size": 20, "do_center_crop": True, "crop_size": 12}, ["16 × 16"]),
        ({"size": 12}, ["16 × 16"]),
        ({"resample": 6}, ["resample=6"]),
        ({"resample": "bicubic"}, ["'bicubic'"]),
        ({"resample": [2]}, ["[2]"]),
        ({"image_std": [0.5, 0.0, 0.5]}, ["image_std 0"]),
        ({"image_mean": [0.5]}, ["image_mean", "3"]),
        ({"image_mean": "0.5"}, ["image_mean"]),
        ({"image_mean": [0.5, None, 0.5]}, ["image_mean"]),
        ({"image_std": [0.5, math.nan, 0.5]}, ["image_std", "finite"]),
        ({"rescale_factor": math.inf}, ["rescale_factor"]),
        ({"do_pad": True}, ["do_pad"]),
        ({"do_flip_channel_order": True, "do_pad": True}, ["do_flip_channel_order, do_pad"]),
    ],
)
def test_a_recipe_that_is_not_followed_is_refused(recipe, words) -> None:
    with pytest.raises(ModelError) as caught:
        Preprocessing.of({"size": 16} | recipe, 16, 3)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 300


def test_two_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="2 channels"):
        Preprocessing.of({}, 16, 2)


# ---- brightness, negatives, and back -------------------------------------------------------------


@pytest.mark.parametrize("reader", [GREY, Preprocessing(8, 3, 8, mean=(0.5,) * 3, std=(0.25, 0.5, 1.0))])
def test_brightness_is_read_as_the_same_grey_of_a_picture(reader: Preprocessing) -> None:
    values = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    close(reader.from_brightness(torch.from_numpy(values) / 255), reader.pixels(Image.fromarray(values)))
    with pytest.raises(InvalidParameterError, match=r"\(8, 8\) for this model, not \(4, 8\)"):
        reader.from_brightness(torch.zeros(4, 8))


@pytest.mark.parametrize("reader", [GREY, RGB, Preprocessing(16, 1, 16, scale=1.0, mean=(0.0,), std=(1.0,))])
def test_what_a_model_reads_comes_back_as_a_picture(reader: Preprocessing) -> None:
    image = picture(width=reader.size, height=reader.size)
    expected = np.asarray(image.convert("L" if reader.channels == 1 else "RGB")).reshape(reader.size, reader.size, -1)
    pixels = reader.pixels(image)
    assert np.array_equal(reader.seen(pixels), expected)
    assert np.array_equal(reader.seen(reader.inverted(pixels)), 255 - expected)
    close(reader.inverted(reader.inverted(pixels)), pixels, 1e-4)


# ---- what a person has ---------------------------------------------------------------------------


def test_files_pictures_and_arrays_give_the_same_pixels(tmp_path: Path) -> None:
    image = picture()
    expected = RGB.pixels(image)
    values = np.asarray(image)
    (tmp_path / "one.png").write_bytes(file(image))
    path = tmp_path / "one.png"
    for given_image in (file(image), path, str(path), image, values, torch.from_numpy(values.copy())):
        assert torch.equal(RGB.batch(given_image), expected)
    assert torch.equal(RGB.batch([image, values]), torch.cat([expected, expected]))
    for ready in (expected, expected[0], expected.numpy(), expected.double().numpy(), [expected, expected[0]]):
        assert torch.equal(RGB.batch(ready)[:1], expected)
    assert torch.equal(RGB.batch(values[:, ::-1]), RGB.pixels(Image.fromarray(values[:, ::-1].copy())))


def test_grey_arrays_need_no_channel() -> None:
    bytes_ = np.arange(64, dtype=np.uint8).reshape(8, 8)
    ready = torch.from_numpy(bytes_ / 127.5 - 1).float()
    close(GREY.batch(bytes_), ready[None, None])
    close(GREY.batch(ready), ready[None, None])


@pytest.mark.parametrize(
    ("given_image", "words"),
    [
        ("a text", ["a text is not a file: an image is"]),
        ("x" * 5000, ["xxx", "cannot be read"]),
        ("a\0b\ud800", ["is not a file"]),
        (None, ["NoneType"]),
        (7, ["int"]),
        ([], ["list"]),
        (["text"], ["text is not a file"]),
        (np.zeros((8, 8), dtype=np.int64), ["ndarray"]),
        (np.zeros((8, 8), dtype=object), ["ndarray"]),
        (torch.zeros(8, 8, dtype=torch.int64), ["int64", "(8, 8)"]),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), ["uint8", "(3, 8, 8)"]),
        (np.zeros((4, 4), dtype=np.uint8), ["4 × 4"]),
        (torch.zeros(1, 1, 9, 8), ["(1, 8, 8)", "(1, 1, 9, 8)"]),
        (torch.zeros(3, 8, 8), ["(3, 8, 8)"]),
        (torch.zeros(0, 1, 8, 8), ["(0, 1, 8, 8)"]),
        (torch.tensor(0.5), ["()"]),
        (torch.full((8, 8), 16.0), ["16 … 16", "-1", "1"]),
        (torch.full((8, 8), math.nan), ["nan"]),
        (torch.full((8, 8), math.inf), ["inf"]),
        (Image.new("F", (20, 20)), ["floating"]),
        (Image.new("L", (1, 1)), ["1 × 1"]),
        (Image.new("LAB", (20, 20)), ["image"]),
    ],
)
def test_what_is_no_image_is_refused(given_image, words) -> None:
    refused(lambda: GREY.batch(given_image), *words)


def test_a_long_strip_is_refused_before_it_is_scaled_up() -> None:
    wanted = Preprocessing(1000, 1, 1000, keep_shape=True, crop=True)
    refused(lambda: wanted.pixels(Image.new("L", (100_000, 8))), "100000 × 8")


def test_a_picture_of_another_size_is_refused_where_nothing_scales() -> None:
    still = Preprocessing.of({"do_resize": False}, 16, 3)
    refused(lambda: still.pixels(picture()), "40 × 30", "16 × 16")
    assert still.pixels(picture("RGB", 16, 16)).shape == (1, 3, 16, 16)
