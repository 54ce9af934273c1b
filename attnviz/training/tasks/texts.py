"""Tasks on a text: predicting the next token, and filling in masked ones."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError
from attnviz.inputs.assets import ASSETS
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks.batch import IGNORED, Batch, Task
from attnviz.training.tasks.sequences import Scores, repeated, said_twice, scores

MOST_BYTES = 10_000_000
LONG_RUN = re.compile(r"\S{1000}")
HELD_OUT = 0.05  # of the text, for each of "val" (before the end) and "test" (the end)
N_HELD_OUT = 64  # windows, spread evenly over the split
EVAL_BATCH = 16
FEW, SHORT = 64, 64  # tokens of the alphabet and of a window that repeats, at the start of an induction warm-up
CONSTANT, SHORT_UNTIL = 0.35, 0.6  # of an induction warm-up: when the alphabet begins to grow, and when it is whole


class Language(Task):
    """The next token of a text. Windows start anywhere; the end of the text is held out.

    `repeats`: the share of a batch's windows that are random tokens of the text said again and again, which makes
    induction heads form early (Olsson et al. 2022).
    """

    name = "language"
    title = "Language model"
    explains = "Predict each next token of a text from those before it: what GPT does, on your own text."
    kind = "decoder"
    metric = "loss"
    defaults: ClassVar[dict[str, Any]] = {"d_model": 64, "length": 64, "steps": 1000, "learning_rate": 2e-3}
    start, end = "[BOS]", None

    @classmethod
    def of(
        cls,
        length: int,
        vocab_size: int,
        repeats: float,
        text: str | None,
        between: Callable[[], object] = lambda: None,
    ) -> Language:
        return cls(length, vocab_size, repeats, text, between)

    def __init__(
        self,
        length: int,
        vocab_size: int,
        repeats: float,
        text: str | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        text = example_text() if text is None else text
        size = len(text.encode("utf-8", "replace"))
        if size > MOST_BYTES:
            raise InvalidParameterError(f"The text has {size:,} bytes; at most {MOST_BYTES:,} are trained on.")
        parts = pieces(text)
        read = _watched(parts, between)
        self.tokenizer = Tokenizer.train_bpe(read, vocab_size, start=self.start, end=self.end, between=between)
        self.length = self.max_len = length
        self.repeats = repeats
        ids = [i for piece in _watched(parts, between) for i in self._content(piece)]
        cut = max(int(HELD_OUT * len(ids)), length + 1)
        if len(ids) < 3 * cut:
            raise InvalidParameterError(
                f"The text makes {len(ids)} token{'' if len(ids) == 1 else 's'}; "
                f"windows of {length} need at least {3 * (length + 1)}. Give a longer text, or a shorter length."
            )
        stream = torch.tensor(ids)
        self.splits = {"train": stream[: -2 * cut], "val": stream[-2 * cut : -cut], "test": stream[-cut:]}
        self.bytes_per_token = size / len(ids)
        self.bos = self.tokenizer.encode("a").ids[0]
        self.alphabet = torch.arange(len(self.tokenizer.library.get_added_tokens_decoder()), self.tokenizer.vocab_size)
        self.fingerprint = f"{self.name} {length} {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"

    def _content(self, text: str) -> list[int]:
        """The ids of a text without the special tokens around it."""
        encoding = self.tokenizer.encode(text)
        return [i for i, special in zip(encoding.ids, encoding.special, strict=True) if not special]

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        # Drawn as often as they stand in the text: with a vocabulary of thousands, even draws teach no head in time.
        return self._mixed(size, int(self.repeats * size), self.splits["train"], generator)

    def around_warmup(self, size: int, generator: torch.Generator, *, over: bool) -> Batch:
        """A batch before an induction warm-up, of text alone, or after it (`over`), also with repeats, drawn evenly."""
        return self._mixed(size, int(self.repeats * size) if over else 0, self.alphabet, generator)

    def _mixed(self, size: int, doubled: int, alphabet: Tensor, generator: torch.Generator) -> Batch:
        """Windows of the text, the last `doubled` of them random tokens of `alphabet` that repeat."""
        starts = torch.randint(len(self.splits["train"]) - self.length, (size - doubled,), generator=generator)
        plain = self._windows(self.splits["train"], starts)
        if not doubled:
            return plain
        more = repeated(doubled, self.length, alphabet, self.bos, generator, shortest=8)
        return Batch(torch.cat([plain.ids, more.ids]), torch.cat([plain.labels, more.labels]))

    def warmup_batches(self, size: int, generator: torch.Generator, progress: float) -> list[Batch]:
        """Two batches with as many tokens as one of `size`: half in windows of the text, half in ones that repeat.

        What repeats: the text's 64 most frequent tokens in short windows until `progress` (0 to 1) is 0.35, then more
        and more; from 0.6 on all of them, in windows of the usual length.
        """
        short = progress < SHORT_UNTIL
        length = min(self.length, SHORT) if short else self.length
        growth = min(1.0, max(0.0, (progress - CONSTANT) / (SHORT_UNTIL - CONSTANT)))
        n = min(len(self.alphabet), round(FEW * (len(self.alphabet) / FEW) ** growth))
        half = max(1, size // 2)
        again = repeated(half * (self.length // length), length, self._by_frequency[:n], self.bos, generator)
        return [self.around_warmup(half, generator, over=False), again]

    @cached_property
    def _by_frequency(self) -> Tensor:
        """The alphabet, the most frequent tokens first."""
        counts = torch.bincount(self.splits["train"], minlength=self.tokenizer.vocab_size)
        return self.alphabet[counts[self.alphabet].argsort(descending=True, stable=True)]

    def held_out(self, split: str) -> Iterable[Batch]:
        stream = self.splits[split]
        last = len(stream) - self.length
        starts = torch.linspace(0, last, min(N_HELD_OUT, last // self.length + 1)).long()
        for some in starts.split(EVAL_BATCH):
            yield self._windows(stream, some)

    def _windows(self, stream: Tensor, starts: Tensor) -> Batch:
        """[BOS] and the tokens from each start; each position's label is the token after it."""
        rows = stream[starts[:, None] + torch.arange(self.length)]
        return Batch(torch.cat([torch.full((len(rows), 1), self.bos), rows[:, :-1]], dim=1), rows)

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """Also "bits_per_byte", which does not depend on the tokenizer, and the scores of the best heads."""
        metrics = super().evaluate(model, split)
        del metrics["exact"]
        metrics["bits_per_byte"] = metrics["loss"] / math.log(2) / self.bytes_per_token
        return {**metrics, **self.heads(model).best}

    def heads(self, model: Transformer) -> Scores:
        """What each head does with random tokens of the text that are said twice."""
        return scores(model, said_twice(self.alphabet, self.bos, self.length))

    def example(self) -> tuple[str, str | None]:
        return self.tokenizer.decode(self.splits["test"][: min(24, self.length - 1)].tolist()), None


