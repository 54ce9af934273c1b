"""Where each digit of an ISO date comes from, and how cross-attention is measured against it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Transformer
from attnviz.nn.config import ModelConfig
from attnviz.training.tasks import Dates
from attnviz.training.tasks.dates import (
    DIGITS,
    FORMATS,
    MONTHS,
    N_DAYS,
    day,
    held_out_days,
    origin_mask,
    origins,
    place_and_chance,
    written,
)

DAYS = st.integers(0, N_DAYS - 1)
FORMS = st.sampled_from(FORMATS)
ISO_PLACES = [place for part in DIGITS.values() for place in part]


@given(DAYS, FORMS)
def test_a_digit_comes_from_itself_or_from_the_months_name(number: int, form: str) -> None:
    date = day(number)
    text, iso = written(date, form), date.isoformat()
    found = origins(date, form)
    assert len(found) == 8 and "".join(iso[i] for i in ISO_PLACES).isdigit()
    for place, places in zip(ISO_PLACES, found, strict=True):
        said = "".join(text[i] for i in sorted(places))
        if said.isalpha():
            name = MONTHS[date.month - 1].lower()
            assert place in DIGITS["month"] and said.lower() in (name, name[:3])
        elif iso[place] == "0" and said != "0":  # a leading nought that is not written
            assert place in (5, 8) and said == iso[place + 1]
        else:
            assert said == iso[place]


@given(DAYS, FORMS)
def test_digits_that_stand_apart_come_from_apart(number: int, form: str) -> None:
    year, found = origins(day(number), form)[:4], origins(day(number), form)
    assert len(set().union(*year)) == 4 and sorted(map(min, year)) == list(map(min, year))
    assert not set().union(*year) & set().union(*found[4:])
    assert not (found[4] | found[5]) & (found[6] | found[7])


def test_the_mask_counts_the_token_before_the_text() -> None:
    days = [(day(0), "{year}/{mm}/{dd}"), (day(40), "{nth} of {month} {year}")]  # 1000/01/01, 10th of February 1000
    mask = origin_mask(days, 24)
    assert [row.nonzero().flatten().tolist() for row in mask[0]] == [[1], [2], [3], [4], [6], [7], [9], [10]]
    february = list(range(9, 17))
    assert [row.nonzero().flatten().tolist() for row in mask[1]] == [
        [18],
        [19],
        [20],
        [21],
        february,
        february,
        [1],
        [2],
    ]


def test_alignment_is_what_a_look_at_each_date_finds() -> None:
    task = Dates(40)
    config = ModelConfig(
        kind="encoder-decoder",
        vocab_size=task.tokenizer.vocab_size,
        max_len=40,
        d_model=16,
        n_heads=2,
        d_ff=16,
        head="lm",
    )
    model = Transformer(config, torch.Generator().manual_seed(1)).eval()
    for p in model.parameters():
        p.data.mul_(8)  # weights that differ
    right = torch.zeros(8, 2, 2)
    with torch.inference_mode():
        found = task.aligned(model, "val")
        for date, form in held_out_days("val"):
            batch = task.examples([(written(date, form), date.isoformat())])
            for layer, weights in enumerate(batch.run(model).cross_attentions):
                for digit, place in enumerate(ISO_PLACES):
                    for head in range(2):
                        top = int(weights[0, head, place].argmax())
                        right[digit, layer, head] += top - 1 in origins(date, form)[digit]
        torch.testing.assert_close(found, right / 500)
        roles, test = task.roles(model), task.aligned(model, "test")
    at = 0
    for role, digits in zip(roles, DIGITS.values(), strict=True):
        own = slice(at, at + len(digits))
        best = found[own].mean(dim=0)
        assert best[role.layer, role.head] == best.max()
        assert abs(role.score - float(test[own, role.layer, role.head].mean())) < 1e-6
        at += len(digits)


def test_rules_that_know_only_places() -> None:
    """Counted one date after the other."""
    by_place, by_chance = place_and_chance()
    days = held_out_days("test")
    for digit in range(8):
        counts = [sum(place in origins(*one)[digit] for one in days) for place in range(40)]
        assert abs(float(by_place[digit]) - max(counts) / 500) < 1e-6
        shares = [len(origins(*one)[digit]) / (2 + len(written(*one))) for one in days]
        assert abs(float(by_chance[digit]) - sum(shares) / 500) < 1e-6
