"""The page "Models" through AppTest: its numbers are the models', and what is brought along is this session's."""

from __future__ import annotations

import gc
import io
import re
import subprocess
import threading
import time
import weakref
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from attnviz import ModelError, catalogue, load
from attnviz.formatting import file_size, magnitude, percent
from attnviz.models import catalogue as models
from attnviz.models import hf_download, strangers
from attnviz.models.catalogue import BUNDLED
from attnviz.nn.config import ModelConfig
from attnviz.web import cache
from attnviz.web.jobs import in_line, model_downloads, model_uploads
from attnviz.web.jobs import text as job_text
from attnviz.web.models import text
from tests.pages.driver import Page, components, opened, values
from tests.support.hostile_texts import HOSTILE
from tests.support.models import loaded


@pytest.fixture(autouse=True)
def nothing_is_under_way() -> Iterator[None]:
    yield
    for one in list(model_downloads._running):
        one.cancel()
        one.wait(30)
    assert not model_downloads._running


def rows(app: Page) -> dict[str, list[list[str]]]:
    return {row["key"]: row["cells"] for row in values(app, "attnviz_table")[0]["rows"]}


def choose(app: Page, key: str) -> Page:
    number = values(app, "attnviz_table")[0]["number"] + 1
    app.session_state["models-table"] = {"chosen": {"key": key, "number": number}}
    return app.run()


def zipped(name: str, **changes: bytes) -> bytes:
    out, kept = io.BytesIO(), ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json")
    with zipfile.ZipFile(out, "w") as archive:
        for file in kept:
            if (BUNDLED / name / file).exists():
                archive.writestr(file, changes.get(file.partition(".")[0], (BUNDLED / name / file).read_bytes()))
    return out.getvalue()


def upload(app: Page, name: str, data: bytes) -> Page:
    app.get("file_uploader")[0].upload(name, data, "application/zip")
    app.run()
    while "models:upload" in app.session_state:  # on a busy machine
        app.session_state["models:upload"].wait(60)
        app.run()
    return app


def refused(app: Page) -> list[str]:
    return app.notices


# --------------------------------------------------------------------------------------------- what there is


def test_the_table_is_the_catalogue() -> None:
    app = opened("models")
    known = [info for info in catalogue() if info.name != "scratch:test"]
    found = rows(app)
    assert list(found) == [info.name for info in known]
    for info in known:
        cells = [cell[0] for cell in found[info.name]]
        assert cells[0] == info.title and cells[1] == info.family
        assert cells[3:6] == [f"{info.n_layers} × {info.n_heads}", f"{info.d_model:,}", f"{info.max_len:,}"]
        assert cells[6:9] == ["trained" if info.trained else "random", info.licence or "–", info.source]
    assert f"{len(known)} models, {sum(info.trained for info in known)} of them trained" in app.sentences[0]


@pytest.mark.parametrize("name", [info.name for info in catalogue() if info.name != "scratch:test"])
def test_the_diagrams_numbers_sum_to_the_model(name: str) -> None:
    app = opened("models", shown=name)
    drawn = values(app, "attnviz_anatomy")[0]["models"][0]
    blocks = [block for column in drawn["columns"] for block in column["blocks"]]
    parts = [part for block in blocks for part in block["parts"]]
    number = next(info.n_parameters for info in catalogue() if info.name == name)
    assert int(drawn["total"].replace(",", "")) == number
    assert sum(int(part["all"].replace("–", "0").replace(",", "")) for part in parts) == number
    assert sum(int(block["count"].replace(",", "")) for block in blocks) == number
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    for part in parts:
        tensors = sum(int(n.replace(",", "")) for _, _, n in part["weights"])
        shown = int(part["all"].replace("–", "0").replace(",", ""))
        once = int(part["once"].replace(",", "")) if part["once"] else shown
        assert once == tensors and shown % max(tensors, 1) == 0
        assert part["share"] == shown / number  # the number and the share are of one and the same thing
        assert part["percent"] == (percent(shown / number) if shown else "")
        assert not shown or (f"{shown:,}" in part["says"] and part["percent"] in part["says"])
    assert not refused(app)


