"""Exporting a tenant: every row, in a form that needs nothing of ours to be read."""

from __future__ import annotations

import asyncio
import csv
import fcntl
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from pss_kernel.errors import Conflict, Invalid, TenantUnknown
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._format import Manifest, copy_line
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._place import opened, placed
from pss_kernel.leaving._verify import faults_of, read_manifest
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import copy_in, fingerprint, tables_of
from pss_kernel.testing import TestKit
from pss_notes import store

_READER = Path(__file__).parents[2] / "docs" / "examples" / "read_export.py"
_ODD = """
CREATE TABLE {schema}.parent (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'never again'; END $$;
CREATE TABLE {schema}.odd (
  id integer PRIMARY KEY,
  parent bigint REFERENCES {schema}.parent,
  amount numeric, ratio double precision, at timestamptz, local timestamp, day date,
  span interval, raw bytea, document jsonb, plain json, names text[], grid integer[],
  documents jsonb[], big bigint, truth boolean, word varchar(20), uid uuid,
  twice integer GENERATED ALWAYS AS (id * 2) STORED,
  CONSTRAINT ck_odd_word CHECK (word <> 'wrong')
);
CREATE INDEX ix_odd_word ON {schema}.odd (word) WHERE word IS NOT NULL;
INSERT INTO {schema}.parent DEFAULT VALUES;
INSERT INTO {schema}.odd VALUES
  (1, 1, 1.10, 0.1, '2026-03-29 01:30:00.123456+01', '2026-03-29 02:30', '2026-01-31',
   '1 mon 2 days 03:04:05.6', '\\x00ff0a5c', '{{"n": 1.10, "t": "\\u00e9\\n"}}', '{{"a":  1}}',
   ARRAY['a,b', 'c"d', 'e\\f', '', NULL, E'two\\nlines'], ARRAY[[1,2],[3,NULL]],
   ARRAY['null'::jsonb, NULL, '{{"x": "\\"y\\""}}'], 9007199254740993, true, '',
   '018f0000-0000-7000-8000-000000000001'),
  (2, NULL, 'NaN', 'Infinity', 'infinity', NULL, NULL, NULL, '', 'null', 'null', '{{}}', NULL, NULL,
   -1, NULL, E'tab\\tand \\\\N', NULL);
CREATE TRIGGER refuse BEFORE INSERT ON {schema}.odd FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
"""


async def _with_rows(kit: TestKit) -> Tenant:
    """A tenant with notes, events that were handled, and one that waits."""
    tenant = await kit.make_tenant(plugins=["notes", "echo"])
    async with kit.unit_of_work(tenant) as uow:
        for body in ("first", 'odd "text"\\ with\nlines, commas\tand a tab', ""):
            await store.write_note(uow, body)
    await kit.deliver(tenant)
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "last")
    await kit.api_key(tenant, ["*"])
    return tenant


def _lines(path: Path) -> list[dict[str, Any]]:
    """As somebody reads it who has nothing but Python."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _counted(export: Path) -> list[str]:
    """What the script says that the guide shows."""
    command = [sys.executable, "-I", str(_READER), str(export)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


async def test_every_row(either: TestKit, tmp_path: Path) -> None:
    """Read with the standard library alone, an export has each row of each table."""
    tenant = await _with_rows(either)
    target = tmp_path / "out"
    await export_tenant(either.installation, tenant.code, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert (tenant.code, 1) == (manifest["tenant"]["code"], manifest["format_version"])
    async with either.installation.cell(tenant).owner() as owner:
        tables = await tables_of(owner, tenant.schema)
        assert {one.name for one in tables} == {one["name"] for one in manifest["tables"]}
        for table in manifest["tables"]:
            rows = await owner.fetch(f'SELECT * FROM {tenant.schema}."{table["name"]}"')
            read = _lines(target / table["file"])
            assert (len(rows), table["rows"]) == (len(read), len(read)), table["name"]
            key = table["key"]
            assert {tuple(str(row[one]) for one in key) for row in rows} == {
                tuple(str(row[one]) for one in key) for row in read
            }
    notes = _lines(target / "tables/note.jsonl")
    assert ["", "first", "last", 'odd "text"\\ with\nlines, commas\tand a tab'] == sorted(
        row["body"] for row in notes
    )
    whose = {table["name"]: table["plugin"] for table in manifest["tables"]}
    assert ("notes", "kernel") == (whose["note"], whose["event"])
    assert [f"{table['name']}: {table['rows']}" for table in manifest["tables"]] == _counted(target)


async def test_rows_of_the_control_schema(either: TestKit, tmp_path: Path) -> None:
    """Identity, plugins, keys (digests only) and waiting events are in it, this tenant's only."""
    tenant, other = [await _with_rows(either) for _ in range(2)]
    target = tmp_path / "out"
    await export_tenant(either.installation, tenant.code, target)
    assert [tenant.code] == [row["code"] for row in _lines(target / "control/tenant.jsonl")]
    plugins = _lines(target / "control/tenant_plugin.jsonl")
    assert {"kernel", "identity", "notes", "echo"} == {row["plugin"] for row in plugins}
    (key,) = _lines(target / "control/api_key.jsonl")
    assert key["secret_digest"].startswith("\\x")
    (waiting,) = _lines(target / "control/outbox.jsonl")
    assert tenant.code == json.loads(waiting["payload"])["tenant"]
    everything = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
    assert other.code.encode() not in everything


