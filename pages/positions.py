"""Positions: what order is to a model that has none, and what the five schemes give it."""

from attnviz.web import shell
from attnviz.web.lesson import Lesson
from attnviz.web.positions import parts, shuffle, state

shell.ensure()
lesson = Lesson("positions", state.Settings(), follows=("layer", "head"))
inputs = state.inputs(lesson)


@shell.fragment
def shuffling() -> None:
    """The question of the page: are the words in order, for the model?"""
    lesson.question("How does the model know the order of words?")
    shows = shuffle.test(lesson, inputs)
    shuffle.tries(lesson, shows)
    lesson.write_link(inputs)


@shell.fragment
def attention() -> None:
    """The same head with other positions."""
    lesson.section("What does the same head see without them, or with others?")
    parts.one_head(lesson, inputs)
    lesson.write_link(inputs)


@shell.fragment
def encoding() -> None:
    """A scheme's numbers, and how alike two positions are."""
    lesson.section("What does a position look like?")
    table = state.table(lesson, inputs)
    head = parts.encoding(lesson, inputs, table)
    lesson.section("Does only the distance count, for the position vectors?")
    parts.similarity(lesson, table, head)
    lesson.write_link(inputs)


@shell.fragment
def scores() -> None:
    """What a head's score makes of positions: at every place, and in texts longer than the model was built for."""
    copies = state.copies(lesson, inputs)
    lesson.section("Does only the distance count, for a head’s score?")
    parts.places(lesson, copies)
    lesson.section("And in a text longer than the model was made for?")
    parts.distance(lesson, copies)
    lesson.write_link(inputs)


shuffling()
attention()
parts.tries_of_schemes(lesson)
encoding()
scores()
parts.behind(lesson, inputs)
