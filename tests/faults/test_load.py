"""The rows of `bench load` in a short form: nobody sees an error, no session is left, memory stays within its limit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.benchmarks import bench_load
from tests.benchmarks.bench_load import Row, Sizes
from tests.support.readers import Answer, Reader, done

pytestmark = [pytest.mark.e2e, pytest.mark.nightly]

SIZES = Sizes(
    readers=12,
    explore=3,
    lessons=4,
    opened=20,
    opened_for=3,
    arrivals=8,
    mixed=20,
    sequence=4,
    interactions=2,
    settled=2,
)


def test_many_readers_see_no_error_and_leave_nothing() -> None:
    rows = list(bench_load.on_default(SIZES))
    assert {row.name: row.errors for row in rows if row.errors} == {}
    *measured, memory, sequence = rows
    assert all(row.seconds for row in (*measured, sequence))
    assert int(memory.says.split(" MB")[0].replace(",", "")) <= 900, memory.says


def test_a_server_told_of_the_smallest_host_sees_no_error_either() -> None:
    rows = list(bench_load.on_smallest_host(replace(SIZES, mixed=8)))
    assert {row.name: row.errors for row in rows if row.errors} == {}


def test_a_cold_process_shows_what_is_coming_before_the_view() -> None:
    with ThreadPoolExecutor(1) as apart:  # this thread may hold the loop of a browser that another test drives
        says = apart.submit(bench_load.cold).result().says
    paint, view = map(float, says.removesuffix(" s").split(" / "))
    assert 0 < paint < view


def test_an_error_on_a_page_is_counted() -> None:
    async def go() -> tuple[Answer, Answer]:
        with bench_load.watched() as server:
            async with Reader(server.address) as reader:
                nowhere = await reader.open("nowhere")
                await reader.open("")
                return nowhere, await reader.type("  ")  # the page says what to do, and ends

    nowhere, blank = done(go())
    assert nowhere.error == "no such page" and "did not come to its end" in blank.error


def test_a_row_tells_median_and_95_percent() -> None:
    row = Row("a row", "")
    for milliseconds in range(1, 101):
        row.take(Answer(milliseconds / 1e3, 1, "" if milliseconds < 100 else "an error"))
    assert row.measured == "50 / 96 ms, 100 runs" and row.errors == ["an error"]
