"""Downloads from a hub of our own, through the real huggingface_hub: progress, cancel, limits, refusals."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from attnviz import ModelError, load
from attnviz.models import hf_download, strangers
from attnviz.models.catalogue import BUNDLED
from attnviz.models.hf_download import Cancelled, fetch
from tests.support.disks import full_disk

REPO = "some/model"
SHA = "a" * 40


class Hub(http.server.ThreadingHTTPServer):
    """The three requests of a hub that a download makes: what a repository holds, a file's size, a file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.stored: dict[str, Any] | None = None  # what the hub says of the weights
        self.status, self.code, self.gated = 200, "", False
        self.says: dict[str, int] = {}  # of files: another size than they have
        self.stops = 0  # bytes of the weights after which the connection ends, or, `hangs`, nothing more comes
        self.hangs = False
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []  # with which each was asked

    def about(self) -> dict[str, Any]:
        siblings = [{"rfilename": name, "size": self.says.get(name, len(data))} for name, data in self.files.items()]
        said = {"_id": "1", "id": REPO, "modelId": REPO, "sha": SHA, "private": False, "tags": [], "siblings": siblings}
        return said | ({"safetensors": self.stored} if self.stored else {})


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args: object) -> None:
        pass

    def say(self, status: int, data: bytes, headers: dict[str, str], start: int = 0) -> None:
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and self.server.stops and self.path.endswith(".safetensors"):
            self.wfile.write(data[: max(0, self.server.stops - start)])
            while self.server.hangs:
                time.sleep(0.05)
            self.close_connection = True
        elif self.command == "GET":
            self.wfile.write(data)

    def answer(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.asked.append((self.command, path))
        hub.tokens.append(self.headers.get("authorization"))
        if path == f"/api/models/{REPO}":
            data = json.dumps(hub.about()).encode() if hub.status == 200 else b"{}"
            return self.say(hub.status, data, {"content-type": "application/json", "x-error-code": hub.code})
        name = path.rpartition("/")[2]
        if hub.gated:
            return self.say(403, b"{}", {"x-error-code": "GatedRepo"})
        data, start = hub.files[name], self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        about = {"x-repo-commit": SHA, "etag": f'"{len(data)}-{name}"', "accept-ranges": "bytes"}
        if int(start):
            about["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.say(206 if int(start) else 200, data[int(start) :], about, int(start))

    do_GET = do_HEAD = answer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    server = Hub()
    server.files = {file.name: file.read_bytes() for file in (BUNDLED / "tales").iterdir()}
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    monkeypatch.setattr(hf_download, "DEADLINE", 60.0)  # of a machine with much to do
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def read(hub: Hub) -> dict[str, bytes]:
    return {name: data for name, data in hub.files.items() if hf_download.is_read(name)}


def test_progress_counts_every_byte_that_is_read(hub: Hub) -> None:
    hub.files |= {"pytorch_model.bin": bytes(9_000_000), "modeling.py": b"raise SystemExit", "onnx/model.onnx": b"x"}
    told: list[tuple[int, int]] = []
    folder = fetch(REPO, report=lambda done, total: told.append((done, total)))
    total = sum(map(len, read(hub).values()))
    assert told[0] == (0, total) and told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told) and len(told) > 8
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == read(hub)
    assert not any(name.endswith((".bin", ".py", ".onnx")) for _, name in hub.asked)


def test_a_download_is_a_model_and_serves_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    same = load("tales").transformer.state_dict()
    assert all(torch.equal(x, same[name]) for name, x in load(f"hf:{REPO}").transformer.state_dict().items())
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = load(f"hf:{REPO}")
    assert (model.info.licence, model.info.source) == ("MIT", "some/model on the Hugging Face hub")
    assert len(hub.asked) == asked


def test_offline_and_not_in_the_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set\) and some/model is not in the local cache"):
        fetch(REPO)
    assert hub.asked == []


