"""Files to keep: opened and checked, by a real browser where a browser reads them, without a network."""

import csv
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from attnviz import InvalidParameterError, Mask, Trace, Transformer, load, preset
from attnviz.browser import report
from attnviz.browser.attention_message import pack
from attnviz.browser.bundle import javascript
from attnviz.browser.view_state import ViewState
from attnviz.formatting import FORMULA_STARTS, LONGEST_DRAWN, LONGEST_KEPT, percent, shortened
from attnviz.nn.positions import alibi_slopes
from tests.support.hostile_texts import HOSTILE, MANY
from tests.support.node import run_node
from tests.support.traces import attention, encoding_of, trace_of


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without a network; anything it complains about or asks for fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page, trouble = context.new_page(), []
    page.on("console", lambda message: message.type in ("error", "warning") and trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and trouble.append(request.url))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    yield page
    context.close()
    assert trouble == []


@pytest.fixture(scope="module")
def trace() -> Trace:
    return load("minilm").run("The animal didn't cross the street because it was too tired.")


def hostile_trace() -> Trace:
    return trace_of(
        attention(len(HOSTILE)),
        attention(len(HOSTILE), seed=1),
        encodings=(encoding_of(HOSTILE),),
        title="</title><script>window.hacked = 1</script>",
    )


