"""Everything that calls somebody else does so through ``pss_kernel.outgoing``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_CLIENTS = {
    *("httpx", "httpcore", "requests", "urllib3", "aiohttp", "aiosmtplib", "smtplib", "hvac"),
    *("urllib.request", "http.client", "ftplib", "stripe"),
}
# Who may, and why.
_MAY = {
    "pss_kernel/outgoing/_http.py": "is the way",
    "pss_kernel/outgoing/_backend.py": "is the way",
    "pss_kernel/keys/_sources.py": "a secret is read before there is an installation",
    "pss_kernel/keys/_vault.py": "a client that blocks, inside Target.call_blocking",
    "pss_kernel/mail/_mailer.py": "another protocol, inside Target.call",
    "pss_kernel/cli/_children.py": "asks processes that it has started itself on this machine",
    "pss_kernel/testing/_kit.py": "calls the application in process, for tests",
    "pss_kernel/testing/conformance/_elements.py": "as the test kit",
    "plugins/payment_sandbox/pss_payment_sandbox/testing.py": "a client of the network, for tests",
}


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported anywhere in a file, with those around it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def test_the_search_finds() -> None:
    """However a module is imported."""
    source = "import httpx\nfrom urllib import request\ndef f():\n    from hvac.api import x\n"
    assert {"httpx", "urllib.request", "hvac"} == set(_imported(ast.parse(source))) & _CLIENTS


def test_nobody_calls_past_it() -> None:
    """No code of the kernel, the application or a plugin has a client of its own."""
    files = [
        path
        for folder in ("pss_kernel", "api/pss_api", "plugins")
        for path in sorted((_ROOT / folder).rglob("*.py"))
        if "tests" not in path.relative_to(_ROOT).parts
    ]
    found = {
        str(path.relative_to(_ROOT)): names
        for path in files
        if (names := set(_imported(ast.parse(path.read_text(encoding="utf-8")))) & _CLIENTS)
    }
    assert {} == {place: names for place, names in found.items() if place not in _MAY}
    assert _MAY.keys() <= found.keys()
