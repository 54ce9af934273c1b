"""python -m tests.support.zoo [--only bert,gpt2] [--part 1/4] [--write | --update]: what of the zoo is exact."""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}

import torch

from tests.support.zoo import names, table
from tests.support.zoo.judge import Row, judge


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.zoo", description=__doc__)
    parser.add_argument("--only", default="", help="parts of class names, such as bert,gpt2; or most: the 60")
    parser.add_argument("--part", default="1/1", help="such as 1/4: the first of four parts")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation, of the whole zoo")
    parser.add_argument("--update", action="store_true", help="write into the page what was found, the rest stays")
    options = parser.parse_args()
    if options.write and (options.only or options.part != "1/1"):
        parser.error("the page is written of the whole zoo; --update changes some of its lines")
    torch.set_num_threads(1)
    part, parts = map(int, options.part.split("/"))
    rows: list[Row] = []
    for name in _picked(options.only)[part - 1 :: parts]:
        start = time.perf_counter()
        rows.append(judge(name))
        sys.stdout.write(f"{rows[-1]}  ({time.perf_counter() - start:.1f} s)\n")
        sys.stdout.flush()
    verdicts = [row.verdict for row in rows]
    sys.stdout.write(f"{len(rows)}: " + ", ".join(f"{verdicts.count(v)} {v}" for v in sorted(set(verdicts))) + "\n")
    if options.write or options.update:
        before = table.written(table.FILE.read_text(encoding="utf-8")) if options.update else {}
        kept = {name: line for name, line in before.items() if name in names.ALL}
        table.FILE.write_text(table.page(kept | {row.name: table.line(row) for row in rows}), encoding="utf-8")


def _picked(only: str) -> list[str]:
    if only == "most":
        return list(names.MOST_DOWNLOADED)
    parts = [part.lower() for part in only.split(",") if part]
    return [name for name in names.ALL if not parts or any(part in name.lower() for part in parts)]


if __name__ == "__main__":
    main()
