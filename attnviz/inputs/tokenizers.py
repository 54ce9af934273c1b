"""Text to tokens and back: thin wrappers over the `tokenizers` library (imported when first used).

What is added here is what a reader of attention needs: labels that can be read, offsets that hold no blanks,
pieces grouped into words, the number of tokens cut off, and own tokenizers that lose nothing of any text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import LONGEST_KEPT, shortened
from attnviz.inputs import bpe_child, tokenizer_child
from attnviz.inputs.atomic_write import write_whole
from attnviz.inputs.isolated_tokenizer import IsolatedReader
from attnviz.inputs.words import byte_alphabet, number_words, readable, without_blanks
from attnviz.nn.encoding import Encoding

if TYPE_CHECKING:
    import tokenizers

T = TypeVar("T")
MAX_CHARACTERS = 1_000_000

# A word with its inner apostrophes and hyphens, or a run of signs, each with the space before it; or blanks.
WORD_PATTERN = r" ?[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s"

# Names of special tokens by role, the first one present wins (BERT, RoBERTa and T5, GPT-2).
ROLES = {
    "pad": ("[PAD]", "<pad>", "<|pad|>"),
    "unk": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "bos": ("[BOS]", "<s>", "<bos>", "<|endoftext|>", "[CLS]"),
    "eos": ("[EOS]", "</s>", "<eos>", "<|endoftext|>", "[SEP]"),
}


class Tokenizer:
    """A tokenizer.json of the `tokenizers` library; encoding changes nothing, so threads may share it.

    `pad_id` is 0 where the vocabulary has no padding token: padded positions are masked, so any id will do.
    The other special ids (unk_id, mask_id, cls_id, sep_id, bos_id, eos_id) are None where there is none.
    """

    def __init__(self, source: tokenizers.Tokenizer | tokenizer_child.Reader | IsolatedReader) -> None:
        """`source`: the library's own object, or what reads for it: a stranger's, in a process of its own."""
        if not isinstance(source, tokenizer_child.Reader | IsolatedReader):
            source = tokenizer_child.Reader(source)
        self._reader, about = source, source.about()
        added = about["added"]
        self.vocab_size = 1 + max((about["last_id"], *(i for i, _, _ in added)))  # ids are below it, all or not
        special = {name: i for i, name, is_special in added if is_special}
        ids = {role: next((special[n] for n in names if n in special), None) for role, names in ROLES.items()}
        self.pad_id: int = ids["pad"] or 0
        self.unk_id, self.mask_id = ids["unk"], ids["mask"]
        self.cls_id, self.sep_id = ids["cls"], ids["sep"]
        self.bos_id, self.eos_id = ids["bos"], ids["eos"]
        self.special_ids = special
        self._special_names = frozenset(special)
        self._around: int = about["around"]
        self._around_pair: int = about["around_pair"]
        self.byte_level, self.byte_fallback = about["byte_level"], about["byte_fallback"]
        self._metaspace = about["metaspace"]
        self._prefix: str = about["prefix"]
        self._suffix: str = about["suffix"]

    @property
    def library(self) -> tokenizers.Tokenizer:
        """The library's own object. Errors: ModelError for a tokenizer that runs in a process of its own."""
        if isinstance(self._reader, IsolatedReader):
            raise ModelError("A stranger's tokenizer is asked in a process of its own, and is not in this one.")
        return self._reader.library

    @property
    def isolated(self) -> bool:
        """Whether it runs in a process of its own."""
        return isinstance(self._reader, IsolatedReader)

    def to_json(self) -> str:
        """The content of a tokenizer.json. Errors: ModelError."""
        return _asked("This tokenizer cannot be written", self._reader.to_json)

    def token(self, number: int) -> str:
        """The token of an id as the vocabulary has it; the number itself where it has none. Errors: ModelError."""
        return self._names([number])[0]

    def _names(self, ids: Sequence[int]) -> list[str]:
        names = _asked("This tokenizer cannot name its tokens", lambda: self._reader.names(ids))
        return [name or str(i) for i, name in zip(ids, names, strict=True)]

    def encode(self, text: str, max_length: int | None = None) -> Encoding:
        """The tokens of `text` with the special tokens around them, at most `max_length` in all.

        What does not fit is cut from the end of the text, never the special tokens, and counted in `cut`.
        Special tokens written in the text are plain text. Errors: InvalidParameterError for more than a million
        characters, lone surrogates, or a `max_length` without room for one token; ModelError for a text with
        words that the tokenizer does not know and has no token for.
        """
        _check_text(text)
        if max_length is not None and max_length <= self._around:
            raise InvalidParameterError(f"max_length={max_length} leaves no room beside {self._around} special tokens")
        room = None if max_length is None else max_length - self._around
        read = _asked("This tokenizer cannot read the text", lambda: self._reader.encode(text, room))
        return self._made(text, read, read["offsets"])

    def encode_pair(self, first: str, second: str, max_length: int | None = None) -> Encoding:
        """Two texts with the special tokens around and between them, and the segment of each token.

        What does not fit is cut from the longer one first. Errors: as `encode`.
        """
        _check_text(first)
        _check_text(second)
        around = self._around_pair
        if max_length is not None and max_length <= around + 1:
            raise InvalidParameterError(f"max_length={max_length} leaves no room beside {around} special tokens")
        room = None if max_length is None else max_length - around
        read = _asked("This tokenizer cannot read the texts", lambda: self._reader.encode_pair(first, second, room))
        text, start = f"{first}\n{second}", len(first) + 1
        content = [*map(tuple, read["offsets"][0]), *((start + i, start + j) for i, j in read["offsets"][1])]
        return self._made(text, read, content)

    def _made(self, text: str, read: dict[str, Any], content: Sequence[tuple[int, int]]) -> Encoding:
        """What was read of a text; `content`: the offsets of its own tokens."""
        tokens, special = tuple(read["tokens"]), tuple(map(bool, read["special"]))
        offsets = without_blanks(text, content, special)
        words = number_words(text, offsets, special)
        labels, ids = tuple(map(self._label, tokens)), tuple(read["ids"])
        return Encoding(text, ids, tokens, labels, offsets, words, special, read["cut"], tuple(read.get("types", ())))

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """The text of `ids`; the exact original for tokenizers trained here, lower case for uncased BERT."""
        ids = list(ids)
        for i in ids:
            if not 0 <= i < self.vocab_size:
                raise InvalidParameterError(f"id {i} is outside the vocabulary of {self.vocab_size}")
        return _asked("This tokenizer cannot write these ids", lambda: self._reader.decode(ids, skip_special))

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """The text of each id by itself; "" of special ones. Errors: ModelError."""
        return _asked("This tokenizer cannot write these ids", lambda: self._reader.decode_each(ids))

    def encoding(self, ids: Sequence[int]) -> Encoding:
        """Ids as they are, with their text: what a model said, which `encode` might cut into other pieces.

        A token's place is where the text grew when it was added. An id beyond the vocabulary (a model may have more of
        them) is a special token with its number for a name.
        """
        names = self._names(ids)
        special = tuple(i >= self.vocab_size or name in self._special_names for i, name in zip(ids, names, strict=True))
        known = [i if i < self.vocab_size else None for i in ids]

        def read(n: int) -> str:
            return self.decode(i for i in known[:n] if i is not None)

        text, end = read(len(ids)), 0
        spans: list[tuple[int, int]] = []
        for n, is_special in enumerate(special, 1):
            start = end
            if not is_special:  # an unfinished character is one that the next token may still replace
                end = max(start, min(len(text), len(read(n).rstrip("\ufffd"))))
                spans.append((start, end))
        offsets = without_blanks(text, spans, special)
        labels = tuple(map(self._label, names))
        return Encoding(text, tuple(ids), tuple(names), labels, offsets, number_words(text, offsets, special), special)

    def _label(self, token: str) -> str:
        return shortened(token if token in self._special_names else self._read(token), LONGEST_KEPT)

    def _read(self, token: str) -> str:
        piece = token.removesuffix(self._suffix) or token
        if self._prefix and piece != self._prefix:
            piece = piece.removeprefix(self._prefix)
        if self.byte_fallback and re.fullmatch("<0x[0-9A-F]{2}>", piece):
            piece = bytes([int(piece[3:5], 16)]).decode("utf-8", "surrogateescape")
        elif self.byte_level:
            data = bytes(byte for ch in piece for byte in byte_alphabet().get(ch, ch.encode()))
            piece = data.decode("utf-8", "surrogateescape")
        elif self._metaspace:
            piece = piece.replace("▁", " ")
        return readable(piece) or token

    @classmethod
    def from_file(cls, path: str | Path, *, isolated: bool = False) -> Tokenizer:
        """Read a tokenizer.json, or the one in a folder; ModelError if there is none or it cannot be read.

        `isolated`: it comes from a stranger, and runs in a process of its own with limits of memory and time.
        """
        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            return cls.from_str(file.read_bytes(), name=str(file), isolated=isolated)
        except OSError as error:
            raise ModelError(f"No tokenizer could be read from {file}: {error.strerror}.") from error

    @classmethod
    def from_str(cls, json: str | bytes, *, name: str = "The text", isolated: bool = False) -> Tokenizer:
        """Read the content of a tokenizer.json; ModelError, beginning with `name`, if it is none."""
        content = json.encode() if isinstance(json, str) else json
        read = IsolatedReader if isolated else tokenizer_child.read
        return cls(_asked(f"{name} is not a tokenizer.json that can be read", lambda: read(content)))

    @classmethod
    def from_wordpiece(cls, vocab: str | Path, *, lowercase: bool = True, isolated: bool = False) -> Tokenizer:
        """Read the vocab.txt of a BERT that has no tokenizer.json; ModelError if it is none."""
        read = IsolatedReader if isolated else tokenizer_child.read_vocabulary
        wrong = f"{vocab} is not a BERT vocabulary that can be read"
        try:
            content = Path(vocab).read_bytes()
        except OSError as error:
            raise ModelError(f"{wrong}: {error.strerror}.") from error
        return cls(_asked(wrong, lambda: read(content, lowercase)))

    def save(self, path: str | Path) -> None:
        """Write a tokenizer.json that `from_file` and the `tokenizers` library read. Errors: ModelError."""
        write_whole(Path(path), self.to_json().encode())

    @classmethod
    def train_word(
        cls, texts: Iterable[str], vocab_size: int, *, start: str | None = "[CLS]", end: str | None = "[SEP]"
    ) -> Tokenizer:
        """The most frequent words with the space before them; any other word falls into bytes."""
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

        split = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        pieces = pre_tokenizers.Sequence([split, to_bytes])
        counts = Counter(word for text in _texts(texts) for word, _ in pieces.pre_tokenize_str(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        specials, alphabet = _specials(start, end), sorted(byte_alphabet())
        _check_size(vocab_size, specials)
        names = list(dict.fromkeys([*specials, *alphabet, *ranked]))[:vocab_size]
        # BPE without merges: `ignore_merges` takes a whole word if the vocabulary has it, else its bytes.
        library = Tokenizer(models.BPE({n: i for i, n in enumerate(names)}, [], ignore_merges=True))
        library.pre_tokenizer, library.decoder = pieces, decoders.ByteLevel()
        return cls(_finish(library, start, end))

    @classmethod
    def train_char(cls, texts: Iterable[str], *, start: str | None = "[CLS]", end: str | None = "[SEP]") -> Tokenizer:
        """Every character of `texts`; any other character falls into the bytes of its UTF-8."""
        from tokenizers import Tokenizer, decoders, models

        characters = sorted({ch for text in _texts(texts) for ch in text})
        names = [*_specials(start, end), *(f"<0x{byte:02X}>" for byte in range(256)), *characters]
        library = Tokenizer(models.BPE({n: i for i, n in enumerate(names)}, [], byte_fallback=True))
        library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        return cls(_finish(library, start, end))

    @classmethod
    def train_bpe(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        start: str | None = "[CLS]",
        end: str | None = "[SEP]",
        between: Callable[[], object] | None = None,
    ) -> Tokenizer:
        """Byte-level byte-pair encoding (Sennrich et al. 2016; on bytes as in GPT-2, Radford et al. 2019).

        `between`, if given, is called now and then, and ends the training by what it raises: long texts then learn in a
        process of their own (see `bpe_child`).
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        specials = _specials(start, end)
        _check_size(vocab_size, specials)
        parts = _texts(texts) if between is None else list(_texts(texts))
        if between is not None and sum(map(len, parts)) >= bpe_child.LONG:
            how = {"vocab_size": vocab_size, "start": start, "end": end}
            return cls.from_str(bpe_child.trained(list(parts), between, **how))
        library = Tokenizer(models.BPE())
        library.pre_tokenizer, library.decoder = (
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            decoders.ByteLevel(),
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=specials,
            initial_alphabet=sorted(byte_alphabet()),
            show_progress=False,
        )
        library.train_from_iterator(parts, trainer)
        return cls(_finish(library, start, end))


def _asked(wrong: str, ask: Callable[[], T]) -> T:
    """What `ask` returns. Errors: ModelError, which begins with `wrong`, for whatever the library raises."""
    try:
        return ask()
    except (ModelError, tokenizer_child.Refused) as error:  # a reason in our words
        raise ModelError(f"{wrong}: {str(error).rstrip('.')}.") from error
    except BaseException as error:
        if not tokenizer_child.is_the_librarys(error):
            raise
        raise ModelError(f"{wrong}: its library gives up on it.") from error


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise InvalidParameterError(f"text must be a str, not {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise InvalidParameterError(f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are accepted.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        message = f"The text is not Unicode: a lone surrogate U+{code:04X} at character {error.start}."
        raise InvalidParameterError(message) from None


def _check_size(vocab_size: int, specials: Sequence[str]) -> None:
    if vocab_size < 256 + len(specials):
        raise InvalidParameterError(
            f"vocab_size={vocab_size} has no room for 256 bytes and {len(specials)} special tokens"
        )


def _texts(texts: Iterable[str]) -> Iterable[str]:
    return [texts] if isinstance(texts, str) else texts


def _specials(start: str | None, end: str | None) -> list[str]:
    return list(dict.fromkeys(name for name in ("[PAD]", start, end, "[MASK]") if name))


def _finish(library: tokenizers.Tokenizer, start: str | None, end: str | None) -> tokenizers.Tokenizer:
    """Declare the special tokens and put `start` and `end` around every text."""
    from tokenizers import processors

    specials = _specials(start, end)
    library.add_special_tokens(specials)
    library.encode_special_tokens = True
    ids = {name: library.token_to_id(name) for name in specials}
    for name in specials:
        if ids[name] in library.encode(name, add_special_tokens=False).ids:
            raise InvalidParameterError(f"special token {name!r} is also a word of the text; name it like [BOS]")
    around = {name: ids[name] for name in (start, end) if name}
    if around:
        single = " ".join([*([start] if start else []), "$A", *([end] if end else [])])
        library.post_processor = processors.TemplateProcessing(single=single, special_tokens=list(around.items()))
    return library
