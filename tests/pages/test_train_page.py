"""The Train page through AppTest: what is on screen is what the run computed, and what cannot be trained is said."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors

from attnviz.browser import live
from attnviz.browser.framing import read_frame
from attnviz.errors import InvalidParameterError
from attnviz.formatting import percent
from attnviz.models import folders
from attnviz.training.config import TrainConfig, preset
from attnviz.training.head_losses import HeadLosses, head_losses
from attnviz.training.loop import Training, train
from attnviz.training.tasks import TASKS
from attnviz.web import cache, reloads
from attnviz.web.jobs import priority, training_limits, training_queue, training_runs
from attnviz.web.jobs.training_runs import Run
from attnviz.web.train import corpus, curves, heads, state
from attnviz.web.train.state import Settings
from tests.pages.driver import Page, charts, components, frames, numbers, opened
from tests.support.hostile_texts import EVERY_FOURTH

SMALL: dict[str, Any] = {
    "task": "copy",
    "size": "small",
    "n_layers": 2,
    "d_model": 16,
    "n_heads": 2,
    "d_ff": 16,
    "length": 12,
    "batch": 4,
    "steps": 16,
    "positions": "learned",
}
CONFIG = state.config_of(Settings(**SMALL))


@pytest.fixture(autouse=True)
def no_run_outlives_a_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(training_queue, "ABSENT", 0.0)  # the session is asked for after every step
    monkeypatch.setattr(priority, "YIELD", 0.0)
    yield
    training_runs.end_all()
    assert not training_queue.running


def press(app: Page, label: str) -> Page:
    """Clicks, waits for the training to come to rest and looks again."""
    app.press(label)
    assert not app.exception
    if "training" in app.session_state:
        app.session_state["training"].wait()
    app.run()
    assert not app.exception
    return app


def labels(app: Page) -> list[str]:
    return [button.label for button in app.button]


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[Run], object]) -> None:
    """Does something in the thread of the next training, once, right after a step."""
    acted: list[Run] = []

    def presence() -> Callable[[], bool]:
        def here() -> bool:
            for run in list(training_queue.running):  # pages ask too, from their own threads
                if run._thread is threading.current_thread() and run.done == number and run not in acted:
                    acted.append(run)
                    act(run)
            return True

        return here

    monkeypatch.setattr(reloads, "presence", presence)


def test_the_first_look_says_what_to_do() -> None:
    app = opened("train")
    assert app.title[0].value == "How does attention form?" and "press Start" in app.prose
    assert list(app.get("button_group")[0].options) == [task.title for task in TASKS.values()]
    assert "an induction head" in app.caption[0].value
    assert not charts(app) and labels(app)[0] == "Start"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_brings_its_explanation_and_its_preset(task: str) -> None:
    app = opened("train", **{"task": task, **state.suggested(task, "default")})
    assert TASKS[task].explains[:40] in app.caption[0].value.replace("\\", "")
    assert not app.exception and not next(b for b in app.button if b.label == "Start").disabled


def offered(task: str) -> TrainConfig:
    """The training that the page starts for somebody who picks a task and presses Start."""
    app = opened("train")
    app.get("button_group")[0].set_value(task).run()
    return state.config_of(Settings(**{name: app.session_state[f"train.{name}"] for name in asdict(Settings())}))


def test_the_default_reversal_is_the_training_that_is_known_to_learn() -> None:
    """With up to 12 letters in as many steps it ended with 29 % right."""
    config, known = offered("reverse"), preset("reverse")
    assert config == replace(known, eval_every=config.eval_every, warmup=config.warmup)
    assert (config.length, config.steps) == (16, 1_500)  # [BOS], 7 letters, “>”, 7 letters


@pytest.mark.nightly
def test_the_default_reversal_ends_with_nearly_all_right() -> None:
    last = list(train(offered("reverse")))[-1]
    assert last.metrics is not None and last.metrics["exact"] >= 0.97


def test_numbers_on_screen_are_those_of_the_training() -> None:
    app = press(opened("train", **SMALL), "Start")
    steps = list(train(CONFIG))
    run = app.session_state["training"]
    assert run.config == CONFIG and run.status == "done"
    last, loss = steps[-1], [step.loss for step in steps]
    assert "Done after 16 steps" in app.prose
    assert f"the training loss fell from {loss[0]:.2f} to {np.mean(loss[-10:]):.2f}\u202fnats" in app.prose
    assert last.metrics is not None
    assert f"{percent(last.metrics['exact'])} of the held-out answers are correct" in app.prose
    tiles, curves = charts(app)
    by_name = {trace["name"]: trace for trace in curves["data"]}
    np.testing.assert_allclose(numbers(by_name["each step"]["y"]), loss)
    np.testing.assert_allclose(numbers(by_name["training"]["y"]), loss)  # a twentieth of 16 steps is one
    held_out = [step for step in steps if step.metrics]
    assert numbers(by_name["held out"]["x"]).tolist() == [step.number for step in held_out] == list(range(1, 17))
    np.testing.assert_allclose(numbers(by_name["held out"]["y"]), [step.metrics["loss"] for step in held_out])
    np.testing.assert_allclose(
        numbers(by_name["whole answers correct"]["y"]), [step.metrics["exact"] for step in held_out]
    )
    np.testing.assert_allclose(numbers(by_name[""]["y"]), [step.learning_rate for step in steps])
    trained = Training(CONFIG)
    list(trained.steps())
    probe = trained.probe()
    table = numbers(tiles["data"][0]["customdata"])
    n = len(probe.encodings[0])
    for layer in range(2):
        for head in range(2):
            top, left = layer * (n + 1), head * (n + 1)
            expected = 100 * probe.layers[layer].attention.weights[0, head].numpy()
            np.testing.assert_allclose(table[top : top + n, left : left + n], expected, atol=1e-4)


def test_the_head_that_changed_most_is_shown_unless_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 12, Run.pause)
    app = press(opened("train", **SMALL), "Start")
    run = app.session_state["training"]
    change = heads.moved(run.first, run.probe[1])
    before, now = heads.weights(run.first), heads.weights(run.probe[1])
    for layer in range(2):
        for head in range(2):
            share = np.mean(
                [np.abs(now[layer, head, t] - before[layer, head, t]).sum() / 2 for t in range(now.shape[2])]
            )
            assert change[layer, head] == pytest.approx(share, abs=1e-6)
    layer, head = np.unravel_index(change.argmax(), change.shape)
    assert framed(app) == (layer, head)
    app.session_state["train.head"] = 1
    app.run()
    assert framed(app) == (0, 1)


def test_explore_opens_on_the_head_that_the_trained_model_misses_most(monkeypatch: pytest.MonkeyPatch) -> None:
    worth = HeadLosses(0.5, np.array([[0.6, 0.4], [0.7, 2.25]]))
    monkeypatch.setattr(training_runs, "head_losses", lambda *_: worth)
    app = press(opened("train", **SMALL), "Start")
    assert "Of its heads layer 1, head 1 matters most: without it the held-out loss is 2.25, not 0.50." in app.prose
    assert framed(app) == (1, 1)
    press(app, "Use it on every page")
    link = next(one.proto for one in app.get("page_link") if one.proto.page in ("", "explore"))
    assert link.query_string == "layer=1&head=1" and "open Explore on layer 1, head 1" in link.label
    app.query_params.clear()
    app.query_params.update({"layer": "1", "head": "1"})
    app.switch_page("pages/explore.py").run()
    assert not app.exception
    shown = components(app, "attnviz_view")[0].proto.bytes
    about = json.loads(shown[4 : 4 + int.from_bytes(shown[:4], "little")])["state"]
    assert (about["layer"], about["head"]) == (1, 1)
    assert app.session_state["model"].startswith(cache.OWN)


def test_what_heads_are_worth_is_measured_on_the_held_out_examples() -> None:
    app = press(opened("train", **SMALL), "Start")
    trained = Training(CONFIG)
    list(trained.steps())
    expected = head_losses(trained.model, trained.task)
    np.testing.assert_allclose(app.session_state["training"].heads.without, expected.without, rtol=1e-5)


def test_both_losses_are_smoothed_alike_and_it_is_said() -> None:
    """Steps whose loss falls evenly: a mean of the last ones stands as far above the curve in both."""
    run = Run(replace(CONFIG, steps=400), None, lambda: True)
    step = next(train(CONFIG))
    run.steps = [replace(step, number=i, loss=10 - i / 50) for i in range(1, 401)]
    run.evaluations = [
        replace(step, number=i, metrics={"loss": 10 - i / 50, "accuracy": 0.5, "exact": 0.5})
        for i in range(25, 401, 25)
    ]
    loss = curves.panels(run)[0]
    by_name = {curve.name: curve for curve in loss.curves}
    assert "both as means over the last 20 steps" in loss.title
    assert by_name["each step"].faint and by_name["each evaluation"].faint
    np.testing.assert_allclose(by_name["held out"].values[-1], by_name["training"].values[-1])
    assert by_name["each evaluation"].values[-1] == 2.0 < by_name["held out"].values[-1]


@pytest.mark.parametrize(("task", "name"), [("digits", "images correct"), ("masked", "tokens correct")])
def test_what_is_counted_is_named(task: str, name: str) -> None:
    assert curves.named("accuracy", task) == name


def test_trainings_give_way_to_a_reader_and_not_to_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(priority, "set_foreground", asked.append)
    go = threading.Event()
    at_step(monkeypatch, 3, lambda _: go.wait(60))
    app = opened("train", **SMALL)
    next(button for button in app.button if button.label == "Start").click().run()
    while app.session_state["training"].done < 3:
        time.sleep(0.01)
    app.run()  # as the clock does
    asked.clear()
    app.run()
    assert asked == [False]
    next(box for box in app.selectbox if box.label == "Head").select(1).run()
    assert asked == [False, True] and framed(app) == (0, 1)
    app.run()
    assert asked == [False, True, False]
    go.set()


def test_the_table_of_every_step_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(opened("train", **SMALL), "Start")
    made: list[int] = []
    table = curves.table
    monkeypatch.setattr(curves, "table", lambda run: made.append(run.done) or table(run))
    app.run()
    assert made == []
    app.session_state["lesson-picture-training"] = {"csv": 1}
    app.run()
    assert made == [SMALL["steps"]] and not app.exception
    [text] = [about["file"][1] for about, _ in frames(app, "attnviz_chart")[1:]]
    assert len(text.splitlines()) == 1 + SMALL["steps"]


def framed(app: Page) -> tuple[int, int]:
    """The head in the ink frame; the view below shows the same."""
    shapes = charts(app)[0]["layout"]["shapes"]
    wide = [i for i, shape in enumerate(shapes) if shape["line"]["width"] > 1]
    assert len(wide) == 1
    data = components(app, "attnviz_view")[0].proto.bytes
    state = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])["state"]
    assert (state["layer"], state["head"]) == divmod(wide[0], 2)
    return divmod(wide[0], 2)


def test_pause_continue_and_another_page(monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 5, Run.pause)
    app = press(opened("train", **SMALL), "Start")
    assert "Paused at step 5 of 16" in app.prose and {"Continue", "Stop"} <= set(labels(app))
    assert next(button for button in app.button if button.label == "Start").disabled
    app.switch_page("pages/softmax.py").run()
    app.switch_page("pages/train.py").run()
    assert "Paused at step 5 of 16" in app.prose
    press(app, "Continue")
    assert "Done after 16 steps" in app.prose
    assert [step.loss for step in app.session_state["training"].steps] == [step.loss for step in train(CONFIG)]
    assert app.session_state["train.d_model"] == 16  # what is not drawn meanwhile is not forgotten


def test_who_stops_before_the_first_step_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Run._look

    def stopped_at_once(run: Run) -> None:
        look(run)
        run.stop()

    monkeypatch.setattr(Run, "_look", stopped_at_once)
    app = press(opened("train", **SMALL), "Start")
    assert "Stopped before the first step." in app.prose and len(charts(app)) == 1
    monkeypatch.setattr(Run, "_look", look)
    assert "Done after 16 steps" in press(app, "Continue").prose


def test_who_stops_while_it_is_prepared_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Run._open

    def stopped_at_once(run: Run) -> Training:
        run.stop()
        run._keep_preparing()
        return begun(run)

    monkeypatch.setattr(Run, "_open", stopped_at_once)
    app = press(opened("train", **SMALL), "Start")
    assert "Stopped before the first step." in app.prose and not charts(app)
    monkeypatch.setattr(Run, "_open", begun)
    assert "Done after 16 steps" in press(app, "Continue").prose


def test_a_paused_run_can_be_stopped_and_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 5, Run.pause)
    app = press(press(opened("train", **SMALL), "Start"), "Stop")
    assert "Stopped at step 5 of 16, and nothing is lost" in app.prose
    assert {"Start", "Continue", "Use it on every page"} <= set(labels(app))


def trained() -> Page:
    """A page that shows a model, chosen for every page."""
    app = press(opened("train", **SMALL), "Start")
    return press(app, "Use it on every page")


def test_a_trained_model_works_in_every_page_of_its_session_and_in_no_other() -> None:
    app = trained()
    name = app.session_state["model"]
    assert name.startswith(cache.OWN) and name != cache.OWN + "1"
    assert not app.sidebar.selectbox  # a page that reads nothing from it has none
    model = app.switch_page("pages/explore.py").run().sidebar.selectbox[1]
    assert model.options[0] == "Yours 1: copy after 16 steps (2 × 2 heads)"
    assert app.session_state["text"] == app.session_state["training"].probe[1].encodings[0].text
    assert app.sidebar.text_area[0].value == app.session_state["text"]
    assert not any("Yours" in option for option in opened().sidebar.selectbox[1].options)
    for other in ("explore", "step_by_step", "softmax", "masks", "positions", "encoder_block", "variants"):
        app.query_params.clear()
        app.switch_page(f"pages/{other}.py").run()
        assert not app.exception and app.session_state["model"] == name
        assert len(app.get("bidi_component")) > 1, (other, app.prose)  # a picture, not a refusal
        of = {"of": "text"} if other == "step_by_step" else {}
        stranger = opened(other, model=name, text=app.session_state["text"], **of)
        assert "trained in another session" in stranger.prose, other


def test_only_so_many_models_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    app = trained()
    first = app.session_state["model"]
    for _ in range(cache.MOST_OWN):
        press(press(app, "Start"), "Use it on every page")
    own = app.session_state["own models"]
    assert len(own) == cache.MOST_OWN and first not in own and app.session_state["model"] in own
    assert [model.info.title.split(":")[0] for model in own.values()] == ["Yours 2", "Yours 3", "Yours 4"]


def test_the_download_is_the_model(tmp_path: Path) -> None:
    app = press(opened("train", **SMALL), "Start")
    run = app.session_state["training"]
    with zipfile.ZipFile(io.BytesIO(state.zipped(run))) as archive:
        archive.extractall(tmp_path)
    found = folders.read(tmp_path / "attnviz-copy")
    expected = run.model().transformer.state_dict()
    for name, value in found.transformer.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    "task",
    [name if name in ("copy", "digits") else pytest.param(name, marks=pytest.mark.nightly) for name in sorted(TASKS)],
)
def test_every_task_has_a_live_page_of_its_model(task: str) -> None:
    """What the page holds is what was trained, on an example of the task."""
    app = press(opened("train", **{**SMALL, "task": task, "steps": 2, "length": 40}), "Start")
    run = app.session_state["training"]
    assert "A live page (.html)" in [one.proto.label for one in app.get("download_button")]
    page = state.live_page(run).decode()
    (held,) = re.findall(r'id="attnviz-model-[a-z0-9-]+">([^<]+)<', page)
    header, payload = read_frame(base64.b64decode(held))
    trained = run.model()
    for name, value in load_tensors(bytes(payload)).items():
        assert torch.equal(value, trained.transformer.state_dict()[name].half())
    assert ("picture" in header) == (trained.reads == "image")
    settings = json.loads(re.findall(r'id="attnviz-settings">([^<]+)<', page)[0])
    assert bool(settings["start"]["text"].strip()) == (trained.reads == "text")
    assert settings["models"][0]["text"] == settings["start"]["text"]  # an example that the model reads
    if trained.reads == "text":
        probe = run.probe[1]
        assert trained.encode(settings["start"]["text"]).ids == (probe.source or probe).encodings[0].ids


def test_a_model_too_large_for_a_live_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_PARAMETERS", 1_000)
    app = press(opened("train", **SMALL), "Start")
    assert "A live page (.html)" not in [one.proto.label for one in app.get("download_button")]
    assert any("a live page from here holds at most" in one.value for one in app.caption)


@pytest.mark.parametrize(
    ("task", "place", "parameter"), [("dates", "translate", "translator"), ("digits", "vision", "vit")]
)
def test_models_of_two_texts_or_of_images_lead_to_their_page(task: str, place: str, parameter: str) -> None:
    app = press(opened("train", **{**SMALL, "task": task, "steps": 2, "length": 40}), "Start")
    assert len(charts(app)) == 2 and len(components(app, "attnviz_view")) == 1
    model = app.session_state["model"]
    assert "Use it on every page" not in labels(app)
    press(app, "Use it in this app")
    (name,) = app.session_state["own models"]
    assert app.session_state["model"] == model  # the sidebar's one goes on reading one text
    link = next(one.proto for one in app.get("page_link") if one.proto.page == place)
    assert link.query_string == f"{parameter}={name.replace(':', '%3A')}"
    app.query_params.clear()
    app.query_params[parameter] = name
    app.switch_page(f"pages/{place}.py").run()
    assert not app.exception and not app.notices
    assert app.query_params[parameter] in (name, [name])


def test_a_link_restores_everything_and_leaves_a_long_text_out() -> None:
    app = opened("train", **SMALL, seed=7, learning_rate=0.01, corpus="a b c")
    app.query_params.update({})
    assert {name: app.session_state[f"train.{name}"] for name in SMALL} == SMALL
    query = {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}
    again = opened("train", **query)
    assert all(
        again.session_state[f"train.{f}"] == app.session_state[f"train.{f}"] for f in state.Settings.__annotations__
    )
    app.session_state["train.corpus"] = "long " * 1000
    app.run()
    assert "corpus" not in app.query_params and app.query_params["seed"] in ("7", ["7"])


def test_going_back_to_a_link_without_the_text_keeps_the_text() -> None:
    app = opened("train", task="language")
    text = "A text of one's own. " * 200
    app.text_area(key="train-corpus").set_value(text).run()
    assert app.session_state["train.corpus"] == text and "corpus" not in app.query_params
    assert app.session_state["train.vocab_size"] == corpus.vocabulary(len(text))
    app.step_back(task="masked", seed=3)
    assert app.session_state["train.seed"] == 3 and app.text_area(key="train-corpus").value == text
    app.step_back(task="masked", seed=3, corpus="short")
    assert app.text_area(key="train-corpus").value == "short" == app.session_state["train.corpus"]


def test_another_task_or_size_brings_its_own_numbers() -> None:
    app = opened("train")
    app.get("button_group")[0].set_value("copy").run()
    for field, value in state.suggested("copy", "default").items():
        assert app.session_state[f"train.{field}"] == value
    app.get("button_group")[1].set_value("small").run()
    assert (app.session_state["train.n_heads"], app.session_state["train.d_model"]) == (2, 32)
    assert state.config_of(Settings()).steps == state.preset("induction", "default").steps  # the first look
    assert state.suggested("induction", "default").items() <= asdict(Settings()).items()


# ---- what cannot be trained ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"d_model": 30, "n_heads": 4}, "d_model=30 is not divisible by n_heads=4"),
        ({"learning_rate": 1e3}, "learning_rate=1000 is not within 0 … 10"),
        ({"learning_rate": 0}, "learning_rate=0 is not within 0 … 10"),
        ({"steps": 0}, "steps"),
        ({"n_layers": -1}, "n_layers"),
        ({"steps": 20_000}, "20,000 steps are more than the 10,000 that this server allows"),
        ({"batch": 10_000}, "that this server allows"),
        ({"d_model": 4096}, "parameters are more than the 3,000,000"),
        ({"n_layers": 1_000_000}, "n_layers"),
        ({"task": "language", "corpus": " \n "}, "The text is empty"),
    ],
)
def test_settings_that_cannot_be_are_said_and_kept(settings: dict[str, Any], says: str) -> None:
    app = opened("train", **{**SMALL, **settings})
    assert not app.exception and any(says in notice for notice in app.notices)
    assert next(button for button in app.button if button.label == "Start").disabled
    for name, value in settings.items():
        assert app.session_state[f"train.{name}"] == value


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "one", ""])
def test_what_is_no_number_is_ignored_in_a_link(value: str) -> None:
    app = opened("train", **{**SMALL, "learning_rate": value, "steps": value})
    assert not app.exception and app.session_state["train.learning_rate"] == Settings().learning_rate


def test_twenty_bytes_of_text_are_too_few_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "twenty bytes of text"
    app = press(
        opened("train", **{**SMALL, "task": "language", "corpus": text, "vocab_size": 300, "length": 64}), "Start"
    )
    assert "The text makes" in app.prose and "windows of 64 need at least 195" in app.prose
    assert app.text_area(key="train-corpus").value == text
    assert app.session_state["train.d_model"] == 16 and "Start" in labels(app)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe\x00binary", "notes.txt is not text in UTF-8: byte 0 is 0xFF"),
        (b"text \x00 text", "notes.txt is not text: byte 5 is 0"),
        (bytes(range(1, 256)), "byte 127 is 0x80"),
    ],
)
def test_a_binary_file_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        corpus.decoded("notes.txt", data)


def upload(app: Page, data: bytes) -> Page:
    app.get("file_uploader")[0].upload("notes.txt", data, "text/plain")
    return app.run()


def test_a_file_is_trained_on_and_a_bad_one_changes_nothing() -> None:
    app = opened("train", task="language", **{k: v for k, v in SMALL.items() if k != "task"})
    good = corpus.RHYME.encode() * 2
    upload(app, b"\xef\xbb\xbf" + good)
    assert app.session_state["train:upload"] == ("notes.txt", good.decode())
    assert any(f"Trains on notes\\.txt \\({len(good):,} bytes\\)" in caption.value for caption in app.caption)
    upload(app, b"\xff\xfe\x00")
    assert "notes.txt is not text in UTF-8" in app.prose
    assert app.session_state["train:upload"][1] == good.decode()
    press(app, "Start")
    assert app.session_state["training"].corpus == good.decode()


def test_a_thing_to_try_leaves_the_readers_text_in_its_field() -> None:
    app = opened("train", task="language", seed=5, corpus="A text of one's own.", vocab_size=301)
    app.button(key="train-try-0").click().run()
    assert (app.session_state["train.task"], app.session_state["train.seed"]) == ("induction", 0)
    app.get("button_group")[0].set_value("language").run()
    assert app.text_area(key="train-corpus").value == "A text of one's own." == app.session_state["train.corpus"]
    assert app.session_state["train.vocab_size"] == 301


def test_a_file_over_two_megabytes_is_refused() -> None:
    app = opened("train", task="language")
    upload(app, b"a" * 2_000_001)
    assert "2,000,001 bytes of text are more than the 2,000,000" in app.prose
    assert next(button for button in app.button if button.label == "Start").disabled


def test_a_full_server_gives_a_place_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 1)
    go = threading.Event()
    at_step(monkeypatch, 3, lambda _: go.wait(60))
    first, second, third = (opened("train", **SMALL) for _ in range(3))
    first.press("Start")
    while first.session_state["training"].done < 3:
        time.sleep(0.01)
    second.press("Start").run()
    third.press("Start").run()
    assert "1 training runs on this server now, as many as it takes at a time. You are next: about" in second.prose
    assert "You are 2nd in line: at least" in third.prose and "Leave the line" in labels(third)
    third.press("Leave the line").run()
    assert "Stopped before the first step." in third.prose and "Start" in labels(third)
    go.set()
    while second.session_state["training"].active:
        time.sleep(0.01)
    assert "Done after 16 steps" in second.run().prose
    assert [step.loss for step in second.session_state["training"].steps] == [step.loss for step in train(CONFIG)]


def test_a_server_that_takes_none_says_so_and_keeps_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 0)
    app = opened("train", **SMALL)
    next(button for button in app.button if button.label == "Start").click().run()
    app.run()
    assert not app.exception and "This server takes no trainings." in app.prose
    assert app.session_state["train.steps"] == 16 and "Start" in labels(app)


def test_a_loss_that_runs_away_is_said_and_what_was_set_stays() -> None:
    config = replace(CONFIG, learning_rate=10.0)
    app = opened("train", **SMALL, learning_rate=10.0)
    assert state.config_of(Settings(**SMALL, learning_rate=10.0)) == config
    app = press(app, "Start")
    run = app.session_state["training"]
    run.status, run.error = "failed", "The loss is nan."  # AdamW takes much: the sentence is what counts here
    app.run()
    assert not app.exception and "The loss is nan. What you set is still there" in app.prose
    assert app.session_state["train.learning_rate"] == 10.0 and "Start" in labels(app)


@pytest.mark.parametrize("text", EVERY_FOURTH[:12])
def test_a_strangers_text_is_shown_as_text(text: str) -> None:
    app = opened("train", task="language", corpus=(text + " ") * 3)
    assert not app.exception


# ---- pure parts -----------------------------------------------------------------------------------------


def test_the_rhyme_says_each_verse_again() -> None:
    verses = corpus.RHYME.split("\n\n")
    assert len(verses) == 12 and len(corpus.RHYME) == 2340
    for before, after in pairwise(verses):
        assert after.endswith(before.removeprefix("This is ")) and after.startswith("This is the")


def test_a_trailing_mean_is_that_of_the_last_values() -> None:
    values = np.random.default_rng(0).normal(size=50).tolist()
    for window in (1, 7, 80):
        expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(50)]
        np.testing.assert_allclose(curves.trailing(values, window), expected)


@pytest.mark.parametrize("n", [0, 1, 299, 300, 301, 10_000])
def test_thinned_curves_keep_their_end(n: int) -> None:
    places = list(curves.thinned(n))
    assert len(places) <= curves.POINTS and (not n or places[-1] == n - 1)
    assert n > curves.POINTS or places == list(range(n))
    assert len({b - a for a, b in pairwise(places)}) <= 1