async def test_nobody_signs_in_with_an_export(kit: TestKit, tmp_path: Path) -> None:
    """Accounts are in it with what is secret marked so; sessions and refresh tokens are not."""
    tenant = await _with_rows(kit)
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(f"""
INSERT INTO {tenant.schema}.account (account_id, email, email_key, name, created_by)
VALUES ('acc_1', 'nora@example.org', 'nora@example.org', 'Nora', 'test');
INSERT INTO {tenant.schema}.session (session_id, account_id, methods, expires_at, address,
  user_agent, token_expires_at)
VALUES ('ses_1', 'acc_1', '{{pwd}}', now() + interval '1 hour', '::1', 'x', now());
INSERT INTO {tenant.schema}.refresh_token (digest, session_id, expires_at)
VALUES ('\\x00', 'ses_1', now() + interval '1 hour')""")
    manifest = await export_tenant(kit.installation, tenant.code, tmp_path / "out")
    assert 1 == len(_lines(tmp_path / "out/tables/account.jsonl"))
    for name in ("session", "refresh_token"):
        assert b"" == (tmp_path / f"out/tables/{name}.jsonl").read_bytes()
    (account,) = [one for one in manifest.tables if one.name == "account"]
    marks = {one.name: one.protection for one in account.columns}
    assert ("personal", "secret", None) == (marks["email"], marks["password_hash"], marks["state"])
    await import_tenant(
        kit.installation, tmp_path / "out", manifest, code=f"{tenant.code}_b", events=False
    )


async def test_into_sqlite_and_csv(kit: TestKit, tmp_path: Path) -> None:
    """A few lines of the standard library make a database or a spreadsheet of it."""
    tenant = await _with_rows(kit)
    target = tmp_path / "out"
    await export_tenant(kit.installation, tenant.code, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    database = sqlite3.connect(":memory:")
    for table in manifest["tables"]:
        names = [column["name"] for column in table["columns"]]
        database.execute(f'CREATE TABLE "{table["name"]}" ({", ".join(names)})')
        database.executemany(
            f'INSERT INTO "{table["name"]}" VALUES ({", ".join("?" * len(names))})',
            [[row[name] for name in names] for row in _lines(target / table["file"])],
        )
    ((notes,),) = database.execute("SELECT count(*) FROM note JOIN event ON stream = note_id")
    database.close()
    assert 4 == notes
    out = io.StringIO()
    rows = _lines(target / "tables/note.jsonl")
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    assert rows == list(csv.DictReader(io.StringIO(out.getvalue())))


async def test_nothing_is_lost(either: TestKit, tmp_path: Path) -> None:
    """Each type of value, NULL and what looks like it: out, and in again by schema.sql."""
    tenant = await either.make_tenant()
    schema = tenant.schema
    async with either.installation.cell(tenant).owner() as owner:
        await owner.execute(_ODD.format(schema=schema))
        target = tmp_path / "out"
        manifest = await export_tenant(either.installation, tenant.code, target)
        first, second = _lines(target / "tables/odd.jsonl")
        assert Decimal("1.10") == Decimal(first["amount"])
        assert "1.10" == first["amount"]
        assert "2026-03-29 00:30:00.123456+00" == first["at"]
        assert bytes.fromhex("00ff0a5c") == bytes.fromhex(first["raw"].removeprefix("\\x"))
        assert {"n": 1.1, "t": "é\n"} == json.loads(first["document"])
        assert ["a,b", 'c"d', "e\\f", "", None, "two\nlines"] == first["names"]
        assert ([[1, 2], [3, None]], 9007199254740993) == (first["grid"], first["big"])
        assert (True, "") == (first["truth"], first["word"])
        assert ("NaN", "infinity", "null", None) == (
            second["amount"], second["at"], second["document"], second["local"]
        )  # fmt: skip
        assert "twice" not in first  # PostgreSQL computes it
        async with owner.transaction():
            before = {
                one.name: await fingerprint(owner, schema, one)
                for one in await tables_of(owner, schema)
            }
            await owner.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}_before")
            script = (target / "schema.sql").read_text(encoding="utf-8")
            await owner.execute(script)
            await _load(owner, schema, target, manifest)
            tables = await tables_of(owner, schema)
            assert before == {one.name: await fingerprint(owner, schema, one) for one in tables}
            with pytest.raises(asyncpg.RaiseError, match="never again"):
                async with owner.transaction():
                    await owner.execute(f"INSERT INTO {schema}.odd (id) VALUES (3)")
        await owner.execute(f"DROP TABLE {schema}.odd, {schema}.parent")


