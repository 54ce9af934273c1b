"""The report of a training: its curves are the log's numbers, and nothing in it is read as a page's own."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser

from attnviz.__main__ import main
from attnviz.browser import training_report
from attnviz.browser.training_report import HEIGHT, WIDTH, chart, charts, running_mean, ticks
from attnviz.errors import ModelError
from attnviz.training import command
from attnviz.training.loop import SMOOTHING, preset

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}
HOSTILE = "</section></svg><script>window.hacked = 1</script><img src=x onerror=alert(1)> “a” & b"
LOG = {
    "curve": [[1, 4.0, 0.1, 2.0], [5, 3.0, 0.2, 1.0], [10, 2.0, 0.0, None]],
    "evaluations": [
        {"step": 5, "loss": 3.5, "accuracy": 0.25, "bits_per_byte": 2.5},
        {"step": 10, "loss": 1.0, "accuracy": 0.75, "bits_per_byte": 1.25},
    ],
}


class Tags(HTMLParser):
    """The elements of a page, and their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """Folders of trained models, by task."""
    place = tmp_path_factory.mktemp("models")
    for task, more in (("copy", {"length": 12}), ("dates", {}), ("language", {"length": 12, "vocab_size": 300})):
        config = preset(task, "small", **TINY, **more)
        command.run(config, None, place / task, title="Mine", resume=False, command=["train", task])
    return {folder.name: folder for folder in place.iterdir()}


def test_points_are_the_logs_numbers() -> None:
    found = {one.title: one for one in charts(LOG, 10)}
    trained, held_out = found["Loss, nats per label: running means over about 50 steps"].lines
    right, low = f"{WIDTH:.1f}", f"{HEIGHT:.1f}"
    assert trained.points == f"{WIDTH / 10:.1f},0.0 {WIDTH / 2:.1f},{HEIGHT / 4:.1f} {right},{HEIGHT / 2:.1f}"
    smooth = running_mean([(5, 3.5), (10, 1.0)])[-1][1]
    assert held_out.points == f"{WIDTH / 2:.1f},{HEIGHT / 8:.1f} {right},{HEIGHT * (1 - smooth / 4):.1f}"
    assert (trained.last, held_out.last) == (2.0, smooth)
    (accuracy,) = found["On held-out examples, 0 to 1"].lines
    assert accuracy.points == f"{WIDTH / 2:.1f},{HEIGHT * 0.75:.1f} {right},{HEIGHT / 4:.1f}"
    assert found["bits per byte, held out"].lines[0].last == 1.25
    assert found["Learning rate"].lines[0].points.endswith(f" {right},{low}")
    assert found["Norm of the gradient, before clipping"].lines[0].last == 1.0  # what is no number is left out


def test_held_out_losses_are_smoothed_as_the_training_is() -> None:
    """`Step.smoothed` of a loss that runs straight from one evaluation to the next is what the report draws."""
    points = [(10.0, 4.0), (13.0, 1.0), (40.0, 2.5), (40.0, 2.0), (41.0, 0.0)]
    expected = [points[0]]
    for (before, low), (step, high) in pairwise(points):
        mean = expected[-1][1] if step > before else high
        for number in range(int(before) + 1, int(step) + 1):
            mean = SMOOTHING * mean + (1 - SMOOTHING) * (low + (high - low) * (number - before) / (step - before))
        expected.append((step, mean))
    for got, want in zip(running_mean(points), expected, strict=True):
        assert got == pytest.approx(want)
    assert running_mean([]) == [] and running_mean(points[:1]) == points[:1]
    assert running_mean([(0, 1.0), (1e12, 3.0)])[-1][1] == pytest.approx(3.0)  # a stranger's log takes no longer


@given(st.floats(1e-6, 1e9))
def test_ticks_are_round_and_reach_almost_to_the_top(high: float) -> None:
    found = ticks(high)
    assert found[0] == 0 and found == sorted(found) and 3 <= len(found) <= 6
    assert found[-1] <= high * (1 + 1e-6) and high < found[-1] + found[1]
    assert f"{found[1]:e}"[:2] in ("1.", "2.", "5.")


@pytest.mark.parametrize("points", [[], [(1.0, float("nan"))], [(1.0, 0.0), (2.0, 0.0)]])
def test_a_curve_of_nothing_is_drawn(points: list) -> None:
    found = chart("Loss", {"loss": points}, 2)
    assert len(found.up) >= 3 and all("nan" not in line.points for line in found.lines)


