"""What migrations make, read from their SQL."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import pss_kernel.tenancy
from pss_kernel.persistence._made import Made, objects_made
from pss_kernel.persistence._migrations import Revision, revisions_of, tables_made
from pss_kernel.registry import Registry
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.testing import TestKit


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE a (b text); create table if not exists c (d int)", {"a", "c"}),
        ('CREATE UNLOGGED TABLE "Odd ""name" (b text)', {'Odd "name'}),
        ("CREATE TABLE Folded AS SELECT 1", {"folded"}),
        ("CREATE TEMP TABLE a (b text); CREATE TEMPORARY TABLE c (d int)", set()),
        ("CREATE TABLE pss.a (b text)", set()),
        ("CREATE TABLE a (b text); ALTER TABLE a RENAME TO c", {"c"}),
        ("CREATE TABLE a (b text); ALTER TABLE a RENAME COLUMN b TO c", {"a"}),
        ("CREATE TABLE a (b text); CREATE TABLE c (d int); DROP TABLE a, c CASCADE", set()),
        ("CREATE TABLE a (b text); DROP TABLE IF EXISTS a", set()),
        ("CREATE TABLE a (b text DEFAULT '; CREATE TABLE c (d int)')", {"a"}),
        ("-- CREATE TABLE a (b text);\n/* ; CREATE TABLE c () */ CREATE TABLE d (e int)", {"d"}),
        ("DO $x$ BEGIN CREATE TABLE a (b text); END $x$; CREATE TABLE c (d int)", {"c"}),
        (
            "CREATE TABLE a (b text) PARTITION BY LIST (b); CREATE TABLE a1 PARTITION OF a DEFAULT",
            {"a", "a1"},
        ),
    ],
)
def test_tables(sql: str, expected: set[str]) -> None:
    """Each way of making, renaming and dropping a table."""
    assert expected == tables_made([Revision("0001", sql)])


def test_one_after_the_other() -> None:
    """A later revision takes away what an earlier one has made."""
    made = tables_made(
        [Revision("0001", "CREATE TABLE a (b text)"), Revision("0002", "DROP TABLE a")]
    )
    assert frozenset() == made


def test_other_kinds() -> None:
    """Functions, views, types and sequences have names of their own as well."""
    script = """
CREATE OR REPLACE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS $$SELECT 1$$;
CREATE MATERIALIZED VIEW v AS SELECT 1; CREATE TYPE t AS (a int);
CREATE SEQUENCE s; CREATE FUNCTION g(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
DROP FUNCTION g(int, text), h"""
    expected = {("FUNCTION", "f"), ("MATERIALIZED VIEW", "v"), ("TYPE", "t"), ("SEQUENCE", "s")}
    assert {Made(*one) for one in expected} == objects_made([script])


def test_every_installed_plugin(every_plugin: Registry) -> None:
    """What each plugin's migrations make is what its models name."""
    known = 0
    for name, plugin in every_plugin.plugins.items():
        revisions = revisions_of(every_plugin.migrations_of(name))
        if not revisions:
            continue
        models = importlib.import_module(f"{plugin.package}.models")
        assert set(models.metadata.tables) == tables_made(revisions), name
        known += 1
    assert known


async def test_as_the_database_has_it(kit: TestKit) -> None:
    """The kernel's tables, the built-in plugin's and a plugin's are all that a tenant has."""
    tenant = await kit.make_tenant(plugins=["notes"])
    folders = [
        Path(pss_kernel.tenancy.__path__[0]) / "migrations",
        *map(kit.installation.registry.migrations_of, ("identity", "notes")),
    ]
    async with kit.installation.database.owner() as owner:
        there = {one.name for one in await tables_of(owner, tenant.schema)}
    made = [tables_made(revisions_of(folder)) for folder in folders]
    assert there == frozenset().union(*made)
    assert len(there) == sum(map(len, made))
