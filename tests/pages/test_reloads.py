"""A reload finds a session's training and models again by its own link, and nobody else finds them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates

from attnviz.web import cache, course, page_end, reloads
from attnviz.web.jobs import priority, training_queue, training_runs
from attnviz.web.train import corpus
from tests.pages.driver import Page, components, opened
from tests.pages.test_train_page import CONFIG, SMALL, labels, press


class Browsers:
    """Which sessions have their browser: each has until it leaves."""

    def leave(self) -> None:
        for own in reloads._kept.values():
            own.present = lambda: False


@pytest.fixture(autouse=True)
def browsers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browsers]:
    monkeypatch.setattr(priority, "YIELD", 0.0)
    monkeypatch.setattr(reloads, "WAIT", 0.0)
    monkeypatch.setattr(reloads, "presence", lambda: lambda: True)
    reloads._kept.clear()
    yield Browsers()
    training_runs.end_all()
    reloads._kept.clear()


def reloaded(app: Page, name: str = "train") -> Page:
    """The same address in a new session."""
    return opened(name, **app.link)


def test_a_reload_during_a_training_finds_it_again(browsers: Browsers) -> None:
    app = opened("train", **SMALL)
    assert reloads.PARAMETER not in app.link
    app.press("Start").run()
    run = app.session_state["training"]
    assert len(app.link[reloads.PARAMETER]) >= 20
    browsers.leave()
    again = reloaded(app)
    assert again.session_state["training"] is run
    run.wait()
    assert "Done after 16 steps" in again.run().prose and run.config == CONFIG


def test_a_training_goes_on_through_a_reload(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the new session's browser from then on, whichever page was reloaded."""
    monkeypatch.setattr(training_queue, "ABSENT", 60.0)
    app = opened("train", **SMALL | {"steps": 10_000})
    app.press("Start").run()
    run = app.session_state["training"]
    app.switch_page("pages/masks.py").run()
    browsers.leave()
    again = reloaded(app, "masks")
    monkeypatch.setattr(training_queue, "ABSENT", 0.0)
    before, until = run.done, time.monotonic() + 60
    while run.done < before + 5 and time.monotonic() < until:
        time.sleep(0.05)
    assert run.status == "running" and run.done >= before + 5
    browsers.leave()
    run.wait(60)
    assert run.status == "paused" and again.session_state["training"] is run


@pytest.mark.nightly  # it trains for a minute
def test_a_finished_model_stays_after_a_reload(browsers: Browsers) -> None:
    app = press(press(opened("train", **SMALL), "Start"), "Use it on every page")
    name, text = app.session_state["model"], app.session_state["text"]
    browsers.leave()
    again = reloaded(app)
    assert "Done after 16 steps" in again.prose and again.get("download_button")
    assert again.session_state["model"] == name and "Use it on every page" not in labels(again)
    again.switch_page("pages/explore.py").run()
    browsers.leave()
    explore = reloaded(again, "explore")
    assert components(explore, "attnviz_view") and explore.session_state["text"] == text
    assert any("Yours 1: copy after 16 steps" in one for one in explore.sidebar.selectbox[1].options)
    browsers.leave()
    models = press(press(opened("train", **explore.link), "Start"), "Use it on every page").session_state["own models"]
    assert [one.info.title.split(":")[0] for one in models.values()] == ["Yours 1", "Yours 2"]


def test_a_reload_on_another_page_does_not_lose_what_was_set_to_train(browsers: Browsers) -> None:
    app = press(press(opened("train", **SMALL), "Start"), "Use it on every page")
    app.switch_page("pages/explore.py").run()
    browsers.leave()
    again = reloaded(app, "explore")
    assert "task" not in again.link
    again.query_params.clear()  # a page of the menu has a bare address
    again.switch_page("pages/train.py").run()
    assert {name: again.session_state[f"train.{name}"] for name in SMALL} == SMALL
    assert again.link["task"] == SMALL["task"]


def test_the_text_that_is_in_no_link_is_there_after_a_reload(browsers: Browsers) -> None:
    app = opened("train", **SMALL | {"task": "language"})
    own = corpus.RHYME * 2
    app.text_area(key="train-corpus").set_value(own).run()
    app.press("Start").run()
    assert "corpus" not in app.link
    app.session_state["training"].stop()
    app.session_state["training"].wait()
    browsers.leave()
    assert reloaded(app).text_area(key="train-corpus").value == own


def test_while_its_owner_is_here_an_address_opens_nothing(browsers: Browsers) -> None:
    app = press(press(opened("train", **SMALL), "Start"), "Use it on every page")
    other = reloaded(app)
    assert "training" not in other.session_state and "press Start" in other.prose
    assert "own models" not in other.session_state or not other.session_state["own models"]
    assert reloads.PARAMETER not in other.link
    assert "trained in another session" in opened("explore", **app.link).prose
    assert "Done after 16 steps" in app.run().prose


