"""The figures for whoever runs a server, and the health check that runs a model."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.session_manager import SessionManager
from streamlit.runtime.stats import StatsManager
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

import attnviz
from attnviz.web import first_paint, health, metrics
from attnviz.web.store import STORE


def figures() -> dict[tuple[str, str], float]:
    """By name and label, as a scraper reads them."""
    families = text_string_to_metric_families(generate_latest(metrics.REGISTRY).decode())
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
        if "le" not in sample.labels
    }


@pytest.fixture
def result() -> Iterator[str]:
    yield "a function of this test"
    STORE.clear("a function of this test")


def test_runs_are_counted_and_those_that_fail_too() -> None:
    before = figures()
    with metrics.run("page"):
        pass
    with pytest.raises(ZeroDivisionError), metrics.run("page"):
        1 / 0  # noqa: B018
    after = figures()
    name = ("attnviz_run_seconds_count", "page")
    assert after[name] - before.get(name, 0) == 2
    assert after["attnviz_failed_runs_total", ""] - before["attnviz_failed_runs_total", ""] == 1


def test_a_page_that_begins_anew_has_not_failed() -> None:
    class Anew(BaseException):
        """As Streamlit's st.rerun."""

    before = figures()
    with pytest.raises(Anew), metrics.run("part"):
        raise Anew
    assert figures()["attnviz_failed_runs_total", ""] == before["attnviz_failed_runs_total", ""]


def test_what_is_held_is_said_by_function(result: str) -> None:
    STORE.get(result, 1, lambda: bytes(5000))
    STORE.get(result, 1, lambda: bytes(5000))
    held = figures()
    assert held["attnviz_results", result] == 1 and held["attnviz_results_bytes", result] >= 5000
    assert held["attnviz_results_made_total", result] == held["attnviz_results_found_total", result] == 1
    assert held["attnviz_held_bytes", "results"] == STORE.n_bytes
    assert held["attnviz_limit_bytes", "results"] == STORE.most_bytes
    assert held["process_resident_memory_bytes", ""] > 1e7


def test_streamlit_still_counts_its_sessions_where_we_look() -> None:
    assert callable(SessionManager.list_active_sessions) and "_session_mgr" in Runtime.__init__.__code__.co_names


def test_what_streamlit_counts_of_its_sessions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = WebsocketSessionManager(MemorySessionStorage(), MemoryUploadedFileManager(""), ScriptCache(), None)
    sessions._connect_count, sessions._total_session_duration_seconds = 3, 120.5
    stats = StatsManager()
    stats.register_provider(sessions)
    monkeypatch.setattr(metrics.runtime, "exists", lambda: True)
    monkeypatch.setattr(
        metrics.runtime, "get_instance", lambda: SimpleNamespace(stats_mgr=stats, _session_mgr=sessions)
    )
    told = figures()
    assert told["streamlit_session_events_total", "connect"] == 3
    assert told["streamlit_session_duration_seconds_total", ""] == 120
    assert told["attnviz_sessions", ""] == 0


def test_a_port_that_is_taken_stops_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        limits = metrics.LIMITS.model_copy(update={"metrics_port": port})
        monkeypatch.setattr(metrics, "LIMITS", limits)
        metrics.serve.cache_clear()
        metrics.serve()
    metrics.serve.cache_clear()
    assert f"no figures at 127.0.0.1, port {port}" in caplog.text


def test_figures_are_there_before_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    monkeypatch.setattr(metrics, "LIMITS", metrics.LIMITS.model_copy(update={"metrics_port": port}))
    monkeypatch.setattr(metrics, "start_http_server", lambda *place, **more: started.append((place, more)))
    monkeypatch.setattr(first_paint, "ALONE", 0)
    metrics.serve.cache_clear()
    first_paint._make_ready()
    assert started == [((port,), {"addr": "127.0.0.1"})]
    metrics.serve()  # the first reader's run
    metrics.serve.cache_clear()
    assert len(started) == 1


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_last", health.Answer())


@pytest.mark.usefixtures("unasked")
def test_health_runs_a_model_once_for_many_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, load = [], attnviz.load
    monkeypatch.setattr(attnviz, "load", lambda name: loads.append(name) or load(name))
    assert [health.check().status for _ in range(20)] == [200] * 20
    assert loads == [health.MODEL]


@pytest.mark.usefixtures("unasked")
def test_a_server_that_cannot_run_a_model_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(name: str) -> None:
        raise MemoryError

    monkeypatch.setattr(attnviz, "load", out_of_memory)
    assert health.check().status == 503
