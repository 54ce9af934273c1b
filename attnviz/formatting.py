"""How a number, an amount or a list is written for people; `frontend/core/format.js` is its twin in the browser.

A narrow no-break space stands before a unit, a true minus before what is negative. What lies exactly between two
roundings is rounded away from 0, as browsers do: a weight of 1/8 is 13 % on both sides.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

NARROW = "\u202f"  # the narrow no-break space
HARD = "\u00a0"  # the no-break space of a word's width
MINUS = "\u2212"
FORMULA_STARTS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")  # the last four: full width, which some read as the first
LONGEST_DRAWN = 120  # characters of a token or a word; 100,000 accents on a letter keep a browser busy for a minute
LONGEST_KEPT = 1_000  # of those that are kept, to be read where it is pointed at
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWERS = 1e5  # from here on `compact` writes powers of ten


# ---- numbers -----------------------------------------------------------------------------------------


def number(value: float, digits: int = 2) -> str:
    """So many decimals, and no minus before a zero: 0.50, −1.25; ∞ and NaN by name."""
    if math.isnan(value):
        return "NaN"
    text = "∞" if math.isinf(value) else _fixed(abs(value), digits)
    return MINUS + text if value < 0 and text.strip("0.") else text


def numbers(values: Iterable[float]) -> str:
    """Several numbers, two decimals each."""
    return ", ".join(map(number, values))


def difference(before: float, after: float, digits: int = 2) -> str:
    """The signed difference of two numbers as `number` writes them, for beside them: 0.832 and 0.870 differ by +0.038.

    What is not rounded first would read 0.037 there.
    """
    if not (math.isfinite(before) and math.isfinite(after)):
        return number(after - before, digits)
    return _signed(_written(after, digits) - _written(before, digits), digits)


def significant(value: float) -> str:
    """Three digits, without powers of ten down to 10⁻⁹: 0.0000158, 3.48, 111, 4,190."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = 2 - math.floor(math.log10(abs(value)))
    if digits >= 12:
        return f"{value:.1e}".replace("-", MINUS)
    return f"{round(value, digits):,.{max(0, digits)}f}".replace("-", MINUS)


def scientific(value: float, digits: int = 2) -> str:
    """2.0 × 10⁻⁶, with so many digits; plain from 0.01 to 1,000, and 0 for 0."""
    if value == 0 or 0.01 <= abs(value) < 1000:
        text = f"{value:.{digits}g}" if abs(value) < 100 else f"{value:.0f}"
    else:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa}{HARD}×{HARD}10{str(int(power)).translate(_RAISED)}"
    return text.replace("-", MINUS)


def compact(value: float, digits: int = 2) -> str:
    """A number for a narrow cell: "?" for NaN, and powers of ten from 100,000: 1.2·10⁵."""
    if math.isnan(value):
        return "?"
    size, sign = abs(value), MINUS if value < 0 else ""
    if not _POWERS <= size < math.inf:
        return number(value, digits)
    power = math.floor(math.log10(size))
    return f"{sign}{_fixed(size / 10.0**power, 1)}·10{str(power).translate(_RAISED)}"


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, … 11th."""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


# ---- shares ------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """A share of 1: 41 %, 2.3 % under 10, 99.6 % above 99, < 0.1 %."""
    if not math.isfinite(share):
        return "NaN"
    p = 100 * share
    if 0 < p < 0.1:
        return f"<{NARROW}0.1{NARROW}%"
    size = abs(p)
    digits = 1 if p != 0 and (size < 9.95 or 99 < size < 99.95) else 0
    return f"{number(p, digits)}{NARROW}%"


def small_percent(share: float) -> str:
    """A share among tens of thousands, three digits of a percent: 0.00412 %, 4.12 × 10⁻⁷ %."""
    p = 100 * share
    return f"{f'{p:.3g}' if p == 0 or p >= 1e-4 else scientific(p, 3)}{NARROW}%"


def points(change: float) -> str:
    """A change of a share in signed percentage points: +12, −0.4, 0."""
    if not math.isfinite(change):
        return "NaN"
    p = 100 * change
    return _signed(p, 1 if abs(p) < 9.95 else 0)


def shares(before: float, after: float) -> tuple[str, str, str]:
    """Two shares and their difference in points, which is that of the two as written.

    Whole percents where they give the difference that holds, tenths otherwise: 68 %, 28 % and −40, but 25.6 %, 16.4 %
    and −9.2, for 26 % and 16 % differ by 10.
    """
    texts, change = (percent(before), percent(after)), points(after - before)
    if not (math.isfinite(before) and math.isfinite(after)):
        return *texts, change
    if "." not in "".join(texts) and change == difference(100 * before, 100 * after, 0):
        return *texts, change
    return _tenths(before), _tenths(after), difference(100 * before, 100 * after, 1)


# ---- amounts -----------------------------------------------------------------------------------------


def magnitude(n: int) -> str:
    """38,091 → "38.1 thousand"; 22,565,376 → "22.6 million"."""
    return _scaled(n, ("", " thousand", " million", " billion"))


def file_size(n_bytes: int) -> str:
    """Bytes of a file or of a model: 711 kB, 90.3 MB; powers of 1,000."""
    return _scaled(n_bytes, tuple(NARROW + unit for unit in ("B", "kB", "MB", "GB")))


def memory_size(n_bytes: float) -> str:
    """Bytes of memory: 512 B, 36 MiB, 1.3 GiB; powers of 1,024."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n_bytes < 999.5 or unit == "TiB":
            break
        n_bytes /= 1024
    return _rounded(n_bytes, unit)


