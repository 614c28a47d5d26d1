"""Settings that are secrets: sealed where they are kept, masked where they are shown."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pss_guarded import Account, Settings
from pss_kernel import Secret
from pss_kernel.errors import Invalid, Problem
from pss_kernel.keys._inspect import key_problems
from pss_kernel.keys._secret import encode_secret
from pss_kernel.observability import configure_logging
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._secret_settings import has_secrets, masked, secret_fields
from pss_kernel.tenancy._settings import change_settings, put, setting_history, take_out
from pss_kernel.testing import TestKit


def everywhere(text: str) -> dict[str, Any]:
    """Settings with a secret in every kind of place."""
    return {
        "token": text,
        "main": {"name": "main", "password": f"{text}-1"},
        "accounts": {"a": {"password": f"{text}-2"}, "b": {"name": "none"}},
        "spare": [f"{text}-3", f"{text}-4"],
    }


async def ledger(kit: TestKit, tenant: Tenant) -> dict[str, Any]:
    """The settings as they are in the database."""
    async with kit.installation.cell(tenant).owner() as owner:
        text = await owner.fetchval(
            "SELECT settings::text FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'guarded'",
            tenant.code,
        )
    found: dict[str, Any] = json.loads(text)
    return found


def current(kit: TestKit, tenant: Tenant) -> Settings:
    """The settings as a plugin gets them."""
    now = kit.installation.directory.by_code(tenant.code)
    return kit.installation.settings_of(now, Settings)


def test_a_secret_is_masked(clear: str) -> None:
    """Whatever turns a secret into text gives asterisks; only reveal() gives the secret."""
    secret = Secret(clear)
    assert clear == secret.reveal()
    shown = f"{secret} {secret!r} {secret!s} {secret:>10} {[secret]} {Settings(token=secret)}"
    assert clear not in shown
    assert "***" in shown
    assert b'"***"' == msgspec.json.encode(secret, enc_hook=encode_secret)
    for refuse in (msgspec.json.encode, json.dumps, pickle.dumps):
        with pytest.raises(TypeError) as refused:
            refuse(secret)
        assert clear not in str(refused.value)
    assert copy.copy(Settings(token=secret)).token is secret


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 16_385])
def test_not_a_secret(text: str) -> None:
    """An empty secret is a mistake, and so is one that no database column can hold."""
    with pytest.raises(ValueError, match="1 to 16,384 characters"):
        Secret(text)


def test_which_settings_are_secret() -> None:
    """The types say which settings are secret, or have a secret inside."""
    assert ["token", "main", "accounts", "spare"] == list(secret_fields(Settings))
    assert has_secrets(Settings)
    assert not has_secrets(msgspec.defstruct("Plain", [("name", str, "")]))


async def test_sealed_at_rest(both: TestKit, clear: str, everything: Callable[..., Any]) -> None:
    """No table has a secret in clear, and the plugin is given it all the same."""
    tenant = await both.make_tenant(settings={"guarded": everywhere(clear)})
    settings = current(both, tenant)
    revealed = [
        one.reveal()
        for one in (
            settings.token,
            settings.main.password,
            settings.accounts["a"].password,
            *settings.spare,
        )
        if one
    ]
    assert [clear, *(f"{clear}-{number}" for number in (1, 2, 3, 4))] == revealed
    assert "none" == settings.accounts["b"].name
    rows = await everything(both, tenant.code)
    assert tenant.code in rows
    assert clear not in rows


async def test_the_same_secret_twice(one: TestKit, clear: str) -> None:
    """Equal secrets don't look equal, and one that stays keeps its ciphertext."""
    settings = {"token": clear, "spare": [clear, clear]}
    tenant = await one.make_tenant(settings={"guarded": settings})
    before = await ledger(one, tenant)
    texts = {json.dumps(value) for value in (before["token"], *before["spare"])}
    assert 3 == len(texts)
    await enable_plugins(one.installation, tenant.code, {"guarded": settings | {"limit": 7}})
    assert before | {"limit": 7} == await ledger(one, tenant)


async def test_secrets_that_are_not_mentioned_stay(one: TestKit, clear: str) -> None:
    """New settings keep the secrets that they say nothing of, but those in lists."""
    tenant = await one.make_tenant(settings={"guarded": everywhere(clear)})
    before = await ledger(one, tenant)
    wanted = {"limit": 9, "main": {"name": "other"}, "accounts": {"a": {}}}
    await enable_plugins(one.installation, tenant.code, {"guarded": wanted})
    after = await ledger(one, tenant)
    expected = {
        "limit": 9,
        "token": before["token"],
        "main": {"name": "other", "password": before["main"]["password"]},
        "accounts": {"a": before["accounts"]["a"]},
    }
    assert expected == after


