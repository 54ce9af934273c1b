"""A page's settings from what a browser reported: each value checked, and made once where all are right."""

from dataclasses import dataclass
from typing import ClassVar

from attnviz.errors import InvalidParameterError
from attnviz.web.settings_link import accept


@dataclass(frozen=True)
class Settings:
    low: int = 0
    high: int = 10
    word: str = "it"
    made: ClassVar[int] = 0

    def __post_init__(self) -> None:
        Settings.made += 1
        if not 0 <= self.low < self.high <= 20:
            raise InvalidParameterError(f"{self.low} to {self.high}")


def test_where_all_values_are_right_the_settings_are_made_once() -> None:
    first, Settings.made = Settings(), 0
    assert accept(first, {"low": 12, "high": 15, "word": "she"}) == Settings(12, 15, "she")
    assert Settings.made == 2  # the other is the test's own


def test_a_wrong_value_leaves_the_others() -> None:
    assert accept(Settings(), {"low": 3, "high": 99, "word": None}) == Settings(3, 10, "")
    assert accept(Settings(), {"low": "3", "high": 12, "word": 5}) == Settings(0, 12)
