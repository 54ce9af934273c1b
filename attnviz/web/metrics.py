"""Figures for whoever runs a server, in Prometheus' form, at a port of their own (`ATTNVIZ_METRICS_PORT`).

    curl http://127.0.0.1:9400/metrics

None of them holds a word of a visitor's, nor who it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as cache_calls
from typing import Any

from prometheus_client import REGISTRY, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from streamlit import runtime
from streamlit.runtime.stats import SESSION_DURATION_FAMILY, SESSION_EVENTS_FAMILY

from attnviz.web import allocator, cache
from attnviz.web.limits import LIMITS
from attnviz.web.line import LINE
from attnviz.web.store import STORE

_log = logging.getLogger(__name__)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # bounds of the histogram

RUNS = Histogram("attnviz_run_seconds", "Seconds of a run.", ["what"], buckets=SECONDS)
FAILED = Counter("attnviz_failed_runs", "Runs that ended with an error nobody foresaw.")
REFUSED = Counter("attnviz_refused", "What was refused, by what it was.", ["what"])


@contextmanager
def run(what: str) -> Iterator[None]:
    """Around a run of a whole "page", or of a "part" of one alone."""
    began = time.perf_counter()
    try:
        yield
    except Exception:
        FAILED.inc()
        raise
    finally:
        RUNS.labels(what).observe(time.perf_counter() - began)
        allocator.run_ended()


class Held(Collector):
    """What the server holds at the moment that it is asked."""

    def describe(self) -> Iterator[Metric]:
        """None beforehand: to ask for its names would be to collect, and so to import all of training."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client wants it."""
        bytes_held = GaugeMetricFamily("attnviz_held_bytes", "Bytes in memory, by what.", labels=["what"])
        bytes_held.add_metric(["results"], STORE.n_bytes)
        bytes_held.add_metric(["models"], sum(cache.loaded().values()))
        bytes_held.add_metric(["own models"], cache.own_bytes())
        yield bytes_held
        limits = GaugeMetricFamily("attnviz_limit_bytes", "The most of it that there may be.", labels=["what"])
        limits.add_metric(["results"], STORE.most_bytes)
        limits.add_metric(["models"], cache.MODELS_BYTES)
        limits.add_metric(["own models"], cache.OWN_BYTES)
        yield limits
        results = GaugeMetricFamily("attnviz_results", "Results that are kept, by function.", labels=["function"])
        sizes = GaugeMetricFamily("attnviz_results_bytes", "Their bytes.", labels=["function"])
        hits = CounterMetricFamily("attnviz_results_found", "How often one was there.", labels=["function"])
        made = CounterMetricFamily("attnviz_results_made", "How often one was made.", labels=["function"])
        evicted = CounterMetricFamily("attnviz_results_evicted", "How often one had to go.", labels=["function"])
        for use in STORE.uses():
            for metric, value in (
                (results, use.entries),
                (sizes, use.n_bytes),
                (hits, use.hits),
                (made, use.made),
                (evicted, use.evicted),
            ):
                metric.add_metric([use.name], value)
        yield from (results, sizes, hits, made, evicted)
        from attnviz.web.jobs import training_queue  # not for the first page, which trains nothing

        trainings = GaugeMetricFamily("attnviz_trainings", "Trainings, by state.", labels=["state"])
        trainings.add_metric(["running"], len(training_queue.running))
        trainings.add_metric(["waiting"], len(training_queue.waiting))
        yield trainings
        yield GaugeMetricFamily("attnviz_waiting_runs", "Runs that wait in line.", value=LINE.n_waiting)
        if runtime.exists():
            yield GaugeMetricFamily("attnviz_sessions", "Browsers connected.", value=_n_sessions())
            yield from _of_streamlit()


def _n_sessions() -> int:
    return len(runtime.get_instance()._session_mgr.list_active_sessions())


def _of_streamlit() -> Iterator[Metric]:
    """How many sessions came, came back and went, and the seconds that they were there: what costs it no walk."""
    counted: Any = runtime.get_instance().stats_mgr.get_stats([SESSION_EVENTS_FAMILY, SESSION_DURATION_FAMILY])
    for name, stats in counted.items():
        family = CounterMetricFamily(f"streamlit_{name}", stats[0].help, labels=list(stats[0].labels or {}))
        for stat in stats:
            family.add_metric(list((stat.labels or {}).values()), stat.value)
        yield family


REGISTRY.register(Held())


@cache_calls
def serve() -> None:
    """Answers at the port and address of the configuration; nowhere where the port is 0. The app runs without.

    Once in a process: a server's start calls it, and so does its first reader, who may be there before.
    """
    if LIMITS.metrics_port:
        try:
            start_http_server(LIMITS.metrics_port, addr=LIMITS.metrics_address)
        except OSError as error:  # such as a port that another process has
            _log.error("no figures at %s, port %s: %s", LIMITS.metrics_address, LIMITS.metrics_port, error)
