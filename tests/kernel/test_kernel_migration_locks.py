"""What is said of a statement's locks, held against what a server really takes."""

from __future__ import annotations

import secrets

import pytest

from pss_kernel.rollout._statements import Known, Lock, effects_of
from pss_kernel.testing import TestKit

_BEFORE = """
CREATE TABLE shop (name text PRIMARY KEY, street text);
CREATE TABLE stock (id bigint PRIMARY KEY, name text NOT NULL, amount integer, shop text);
CREATE INDEX ix_stock_name ON stock (name);
CREATE UNIQUE INDEX ix_stock_amount ON stock (amount);
ALTER TABLE stock ADD CONSTRAINT ck_stock_shop CHECK (shop <> '') NOT VALID;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stays BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION nothing();
INSERT INTO shop VALUES ('a', 'b');
INSERT INTO stock VALUES (1, 'x', 2, 'a');
"""
_HELD = """
SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL
"""
_FILES = """
SELECT oid, relname::text AS table, pg_relation_filenode(oid) AS file FROM pg_class
WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'
"""
_STRENGTH = [
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
]

STATEMENTS = [
    "ALTER TABLE stock ADD COLUMN unit text",
    "ALTER TABLE stock ADD COLUMN unit text NOT NULL DEFAULT 'kg'",
    "ALTER TABLE stock ADD COLUMN seen timestamptz DEFAULT now()",
    "ALTER TABLE stock ADD COLUMN seen timestamptz DEFAULT clock_timestamp()",
    "ALTER TABLE stock ADD COLUMN key uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE stock ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE stock ADD COLUMN twice integer GENERATED ALWAYS AS (amount * 2) STORED",
    "ALTER TABLE stock ADD COLUMN place text REFERENCES shop (name)",
    "ALTER TABLE stock DROP COLUMN amount",
    "ALTER TABLE stock ALTER COLUMN amount TYPE bigint",
    "ALTER TABLE stock ALTER COLUMN shop SET NOT NULL",
    "ALTER TABLE stock ALTER COLUMN shop SET DEFAULT 'a'",
    "ALTER TABLE stock ALTER COLUMN name SET STATISTICS 500",
    "ALTER TABLE stock SET (fillfactor = 70)",
    "ALTER TABLE stock SET UNLOGGED",
    "ALTER TABLE stock ADD CONSTRAINT ck_stock_amount CHECK (amount > 0)",
    "ALTER TABLE stock ADD CONSTRAINT fk_stock_shop FOREIGN KEY (shop) REFERENCES shop (name)",
    "ALTER TABLE stock ADD CONSTRAINT fk_stock_shop FOREIGN KEY (shop) REFERENCES shop NOT VALID",
    "ALTER TABLE stock ADD CONSTRAINT uq_stock_amount UNIQUE USING INDEX ix_stock_amount",
    "ALTER TABLE stock VALIDATE CONSTRAINT ck_stock_shop",
    "ALTER TABLE stock DROP CONSTRAINT ck_stock_shop",
    "ALTER TABLE stock DISABLE TRIGGER USER",
    "ALTER TABLE stock RENAME COLUMN name TO title",
    "ALTER TABLE stock RENAME TO goods",
    "CREATE INDEX ix_stock_shop ON stock (shop)",
    "DROP INDEX ix_stock_name",
    "DROP TABLE stock",
    "DROP TRIGGER stays ON stock",
    "CREATE TRIGGER more AFTER UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION nothing()",
    "CREATE TABLE sale (stock bigint REFERENCES stock (id))",
    "CREATE TABLE alone (id bigint)",
    "UPDATE stock SET amount = 3",
    "INSERT INTO stock VALUES (2, 'y', 9, 'a')",
    "DELETE FROM stock",
    "TRUNCATE stock",
    "CLUSTER stock USING ix_stock_name",
    "COMMENT ON COLUMN stock.name IS 'What it is called'",
]


@pytest.mark.parametrize("sql", STATEMENTS)
async def test_locks_and_rewrites(kit: TestKit, sql: str) -> None:
    """The strongest lock on each table, and whether its rows are written anew, are as told."""
    schema = f"locks_{secrets.token_hex(4)}"
    async with kit.installation.database.owner() as owner:
        await owner.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {_BEFORE}")
        try:
            before = {row["oid"]: row for row in await owner.fetch(_FILES, schema)}
            transaction = owner.transaction()
            await transaction.start()
            await owner.execute(sql)
            held: dict[str, str] = {}
            for row in await owner.fetch(_HELD):
                if row["relation"] in before:
                    table = before[row["relation"]]["table"]
                    stronger = max(held.get(table, _STRENGTH[0]), row["mode"], key=_STRENGTH.index)
                    held[table] = stronger
            after = {row["oid"]: row["file"] for row in await owner.fetch(_FILES, schema)}
            await transaction.rollback()
        finally:
            await owner.execute(f"DROP SCHEMA {schema} CASCADE")
    (effect,) = effects_of((sql,), Known(indexes={"ix_stock_name": "stock"}))
    # A mere look (a constraint's or a plan's) is told of nowhere: it blocks nobody's work.
    assert {
        table: mode for table, mode in held.items() if mode not in {"AccessShareLock", _STRENGTH[1]}
    } == {one.table: f"{one.mode.title().replace(' ', '')}Lock" for one in effect.locks}
    rewritten = any(after.get(oid, row["file"]) != row["file"] for oid, row in before.items())
    empties = sql.startswith("TRUNCATE")  # a new file as well, but nothing is written into it
    assert (rewritten and not empties) == effect.rewrites


def test_tables_that_are_new() -> None:
    """Nobody waits for a table that the pending migrations make themselves."""
    made, column, index = effects_of(
        ("CREATE TABLE a (b int); ALTER TABLE a ADD COLUMN c int", "CREATE INDEX d ON a (c)"),
        Known(),
    )
    assert ((), (), ()) == (made.locks, column.locks, index.locks)


def test_what_can_not_be_told() -> None:
    """A DO block says nothing of itself."""
    (effect,) = effects_of(("DO $$ BEGIN PERFORM 1; END $$",), Known())
    assert effect.unseen


def test_who_waits() -> None:
    """A lock's name is not enough for everybody."""
    assert ["reads and writes", "writes", ""] == [
        Lock("a", mode).blocks for mode in ("ACCESS EXCLUSIVE", "SHARE", "ROW EXCLUSIVE")
    ]
