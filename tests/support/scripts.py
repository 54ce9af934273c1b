"""A hundred texts of several scripts, with signs, blanks, emoji and marks, to be read by tokenizers."""

import random

_SENTENCES = [
    "The animal didn't cross the street because it was too tired.",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune must want a wife.",
    "Mr Dursley met Mrs Potts in Paris. A year later, Mr Dursley met Mrs Potts in Rome.",
    "unbelievably antidisestablishmentarianism, well-known e.g. 3.14 1,000 foo@bar.com http://x.y/z?q=1",
    "Größe, naïve café — «ici», “là” … ½ ß ﬁancé Ångström e\u0301 İstanbul ｆｕｌｌ",
    "Москва — столица России. Сколько стоит билет? Съешь ещё этих мягких французских булок!",
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας, ΟΔΥΣΣΕΥΣ.",
    "שלום עולם, מה שלומך היום? אני בסדר.",
    "مرحبا بالعالم، كيف حالك اليوم؟ أنا بخير.",
    "東京は日本の首都です。今日はいい天気ですね！「はい」と言った。",
    "今天天气很好，我们去公园散步。你呢？",
    "안녕하세요, 오늘 날씨가 좋네요.",
    "नमस्ते दुनिया, आज मौसम अच्छा है।",
    "สวัสดีชาวโลก วันนี้อากาศดี",
    "Xin chào thế giới, hôm nay trời đẹp quá!",
    "😀👨\u200d👩\u200d👧🏽 👋🏽 🇪🇺 x² + y₃ = ①②",
    "line one\nline two\r\n\ttabbed  twice\u00a0hard\u2028apart\u3000wide",
    "\u200b\ufeff\x00\x07 \u202eabc\u202c \u00ad soft",
    "[CLS] [MASK] <pad> <0x41> Ġthe ▁the ##ing </s>",
    "12:30, 7,5 % of $1,000.50; (a) [b] {c} <d> a_b snake_case rock'n'roll ’tis don't",
]


def texts(n: int = 100) -> list[str]:
    """The sentences, their parts mixed with each other, and what is hardly a text; the same ones every time."""
    drawn = random.Random(5)
    found = ["", " ", "a", "  two  blanks ", "x" * 300, "😀" * 40, "a b " * 200, *_SENTENCES]
    while len(found) < n:
        parts = [one[drawn.randrange(len(one)) :][: drawn.randrange(1, 60)] for one in drawn.sample(_SENTENCES, 3)]
        found.append(drawn.choice(["", " ", "\n"]).join(parts))
    return found[:n]
