"""Migrations: Alembic for the control schema; rendered once and replayed for each tenant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

import alembic.command
import alembic.config
import asyncpg
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from pss_kernel.persistence._database import LIMITS, Database
from pss_kernel.persistence._made import objects_made

__all__ = [
    "Revision",
    "knows",
    "pending",
    "reached",
    "replay",
    "revisions_of",
    "tables_made",
    "upgrade_control",
]

_PACKAGED = Path(__file__).parents[1] / "_migrations"
_CHECKED_OUT = Path(__file__).parents[2] / "migrations"

# The rights of the shared roles. Every tenant's role is a member of the last: rights given to each
# by itself would all stand in one row of the catalogue, which is full after some 2,400 of them.
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
  IF NOT EXISTS (SELECT FROM pg_auth_members m
                 JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
                 WHERE g.rolname = '{identity}' AND r.rolname = '{app}') THEN
    EXECUTE 'GRANT "{identity}" TO "{app}"';
  END IF;
END $$;
ALTER ROLE "{app}" {login};
DO $$
DECLARE one text;
BEGIN
  FOR one IN SELECT t.role FROM pss.tenant t JOIN pg_roles r ON r.rolname = t.role
             WHERE NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                               WHERE m.member = r.oid AND g.rolname = '{tenants}') LOOP
    EXECUTE format('GRANT %I TO %I', '{tenants}', one);
  END LOOP;
END $$;
ALTER ROLE "{app}" SET search_path = '';
-- A temporary table would outlive its transaction, and stand before the next tenant's own.
DO $$ BEGIN
  IF has_database_privilege('public', current_database(), 'TEMPORARY') THEN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
END $$;
-- Asked for by each connection as well, but a pooler does not pass that on. Whoever sets a limit
-- of their own for the role keeps it.
DO $$
DECLARE wanted record;
BEGIN
  FOR wanted IN SELECT * FROM (VALUES {limits}) AS l (name, value) LOOP
    IF NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole,
                   unnest(s.setconfig) AS one
                   WHERE r.rolname = '{app}' AND starts_with(one, wanted.name || '=')) THEN
      EXECUTE format('ALTER ROLE "{app}" SET %I = %L', wanted.name, wanted.value);
    END IF;
  END LOOP;
END $$;
GRANT USAGE ON SCHEMA pss TO "{control}", "{relay}";
GRANT SELECT ON pss.tenant, pss.tenant_domain, pss.tenant_plugin, pss.api_key,
  pss.placement, pss.tenant_change, pss.tenant_key
  TO "{control}";
-- Whoever works on accounts sees the rows of the tenant that is bound, by its search path.
DO $$
DECLARE one text;
BEGIN
  FOREACH one IN ARRAY ARRAY['api_key', 'api_key_use', 'role', 'token_cutoff'] LOOP
    IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'pss' AND tablename = one
                   AND policyname = 'of_tenant') THEN
      EXECUTE format('CREATE POLICY of_tenant ON pss.%I TO %I '
        'USING (''t_'' || tenant = current_schema()) '
        'WITH CHECK (''t_'' || tenant = current_schema())', one, '{identity}');
      EXECUTE format('CREATE POLICY read ON pss.%I FOR SELECT TO %I USING (true)', one,
        '{control}');
    END IF;
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'pss' AND tablename = 'api_key_use'
                 AND policyname = 'record') THEN
    CREATE POLICY record ON pss.api_key_use TO "{relay}" USING (true) WITH CHECK (true);
  END IF;
END $$;
GRANT USAGE ON SCHEMA pss TO "{identity}";
GRANT SELECT, INSERT, UPDATE, DELETE ON pss.role, pss.token_cutoff TO "{identity}";
GRANT SELECT, INSERT, UPDATE ON pss.api_key TO "{identity}";
GRANT SELECT ON pss.api_key_use TO "{identity}";
GRANT SELECT ON pss.role, pss.token_cutoff, pss.signing_key TO "{control}";
GRANT USAGE ON SCHEMA pss TO "{tenants}";
GRANT INSERT ON pss.outbox TO "{tenants}";
GRANT USAGE ON SEQUENCE pss.outbox_id_seq TO "{tenants}";
GRANT SELECT, INSERT, UPDATE, DELETE ON pss.outbox, pss.outbox_dead, pss.job, pss.event_waiting,
  pss.tenant_traffic, pss.api_key_use, pss.outgoing TO "{relay}";
GRANT USAGE ON SEQUENCE pss.outbox_id_seq, pss.outbox_dead_id_seq TO "{relay}";
GRANT SELECT (code) ON pss.tenant TO "{relay}";
GRANT EXECUTE ON FUNCTION pss.quarantine_plugin(text, text, text) TO "{relay}";
"""