def test_a_cancelled_download_stops_and_goes_on_from_there(hub: Hub) -> None:
    weights = len(hub.files["model.safetensors"])

    def enough(done: int, total: int) -> None:
        if done > weights // 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        fetch(REPO, report=enough)
    told: list[int] = []
    folder = fetch(REPO, report=lambda done, total: told.append(done))
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert told[-1] == sum(map(len, read(hub).values()))


def test_what_is_too_large_is_never_asked_for(hub: Hub) -> None:
    size = len(hub.files["model.safetensors"])
    with pytest.raises(ModelError, match=rf"takes {size:,} bytes, more than the {size - 1:,} allowed"):
        fetch(REPO, max_bytes=size - 1)
    hub.stored = {"parameters": {"F16": 1_000_000}, "total": 1_000_000}
    with pytest.raises(ModelError, match=r"1,000,000 parameters: 4,000,000 bytes of memory as float32"):
        fetch(REPO, max_bytes=3_999_999)
    hub.stored = None
    hub.files["tokenizer.json"] = bytes(50_000_001)
    with pytest.raises(ModelError, match=r"tokenizer.json of some/model has 50,000,001 bytes"):
        fetch(REPO)
    assert {name.rpartition("/")[2] for _, name in hub.asked} == {"model", "config.json"}


def test_gated_missing_and_without_weights(hub: Hub) -> None:
    hub.gated = True
    with pytest.raises(ModelError, match="some/model is gated: its owner has to grant access"):
        fetch(REPO)
    hub.gated, hub.status, hub.code = False, 404, "RepoNotFound"
    with pytest.raises(ModelError, match="not on the Hugging Face hub, or is private"):
        fetch(REPO)
    hub.status, hub.code = 200, ""
    del hub.files["model.safetensors"]
    with pytest.raises(ModelError, match="no safetensors weights"):
        fetch(REPO)


def test_a_hub_that_breaks_off_is_a_sentence(hub: Hub) -> None:
    hub.status = 500
    says = r"hub cannot be reached \(it answers with status 500\) and some/model is not in the local cache"
    with pytest.raises(ModelError, match=says):
        fetch(REPO)


@pytest.mark.nightly  # the library tries again for a minute
@pytest.mark.parametrize("hangs", [False, True])
def test_a_hub_that_stops_or_hangs_midway_is_a_sentence_and_the_next_try_goes_on(hub: Hub, hangs: bool) -> None:
    hub.stops, hub.hangs = len(hub.files["model.safetensors"]) // 2, hangs
    says = r"hub cannot be reached \((it does not answer in time|the download broke off)\) and some/model is not in"
    with pytest.raises(ModelError, match=says):
        fetch(REPO)
    hub.stops, hub.hangs = 0, False
    assert (fetch(REPO) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_full_disk_is_a_sentence_and_the_next_try_goes_on(hub: Hub) -> None:
    with full_disk(n_bytes=100_000), pytest.raises(ModelError, match="no room left on the disk for some/model"):
        fetch(REPO)
    assert (fetch(REPO) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_hub_that_sends_more_than_it_said_is_not_listened_to(hub: Hub) -> None:
    hub.says = {"model.safetensors": 100_000}
    with pytest.raises(ModelError, match=r"model.safetensors of some/model is larger than the 100,000 bytes that the"):
        fetch(REPO, max_bytes=200_000)


def test_a_stranger_does_not_read_with_the_token_of_who_runs_the_server(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_operator")
    with strangers.asking(strangers.Terms()):
        fetch(REPO)
    assert hub.tokens and set(hub.tokens) == {None}
    with strangers.asking(strangers.Terms(with_token=True)):
        fetch(REPO)
    assert "Bearer hf_of_the_operator" in hub.tokens


@pytest.mark.nightly
def test_hf_home_is_where_the_cache_is(tmp_path: Path) -> None:
    """In a process of its own: the variables are read once, when the library is imported."""
    repo = tmp_path / "hub" / "models--some--model"
    shutil.copytree(BUNDLED / "tales", repo / "snapshots" / SHA)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(SHA)
    code = "import attnviz; print(attnviz.load('hf:some/model').info.n_parameters)"
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    env.pop("HF_HUB_CACHE", None)
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], env=env, capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == load("tales").info.n_parameters
