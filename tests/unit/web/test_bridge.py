"""What a component reported, and what it was sent last."""

import re
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from attnviz.browser import bundle
from attnviz.web.components import bridge
from tests.support.disks import full_disk


@dataclass(frozen=True)
class Look:
    layer: int = 0
    off: str = ""


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    state: dict[str, Any] = {}
    monkeypatch.setattr(bridge, "st", SimpleNamespace(session_state=state))
    return state


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, {"view": None}])
def test_a_browser_may_report_anything(memory: dict[str, Any], value: Any) -> None:
    memory["key"] = value
    assert bridge.reported("key", "view") is None
    assert bridge.reported("elsewhere", "view") is None
    assert bridge.reported_fields("key", "view") == {}
    assert bridge.reported_as("key", "view", Look()) is None


@pytest.mark.parametrize(
    ("report", "fields"),
    [
        ({"number": 3, "index": "?"}, {"number": 3, "index": "?"}),
        ({"index": 1}, {"index": 1}),
        ({"number": True}, {}),
        ({"number": 1.5}, {}),
        ([1], {}),
    ],
)
def test_reports_have_fields_and_a_number(memory: dict[str, Any], report: Any, fields: dict[str, Any]) -> None:
    memory["key"] = {"moved": report}
    assert bridge.reported_fields("key", "moved") == fields


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ({"layer": 2, "off": "1.0", "more": 1}, Look(2, "1.0")),
        ({"layer": "2", "off": ""}, None),
        ({"layer": True, "off": ""}, None),
        ({"layer": 2}, None),
    ],
)
def test_a_report_is_a_dataclass_or_nothing(memory: dict[str, Any], report: Any, state: Look | None) -> None:
    memory["key"] = {"look": report}
    assert bridge.reported_as("key", "look", Look()) == state


def shown(key: str) -> Look | None:
    return bridge.reported_as(key, "look", Look())


def send(state: Look, *, insist: bool) -> bridge.Sent[Look]:
    return bridge.to_send("key", "look", state, shown("key"), insist=insist)


@pytest.mark.parametrize("insist", [True, False])
def test_what_the_reader_did_is_not_sent_back(memory: dict[str, Any], insist: bool) -> None:
    assert send(Look(), insist=insist) == bridge.Sent(Look(), 1, Look())
    assert send(Look(), insist=insist).number == 1
    memory["key"] = {"look": asdict(Look(3))}
    sent = send(Look(3), insist=insist)  # the page has taken it over
    assert (sent.state, sent.number) == (Look(), 1)
    assert shown("key") == Look(3)


@pytest.mark.parametrize("insist", [True, False])
def test_what_the_page_chooses_is_sent_and_replaces_an_older_report(memory: dict[str, Any], insist: bool) -> None:
    send(Look(), insist=insist)
    memory["key"] = {"look": asdict(Look(3))}
    send(Look(3), insist=insist)
    sent = send(Look(5), insist=insist)
    assert (sent.state, sent.number) == (Look(5), 2)
    assert shown("key") == Look(5)
    memory["key"] = {"look": asdict(Look(3))}  # the reader goes back
    assert send(Look(3), insist=insist).number == 2


def test_only_a_page_that_insists_undoes_what_the_reader_did(memory: dict[str, Any]) -> None:
    send(Look(), insist=False)
    memory["key"] = {"look": asdict(Look(3))}
    assert send(Look(), insist=False).number == 1
    assert shown("key") == Look(3)
    assert send(Look(), insist=True).number == 2
    assert shown("key") == Look()


def test_a_state_that_is_shown_counts_as_reported(memory: dict[str, Any]) -> None:
    send(Look(), insist=False)
    bridge.show("key", "look", Look(4))
    assert shown("key") == Look(4)
    assert send(Look(4), insist=False) == bridge.Sent(Look(4), 1, Look(4))


def test_files_are_counted(memory: dict[str, Any]) -> None:
    assert [bridge.next_file("a"), bridge.next_file("a"), bridge.next_file("b")] == [1, 2, 1]


def test_lists_go_to_the_browser_as_they_are_and_dicts_are_refused() -> None:
    assert bridge.without_tables({"entries": [{"a": 1}], "name": "x"}) == {"entries": ({"a": 1},), "name": "x"}
    assert bridge.without_tables(b"frame") == b"frame"
    with pytest.raises(TypeError, match="first level: next"):
        bridge.without_tables({"next": {"page": "masks"}})


def test_a_message_names_the_javascript_and_does_not_hold_it(monkeypatch: pytest.MonkeyPatch):
    given: dict[str, str] = {}
    register = SimpleNamespace(component=lambda name, **parts: given.update(parts))
    monkeypatch.setattr(bridge, "st", SimpleNamespace(components=SimpleNamespace(v2=register)))
    bridge.component("view", "attention/streamlit.js", "<div></div>", "")
    assert len(given["js"]) < 300 < 100_000 < len(bundle.javascript())
    path = re.search(rf"{bridge.PROGRAMS_PATH}/([\w.-]+)", given["js"])
    assert path and (bridge._programs() / path[1]).read_text("utf-8") == bundle.javascript()


def test_on_a_full_disk_the_message_holds_the_javascript(monkeypatch: pytest.MonkeyPatch):
    given: dict[str, str] = {}
    register = SimpleNamespace(component=lambda name, **parts: given.update(parts) or (lambda **sent: sent["key"]))
    monkeypatch.setattr(bridge, "st", SimpleNamespace(components=SimpleNamespace(v2=register)))
    monkeypatch.setattr(bridge, "served", lambda *_: pytest.fail("there is no file"))
    bridge._programs()
    bridge._program.cache_clear()
    with full_disk():
        mount = bridge.component("view", "attention/streamlit.js", "<div></div>", "")
    assert given["js"] == bundle.javascript() and mount(data=b"", key="drawn") == "drawn"


def test_other_javascript_has_another_name(monkeypatch: pytest.MonkeyPatch):
    before = bridge._program("widgets/done.js")
    bridge._program.cache_clear()
    monkeypatch.setattr(bundle, "javascript", lambda entry: "export default () => {};\n")
    after = bridge._program("widgets/done.js")
    bridge._program.cache_clear()
    assert before != after and before[:13] == after[:13] == "widgets-done-"
