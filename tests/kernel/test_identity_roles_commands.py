"""Roles in an airline's file and on the command line, and why somebody may do something."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pss_kernel.registry import Registry
from pss_kernel.tenancy._file import InvalidTenant, load_tenant

Said = tuple[int, str, str]

_FILE = """\
[tenant]
code = "{code}"
name = "Post"
currency = "EUR"
time_zone = "UTC"

[plugins.notes]

[roles.clerk]
summary = "Works at the counter"
extends = "user"
permissions = ["notes:post"]

[roles.clerk.rules]
"notes:post" = {{ up_to = "5.00 EUR", own = "branch" }}
"""


@pytest.fixture
def post(tmp_path: Path) -> Path:
    """An airline's folder with a role of its own."""
    text = _FILE.format(code=f"r{secrets.token_hex(4)}")
    (tmp_path / "tenant.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_from_file_to_explanation(pss: Callable[..., Said], post: Path) -> None:
    """Planned, applied, changed, listed, shown, explained, deleted."""
    path = post / "tenant.toml"
    code = path.read_text().split('"')[1]
    at = ("--tenant", code)
    assert "create role clerk: Works at the counter" in pss("tenant", "plan", str(post))[1]
    assert 0 == pss("tenant", "apply", str(post))[0]
    assert "Nothing to change.\n" == pss("tenant", "plan", str(post))[1]
    path.write_text(path.read_text().replace("5.00 EUR", "6.00 EUR"), encoding="utf-8")
    assert "change role clerk: Works at the counter\n" == pss("tenant", "plan", str(post))[1]
    assert 0 == pss("tenant", "apply", str(post))[0]

    shown = msgspec.json.decode(pss("role", "show", "clerk", *at, "--json")[1])
    assert {"up_to": "6.00 EUR", "own": "branch"} == shown["rules"]["notes:post"]
    assert '{"up_to":"6.00 EUR","own":"branch"}' in pss("role", "show", "clerk", *at)[1]
    assert "super_admin" in pss("role", "list", *at)[1]

    code_, said, _ = pss("auth", "explain", "guest", "notes:post", *at)
    assert (0, True) == (code_, said.startswith("deny  guest  notes:post\n"))
    open_to_all = msgspec.json.decode(
        pss("auth", "explain", "guest", "notes:see", *at, "--json")[1]
    )
    assert (True, True) == (open_to_all["allowed"], open_to_all["guest"])
    key = msgspec.json.decode(pss("apikey", "create", *at, "--scopes", "notes:*", "--json")[1])
    key_id = key["key"].split("_")[2]
    assert "The key gives it (notes:*)." in pss("auth", "explain", key_id, "notes:post", *at)[1]

    assert 0 == pss("role", "delete", "clerk", *at)[0]
    assert "change role" not in pss("tenant", "plan", str(post))[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("role", "set", "clerk", "{"), "This is not JSON"),
        (("role", "set", "clerk", '{"permission": []}'), "permission:"),
        (("role", "set", "clerk", '{"permissions": ["notes:raed"]}'), "Did you mean 'notes:read'?"),
        (("role", "set", "admin", "{}"), "'admin' is built in"),
        (("role", "show", "gone"), "There is no role 'gone'"),
        (("role", "delete", "gone"), "There is no role 'gone'"),
        (("role", "delete", "agent"), "is built in"),
        (("auth", "explain", "a@b.example", "notes:read"), "no account with the address"),
        (("auth", "explain", "0123456789abcdef", "notes:read"), "no account and no key"),
        (("auth", "explain", "guest", "notes:fly"), "No installed plugin has the permission"),
    ],
)
def test_mistakes(pss: Callable[..., Said], post: Path, words: tuple[str, ...], said: str) -> None:
    """Each is told in plain words."""
    assert 0 == pss("tenant", "apply", str(post))[0]
    code = (post / "tenant.toml").read_text().split('"')[1]
    exit_code, _, err = pss(*words, "--tenant", code)
    assert (2, True) == (exit_code, said in err), err


def test_every_mistake_of_a_file(post: Path, registry: Registry) -> None:
    """What is wrong with a role is said with its line and a mend."""
    path = post / "tenant.toml"
    text = path.read_text().replace('"notes:post"]', '"notes:pots"]').replace('"branch"', '"town"')
    path.write_text(text + '\n[roles.admin]\n\n[roles."Big Boss"]\nextends = "emperor"\n')
    with pytest.raises(InvalidTenant) as caught:
        load_tenant(post, registry)
    found: dict[str, Any] = {
        one.message.partition(":")[0]: (one.line, bool(one.mend)) for one in caught.value.findings
    }
    assert (12, True) == found["roles.clerk.permissions.0"]
    assert 15 == found["roles.clerk.rules.notes"][0]
    assert (17, True) == found["roles.admin.name"]
    assert any(name.startswith("roles.Big Boss") for name in found)
