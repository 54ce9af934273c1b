"""The page "Vision" through AppTest: what is on screen is what the library computes on the same picture."""

from __future__ import annotations

import io
import itertools
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz import Intervention, Model, ModelConfig, Transformer, catalogue
from attnviz.analysis.rollout import rollout
from attnviz.browser.framing import read_frame
from attnviz.formatting import percent
from attnviz.inputs.images import Preprocessing
from attnviz.training.tasks import digits
from attnviz.web import cache
from attnviz.web.components import drawing_pad, patch_view
from attnviz.web.vision import state
from attnviz.web.vision.text import GUESSES, LESS, MORE, MOST_BARS, SAME
from tests.pages.driver import Page, components, opened
from tests.support.models import loaded


@pytest.fixture(scope="module")
def model() -> Model:
    return loaded("digits")


@pytest.fixture
def app() -> Page:
    return opened("vision")


def sent(app: Page) -> tuple[dict[str, Any], dict[str, Any], np.ndarray, np.ndarray]:
    """What the patches were sent: settings, sizes, weights (L, H + 1, Q, T), picture."""
    (part,) = components(app, "attnviz_patches")
    given, message = read_frame(part.proto.bytes)
    about, body = read_frame(bytes(message))
    shape = (about["layers"], about["heads"] + 1, len(about["queries"]), about["tokens"])
    weights = np.frombuffer(body, np.float32, int(np.prod(shape))).reshape(shape)
    pixels = np.frombuffer(body, np.uint8, int(np.prod(about["picture"])), weights.nbytes)
    return given, about, weights, pixels.reshape(about["picture"])


def upload(app: Page, data: bytes, **settings: object) -> Page:
    """A file brought by the visitor, with further settings."""
    app.choose(source="upload", **settings)
    return app.get("file_uploader")[0].upload("picture.png", data, "image/png").run()


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


NUMBERS = itertools.count()


