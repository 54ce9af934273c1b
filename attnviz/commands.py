"""What the command line does, but for `serve`: models | run | report | live | investigate | train | export | bench."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz import Intervention, Model, Trace, catalogue, load
from attnviz.analysis import comparison_command, evidence_command, measures, patching_command
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.formatting import percent
from attnviz.generation import run_command
from attnviz.inputs import terminal
from attnviz.inputs.atomic_write import write_whole
from attnviz.training import loop as training
from attnviz.training.tasks import TASKS
from attnviz.training.tasks.texts import of_file, unwrapped

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

MODEL = "minilm"
FORMS = ("attnviz", "transformers")  # as `models.export` knows them, which is imported when it is needed
BENCHMARKS = ("forward", "app", "view", "lessons", "training", "train_page", "generate", "heads", "live", "load")


def add_to(commands: Commands) -> None:
    """Adds them to those of the command line."""
    models = commands.add_parser("models", help="list the models that can be loaded by name")
    models.set_defaults(command=_models)

    run = commands.add_parser("run", help="run a model on a text, image or sound and print its strongest links")
    _add_run_options(run)
    run.add_argument("--links", type=int, default=10, help="how many links to print (10)")
    run.set_defaults(command=_run)

    report = commands.add_parser("report", help="write one HTML file: the view of a text, or how a model was trained")
    _add_run_options(report, "the text to run on, or the folder of a model trained here")
    report.add_argument("--out", type=Path, help="the file (attention.html; of a folder: training.html)")
    report.add_argument("--investigate", action="store_true", help="with what each head is for, and why it says so")
    shown = "with --investigate: heads that have a card, such as 1.9,3.2, before those that tell most"
    report.add_argument("--heads", default="", metavar="LAYER.HEAD,…", help=shown)
    comparison_command.add_options(report, "with --investigate: ")
    report.add_argument("--live", action="store_true", help="the model runs in the page: its text can be changed there")
    report.set_defaults(command=_report)

    live = commands.add_parser("live", help="write a page in which a model runs by itself, without a server")
    where = live.add_mutually_exclusive_group()
    where.add_argument("--out", type=Path, default=Path("site"), help="the folder to write (site)")
    where.add_argument("--single", type=Path, metavar="FILE", help="one HTML file instead, with the models in it")
    live.add_argument(
        "--model", nargs="+", metavar="NAME", help="names from `models`, or folders of models trained here"
    )
    live.set_defaults(command=_live)

    investigate = commands.add_parser("investigate", help="what each head of a model is for, with its evidence")
    judged = "what to judge the heads on; - for a line each of standard input (300 short texts)"
    investigate.add_argument("texts", nargs="*", metavar="TEXT", help=judged)
    investigate.add_argument("--model", default=MODEL, help=f"a name from `models`, hf:org/name, or a folder ({MODEL})")
    investigate.add_argument("--all", action="store_true", help="heads without a role too")
    investigate.add_argument("--csv", type=Path, metavar="FILE", help="writes every measure of every head")
    investigate.add_argument("--cards", type=Path, metavar="FILE", help="writes what the page Heads shows of the model")
    for part in (comparison_command, patching_command, evidence_command):
        part.add_options(investigate)
    investigate.set_defaults(command=_investigate)

    train = commands.add_parser("train", help="train a model on a task and write it as a folder")
    train.add_argument("task", choices=tuple(TASKS), help="what to learn")
    train.add_argument("--preset", choices=tuple(training.PRESETS), default="default", help="small, default or large")
    train.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings, such as d_model=64")
    train.add_argument("--text", type=Path, nargs="+", metavar="FILE", help="what to train on, for tasks on text")
    train.add_argument("--unwrap", action="store_true", help="join the lines of each paragraph of the text first")
    train.add_argument("--out", type=Path, default=Path("model"), help="the folder to write (model)")
    train.add_argument("--title", help="the model's name in lists")
    train.add_argument("--keep", type=int, default=0, metavar="N", help="write a history of N checkpoints beside it")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    train.set_defaults(command=_train)

    export = commands.add_parser("export", help="write a model as a folder, .npz, .json or .onnx")
    export.add_argument("model", help="a name from `models`, hf:org/name, or a folder")
    export.add_argument("--out", type=Path, required=True, help="a folder, or a file ending in .npz, .json or .onnx")
    export.add_argument("--format", choices=FORMS, default=FORMS[0], help="of a folder: ours, or transformers'")
    export.add_argument("--attentions", action="store_true", help="an ONNX graph gives out attention weights too")
    export.set_defaults(command=_export)

    bench = commands.add_parser("bench", help="measure speed and memory, as ratios in one run (in a checkout)")
    bench.add_argument("what", nargs="?", choices=BENCHMARKS, help="one benchmark; without it: forward and app")
    bench.add_argument("--against", metavar="FOLDER", help="lessons: another checkout, measured by turns with this one")
    bench.add_argument("--long", action="store_true", help="load: as long as its table says, hours in all")
    bench.add_argument("--middle", action="store_true", help="load: as many readers, in a quarter of an hour")
    bench.add_argument("--minutes", metavar="N", help="load: of mixed use on each of its servers, with --long (120)")
    bench.add_argument("--replicas", action="store_true", help="load: on two servers behind nginx")
    bench.set_defaults(command=_bench)


def _add_run_options(parser: argparse.ArgumentParser, text: str = "the text to run on") -> None:
    parser.add_argument("text", nargs="?", help=f"{text}; with --image or --sound and no --model, the model's name")
    run_command.add_options(parser)
    parser.add_argument("--model", help=f"a name from `models`, hf:org/name, or a folder ({MODEL})")
    parser.add_argument("--temperature", type=float, default=1.0, help="temperature in the attention softmax")
    parser.add_argument("--mask", choices=("causal", "none"), help="instead of the model's own mask")
    parser.add_argument("--unscaled", action="store_true", help="leave out the factor 1/√d")


def _models(options: argparse.Namespace) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", overflow="fold", min_width=max(len(info.name) for info in catalogue()))
    table.add_column("family", no_wrap=True)
    for title in ("layers × heads", "width", "parameters"):
        table.add_column(title, justify="right")
    table.add_column("where it comes from")
    for info in catalogue():
        size = f"{info.n_layers} × {info.n_heads}"
        millions = f"{info.n_parameters / 1e6:.1f} M"
        table.add_row(info.name, info.family, size, str(info.d_model), millions, info.source)
    terminal.console().print(table)


def _investigate(options: argparse.Namespace) -> None:
    from attnviz.analysis import command

    texts = sys.stdin.read().splitlines() if options.texts == ["-"] else options.texts
    if comparison_command.asked(options):
        return comparison_command.run(load(options.model), texts, options)
    if options.patch is not None:
        return patching_command.run(load(options.model), texts, options)
    if options.attributions:
        return evidence_command.run(load(options.model), texts, options)
    command.investigate(load(options.model), texts, everything=options.all, csv=options.csv, cards=options.cards)


def _run(options: argparse.Namespace) -> None:
    from rich.table import Table
    from rich.text import Text

    trace = _trace(options)
    links = measures.strongest_links(trace, options.links)
    encoding = trace.encodings[0]
    out = terminal.console()
    shape = f"{len(trace.layers)} layers × {trace.config.n_heads} heads, {len(encoding)} tokens"
    out.print(Text(f"{trace.title}: {shape}" + (f", {encoding.cut} cut" if encoding.cut else "")))
    out.print("Strongest links (layers and heads count from 0; special tokens left out):")
    table = Table(box=None, pad_edge=False)
    for title in ("layer", "head"):
        table.add_column(title, justify="right")
    table.add_column("query (looks)")
    table.add_column("key (is seen)")
    table.add_column("weight", justify="right")
    for link in links:
        labels = (Text(link.query_label), Text(link.key_label))  # Text: what the user typed is no markup
        table.add_row(str(link.layer), str(link.head), *labels, percent(link.weight))
    out.print(table)


def _report(options: argparse.Namespace) -> None:
    from attnviz.browser import report, training_report
    from attnviz.models import folders

    folder, out = Path(options.text or ""), options.out
    if options.investigate or options.heads or comparison_command.asked(options):
        page, out = _investigation(options), out or Path("investigation.html")
    elif options.live:
        page, out = _live_report(options), out or Path("attention.html")
    elif options.text and folders.is_stored_model(folder):
        if options.target is not None or options.model or options.image or options.sound:
            raise InvalidParameterError("the report of a folder shows its own model on its own example")
        page, out = training_report.html(folder, _change(options)), out or Path("training.html")
    elif options.text and os.sep in options.text and os.path.isdir(options.text):
        raise ModelError(f"{folder} holds no model trained here.")
    else:
        page, out = report.html(_trace(options)), out or Path("attention.html")
    write_whole(out, page.encode("utf-8", "replace"))  # a surrogate alone is no character
    terminal.write(f"{out} ({len(page) / 1e6:.1f} MB) opens without a network")


def _investigation(options: argparse.Namespace) -> str:
    from attnviz.analysis import investigation
    from attnviz.browser import investigation_report

    heads = investigation.heads_in(options.heads)  # checked before the model is loaded
    if options.live or not options.investigate:
        raise InvalidParameterError("--heads and --compare are of --investigate, whose file is not --live")
    model, trace = _ran(options)
    sides = None
    if comparison_command.asked(options):
        comparison_command.check(model)
        sides = comparison_command.sides(model, trace, options)
    return investigation_report.command(model, trace, heads, sides)


def _live_report(options: argparse.Namespace) -> str:
    from attnviz.browser import live
    from attnviz.browser.view_state import ViewState

    change = _change(options)  # checked before the model is loaded
    if options.target is not None or options.image or options.sound:
        raise InvalidParameterError("a live report takes a text alone: what the model answers, it answers in the page")
    _check_no_path(options.text)
    state = ViewState(temperature=change.temperature, scaled=change.scaled, mask=options.mask or "model", whole=True)
    return live.report(load(options.model or MODEL), options.text, state)


def _live(options: argparse.Namespace) -> None:
    from attnviz.browser import live

    names = options.model or live.default_models(single=options.single is not None)
    models = [load(name) for name in names]
    titles = ", ".join(model.info.title for model in models)
    if options.single is not None:
        n_bytes, path = live.write_file(options.single, models), options.single
        says = "opens without a server and without a network"
    else:
        n_bytes, path = live.write_folder(options.out, models), options.out
        says = f"put it on any static host, or try it: python -m http.server --directory {path}"
    terminal.write(f"{path} ({n_bytes / 1e6:.1f} MB) with {titles}: {says}")


def _train(options: argparse.Namespace) -> None:
    from attnviz.training import command as workshop

    text = None if options.text is None else "\n\n".join(map(of_file, options.text))
    settings = dict(workshop.setting(pair) for pair in options.set)
    workshop.run(
        training.preset(options.task, options.preset, **settings),
        unwrapped(text) if text and options.unwrap else text,
        options.out,
        title=options.title,
        resume=options.resume,
        command=[part for part in sys.argv[1:] if part != "--resume"],
        keep=options.keep,  # resumed, it is the same one
    )


def _export(options: argparse.Namespace) -> None:
    from attnviz.models import export as exporting

    model = load(options.model)
    training, card = exporting.notes(options.model)
    more = {"form": options.format, "attentions": options.attentions}
    done = exporting.export(model, options.out, training=training, card=card, **more)
    terminal.write(f"{done.path} ({done.n_bytes / 1e6:.1f} MB): {done.says}")


def _change(options: argparse.Namespace) -> Intervention:
    return Intervention(temperature=options.temperature, mask=options.mask, scaled=not options.unscaled)


def _trace(options: argparse.Namespace) -> Trace:
    return _ran(options)[1]


def _ran(options: argparse.Namespace) -> tuple[Model, Trace]:
    change = _change(options)  # checked before the model is loaded
    name, text = options.model, options.text
    if options.image and options.sound:
        raise InvalidParameterError("a run is given an image or a sound, not both")
    if (options.image or options.sound) and name is None:
        name, text = text, None  # run digits --image seven.png
    if text is not None:
        _check_no_path(text)
    model = load(name or MODEL)
    return model, run_command.trace(model, text, options, change)


def _check_no_path(text: str) -> None:
    """Errors: ModelError for what was meant to be a folder or file, and is not there: it would be read as a text."""
    first, *rest = text.split(os.sep)
    looks = bool(rest) and not any(map(str.isspace, text)) and (first in ("", ".", "..", "~") or os.path.isdir(first))
    if looks:
        there = "is no text" if os.path.exists(os.path.expanduser(text)) else "is not there"
        raise ModelError(f"{text[:200]} looks like a path, and {there}; --model takes a folder, --image a picture.")


def _bench(options: argparse.Namespace) -> int:
    folder = Path(__file__).resolve().parent.parent / "tests" / "benchmarks"
    if not folder.is_dir():
        sys.stderr.write("attnviz: the benchmarks are part of the source checkout, not of the installed package\n")
        return 1
    sys.path.insert(0, str(folder.parents[1]))  # the benchmarks share tests/support/chromium.py
    if (options.long or options.middle or options.minutes or options.replicas) and options.what != "load":
        raise InvalidParameterError("--long, --middle, --minutes and --replicas are of bench load")
    further = {"--against": options.against, "--minutes": options.minutes}
    sys.argv = ["bench", *(word for name, value in further.items() if value for word in (name, value))]
    sys.argv += [f"--{form}" for form in ("long", "middle", "replicas") if getattr(options, form)]
    for name in [options.what] if options.what else BENCHMARKS[:2]:
        runpy.run_path(str(folder / f"bench_{name}.py"), run_name="__main__")
    return 0
