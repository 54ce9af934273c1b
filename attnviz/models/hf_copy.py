"""What copying and pickling a model of the transformers library leaves out, and what cannot be pickled.

Its modules carry hooks that write into a run: those of `hf_explored` know modules by their ids, which a copy has not,
and transformers' own are functions inside functions, which are never pickled. A copy gets its hooks anew.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from attnviz.errors import ModelError

LIBRARY = "transformers.utils.output_capturing"
INSTALLED = "_output_capturing_hooks_installed"  # transformers' mark on a model whose hooks are there
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
UNPICKLED = (
    "A model of the type {} computes a weight from others (torch’s parametrizations), and torch refuses to have "
    "such modules pickled. copy.deepcopy copies it; save_pretrained saves it."
)


def without_hooks(module: nn.Module, known: dict[int, nn.Module] | None = None) -> nn.Module:
    """The same module, of the same parameters, without the hooks of transformers and of attnviz; what it has stays.

    The model itself is not touched: others may run it now.
    """
    known = {} if known is None else known
    if id(module) not in known:
        known[id(module)] = bare = module.__new__(type(module))
        bare.__dict__.update(module.__dict__)
        for name in HOOKS:
            kept = {key: hook for key, hook in module.__dict__[name].items() if not _is_ours(hook)}
            bare.__dict__[name] = OrderedDict(kept)
            flags = bare.__dict__.get(f"{name}_with_kwargs", {})
            bare.__dict__[f"{name}_with_kwargs"] = OrderedDict((key, flags[key]) for key in kept if key in flags)
        bare.__dict__.pop(INSTALLED, None)
        children = {name: child and without_hooks(child, known) for name, child in module._modules.items()}
        bare.__dict__["_modules"] = type(module._modules)(children)
    return known[id(module)]


def check_pickled(module: nn.Module, kind: str) -> None:
    """Errors: ModelError where torch refuses to have it pickled."""
    if any(map(parametrize.is_parametrized, module.modules())):
        raise ModelError(UNPICKLED.format(kind))


def _is_ours(hook: Any) -> bool:
    of = getattr(hook, "__module__", "") or ""
    return of == LIBRARY or of.startswith("attnviz.models.")