def own(channels: int, side: int, patch: int, **changes: Any) -> Model:
    """A vision model that nobody trained."""
    sizes = {"d_model": 8, "n_heads": 2, "d_ff": 8, "n_layers": 2, "head": "classification", "n_classes": 12}
    config = ModelConfig.for_images(side, patch, channels, **(sizes | changes))
    info = replace(loaded("digits").info, title="Mine", n_layers=config.n_layers, n_heads=2)
    transformer = Transformer(config, torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    preprocessor = Preprocessing(side, channels, side, mean=(0.5,) * channels, std=(0.5,) * channels)
    names = tuple(f"thing {i}, also called <b>{i}</b>" for i in range(config.n_classes))
    return Model(info, transformer, preprocessor, classes=names)


# ---- the digit, the answer, the attention ---------------------------------------------------------


def test_the_answer_and_the_attention_are_the_models(app: Page, model: Model) -> None:
    assert not app.exception
    trace = model.run((drawing_pad.read(state.FIRST) / 8.0 - 1)[None])
    assert trace.logits is not None
    shares = trace.logits[0].softmax(-1)
    assert app.sentence.startswith(f"The model’s answer is “3” with {percent(float(shares[3]))}")
    assert "The writer meant a 3, so it is right" in app.sentence
    given, about, weights, picture = sent(app)
    np.testing.assert_array_equal(weights[:, :4], np.stack([layer[0].numpy() for layer in trace.attentions]))
    np.testing.assert_array_equal(weights[:, 4], rollout(trace)[:, 0].numpy())
    assert about["queries"] == list(range(17)) and about["special"] == 1 and about["side"] == 4
    np.testing.assert_allclose(picture[:, :, 0], drawing_pad.read(state.FIRST).numpy() * 255 / 16, atol=0.5)
    assert [row[0] for row in given["answer"]] == list("0123456789")
    np.testing.assert_allclose([row[2] for row in given["answer"]], shares.numpy(), rtol=1e-5)
    assert given["changed"] == "" and given["look"] == {"layer": 2, "head": 0, "query": 0, "off": ""}
    row = trace.attentions[2][0, 0, 0]
    best = int(row[1:].argmax())
    assert f"the patch in row {best // 4}, column {best % 4} {percent(float(row[1 + best]))}" in given["alt"]


def test_a_held_out_digit_is_read_to_the_last_bit_as_in_training() -> None:
    pictures, labels = digits.splits()["test"]
    texts, preprocessor = list(state.held_out()[0]), loaded("digits").preprocessor
    assert isinstance(preprocessor, Preprocessing)
    assert len(texts) == len({one.numpy().tobytes() for one in pictures})
    again = torch.cat([state.drawn(drawing_pad.read(text), preprocessor) for text in texts])
    assert {one.numpy().tobytes() for one in again} == {one.numpy().tobytes() for one in pictures}
    assert sorted(state.held_out()[0].values()) == sorted(labels.tolist())


def test_the_examples_are_five_of_each_digit(app: Page) -> None:
    (pad,) = components(app, "attnviz_drawing")
    given = json.loads(pad.proto.json)
    assert given["drawing"] == state.FIRST and len(given["examples"]) == 50
    known = state.held_out()[0]
    assert [known[text] for _, text in given["examples"]] == list(range(10)) * 5
    assert len({text for _, text in given["examples"]}) == 50


def test_what_it_gets_wrong_is_wrong(app: Page, model: Model) -> None:
    pictures, labels = digits.splits()["test"]
    logits = model.run(pictures).logits
    assert logits is not None
    assert len(state.mistaken("digits")) == int((logits.argmax(-1) != labels).sum()) > 0
    app.button(key="vision-try-0").click().run()
    digit = state.held_out()[0][app.link["drawing"]]
    assert f"The writer meant a {digit}, so it is wrong" in app.sentence and f"answer is “{digit}”" not in app.sentence


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({"temperature": 5.0}, Intervention(temperature=5.0)),
        ({"off": "0.1"}, Intervention(head_scale={(0, 1): 0.0})),
        (
            {"off": "0.0,0.1,0.2,0.3", "temperature": 20.0},
            Intervention(20.0, head_scale={(0, h): 0.0 for h in range(4)}),
        ),
    ],
)
def test_a_change_is_run_and_said(app: Page, model: Model, settings: dict[str, Any], change: Intervention) -> None:
    app.choose(**settings)
    pixels = (drawing_pad.read(state.FIRST) / 8.0 - 1)[None]
    plain, changed = model.run(pixels), model.run(pixels, intervention=change)
    assert plain.logits is not None and changed.logits is not None
    before, now = plain.logits[0].softmax(-1), changed.logits[0].softmax(-1)
    top = int(now.argmax())
    assert f"the answer is “{top}” with {percent(float(now[top]))}" in app.sentence
    assert f"“3” had {percent(float(before[3]))} before" in app.sentence
    assert ("τ = " in app.sentence) == ("temperature" in settings)
    assert ("switched off" in app.sentence) == ("off" in settings)
    given, _, weights, _ = sent(app)
    np.testing.assert_array_equal(weights[:, :4], np.stack([layer[0].numpy() for layer in changed.attentions]))
    np.testing.assert_allclose([row[1:] for row in given["answer"]], torch.stack([before, now], 1).numpy(), rtol=1e-5)
    again = opened("vision", **app.link)
    assert again.sentence == app.sentence
    app.choose(off="", temperature=1.0)
    assert sent(app)[0]["changed"] == ""


@pytest.mark.parametrize("digit", range(10))
def test_the_prediction_is_judged_by_the_numbers(digit: int, model: Model) -> None:
    text = next(one for one, label in state.held_out()[0].items() if label == digit)
    app = opened("vision", drawing=text, revealed=0)
    assert not components(app, "attnviz_patches")
    ink = drawing_pad.read(text).reshape(4, 2, 4, 2).sum(dim=(1, 3)).flatten()  # of each patch
    row = model.run((drawing_pad.read(text) / 8.0 - 1)[None]).attentions[-1][0, :, 0, 1:].mean(dim=0)
    order = ink.argsort(descending=True, stable=True)
    most, least = float(row[order[:8]].sum()), float(row[order[8:]].sum())
    share = most / (most + least)
    truth = LESS if share < 1 / 3 else MORE if share > 2 / 3 else SAME
    numbers = f"the 8 patches with the most ink get {percent(share)}, the 8 with the least {percent(1 - share)}."
    assert numbers not in app.prose
    group = next(one for one in app.get("button_group") if ".quiz.ink" in one.proto.id)
    guess = GUESSES[digit % 3]
    group.set_value(guess).run()
    told = next(one for one in app.sentences if numbers in one)
    assert told.startswith("✓ Right.") == (guess == truth) and ("Not quite" in told) == (guess != truth)
    assert components(app, "attnviz_patches")


