"""What a picture that leaves a page says of it."""

from attnviz.web.masks.state import Settings as Masks
from attnviz.web.replay.state import Settings as Replay
from attnviz.web.settings_text import LONGEST_TEXT, settings_text, shortened
from attnviz.web.softmax.state import Settings as Softmax


def test_model_text_and_what_is_set_in_words() -> None:
    assert settings_text(Softmax(temperature=0.5, layer=2), "MiniLM", "The  dog\nran.") == (
        "Model MiniLM · text “The dog ran.” · temperature 0.5 · layer 2 · head 1 · query: token 10 · seed 0"
    )
    line = settings_text(Masks(mask="causal", token=-1), "MiniLM", "A dog.")
    assert "mask: causal" in line and "layer 3 · head 1" in line and "token" not in line


def test_a_page_without_the_text_says_neither_text_nor_model() -> None:
    assert settings_text(Replay(step=12)).startswith("Training step 12 · seed 0")


def test_a_long_text_is_cut() -> None:
    assert shortened("x" * 500) == "x" * LONGEST_TEXT + "…" and shortened("short") == "short"