async def _load(owner: asyncpg.Connection, schema: str, target: Path, manifest: Manifest) -> None:
    there = {one.name: one for one in await tables_of(owner, schema)}
    assert there.keys() == {one.name for one in manifest.tables}
    for one in manifest.tables:

        async def rows(one: Any = one) -> Any:
            for row in _lines(target / one.file):
                yield copy_line(row, one.columns)

        await copy_in(owner, schema, there[one.name], rows(), form="text")


async def test_one_view(kit: TestKit, tmp_path: Path) -> None:
    """What is written while it runs is in all of its tables or in none, and waits for nothing."""
    tenant = await kit.make_tenant(plugins=["notes"])

    async def write() -> None:
        for number in range(30):
            async with kit.unit_of_work(tenant) as uow:
                await store.write_note(uow, f"{number}")
                await store.leave_trace(uow, "somebody", f"{number}")

    writing = asyncio.create_task(write())
    counts = []
    for number in range(5):
        manifest = await export_tenant(kit.installation, tenant.code, tmp_path / f"{number}")
        rows = {one.name: one.rows for one in manifest.tables}
        counts.append((rows["note"], rows["trace"], rows["event"]))
    await writing
    assert [(one[0],) * 3 for one in counts] == counts


async def test_private_and_checkable(kit: TestKit, tmp_path: Path) -> None:
    """Files are their owner's alone; ``sha256sum`` finds each as it was written."""
    tenant = await _with_rows(kit)
    target = tmp_path / "out"
    await export_tenant(kit.installation, tenant.code, target)
    assert {0o700} == {path.stat().st_mode & 0o777 for path in (target, target / "tables")}
    files = [path for path in target.rglob("*") if path.is_file()]
    assert {0o600} == {path.stat().st_mode & 0o777 for path in files}
    listed = (target / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert len(files) - 1 == len(listed)
    for line in listed:
        digest, _, name = line.partition("  ")
        assert digest == hashlib.sha256((target / name).read_bytes()).hexdigest()
    checked = await asyncio.to_thread(
        subprocess.run,
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=target,
        check=False,
        capture_output=True,
    )
    assert (0, b"") == (checked.returncode, checked.stdout)


@pytest.mark.parametrize("name", ["out", "out.zip", "out.tar.gz"])
async def test_each_form(kit: TestKit, tmp_path: Path, name: str) -> None:
    """A folder or an archive of it: read again, whole, with nothing left beside it."""
    tenant = await _with_rows(kit)
    target = tmp_path / name
    manifest = await export_tenant(kit.installation, tenant.code, target)
    with opened(target) as folder:
        assert manifest == read_manifest(folder)
        assert [] == faults_of(folder, manifest)
    assert [target.name] == _names(tmp_path)
    assert 0 == target.stat().st_mode & 0o077
    with pytest.raises(Conflict, match="there already"):
        await export_tenant(kit.installation, tenant.code, target)
    assert [target.name] == _names(tmp_path)


async def test_damage_is_found(kit: TestKit, tmp_path: Path) -> None:
    """A changed byte, a lost line, a missing file and one too many are each named."""
    tenant = await _with_rows(kit)
    target = tmp_path / "out"
    manifest = await export_tenant(kit.installation, tenant.code, target)
    note = target / "tables/note.jsonl"
    note.write_text(note.read_text(encoding="utf-8").replace("first", "worst"), encoding="utf-8")
    trace = target / "tables/event.jsonl"
    trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[1:]))
    (target / "control/api_key.jsonl").unlink()
    (target / "tables/more.jsonl").touch()
    said = "\n".join(faults_of(target, manifest))
    assert "tables/note.jsonl is not as it was written" in said
    assert "tables/event.jsonl has 3 rows; 4 were written." in said
    assert "control/api_key.jsonl is missing." in said
    assert "tables/more.jsonl was not written by the export." in said
    (target / "manifest.json").write_bytes(b"{}")
    with pytest.raises(Invalid, match="can't be read"):
        read_manifest(target)