class Masked(Language):
    """Tokens hidden here and there, to be filled in from both sides. Devlin et al. 2019, section 3.1."""

    name = "masked"
    title = "Masked language model"
    explains = "Fill in hidden tokens from both sides: what BERT does, on your own text."
    kind = "encoder"
    metric = "accuracy"
    start, end = "[CLS]", "[SEP]"  # type: ignore[assignment]
    SHARE = 0.15  # of the tokens are asked for: 80 % of these hidden, 10 % another token, 10 % as they are

    def __init__(
        self,
        length: int,
        vocab_size: int,
        repeats: float,
        text: str | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(length - 2, vocab_size, 0.0, text, between)
        self.max_len = length
        self.sep = self.tokenizer.encode("a").ids[-1]

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        starts = torch.randint(len(self.splits["train"]) - self.length, (size,), generator=generator)
        return self._hidden(self.splits["train"], starts, generator)

    def held_out(self, split: str) -> Iterable[Batch]:
        stream = self.splits[split]
        last = len(stream) - self.length
        starts = torch.linspace(0, last, min(N_HELD_OUT, last // self.length + 1)).long()
        generator = torch.Generator().manual_seed(11)
        for some in starts.split(EVAL_BATCH):
            yield self._hidden(stream, some, generator)

    def _hidden(self, stream: Tensor, starts: Tensor, generator: torch.Generator) -> Batch:
        rows = stream[starts[:, None] + torch.arange(self.length)]
        asked = torch.rand(rows.shape, generator=generator) < self.SHARE
        asked[:, 0] |= ~asked.any(dim=1)  # never a window that asks nothing
        how = torch.rand(rows.shape, generator=generator)
        other = self.alphabet[torch.randint(len(self.alphabet), rows.shape, generator=generator)]
        assert self.tokenizer.mask_id is not None
        seen = torch.where(asked & (how < 0.8), self.tokenizer.mask_id, rows)
        seen = torch.where(asked & (how >= 0.9), other, seen)
        edge = torch.ones(len(rows), 1, dtype=torch.long)
        ids = torch.cat([self.bos * edge, seen, self.sep * edge], dim=1)
        labels = torch.cat([IGNORED * edge, rows.masked_fill(~asked, IGNORED), IGNORED * edge], dim=1)
        return Batch(ids, labels)

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        metrics = Task.evaluate(self, model, split)
        del metrics["exact"]
        return metrics


def pieces(text: str, size: int = 50_000) -> list[str]:
    """The text in pieces of paragraphs, so that the tokenizer's limit on one text does not matter.

    Errors: InvalidParameterError for an empty text.
    """
    if not text.strip():
        raise InvalidParameterError("The text is empty: there is nothing to train on.")
    return [part for i in range(0, len(text), size) for part in _broken(text[i : i + size])]


def _watched(parts: list[str], between: Callable[[], object]) -> Iterator[str]:
    """The parts, with a call of `between` before each: it ends the reading by what it raises."""
    for part in parts:
        between()
        yield part


def _broken(text: str) -> list[str]:
    """The text, broken wherever 1,000 characters follow each other without a blank.

    Without spaces a text is one word, and byte-pair encoding takes minutes for a word of 50,000 letters.
    """
    ends = [run.end() for run in LONG_RUN.finditer(text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]


def of_file(path: Path) -> str:
    """What a file holds. Errors: OSError, and InvalidParameterError if it is too long, or is no text."""
    if (size := path.stat().st_size) > MOST_BYTES:  # before it is read
        raise InvalidParameterError(f"{path.name} has {size:,} bytes; at most {MOST_BYTES:,} are trained on")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InvalidParameterError(f"{path.name} is no text in UTF-8: byte {byte:#04x} at {error.start:,}") from None


def unwrapped(text: str) -> str:
    """The text with the lines of each paragraph joined: books in plain text break them at 70 letters."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r\n", "\n"))
    return "\n".join(" ".join(lines) for lines in map(str.split, paragraphs) if lines)


def example_text() -> str:
    """The example sentences that come with the app, for a first try."""
    examples = json.loads((ASSETS / "examples" / "texts.json").read_text(encoding="utf-8"))
    return "\n".join(example["text"] for example in examples)
