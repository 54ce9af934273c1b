"""What does one block do to a word? The stream, its branches and norms, and what depth does to gradients."""

from attnviz.web import shell
from attnviz.web.encoder_block import parts, state
from attnviz.web.lesson import Lesson

shell.ensure()
lesson = Lesson("encoder_block", state.Settings(), follows=("layer",))
run = state.run(lesson)


@shell.fragment
def one_token() -> None:
    """What follows the chosen token and layer."""
    parts.way(lesson, run)
    parts.norm(lesson, run)
    parts.hidden_units(lesson, run)
    parts.additions(lesson, run)
    parts.drift(lesson, run)


@shell.fragment
def behind() -> None:
    """The formulas and the code."""
    parts.behind(lesson)


one_token()
parts.depth(lesson, run)
behind()
