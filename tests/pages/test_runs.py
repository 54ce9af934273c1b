"""Trainings beside the app: what they compute, how they are paused, stopped and bounded, and that they end."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from streamlit.testing.v1 import AppTest

from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.training import checkpoints
from attnviz.training.loop import Step, TrainConfig, Training, preset, train
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import Language
from attnviz.web.jobs import priority, training_limits, training_queue, training_runs
from attnviz.web.jobs.training_runs import Run

TINY = preset(
    "copy", d_model=16, n_heads=2, n_layers=1, d_ff=16, length=8, batch=4, steps=12, warmup=2, eval_every=4, seed=3
)


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The session is asked for after every step, which is where the tests step in; no thread outlives a test."""
    monkeypatch.setattr(training_queue, "ABSENT", 0.0)
    monkeypatch.setattr(priority, "YIELD", 0.0)
    yield
    training_queue.waiting.clear()
    for run in list(training_queue.running):
        run.pause()
        run.wait()
    assert not training_queue.running


def started(config: TrainConfig = TINY, at: int = 0, act: Callable[[Run], object] | None = None) -> Run:
    """A run that was started, for which `act` is done in its thread right after step `at`."""

    def present() -> bool:
        if act is not None and run.done == at:
            act(run)
        return True

    run = Run(config, None, present)
    run.go_on()
    return run


def uninterrupted(config: TrainConfig = TINY) -> list[Step]:
    return list(train(config))


def losses(steps: list[Step]) -> list[tuple[int, float, float, dict[str, float] | None]]:
    return [(step.number, step.loss, step.learning_rate, step.metrics) for step in steps]


def test_a_run_is_the_training_it_says() -> None:
    run = started()
    run.wait()
    assert run.status == "done" and not run.error
    assert losses(run.steps) == losses(uninterrupted())
    assert [step.number for step in run.evaluations] == [4, 8, 12]
    assert run.seconds > 0


def test_the_probe_is_the_model_before_and_after() -> None:
    run = started()
    run.wait()
    before = Training(TINY)
    after = Training(TINY)
    list(after.steps())
    assert run.first is not None and run.probe is not None and run.probe[0] == 12
    for trace, fresh in ((run.first, before.probe()), (run.probe[1], after.probe())):
        torch.testing.assert_close(trace.layers[0].attention.weights, fresh.layers[0].attention.weights, rtol=0, atol=0)


@pytest.mark.parametrize("wish", [Run.pause, Run.stop])
def test_what_is_interrupted_goes_on_as_if_it_had_not_been(wish: Callable[[Run], None]) -> None:
    run = started(at=5, act=wish)
    run.wait()
    assert run.status == {"pause": "paused", "stop": "stopped"}[wish.__name__] and run.done == 5
    run.present = lambda: True
    run.go_on()
    run.wait()
    assert run.status == "done"
    assert losses(run.steps) == losses(uninterrupted())


def test_a_stopped_run_keeps_its_checkpoint_and_its_model() -> None:
    run = started(at=5, act=Run.stop)
    run.wait()
    kept = Training.resume(run._checkpoint)
    assert kept.done == 5
    files, model = run.files(), run.model()
    assert set(files) == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "training.json"}
    about = json.loads(files["training.json"])
    assert about["steps"] == 5 and about["config"]["seed"] == 3
    assert about["command"].startswith("python -m attnviz train copy --set d_model=16")
    for name, value in model.transformer.state_dict().items():  # the folder holds float16
        torch.testing.assert_close(value, kept.model.state_dict()[name], rtol=1e-3, atol=1e-6)
    assert model.run("abc>ab").logits is not None


def test_a_paused_run_can_be_stopped() -> None:
    run = started(at=5, act=Run.pause)
    run.wait()
    run.stop()
    run.wait()
    assert run.status == "stopped" and run.done == 5 and run.model().info.n_layers == 1


def test_a_run_ends_when_its_session_does() -> None:
    here = True

    def leave(_: Run) -> None:
        nonlocal here
        here = False

    run = started(at=3, act=leave)
    run.present = lambda was=run.present: was() and here
    run.wait()
    assert run.status == "paused" and run.done in (3, 4) and not training_queue.running
    assert Training.resume(run._checkpoint).done == run.done


def test_a_network_that_stumbles_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_queue, "ABSENT", 1e9)
    run = Run(TINY, None, lambda: False)
    run.go_on()
    run.wait()
    assert run.status == "done"


def held(n: int) -> tuple[list[Run], threading.Event]:
    """Runs that hold a place each until the event is set."""
    go = threading.Event()
    runs = [started(at=3, act=lambda _: go.wait(60)) for _ in range(n)]
    while any(run.done < 3 for run in runs):
        time.sleep(0.01)
    return runs, go