_CONCURRENTLY = re.compile(
    r"(\b(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+)CONCURRENTLY\s+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration of a plugin, as the SQL that every tenant replays."""

    revision: str
    sql: str
    """All of it, for one transaction: where nobody uses the tables, indexes may block."""
    statements: tuple[str, ...] = ()
    """As they were written, one by one."""
    concurrent: bool = False
    """Written in an ``autocommit_block``: it can't run in a transaction."""
    first: bool = False
    """Makes the plugin's tables, so nobody can be using them yet."""
    allow: Mapping[str, str] = field(default_factory=dict)
    """What the linter would refuse, with the author's reason: ``allow`` in the module."""
    unread_since: Mapping[str, str] = field(default_factory=dict)
    """What it drops, with the plugin's version that stopped reading it: ``unread_since``."""


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
        shared = (roles.app, roles.control, roles.relay, roles.tenants, roles.identity)
        names = ", ".join(f"'{name}'" for name in shared)
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute(
            _ROLES.format(
                names=names,
                app=roles.app,
                control=roles.control,
                relay=roles.relay,
                tenants=roles.tenants,
                identity=roles.identity,
                login="LOGIN" if database.embedded else "NOINHERIT",
                limits=", ".join(f"('{name}', '{value}')" for name, value in LIMITS.items()),
            )
        )
    await engine.dispose()


class _Written:
    """Takes what Alembic renders: one statement at a time."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def write(self, text: str) -> None:
        """One statement with its end."""
        self.statements.append(text.strip().removesuffix(";").rstrip())

    def flush(self) -> None:
        """Nothing is held back."""


@cache
def revisions_of(folder: Path) -> tuple[Revision, ...]:
    """A plugin's migrations, oldest first, rendered to SQL (once in a process)."""
    if not folder.is_dir():
        return ()
    script = ScriptDirectory(str(folder), version_locations=[str(folder)])
    heads = script.get_heads()
    if len(heads) > 1:
        raise ValueError(
            f"The migrations in {folder} end twice, with {' and '.join(sorted(heads))}: "
            "let one come after the other (down_revision)."
        )
    rendered = []
    for one in reversed(list(script.walk_revisions())):
        written = _Written()
        context = MigrationContext.configure(
            dialect=dialect(),  # type: ignore[no-untyped-call]
            opts={
                "as_sql": True,
                "output_buffer": written,
                "literal_binds": True,
                "transactional_ddl": True,
            },
        )
        with Operations.context(context):
            one.module.upgrade()
        rendered.append(_revision(one.revision, one.down_revision is None, one.module, written))
    return tuple(rendered)


def _revision(name: str, first: bool, module: ModuleType, written: _Written) -> Revision:
    """The edges of an autocommit block are rendered as statements: taken out again."""
    statements = tuple(one for one in written.statements if one not in {"", "COMMIT", "BEGIN"})
    return Revision(
        name,
        "".join(_CONCURRENTLY.sub(r"\1", one) + ";\n\n" for one in statements),
        statements,
        concurrent="COMMIT" in written.statements,
        first=first,
        allow=dict(getattr(module, "allow", {})),
        unread_since=dict(getattr(module, "unread_since", {})),
    )


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


def reached(folder: Path, current: str | None, wanted: str) -> bool:
    """Whether tables at ``current`` have the revision ``wanted``; tables ahead of us have all."""
    if not knows(folder, current):
        return True
    names = [one.revision for one in revisions_of(folder)]
    return current is not None and names.index(wanted) <= names.index(current)


async def replay(
    connection: asyncpg.Connection, revisions: tuple[Revision, ...], schema: str | None = None
) -> None:
    """Run rendered migrations in one go, in a transaction.

    In the tenant's ``schema``, or on a connection that is bound to it already.
    """
    script = "\n".join(one.sql for one in revisions if one.sql.strip())
    if not script:
        return
    if schema is not None:
        script = f"SET LOCAL search_path = \"{schema}\";\n{script}\n;SET LOCAL search_path = ''"
    await connection.execute(script)


def tables_made(revisions: Iterable[Revision]) -> frozenset[str]:
    """The names of the tables that are there after these migrations, from the first one on."""
    return frozenset(
        made.name for made in objects_made(one.sql for one in revisions) if made.kind == "TABLE"
    )