@pytest.mark.parametrize("number", range(1, 4))
def test_each_try_sets_the_page_up_and_is_in_the_link(app: Page, number: int) -> None:
    before = sent(app)[0]
    app.button(key=f"vision-try-{number}").click().run()
    assert not app.exception and sent(app)[0] != before
    again = opened("vision", **app.link)
    assert again.sentence == app.sentence and sent(again)[0]["look"] == sent(app)[0]["look"]
    app.button(key="vision-try-4").click().run()
    assert sent(app)[0]["changed"] == ""


@pytest.mark.parametrize("first", range(1, 5))
def test_a_second_try_undoes_the_first_and_keeps_the_picture(app: Page, first: int) -> None:
    digit = state.held_out()[1][7][1]
    app.choose(drawing=digit)
    alone = {}
    for number in range(1, 5):
        fresh = opened("vision", drawing=digit)
        fresh.button(key=f"vision-try-{number}").click().run()
        alone[number] = fresh.link
    app.button(key=f"vision-try-{first}").click().run()
    for number in range(1, 5):
        app.button(key=f"vision-try-{number}").click().run()
        assert app.link == alone[number] and app.link["drawing"] == digit


def test_a_patch_stays_at_its_place_in_another_models_grid() -> None:
    model = own(1, 28, 7)
    app = with_own(model, query="16")  # the last of 4 × 4
    assert sent(app)[0]["look"]["query"] == 16
    app.choose(vit="digits")
    assert sent(app)[0]["look"]["query"] == 16
    assert [patch_view.same_place(token, (1, 4), (2, 14)) for token in (0, 1, 16, 99)] == [0, 17, 182, 0]
    assert [patch_view.same_place(token, (2, 14), (1, 4)) for token in (1, 2, 197)] == [0, 1, 16]


def test_rollout_of_a_patch_with_a_head_switched_off_is_in_the_link(app: Page, model: Model) -> None:
    app.choose(layer=1, head=-1, query=6, off="2.0")
    assert app.link == {"layer": "1", "head": "-1", "query": "6", "off": "2.0"}
    given = sent(app)[0]
    changed = model.run(
        (drawing_pad.read(state.FIRST) / 8.0 - 1)[None], intervention=Intervention(head_scale={(2, 0): 0.0})
    )
    row = rollout(changed)[1, 0, 6]
    assert given["alt"].startswith("Rollout from the input to layer 1: of the patch in row 1, column 1")
    assert percent(float(row.max())) in given["alt"]
    assert "With layer 2, head 0 switched off" in app.sentence


@pytest.mark.parametrize("bad", [None, 7, {}, {"layer": "1"}, {"layer": 1, "head": True, "query": 0, "off": ""}])
def test_a_browser_may_report_anything(app: Page, bad: Any) -> None:
    app.session_state[state.VIEW] = {"look": bad}
    app.session_state["vision.drawing:pad"] = {"drawn": bad}
    app.run()
    assert not app.exception and sent(app)[0]["look"]["layer"] == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"drawing": "z" * 64, "layer": "x", "head": "-2", "off": "1.2.3"},
        {"drawing": "1", "layer": "99", "head": "99", "query": "99", "off": "99.99", "temperature": "0"},
        {"source": "camera", "vit": "", "temperature": "1.05", "off": ",".join(["0.0"] * 300)},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = opened("vision", **bad)
    assert not app.exception and "answer is “3”" in app.sentence
    look = sent(app)[0]["look"]
    assert look["layer"] <= 2 and -1 <= look["head"] <= 3 and look["query"] <= 16


def test_text_and_model_of_the_other_pages_stay_as_they_were() -> None:
    app = opened("vision", text="Two words", model="tales")
    assert not app.exception and not app.sidebar.text_area and app.link == {"text": "Two words", "model": "tales"}
    app.switch_page("pages/explore.py").run()
    assert app.sidebar.text_area[0].value == "Two words" and app.session_state["model"] == "tales"


