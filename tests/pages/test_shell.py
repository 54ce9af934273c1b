"""What every page shares: the sidebar's text and model, the link, the tools, what is said when something cannot be."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from attnviz.inputs.assets import ASSETS
from attnviz.web import cache, line, shell
from tests.pages.driver import SENTENCE, Page, header, opened, values, views

MODELS = ["models", "generate", "translate", "vision"]
INVESTIGATE = ["heads", "what_if", "compare", "evidence", "space"]
LEARN = ["lessons", "step_by_step", "softmax", "masks", "positions", "encoder_block", "variants", "program", "glossary"]
PAGES = ["explore", *MODELS, *INVESTIGATE, *LEARN, "replay", "train"]
OTHER = "The dog chased the cat because it ran."


def tools(app: Page) -> dict[str, object]:
    """What the tools of the page were sent."""
    (sent,) = values(app, "attnviz_page_tools")
    return sent


def tokens(app: Page) -> list[str]:
    """The tokens in Explore's view."""
    return header(views(app)[0][1])["tokens"]["labels"]


def go_to(app: Page, name: str) -> Page:
    """Another page, chosen in the menu: it comes without parameters."""
    app.query_params.clear()
    app.switch_page(f"pages/{name}.py")
    return app.run()


def test_all_of_a_run_has_a_place_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty runs that are only on their way to their page would hold up those that have one."""
    draw, places = shell.sidebar, []

    def sidebar(page: str) -> None:
        places.append(list(line.LINE._inside))
        draw(page)

    monkeypatch.setattr(shell, "sidebar", sidebar)
    opened("lessons")
    assert [len(inside) for inside in places] == [1] and line.LINE._inside == []


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_its_tools_above_all_else(name: str) -> None:
    app = opened(name)
    sent = tools(app)
    assert app.get("bidi_component")[0].proto.component_name == "attnviz_page_tools"
    assert set(sent["pages"]) == {"" if page == "explore" else page for page in PAGES}
    assert sent["leftOut"] == []


def test_a_page_that_ends_in_a_sentence_has_its_tools_too() -> None:
    app = opened("softmax", model="scratch:base")
    assert "reads two texts" in app.sentence and tools(app)["leftOut"] == []


@pytest.mark.parametrize(("name", "place"), [("", 0), ("generate", 2), ("evidence", 3), ("glossary", 4), ("train", 5)])
def test_the_menu_marks_the_section_that_the_page_is_in(name: str, place: int) -> None:
    styles = " ".join(one.proto.body for one in opened(name).get("html"))
    assert ("stTopNavSection" in styles) == (place > 0) and (f"> :nth-child({place}) " in styles) == (place > 0)


def test_the_library_of_the_codes_is_the_published_one() -> None:
    published = "79ec86f82856005b1c887905cfccfcfbec3821ca61c7fd5a952faa5f778f791c"  # qrcode-generator 2.0.4
    assert hashlib.sha256((ASSETS / "qrcode" / "qrcode.js").read_bytes()).hexdigest() == published


def test_text_and_model_stay_on_the_way_over_all_pages() -> None:
    app = opened(text=OTHER, model="austen")
    for name in (*PAGES[1:], "explore", *PAGES[:0:-1], "explore"):
        go_to(app, name)
        assert not app.exception, name
        assert (app.session_state["text"], app.session_state["model"]) == (OTHER, "austen"), name
        if name not in shell.OWN_INPUTS:
            assert app.text_area(key="text").value == OTHER and app.selectbox(key="model").value == "austen", name
    assert "dog" in "".join(tokens(app))


# ---- what a link does not carry ----------------------------------------------------------------------


def test_a_text_that_no_link_carries_is_named_beside_the_link_and_the_field() -> None:
    app = opened()
    app.text_area(key="text").set_value("word " * 401).run()  # 2,005 characters
    assert tools(app)["leftOut"] == ["It does not carry your text: a link holds at most 2,000 characters."]
    assert any("link does not carry this text" in caption.value for caption in app.caption)
    app.text_area(key="text").set_value("word " * 400).run()
    assert tools(app)["leftOut"] == [] and app.link["text"] == "word " * 400
    assert not any("link does not carry" in caption.value for caption in app.caption)


def test_on_a_page_without_the_text_nothing_is_left_out() -> None:
    app = opened()
    app.text_area(key="text").set_value("word " * 401).run()
    assert tools(go_to(app, "vision"))["leftOut"] == []
    assert tools(go_to(app, "masks"))["leftOut"] != []


def test_a_model_that_was_trained_here_is_named_beside_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(model=f"{cache.OWN}mine")
    assert tools(app)["leftOut"] == ["It does not carry your model, which lives in this session only."]


def test_an_address_that_shows_what_was_revealed_stands_until_something_changes() -> None:
    """Else a first step back in the browser would seem to do nothing."""
    app = opened("softmax")
    assert app.address == {"revealed": "1"}
    app.choose(temperature=0.5)
    assert app.address == {"temperature": "0.5"}


# ---- what cannot be ----------------------------------------------------------------------------------


def test_over_a_text_that_is_too_long_the_last_picture_stays_and_so_does_what_was_typed() -> None:
    app = opened()
    app.text_area(key="text").set_value(OTHER).run()
    before = tokens(app)
    app.text_area(key="text").set_value("x" * 100_040).run()
    assert app.sentence == (
        "Your text has 100,040 characters; at most 100,000 can be read. It stays in the sidebar for you to shorten. "
        "Until then this page shows the text before it."
    )
    assert tokens(app) == before and "dog" in before
    assert app.text_area(key="text").value == "x" * 100_040
    go_to(app, "softmax")  # and on the next page
    assert "100,040 characters" in app.sentence and "8 ran" in app.selectbox(key="softmax.query").options
    app.text_area(key="text").set_value("Birds sing.").run()
    assert "characters" not in app.sentence


def test_a_new_session_with_a_text_that_is_too_long_shows_the_first_one() -> None:
    app = opened("softmax", text="x" * 100_001)
    assert "100,001 characters" in app.sentence and "animal" in app.prose and shell.first_text() == SENTENCE


@pytest.mark.parametrize("query", [{"model": "nothing"}, {"model": "scratch:nothing"}, {"model": "scratch:base"}])
def test_a_refusal_begins_with_a_word(query: dict[str, str]) -> None:
    app = opened("softmax", **query)
    assert app.sentence[0].isalpha()


def test_a_fragment_of_an_older_page_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the browser reported just before a new text came reruns the fragment as the page before made it."""
    again, state, drawn = [], {"runs": 1}, []

    class Rerun(Exception):
        pass

    def rerun() -> None:
        raise Rerun

    def kept(**_: object):
        """As Streamlit does: draws the part, and keeps it for when it reruns alone."""

        def keep(part):
            def draw(*inputs):
                again.append(lambda: part(*inputs))
                return part(*inputs)

            return draw

        return keep

    monkeypatch.setattr(shell, "st", SimpleNamespace(fragment=kept, session_state=state, rerun=rerun))
    part = shell.fragment(lambda text: drawn.append(text))
    part("old")
    again[0]()
    assert drawn == ["old", "old"]
    state["runs"] = 2  # the page of the new text, which drew no fragment
    with pytest.raises(Rerun):
        again[0]()
    assert drawn == ["old", "old"]
