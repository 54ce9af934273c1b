"""Tasks: answers are right, what is held out is held out, windows and masks are what they are said to be."""

import datetime
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.analysis.measures import offset_weights
from attnviz.errors import InvalidParameterError
from attnviz.training.loop import preset, train
from attnviz.training.tasks import IGNORED, TASKS, Copy, Dates, Induction, Language, Masked, Reverse, Sort
from attnviz.training.tasks.batch import Batch
from attnviz.training.tasks.dates import FORMATS, MONTHS, N_DAYS, day, ordinal, written
from attnviz.training.tasks.sequences import repeated
from attnviz.training.tasks.texts import MOST_BYTES, unwrapped
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32)
TEXT = "The cat sat on the mat, and the dog slept by the door. " * 60


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(task, batch: Batch) -> list[tuple[str, str]]:
    """(what is read before “>”, what is to be said after it) of each example."""
    found = []
    for ids, labels, n in zip(batch.ids, batch.labels, batch.lengths or (), strict=True):
        text = task.tokenizer.decode(ids[1:n].tolist())
        found.append((text[: text.index(">")], task.tokenizer.decode(labels[labels != IGNORED].tolist())))
    return found


@pytest.mark.parametrize(
    ("kind", "answer"),
    [(Copy, lambda s: s), (Reverse, lambda s: s[::-1]), (Sort, lambda s: "".join(sorted(s)))],
    ids=["copy", "reverse", "sort"],
)
@given(seed=SEEDS)
@settings(max_examples=20)
def test_letters_are_answered(kind, answer, seed: int) -> None:
    task = kind(16)
    found = rows(task, task.batch(8, generator(seed)))
    assert len(found) == 8
    for given_letters, said in found:
        assert said == answer(given_letters) and 2 <= len(said) <= 7


@pytest.mark.parametrize("kind", [Copy, Reverse, Sort, Dates])
def test_no_example_is_in_two_splits(kind) -> None:
    task = kind(20) if kind is not Dates else kind(40)

    def seen(batches) -> set:
        if kind is Dates:
            return {task.tokenizer.decode(row[row != IGNORED].tolist()) for b in batches for row in b.labels}
        return {text for batch in batches for text, _ in rows(task, batch)}

    train = seen(task.batch(64, generator(seed)) for seed in range(20))
    val, test = seen(task.held_out("val")), seen(task.held_out("test"))
    assert len(val) > 100 and len(test) > 100
    assert not train & val and not train & test and not val & test
    assert seen(task.held_out("val")) == val


@pytest.mark.parametrize("kind", [Copy, Reverse, Sort])
def test_held_out_letters_are_drawn_once(kind) -> None:
    """Of ten drawings nine are thrown away: a training that measures itself often spent half its time on them."""
    (first,), (again,) = kind(16).held_out("val"), kind(16).held_out("val")
    assert again is first
    for split, length in (("test", 16), ("val", 18)):
        (other,) = kind(length).held_out(split)
        assert other is not first


@given(st.integers(0, N_DAYS - 1), st.integers(0, len(FORMATS) - 1))
def test_every_way_to_write_a_date_names_that_date_alone(number: int, form: int) -> None:
    """Read back by a reader of our own: the year, the month by name or place, the day."""
    date, text = day(number), written(day(number), FORMATS[form])
    numbers = [int("".join(c for c in part if c.isdigit())) for part in _words(text) if any(c.isdigit() for c in part)]
    names = [i for i, month in enumerate(MONTHS, 1) if month[:3].lower() in text.lower().replace("monday", "")]
    year = next(n for n in numbers if n > 99)
    others = [n for n in numbers if n != year]
    if len(others) == 2:  # no month by name: day.month.year, or year/month/day
        month, in_month = (others[1], others[0]) if "." in text else (others[0], others[1])
    else:
        (month,) = (
            [m for m in names if m]
            if len(names) == 1
            else [max(names, key=lambda m: MONTHS[m - 1].lower() in text.lower())]
        )
        (in_month,) = others
    assert datetime.date(year, month, in_month) == date


def _words(text: str) -> list[str]:
    for sign in ",./-":
        text = text.replace(sign, " ")
    return text.split()


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "22nd",
        "23rd",
        "30th",
        "31st",
    ]