@pytest.mark.parametrize("place", ["first", "key number", "nonce", "middle", "last"])
async def test_a_flipped_bit(both: TestKit, clear: str, place: str) -> None:
    """An altered secret is refused with a sentence; everything else goes on."""
    tenant = await both.make_tenant(settings={"guarded": {"token": clear, "limit": 3}})
    settings = await ledger(both, tenant)
    sealed = bytearray(base64.b64decode(settings["token"]["$sealed"]))
    where = {"first": 0, "key number": 4, "nonce": 8, "middle": 30, "last": len(sealed) - 1}
    sealed[where[place]] ^= 0x10
    settings["token"] = {"$sealed": base64.b64encode(sealed).decode()}
    await write(both, tenant, settings)
    altered = current(both, tenant)
    assert 3 == altered.limit
    assert altered.token
    with pytest.raises(Problem) as refused:
        altered.token.reveal()
    assert {"sealed-value-altered", "key-missing"} >= {refused.value.code}
    async with both.http(tenant) as http:
        assert 200 == (await http.get("/v1/guarded/limit")).status_code
        answer = await http.get("/v1/guarded/length")
    assert 503 == answer.status_code
    assert clear not in answer.text


@pytest.mark.parametrize("text", ["", "!", "AAAA", 5, None])
async def test_not_a_sealed_value(one: TestKit, clear: str, text: Any) -> None:
    """What was never sealed is refused as an altered value is."""
    tenant = await one.make_tenant(settings={"guarded": {"token": clear}})
    await write(one, tenant, {"token": {"$sealed": text}})
    token = current(one, tenant).token
    assert token
    with pytest.raises(Problem) as refused:
        token.reveal()
    assert "sealed-value-altered" == refused.value.code


async def write(kit: TestKit, tenant: Tenant, settings: dict[str, Any]) -> None:
    """Put settings into the ledger, past everything that checks them."""
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET settings = $2::jsonb "
            "WHERE tenant = $1 AND plugin = 'guarded'",
            tenant.code,
            json.dumps(settings),
        )
    await kit.installation.directory.refresh()


async def test_copied_elsewhere(both: TestKit, clear: str) -> None:
    """A sealed secret opens in its own tenant and field, and nowhere else."""
    mine = await both.make_tenant(settings={"guarded": everywhere(clear)})
    other = await both.make_tenant(settings={"guarded": everywhere("another")})
    settings = await ledger(both, mine)
    await write(both, other, settings)
    swapped = settings | {"token": settings["spare"][0], "spare": [settings["token"]]}
    await write(both, mine, swapped)
    stolen = current(both, other)
    moved = current(both, mine)
    for secret in (stolen.token, stolen.main.password, *stolen.spare, moved.token, *moved.spare):
        assert secret
        with pytest.raises(Problem) as refused:
            secret.reveal()
        assert "sealed-value-altered" == refused.value.code
        assert clear not in refused.value.sentence


async def test_a_key_of_another_tenant(both: TestKit, clear: str) -> None:
    """A tenant's wrapped data key does not open as that of another; nobody else is hurt."""
    mine = await both.make_tenant(settings={"guarded": {"token": clear}})
    other = await both.make_tenant(settings={"guarded": {"token": "another"}})
    change = "UPDATE pss.tenant_key SET wrapped = $2 WHERE tenant = $1"
    own = both.installation.directory.by_code(other.code).keys[0].wrapped
    async with both.installation.cell(mine).owner() as owner:
        await owner.execute(change, other.code, mine.keys[0].wrapped)
        await both.installation.directory.refresh()
        token = current(both, other).token
        assert token
        with pytest.raises(Problem) as refused:
            token.reveal()
        found = [codes async for codes, _ in key_problems(both.installation)]
        assert other.code in {code for codes in found for code in codes}
        assert mine.code not in {code for codes in found for code in codes}
        await owner.execute(change, other.code, own)
    assert "sealed-value-altered" == refused.value.code
    await both.installation.directory.refresh()
    mended = current(both, other).token
    assert mended
    assert "another" == mended.reveal()


async def test_every_error_at_once(one: TestKit, clear: str) -> None:
    """A change is checked as a whole, and its errors show no secret."""
    tenant = await one.make_tenant(settings={"guarded": {"token": clear}})
    before = await ledger(one, tenant)

    def change(stored: dict[str, Any]) -> dict[str, Any]:
        wrong = {"limit": 101, "token": 5, "spare": [clear, ""], "main": {"colour": "blue"}}
        return stored | wrong

    with pytest.raises(Invalid) as refused:
        await change_settings(one.installation, tenant.code, "guarded", change)
    pointers = {error.pointer for error in refused.value.errors}
    assert {"/limit", "/token", "/spare/1", "/main/colour"} == pointers
    assert clear not in f"{refused.value!r} {refused.value.errors}"
    assert before == await ledger(one, tenant)