@pytest.mark.parametrize("name", [info.name for info in catalogue() if info.name != "scratch:test"])
def test_the_sentences_shares_are_all_there_are(name: str) -> None:
    sentence = next(one for one in opened("models", shown=name).sentences if " parameters, " in one)
    told = [float(one) for one in re.findall(r"([\d.]+)\u202f%", sentence)]
    assert sum(told) == pytest.approx(100, abs=0.5 * len(told)) and "None" not in sentence


def test_minilms_pooler_is_named_and_not_counted() -> None:
    app = opened("models", shown="minilm")
    folder = models.minilm_folder()
    assert folder is not None
    in_file = {name: x for name, x in load_file(folder / "model.safetensors").items() if x.is_floating_point()}
    pooler = sum(x.numel() for name, x in in_file.items() if "pooler" in name)
    whole = sum(x.numel() for x in in_file.values())
    assert (pooler, whole) == (147_840, 22_713_216)
    assert f"which nothing here uses: {pooler:,} parameters, {whole:,} with them." in app.sentences[1]
    assert models.unused_weights(catalogue()[0]) == {
        name: in_file[name].numel() for name in loaded("minilm").unused_weights if name in in_file
    }
    assert "nothing here uses" not in opened("models", shown="austen").sentences[1]


def test_looking_at_a_model_loads_nothing() -> None:
    before = cache.loaded()
    opened("models", shown="scratch:base", beside="minilm")
    assert cache.loaded() == before


def test_a_click_in_the_table_shows_another_model_and_stands_in_the_link() -> None:
    app = choose(opened("models"), "dates")
    assert app.query_params["shown"] in ("dates", ["dates"])
    drawn = values(app, "attnviz_anatomy")[0]["models"][0]
    assert [column["title"] for column in drawn["columns"]] == ["Encoder", "Decoder"]
    cross = sum(p.numel() for n, p in loaded("dates").transformer.named_parameters() if "multihead_attn" in n)
    assert f"{percent(cross / 107_068)} in cross-attention" in app.sentences[1]
    assert choose(app, "no such model").query_params["shown"] in ("dates", ["dates"])


def test_two_models_side_by_side_differ_in_their_configs() -> None:
    app = opened("models", shown="scratch:bert", beside="scratch:gpt")
    assert [one["title"] for one in values(app, "attnviz_anatomy")[0]["models"]] == ["Untrained bert", "Untrained gpt"]
    one, other = (models.preset(name, vocab_size=models.SCRATCH_VOCAB) for name in ("bert", "gpt"))
    differ = {name for name, value in asdict(one).items() if value != asdict(other)[name]}
    found = values(app, "attnviz_table")[1]["rows"]
    assert len(found) == len(differ) + 1  # and how many parameters in all
    assert [row["cells"] for row in found if row["cells"][0] == ["kind of stack"]] == [
        [["kind of stack"], ["encoder"], ["decoder"]]
    ]


@pytest.mark.parametrize(
    "query", [{"shown": "x" * 999}, {"shown": "nothing"}, {"shown": "session:0"}, {"beside": "../x"}]
)
def test_a_link_to_what_is_not_there_shows_the_first(query: dict[str, str]) -> None:
    app = opened("models", **query)
    assert [one["title"] for one in values(app, "attnviz_anatomy")[0]["models"]] == ["MiniLM"]


def test_use_it_is_for_models_that_read_a_text() -> None:
    app = opened("models", shown="austen")
    next(button for button in app.button if button.label == "Use it on every page").click().run()
    assert app.session_state["model"] == "austen" and not app.exception
    for name in ("dates", "digits"):
        assert "Use it on every page" not in [button.label for button in opened("models", shown=name).button]


# ---------------------------------------------------------------------------------------------- an upload


def test_an_upload_is_this_sessions_own_model() -> None:
    app = upload(opened("models"), "my words.zip", zipped("induction"))
    name = app.session_state["models.shown"]
    assert name.startswith(cache.OWN) and next(iter(rows(app))) == name and not refused(app)
    assert rows(app)[name][0] == ["Yours 1: my words", "of this session"]
    assert name not in rows(opened("models"))  # nobody else has it
    next(button for button in app.button if button.label == "Use it on every page").click().run()
    app.switch_page("pages/explore.py").run()
    assert not app.exception and not refused(app)
    assert app.selectbox(key="model").options[0].startswith("Yours 1: my words")


