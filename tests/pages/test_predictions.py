"""Every quiz: before the guess the page holds nothing that answers it, and after it says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attnviz import web
from attnviz.web import prediction
from attnviz.web.prediction import Question
from tests.pages.driver import SENTENCE, Page, charts, opened, written

WEB = Path(web.__file__).parent
# A page, the parameters that it is opened with, and the names of its questions.
READS_NO_TEXT = [
    ("translate", {}),
    ("translate", {"translator": "dates"}),
    ("vision", {}),
    ("vision", {"vit": "scratch:vit"}),
    ("replay", {}),
    ("program", {}),
    ("program", {"program": "histogram"}),
]
LESSONS = ("softmax", "masks", "positions", "encoder_block", "variants", "generate", "step_by_step", "evidence")
MODELS = ("minilm", "austen", "induction", "scratch:gpt", "scratch:tiny")
TEXTS = (
    SENTENCE,
    "The trophy doesn't fit in the suitcase because it's too big.",
    "a a a a a a",
    "Wer rastet, der rostet.",
    "yes",
    "短いテキスト 🙂",
    "1 2 3 4 5 6 7 8 9",
    "<b>bold</b> **stars** `code`",
    "In every park the old birds often sing at dawn when nobody listens to them at all.",
    "It was the best of times, it was the worst of times.",
    "“Quoted”, he said; 37 % of 2.3 × 4.",
    "no punctuation here just words that go on and on until they stop",
)
# A number that says something: with a unit or with decimals.
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?\s?(?:%|×|times)|\d[\d,]*\.\d+")


class Asked:
    """The questions that the pages asked, by name: `prediction.ask` tells them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions: dict[str, Question] = {}
        ask = prediction.ask

        def noted(page: str, name: str, question: Question, *, everywhere: bool = False) -> bool:
            self.questions[name] = question
            return ask(page, name, question, everywhere=everywhere)

        monkeypatch.setattr(prediction, "ask", noted)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def pictures(page: Page) -> int:
    """How many components the page draws, and parts of charts."""
    return len(page.get("bidi_component")) + sum(len(chart["data"]) for chart in charts(page))


def answers(question: Question) -> list[str]:
    """What must not be read before the guess: the reason, sentence by sentence, and its numbers."""
    sentences = [one for one in re.split(r"(?<=[.!?])\s+", question.because) if len(one) > 12]
    given = " ".join((question.asks, *question.options))
    return sentences + [one for one in NUMBER.findall(question.because) if one not in given]


POWER = "\N{NO-BREAK SPACE}10[\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ONE}-\N{SUPERSCRIPT NINE}]"  # 2.4 × 10⁻⁶ is not 2.4 ×


def holds_nothing_that_answers(page: Page, asked: Asked, text: str) -> None:
    strings = [string.replace(text, "") for string in written(page)]
    for name, question in asked.questions.items():
        for answer in answers(question):
            told = [string for string in strings if re.search(rf"(?<![\d.,]){re.escape(answer)}(?!{POWER})", string)]
            assert not told, f"{name}: {answer!r} stands in {told[0][:300]!r}"
        if " " in question.truth.strip():
            others = [one for one in question.options if one != question.truth]
            told = [one for one in strings if question.truth in one and not all(other in one for other in others)]
            assert not told, f"{name}: the right answer {question.truth!r} stands in {told[0][:300]!r}"


def check(page: str, asked: Asked, text: str, query: dict[str, str]) -> None:
    hidden = opened(page, **query, revealed=0)
    if not asked.questions:  # this model has nothing to ask on this page
        return
    names = set(asked.questions)
    holds_nothing_that_answers(hidden, asked, text)
    shown = opened(page, **query)
    assert names <= set(asked.questions)
    assert pictures(hidden) < pictures(shown), "no picture waits for the guess"
    prose = " ".join(written(shown))
    for name in names:
        assert asked.questions[name].because in prose, name


@pytest.mark.parametrize("page", LESSONS)
@pytest.mark.parametrize("model", ["minilm", "austen"])
def test_nothing_answers_before_the_guess(page: str, model: str, asked: Asked) -> None:
    check(page, asked, SENTENCE, {"model": model, "text": SENTENCE})


@pytest.mark.parametrize(("page", "query"), READS_NO_TEXT)
def test_nothing_answers_before_the_guess_where_no_text_is_read(page: str, query: dict[str, str], asked: Asked) -> None:
    check(page, asked, "", query)


@pytest.mark.nightly
@pytest.mark.parametrize("page", LESSONS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", TEXTS)
def test_nothing_answers_on_any_model_and_text(page: str, model: str, text: str, asked: Asked) -> None:
    check(page, asked, text, {"model": model, "text": text})


def test_every_page_that_asks_stands_in_the_lists_above() -> None:
    ask = {path.parent.name for path in WEB.glob("*/*.py") if "lesson.predict(" in path.read_text("utf-8")}
    assert ask == {*LESSONS, *(page for page, _ in READS_NO_TEXT)}


@pytest.mark.parametrize("page", [*LESSONS, *dict(READS_NO_TEXT)])
def test_every_lesson_asks_and_a_guess_stays_out_of_the_link(page: str, asked: Asked) -> None:
    app = opened(page, revealed=0)
    assert asked.questions
    before = app.link  # how the page was opened stands in it until something changes
    for name in list(asked.questions):
        question = asked.questions[name]
        wrong = next(option for option in question.options if option != question.truth)
        next(one for one in app.get("button_group") if f"{page}.quiz.{name}" in one.proto.id).set_value(wrong).run()
    assert not app.exception
    prose = " ".join(written(app))
    assert prose.count("Not quite: you said") == len(asked.questions)
    assert app.link == before


def test_shown_without_a_guess_and_asked_again(asked: Asked) -> None:
    app = opened("softmax", revealed=0)
    ((name, question),) = asked.questions.items()
    assert question.because not in app.prose
    app.press("Show me")
    assert asked.questions[name].because in app.prose and "Not quite" not in app.prose
    app.press("Ask me again")
    assert asked.questions[name].because not in app.prose


def test_an_old_link_with_somebodys_guess_shows_no_answer(asked: Asked) -> None:
    app = opened("softmax", guess="It loses", revealed=0)
    (question,) = asked.questions.values()
    assert question.because not in app.prose and "guess" not in app.link