async def test_history(both: TestKit, clear: str, everything: Callable[..., Any]) -> None:
    """Each change of a setting is written down, whoever makes it, with secrets masked."""
    tenant = await both.make_tenant(settings={"guarded": {"limit": 1, "token": clear}})
    installation, code = both.installation, tenant.code
    await change_settings(installation, code, "guarded", lambda s: put(s, ["limit"], 2))
    assert not await change_settings(installation, code, "guarded", lambda s: put(s, ["limit"], 2))
    await change_settings(installation, code, "guarded", lambda s: put(s, ["token"], f"{clear}!"))
    await change_settings(installation, code, "guarded", lambda s: take_out(s, ["token"]))
    await enable_plugins(installation, code, {"guarded": {"limit": 3}})
    changes = [
        (one.setting, one.before, one.after)
        for one in await setting_history(installation, tenant, plugin="guarded")
    ]
    expected = [
        ("limit", 2, 3),
        ("token", "***", None),
        ("token", "***", "***"),
        ("limit", 1, 2),
    ]
    assert expected == changes[:4]
    assert [("limit", None, 1), ("token", None, "***")] == sorted(changes[4:])
    assert clear not in await everything(both, code)


async def test_history_and_change_commit_together(one: TestKit) -> None:
    """A change that is undone leaves no line in the history."""
    tenant = await one.make_tenant(settings={"guarded": {"limit": 1}})
    async with one.installation.cell(tenant).owner() as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(
            "UPDATE pss.tenant_plugin SET settings = '{\"limit\": 5}' WHERE tenant = $1",
            tenant.code,
        )
        await transaction.rollback()
    assert 1 == len(await setting_history(one.installation, tenant))


async def test_arriving_from_elsewhere(one: TestKit) -> None:
    """Rows that arrive after their own history add nothing to it; a deletion is written down."""
    tenant = await one.make_tenant(settings={"guarded": {"limit": 1, "address": "x"}})
    mine = f"plugin = 'guarded' AND tenant = '{tenant.code}'"
    async with one.installation.cell(tenant).owner() as owner:
        async with owner.transaction():
            await owner.execute(
                "CREATE TEMP TABLE kept ON COMMIT DROP AS "
                f"SELECT * FROM pss.tenant_plugin WHERE {mine}"
            )
            await owner.execute("SET LOCAL pss.source = 'key rotation'")  # goes unnoticed
            await owner.execute(f"DELETE FROM pss.tenant_plugin WHERE {mine}")
            await owner.execute("SET LOCAL pss.source = ''")
            await owner.execute("INSERT INTO pss.tenant_plugin SELECT * FROM kept")
        assert 2 == len(await setting_history(one.installation, tenant))
        await owner.execute(f"DELETE FROM pss.tenant_plugin WHERE {mine}")
    gone = await setting_history(one.installation, tenant)
    assert {("limit", None), ("address", None)} == {(c.setting, c.after) for c in gone[:2]}
    async with one.installation.cell(tenant).owner() as owner:
        await owner.execute("DELETE FROM pss.tenant WHERE code = $1", tenant.code)
        left = await owner.fetchval(
            "SELECT count(*) FROM pss.setting_change WHERE tenant = $1", tenant.code
        )
    assert 0 == left


async def test_seen_by_other_processes(
    one: TestKit, beside: Callable[..., Any], clear: str, eventually: Callable[..., Any]
) -> None:
    """Another process has a changed secret when it next looks."""
    tenant = await one.make_tenant(plugins=["guarded"])
    other = await beside(one)
    other.installation.directory.start()
    try:
        assert current(other, tenant).token is None
        await change_settings(
            one.installation, tenant.code, "guarded", lambda s: put(s, ["token"], clear)
        )
        token = await eventually(lambda: current(other, tenant).token)
        assert clear == token.reveal()
    finally:
        await other.installation.directory.stop()


async def test_nothing_shows_it(
    one: TestKit, clear: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A careless plugin's answers, errors, log lines and tracebacks have asterisks."""
    configure_logging(one.installation.config)  # so that it writes where capsys reads
    tenant = await one.make_tenant(settings={"guarded": everywhere(clear)})
    with caplog.at_level(logging.DEBUG):
        async with one.http(tenant) as http:
            careless = await http.get("/v1/guarded/careless")
            failing = await http.get("/v1/guarded/failing")
            facts = await http.get("/v1/tenant")
    assert "***" == careless.json()["token"]
    said = capsys.readouterr()
    seen = [careless.text, failing.text, facts.text, said.out, said.err, caplog.text]
    assert 500 == failing.status_code
    assert "RuntimeError" in said.err + caplog.text
    assert [] == [text for text in seen if clear in text]
    assert clear not in f"{tenant} {tenant.plugins} {vars(tenant)}"


def test_masked_by_shape(clear: str) -> None:
    """What is sealed is masked even where nobody knows its type."""
    stored = {"a": {"$sealed": "AA=="}, "b": [{"$sealed": "AA=="}, 1], "c": Secret(clear)}
    assert {"a": "***", "b": ["***", 1], "c": "***"} == masked(stored)


def test_account_without_a_password() -> None:
    """A secret may be left out where it has a default."""
    assert Account(name="x").password is None
