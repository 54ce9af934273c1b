"""A disk that is full while a command writes, or a reader trains and sends a model: a sentence, and nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from attnviz.__main__ import main
from tests.e2e.driver import PATIENCE
from tests.pages.test_strangers import zipped
from tests.support.disks import full_disk
from tests.support.hosted import served

ASKED = ("A b a", "--model", "induction")
WRITES = {
    "page.html": ("report", *ASKED, "--out"),
    "live.html": ("report", *ASKED, "--live", "--out"),
    "single.html": ("live", "--model", "induction", "--single"),
    "live": ("live", "--model", "induction", "--out"),
    "heads.csv": ("investigate", *ASKED, "--csv"),
    "cards.json": ("investigate", *ASKED, "--cards"),
    "tokens.csv": ("investigate", *ASKED, "--attributions", "--csv"),
    "compared.csv": ("investigate", *ASKED, "--compare", "a b b", "--csv"),
    "patched.csv": ("investigate", *ASKED, "--patch", "A c a", "--csv"),
    "model.npz": ("export", "induction", "--out"),
}
TRAINING = "task=copy&size=small&n_layers=2&d_model=16&n_heads=2&d_ff=16&length=12&batch=4&steps=60&positions=learned"


def press(page: Page, name: str) -> None:
    page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, exact=True).click()


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out.rglob("*.*") if out.is_dir() else [out])}


@pytest.mark.nightly
@pytest.mark.parametrize("name", WRITES)
def test_what_a_command_wrote_before_stays(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / name
    assert main([*WRITES[name], str(out)]) == 0
    before = files(out)
    capsys.readouterr()
    with full_disk(n_bytes=10):
        assert main([*WRITES[name], str(out)]) == 1
    said = capsys.readouterr().err.strip()
    assert "cannot be written: File too large. What stood there is untouched." in said and "\n" not in said
    assert files(out) == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.e2e
@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits a process that runs")
def test_a_training_and_an_upload_on_a_full_disk(browser: Browser) -> None:
    archive = {"name": "theirs.zip", "mimeType": "application/zip", "buffer": zipped("induction")}
    with served() as (server, address):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/train?{TRAINING}")
        with full_disk(server.pid):
            press(page, "Start")
            expect(page.get_by_text("checkpoint.safetensors cannot be written: File too large.")).to_be_visible(
                timeout=PATIENCE
            )
            expect(page.get_by_text("The training waits here: Continue tries again.")).to_be_visible(timeout=PATIENCE)
            sent = browser.new_page()
            sent.set_default_timeout(PATIENCE)
            sent.goto(f"{address}/models")
            field = sent.locator("[data-testid=stFileUploader] input[type=file]")
            field.set_input_files(archive)
            expect(sent.get_by_text("The archive cannot be unpacked here: File too large.")).to_be_visible(
                timeout=PATIENCE
            )
            sent.goto(address)
            expect(sent.locator(".av-say").first).to_be_visible(timeout=PATIENCE)
        press(page, "Continue")
        expect(page.get_by_role("button", name="Download (.zip)")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("cannot be written")).to_have_count(0, timeout=PATIENCE)
        sent.goto(f"{address}/models")
        field.set_input_files(archive)
        expect(sent.get_by_text("theirs").first).to_be_visible(timeout=PATIENCE)
        for one in (page, sent):
            one.close()
