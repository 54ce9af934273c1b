"""What a package holds as its attributes, each imported when somebody asks for it: `attnviz.analysis.heads`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def on_demand(
    package: str, path: Iterable[str], homes: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package, from its `__name__` and `__path__`: PEP 562.

    Its attributes are its modules, and the names in `homes`, each with the module below the package that defines it.
    """
    names = frozenset(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))
    homes = homes or {}

    def __getattr__(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
            setattr(sys.modules[package], name, value)
            return value
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names, *homes})

    return __getattr__, __dir__