def test_a_guess_finds_nothing(browsers: Browsers) -> None:
    press(opened("train", **SMALL), "Start")
    browsers.leave()
    assert reloads._kept
    for token in ("", "x", "0" * 22, "../../etc/passwd", "<b>", "None"):
        other = opened("train", **{reloads.PARAMETER: token})
        assert "training" not in other.session_state and reloads.PARAMETER not in other.link, token


def test_what_nobody_comes_back_for_is_forgotten(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(opened("train", **SMALL), "Start")
    browsers.leave()
    monkeypatch.setattr(reloads, "KEPT", -1.0)
    assert "training" not in reloaded(app).session_state and not reloads._kept


def test_no_more_than_so_many_wait(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloads, "MOST", 2)
    apps = [press(opened("train", **SMALL), "Start") for _ in range(4)]
    for app in apps:
        reloads._kept[app.link[reloads.PARAMETER]].present = lambda: False
        with reloads._lock:
            reloads._forget_old()
    found = ["training" in reloaded(app).session_state for app in apps]
    assert found == [False, False, True, True]


def test_models_that_wait_make_room_for_those_of_who_is_here(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(press(opened("train", **SMALL), "Start"), "Use it on every page")
    assert reloads._kept
    browsers.leave()
    app = press(opened("train", **SMALL), "Start")
    monkeypatch.setattr(cache, "OWN_BYTES", 1)
    press(app, "Use it on every page")
    assert [own.token for own in reloads._kept.values()] == [app.link[reloads.PARAMETER]]


def test_a_run_that_ended_early_tells_the_browser_again_what_its_fields_hold(browsers: Browsers) -> None:
    """Streamlit ends a run when the browser asks for another, and with it go the values that it was to be told."""
    app = opened("train", **SMALL).run()
    assert not app.number_input(key="train.d_model").proto.set_value
    app.session_state["drawn"] = False
    app.run()
    field = app.number_input(key="train.d_model").proto
    assert field.set_value and field.value == SMALL["d_model"]
    app.run()
    assert not app.number_input(key="train.d_model").proto.set_value


def test_what_was_told_by_a_run_that_ended_below_the_page_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page writes its link before it is all drawn; the run is over only after that."""
    app = opened("softmax")
    field = "softmax.seed"
    assert not app.run().number_input(key=field).proto.set_value
    with monkeypatch.context() as ends:
        ends.setattr(course, "foot", lambda page: page_end.end_run())
        app.run()
    assert app.run().number_input(key=field).proto.set_value
    assert not app.run().number_input(key=field).proto.set_value


def test_a_claim_that_was_interrupted_is_taken_up_again(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    app = press(opened("train", **SMALL), "Start")
    browsers.leave()
    own = reloads._kept[app.link[reloads.PARAMETER]]
    again = Page("train", app.link)
    again.session_state["belongings"] = own  # so far it came; and already this session is the owner
    own.present = lambda: True
    assert (
        "Done after 16 steps" in again.run().prose and again.session_state["training"] is app.session_state["training"]
    )


def reconnected(page: Page, to: Page) -> Page:
    """A browser whose server is a new one: what its fields hold is the first that the new session hears."""
    to._run(page._tree.get_widget_states())
    return to


def test_what_is_typed_first_after_a_restart_is_kept() -> None:
    before = opened(text="The text of the link", model="induction")
    before.sidebar.text_area[0].set_value("Typed while the server was away")
    after = reconnected(before, Page("", {"text": "The text of the link", "model": "induction"}))
    assert not after.exception and after.sidebar.text_area[0].value == "Typed while the server was away"
    assert after.session_state["text"] == after.address["text"] == "Typed while the server was away"


def test_what_is_typed_before_the_lists_are_drawn_does_not_lose_their_values() -> None:
    """A browser that reports a text alone has drawn no list yet: what the run that this ends had told it is lost."""
    page = opened("masks", model="induction", layer=1, head=3)
    lists = "model", "masks.layer", "masks.head"
    shown = {key: page.selectbox(key=key).proto.raw_value for key in lists}
    states = page._tree.get_widget_states()
    typed = next(state for state in states.widgets if state.id == page.sidebar.text_area[0].id)
    typed.string_value = "a b c d a b c d"
    page._run(WidgetStates(widgets=[typed]))
    assert page.session_state["text"] == "a b c d a b c d" and not page.exception
    for key, value in shown.items():
        box = page.selectbox(key=key).proto
        assert box.set_value and box.raw_value == value, key
    page.run()  # now the browser has all of them, and is told nothing that it knows
    assert not any(page.selectbox(key=key).proto.set_value for key in lists)


def test_what_is_typed_on_a_page_after_a_restart_is_kept() -> None:
    before = opened("program", phrase="abc")
    (phrase,) = (field for field in before.text_input if field.value == "abc")
    phrase.set_value("cba")
    after = reconnected(before, Page("program", {"phrase": "abc"}))
    assert not after.exception and "cba" in [field.value for field in after.text_input]
    assert after.address["phrase"] == "cba"
