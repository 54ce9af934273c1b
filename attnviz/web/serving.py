"""The command that opens the app: python -m attnviz serve. Without torch: nobody waits for what only pages need."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from attnviz.errors import check_installed
from attnviz.inputs.assets import APP

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Adds the command to those of the command line."""
    serve = commands.add_parser("serve", help="open the app in the browser")
    serve.add_argument("--show-limits", action="store_true", help="print the server's limits and what sets them")
    serve.add_argument("streamlit", nargs="*", help="further options for streamlit run, after --")
    serve.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    check_installed("The app", "streamlit", "plotly", "PIL", "pydantic_settings")
    from attnviz.web import limits

    if options.show_limits:
        _show_limits()
        return 0
    for name in limits.unknown():
        print(f"attnviz: {name} is no limit: see python -m attnviz serve --show-limits", file=sys.stderr)
    if warning := limits.too_much(limits.LIMITS):
        print(f"attnviz: {warning}", file=sys.stderr)
    environment = dict(os.environ)
    if limits.config_file().is_file():  # the server runs in another folder
        environment[limits.CONFIG] = str(limits.config_file().resolve())
    served = APP.with_name("serve.py")  # the app with security headers
    command = [sys.executable, "-m", "streamlit", "run", str(served), *options.streamlit]
    if sys.platform == "win32":
        return subprocess.call(command, cwd=APP.parent, env=environment)
    os.chdir(APP.parent)  # .streamlit/config.toml is read from there
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # in place of this process, which would get the signals instead


def _show_limits() -> None:
    from rich.console import Console
    from rich.table import Table

    from attnviz.web import limits

    table = Table(box=None, pad_edge=False)
    for title in ("limit", "value", "from", "of"):
        table.add_column(title, justify="right" if title == "value" else "left", no_wrap=title != "of")
    for name, field in limits.Limits.model_fields.items():
        value = getattr(limits.LIMITS, name)
        shown = f"{value:,}" if type(value) is int else str(value)
        table.add_row(name, shown, limits.source(limits.LIMITS, name), field.description)
    Console().print(table)
