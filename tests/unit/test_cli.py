"""The command line: what it prints, what it writes, and how it says no."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz import Model, Transformer, catalogue, commands, load, preset
from attnviz.__main__ import main
from attnviz.analysis import measures
from attnviz.formatting import percent
from attnviz.training import command as workshop
from attnviz.training.loop import Training
from attnviz.training.loop import preset as training_preset
from tests.support.hostile_texts import MANY
from tests.support.traces import attention, encoding_of, trace_of

ROOT = Path(__file__).parents[2]
TIRED = "The animal didn't cross the street because it was too tired."


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """python -m attnviz … in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "attnviz", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"} | environment,
    )


@pytest.fixture
def loaded(minilm, monkeypatch) -> list[str]:
    """`load` answers with the model that the session has already; the names asked for."""
    asked: list[str] = []

    def load(name: str) -> Model:
        asked.append(name)
        return minilm

    monkeypatch.setattr(commands, "load", load)
    return asked


def links(out: str) -> list[tuple[int, int, str, str, str]]:
    """The rows of the table of links."""
    rows = re.findall(r"^ *(\d+) +(\d+)  (\S+) +(\S+) +([\d.]+\u202f%)", out, re.M)
    return [(int(layer), int(head), query, key, weight) for layer, head, query, key, weight in rows]


@pytest.mark.nightly
def test_run_in_a_process_prints_layers_heads_and_links() -> None:
    result = command("run", "--model", "minilm", TIRED)
    assert (result.returncode, result.stderr) == (0, "")
    assert "MiniLM: 6 layers × 12 heads, 16 tokens" in result.stdout
    assert len(links(result.stdout)) == 10


def test_the_links_are_the_models(loaded, minilm, capsys) -> None:
    assert main(["run", TIRED, "--links", "25"]) == 0
    rows = links(capsys.readouterr().out)
    assert len(rows) == 25
    assert loaded == ["minilm"]
    trace = minilm.run(TIRED)
    labels = trace.encodings[0].labels
    for layer, head, query, key, shown in rows:
        cells = [
            trace.attentions[layer][0, head, i, j].item()
            for i, a in enumerate(labels)
            if a == query
            for j, b in enumerate(labels)
            if b == key and i != j
        ]
        assert shown in map(percent, cells), (layer, head, query, key)
        assert not {"[CLS]", "[SEP]"} & {query, key}
    weights = [float(row[-1].removesuffix("\u202f%")) for row in rows]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("options", "check"),
    [
        (["--temperature", "0.25"], lambda a: a.temperature == 0.25),
        (["--mask", "causal"], lambda a: a.mask.causal),
        (["--unscaled"], lambda a: a.scale == 1.0),
        ([], lambda a: a.temperature == 1.0 and a.scale == pytest.approx(32**-0.5) and not a.mask.causal),
    ],
)
def test_options_change_the_run(loaded, capsys, monkeypatch, options, check) -> None:
    seen = []
    original = measures.strongest_links
    monkeypatch.setattr(measures, "strongest_links", lambda trace, n: seen.append(trace) or original(trace, n))
    assert main(["run", TIRED, *options]) == 0
    assert all(check(layer.attention) for layer in seen[0].layers)
    capsys.readouterr()


def test_causal_links_look_back(loaded, minilm, capsys) -> None:
    assert main(["run", "one two three four five", "--mask", "causal", "--links", "40"]) == 0
    order = ["one", "two", "three", "four", "five"]
    rows = links(capsys.readouterr().out)
    assert len(rows) == 10
    assert all(order.index(key) < order.index(query) for _, _, query, key, _ in rows)


def test_what_was_cut_is_said(loaded, capsys) -> None:
    assert main(["run", "word " * 600, "--links", "1"]) == 0
    assert "512 tokens, 90 cut" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", " ", "a"])
def test_texts_without_any_link(loaded, capsys, text: str) -> None:
    assert main(["run", text]) == 0
    out = capsys.readouterr().out
    assert "6 layers × 12 heads" in out
    assert links(out) == []