def test_a_model_trained_in_the_session_stands_there_too() -> None:
    app, trained = opened("models"), loaded("tales")
    name = f"{cache.OWN}0123"
    info = replace(trained.info, name=name, title="Yours 1: tales", source="trained in this session")
    app.session_state["own models"] = {name: replace(trained, info=info)}
    choose(app.run(), name)
    assert [cell[0] for cell in rows(app)[name]][8:] == ["trained in this session", "711\u202fkB"]
    assert values(app, "attnviz_anatomy")[0]["models"][0]["total"] == "177,770"


def test_the_links_lead_to_the_page_that_can_show_it() -> None:
    for name, place, parameter in (
        ("austen", "", "model"),
        ("dates", "translate", "translator"),
        ("digits", "vision", "vit"),
    ):
        link = opened("models", shown=name).get("page_link")[0].proto
        assert (link.page, link.query_string) == (place, f"{parameter}={name}")
        there = opened(place or "explore", **{parameter: name})
        assert not there.exception
        state = there.session_state
        assert name in (state["model"], *(state[key] for key in ("translate.translator", "vision.vit") if key in state))


def test_an_uploaded_translator_is_not_offered_to_pages_of_one_text() -> None:
    app = upload(opened("models"), "dates.zip", zipped("dates"))
    assert app.session_state["models.shown"].startswith(cache.OWN)
    assert not any("Yours" in option for option in app.selectbox(key="model").options)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no zip", "no .zip archive"),
        (zipped("induction", tokenizer=b"{}"), "tokenizer.json is not a tokenizer.json that can be read"),
        (zipped("induction", config=b"{}"), "which the installed transformers does not know"),
        (zipped("induction", model=b"\xff" * 8), "has a header of"),
    ],
)
def test_a_bad_upload_is_a_sentence_and_the_page_stays(data: bytes, says: str) -> None:
    app = opened("models", shown="tales")
    upload(app, "bad.zip", data)
    assert not app.exception and len(refused(app)) == 1 and says in refused(app)[0]
    assert app.session_state["models.shown"] == "tales" and cache.OWN not in str(list(rows(app)))


CONTROLS = [name for name in HOSTILE if any(ord(character) < 32 for character in name)]


@pytest.mark.parametrize("name", sorted({name.replace("\0", "") for name in (*HOSTILE[::5], *CONTROLS)}))
def test_a_hostile_file_name_is_only_text(name: str) -> None:
    app = upload(opened("models"), f"{name}.zip", zipped("induction"))
    assert not app.exception and not refused(app)
    (model,) = app.session_state["own models"].values()
    assert model.info.title.isprintable()