def test_the_code_that_ran_is_shown_when_asked_for(app: Page) -> None:
    app.session_state["vision-code"] = True
    app.run()
    shown = [code.value for code in app.code]
    assert any("def rolled_out(" in one for one in shown) and any("def _patches(" in one for one in shown)


# ---- bad pictures -----------------------------------------------------------------------------------


def test_an_empty_drawing_asks_for_one_and_keeps_the_rest(app: Page) -> None:
    app.choose(temperature=5.0)
    app.choose(drawing=drawing_pad.EMPTY)
    assert not app.exception and app.sentence.startswith("The drawing is empty: draw a digit")
    assert not components(app, "attnviz_patches") and components(app, "attnviz_drawing")
    assert app.link == {"drawing": drawing_pad.EMPTY, "temperature": "5"}
    app.choose(drawing=state.FIRST)
    assert "τ = 5" in app.sentence


def noise(mode: str, side: int = 24) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(0).integers(0, 256, (side, side, bands), dtype=np.uint8)
    return Image.frombytes(mode, (side, side), values.tobytes())


def headed(width: int, height: int) -> bytes:
    """A PNG whose header says this size; it holds no pixel."""
    data = bytearray(file(Image.new("L", (1, 1))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Image size")  # Pillow's own, before our refusal
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (file(Image.new("L", (1, 1))), "1 × 1 pixels; it needs 8 × 8"),
        (headed(10_000, 10_000), "10,000 × 10,000 pixels; at most 25,000,000"),
        (headed(2**31 - 1, 2**31 - 1), "pixels"),
        (b"", "no whole PNG or JPEG"),
        (b"%PDF-1.7 not a picture", "no whole PNG or JPEG"),
        (file(noise("RGB"), "GIF"), "no whole PNG or JPEG"),
        (file(noise("RGB"))[:200], "no whole PNG or JPEG"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence_and_the_page_stays(app: Page, data: bytes, words: str) -> None:
    app.choose(temperature=5.0)
    upload(app, data)
    assert not app.exception and [app.sentence] == app.notices and words in app.sentence and "\n" not in app.sentence
    assert app.toggle(key="vision.invert") and app.link == {"source": "upload", "temperature": "5"}
    app.choose(source="draw")
    assert app.sentence.startswith("With τ = 5 in every attention row, the answer is")


def test_without_a_file_the_page_says_what_to_do(app: Page) -> None:
    app.choose(source="upload")
    assert not app.exception and app.sentence.startswith("Choose a PNG or JPEG file.")
    assert not components(app, "attnviz_patches")


def captions(app: Page) -> str:
    return " ".join(one.value.replace("\\", "") for one in app.caption)


def test_an_animation_and_a_cmyk_picture_are_read_and_it_is_said(app: Page) -> None:
    black, white = Image.new("L", (16, 16), 0), Image.new("L", (16, 16), 255)
    upload(app, file(black, save_all=True, append_images=[white, white]))
    assert "an animation of 3 pictures; the first one is read" in captions(app)
    assert sent(app)[3].max() == 0
    upload(app, file(noise("CMYK"), "JPEG"))
    assert "in CMYK, the colours of print" in captions(app) and "animation" not in captions(app)
    assert "24 × 24 pixels as 8 × 8 in grey" in captions(app)


def test_dark_on_white_is_noticed_and_inverted(app: Page, model: Model) -> None:
    """A held-out digit as a person would photograph it: dark ink on white, large."""
    ink = (255 * drawing_pad.read(state.FIRST) / 16).round().to(torch.uint8).numpy()
    page = Image.fromarray(255 - ink).resize((64, 64), Image.Resampling.NEAREST)
    upload(app, file(page))
    assert "The picture is dark on white, but the model knows bright ink on black: turn “Invert” on." in captions(app)
    app.choose(invert=True)
    assert "dark on white" not in captions(app)
    np.testing.assert_array_equal(sent(app)[3][:, :, 0], ink)
    trace = model.run(Image.fromarray(ink).resize((64, 64), Image.Resampling.NEAREST))
    np.testing.assert_allclose(sent(app)[2][:, :4], torch.stack(trace.attentions)[:, 0].numpy(), atol=1e-5)
    assert "answer is “3”" in app.sentence
    assert "The writer meant" not in app.sentence  # of an upload nobody knows
    upload(app, file(Image.fromarray(ink)), invert=True)
    assert "Inverted, the picture is dark on white" in captions(app) and "turn “Invert” off" in captions(app)


def test_an_upload_stays_when_streamlit_forgets_its_widget(app: Page) -> None:
    upload(app, file(noise("L", 8)))
    before = app.sentence
    app.switch_page("pages/softmax.py").run()
    app.switch_page("pages/vision.py").run()
    assert not app.exception and app.sentence == before


# ---- other models ------------------------------------------------------------------------------------


def with_own(model: Model, **query: str) -> Page:
    """A session that has a model of its own chosen, under a name that no other has: results are kept by name."""
    name = f"{cache.OWN}test-{next(NUMBERS)}"
    app = Page("vision", {"vit": name, "revealed": 1, **query})
    app.session_state["own models"] = {name: replace(model, info=replace(model.info, name=name))}
    return app.run()


@pytest.mark.parametrize(
    ("channels", "side", "patch", "many"), [(3, 32, 8, False), (3, 96, 4, True), (1, 28, 7, False)]
)
def test_a_model_of_other_pictures_gets_the_drawing_scaled(channels: int, side: int, patch: int, many: bool) -> None:
    model = own(channels, side, patch)
    app = with_own(model, query="3", layer="1", head="1")
    assert not app.exception and f"Scaled to {side} × {side} pixels" in captions(app)
    ink = (255 * drawing_pad.read(state.FIRST) / 16).round().to(torch.uint8).numpy()
    trace = model.run(Image.fromarray(ink))
    given, about, weights, picture = sent(app)
    assert about["queries"] == ([3] if many else list(range(len(trace.encodings[0]))))
    rows = torch.stack(trace.attentions)[:, 0, :, about["queries"]]
    np.testing.assert_array_equal(weights[:, :2], rows.numpy())
    assert picture.shape == (side, side, channels)
    assert trace.logits is not None
    shares = trace.logits[0].softmax(-1)
    best = int(shares.argmax())
    assert f"The model’s answer is “thing {best}” with {percent(float(shares[best]))}" in app.sentence
    assert "The writer meant" not in app.sentence
    assert len(given["answer"]) == MOST_BARS and given["answer"][0][0] == f"thing {best}"


def test_a_photograph_on_a_model_of_colours() -> None:
    model = own(3, 32, 8)
    app = with_own(model)
    upload(app, file(noise("RGB", 64)))
    assert not app.exception and "64 × 64 pixels as 32 × 32." in captions(app)
    trace = model.run(noise("RGB", 64))
    np.testing.assert_array_equal(sent(app)[2][:, :2], torch.stack(trace.attentions)[:, 0].numpy())
    assert any("the most contrast" in group.label for group in app.get("button_group"))


def test_a_model_without_classes_shows_attention_and_says_so() -> None:
    app = with_own(own(1, 8, 4, head=None, n_classes=0))
    assert not app.exception and "names no classes" in app.sentence
    given, about, _, _ = sent(app)
    assert given["answer"] == [] and about["layers"] == 2


def test_a_layer_that_another_model_has_not_is_left() -> None:
    app = with_own(own(1, 8, 4), layer="2", head="3", query="16", off="2.3")
    assert not app.exception and sent(app)[0]["look"] == {"layer": 1, "head": 1, "query": 0, "off": "2.3"}
    assert sent(app)[0]["changed"] == ""  # there is no such head


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("minilm", "MiniLM reads text; this page shows pictures"),
        ("/etc", "There is no model “/etc”"),
        ("assets/models/digits", "There is no model"),
        ("session:elsewhere", "lived only there"),
        ("hf:nobody", "is not of the form hf:org/name"),
    ],
)
def test_what_is_no_vision_model_is_said_and_the_page_stays(name: str, words: str) -> None:
    app = opened("vision", vit=name)
    assert not app.exception and [app.sentence] == app.notices and words in app.sentence
    assert components(app, "attnviz_drawing") and app.selectbox(key="vision.vit").value == name
    app.choose(vit="digits")
    assert "answer is “3”" in app.sentence


@pytest.mark.parametrize("name", [info.name for info in catalogue()])
def test_every_model_sees_or_is_refused_in_a_sentence(name: str) -> None:
    app = opened("vision", vit=name)
    assert bool(components(app, "attnviz_patches")) == (not app.notices) == (name == "digits")
