"""The zoo: tiny models of all architectures, against transformers. The whole of it is a table in the documentation."""

from __future__ import annotations

import re

import pytest

from tests.support.zoo import names, table
from tests.support.zoo.judge import CRASH, Row, judge

# One of each kind: grouped keys, relative biases in two stacks, images (its own and another library's), sounds, towers.
SAMPLE = (
    "LlamaForCausalLM",
    "T5ForConditionalGeneration",
    "ViTForImageClassification",
    "Dinov2WithRegistersModel",
    "WhisperForConditionalGeneration",
    "CLIPModel",
    "Gemma3ForConditionalGeneration",
)
INNER = re.compile(r"Error\b|object has no|NoneType|Traceback|size mismatch|not subscriptable|__init__")


@pytest.mark.parametrize("name", SAMPLE)
def test_exact_as_transformers(name: str) -> None:
    row = judge(name)
    assert (row.verdict, row.says) == ("exact", "")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [judge(name) for name in names.ALL]


@pytest.mark.nightly
def test_the_table_says_what_is_found(rows: list[Row]) -> None:
    assert table.FILE.read_text(encoding="utf-8") == table.page({row.name: table.line(row) for row in rows})


@pytest.mark.nightly
def test_no_sentence_is_another_librarys_error(rows: list[Row]) -> None:
    assert [row.name for row in rows if row.says.startswith(CRASH) or INNER.search(row.says)] == []


def test_the_sixty_are_in_the_zoo() -> None:
    assert len(set(names.ALL)) == len(names.ALL) >= 190
    assert len(names.MOST_DOWNLOADED) == 60


def test_the_page_is_whole_and_reads_back_as_it_is_written() -> None:
    page = table.FILE.read_text(encoding="utf-8")
    lines = table.written(page)
    assert lines.keys() == set(names.ALL) and table.page(lines) == page
    assert not any(CRASH in line or INNER.search(line) for line in lines.values())