def in_line() -> Run:
    run = Run(TINY, None, lambda: True)
    run.go_on()
    return run


def test_who_comes_when_the_server_is_full_waits_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 2)
    runs, go = held(2)
    third, fourth = in_line(), in_line()
    assert (third.status, fourth.status) == ("waiting", "waiting") and third.active and not third.steps
    left = sorted(run.seconds_left or -1.0 for run in runs)
    first, second = third.place, fourth.place
    assert first is not None and (first.number, first.n_running, first.at_least) == (1, 2, False)
    assert second is not None and (second.number, second.n_running, second.at_least) == (2, 2, True)
    assert [first.seconds, second.seconds] == pytest.approx(left)
    go.set()
    for run in (*runs, third, fourth):
        finish(run)
    assert losses(third.steps) == losses(fourth.steps) == losses(uninterrupted())


def finish(run: Run) -> None:
    while run.active:
        time.sleep(0.01)
    run.wait()
    assert run.status == "done"


def test_nobody_knows_how_long_before_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 1)
    go = threading.Event()
    first = started(at=1, act=lambda _: go.wait(60))
    second = in_line()
    place = second.place
    assert place is not None and place.seconds is None
    go.set()
    finish(first)
    finish(second)
    assert second.place is None


def test_who_leaves_the_line_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 1)
    [first], go = held(1)
    second, third, fourth = in_line(), in_line(), in_line()
    second.stop()
    assert second.status == "stopped" and second.place is None
    third.present = lambda: False  # closes the browser
    assert fourth.place is not None and fourth.place.number == 1
    go.set()
    finish(first)
    finish(fourth)
    assert third.status == "paused" and not third.steps and not training_queue.waiting


def test_a_paused_run_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 1)
    paused = started(at=2, act=Run.pause)
    paused.wait()
    [other], go = held(1)
    later = in_line()
    paused.present = lambda: True
    paused.go_on()
    assert paused.status == "waiting" and paused.place is not None and paused.place.number == 1
    assert later.place is not None and later.place.number == 2
    go.set()
    for run in (other, paused, later):
        finish(run)
    assert losses(paused.steps) == losses(uninterrupted())


def test_a_server_that_takes_none_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 0)
    with pytest.raises(TrainingError, match="takes no trainings"):
        in_line()


