"""Dates as people write them → ISO 8601: a small translation whose alignment one can see in cross-attention."""

from __future__ import annotations

import datetime
import string
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from attnviz.formatting import ordinal
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks.batch import IGNORED, Batch, Role, Task, padded

FIRST, LAST = datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)
N_DAYS = LAST.toordinal() - FIRST.toordinal() + 1
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
N_HELD_OUT = 500

# Every format says the whole year, and the month before the day only by name: each date can be read in one way.
FORMATS = (
    "{day} {month} {year}",
    "{month} {day}, {year}",
    "{day} {mon} {year}",
    "{mon} {day}, {year}",
    "{nth} of {month} {year}",
    "{month} {nth}, {year}",
    "{weekday}, {day} {month} {year}",
    "{weekday}, {month} {day}, {year}",
    "{wkd} {day} {mon} {year}",
    "{day}.{number}.{year}",
    "{dd}.{mm}.{year}",
    "{year}/{mm}/{dd}",
    "{year}, {month} {day}",
    "{day}-{MON}-{year}",
    "{lower} {day} {year}",
)
PARTS = {"year": ("year",), "month": ("month", "mon", "MON", "lower", "number", "mm"), "day": ("day", "dd", "nth")}
DIGITS = {"year": (0, 1, 2, 3), "month": (5, 6), "day": (8, 9)}  # places in 2026-11-21


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
        "positions": "learned",
        "length": 40,
        "batch": 64,
        "steps": 2000,
        "learning_rate": 2e-3,
        "d_ff": 128,
        "n_layers": 1,  # of more, the encoder's mix the letters, and cross-attention looks at any of them
    }

    def __init__(self, length: int) -> None:
        alphabet = "".join(
            sorted({c for form in FORMATS for n in range(0, 366) for c in written(day(n), form)} | set("-0123456789"))
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
        return self.examples([_pair(day(n), FORMATS[f]) for n, f in zip(drawn, forms, strict=False)])

    def held_out(self, split: str) -> Iterable[Batch]:
        pairs = [_pair(date, form) for date, form in held_out_days(split)]
        for at in range(0, N_HELD_OUT, 125):
            yield self.examples(pairs[at : at + 125])

    def examples(self, pairs: Sequence[tuple[str, str]]) -> Batch:
        """Dates and their ISO forms as a batch; the decoder reads each letter and is asked for the next."""
        ids, lengths = padded([list(self.tokenizer.encode(text).ids) for text, _ in pairs], self.tokenizer.pad_id)
        goals = [list(self.tokenizer.encode(iso).ids) for _, iso in pairs]
        target, target_lengths = padded([goal[:-1] for goal in goals], self.tokenizer.pad_id)
        labels, _ = padded([goal[1:] for goal in goals], IGNORED)
        return Batch(ids, labels, lengths, target, target_lengths)

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """Also "alignment": of all digits, those at which one head's cross-attention peaks where the digit comes from.

        The head is the best one; where a digit comes from says `origins`.
        """
        hits = self.aligned(model, split)
        return {**super().evaluate(model, split), "alignment": float(hits.mean(dim=0).max())}

    def aligned(self, model: Transformer, split: str) -> Tensor:
        """For each of the 8 digits and each head of cross-attention, how often its argmax is an origin: (8, L, H)."""
        hits = []
        days = held_out_days(split)
        for at, batch in zip(range(0, len(days), 125), self.held_out(split), strict=True):
            origin = origin_mask(days[at : at + 125], batch.ids.shape[1])  # (B, 8, S)
            queries = [i for part in DIGITS.values() for i in part]  # the token before a digit predicts it
            for_heads = []
            for weights in batch.run(model).cross_attentions:
                top = weights[:, :, queries].argmax(dim=-1)  # (B, H, 8)
                for_heads.append(origin[:, None].expand(-1, top.shape[1], -1, -1).gather(3, top[..., None])[..., 0])
            hits.append(torch.stack(for_heads, dim=1))  # (B, L, H, 8)
        return torch.cat(hits).float().mean(dim=0).permute(2, 0, 1)

    def roles(self, model: Transformer) -> list[Role]:
        """The head of cross-attention that finds each part of the date best."""
        on_validation, on_test = self.aligned(model, "val"), self.aligned(model, "test")
        by_place, by_chance = place_and_chance()
        roles, at = [], 0
        for part, digits in DIGITS.items():
            span = slice(at, at + len(digits))
            layer, head = divmod(int(on_validation[span].mean(dim=0).argmax()), on_validation.shape[2])
            score = float(on_test[span, layer, head].mean())
            place, chance = float(by_place[span].mean()), float(by_chance[span].mean())
            what = f"cross-attention: {part} → where it stands"
            roles.append(Role(what, layer, head, score, place, chance, N_HELD_OUT))  # a date's digits hang together
            at += len(digits)
        return roles

    def example(self) -> tuple[str, str | None]:
        return "Saturday, 21 November 2026", "2026-11-21"


def day(number: int) -> datetime.date:
    """The day so many days after the first one."""
    return datetime.date.fromordinal(FIRST.toordinal() + number)


def held_out_days(split: str) -> list[tuple[datetime.date, str]]:
    """Days and formats of "val" or "test", evenly over the years."""
    days = range({"val": 0, "test": 1}[split], N_DAYS, 10)
    sample = [days[i * len(days) // N_HELD_OUT] for i in range(N_HELD_OUT)]
    return [(day(n), FORMATS[i % len(FORMATS)]) for i, n in enumerate(sample)]


def fields(date: datetime.date) -> dict[str, str]:
    """Everything that a format may say of a day, by name."""
    month, weekday = MONTHS[date.month - 1], DAYS[date.weekday()]
    return {
        "day": str(date.day),
        "dd": f"{date.day:02}",
        "nth": ordinal(date.day),
        "month": month,
        "mon": month[:3],
        "MON": month[:3].upper(),
        "lower": month.lower(),
        "number": str(date.month),
        "mm": f"{date.month:02}",
        "year": str(date.year),
        "weekday": weekday,
        "wkd": weekday[:3],
    }


def written(date: datetime.date, form: str) -> str:
    """A day in one of the formats."""
    return form.format_map(fields(date))


def _pair(date: datetime.date, form: str) -> tuple[str, str]:
    return written(date, form), date.isoformat()


def origins(date: datetime.date, form: str) -> list[set[int]]:
    """For each of the 8 digits of the ISO form, the places in the written date that it comes from.

    A digit comes from the digit of its rank, a leading nought that is not written from the one digit there is, and
    both digits of a month that is a word from any of its letters.
    """
    said, at, places = fields(date), 0, dict[str, list[int]]()
    for literal, name, _, _ in string.Formatter().parse(form):
        at += len(literal)
        if name:
            places[name] = list(range(at, at + len(said[name])))
            at += len(said[name])
    year, month, in_month = (next(places[n] for n in names if n in places) for names in PARTS.values())
    in_month = in_month[: len(str(date.day))] if "nth" in places else in_month  # without "st"
    as_word = not {"number", "mm"} & places.keys()
    months = [set(month)] * 2 if as_word else [{month[0]}, {month[-1]}]
    return [*({i} for i in year), *months, {in_month[0]}, {in_month[-1]}]


def origin_mask(days: Sequence[tuple[datetime.date, str]], n_tokens: int) -> Tensor:
    """Bool (B, 8, S): the tokens, [BOS] counted, that each digit comes from."""
    mask = torch.zeros(len(days), 8, n_tokens, dtype=torch.bool)
    for row, (date, form) in enumerate(days):
        for digit, places in enumerate(origins(date, form)):
            mask[row, digit, [1 + i for i in places]] = True
    return mask


def place_and_chance() -> tuple[Tensor, Tensor]:
    """What a head reaches on "test" that for each digit looks at one place in all dates, or at random: (8,) each."""
    days = held_out_days("test")
    mask = origin_mask(days, 40).float()
    lengths = torch.tensor([2 + len(written(date, form)) for date, form in days])
    return mask.mean(dim=0).max(dim=1).values, (mask.sum(dim=2) / lengths[:, None]).mean(dim=0)
