"""The page "Models" in a real Chromium: the table, the diagram from the keyboard, an upload, no sideways scrolling."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attnviz import load
from attnviz.models.catalogue import BUNDLED, minilm_folder
from tests.e2e.driver import Open, at_widths, query_of, sentence, sideways, visiting

DETAILS = ".av-anatomy-part"


def ready(page: Page) -> None:
    expect(page.locator(".av-anatomy svg").first).to_be_visible()


visit = visiting("models", ready)


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            archive.writestr(f"model/{file}", (BUNDLED / name / file).read_bytes())
    return out.getvalue()


def test_a_click_and_the_arrow_keys_choose_a_model(visit: Open) -> None:
    page = visit()
    page.locator(".av-table tr", has_text="austen").locator("td").first.click()
    expect(sentence(page, "parts")).to_contain_text("Austen has 4 layers, each with 4 heads")
    page.wait_for_url("**shown=austen**")
    page.get_by_role("radio", name="Austen").focus()
    page.keyboard.press("ArrowDown")
    expect(sentence(page, "parts")).to_contain_text("Dates has 1 layer in the encoder")
    expect(page.get_by_role("radio", name="Dates")).to_be_checked()
    expect(page.locator(".av-anatomy svg")).to_have_count(2)
    again = visit(query_of(page))
    expect(sentence(again, "parts")).to_have_text(sentence(page, "parts").inner_text())


@pytest.mark.nightly
def test_the_diagram_from_the_keyboard(visit: Open) -> None:
    page = visit("?shown=induction")
    model = load("induction").transformer
    parts = page.locator(".av-anatomy [role=option]")
    page.locator(".av-anatomy [role=option][tabindex='0']").focus()
    page.keyboard.press("Home")
    expect(page.locator(DETAILS)).to_contain_text(f"{model.embed['tokens'].weight.numel():,}")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{DETAILS} h4")).to_have_text("Self-attention")
    expect(page.locator(DETAILS)).to_contain_text("150 × 50")
    page.keyboard.press("End")
    expect(parts.last).to_have_attribute("aria-selected", "true")
    page.get_by_text("The same as a table").click()
    total = page.locator(".av-anatomy details tr").last
    expect(total).to_contain_text(f"{sum(p.numel() for p in model.parameters()):,}")


@pytest.mark.nightly
def test_use_it_sets_the_model_of_every_page(visit: Open) -> None:
    page = visit("?shown=tales")
    page.get_by_role("button", name="Use it on every page").click()
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("Tales (3 × 2 heads)")
    expect(page.get_by_role("button", name="Use it on every page")).to_have_count(0)


def test_an_upload_and_a_bad_one(visit: Open) -> None:
    page = visit()
    field = page.locator("[data-testid=stFileUploader] input[type=file]")
    name = "<img src=x onerror=alert(1)>.zip"
    field.set_input_files({"name": name, "mimeType": "application/zip", "buffer": zipped("induction")})
    own = page.locator(".av-table tbody tr").first
    expect(own).to_contain_text("Yours 1: <img src=x onerror=alert(1)>")
    expect(own.locator("img")).to_have_count(0)
    expect(sentence(page, "parts")).to_contain_text("has 2 layers, each with 5 heads of width 10")
    field = page.locator("[data-testid=stFileUploader] input[type=file]")
    field.set_input_files({"name": "bad.zip", "mimeType": "application/zip", "buffer": b"not a zip"})
    expect(page.get_by_text("This is no .zip archive")).to_be_visible()
    expect(own).to_contain_text("Yours 1")


CUT = """() => {
  const cut = [];
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) walk(e.shadowRoot);
      const reads = e.closest(".katex-mathml") === null && getComputedStyle(e).overflowX !== "visible";
      if (reads && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1)
        cut.push([e.className, e.scrollWidth, e.clientWidth, e.textContent.slice(0, 60)]);
    }
  };
  walk(document.querySelector("[data-testid=stMain]"));
  return cut;
}"""


@pytest.mark.nightly
@pytest.mark.parametrize("query", ["?shown=minilm", "?shown=dates&beside=austen"])
def test_nothing_is_cut_and_nothing_scrolls_sideways(query: str, visit: Open) -> None:
    page = visit(query, dark=True)
    for details in page.get_by_text("The same as a table").all():
        details.click()
    for width in at_widths(page, (1440, 900), (1280, 800), (900, 900), (390, 844)):
        assert sideways(page) == 0, width
        assert page.evaluate(CUT) == [], width


@pytest.mark.nightly
def test_what_is_tried_comes_into_view(visit: Open) -> None:
    page = visit("?shown=dates")
    page.get_by_role("button", name="One that reads images").click()
    heading = page.get_by_role("heading", name="What is Digits made of?")
    expect(heading).to_be_in_viewport()


@pytest.mark.nightly
def test_an_archive_of_a_real_models_size(visit: Open, tmp_path: Path) -> None:
    """91 MB: the server's own limit on uploads lets it through."""
    folder = minilm_folder()
    assert folder is not None
    with zipfile.ZipFile(tmp_path / "minilm.zip", "w") as archive:
        for file in folder.iterdir():
            if file.is_file():
                archive.write(file, f"minilm/{file.name}")
    page = visit("?shown=tales")
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(tmp_path / "minilm.zip")
    expect(page.locator(".av-table tbody tr").first).to_contain_text("Yours 1: minilm")
    expect(sentence(page, "parts")).to_contain_text("22,565,376 parameters")
