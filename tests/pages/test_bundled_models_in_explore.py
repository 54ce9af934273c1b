"""The text models that come with the app run on the page "Explore" and in the lessons."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import attnviz
from attnviz.training.tasks import Induction, Tales
from tests.pages.driver import mounted

APP = str(Path(__file__).parents[2] / "app.py")
TEXTS = {"induction": Induction(64).example()[0], "tales": Tales(64).example()[0]}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("page", ["explore", "masks"])
def test_a_bundled_model_runs_on_its_own_example(name: str, page: str) -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    if page != "explore":
        app = app.switch_page(f"pages/{page}.py")
    app.query_params.update({"model": name, "text": TEXTS[name]})
    app.run()
    assert not app.exception
    data: bytes = mounted(app, "attnviz_view")[0].proto.bytes
    length = int.from_bytes(data[:4], "little")
    message = data[4 + length :]
    header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
    assert header["tokens"]["labels"] == list(attnviz.load(name).encode(TEXTS[name]).labels)


def test_the_model_that_reads_two_texts_is_refused_in_a_sentence() -> None:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update({"model": "dates"})
    app.run()
    assert not app.exception and "reads two texts" in " ".join(text.value for text in app.text)