@given(SEEDS, st.integers(8, 80))
@settings(max_examples=examples(50))
def test_what_repeats_repeats_and_only_that_is_asked(seed: int, length: int) -> None:
    alphabet = torch.arange(5, 400)
    batch = repeated(6, length, alphabet, 1, generator(seed))
    assert batch.ids.shape == batch.labels.shape == (6, length)
    for ids, labels in zip(batch.ids, batch.labels, strict=True):
        assert ids[0] == 1
        stream = torch.cat([ids[1:], labels[-1:]])
        asked = (labels != IGNORED).nonzero().flatten()
        assert len(asked) > 0 and torch.equal(asked, torch.arange(int(asked[0]), length))
        assert torch.equal(stream[asked], labels[asked])
        periods = [p for p in range(1, int(asked[0]) + 1) if torch.equal(stream[asked], stream[asked - p])]
        assert periods  # each asked token stood a fixed number of places before


def test_a_window_is_the_text_and_its_labels_the_text_one_further() -> None:
    task = Language(12, 300, 0.0, TEXT)
    batch = task.batch(5, generator())
    assert (batch.ids[:, 0] == task.bos).all() and torch.equal(batch.ids[:, 1:], batch.labels[:, :-1])
    for row in batch.labels:
        assert task.tokenizer.decode(row.tolist()) in TEXT


def test_the_end_of_a_text_is_held_out_in_order() -> None:
    task = Language(8, 300, 0.0, TEXT)
    joined = torch.cat([task.splits["train"], task.splits["val"], task.splits["test"]])
    assert task.tokenizer.decode(joined.tolist()) == TEXT
    assert len(task.splits["val"]) == len(task.splits["test"]) >= 9


def test_a_share_of_the_windows_repeats() -> None:
    task = Language(16, 300, 0.25, TEXT)
    batch = task.batch(8, generator())
    asked_everywhere = (batch.labels != IGNORED).all(dim=1)
    assert asked_everywhere.tolist() == [True] * 6 + [False] * 2


def test_around_an_induction_warmup_text_alone_comes_first_and_even_repeats_after() -> None:
    task = Language(64, 300, 0.25, TEXT)
    before, after = (task.around_warmup(400, generator(), over=over) for over in (False, True))
    assert (before.labels != IGNORED).all() and before.ids.shape == after.ids.shape
    plain = Language(64, 300, 0.0, TEXT).batch(400, generator())
    assert torch.equal(before.ids, plain.ids) and torch.equal(before.labels, plain.labels)
    assert (after.labels == IGNORED).any(dim=1).tolist() == [False] * 300 + [True] * 100
    drawn = torch.bincount(after.ids[300:, 1:].flatten(), minlength=task.tokenizer.vocab_size)[task.alphabet]
    stand = torch.bincount(task.splits["train"], minlength=task.tokenizer.vocab_size)[task.alphabet]
    rare = stand <= stand.float().quantile(0.3)
    assert drawn[rare].float().mean() > 0.8 * drawn.float().mean()  # rare tokens as often as frequent ones


def test_an_induction_warmup_repeats_few_tokens_first_and_all_in_the_end_beside_as_much_text() -> None:
    """Windows of 64 instead of 128 at first, drawn from the text's most frequent tokens."""
    words = " ".join(f"w{i % (1 + i % 400)}" for i in range(9_000))
    task = Language(128, 600, 0.25, words)
    counts = torch.bincount(task.splits["train"], minlength=task.tokenizer.vocab_size)
    sizes = []
    for progress in (0.0, 0.34, 0.45, 0.59, 0.6, 1.0):
        plain, batch = task.warmup_batches(80, generator(), progress)
        assert plain.ids.shape == (40, 128) and (plain.labels != IGNORED).all()
        assert batch.ids.shape == batch.labels.shape == ((80, 64) if progress < 0.6 else (40, 128))
        asked = batch.labels != IGNORED
        assert (~asked).any(dim=1).all() and asked.any(dim=1).all()  # no window of plain text
        seen = set(batch.ids[:, 1:].flatten().tolist())
        assert seen <= set(task.alphabet.tolist())
        rarest_seen = min(int(counts[i]) for i in seen)
        missing = set(task.alphabet.tolist()) - seen
        assert all(int(counts[i]) <= rarest_seen for i in missing) or len(seen) > 300
        sizes.append(len(seen))
    assert sizes[0] == sizes[1] == 64 and sizes[:4] == sorted(sizes[:4]) and sizes[2] < 0.7 * len(task.alphabet)
    assert all(size > 0.9 * len(task.alphabet) for size in sizes[3:])


def test_bits_per_byte_do_not_depend_on_the_tokens() -> None:
    task = Language(16, 300, 0.0, TEXT)
    model = attnviz.Transformer(
        attnviz.ModelConfig(
            kind="decoder", vocab_size=task.tokenizer.vocab_size, max_len=16, d_model=8, n_heads=2, head="lm"
        )
    )
    with torch.inference_mode():
        found = task.evaluate(model, "val")
    n_tokens = sum(len(task.splits[name]) for name in ("train", "val", "test"))
    assert found["bits_per_byte"] == pytest.approx(found["loss"] / math.log(2) * n_tokens / len(TEXT.encode()))