def open_report(page: Page, tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.html"
    file.write_text(text, "utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("#attnviz-view[data-ready=true]")


# ---- the page ------------------------------------------------------------------------------------


def test_the_report_opens_offline_with_the_whole_view(page: Page, tmp_path: Path, trace: Trace) -> None:
    state = ViewState(layer=2, head=7, queries=(10,))
    open_report(page, tmp_path, report.html(trace, state=state))
    assert page.title() == "MiniLM: The animal didn't cross the street because it was too tired."
    chips = page.locator(".av-chip").all_inner_texts()
    assert chips == list(trace.encodings[0].labels)
    weights = trace.layers[2].attention.weights[0, 7, 10]
    key = trace.encodings[0].labels[int(weights.argmax())]
    page.mouse.move(1, 1)  # where it stands at first it may point at another head, which is then previewed
    sentence = page.locator(".av-say")
    for part in ("layer 2, head 7", "it", key, percent(float(weights.max()))):
        expect(sentence).to_contain_text(part, use_inner_text=True)
    page.locator(".av-chip", has_text="animal").click()
    expect(sentence).to_contain_text("animal")


def test_every_head_is_told_in_words(page: Page, tmp_path: Path, trace: Trace) -> None:
    open_report(page, tmp_path, report.html(trace))
    tables = page.locator("#words details")
    assert tables.count() == 6
    for layer in range(6):
        rows = tables.nth(layer).locator("tbody tr")
        assert rows.count() == 12
        weights = trace.layers[layer].attention.weights[0]
        labels = trace.encodings[0].labels
        for head in (0, 11):
            i, j = divmod(int(weights[head].argmax()), len(labels))
            cells = rows.nth(head).locator("th, td").all_text_contents()
            assert cells[0] == str(head)
            assert cells[3].startswith(f"{labels[i]} → {labels[j]} {percent(float(weights[head].max()))}")
            bits = -(weights[head] * weights[head].log2()).nan_to_num().sum(-1).mean()
            assert cells[1] == f"{2 ** float(bits):.1f} of 16"


def test_a_habit_is_measured() -> None:
    eye = np.eye(6, dtype=np.float32)
    special, seen = np.array([True, *[False] * 5]), np.full(6, 6)
    for weights, words in (
        (eye, "100\u202f% to the token itself"),
        (np.roll(eye, -1, axis=1), "83\u202f% to the token before"),
        (np.roll(eye, 1, axis=1), "83\u202f% to the token after"),
        (eye[[0] * 6], "100\u202f% to special tokens"),
        (np.full((6, 6), 1 / 6, np.float32), "no fixed place"),
        (0 * eye, "sees nothing"),
    ):
        found = report._head_in_words(weights, seen, list("abcdef"), list("abcdef"), special, True)
        assert found["habit"] == words
        assert found["spread"].endswith(" of 6")
    assert report._head_in_words(eye * np.nan, seen, [], [], None, True)["pairs"] == []


def test_how_many_keys_there_are_is_told_of_those_that_rows_may_see() -> None:
    causal = trace_of(attention(6, mask=Mask(causal=True)))
    padded = trace_of(attention(6, mask=Mask(lengths=(4,))))
    free = trace_of(attention(6))
    for trace, ends in ((causal, "of 1 to 6"), (padded, "of 4"), (free, "of 6")):
        for head in report._layers_in_words(trace, "self", 0)[0]["heads"]:
            assert head["spread"].endswith(f" {ends}"), (head["spread"], ends)


def test_nothing_of_a_hostile_text_is_executed(page: Page, tmp_path: Path) -> None:
    trace = hostile_trace()
    open_report(page, tmp_path, report.html(trace, before=trace, title="<img src=x onerror=window.hacked=1>"))
    assert page.title() == "<img src=x onerror=window.hacked=1>"
    for details in page.locator("#words details").all():
        details.locator("summary").click()
    for i in (0, 16, 25, 60):
        page.locator(".av-chip").nth(i).click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main iframe, main a, main svg, #words style").count() == 0
    assert page.locator("script").count() == 3
    chips = page.locator(".av-chip").evaluate_all("nodes => nodes.map(node => node.textContent)")
    assert chips == [shortened(label) or " " for label in HOSTILE]


@pytest.mark.nightly
def test_nothing_of_many_hostile_texts_is_executed_in_any_file(page: Page, tmp_path: Path) -> None:
    """As tokens and as titles: the page in a browser, what it saves from there, and the tables."""
    for start in range(0, len(MANY), 60):
        labels = MANY[start : start + 60]
        kept = trace_of(attention(len(labels)), encodings=(encoding_of(labels),), title=labels[start % len(labels)])
        open_report(page, tmp_path, report.html(kept, title=labels[-1]))
        assert page.locator(".av-chip").count() == len(labels)
        assert page.locator("main img, main iframe, main a, main svg, #words style").count() == 0
        assert page.locator("script").count() == 3
        for kind in ("SVG", "PNG", "CSV"):
            page.get_by_role("button", name="Save …").click()
            with page.expect_download() as saving:
                page.get_by_role("menuitem", name=re.compile(kind)).first.click()
            assert re.fullmatch(r"[\w.-]+", saving.value.suggested_filename), saving.value.suggested_filename
            if kind == "SVG":
                drawn = [*ET.fromstring(Path(saving.value.path()).read_bytes()).iter()]
                tags = {node.tag.removeprefix(SVG) for node in drawn}
                assert not tags & {"script", "foreignObject", "a", "style", "animate", "set", "use"}
                named = [(name, value) for node in drawn for name, value in node.attrib.items()]
                assert all(value.startswith("data:image/png;base64,") for name, value in named if "href" in name)
                assert not [name for name, _ in named if name.startswith("on")]
        assert page.evaluate("window.hacked") is None
        rows = list(csv.reader(io.StringIO(report.csv(kept, 0, 0), newline="")))
        assert not [cell for row in rows for cell in row if cell.startswith(FORMULA_STARTS) and len(cell) > 1]


def test_of_a_long_token_a_part_is_drawn_and_more_is_its_title(page: Page, tmp_path: Path) -> None:
    """Browsers lay out 100,000 accents on one letter for a minute, and again wherever they stand."""
    pile = "e" + "\u0301" * 100_000
    open_report(page, tmp_path, report.html(trace_of(attention(3), encodings=(encoding_of([pile, "b", pile]),))))
    chips = page.locator(".av-chip")
    assert chips.evaluate_all("nodes => nodes.map((node) => node.textContent)") == [
        shortened(pile),
        "b",
        shortened(pile),
    ]
    assert chips.evaluate_all("nodes => nodes.map((node) => node.title.length)") == [LONGEST_KEPT, 0, LONGEST_KEPT]
    chips.nth(2).click()
    text = page.locator("body").inner_text()  # sentences too; a text's beginning is twice as long
    assert pile[: LONGEST_DRAWN - 1] in text and pile[:300] not in text


def test_the_page_may_load_and_send_nothing(page: Page, tmp_path: Path, trace: Trace) -> None:
    text = report.html(trace)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy and "default-src 'none'" in policy[1] and "unsafe-eval" not in policy[1]
    assert "'unsafe-inline'" not in policy[1].split("script-src")[1].split(";")[0]
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    (tmp_path / "report.html").write_text(text.replace("</main>", "<script>window.hacked = 1</script></main>"), "utf-8")
    stopped: list[str] = []
    other = page.context.new_page()
    other.on("console", lambda message: stopped.append(message.text))
    other.goto((tmp_path / "report.html").as_uri())
    assert other.evaluate("window.hacked") is None and "Content Security Policy" in stopped[0]


def test_both_texts_of_a_translator(page: Page, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Transformer(preset("test", kind="encoder-decoder", n_layers=1)).eval()
    bare = model(torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 3]]))
    open_report(page, tmp_path, report.html(bare))
    assert page.locator(".av-chip").count() == 5
    page.select_option("#attnviz-stack", "self")
    assert page.locator(".av-chip").count() == 3
    page.select_option("#attnviz-stack", "cross")
    assert page.locator(".av-chip").count() == 3 + 5
    assert page.locator("#words h3").all_inner_texts() == list(report.STACK_TITLES.values())


