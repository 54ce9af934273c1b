"""Placings beside the app: cancelled at work and in line, ended with their session, refused in a sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from attnviz import InvalidParameterError
from attnviz.analysis import space
from attnviz.web.jobs import in_line, placings, text
from attnviz.web.jobs.placings import Placing

POINTS = np.random.default_rng(0).normal(size=(40, 12))


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    for one in list(placings.LINE.jobs):
        one.cancel()
        one.wait(5)
    placings.end_if_idle()
    assert not placings.LINE.jobs and placings._process is None


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def at_work(placing: Placing) -> bool:
    return placing.status == "running" and placings._process is not None


def test_one_at_a_time_in_line_and_each_can_be_cancelled() -> None:
    first, second, third = (placings.begin(POINTS, "tsne", 2, seed) for seed in range(3))
    until(lambda: at_work(first))
    process = placings._process
    assert process is not None and process.poll() is None
    assert [one.status for one in (second, third)] == ["waiting", "waiting"]
    assert [one.number for one in (first, second, third)] == [0, 1, 2]
    assert text.placing(third.number, None, 1000, True).startswith("2 before you")
    second.cancel()
    second.wait(5)
    assert not second.active and third.number == 1 and process.poll() is None  # who waits ends nobody's process
    first.cancel()
    assert process.poll() is not None  # at once: the library could not be asked to stop
    until(lambda: at_work(third))
    assert [one.status for one in (first, second)] == ["cancelled", "cancelled"] and first.places is None


def test_a_process_that_is_killed_is_said() -> None:
    placing = placings.begin(POINTS, "neighbours", 2, 0)
    until(lambda: at_work(placing))
    assert placings._process is not None
    placings._process.kill()
    placing.wait(5)
    assert (placing.status, placing.error) == ("failed", text.PLACING_BROKE)
    placing.cancel()
    assert placing.status == "failed"


def test_who_has_left_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_line, "ABSENT", 0.0)
    monkeypatch.setattr(placings, "presence", lambda: lambda: False)
    gone = [placings.begin(POINTS, "tsne", 2, 0) for _ in range(2)]
    until(lambda: not any(one.active for one in gone))
    assert {one.status for one in gone} == {"cancelled"}


def test_too_few_points_are_refused_before_anything_begins() -> None:
    with pytest.raises(InvalidParameterError, match="4 points: t-SNE takes at least 5"):
        placings.begin(POINTS[:4], "tsne", 2, 0)
    assert not placings.LINE.jobs


@pytest.mark.nightly  # scikit-learn takes seconds to import
def test_places_are_the_librarys_and_the_process_stays_for_the_next() -> None:
    ways: tuple[tuple[space.How, int], ...] = (("tsne", 2), ("neighbours", 3))
    processes = []
    for how, dims in ways:
        placing = placings.begin(POINTS, how, dims, 3)
        placing.wait(60)
        processes.append(placings._process)
        assert placing.places is not None and placing.status == "done", placing.error
        expected = space.placed(torch.from_numpy(POINTS), how, dims, seed=3).places
        assert placing.places.places.numpy() == pytest.approx(expected.numpy(), abs=1e-3)
        assert placing.steps == (1000 if how == "tsne" else None)
    assert processes[0] is processes[1]
    broken = placings.begin(np.full((9, 3), np.nan), "tsne", 2, 0)
    broken.wait(60)
    assert broken.status == "failed" and "cannot be placed this way (ValueError: " in broken.error
