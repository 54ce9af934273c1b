"""The page "Replay" through AppTest: what is on screen is what the library finds at that checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from attnviz import Intervention, ModelError
from attnviz.browser.framing import read_frame
from attnviz.formatting import percent
from attnviz.models.catalogue import BUNDLED
from attnviz.training import snapshots
from attnviz.training.tasks import Induction
from attnviz.training.tasks.sequences import Scores, scores
from attnviz.web.replay import state
from attnviz.web.replay.text import EVENLY, LATE, LOST, SAME
from tests.pages.driver import Page, chart_titles, charts, opened, values, views
from tests.support.models import loaded


@pytest.fixture
def app() -> Page:
    return opened("replay")


@pytest.fixture(scope="module")
def past() -> snapshots.Snapshots:
    return snapshots.read(BUNDLED / "induction")


def measured(past: snapshots.Snapshots, at: int, off: tuple[int, int] | None = None) -> Scores:
    change = None if off is None else Intervention(head_scale=((*off, 0.0),))
    return scores(past.model(at), Induction(past.config.max_len).twice(), change)


def heads(past: snapshots.Snapshots) -> tuple[tuple[int, int], tuple[int, int]]:
    """The best heads of the last checkpoint: previous token, induction."""
    last = measured(past, len(past.steps) - 1)
    return tuple(divmod(int(x.argmax()), x.shape[1]) for x in (last.previous, last.induction))  # type: ignore[return-value]


def test_no_button_tells_when_the_head_forms_before_the_guess(app: Page) -> None:
    when = "Just before it forms"
    assert when in [one.label for one in app.button]
    assert when not in [one.label for one in opened("replay", revealed=0).button]


def test_the_dial_that_shows_how_it_forms_comes_with_the_guess() -> None:
    app = opened("replay", revealed=0)
    assert not values(app, "attnviz_dial")
    answered(app, "form", EVENLY)
    (dial,) = values(app, "attnviz_dial")
    assert any(label == "the head forms" for _, label in dial["marks"])


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_the_sentence_says_what_the_checkpoint_does(app: Page, past: snapshots.Snapshots, place: float) -> None:
    at = round(place * (len(past.steps) - 1))
    app.choose(step=past.steps[at])
    assert not app.exception
    found, (previous, induction) = measured(past, at), heads(past)
    when = f"After {past.steps[at]:,} steps" if at else "Before any training"
    share = percent(float(found.induction[induction]))
    assert app.sentence.startswith(f"{when}, layer {induction[0]}, head {induction[1]} puts {share} of its attention")
    assert (
        f"layer {previous[0]}, head {previous[1]} puts {percent(float(found.previous[previous]))} on the prev"
        in app.prose
    )
    assert f"second occurrences is {found.again:.2f}\u202fnats per word" in app.sentence
    assert f"which nothing foretells, it is {found.first:.2f}." in app.sentence
    text = state.text_of(0)
    trace = loaded("induction").run(text)
    ids, labels = torch.tensor([trace.encodings[0].ids]), trace.encodings[0].labels
    with torch.inference_mode():
        row = past.model(at)(ids).attentions[induction[0]][0, induction[1], 12]
    assert f"At the second “{labels[12]}” it gives {percent(float(row[5]))} to “{labels[5]}”" in app.sentence
    assert ("more than to any other" in app.sentence) == (int(row.argmax()) == 5)


def test_the_curves_are_every_checkpoints_scores(app: Page, past: snapshots.Snapshots) -> None:
    step = past.steps[len(past.steps) // 2]
    app.choose(step=step)
    all_found, (previous, induction) = [measured(past, i) for i in range(len(past.steps))], heads(past)
    figure = charts(app)[0]
    lines = {(one["yaxis"], one["name"]): one for one in figure["data"] if one["mode"] == "lines"}
    assert all(tuple(line["x"]) == past.steps for line in lines.values())
    assert lines["y", "second time"]["y"] == pytest.approx([one.again for one in all_found])
    assert lines["y", "first time"]["y"] == pytest.approx([one.first for one in all_found])
    for axis, name, best in (("y2", "induction", induction), ("y3", "previous", previous)):
        for layer in range(past.config.n_layers):
            for head in range(past.config.n_heads):
                line = lines[axis, f"layer {layer}, head {head}"]
                assert line["y"] == pytest.approx([float(getattr(one, name)[layer, head]) for one in all_found])
                assert (line["opacity"] == 1) == ((layer, head) == best)
    assert {(mark["x0"], mark["x1"]) for mark in figure["layout"]["shapes"]} == {(step, step)}
    shares = [float(one.induction[induction]) for one in all_found]
    rises = [(shares[i + 1] - shares[i]) / (past.steps[i + 1] - past.steps[i]) for i in range(len(shares) - 1)]
    at = rises.index(max(rises))
    assert (
        f"from step {past.steps[at]:,} to {past.steps[at + 1]:,}: {percent(shares[at])} become" in chart_titles(app)[0]
    )


def test_the_matrices_are_the_two_heads_at_the_checkpoint(app: Page, past: snapshots.Snapshots) -> None:
    at = len(past.steps) // 2
    app.choose(step=past.steps[at])
    ids = torch.tensor([loaded("induction").encode(state.text_of(0)).ids])
    with torch.inference_mode():
        trace = past.model(at)(ids)
    assert len(views(app)) == 2
    for (about, message), (layer, head) in zip(views(app), heads(past), strict=True):
        assert (about["state"]["layer"], about["state"]["head"], about["state"]["queries"]) == (layer, head, [12])
        run, payload = read_frame(message)
        at = run["layers"][layer]["at"]
        q = trace.layers[layer].attention.q[0].numpy()
        assert payload[at : at + q.nbytes] == q.tobytes()


def test_without_the_first_head_the_second_one_is_lost(app: Page, past: snapshots.Snapshots) -> None:
    last = len(past.steps) - 1
    app.choose(step=past.steps[last], off=True)
    previous, induction = heads(past)
    found = measured(past, last, previous)
    assert f"with layer {previous[0]}, head {previous[1]} switched off" in app.sentence
    assert f"puts {percent(float(found.induction[induction]))} of its attention" in app.sentence
    assert f"second occurrences is {found.again:.2f}\u202fnats per word, instead of" in app.sentence
    assert float(found.induction[induction]) < 0.5 * float(measured(past, last).induction[induction])
    assert "switched off" in views(app)[0][0]["compact"]["title"]


def test_curves_and_title_are_those_of_the_model_that_is_shown(app: Page, past: snapshots.Snapshots) -> None:
    previous, induction = heads(past)
    app.choose(step=past.steps[-1], off=True)
    found = [measured(past, at, previous) for at in range(len(past.steps))]
    figure = charts(app)[0]
    lines = {(one["yaxis"], one["name"]): one for one in figure["data"] if one["mode"] == "lines"}
    of_head = [float(one.induction[induction]) for one in found]
    line = lines["y2", f"layer {induction[0]}, head {induction[1]}"]
    assert line["y"] == pytest.approx(of_head) and line["opacity"] == 1
    assert lines["y", "second time"]["y"] == pytest.approx([one.again for one in found])
    assert lines["y", "first time"]["y"] == pytest.approx([one.first for one in found])
    on = [measured(past, at) for at in range(len(past.steps))]
    for axis, name, numbers in (
        ("y", "second time, the head on", [one.again for one in on]),
        ("y2", "layer 1, head 3, the other on", [float(one.induction[induction]) for one in on]),
    ):
        assert lines[axis, name]["y"] == pytest.approx(numbers) and lines[axis, name]["opacity"] < 1
    assert f"it reaches {percent(max(of_head))} at most, not" in chart_titles(app)[0]


def test_one_step_is_no_steps(app: Page) -> None:
    assert app.choose(step=1).sentence.startswith("After 1 step, ")


def test_the_rise_of_the_first_loss_is_explained(app: Page, past: snapshots.Snapshots) -> None:
    firsts = [measured(past, at).first for at in range(len(past.steps))]
    lowest = firsts.index(min(firsts))
    highest = max(range(lowest, len(firsts)), key=firsts.__getitem__)
    task = Induction(past.config.max_len)
    twice, n_words = task.twice(), len(task.words)
    with torch.inference_mode():
        given = past.model(highest)(twice).logits.softmax(dim=-1)
    half = twice.shape[1] // 2
    shares = []
    for i in range(1, half):
        came = torch.zeros_like(given[:, i], dtype=torch.bool).scatter(1, twice[:, 1 : i + 1], True)
        shares.append(float((given[:, i] * came).sum(dim=1).mean()))
    said = next(text for text in app.sentences if "Why the loss rises" in text)
    assert f"from {min(firsts):.2f} to {firsts[highest]:.2f}\u202fnats" in said
    assert f"At step {past.steps[highest]:,} it gives {percent(sum(shares) / len(shares))} of the probability" in said
    assert f"gives them {percent((half - 1 + 1) / 2 / n_words)}, and costs {math.log(n_words):.2f}\u202fnats" in said


def answered(app: Page, name: str, guess: str) -> str:
    """What the page says to a guess."""
    quiz = next(one for one in app.get("button_group") if f"replay.quiz.{name}" in one.proto.id)
    quiz.set_value(guess).run()
    return app.prose


def test_the_predictions_are_judged_by_the_numbers(past: snapshots.Snapshots) -> None:
    last, (previous, induction) = len(past.steps) - 1, heads(past)
    with_it, without_it = (float(measured(past, last, off).induction[induction]) for off in (None, previous))
    assert without_it < 0.1 * with_it
    numbers = f"goes from {percent(with_it)} to {percent(without_it)}"
    right, wrong = opened("replay", revealed=0), opened("replay", revealed=0)
    assert f"✓ Right. Its attention on the word that followed this word’s first occurrence {numbers}" in answered(
        right, "off", LOST
    )
    assert f"Not quite: you said “{SAME}”" in answered(wrong, "off", SAME) and numbers in wrong.prose


def test_that_the_head_forms_late_and_suddenly_is_in_the_numbers(past: snapshots.Snapshots) -> None:
    _, induction = heads(past)
    shares = [float(measured(past, at).induction[induction]) for at in range(len(past.steps))]
    enough = 2 / 3 * (max(shares) - shares[0])
    begin, end = min(
        ((i, j) for i in range(len(shares)) for j in range(i + 1, len(shares)) if shares[j] - shares[i] >= enough),
        key=lambda pair: past.steps[pair[1]] - past.steps[pair[0]],
    )
    length = past.steps[end] - past.steps[begin]
    assert length <= 0.15 * past.steps[-1] and past.steps[begin] > length  # a clear winner
    app = opened("replay", revealed=0)
    says = f"From step {past.steps[begin]:,} to {past.steps[end]:,}, {percent(length / past.steps[-1])} of the training"
    assert says not in app.prose and not charts(app)
    assert f"Not quite: you said “{EVENLY}”, it is “{LATE}”. {says}" in answered(app, "form", EVENLY)
    assert len(charts(app)) == 1


def test_before_the_guess_no_head_is_off(past: snapshots.Snapshots) -> None:
    link = {"off": 1, "step": past.steps[-1]}
    app = opened("replay", **link, revealed=0)
    assert "switched off" not in app.sentence and not app.toggle
    assert not any("without layer" in button.label for button in app.button)
    assert "off" in app.link
    answered(app, "off", LOST)
    assert "switched off" in app.sentence and app.toggle[0].value


def test_other_words_keep_the_step_and_the_head(app: Page, past: snapshots.Snapshots) -> None:
    app.choose(step=past.steps[-1], off=True).press("Other words")
    assert app.link == {"seed": "1", "step": str(past.steps[-1]), "off": "1"}
    app.button(key="replay-try-0").click().run()
    assert app.link == {"seed": "1", "step": "0"}


def test_what_is_there_from_the_start_is_said(app: Page, past: snapshots.Snapshots) -> None:
    (layer, head), _ = heads(past)
    first, end = (percent(float(measured(past, at).previous[layer, head])) for at in (0, len(past.steps) - 1))
    sentence = next(text.value for text in app.text if "from the start" in text.value)
    assert (
        sentence.startswith(f"Layer {layer}, head {head} ")
        and f"{first} before any training, {end} at the end" in sentence
    )
    slope = (0.25, 0.0625, 0.015625, 0.00390625, 0.5)[head]  # of five heads; Press et al. 2022
    assert f"by {slope:g} per word" in sentence


@pytest.mark.parametrize("number", range(4))
def test_each_try_sets_the_page_up_and_is_in_the_link(app: Page, past: snapshots.Snapshots, number: int) -> None:
    before = app.sentence
    app.button(key=f"replay-try-{number}").click().run()
    assert not app.exception and app.sentence != before
    again = opened("replay", **app.link)
    assert again.sentence == app.sentence


def test_a_token_chosen_in_one_matrix_is_chosen_in_both(app: Page) -> None:
    shown = views(app)[0][0]["state"]
    app.session_state["replay-previous"] = {"view": {**shown, "queries": [14]}}
    app.run()
    labels = loaded("induction").encode(state.text_of(0)).labels
    assert f"At the second “{labels[14]}”" in app.sentence and app.link == {"token": "14"}
    assert views(app)[1][0]["state"]["queries"] == [14]
    shown = views(app)[1][0]["state"]
    app.session_state["replay-induction"] = {"view": {**shown, "queries": []}}
    app.run()
    assert "At the second" not in app.sentence and app.link == {"token": "-1"}


def test_other_words_are_other_words(past: snapshots.Snapshots) -> None:
    texts = {state.text_of(seed) for seed in range(20)}
    task = Induction(64)
    assert len(texts) == 20
    for text in texts:
        ids = task.tokenizer.encode(text).ids[1:]
        assert len(ids) == 16 and ids[:8] == ids[8:] and len(set(ids)) == 8 and set(ids) <= set(task.words.tolist())


@pytest.mark.parametrize(
    "bad",
    [
        {"step": "-1", "seed": "x", "off": "7", "token": "99"},
        {"step": "1e9", "seed": "-3", "token": "-2"},
        {"step": "999999", "seed": "99", "token": "0"},
    ],
)
def test_a_link_with_nonsense_still_opens(bad: dict[str, str]) -> None:
    app = opened("replay", **bad)
    assert not app.exception and len(views(app)) == 2 and "of its attention on the word" in app.sentence


def test_text_and_model_of_the_other_pages_stay_as_they_were() -> None:
    app = opened("replay", text="Two words", model="tales")
    assert not app.exception and not app.sidebar.text_area and app.link == {"text": "Two words", "model": "tales"}
    app.switch_page("pages/explore.py").run()
    assert app.sidebar.text_area[0].value == "Two words" and app.session_state["model"] == "tales"


def test_without_a_history_the_page_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_: object) -> None:
        raise ModelError("history.safetensors cannot be read: No such file or directory.")

    monkeypatch.setattr(snapshots, "read", missing)
    state.replay.clear()
    app = opened("replay")
    assert not app.exception and app.text[0].value.startswith("history.safetensors cannot be read")
    state.replay.clear()


def test_the_code_that_ran_is_shown_when_asked_for(app: Page) -> None:
    app.session_state["replay-code"] = True
    app.run()
    assert any("def offset_weights(" in code.value for code in app.code)
    assert not math.isnan(measured(snapshots.read(BUNDLED / "induction"), 0).first)