def test_uploads_of_all_sessions_have_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    taken = sum(map(cache.n_bytes, cache._owned))
    monkeypatch.setattr(cache, "OWN_BYTES", taken + 200_000)  # one of 152 kB, not two
    app, other = opened("models"), opened("models")
    assert not refused(upload(app, "a.zip", zipped("induction")))
    upload(other, "b.zip", zipped("induction"))
    assert "more than the" in refused(other)[0] and "Try again later" in refused(other)[0]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that read tokenizers: each is alive, and does not answer."""
    monkeypatch.setattr(model_uploads, "SOON", 0.0)
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        processes.append(start([*command[:2], "-c", "import time; time.sleep(600)"], **how))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", started)
    yield processes
    model_uploads.cancel_all()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def send(app: Page, name: str) -> model_uploads.Upload:
    """Uploads an archive, and comes back while it is read."""
    app.get("file_uploader")[0].upload(name, zipped("induction"), "application/zip")
    app.run()
    upload: model_uploads.Upload = app.session_state["models:upload"]
    assert not app.exception and app.get("progress") and not app.get("file_uploader")
    return upload


def test_uploads_are_read_in_line_and_cancel_ends_the_process_at_once(slow: list[subprocess.Popen[bytes]]) -> None:
    app, other = opened("models"), opened("models")
    first, second = send(app, "a.zip"), send(other, "b.zip")
    until(lambda: bool(slow))
    assert "1 before you: archives are read one after the other …" in bars(other.run())
    assert "its tokenizer may take 20 s …" in bars(app.run()) and slow[0].poll() is None
    until(lambda: cache._gate.acquire(blocking=False))  # others load meanwhile
    cache._gate.release()
    before = rows(app)
    app.press("Cancel")
    first.wait(10)
    assert slow[0].poll() is not None and not app.get("progress") and app.get("file_uploader")
    assert refused(app) == [job_text.UPLOAD_CANCELLED] and rows(app) == before and not app.session_state["own models"]
    until(lambda: len(slow) == 2)  # the next one's turn
    assert second.number == 0
    other.press("Cancel")
    second.wait(10)
    assert slow[1].poll() is not None and not model_uploads.LINE.jobs


def test_an_upload_ends_with_its_session(slow: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_line, "ABSENT", 0.0)
    here = threading.Event()
    here.set()
    monkeypatch.setattr(model_uploads, "presence", lambda: here.is_set)
    upload = send(opened("models"), "a.zip")
    until(lambda: bool(slow))
    here.clear()
    upload.wait(10)
    assert upload.status == "cancelled" and slow[0].poll() is not None and not model_uploads.LINE.jobs


def bars(app: Page) -> str:
    """What the bars say."""
    return " ".join(str(bar.proto.text) for bar in app.get("progress"))


# ---------------------------------------------------------------------------------------------- a download


class Hub:
    """A stand-in for the hub: a download goes on when the test says so."""

    def __init__(self) -> None:
        self.told, self.go = threading.Event(), threading.Event()
        self.error: ModelError | None = None
        self.folder = BUNDLED / "induction"

    def fetch(self, repo: str, max_bytes: int, report: Any = None) -> Path:
        assert strangers.token() is False  # not that of whoever runs the server
        if report is not None:
            report(3_000_000, 12_000_000)
            self.told.set()
            assert self.go.wait(60)
            report(6_000_000, 12_000_000)
        if self.error is not None:
            raise self.error
        return self.folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub()
    monkeypatch.setattr(hf_download, "fetch", stand_in.fetch)
    yield stand_in
    stand_in.go.set()


def ask(app: Page, name: str) -> Page:
    app.text_input(key="models-typed").set_value(name)
    next(button for button in app.button if button.label == "Load").click().run()
    assert not app.exception
    return app


def test_a_download_tells_how_far_it_is_and_becomes_a_model(hub: Hub) -> None:
    app = ask(opened("models"), "hf:some/model")
    assert hub.told.wait(60)
    app.run()
    bar = app.get("progress")[0].proto
    assert (bar.value, bar.text) == (25, "3\u202fMB of 12\u202fMB")
    assert "Load" not in [button.label for button in app.button]
    hub.go.set()
    app.session_state["download"].wait(60)
    app.run()
    assert not app.exception and not refused(app)
    assert app.session_state["models.shown"] == "hf:some/model" and "hf:some/model" in rows(app)
    assert rows(app)["hf:some/model"][8] == ["some/model on the Hugging Face hub"]
    assert cache.loaded()["hf:some/model"] == cache.n_bytes(cache.model("hf:some/model")) > 0
    assert "hf:some/model" not in rows(opened("models"))


def test_a_download_can_be_cancelled(hub: Hub) -> None:
    app = ask(opened("models"), "some/model")
    assert hub.told.wait(60)
    app.run()
    running = app.session_state["download"]
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert "The download of some/model was cancelled" in refused(app)[0]
    hub.go.set()
    running.wait(60)
    assert running.status == "cancelled" and running.done == 6_000_000 and not model_downloads._running
    assert "hf:some/model" not in rows(app.run())


def test_what_has_come_is_loaded_there_and_cancel_ends_that_too(hub: Hub, slow: list[subprocess.Popen[bytes]]) -> None:
    hub.go.set()
    app = ask(opened("models"), "some/slow")
    until(lambda: bool(slow))
    assert bars(app.run()) == job_text.LOADING
    running = app.session_state["download"]
    app.press("Cancel")
    running.wait(10)
    assert running.status == "cancelled" and slow[0].poll() is not None and not model_downloads._running
    assert "The download of some/slow was cancelled" in refused(app)[0] and "hf:some/slow" not in cache.loaded()


def test_a_download_ends_with_its_session(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_downloads, "ABSENT", -1.0)
    alone = model_downloads.Download("some/model", lambda: False)
    alone.start()
    alone.wait(60)
    assert alone.status == "cancelled" and not model_downloads._running


def test_what_the_hub_refuses_is_said(hub: Hub) -> None:
    hub.error = ModelError("some/model is gated: its owner has to grant access on the hub first.")
    hub.go.set()
    app = ask(opened("models"), "some/model")
    app.session_state["download"].wait(60)
    app.run()
    assert refused(app) == ["some/model is gated: its owner has to grant access on the hub first."]


@pytest.mark.parametrize("name", ["", "bert", "a/b/c", "../..", "/x"])
def test_a_name_that_is_none_is_said(name: str, hub: Hub) -> None:
    hub.go.set()
    app = ask(opened("models"), name)
    if name != "../..":
        assert "is not of the form hf:org/name" in refused(app)[0]
        assert "download" not in app.session_state


def explored(name: str) -> Page:
    """Explore, by a link that names a model."""
    app = opened(model=name)
    assert not app.exception
    return app


def test_every_page_shows_how_far_its_model_is(hub: Hub) -> None:
    app = explored("hf:some/second")
    assert hub.told.wait(60)
    app.run()
    assert app.get("progress")[0].proto.text == "3\u202fMB of 12\u202fMB" and not components(app, "attnviz_view")
    hub.go.set()
    app.session_state["download"].wait(60)
    app.run()
    assert not app.exception and not app.get("progress") and components(app, "attnviz_view")
    assert app.session_state["model"] == "hf:some/second"


def test_who_cancels_on_a_page_is_back_at_the_first_model(hub: Hub) -> None:
    app = explored("hf:some/other")
    assert hub.told.wait(60)
    app.run()
    text = app.session_state["text"]
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert not app.exception and components(app, "attnviz_view")
    assert (app.session_state["model"], app.session_state["text"]) == ("minilm", text)
    hub.go.set()


def test_what_a_page_cannot_have_is_said_once_and_then_asked_for_again(hub: Hub) -> None:
    hub.error = ModelError("some/third is gated: its owner has to grant access on the hub first.")
    hub.go.set()
    app = explored("hf:some/third")
    first = app.session_state["download"]
    first.wait(60)
    if not first.reported:  # it took longer than the page waited
        app.run()
    assert first.reported and any("is gated" in text.value for text in app.text)
    hub.error = None
    app.run()
    app.session_state["download"].wait(60)
    app.run()
    assert app.session_state["download"] is not first and components(app, "attnviz_view")


OWN_FIELDS = [  # pages that have a model of their own: the setting, the first model, what draws it
    ("vision", "vit", "digits", "attnviz_patches"),
    ("translate", "translator", "dates", "attnviz_writer"),
]


def of_its_own(page: str, field: str, name: str) -> Page:
    """A page with a model of its own, by a link that names one."""
    app = opened(page, **{field: name})
    assert not app.exception
    return app


@pytest.mark.parametrize(("page", "field", "first", "view"), OWN_FIELDS)
def test_a_model_of_a_pages_own_field_shows_how_far_it_is(
    page: str, field: str, first: str, view: str, hub: Hub
) -> None:
    hub.folder, name = BUNDLED / first, f"hf:some/{first}"
    app = of_its_own(page, field, name)
    assert hub.told.wait(60)
    app.run()
    assert app.get("progress")[0].proto.text == "3\u202fMB of 12\u202fMB" and not components(app, view)
    assert app.selectbox(key=f"{page}.{field}").value == name
    hub.go.set()
    app.session_state["download"].wait(60)
    app.run()
    assert not app.exception and not app.get("progress") and components(app, view)
    assert app.selectbox(key=f"{page}.{field}").value == name


@pytest.mark.parametrize(("page", "field", "first", "view"), OWN_FIELDS)
def test_who_cancels_there_is_back_at_the_pages_first_model(
    page: str, field: str, first: str, view: str, hub: Hub
) -> None:
    app = of_its_own(page, field, "hf:some/other-one")
    assert hub.told.wait(60)
    app.run()
    running = app.session_state["download"]
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert not app.exception and not app.get("progress") and components(app, view)
    assert app.selectbox(key=f"{page}.{field}").value == first and not {field, "source"} & set(app.query_params)
    assert app.session_state["model"] == "minilm"
    hub.go.set()
    running.wait(60)
    assert running.status == "cancelled"


@pytest.mark.parametrize(("page", "field", "first", "view"), OWN_FIELDS)
def test_what_cannot_come_there_is_said_beside_the_field(
    page: str, field: str, first: str, view: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_downloads, "SOON", 60)
    hub.error = ModelError("some/locked is gated: its owner has to grant access on the hub first.")
    hub.go.set()
    app = of_its_own(page, field, "hf:some/locked")
    assert refused(app) == ["some/locked is gated: its owner has to grant access on the hub first."]
    assert app.selectbox(key=f"{page}.{field}").value == "hf:some/locked" and not app.get("progress")


def test_a_server_downloads_only_so_much_at_a_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_downloads, "MAX_DOWNLOADS", 1)
    first = ask(opened("models"), "some/model")
    assert hub.told.wait(60)
    assert "This server downloads 1 models now" in refused(ask(opened("models"), "other/model"))[0]
    hub.go.set()
    first.session_state["download"].wait(60)


# ------------------------------------------------------------------------------------------- memory for models


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cache._shared.clear()
    monkeypatch.setattr(cache, "_held", type(cache._held)())
    yield
    cache._shared.clear()
    cache._held.clear()


def test_models_are_evicted_by_bytes_the_longest_unused_first(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {name: cache.n_bytes(loaded(name)) for name in ("induction", "tales", "digits")}
    for name, size in sizes.items():
        assert size == 4 * loaded(name).transformer.config.n_parameters
    monkeypatch.setattr(cache, "MODELS_BYTES", sizes["induction"] + sizes["tales"] + 1)
    gone = weakref.ref(cache.model("tales"))
    first = cache.model("induction")
    assert cache.loaded() == {"tales": sizes["tales"], "induction": sizes["induction"]}
    cache.model("digits")  # too much: tales was used before induction
    assert list(cache.loaded()) == ["induction", "digits"]
    assert cache.model("induction") is first
    gc.collect()
    assert gone() is None  # its memory is free again
    cache.model("scratch:tiny")  # more than all: it stays alone
    assert list(cache.loaded()) == ["scratch:tiny"]


def test_sessions_that_ask_at_once_share_one_model(empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cache, "load", lambda name, **options: asked.append(name) or load(name, **options))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(cache.model("tales"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == ["tales"] and len(found) == 6 and all(one is found[0] for one in found)
    assert list(cache.loaded()) == ["tales"]


def test_models_that_are_asked_for_at_once_are_loaded_one_after_the_other(
    empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each would take its memory before the others' is counted: 20 visitors took 5 GB."""
    loading: list[str] = []
    at_once: list[int] = []

    def slow(name: str, **options: Any) -> Any:
        loading.append(name)
        time.sleep(0.05)
        at_once.append(len(loading))
        loaded = load(name, **options)
        loading.remove(name)
        return loaded

    monkeypatch.setattr(cache, "load", slow)
    names = [f"scratch:test?seed={seed}" for seed in range(5)]
    threads = [threading.Thread(target=cache.model, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == [1] * 5


def test_numbers_for_people() -> None:
    assert [magnitude(n) for n in (999, 38_091, 999_999, 22_565_376, 1_500_000_000)] == [
        "999",
        "38.1 thousand",
        "1 million",
        "22.6 million",
        "1.5 billion",
    ]
    assert [file_size(n) for n in (711_080, 90_261_504, 999_900_000, 1_000_000_000)] == [
        "711\u202fkB",
        "90.3\u202fMB",
        "1\u202fGB",
        "1\u202fGB",
    ]
    assert [text.value(x) for x in (True, 30_522, 1e-12, None, "", "rope")] == [
        "yes",
        "30,522",
        "1e-12",
        "–",
        "–",
        "rope",
    ]


def test_what_a_model_reads() -> None:
    config = ModelConfig()
    assert cache.reads(config) == "text"
    assert cache.reads(replace(config, kind="encoder-decoder")) == "pair"
    assert cache.reads(loaded("digits").transformer.config) == "image"


def test_an_unknown_preset_offers_only_models_of_one_text() -> None:
    app = opened(model="scratch:huge")
    assert "There is no untrained model “scratch:huge”." in refused(app)[0]
    assert "scratch:gpt" in refused(app)[0] and "base" not in refused(app)[0]


def test_licences_are_those_of_the_cards() -> None:
    folder = models.minilm_folder()
    assert folder is not None and catalogue()[0].licence == models.licence(folder) == "apache-2.0"
    for name in catalogue()[1:6]:
        assert name.licence == "MIT" and "Licence: MIT" in (BUNDLED / name.name / "README.md").read_text()
