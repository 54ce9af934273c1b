"""The thread between pages: a word is found again in another text, or said to be missing."""

from hypothesis import given
from hypothesis import strategies as st

from attnviz.web import thread
from attnviz.web.thread import Word

LABELS = ("[CLS]", "it", "was", "too", "wide", "for", "it", ".", "[SEP]")


def test_a_word_is_the_same_occurrence() -> None:
    assert thread.word_at(LABELS, 6) == Word("it", 1)
    assert thread.position_of(LABELS, Word("it", 1)) == 6
    assert thread.position_of(("it", "fits"), Word("it", 1)) == 0  # its last one
    assert thread.position_of(LABELS, Word("tired")) is None


@given(st.lists(st.sampled_from("abc"), min_size=1), st.data())
def test_every_token_is_found_where_it_stands(labels: list[str], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(labels) - 1))
    assert thread.position_of(labels, thread.word_at(labels, position)) == position


def test_the_last_word_is_no_special_token_and_no_sign() -> None:
    assert thread.last_word(LABELS, [True, *[False] * 7, True]) == 6  # “it”, not “.”
    assert thread.last_word(("[CLS]", "短", "。", "🙂"), [True, False, False, False]) == 1
    assert thread.last_word(("[CLS]", "!", "?", "[SEP]"), [True, False, False, True]) == 2
    assert thread.last_word(("[CLS]", "[SEP]"), [True, True]) == 1
    assert thread.last_word((), []) == 0


def test_who_has_chosen_nothing_begins_at_it_or_at_the_last_word() -> None:
    assert thread.opening(LABELS, [False] * 9) == 1
    assert thread.opening(("Birds", "sing", "."), [False] * 3) == 1