def test_a_notebook_shows_it_in_a_frame_of_its_own(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notebook.html").write_text(
        f"<!doctype html><meta charset=utf-8><body>{report.notebook(hostile_trace())}</body>", "utf-8"
    )
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("#attnviz-view[data-ready=true]").wait_for()
    assert frame.locator(".av-chip").count() == len(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 0 and page.locator("body > *").count() == 1
    assert "allow-same-origin" not in page.locator("iframe").get_attribute("sandbox")  # type: ignore[operator]


def test_broken_numbers_are_noted(page: Page, tmp_path: Path) -> None:
    layer = attention(5)
    layer.q[0, 1, 2, 3] = float("nan")
    open_report(page, tmp_path, report.html(trace_of(layer)))
    assert "not finite" in page.locator(".av-note").inner_text()
    assert "not finite" in page.locator("#words tbody tr").nth(1).locator("td").nth(1).text_content()  # type: ignore[operator]
    assert page.locator("#words tbody tr").nth(0).locator("bdi").count() == 6


# ---- tables --------------------------------------------------------------------------------------


def table_of(text: str) -> tuple[list[str], list[str], np.ndarray]:
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    values = np.array([[np.float32(cell) for cell in row[1:]] for row in rows[1:]])
    return rows[0][1:], [row[0] for row in rows[1:]], values


def test_csv_equals_the_trace(trace: Trace) -> None:
    keys, queries, values = table_of(report.csv(trace, 3, 5))
    assert keys == queries == [f"{i} {label}" for i, label in enumerate(trace.encodings[0].labels)]
    assert np.array_equal(values, trace.layers[3].attention.weights[0, 5].numpy())


@pytest.mark.parametrize("where", [{"layer": 6, "head": 0}, {"layer": 0, "head": 12}, {"layer": -1, "head": 0}])
def test_csv_of_a_head_that_is_not_there(trace: Trace, where: dict[str, int]) -> None:
    with pytest.raises(InvalidParameterError, match="counted from 0"):
        report.csv(trace, **where)
    with pytest.raises(InvalidParameterError, match="batch=1"):
        report.csv(trace, 0, 0, batch=1)


def test_csv_of_cross_attention() -> None:
    source = trace_of(attention(4), encodings=(encoding_of(["der", "Hund", "bellt", "."]),))
    layer = attention(3, 4)
    crossed = trace_of(layer, cross=True, source=source, encodings=(encoding_of(["the", "dog", "barks"]),))
    keys, queries, values = table_of(report.csv(crossed, 0, 1, stack="cross"))
    assert (keys[1], queries[1]) == ("1 Hund", "1 dog")
    assert np.array_equal(values, layer.weights[0, 1].numpy())


def test_csv_of_a_batch_and_of_a_trace_without_text() -> None:
    texts = (encoding_of(["a", "b", "c", "d"]), encoding_of(["e", "f"]))
    layer = attention(4, batch=2, mask=Mask(lengths=(4, 2)))
    keys, _, values = table_of(report.csv(trace_of(layer, encodings=texts), 0, 2, batch=1))
    assert keys == ["0 e", "1 f", "2 [PAD]", "3 [PAD]"]
    assert np.array_equal(values, layer.weights[1, 2].numpy()) and not values[:, 2:].any()
    assert table_of(report.csv(trace_of(layer), 0, 0))[0] == ["0 0", "1 1", "2 2", "3 3"]


def test_the_browsers_csv_is_the_same_table() -> None:
    trace = hostile_trace()
    script = """
    const model = unpack.unpack(message), labels = maths.items(model).queries.list.map((item) => item.full);
    give(files.toCsv(maths.weights(model, 0, 1), labels));
    """
    text = run_node(script, pack(trace))
    assert text.startswith("\ufeff") and text.endswith("\r\n")
    browser, python = table_of(text), table_of(report.csv(trace, 0, 1))
    assert browser[:2] == python[:2] == ([f"{i} {t}" for i, t in enumerate(HOSTILE)],) * 2
    assert np.abs(browser[2] - python[2]).max() <= 0.003  # 88 tokens: sent in half precision
    cells = [cell for row in csv.reader(io.StringIO(text[1:], newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_float32_survives_csv() -> None:
    values = np.random.default_rng(0).random(200, np.float32) ** 9
    script = "give(files.toCsv(inputs[0], inputs[1], inputs[1]))"
    text = run_node(script, inputs=[values[:196].tolist(), list("abcdefghijklmn")])
    assert np.array_equal(table_of(text)[2].ravel(), values[:196])


# ---- arrays --------------------------------------------------------------------------------------


def test_npz_holds_the_whole_run(trace: Trace) -> None:
    arrays = np.load(io.BytesIO(report.npz(trace)), allow_pickle=False)
    assert arrays["tokens_0"].tolist() == list(trace.encodings[0].tokens)
    assert arrays["ids_0"].tolist() == list(trace.encodings[0].ids)
    for i, layer in enumerate(trace.layers):
        for part in ("q", "k", "v", "z"):
            assert np.array_equal(arrays[f"layer{i}_{part}"], getattr(layer.attention, part).numpy())
        for part in ("resid_pre", "resid_mid", "resid_post"):
            assert np.array_equal(arrays[f"layer{i}_{part}"], getattr(layer, part).numpy())
    assert np.array_equal(arrays["final"], trace.final.numpy())


def test_weights_follow_from_the_archive() -> None:
    layer = attention(9, mask=Mask(causal=True, blocked=((1, 3, 2),)), alibi=alibi_slopes(3), temperature=0.5, batch=2)
    own = np.load(io.BytesIO(report.npz(trace_of(layer))))
    a = {name.removeprefix("layer0_"): own[name] for name in own.files}
    distance = np.abs(np.arange(9)[:, None] - np.arange(9))
    scores = a["q"] @ a["k"].swapaxes(-1, -2) * a["scale"] - a["alibi"][:, None, None] * distance
    parts = np.where(a["keep"], np.exp(scores / a["temperature"]), 0)
    assert np.abs(parts / parts.sum(-1, keepdims=True) - layer.weights.numpy()).max() <= 1e-5


def test_npz_of_an_encoder_decoder() -> None:
    source = trace_of(attention(4), encodings=(encoding_of(HOSTILE[:4]),))
    layer = attention(3, 4)
    arrays = np.load(io.BytesIO(report.npz(trace_of(layer, cross=True, source=source))), allow_pickle=False)
    assert np.array_equal(arrays["layer0_cross_q"], layer.q.numpy())
    assert np.array_equal(arrays["source_layer0_q"], source.layers[0].attention.q.numpy())


# ---- pictures ------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def test_svg_of_hostile_text_is_well_formed() -> None:
    script = """
    const draw = g => inputs.forEach((text, i) => {
      g.save();
      if (i % 2) { g.translate(10, 5 * i); g.rotate(-Math.PI / 4); }
      g.fillStyle = "#123456";
      g.font = `italic 600 13px "Source Sans", ${i === 3 ? text : "sans-serif"}`;
      g.fillText(text, 3, 4);
      g.restore();
    });
    give(files.toSvg(draw, 300, 200, {title: inputs[16], background: inputs[17]}));
    """
    text = run_node(script, inputs=MANY)
    root = ET.fromstring(text.encode())
    assert root.tag == f"{SVG}svg" and root.get("viewBox") == "0 0 300 200"
    # XML cannot hold these, not even escaped
    allowed = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
    assert [node.text or "" for node in root.iter(f"{SVG}text")] == [allowed.sub("\ufffd", t) for t in MANY]
    assert root[0].text == HOSTILE[16]
    assert {node.tag.removeprefix(SVG) for node in root.iter()} == {"svg", "title", "rect", "text"}
    names = {name for node in root.iter() for name in node.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]


PICTURE = """
const picture = g => {
  g.clearRect(0, 0, 240, 200);
  g.fillStyle = "#FFFFFF"; g.fillRect(0, 0, 240, 200);
  g.fillStyle = "#3070CA"; g.fillRect(8, 8, 40, 30); g.strokeStyle = "#C77700"; g.lineWidth = 3;
  g.strokeRect(60, 10, 40, 26);
  g.beginPath(); g.roundRect(112, 8, 46, 30, 8); g.fill();
  g.beginPath(); g.roundRect(170, 8, 46, 30, [12, 0, 6, 2]); g.stroke();
  g.save(); g.globalAlpha = 0.5; g.lineCap = "round"; g.lineWidth = 8; g.strokeStyle = "#0E5E4A";
  g.beginPath(); g.moveTo(10, 60); g.bezierCurveTo(60, 60, 60, 110, 110, 110); g.stroke();
  g.beginPath(); g.moveTo(120, 60); g.quadraticCurveTo(150, 120, 200, 60); g.stroke(); g.restore();
  g.save(); g.beginPath(); g.rect(10, 120, 60, 50); g.clip(); g.beginPath();
  g.arc(40, 145, 28, 0, 2 * Math.PI); g.clip();
  g.fillStyle = "#B1402C"; g.fillRect(0, 110, 50, 80); g.fillStyle = "#132B5A"; g.fillRect(50, 110, 90, 80);
  g.restore();
  g.save(); g.translate(110, 150); g.rotate(-Math.PI / 6); g.scale(1.5, 1.5); g.fillStyle = "#59616E";
  g.fillRect(-14, -9, 28, 18); g.lineWidth = 2; g.setLineDash([4, 3]); g.strokeRect(-18, -13, 36, 26);
  g.restore();
  g.beginPath(); g.moveTo(160, 130); g.lineTo(190, 180); g.lineTo(150, 175); g.closePath();
  g.lineJoin = "round"; g.fill(); g.stroke();
  g.beginPath(); g.arc(210, 150, 18, Math.PI / 4, -Math.PI / 2, true); g.lineWidth = 4; g.stroke();
  g.beginPath(); g.arc(210, 150, 8, 0.3, 2); g.stroke();
  if (!words) return;
  g.fillStyle = "#000000"; g.font = "600 15px sans-serif";
  const places = [["left", "middle", 20], ["center", "alphabetic", 120], ["right", "top", 220]];
  places.forEach(([align, base, x]) => {
    g.textAlign = align; g.textBaseline = base; g.fillText("Hello", x, 95);
  });
  g.save(); g.translate(228, 100); g.rotate(-Math.PI / 2); g.textAlign = "left"; g.textBaseline = "middle";
  g.fillText("turned", 0, 0); g.restore();
};
const canvasOf = (w, h) => Object.assign(document.createElement("canvas"), {width: w, height: h});
const pixels = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
"""

COMPARE = (
    "async words => {"
    + PICTURE
    + """
  const drawn = canvasOf(480, 400), g = drawn.getContext("2d");
  g.setTransform(2, 0, 0, 2, 0, 0);
  picture(g);
  const image = new Image();
  image.src = "data:image/svg+xml;base64," + btoa(unescape(encodeURIComponent(toSvg(picture, 240, 200))));
  await image.decode();
  const written = canvasOf(480, 400);
  written.getContext("2d").drawImage(image, 0, 0, 480, 400);
  const a = pixels(drawn), b = pixels(written);
  let off = 0, ink = 0;
  for (let i = 0; i < a.length; i += 4) {
    const d = Math.max(Math.abs(a[i] - b[i]), Math.abs(a[i + 1] - b[i + 1]), Math.abs(a[i + 2] - b[i + 2]));
    if (d > 60) off++;
    if (a[i] + a[i + 1] + a[i + 2] < 700) ink++;
  }
  const png = await toPng(picture, 240, 200, {background: "#FFFFFF"}), bitmap = await createImageBitmap(png);
  const shot = canvasOf(480, 400);
  shot.getContext("2d").drawImage(bitmap, 0, 0);
  const c = pixels(shot);
  const same = a.every((v, i) => Math.abs(v - c[i]) <= 2);
  return {off, ink, same, png: [png.type, bitmap.width, bitmap.height]};
}
"""
)


def test_svg_and_png_look_like_the_canvas(page: Page) -> None:
    page.set_content("<!doctype html><body></body>")
    source = javascript("attention/export.js")
    page.evaluate(f"{source}; Object.assign(window, {{toSvg, toPng}}); 0")
    for words, most in ((False, 60), (True, 150)):
        found = page.evaluate(COMPARE, words)
        assert found["ink"] > 20_000
        assert found["off"] <= most, "pixels that differ visibly"
        assert found["png"] == ["image/png", 480, 400] and found["same"]


def test_download_gives_a_file_with_a_safe_name(page: Page, tmp_path: Path) -> None:
    (tmp_path / "empty.html").write_text("<!doctype html><body></body>", "utf-8")
    page.goto((tmp_path / "empty.html").as_uri())
    source = javascript("core/download.js")
    page.evaluate(f"{source}; window.download = download; 0")
    with page.expect_download() as waiting:
        page.evaluate("download('../a/b <c>.csv', new Blob(['1,2']))")
    assert re.fullmatch(r"[\w.-]+\.csv", waiting.value.suggested_filename)
    assert waiting.value.path().read_text() == "1,2"
    assert page.locator("a").count() == 0


def test_the_page_is_utf8_whatever_the_title(trace: Trace) -> None:
    text = report.html(trace, title="a\ud800b\x00c\x1b<")
    assert "<title>a\ufffdb\ufffdc\ufffd&lt;</title>" in text
    assert text.encode("utf-8")


def test_settings_in_the_page_are_json(trace: Trace) -> None:
    text = report.html(trace, state=ViewState(sort="entropy"))
    block = re.search(r'id="attnviz-settings">(.*?)</script>', text, re.DOTALL)
    assert block and json.loads(html.unescape(block[1]))["state"] == ViewState(sort="entropy").to_dict()
