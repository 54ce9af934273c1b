"""Many readers at once: how long each waits, how much memory the server takes, and that none of them sees an error.

python -m attnviz bench load           a short form of every row, in about two minutes
python -m attnviz bench load --middle  as many readers and sessions as the rows say, in about eleven minutes
python -m attnviz bench load --long    as long as the rows say; mixed use for --minutes (120) on each server
  --replicas                           the rows on two servers behind nginx, as deploy/nginx has them
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from tests.support import nginx
from tests.support.chromium import ROOT, free_port, launch, serve
from tests.support.readers import Answer, Reader, done

LESSONS = ("step_by_step", "softmax", "masks", "positions", "encoder_block", "variants")
PAGES = ("", *sorted({path.stem for path in (ROOT / "pages").glob("*.py")} - {"explore"}))
SMALLEST_HOST = 690_000_000  # bytes of memory
PROCESSOR = "process_cpu_seconds_total"
WORDS = "the animal cross street tired wide teacher model because river bank money trophy big small it she he".split()  # noqa: SIM905
SHORT_WORDS = "it he we so is of to in on at".split()  # noqa: SIM905


@dataclass(frozen=True)
class Sizes:
    """How much of each row is done."""

    readers: int
    explore: float  # seconds of each row
    lessons: float
    opened: int  # sessions, a tenth of which type
    opened_for: float
    arrivals: int
    mixed: float
    sequence: int  # sessions one after the other
    interactions: int  # of each
    settled: int  # sessions after which memory is first taken


SHORT = Sizes(12, 4, 6, 30, 4, 10, 6, 20, 3, 10)
MIDDLE = Sizes(60, 45, 40, 200, 20, 30, 45, 150, 10, 50)
LONG = Sizes(60, 300, 120, 200, 120, 30, 7_200, 1_000, 10, 100)


@dataclass(frozen=True)
class Watched:
    """A server, and what it says about itself."""

    address: str
    process: int
    figures: str  # address of its metrics

    def figure(self, name: str) -> float:
        """One of its metrics."""
        return float(next(line for line in self._lines() if line.startswith(f"{name} ")).split()[1])

    @property
    def runs(self) -> float:
        """Of pages and of parts of them, so far."""
        return sum(float(line.split()[1]) for line in self._lines() if line.startswith("attnviz_run_seconds_count{"))

    def _lines(self) -> list[str]:
        with urllib.request.urlopen(self.figures, timeout=30) as answer:
            lines: list[str] = answer.read().decode().splitlines()
        return lines

    @property
    def megabytes(self) -> float:
        """Of memory, resident now."""
        return self._megabytes("VmRSS:")

    @property
    def megabytes_of_its_own(self) -> float:
        """Of memory, resident now; its part of what other processes use too."""
        return self._megabytes("Pss:", "smaps_rollup")

    @property
    def most_megabytes(self) -> float:
        """Of memory, resident at any time so far."""
        return self._megabytes("VmHWM:")

    def _megabytes(self, name: str, file: str = "status") -> float:
        lines = Path(f"/proc/{self.process}/{file}").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024 / 1e6


class Replicas:
    """Several servers behind one address, and what they say about themselves together."""

    def __init__(self, address: str, servers: Sequence[Watched]) -> None:
        """`servers` run until their blocks end."""
        self.address, self._servers = address, servers

    def figure(self, name: str) -> float:
        """One of their metrics, of all together."""
        return sum(server.figure(name) for server in self._servers)

    @property
    def runs(self) -> float:
        """Of pages and of parts of them, so far."""
        return sum(server.runs for server in self._servers)

    @property
    def megabytes(self) -> float:
        """Of memory, resident now: what they share (PyTorch's program, the bundled model) once."""
        return sum(server.megabytes_of_its_own for server in self._servers)

    @property
    def most_megabytes(self) -> float:
        """Of memory, resident at any time so far, if all had their most at once; what they share, for each."""
        return sum(server.most_megabytes for server in self._servers)


Server = Watched | Replicas


@contextmanager
def watched(**limits: str) -> Iterator[Watched]:
    """A server as `python -m attnviz serve` starts it, with its figures at a port of their own."""
    port = free_port()
    environment = {f"ATTNVIZ_{name.upper()}": value for name, value in limits.items()}
    with serve(ROOT / "serve.py", environment=environment | {"ATTNVIZ_METRICS_PORT": str(port)}) as server:
        with urllib.request.urlopen(f"{server.address}/healthz", timeout=60):
            pass
        done(look(server.address))  # the first run of a page opens the port
        yield Watched(server.address, server.process, f"http://127.0.0.1:{port}/metrics")


async def look(address: str) -> None:
    """One reader comes and goes."""
    async with Reader(address) as reader:
        await reader.open("")


@dataclass
class Row:
    """What one row of the table measured."""

    name: str
    wanted: str
    seconds: list[float] = field(default_factory=list)  # of each run that a reader waited for
    errors: list[str] = field(default_factory=list)
    says: str = ""  # instead of the seconds
    cost: str = ""  # of the server, where others' work on the machine makes the seconds long

    def take(self, answer: Answer) -> None:
        """Adds a run."""
        self.seconds.append(answer.seconds)
        if answer.error:
            self.errors.append(answer.error)

    @property
    def most(self) -> float:
        """Seconds that 95 % of the runs took at most."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(0.95 * len(self.seconds)))]

    @property
    def measured(self) -> str:
        """Median and 95 % of the seconds, unless the row says something else."""
        if self.says or not self.seconds:
            return self.says
        median, n = statistics.median(self.seconds), len(self.seconds)
        return f"{median * 1e3:,.0f} / {self.most * 1e3:,.0f} ms, {n:,} runs"


def sentence(chance: random.Random) -> str:
    """A text that hardly anybody has typed before."""
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 30))) + "."


async def reads(row: Row, address: str, number: int, page: str, think: float, seconds: float) -> None:
    """One reader, who opens a page and types a new text every `think` seconds; only the latter is measured."""
    chance = random.Random(number)
    await asyncio.sleep(chance.random() * think)
    try:
        async with Reader(address) as reader:
            first = await reader.open(page)
            row.errors += [first.error] if first.error else []
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await asyncio.sleep(think * (0.5 + chance.random()))
                row.take(await reader.type(sentence(chance)))
    except Exception as error:  # the reader is gone: that counts, whatever it was
        row.errors.append(repr(error)[:200])


async def many(row: Row, server: Server, pages: Sequence[str], readers: int, think: float, seconds: float) -> Row:
    """Readers on pages, one after the other."""
    await asyncio.gather(
        *(reads(row, server.address, one, pages[one % len(pages)], think, seconds) for one in range(readers))
    )
    return row


async def explore(server: Server, sizes: Sizes) -> Row:
    """Everybody on the first page."""
    row = Row(f"{sizes.readers} readers on Explore, a new text every 2 s, {sizes.explore:g} s", "≤ 60 / 250 ms")
    return await many(row, server, [""], sizes.readers, 2.0, sizes.explore)


async def lessons(server: Server, sizes: Sizes) -> Row:
    """Everybody on a lesson."""
    row = Row(f"{sizes.readers} readers over all lessons, every 4 s, {sizes.lessons:g} s", "≤ 250 / 1,000 ms")
    return await many(row, server, LESSONS, sizes.readers, 4.0, sizes.lessons)


async def beside(server: Server, sizes: Sizes) -> Row:
    """Light readers, alone and beside one who reads as much as fits on every lesson, without a pause."""
    alone, both = Row("", ""), Row("", "")
    readers = max(2, sizes.readers // 3)
    await many(alone, server, [""], readers, 2.0, sizes.opened_for)
    ended = asyncio.Event()

    async def reads_much() -> None:
        chance = random.Random(0)
        async with Reader(server.address) as reader:
            while not ended.is_set():
                both.errors += [error] if (error := (await reader.open(chance.choice(["", *LESSONS]))).error) else []
                answer = await reader.type(" ".join(chance.choices(SHORT_WORDS, k=560)))  # and yet a text of a link
                both.errors += [answer.error] if answer.error else []

    heavy = asyncio.create_task(reads_much())
    await many(both, server, [""], readers, 2.0, sizes.opened_for)
    ended.set()
    await heavy
    row = Row(f"{readers} readers on Explore, beside one who reads 512 tokens on every page", "95 % ≤ 2 × without")
    row.seconds, row.errors = both.seconds, [*alone.errors, *both.errors]
    row.says = f"{alone.measured}; beside him {both.measured}: {both.most / alone.most:.1f} ×"
    return row


async def arrivals(server: Server, sizes: Sizes) -> Row:
    """A class that opens the page."""
    row = Row(f"{sizes.arrivals} arrivals in one second: to the first view's data", "≤ 500 ms")

    async def arrives(number: int) -> None:
        await asyncio.sleep(number / sizes.arrivals)
        async with Reader(server.address) as reader:
            row.take(await reader.open(""))

    await asyncio.gather(*map(arrives, range(sizes.arrivals)))
    return row


async def opened(server: Server, sizes: Sizes) -> Row:
    """Many tabs, few of which do something."""
    active = max(1, sizes.opened // 10)
    row = Row(f"{sizes.opened} sessions open, {active} active, {sizes.opened_for:g} s", "≤ 100 / 500 ms")
    async with AsyncExitStack() as stack:
        for number in range(sizes.opened - active):
            reader = await stack.enter_async_context(Reader(server.address))
            first = await reader.open(["", *LESSONS][number % 7])
            row.errors += [first.error] if first.error else []
        await many(row, server, ["", *LESSONS], active, 2.0, sizes.opened_for)
        if (there := server.figure("attnviz_sessions")) != sizes.opened - active:
            row.errors.append(f"{there:g} sessions, where {sizes.opened - active} have their tab open")
    return row


async def mixed(server: Server, sizes: Sizes) -> Row:
    """Twenty readers who go through all pages."""
    row = Row(f"mixed use of all pages, {sizes.mixed / 60:g} minutes", "0 errors")
    until = time.perf_counter() + sizes.mixed

    async def wanders(number: int) -> None:
        chance = random.Random(number)
        async with Reader(server.address) as reader:
            while time.perf_counter() < until:
                row.take(await reader.open(chance.choice(PAGES)))
                await asyncio.sleep(4 * chance.random())
                if reader.has_text:
                    row.take(await reader.type(sentence(chance)))
                    await asyncio.sleep(4 * chance.random())

    await asyncio.gather(*map(wanders, range(min(20, sizes.readers))))
    return row


async def sequence(server: Server, sizes: Sizes) -> Row:
    """One session after the other: nothing of them stays."""
    row = Row(f"{sizes.sequence:,} sessions of {sizes.interactions} interactions in sequence", "within 5 %")
    settled = 0.0
    for number in range(sizes.sequence):
        chance = random.Random(number)
        async with Reader(server.address) as reader:
            row.take(await reader.open(["", *LESSONS][number % 7]))
            for _ in range(sizes.interactions):
                row.take(await reader.type(sentence(chance)))
        if number + 1 == sizes.settled:
            settled = server.megabytes
    at_end = server.megabytes
    row.says = f"{settled:,.0f} MB after {sizes.settled}, {at_end:,.0f} at the end: {at_end / settled - 1:+.1%}"
    return row


def memory(server: Server, name: str, most: int) -> Row:
    """What the server takes after all of the above, and that none of its sessions is left."""
    row = Row(f"resident memory after all of it, {name}", f"≤ {most} MB")
    row.says = f"{server.megabytes:,.0f} MB (at most {server.most_megabytes:,.0f})"
    until = time.monotonic() + 10
    while (left := server.figure("attnviz_sessions")) and time.monotonic() < until:
        time.sleep(0.1)
    row.errors += [f"{left:g} sessions are left"] if left else []
    failed = server.figure("attnviz_failed_runs_total")
    row.errors += [f"the server counts {failed:g} failed runs"] if failed else []
    return row


def cold() -> Row:
    """From the start of the process to the view in a Chromium, and to the first thing that it paints."""
    row = Row("cold process to first paint / to first view", "≤ 2.0 / 5.0 s")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        began = time.perf_counter()
        with serve(ROOT / "serve.py") as server:
            page.goto(server.address)
            page.wait_for_selector(".av-say", timeout=60_000)
            seen = time.perf_counter() - began
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1e3
            row.says = f"{server.seconds + paint:.1f} / {seen:.1f} s"
            browser.close()
    return row


Part = Callable[[Server, Sizes], Coroutine[None, None, Row]]
DEFAULT: tuple[Part, ...] = (explore, lessons, beside, arrivals, opened, mixed)


def counted(part: Part, server: Server, sizes: Sizes) -> Row:
    """A row, with the server's processor time for each run of a page and the most memory that it took so far."""
    seconds, runs = server.figure(PROCESSOR), server.runs
    row = done(part(server, sizes))
    seconds, runs = server.figure(PROCESSOR) - seconds, server.runs - runs
    each = f"{1e3 * seconds / max(1, runs):,.0f} ms of processor time for each of the server’s {runs:,.0f} runs"
    row.cost = f"{each}; at most {server.most_megabytes:,.0f} MB so far"
    return row


def on_default(sizes: Sizes) -> Iterator[Row]:
    """All rows on a server without any settings."""
    with watched() as server:
        for part in DEFAULT:
            yield counted(part, server, sizes)
        yield memory(server, "by default", 900)
    with watched() as server:
        yield counted(sequence, server, sizes)


def on_smallest_host(sizes: Sizes) -> Iterator[Row]:
    """The same work on a server that is told it has the memory of the smallest host."""
    with watched(memory_bytes=str(SMALLEST_HOST)) as server:
        for part in DEFAULT:
            row = counted(part, server, sizes)
            row.name = f"smallest host: {row.name}"
            yield row
        yield memory(server, "smallest host", 690)


def on_replicas(sizes: Sizes) -> Iterator[Row]:
    """The rows of the first server on two behind nginx."""
    with watched() as one, watched() as other:
        ports = [int(server.address.rpartition(":")[2]) for server in (one, other)]
        with nginx.before(ports) as address:
            servers = Replicas(address, (one, other))
            for part in DEFAULT:
                yield counted(part, servers, sizes)
            yield memory(servers, "two servers together", 900)


def every_row(sizes: Sizes) -> Iterator[Row]:
    """The table, row by row."""
    yield cold()
    yield from on_default(sizes)
    yield from on_smallest_host(sizes)


def main() -> None:
    """Prints the table as it grows."""
    parser = argparse.ArgumentParser(prog="python -m attnviz bench load")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--middle", action="store_true")
    parser.add_argument("--minutes", type=float, default=LONG.mixed / 60)
    parser.add_argument("--replicas", action="store_true")
    options = parser.parse_args()
    sizes = MIDDLE if options.middle else SHORT
    if options.long:
        sizes = replace(LONG, mixed=60 * options.minutes)
    out = Console(width=140)
    table = Table(box=None, pad_edge=False)
    for title in ("median / 95 %", "wanted", "measured", "errors"):
        table.add_column(title, justify="right" if title == "errors" else "left")
    out.print("Many readers. What each row measured, as it comes:")
    rows = []
    for row in on_replicas(sizes) if options.replicas else every_row(sizes):
        rows.append(row)
        out.print(
            f"  {row.name}: {row.measured}",
            *filter(None, [row.cost]),
            *row.errors[:3],
            markup=False,
            sep="; ",
            soft_wrap=True,
        )
    for row in rows:
        table.add_row(row.name, row.wanted, row.measured, str(len(row.errors)))
    out.print(table)


if __name__ == "__main__":
    main()
