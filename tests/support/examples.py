"""How many examples Hypothesis draws: a third of them for every change, all of them at night."""

from hypothesis import settings


def examples(at_night: int) -> int:
    """The number for `settings(max_examples=…)`."""
    return at_night // 3 if settings.get_current_profile_name() == "attnviz" else at_night
