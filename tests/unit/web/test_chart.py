"""The files that charts give: a table as CSV."""

import csv
import io

import numpy as np
import pytest
import torch

from attnviz.web.components.chart import csv_text, of_rows


def test_columns_of_every_kind_are_written_with_the_digits_that_they_have() -> None:
    table = {
        "token": ["a,b", 'say "x"', "two\nlines"],
        "float32": np.float32([0.1, 1e-7, np.nan]),
        "float64": [0.1, 2.0, float("inf")],
        "tensor": torch.tensor([0.1, 2, 3]),
        "count": (1, None, 3),
        "is": np.array([True, False, True]),
    }
    read = list(csv.reader(io.StringIO(csv_text(table), newline="")))
    assert read == [
        ["token", "float32", "float64", "tensor", "count", "is"],
        ["a,b", "0.1", "0.1", "0.1", "1", "True"],
        ['say "x"', "1e-07", "2.0", "2.0", "", "False"],
        ["two\nlines", "", "inf", "3.0", "3", "True"],
    ]


def test_columns_of_different_lengths_are_no_table() -> None:
    with pytest.raises(ValueError):
        csv_text({"a": [1, 2], "b": [1]})


def test_rows_become_columns() -> None:
    assert of_rows({"n": n, "square": n * n} for n in range(3)) == {"n": [0, 1, 2], "square": [0, 1, 4]}
    assert of_rows([]) == {} and csv_text({}) == "\n"