@pytest.mark.parametrize(
    "log",
    [
        {},
        {"curve": 3, "evaluations": []},
        {"curve": [[1]], "evaluations": []},
        {"curve": [], "evaluations": ["a"]},
        {"curve": [["a", 1, 2, 3]], "evaluations": []},
    ],
)
def test_a_log_without_curves_is_refused(log: dict) -> None:
    with pytest.raises(ModelError, match="no curves that can be drawn"):
        charts(log, 10)


@pytest.mark.parametrize("task", ["copy", "dates", "language"])
def test_the_report_holds_curves_numbers_and_the_view(made, task: str) -> None:
    page = training_report.html(made[task])
    log = json.loads((made[task] / "training.json").read_text())
    tags = Tags(page)
    names = [tag for tag, _ in tags.found]
    assert names.count("svg") == (5 if task == "language" else 4)
    assert names.count("polyline") == names.count("circle") >= 5
    assert all(str(value) in tags.text for value in log["metrics"].values())
    assert log["command"] in tags.text
    stacks = {given["id"] for _, given in tags.found if given.get("id", "").startswith("attnviz-")}
    assert {"attnviz-view", "attnviz-self"} <= stacks
    assert ("attnviz-cross" in stacks) == (task == "dates")


def test_what_a_folder_says_is_text(made, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made["copy"], folder)
    config, log = (json.loads((folder / name).read_text()) for name in ("config.json", "training.json"))
    (folder / "config.json").write_text(json.dumps(config | {"title": HOSTILE}))
    (folder / "training.json").write_text(
        json.dumps(log | {"command": HOSTILE, "torch": HOSTILE, "metrics": {HOSTILE: HOSTILE}})
    )
    page = Tags(training_report.html(folder))
    plain = Tags(training_report.html(made["copy"]))
    count = lambda tags: sorted(tag for tag, _ in tags.found if tag not in ("tr", "th", "td"))  # noqa: E731
    assert count(page) == count(plain)
    assert page.text.count(HOSTILE) >= 5


def test_heads_with_a_job_stand_in_a_table(made, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made["copy"], folder)
    log = json.loads((folder / "training.json").read_text())
    role = {"what": "verb → <noun>", "layer": 1, "head": 2, "score": 0.987, "by_place": 0.5, "by_chance": 0.125}
    (folder / "training.json").write_text(json.dumps(log | {"heads": [role]}))
    text = Tags(training_report.html(folder)).text
    assert all(said in text for said in ("verb → <noun>", "layer 1, head 2", "98.7 %", "50.0 %", "12.5 %"))
    for broken in ([{"what": "a"}], 3, [dict(role, score="high")]):
        (folder / "training.json").write_text(json.dumps(log | {"heads": broken}))
        with pytest.raises(ModelError, match=r"training\.json holds what cannot be shown"):
            training_report.html(folder)


def test_it_opens_in_a_browser_without_a_network(browser: Browser, made, tmp_path: Path) -> None:
    file, trouble = tmp_path / "training.html", []
    file.write_text(training_report.html(made["dates"]), "utf-8")
    with browser.new_context(offline=True, viewport={"width": 400, "height": 800}) as context:
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("#attnviz-view[data-ready=true]")
        assert page.locator(".charts polyline").first.bounding_box()["width"] > 200
        assert page.evaluate("document.documentElement.scrollWidth") <= 400  # nothing is cut off on a phone
    assert trouble == []


def test_the_command_line_writes_it(made, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(made["copy"])]) == 0
    assert "training.html" in capsys.readouterr().out
    assert "How it was trained: Mine" in (tmp_path / "training.html").read_text("utf-8")
    assert main(["report", str(made["copy"]), "--temperature", "2", "--out", "hot.html"]) == 0
    assert "changed: temperature 2" in (tmp_path / "hot.html").read_text("utf-8")


def test_the_command_line_refuses_in_a_sentence(made, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    bare = tmp_path / "bare"
    shutil.copytree(made["copy"], bare)
    (bare / "training.json").unlink()
    for arguments, words in (
        ([str(bare)], "training.json cannot be read"),
        ([str(tmp_path)], "holds no model trained here"),
        ([str(made["copy"]), "--model", "scratch:test"], "its own model on its own example"),
        ([str(made["copy"]), "--target", "a"], "its own model on its own example"),
    ):
        assert main(["report", *arguments]) == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]
