"""A server that is asked to stop tells its readers so, ends what runs, and is gone soon; nothing of it is left."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from safetensors.torch import load_file

from attnviz.web.farewell import SENTENCE
from tests.support.hosted import answers, served
from tests.support.readers import Reader, done

pytestmark = [pytest.mark.e2e, pytest.mark.nightly]
SOON = 15.0  # seconds; a step of a training may be under way


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_readers_are_told_before_the_connection_ends(number: signal.Signals) -> None:
    async def go() -> tuple[str, float]:
        with served() as (server, address):
            async with Reader(address) as reader:
                assert not (await reader.open("")).error
                began = time.monotonic()
                server.send_signal(number)
                told = await reader.last_toast()
                server.wait(SOON)
                assert not answers(address)
                return told, time.monotonic() - began

    told, seconds = done(go())
    assert told == SENTENCE and seconds < SOON


def test_a_training_comes_to_its_end_with_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def checkpoints() -> list[Path]:
        return list(tmp_path.rglob("checkpoint.safetensors"))

    async def go() -> None:
        with served() as (server, address):
            async with Reader(address) as reader:
                await reader.open("train")
                await reader.press("Start")
                until = time.monotonic() + 60
                while not checkpoints():
                    assert time.monotonic() < until
                    await asyncio.sleep(0.1)
                server.terminate()
                server.wait(SOON)

    done(go())
    for checkpoint in checkpoints():  # the folder is for this server only: it may be gone
        assert load_file(checkpoint)


def test_a_browser_shows_the_sentence(browser: Browser) -> None:
    with served() as (server, address):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".av-say", timeout=120_000)
        server.terminate()
        page.get_by_text(SENTENCE).wait_for(timeout=20_000)
        page.close()
