"""What the linter refuses in a revision, what it lets pass, and what an author may allow."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pss_kernel.registry import Registry
from pss_kernel.rollout._lint import Finding, lint
from pss_kernel.rollout._pending import Catalogue
from pss_outside.versions import made_plugin

_TABLE = 'op.execute("CREATE TABLE stock (name text PRIMARY KEY, amount integer, shop text)")'


class Author:
    """Writes a plugin's second revision."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def findings(
        self, *statements: str, head: str = "", version: str = "2", concurrent: bool = False
    ) -> list[Finding]:
        """Give what the linter says of the revision with these statements."""
        lines = [f"op.execute({one!r})" for one in statements]
        if concurrent:
            lines = ["with op.get_context().autocommit_block():", *(f"    {one}" for one in lines)]
        name = f"stock{secrets.token_hex(3)}"
        revisions = {"0001": _TABLE, "0002": "\n".join(lines)}
        plugin = made_plugin(self.folder, name, version, revisions, head)
        return lint(Catalogue(Registry([plugin]), [name]))

    def rules(self, *statements: str, **options: object) -> set[str]:
        """Give the rules that refuse it."""
        found = self.findings(*statements, **options)  # type: ignore[arg-type]
        return {one.rule for one in found if one.allowed is None}


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    """With a folder of their own."""
    sys.path.append(str(tmp_path))
    yield Author(tmp_path)
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("ALTER TABLE stock ALTER COLUMN amount TYPE bigint", "changing-column-type"),
        ("ALTER TABLE stock ALTER COLUMN amount TYPE bigint", "table-rewrite"),
        ("ALTER TABLE stock ADD COLUMN k uuid DEFAULT gen_random_uuid()", "table-rewrite"),
        ("ALTER TABLE stock ADD COLUMN k bigint GENERATED ALWAYS AS IDENTITY", "table-rewrite"),
        ("ALTER TABLE stock SET UNLOGGED", "table-rewrite"),
        ("CREATE INDEX ix_stock_shop ON stock (shop)", "require-concurrent-index-creation"),
        ("DROP INDEX ix_stock_shop", "require-concurrent-index-deletion"),
        ("CREATE INDEX CONCURRENTLY ix_shop ON stock (shop)", "concurrent-in-transaction"),
        ("ALTER TABLE stock ADD COLUMN unit text NOT NULL", "adding-required-field"),
        ("ALTER TABLE stock ALTER COLUMN shop SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE stock ADD CONSTRAINT ck CHECK (amount > 0)", "constraint-missing-not-valid"),
        ("ALTER TABLE stock ADD CONSTRAINT uq UNIQUE (shop)", "disallowed-unique-constraint"),
        ("ALTER TABLE stock RENAME COLUMN shop TO place", "renaming-column"),
        ("ALTER TABLE stock RENAME TO goods", "renaming-table"),
        ("ALTER TABLE stock DROP COLUMN shop", "drop-still-read"),
        ("DROP TABLE stock", "drop-still-read"),
        ("SET LOCAL lock_timeout = 0", "setting-changed"),
        ("SET statement_timeout = 0", "setting-changed"),
        ("SELECT set_config('lock_timeout', '0', true)", "setting-changed"),
        ("CREATE TABLE public.other (a text)", "schema-named"),
        ("COMMIT AND CHAIN", "transaction-controlled"),
        ("UPDATE stock SET amount = 0", "whole-table-write"),
        ("DELETE FROM stock", "whole-table-write"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE stock'; END $$", "opaque-block"),
    ],
)
def test_refused(author: Author, sql: str, rule: str) -> None:
    """Each of them would stop requests, or break processes of the version before."""
    assert rule in author.rules(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE stock ADD COLUMN unit text",
        "ALTER TABLE stock ADD COLUMN unit text NOT NULL DEFAULT 'kg'",
        "ALTER TABLE stock ADD COLUMN seen timestamptz DEFAULT now()",
        "CREATE TABLE sale (id bigint PRIMARY KEY); CREATE INDEX ix_sale ON sale (id)",
        "ALTER TABLE stock ADD CONSTRAINT ck CHECK (amount > 0) NOT VALID",
        "ALTER TABLE stock VALIDATE CONSTRAINT ck",
        "UPDATE stock SET amount = 0 WHERE amount IS NULL",
        "ALTER TABLE stock ALTER COLUMN shop SET DEFAULT 'a'",
    ],
)
def test_let_pass(author: Author, sql: str) -> None:
    """What requests of both versions don't notice."""
    assert set() == author.rules(sql)


def test_indexes_outside_a_transaction(author: Author) -> None:
    """A named index, made or dropped concurrently, in a revision of its own."""
    index = "CREATE INDEX CONCURRENTLY ix_stock_shop ON stock (shop)"
    assert set() == author.rules(index, concurrent=True)
    assert set() == author.rules("DROP INDEX CONCURRENTLY ix_old", index, concurrent=True)
    for other in ("CREATE INDEX CONCURRENTLY ON stock (shop)", "ALTER TABLE stock ADD a text"):
        assert "concurrent-only" in author.rules(index, other, concurrent=True)


def test_a_justified_exception(author: Author) -> None:
    """Its reason stands beside the revision and is shown; one that is not needed is refused."""
    head = "allow = {'whole-table-write': 'Ten rows for each tenant.'}"
    (finding,) = author.findings("UPDATE stock SET amount = 0", head=head)
    assert ("whole-table-write", "Ten rows for each tenant.") == (finding.rule, finding.allowed)
    assert {"unused-allow"} == author.rules("ALTER TABLE stock ADD a text", head=head)
    assert {"whole-table-write"} == author.rules(
        "UPDATE stock SET amount = 0", head="allow = {'whole-table-write': ''}"
    )


@pytest.mark.parametrize(
    ("since", "version", "refused"),
    [("2.0", "2.1", False), ("2.0", "2.0", True), ("3.0", "2.0", True)],
)
def test_contracting(author: Author, since: str, version: str, *, refused: bool) -> None:
    """A column goes a version after it was last read, when the revision says since when."""
    rules = author.rules(
        "ALTER TABLE stock DROP COLUMN shop",
        head=f"unread_since = {{'stock.shop': {since!r}}}",
        version=version,
    )
    assert ({"drop-still-read"} if refused else set()) == rules


def test_the_first_revision_is_free(author: Author) -> None:
    """Nobody uses its tables yet; but it sets nothing and names no schema either."""
    first = 'op.execute("CREATE TABLE a (b int); CREATE INDEX c ON a (b); UPDATE a SET b = 1")'
    name = f"stock{secrets.token_hex(3)}"
    plugin = made_plugin(author.folder, name, "1", {"0001": first})
    assert [] == lint(Catalogue(Registry([plugin]), [name]))
    worse = 'op.execute("SET search_path = pss; CREATE TABLE pss.a (b int)")'
    name = f"stock{secrets.token_hex(3)}"
    plugin = made_plugin(author.folder, name, "1", {"0001": worse})
    found = lint(Catalogue(Registry([plugin]), [name]))
    assert {"setting-changed", "schema-named"} == {one.rule for one in found}


def test_a_slip_in_the_sql(author: Author) -> None:
    """What PostgreSQL can't read is a finding of that revision."""
    (finding,) = author.findings("ALTER TABLE stock ADD COLUM foo text")
    assert ("unreadable-sql", "0002") == (finding.rule, finding.revision)


def test_the_plugins_of_this_repository(every_plugin: Registry) -> None:
    """Nothing that is shipped here is refused."""
    assert [] == [one for one in lint(Catalogue(every_plugin)) if one.allowed is None]
