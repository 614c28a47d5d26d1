"""Migrations: Alembic for the control schema; rendered once and replayed for each tenant."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import alembic.command
import alembic.config
import asyncpg
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from pss_kernel.persistence._database import Database

__all__ = ["Revision", "knows", "pending", "replay", "revisions_of", "upgrade_control"]

_PACKAGED = Path(__file__).parents[1] / "_migrations"
_CHECKED_OUT = Path(__file__).parents[2] / "migrations"

# The rights of the three shared roles. Tenant roles are given theirs when they are created.
_ROLES = """
DO $$
DECLARE wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY[{names}] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOINHERIT', wanted);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_auth_members m
                 JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
                 WHERE g.rolname = '{control}' AND r.rolname = '{app}') THEN
    EXECUTE 'GRANT "{control}", "{relay}" TO "{app}"';
  END IF;
END $$;
ALTER ROLE "{app}" {login};
ALTER ROLE "{app}" SET search_path = '';
GRANT USAGE ON SCHEMA pss TO "{control}", "{relay}";
GRANT SELECT ON pss.tenant, pss.tenant_domain, pss.tenant_plugin, pss.api_key, pss.change,
  pss.placement, pss.tenant_key
  TO "{control}";
GRANT SELECT, INSERT, UPDATE, DELETE ON pss.outbox, pss.outbox_dead, pss.job TO "{relay}";
GRANT USAGE ON SEQUENCE pss.outbox_dead_id_seq TO "{relay}";
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration of a plugin, as the SQL that every tenant replays."""

    revision: str
    sql: str


async def upgrade_control(database: Database) -> None:
    """Bring the control schema and the shared roles up to date. Safe to run at once with others."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKED_OUT

    def upgrade(connection: Connection) -> None:
        configuration = alembic.config.Config()
        configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
        configuration.attributes["connection"] = connection
        alembic.command.upgrade(configuration, "head")

    engine = database.owner_engine()
    async with engine.connect() as connection, connection.begin():
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('pss control'))")
        await connection.run_sync(upgrade)
        roles = database.roles
        names = ", ".join(f"'{name}'" for name in (roles.app, roles.control, roles.relay))
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute(
            _ROLES.format(
                names=names,
                app=roles.app,
                control=roles.control,
                relay=roles.relay,
                login="LOGIN" if database.embedded else "NOINHERIT",
            )
        )
    await engine.dispose()


@cache
def revisions_of(folder: Path) -> tuple[Revision, ...]:
    """A plugin's migrations, oldest first, rendered to SQL (once in a process)."""
    if not folder.is_dir():
        return ()
    script = ScriptDirectory(str(folder), version_locations=[str(folder)])
    rendered = []
    for one in reversed(list(script.walk_revisions())):
        written = io.StringIO()
        context = MigrationContext.configure(
            dialect=dialect(),  # type: ignore[no-untyped-call]
            opts={"as_sql": True, "output_buffer": written, "literal_binds": True},
        )
        with Operations.context(context):
            one.module.upgrade()
        rendered.append(Revision(one.revision, written.getvalue()))
    return tuple(rendered)


def knows(folder: Path, current: str | None) -> bool:
    """Whether this code knows the revision at which a tenant's tables are.

    It does not while a newer version runs beside it: then the tables are ahead, and are left so.
    """
    return current is None or any(one.revision == current for one in revisions_of(folder))


def pending(folder: Path, current: str | None) -> tuple[Revision, ...]:
    """The migrations after ``current``, oldest first; none when the tables are ahead of us."""
    every = revisions_of(folder)
    if current is None:
        return every
    names = [one.revision for one in every]
    return every[names.index(current) + 1 :] if current in names else ()


async def replay(connection: asyncpg.Connection, revisions: tuple[Revision, ...]) -> None:
    """Run rendered migrations on a connection that is bound to the tenant's schema."""
    for one in revisions:
        if one.sql.strip():
            await connection.execute(one.sql)