def test_a_newer_format(tmp_path: Path) -> None:
    """An export of a later version is refused with what to do, before it is looked into."""
    head = {"format": "pss-tenant-export", "format_version": 99}
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(head))
    with pytest.raises(Invalid, match="version 99 of the format") as caught:
        read_manifest(tmp_path)
    assert "newer-export" == caught.value.code


def test_a_manifest_without_end(tmp_path: Path) -> None:
    """A manifest that is nested beyond reason is refused in a sentence."""
    (tmp_path / "manifest.json").write_bytes(b'{"x":' + b"[" * 100_000)
    with pytest.raises(Invalid, match="can't be read"):
        read_manifest(tmp_path)


def _packed(target: Path, content: bytes) -> None:
    """An archive of one file."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("out/manifest.json", content)
        return
    with tarfile.open(target, "w:gz") as archive_tar:
        member = tarfile.TarInfo("out/manifest.json")
        member.size = len(content)
        archive_tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("name", ["out.zip", "out.tar.gz"])
def test_one_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Unpacking stops where an archive grows beyond reason; nothing is left of it."""
    monkeypatch.setattr("pss_kernel.leaving._place._ALWAYS_BYTES", 1 << 20)
    _packed(tmp_path / name, bytes(8 << 20))
    with pytest.raises(Invalid, match="grows to more than") as caught, opened(tmp_path / name):
        pass
    assert "export-damaged" == caught.value.code
    assert [name] == _names(tmp_path)


@pytest.mark.parametrize("name", ["out.rar", "out.7z", "out.tar", "out.tar.bz2", "out.ZIP"])
def test_other_archives(tmp_path: Path, name: str) -> None:
    """The ending of an archive that is not written is refused, with those that are."""
    with pytest.raises(Invalid) as caught, placed(tmp_path / name):
        pass
    assert (True, "export-place") == (".zip, .tar.gz" in str(caught.value.mend), caught.value.code)
    assert [] == _names(tmp_path)


async def test_left_by_a_killed_one(kit: TestKit, tmp_path: Path) -> None:
    """What an attempt has left is thrown away; while one runs, another is refused."""
    tenant = await _with_rows(kit)
    target = tmp_path / "out"
    partial = tmp_path / ".out.partial"
    (partial / "tables").mkdir(parents=True)
    (partial / "tables/note.jsonl").write_text("half a li", encoding="utf-8")
    lock = os.open(partial, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match="Another export"):
        await export_tenant(kit.installation, tenant.code, target)
    os.close(lock)
    manifest = await export_tenant(kit.installation, tenant.code, target)
    assert [] == faults_of(target, manifest)
    assert [target.name] == _names(tmp_path)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """When writing fails, there is neither the name nor what was begun."""

    def fail() -> None:
        with placed(tmp_path / "out") as folder:
            (folder / "begun").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [] == _names(tmp_path)


async def test_nobody(kit: TestKit, tmp_path: Path) -> None:
    """A code that belongs to no tenant is told, and nothing is written."""
    with pytest.raises(TenantUnknown, match="There is no tenant 'nobody'"):
        await export_tenant(kit.installation, "nobody", tmp_path / "out")
    assert [] == _names(tmp_path)


async def test_while_tables_change(kit: TestKit, tmp_path: Path, eventually: Any) -> None:
    """A migration of the tenant that is under way ends before the export begins."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.cell(tenant).owner() as owner:
        async with owner.transaction():
            await owner.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", tenant.code
            )
            exporting = asyncio.create_task(
                export_tenant(kit.installation, tenant.code, tmp_path / "out")
            )
            await eventually(
                lambda: owner.fetchval(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                )
            )
            await owner.execute(f"CREATE TABLE {tenant.schema}.later (id int PRIMARY KEY)")
        manifest = await exporting
        assert "later" in {one.name for one in manifest.tables}
        await owner.execute(f"DROP TABLE {tenant.schema}.later")


async def test_a_table_that_is_locked(
    kit: TestKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a change of its tables goes on too long, that is said, and nothing is written."""
    monkeypatch.setattr("pss_kernel.leaving._export._LOCK_TIMEOUT", "50ms")
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.cell(tenant).owner() as owner, owner.transaction():
        await owner.execute(f"LOCK TABLE {tenant.schema}.note IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Conflict, match="is being changed") as caught:
            await export_tenant(kit.installation, tenant.code, tmp_path / "out")
    assert ("tenant-busy", True) == (caught.value.code, caught.value.retryable)
    assert [] == _names(tmp_path)
