"""Dates as people write them → ISO 8601: a small translation whose alignment one can see in cross-attention."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch

from attnviz.tasks.batch import IGNORED, Batch, Task, padded
from attnviz.tokenizers import Tokenizer

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
N_DAYS = LAST.toordinal() - FIRST.toordinal() + 1
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
N_HELD_OUT = 500


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, … 11th."""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


# Every format says the whole year, and the month before the day only by name: each date can be read in one way.
FORMATS: tuple[Callable[[datetime.date], str], ...] = (
    lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{MONTHS[d.month - 1]} {d.day}, {d.year}",
    lambda d: f"{d.day} {MONTHS[d.month - 1][:3]} {d.year}",
    lambda d: f"{MONTHS[d.month - 1][:3]} {d.day}, {d.year}",
    lambda d: f"{ordinal(d.day)} of {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{MONTHS[d.month - 1]} {ordinal(d.day)}, {d.year}",
    lambda d: f"{DAYS[d.weekday()]}, {d.day} {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{DAYS[d.weekday()]}, {MONTHS[d.month - 1]} {d.day}, {d.year}",
    lambda d: f"{DAYS[d.weekday()][:3]} {d.day} {MONTHS[d.month - 1][:3]} {d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    lambda d: f"{d.year}/{d.month:02}/{d.day:02}",
    lambda d: f"{d.year}, {MONTHS[d.month - 1]} {d.day}",
    lambda d: f"{d.day}-{MONTHS[d.month - 1][:3].upper()}-{d.year}",
    lambda d: f"{MONTHS[d.month - 1].lower()} {d.day} {d.year}",
)


class Dates(Task):
    """ "Saturday, 21 November 2026" → "2026-11-21", letter by letter. Days are held out in every format."""

    name = "dates"
    title = "Dates into ISO format"
    explains = (
        "Read a date as people write it and say it as 2026-11-21: see in cross-attention where each digit comes from."
    )
    kind = "encoder-decoder"
    metric = "exact"
    defaults: ClassVar[dict[str, Any]] = {
        "positions": "learned", "length": 40, "batch": 64, "steps": 3000, "learning_rate": 2e-3, "d_ff": 128,
    }  # fmt: skip

    def __init__(self, length: int) -> None:
        alphabet = "".join(
            sorted({c for form in FORMATS for n in range(0, 366) for c in form(day(n))} | set("-0123456789"))
        )
        self.tokenizer = Tokenizer.train_char([alphabet], start="[BOS]", end="[EOS]")
        self.max_len = max(length, 40)  # the longest way to write a date has 31 letters
        self.fingerprint = f"{self.name} {len(FORMATS)}"

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        drawn: list[int] = []
        while len(drawn) < size:
            some = torch.randint(N_DAYS, (2 * size,), generator=generator).tolist()
            drawn += [n for n in some if n % 10 > 1]  # of ten days one is for "val", one for "test"
        forms = torch.randint(len(FORMATS), (size,), generator=generator).tolist()
        return self.examples([(FORMATS[f](day(n)), day(n).isoformat()) for n, f in zip(drawn, forms, strict=False)])

    def held_out(self, split: str) -> Iterable[Batch]:
        part = {"val": 0, "test": 1}[split]
        days = range(part, N_DAYS, 10)
        chosen = [days[i * len(days) // N_HELD_OUT] for i in range(N_HELD_OUT)]
        pairs = [(FORMATS[i % len(FORMATS)](day(n)), day(n).isoformat()) for i, n in enumerate(chosen)]
        for at in range(0, N_HELD_OUT, 125):
            yield self.examples(pairs[at : at + 125])

    def examples(self, pairs: list[tuple[str, str]]) -> Batch:
        """Dates and their ISO forms as a batch; the decoder reads each letter and is asked for the next."""
        ids, lengths = padded([list(self.tokenizer.encode(text).ids) for text, _ in pairs], self.tokenizer.pad_id)
        goals = [list(self.tokenizer.encode(iso).ids) for _, iso in pairs]
        target, target_lengths = padded([goal[:-1] for goal in goals], self.tokenizer.pad_id)
        labels, _ = padded([goal[1:] for goal in goals], IGNORED)
        return Batch(ids, labels, lengths, target, target_lengths)

    def example(self) -> tuple[str, str | None]:
        return "Saturday, 21 November 2026", "2026-11-21"


def day(number: int) -> datetime.date:
    """The day so many days after the first one."""
    return datetime.date.fromordinal(FIRST.toordinal() + number)