def duration(seconds: float) -> str:
    """A time that was measured: 21 µs, 1.8 ms, 0.14 s as 140 ms."""
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        value = seconds * factor
        if value < 99.5 or (unit == "ms" and value < 999.5):
            return _rounded(value, unit)
    return _rounded(seconds, "s")


def minutes(seconds: float) -> str:
    """A time to wait, as nobody knows it more exactly: 8 s, 2 min."""
    return f"{seconds:.0f}{NARROW}s" if seconds < 99.5 else f"{seconds / 60:.0f}{NARROW}min"


# ---- words -------------------------------------------------------------------------------------------


def counted(n: int, noun: str) -> str:
    """1 layer, 2 layers, 1,000 layers."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def token_name(labels: Sequence[str], position: int) -> str:
    """A token of a text: animal; and where others read the same, the (7)."""
    alone = labels.count(labels[position]) == 1
    return labels[position] if alone else f"{labels[position]} ({position})"


def cut_off(*tokens: int) -> str:
    """What a model does not read of a text, or of two; "" where it reads all."""
    if not any(tokens):
        return ""
    texts = zip(tokens, ("the text", "the other one"), strict=False)
    parts = [f"{counted(n, 'token')} of {text}" for n, text in texts if n]
    return f"The model reads no more: {listed(parts)} {'is' if sum(tokens) == 1 else 'are'} cut off."


def listed(parts: Sequence[str], separator: str = ", ") -> str:
    """a; a and b; a, b and c."""
    return " and ".join([separator.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def shortened(text: str, most: int = LONGEST_DRAWN) -> str:
    """At most so many characters of a text; what is cut ends with "…"."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


# ----


def _written(value: float, digits: int) -> float:
    """A number as `number` rounds it."""
    return math.copysign(float(_fixed(abs(value), digits)), value)


def _signed(value: float, digits: int) -> str:
    text = number(value, digits)
    return "0" if not text.strip("0.") else text if value < 0 else f"+{text}"


def _tenths(share: float) -> str:
    """A share with one decimal, but for what `percent` says of nothing and of next to nothing."""
    p = 100 * share
    return percent(share) if 0 <= p < 0.1 else f"{number(p, 1)}{NARROW}%"


def _fixed(size: float, digits: int) -> str:
    """A number from 0 up with so many decimals; what lies exactly in the middle is rounded up."""
    if (size * 2 ** (digits + 1)) % 2 == 1:  # the only numbers of float64 that lie there
        return str(Decimal(size).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
    return f"{size:.{digits}f}"


def _scaled(n: int, units: Sequence[str]) -> str:
    """Three digits and the unit, each a thousand of the one before."""
    power = 0
    while power + 1 < len(units) and n >= 999.5 * 1000**power:
        power += 1
    return f"{n / 1000**power:.3g}{units[power]}"


def _rounded(value: float, unit: str) -> str:
    digits = 0 if value >= 9.95 or value == round(value) else 1
    return f"{value:,.{digits}f}{NARROW}{unit}"


def special_words(name: str) -> str:
    """A token of an image that is no patch, such as "[REG2]", in words."""
    return {"[CLS]": "the class token", "[DIST]": "the distillation token"}.get(name, f"register {name[4:-1]}")


Row = Iterable[Any]


def csv_text(fields: Row, rows: Iterable[Row], *, digits: int | None = None, end: str = "\r\n") -> str:
    """A CSV file (RFC 4180) in which no text begins a formula; a number that is not known is an empty cell.

    digits: of a float, at most; None for all that it has.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator=end)
    writer.writerow(map(csv_cell, fields))
    writer.writerows([_csv_number(cell, digits) for cell in map(csv_cell, row)] for row in rows)
    return written.getvalue()


def csv_bytes(fields: Row, rows: Iterable[Row], *, digits: int | None = None) -> bytes:
    """The same as a file has it: a surrogate alone, which is no character, is a question mark."""
    return csv_text(fields, rows, digits=digits).encode("utf-8", "replace")


def _csv_number(cell: Any, digits: int | None) -> Any:
    if cell is None or cell != cell:  # only NaN differs from itself
        return ""
    return f"{cell:.{digits}g}" if digits is not None and isinstance(cell, float) else cell


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file: a text that a spreadsheet would read as a formula gets the sign that marks it as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
