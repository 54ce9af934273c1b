"""The text models that come with the app run on the page "Explore" and in the lessons."""

import pytest

from attnviz.training.tasks import Induction, Tales
from tests.pages.driver import header, opened, views
from tests.support.models import loaded

TEXTS = {"induction": Induction(64).example()[0], "tales": Tales(64).example()[0]}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("page", ["", "masks"])
def test_a_bundled_model_runs_on_its_own_example(name: str, page: str) -> None:
    app = opened(page, model=name, text=TEXTS[name])
    assert not app.exception
    assert header(views(app)[0][1])["tokens"]["labels"] == list(loaded(name).encode(TEXTS[name]).labels)


def test_the_model_that_reads_two_texts_is_refused_in_a_sentence() -> None:
    app = opened(model="dates")
    assert not app.exception and "reads two texts" in app.prose
