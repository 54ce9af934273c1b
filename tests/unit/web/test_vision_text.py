"""What the page "Vision" says and reads: names of patches, what is in them, drawings, and what a link may ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Intervention, Model, ModelConfig, Transformer, load
from attnviz.errors import InvalidParameterError
from attnviz.inputs.images import Preprocessing
from attnviz.nn.embeddings import patch_names
from attnviz.web.components import drawing_pad, patch_view
from attnviz.web.components.patch_view import Look
from attnviz.web.vision import state, text
from attnviz.web.vision.state import Seen, Settings

SIZES = {"d_model": 8, "n_heads": 2, "d_ff": 8, "n_layers": 2}
INK = torch.arange(64).reshape(8, 8) % 17


def seen(config: ModelConfig, pixels: torch.Tensor, change: Intervention | None = None) -> Seen:
    transformer = Transformer(config, torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    preprocessor = Preprocessing(config.image_size, config.channels, config.image_size)
    classes = tuple(f"name {i}, synonym" for i in range(config.n_classes))
    made = Model(load("digits").info, transformer, preprocessor, classes=classes)
    plain = transformer(pixels)
    trace = plain if change is None else transformer(pixels, intervention=change)
    return Seen(made, pixels, plain, trace, b"")


@pytest.mark.parametrize("distilled", [False, True])
def test_every_token_has_a_name(distilled: bool) -> None:
    config = ModelConfig.for_images(12, 4, 3, distilled=distilled, **SIZES)
    names = [text.token_name(i, config) for i in range(config.max_len)]
    assert names[0] == "the class token" and (names[1] == "the distillation token") == distilled
    for name, label in zip(names[config.n_special :], patch_names(config).labels[config.n_special :], strict=True):
        row, column = label.split(",")
        assert name == f"the patch in row {row}, column {column}"


def test_the_strongest_places_are_said_in_their_order() -> None:
    found = seen(ModelConfig.for_images(8, 4, 1, **SIZES), torch.rand(1, 1, 8, 8) * 2 - 1)
    row = found.plain.attentions[1][0, 1, 2]
    best = row.argsort(descending=True)[:3].tolist()
    says = text.view(found.row(Look(1, 1, 2)), Look(1, 1, 2), found.plain.config)
    assert says.startswith("In layer 1, head 1, the patch in row 0, column 1 gives most of its attention to ")
    places = [says.index(text.token_name(i, found.plain.config), 60) for i in best]
    assert places == sorted(places)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 3]), st.integers(0, 99))
def test_what_is_in_a_patch(side: int, channels: int, seed: int) -> None:
    """Ink is the mean of grey pixels, contrast the deviation of coloured ones, patch by patch in NumPy."""
    config = ModelConfig.for_images(8, 8 // side, channels, **SIZES)
    pixels = torch.rand(1, channels, 8, 8, generator=torch.Generator().manual_seed(seed))
    found, thing = text.content(pixels, config)
    size, x = 8 // side, pixels[0].double().numpy()
    cut = [
        x[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
        for row in range(side)
        for column in range(side)
    ]
    expected = [one.mean() if channels == 1 else one.std(ddof=1) for one in cut]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert thing == ("ink" if channels == 1 else "contrast")


@pytest.mark.parametrize(
    ("off", "temperature", "words"),
    [
        ("", 1.0, ""),
        ("1.0", 1.0, "layer 1, head 0 switched off"),
        ("1.0,0.1", 2.0, "layer 0, head 1 and layer 1, head 0 switched off and τ = 2 in every attention row"),
        ("0.0,0.1,1.0,1.1", 1.0, "4 of 4 heads switched off"),
        ("9.0,0.9", 1.0, ""),
        ("0.0,0.0", 1.0, "layer 0, head 0 switched off"),
    ],
)
def test_what_was_changed_in_words_and_in_the_run(off: str, temperature: float, words: str) -> None:
    config, chosen = ModelConfig.for_images(8, 4, 1, **SIZES), Settings(off=off, temperature=temperature)
    assert text.what_changed(chosen, config) == words
    change = state.change(chosen, seen(config, torch.zeros(1, 1, 8, 8)).model)
    assert (change is None) == (not words)


def test_another_answer_after_a_change_is_said_with_both_its_numbers() -> None:
    """Whatever the classes are called, and however many there are."""
    config = ModelConfig.for_images(8, 4, 1, **SIZES, head="classification", n_classes=30)
    pixels = torch.rand(1, 1, 8, 8) * 2 - 1
    found = seen(config, pixels, Intervention(temperature=0.05))
    assert found.plain.logits is not None
    swapped = replace(found.trace, logits=-found.plain.logits)
    found = replace(found, trace=swapped)
    says = text.answer(found, Settings(temperature=0.05))
    top, least = int(found.plain.logits.argmax()), int(found.plain.logits.argmin())
    assert f"the answer is “name {least}” with" in says and f"“name {top}” had" in says and "before and has" in says
    rows = text.bars(found)
    assert (
        len(rows) == 10
        and rows[0][0] == f"name {least}"
        and [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)
    )


@pytest.mark.parametrize(("value", "expected"), [(0.0, False), (1.0, True), (0.4, False), (0.6, True)])
def test_paper_is_bright_at_the_edge(value: float, expected: bool) -> None:
    preprocessor, picture = Preprocessing(8, 1, 8), torch.zeros(8, 8)
    picture[0], picture[-1], picture[:, 0], picture[:, -1] = (torch.tensor(value),) * 4
    picture[2:6, 2:6] = 1 - value
    assert text.dark_on_white(preprocessor.from_brightness(picture), preprocessor) is expected


# ---- drawings, settings, reports -------------------------------------------------------------------


@given(st.lists(st.integers(0, 16), min_size=64, max_size=64))
def test_a_drawing_is_read_as_it_was_written(values: list[int]) -> None:
    ink = torch.tensor(values).reshape(8, 8)
    assert torch.equal(drawing_pad.read(drawing_pad.write(ink)), ink)


@given(st.text(max_size=70))
def test_any_other_text_is_no_drawing(text: str) -> None:
    if len(text) == 64 and set(text) <= set("0123456789abcdefg"):
        return
    with pytest.raises(InvalidParameterError):
        drawing_pad.read(text)


def test_full_ink_is_white_to_the_model_and_none_is_black() -> None:
    preprocessor = load("digits").preprocessor
    assert isinstance(preprocessor, Preprocessing)
    assert torch.equal(state.drawn(INK, preprocessor)[0, 0], INK / 8 - 1)
    with pytest.raises(state.Missing, match="empty"):
        state.drawn(torch.zeros(8, 8, dtype=torch.int64), preprocessor)


@pytest.mark.parametrize(
    "bad",
    [
        {"source": "camera"},
        {"layer": -1},
        {"query": -1},
        {"head": -2},
        {"off": "1"},
        {"off": "1.1,"},
        {"vit": ""},
        {"off": "1.1\n"},
        {"off": ",".join(["1.1"] * 201)},
        {"temperature": 1.05},
        {"drawing": ""},
        {"vit": "m" * 100_001},
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError):
        Settings(**bad)  # type: ignore[arg-type]


def test_of_a_large_run_only_the_rows_of_one_token_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = seen(ModelConfig.for_images(8, 2, 1, **SIZES), torch.zeros(1, 1, 8, 8)).plain
    everything = patch_view.rows(trace, list(range(17)))
    picture = np.zeros((600, 600, 3), np.uint8)
    monkeypatch.setattr(patch_view, "MOST_BYTES", 4 * 2 * 3 * 17 * 17)
    whole = patch_view.pack(trace, picture, 5)
    monkeypatch.setattr(patch_view, "MOST_BYTES", 4 * 2 * 3 * 17 * 17 - 1)
    part = patch_view.pack(trace, picture, 5)
    start = 4 + int.from_bytes(part[:4], "little")
    assert start % 4 == 0
    rows = np.frombuffer(part, np.float32, 2 * 3 * 17, start).reshape(2, 3, 17)
    np.testing.assert_array_equal(rows, everything[:, :, 5].numpy())
    assert len(part) - start == rows.nbytes + 200 * 200 * 3  # every third pixel of the picture
    assert len(whole) - len(part) == pytest.approx(4 * 2 * 3 * 17 * 16, abs=80)