def test_who_waited_and_comes_back_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that reloads at the moment when a place becomes free has lost nothing."""
    monkeypatch.setattr(training_limits, "MAX_TRAININGS", 1)
    monkeypatch.setattr(training_queue, "ABSENT", 5.0)
    [first], go = held(1)
    second = in_line()
    second.present = lambda: False
    go.set()
    finish(first)
    assert second.status == "waiting"
    second.present = lambda: True
    training_queue.call_next()
    finish(second)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 10_001}, "10,001 steps are more than the 10,000"),
        ({"batch": 4096, "length": 8}, r"32,768 tokens a step \(4096 × 8\) are more than the 8,192"),
        ({"n_layers": 200, "d_model": 64}, "parameters are more than the 3,000,000"),
        ({"batch": 8, "length": 1024, "n_heads": 2}, "attention weights a step"),
    ],
)
def test_what_is_too_large_is_refused_with_the_numbers(changes: dict[str, int], says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        training_limits.check(replace(TINY, **changes), None)  # type: ignore[arg-type]


def test_a_text_that_is_too_large_is_refused() -> None:
    language, most = preset("language", "small"), training_limits.MAX_CORPUS_BYTES
    training_limits.check(language, "é" * (most // 2))
    with pytest.raises(InvalidParameterError, match="2,000,001 bytes of text are more than the 2,000,000"):
        training_limits.check(language, "é" * (most // 2) + "a")


@pytest.mark.parametrize("size", ["small", "default", "large"])
@pytest.mark.parametrize("task", TASKS)
def test_every_preset_is_allowed(task: str, size: str) -> None:
    training_limits.check(preset(task, size), None)


def test_a_loss_that_runs_away_is_said() -> None:
    run = started(replace(TINY, learning_rate=10.0, optimizer="sgd", clip=0.0, norm_first=False, steps=200))
    run.wait()
    assert run.status == "failed" and "the weights have run away" in run.error
    assert 0 < run.done < 200 and not training_queue.running


def test_a_text_that_is_too_short_is_said() -> None:
    run = Run(preset("language", "small"), "twenty bytes of text", lambda: True)
    run.go_on()
    run.wait()
    assert run.status == "failed" and "windows of 64 need at least 195" in run.error


def test_a_full_disk_pauses_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise ModelError("checkpoint.safetensors cannot be written: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_whole", full)
        run = started()
        run.wait()
    assert run.status == "paused" and run.done == 4
    assert "No space left on device" in run.error and "Continue" in run.error
    run.go_on()
    run.wait()
    assert run.status == "done" and not run.error
    assert losses(run.steps) == losses(uninterrupted())


def test_a_model_that_cannot_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ModelError("model.safetensors cannot be written: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(training_runs.command, "write", full)
        run = started()
        run.wait()
    assert run.status == "paused" and run.done == TINY.steps
    assert "model.safetensors cannot be written" in run.error and "Continue" in run.error
    run.go_on()
    run.wait()
    assert run.status == "done" and not run.error
    assert run.model().run("0 1").layers and losses(run.steps) == losses(uninterrupted())


def test_a_thread_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Training) -> Step:
        raise KeyError("/srv/secret/place")

    monkeypatch.setattr(Training, "_step", broken)
    run = started()
    run.wait()
    assert run.status == "failed" and "KeyError" in run.error and not training_queue.running
    assert "secret" not in run.error


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_app_comes_first() -> None:
    seen: list[int] = []
    run = started(at=2, act=lambda _: seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    run.wait()
    assert seen == [max(priority.NICE, os.getpriority(os.PRIO_PROCESS, 0))]


def test_the_end_of_the_server_ends_every_run() -> None:
    run = started(replace(TINY, steps=10_000, eval_every=10_000))
    training_runs.end_all()
    assert run.status == "paused" and run.done < 10_000


def test_the_command_of_a_run_is_one_that_the_command_line_reads() -> None:
    from attnviz import __main__
    from attnviz.training import command

    words = training_runs.command_line(TINY)
    options = __main__.parser_for(words).parse_args(words)
    assert preset(options.task, options.preset, **dict(command.setting(pair) for pair in options.set)) == TINY
    assert training_runs.command_line(preset("copy")) == ["train", "copy"]


def test_a_session_has_one_run_and_sees_no_other() -> None:
    def page() -> None:
        import streamlit as st

        from attnviz.errors import TrainingError
        from attnviz.training.loop import preset
        from attnviz.web.jobs import training_runs

        if st.session_state.get("go"):
            try:
                training_runs.begin(
                    preset("copy", d_model=16, n_heads=2, length=8, batch=4, steps=10_000, eval_every=10_000)
                )
            except TrainingError as error:
                st.text(str(error))
        st.text(repr(training_runs.mine()))

    one, other = AppTest.from_function(page), AppTest.from_function(page)
    one.session_state["go"] = True
    one.run()
    other.run()
    run = one.session_state["training"]
    assert run.active and one.text[-1].value == repr(run) and other.text[-1].value == "None"
    one.run()
    assert "This session trains already" in one.text[0].value and one.session_state["training"] is run
    other.session_state["go"] = True
    other.run()
    assert other.session_state["training"] is not run and len(training_queue.running) == 2


@pytest.mark.parametrize(("wish", "status"), [(Run.stop, "stopped"), (Run.pause, "paused")])
def test_what_is_still_being_prepared_can_be_ended(
    wish: Callable[[Run], None], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a text in three pieces none is cut into tokens after the wish; what was ended begins anew."""
    read: list[int] = []
    content = Language._content

    def counted(task: Language, text: str) -> list[int]:
        read.append(len(text))
        if len(read) == 2:
            wish(run)
        return content(task, text)

    monkeypatch.setattr(Language, "_content", counted)
    config = preset(
        "language", d_model=16, n_heads=2, n_layers=1, d_ff=16, length=8, batch=4, steps=4, warmup=1, vocab_size=300
    )
    run = Run(config, "The cat sat. " * 10_000, lambda: True)
    run.go_on()
    run.wait()
    assert (run.status, run.error, run.done, len(read)) == (status, "", 0, 2)
    assert not training_queue.running and run.probe is None
    run.go_on()
    run.wait()
    assert (run.status, run.done) == ("done", 4)


def test_a_wish_ends_the_counting_of_a_text_too() -> None:
    """Before the tokenizer is trained: the exception passes through its library."""
    asked = 0

    def present() -> bool:
        nonlocal asked
        asked += 1
        run.stop()
        return True

    run = Run(preset("language", length=8, steps=4, warmup=1, vocab_size=300), "The cat sat. " * 10_000, present)
    run.go_on()
    run.wait()
    assert (run.status, run.error, asked, run.probe) == ("stopped", "", 1, None)


def test_a_double_click_on_continue_takes_one_place() -> None:
    run = started(replace(TINY, steps=10_000, eval_every=10_000), at=5, act=Run.pause)
    run.wait()
    run.go_on()
    began = run._thread
    run.go_on()
    assert training_queue.running == [run] and not training_queue.waiting
    assert run.status in ("preparing", "running") and run._thread is began