def test_masking_hides_what_it_asks_for() -> None:
    task = Masked(66, 300, 0.0, TEXT)
    batch = task.batch(200, generator())
    asked = batch.labels != IGNORED
    content = asked[:, 1:-1]
    assert content.any(dim=1).all() and not asked[:, 0].any() and not asked[:, -1].any()
    share = float(content.float().mean())
    assert abs(share - 0.15) < 4 * math.sqrt(0.15 * 0.85 / content.numel())
    hidden = float((batch.ids[asked] == task.tokenizer.mask_id).float().mean())
    kept = float((batch.ids[asked] == batch.labels[asked]).float().mean())
    n = int(asked.sum())
    assert abs(hidden - 0.8) < 4 * math.sqrt(0.16 / n) and abs(kept - 0.1) < 4 * math.sqrt(0.09 / n) + 1 / 256
    plain = batch.ids[~asked]
    assert not (plain == task.tokenizer.mask_id).any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("twenty bytes, or so.", "tokens"),
        ("x" * (MOST_BYTES + 1), "10,000,001 bytes"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        Language(64, 300, 0.0, text)


def test_binary_content_is_a_text_like_any_other() -> None:
    text = bytes(range(256)).decode("latin-1") * 20
    task = Language(8, 300, 0.0, text)
    assert task.tokenizer.decode(torch.cat(list(task.splits.values())).tolist()) == text


@pytest.mark.parametrize(("task", "length"), [("copy", 5), ("induction", 7)])
def test_lengths_without_room_are_refused(task: str, length: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"length={length} is too short"):
        TASKS[task].of(length, 300, 0.0, None)


def test_unwrapping_joins_lines_and_keeps_paragraphs() -> None:
    assert unwrapped("One line\nand its end.\n\n\n  Two \r\n lines.\n") == "One line and its end.\nTwo lines."


def test_offset_weights_are_means_along_a_diagonal() -> None:
    model = attnviz.load("scratch:gpt")
    trace = model.run("one two three four five six")
    n = trace.final.shape[1]
    for offset, first in ((1, 1), (2, 4)):
        found = offset_weights(trace, offset, first=first)
        by_hand = [
            [
                sum(float(layer.attention.weights[0, h, q, q - offset]) for q in range(first, n)) / (n - first)
                for h in range(4)
            ]
            for layer in trace.layers
        ]
        torch.testing.assert_close(found, torch.tensor(by_hand))


def test_an_evaluation_counts_labels_and_whole_answers() -> None:
    """A model that always says the same letter, compared with counting by hand."""
    task = Copy(8)
    config = attnviz.ModelConfig(
        kind="decoder", vocab_size=task.tokenizer.vocab_size, max_len=8, d_model=8, n_heads=2, head="lm"
    )
    model = attnviz.Transformer(config).eval()
    assert model.head is not None
    letter = int(task.letters[0])
    with torch.no_grad():
        model.head["out"].weight.zero_()
        model.head["out"].bias.zero_()
        model.head["out"].bias[letter] = 5.0
    with torch.inference_mode():
        found = task.evaluate(model, "val")
    (batch,) = task.held_out("val")
    asked = batch.labels[batch.labels != IGNORED]
    right = int((asked == letter).sum())
    total = math.log(math.exp(5) + config.vocab_size - 1)
    assert found["accuracy"] == pytest.approx(right / len(asked))
    assert found["loss"] == pytest.approx((total * len(asked) - 5 * right) / len(asked), rel=1e-5)
    exact = [set(row[row != IGNORED].tolist()) == {letter} for row in batch.labels]
    assert found["exact"] == pytest.approx(sum(exact) / len(exact))


def test_every_task_says_what_it_is() -> None:
    for name, task in TASKS.items():
        assert task.name == name and task.title and task.explains.endswith(".") and task.kind and task.metric
    assert Induction.kind == "decoder"


@pytest.mark.parametrize("task", ["copy", "reverse", "sort"])
def test_a_default_training_asks_for_as_many_letters_as_it_can_learn(task: str) -> None:
    assert TASKS[task].of(preset(task).length, 0, 0.0, None).longest == 7  # type: ignore[attr-defined]


@pytest.mark.nightly
@pytest.mark.parametrize(("task", "least"), [("copy", 0.9), ("reverse", 0.97), ("sort", 0.85)])
def test_a_default_training_learns_its_letters(task: str, least: float) -> None:
    last = list(train(preset(task)))[-1]
    assert last.metrics is not None and last.metrics["exact"] >= least
