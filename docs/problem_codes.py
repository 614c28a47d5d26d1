"""The codes that a package's problems carry, read from its source."""
# ruff: noqa: INP001 - a folder of pages with scripts, not a package

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from pss_kernel.errors import FieldError, Problem

__all__ = ["problem_codes"]


def problem_codes(package: str) -> dict[str, set[str]]:
    """Each code that a package's problems carry, with their statuses.

    ``field`` stands for a code within ``errors``, which belongs to one field of the request.
    """
    found: dict[str, set[str]] = {}
    for module in _modules(package):
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            for code, status in _codes_of(node, module):
                found.setdefault(code, set()).add(status)
    return found


def _codes_of(node: ast.AST, module: ModuleType) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.ClassDef):
        kind = getattr(module, node.name, None)
        if isinstance(kind, type) and issubclass(kind, Problem):
            yield kind.code, str(kind.status)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        kind = getattr(module, node.func.id, None)
        if not isinstance(kind, type):
            return
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg == "code" and isinstance(value, ast.Constant):
                if issubclass(kind, Problem):
                    yield value.value, str(kind.status)
                elif kind is FieldError:
                    yield value.value, "field"


def _modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for one in pkgutil.walk_packages(root.__path__, f"{package}."):
        if "migrations" not in one.name and not one.name.endswith("__main__"):
            yield importlib.import_module(one.name)