def test_what_the_user_types_is_neither_markup_nor_control(loaded, capsys) -> None:
    assert main(["run", "[bold red]loud[/bold red] [/] \x1b[2J\x07 日本 😀", "--links", "60"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    for token in ("[", "]", "/", "bold", "loud", "日", "[UNK]"):
        assert token in out


def test_a_models_title_is_no_markup(minilm, monkeypatch, capsys) -> None:
    odd = replace(minilm, info=replace(minilm.info, title="a[/b]c [red]x"))
    monkeypatch.setattr(commands, "load", lambda name: odd)
    assert main(["run", "a b"]) == 0
    assert "a[/b]c [red]x: 6 layers" in capsys.readouterr().out


@pytest.mark.parametrize("width", ["80", "120", "50"])
def test_models_lists_the_whole_catalogue(width: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for info in catalogue():
        line = next(line for line in out.splitlines() if line.startswith(info.name))
        if width != "50":
            assert f"{info.n_layers} × {info.n_heads}" in line
            assert f"{info.n_parameters / 1e6:.1f} M" in line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("arguments", [["run", "日本 café"], ["models"]])
def test_a_terminal_that_knows_few_characters_gets_what_it_can_show(
    loaded, monkeypatch, encoding: str, arguments: list[str]
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(arguments) == 0
    terminal.flush()
    assert b"12" in terminal.buffer.getvalue()


def test_report_writes_one_page(loaded, tmp_path, capsys) -> None:
    out = tmp_path / "page.html"
    assert main(["report", TIRED, "--out", str(out), "--mask", "causal"]) == 0
    page = out.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert str(out) in capsys.readouterr().out
    assert len(page) < 5_000_000


# a terminal, or the order of what it shows
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def test_no_text_of_a_stranger_steers_the_terminal(monkeypatch, capsys) -> None:
    """Tokens and titles of a model that somebody made, names and texts that somebody typed."""
    for start in range(0, len(MANY), 60):
        labels = MANY[start : start + 60]
        run = trace_of(attention(len(labels)), encodings=(encoding_of(labels),), title=labels[start % len(labels)])
        monkeypatch.setattr(commands, "_trace", lambda options, run=run: run)
        assert main(["run", "a", "--links", "60"]) == 0
    said = capsys.readouterr().out
    assert STEERS.findall(said) == [] and len(said) > 50_000
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for text in MANY:
        assert main(["run", "a", "--model", f"hf:{text.replace('/', '')}"]) == 1
    said = capsys.readouterr().err
    assert STEERS.findall(said) == [] and said.count("\n") == len(MANY)


@pytest.mark.parametrize("where", ["taken/folder/page.html", "."])
def test_a_report_that_cannot_be_written(loaded, tmp_path, monkeypatch, capsys, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file, no folder")
    assert main(["report", "a b", "--out", where]) == 1
    error = capsys.readouterr().err
    assert error.startswith("attnviz: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "a", "--temperature", "0"], "temperature=0"),
        (["run", "a", "--temperature", "-1"], "temperature=-1"),
        (["run", "a", "--temperature", "nan"], "temperature=nan"),
        (["run", "a", "--links", "0"], "0"),
        (["run", "a", "--links", "-3"], "-3"),
        (["run", "a", "--model", "gpt5"], "'gpt5'"),
        (["run", "a", "--model", "scratch:huge"], "'scratch:huge'"),
        (["run", "a", "--model", "/nowhere"], "/nowhere"),
        (["run", "a", "--model", "hf:x"], "hf:x"),
        (["run", "a\ud800", "--model", "scratch:test"], "U+D800"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_1(arguments, words: str, capsys) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("attnviz: ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["run"], ["run", "a", "--mask", "diagonal"], ["run", "a", "--temperature", "hot"], ["bench", "x"]],
)
def test_wrong_usage_is_argparses_status_2(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_help_names_every_command(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for name in ("serve", "models", "run", "report", "train", "export", "bench"):
        assert name in out


def test_bench_runs_the_benchmarks(monkeypatch) -> None:
    ran: list[Path] = []
    monkeypatch.setattr(runpy, "run_path", lambda path, run_name: ran.append(Path(path)))
    assert main(["bench"]) == 0
    assert main(["bench", "view"]) == 0
    assert [path.name for path in ran] == ["bench_forward.py", "bench_app.py", "bench_view.py"]
    assert main(["bench", "load", "--long", "--minutes", "5"]) == 0
    assert ran[-1].name == "bench_load.py" and sys.argv == ["bench", "--minutes", "5", "--long"]
    assert main(["bench", "load", "--middle"]) == 0 and sys.argv == ["bench", "--middle"]
    assert main(["bench", "load", "--middle", "--replicas"]) == 0 and sys.argv == ["bench", "--middle", "--replicas"]
    assert main(["bench", "view", "--long"]) == main(["bench", "view", "--middle"]) == 1
    assert all(path.is_file() for path in ran)


def test_serve_becomes_streamlit_on_the_app_with_its_options(monkeypatch) -> None:
    calls = []
    monkeypatch.chdir(Path.cwd())  # back again afterwards
    monkeypatch.setattr(os, "execve", lambda *call: calls.append((*call, Path.cwd())))
    main(["serve", "--", "--server.port", "8599"])
    ((program, command, _, folder),) = calls
    assert program == sys.executable and command[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert Path(command[4]).is_file()
    assert command[5:] == ["--server.port", "8599"]
    assert (folder / ".streamlit" / "config.toml").is_file()


def test_an_encoder_decoder_without_a_target_is_run_on_what_it_answers(capsys, tmp_path) -> None:
    out = tmp_path / "dates.html"
    assert main(["report", "12 May 2020", "--model", "dates", "--investigate", "--out", str(out)]) == 0
    assert "12 May 2020 → 2020-05-12" in out.read_text("utf-8")


def test_an_encoder_decoder_says_what_it_needs(minilm, monkeypatch, capsys) -> None:
    config = preset("test", kind="encoder-decoder", vocab_size=30_522)
    model = Model(minilm.info, Transformer(config).eval(), minilm.tokenizer)
    monkeypatch.setattr(commands, "load", lambda name: model)
    assert main(["run", "a b"]) == 1
    assert "target" in capsys.readouterr().err


TINY = ["--preset", "small", "--set", "d_model=16", "n_layers=1", "batch=4", "steps=4", "warmup=1", "eval_every=2"]


def test_train_writes_a_folder_that_run_takes(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["attnviz", "train", "copy"])
    assert main(["train", "copy", *TINY, "length=12", "--out", str(tmp_path / "copy"), "--title", "My copier"]) == 0
    assert "step 4: loss" in capsys.readouterr().out
    assert main(["run", "abcabc", "--model", str(tmp_path / "copy")]) == 0
    assert "My copier: 1 layers × 2 heads" in capsys.readouterr().out


def test_train_reads_a_text_and_joins_its_lines(tmp_path: Path, capsys) -> None:
    text = tmp_path / "book.txt"
    text.write_text("One line\nand the next one of it.\n\n" * 60, "utf-8")
    settings = [*TINY, "vocab_size=300", "length=16"]
    assert main(["train", "language", *settings, "--text", str(text), "--unwrap", "--out", str(tmp_path / "m")]) == 0
    assert "bits_per_byte" in capsys.readouterr().out


def test_train_reads_several_files_as_one_text(tmp_path: Path, capsys) -> None:
    parts = ["The first of them ends here.\n" * 60, "Another begins.\n" * 60]
    names = [tmp_path / name for name in ("a.txt", "b.txt", "both.txt")]
    for name, text in zip(names, [*parts, "\n\n".join(parts)], strict=True):
        name.write_text(text, "utf-8")
    said = []
    for chosen in (names[:2], names[2:]):
        command = ["train", "language", *TINY, "vocab_size=300", "length=16", "--out", str(tmp_path / "m")]
        assert main([*command, "--text", *map(str, chosen)]) == 0
        said.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")])
    assert said[0] == said[1] != []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["copy", "--set", "d_model=30"], "d_model=30 is not divisible by n_heads=4"),
        (["copy", "--set", "speed=3"], "no setting speed"),
        (["copy", "--set", "speed"], "name=value"),
        (["copy", "--set", "learning_rate=1e3"], "learning_rate=1000 is not within"),
        (["language", "--text", "nowhere.txt"], "nowhere.txt"),
        (["language", "--text", "."], "Is a directory"),
        (["copy", "--resume", "--out", "nowhere"], "checkpoint.safetensors cannot be read"),
    ],
)
def test_train_refuses_in_a_sentence(arguments: list[str], words: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The text is empty"),
        (b"a", "The text makes 1 token; windows of 64 need at least 195"),
        (b"twenty bytes, or so.", "windows of 64 need at least"),
        (bytes([72, 105, 0xFE]) * 1000, "book.txt is no text in UTF-8: byte 0xfe at 2"),
        (None, "book.txt has 10,000,001 bytes; at most 10,000,000"),
    ],
)
def test_train_refuses_a_text_that_cannot_be_trained_on(content, words: str, capsys, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    with book.open("wb") as file:
        file.truncate(10_000_001) if content is None else file.write(content)
    assert (
        main(["train", "language", "--set", "vocab_size=300", "--text", str(book), "--out", str(tmp_path / "m")]) == 1
    )
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_train_goes_on_only_with_the_same_training(capsys, tmp_path: Path) -> None:
    run = Training(training_preset("copy", "small", length=12, d_model=16))
    run.save(tmp_path / "checkpoint.safetensors")
    (tmp_path / "training.json").write_text("{}")
    for arguments, words in (
        (["sort"], "task=copy, not sort"),
        (["copy", "--set", "length=12", "d_model=32"], "d_model=16, not 32"),
    ):
        assert main(["train", *arguments, "--preset", "small", "--resume", "--out", str(tmp_path)]) == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


def test_a_resumed_training_records_the_command_that_makes_the_same(capsys, tmp_path: Path, monkeypatch) -> None:
    arguments = ["train", "copy", *TINY, "length=12", "--out", str(tmp_path)]
    config = training_preset("copy", "small", **dict(map(workshop.setting, [*TINY[3:], "length=12"])))
    half = Training(config)
    next(half.steps())
    half.save(tmp_path / "checkpoint.safetensors")
    (tmp_path / "training.json").write_text(json.dumps(workshop.Log().content))
    monkeypatch.setattr(sys, "argv", ["attnviz", *arguments, "--resume"])
    assert main(sys.argv[1:]) == 0
    about = json.loads((tmp_path / "training.json").read_text())
    assert about["command"] == "python -m attnviz " + shlex.join(arguments) and about["steps"] == 4


def test_train_on_a_full_disk_says_so_and_keeps_the_checkpoint(capsys, tmp_path: Path, monkeypatch) -> None:
    sync = os.fsync
    room = iter([True, True, False])  # checkpoint and log of the first evaluation, then no more

    def full(descriptor: int) -> None:
        if not next(room, False):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert main(["train", "copy", *TINY, "length=12", "--out", str(tmp_path / "m")]) == 1
    said = capsys.readouterr().err
    assert "No space left on device. What stood there is untouched." in said and said.count("\n") == 1
    assert Training.resume(tmp_path / "m" / "checkpoint.safetensors").done == 2


# ---- what is no text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command_name", ["run", "report"])
@pytest.mark.parametrize("text", ["./no/such", "../model", "/no/such", "~/model", "assets/modells/austen"])
def test_a_mistyped_folder_is_no_text(loaded, command_name: str, text: str, capsys, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main([command_name, text]) == 1
    assert f"{text} looks like a path, and is not there" in capsys.readouterr().err
    assert loaded == []


def test_a_text_with_a_stroke_is_a_text(loaded, capsys) -> None:
    for text in ("either/or", "he said / she said", "1/2 and ./3"):
        assert main(["run", text]) == 0
    assert main(["run", "./pyproject.toml"]) == 1
    assert "looks like a path, and is no text" in capsys.readouterr().err


def test_an_image_is_run(tmp_path: Path, capsys) -> None:
    from PIL import Image

    shades = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    Image.fromarray(shades).save(tmp_path / "x.png")
    for arguments in (["digits"], ["--model", "digits"]):
        assert main(["run", *arguments, "--image", str(tmp_path / "x.png"), "--links", "3"]) == 0
        out = capsys.readouterr().out
        trace = load("digits").run((tmp_path / "x.png").read_bytes())
        best = measures.strongest_links(trace, 1)[0]
        assert f"{len(trace.encodings[0])} tokens" in out and percent(best.weight) in out and best.key_label in out


def test_a_sound_is_run(tmp_path: Path, capsys) -> None:
    """A random wav2vec2 as a folder, on a file of half a second."""
    import transformers

    soundfile = pytest.importorskip("soundfile", reason="needs the extra sound")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    first = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (20, 16), "num_feat_extract_layers": 2}
    config = transformers.Wav2Vec2Config(**sizes, **first, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "ear")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "ear")
    soundfile.write(tmp_path / "x.wav", 0.1 * np.sin(np.arange(8000) * 0.3), 16_000)
    (tmp_path / "x.txt").write_text("words")
    assert main(["run", str(tmp_path / "ear"), "--sound", str(tmp_path / "x.wav"), "--links", "1"]) == 0
    out = capsys.readouterr().out
    best = measures.strongest_links(load(tmp_path / "ear").run(tmp_path / "x.wav"), 1)[0]
    assert "ear: 2 layers × 2 heads, 25 tokens" in out and percent(best.weight) in out and best.key_label in out
    for wrong, says in (("y.wav", "y.wav cannot be opened: No such file"), ("x.txt", "This is no whole sound file")):
        assert main(["run", str(tmp_path / "ear"), "--sound", str(tmp_path / wrong)]) == 1
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "minilm", "--image", "pyproject.toml"], "MiniLM reads texts, no image alone"),
        (["run", "minilm", "--sound", "pyproject.toml"], "MiniLM reads texts, no sound"),
        (["run", "a b", "--model", "minilm", "--image", "pyproject.toml"], "MiniLM reads no image with a text"),
        (["run", "digits", "--image", "nothing.png"], "nothing.png cannot be opened: No such file or directory."),
        (["run", "digits", "--image", "docs"], "docs cannot be opened: Is a directory."),
        (["run", "digits", "--sound", "nothing.wav"], "Digits reads images, no sound"),
        (
            ["run", "what is it", "--model", "digits", "--image", "docs/images/wings.svg"],
            "reads images, no text with an",
        ),
        (["run", "a b", "--model", "docs/index.md"], "docs/index.md is not a folder."),
        (["run", "digits", "--image", "pyproject.toml"], "image"),
        (["run", "x", "--image", "a.png", "--sound", "b.wav"], "an image or a sound, not both"),
    ],
)
def test_what_cannot_be_seen_or_heard_is_said(arguments: list[str], said: str, capsys, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("attnviz: ") and error.count("\n") == 1
    assert said in error and "Errno" not in error


def test_investigate_names_heads_with_their_evidence(capsys, tmp_path):
    path = tmp_path / "measures.csv"
    texts = ["abcabdab", "fadeface", "deafdeaf"]
    assert main(["investigate", *texts, "--model", "program:seen", "--csv", str(path)]) == 0
    said = capsys.readouterr().out
    assert "duplicate" in said and "4 heads have a role on 3 texts" in " ".join(said.split())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("layer,head,role,measure,score") and len(lines) == 1 + 4 * 9
    assert main(["investigate", "The dog near the cats licks the ball.", "--model", "tales", "--all"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "verb → noun: layer 1, head 1 is right 99.6 % (99 % – 99.9 %; by place 55 %" in said
    assert "copies" in said and "random weights stay within ±0.09 (95 %)" in said
