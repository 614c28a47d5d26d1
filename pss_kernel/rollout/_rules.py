"""What the linter refuses beside squawk's rules: how migrations are run, and what N-1 reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import postgast
from packaging.version import Version
from postgast import pg_query_pb2 as pg

from pss_kernel.persistence._migrations import Revision
from pss_kernel.rollout._statements import Effect, Known, effects_of, parsed, split, tree_of

__all__ = ["faults_of"]

Fault = tuple[str, str, str]
"""Rule, statement, message."""
_OURS = {"lock_timeout", "statement_timeout", "search_path", "role", "session_authorization"}


def faults_of(revision: Revision, version: str) -> Iterator[Fault]:
    """Everything that our own rules find in a revision of a plugin of that version."""
    known = Known()
    for sql in split(revision.statements):
        yield from ((rule, sql, message) for rule, message in _anywhere(sql))
        (effect,) = effects_of((sql,), known)
        ((kind, node),) = parsed(sql)
        if not revision.first:
            found = itertools.chain(
                _dropped(kind, node, revision, version),
                _effects(kind, node, effect),
                _transaction(kind, node, revision),
            )
            yield from ((rule, sql, message) for rule, message in found)


def _effects(kind: str, node: Any, effect: Effect) -> Iterator[tuple[str, str]]:
    """What keeps requests waiting for long."""
    whole = kind in {"update_stmt", "delete_stmt"} and not node.HasField("where_clause")
    if whole and effect.locks:
        yield "whole-table-write", _WHOLE_TABLE
    if effect.rewrites:
        yield "table-rewrite", _REWRITE
    if effect.unseen:
        yield "opaque-block", _OPAQUE


def _transaction(kind: str, node: Any, revision: Revision) -> Iterator[tuple[str, str]]:
    if revision.concurrent and not _is_concurrent(kind, node):
        yield "concurrent-only", _CONCURRENT_ONLY
    if not revision.concurrent and getattr(node, "concurrent", False):
        yield "concurrent-in-transaction", _NEEDS_BLOCK


_WHOLE_TABLE = (
    "Every row is locked until the tenant's migration commits. Fill small tables only, or let a job"
    " fill it in batches."
)
_REWRITE = "Every row is written anew while nobody can read or write the table. Add a new column."
_OPAQUE = "What a DO block does can't be told from its text. Write plain statements."
_NEEDS_BLOCK = (
    "It can't run in a transaction. Put it into a revision of its own, inside"
    " 'with op.get_context().autocommit_block():'."
)
_CONCURRENT_ONLY = (
    "A revision outside a transaction has CREATE INDEX CONCURRENTLY with a name and DROP INDEX"
    " CONCURRENTLY only, so that it can be run again. Put the rest into a revision of its own."
)


def _anywhere(sql: str) -> Iterator[tuple[str, str]]:
    """What no revision may do, not even the first."""
    for _, node in postgast.walk(tree_of(sql)):
        kind = type(node).__name__
        if kind == "VariableSetStmt" and node.name in _OURS:
            yield "setting-changed", f"Who runs it sets {node.name}. Leave the statement out."
        elif kind == "FuncCall" and node.funcname[-1].string.sval == "set_config":
            yield "setting-changed", "Who runs it decides the settings. Leave the call out."
        elif kind == "RangeVar" and node.schemaname not in {"", "pg_catalog", "information_schema"}:
            yield "schema-named", f"Each tenant has its own schema. Leave {node.schemaname!r} out."
        elif kind == "TransactionStmt":
            yield "transaction-controlled", "Who runs it begins and commits. Leave it out."


def _dropped(kind: str, node: Any, revision: Revision, version: str) -> Iterator[tuple[str, str]]:
    """Columns and tables that the version before may still read."""
    for name in _names(kind, node):
        since = revision.unread_since.get(name)
        if since is None:
            message = (
                f"The version before may read {name!r}. Drop it a version after it was last read,"
                f" with unread_since = {{{name!r}: 'the version that stopped reading it'}}."
            )
            yield "drop-still-read", message
        elif not Version(since) < Version(version):
            message = (
                f"{name!r} is read until {since}, and {version} drops it: processes of the version"
                " before still run then. Drop it in a later version."
            )
            yield "drop-still-read", message


def _names(kind: str, node: Any) -> Iterator[str]:
    if kind == "drop_stmt" and node.remove_type in {pg.OBJECT_TABLE, pg.OBJECT_VIEW}:
        for item in node.objects:
            yield item.list.items[-1].string.sval
    if kind == "alter_table_stmt":
        for command in (one.alter_table_cmd for one in node.cmds):
            if command.subtype == pg.AT_DropColumn:
                yield f"{node.relation.relname}.{command.name}"


def _is_concurrent(kind: str, node: Any) -> bool:
    if kind == "index_stmt":
        return bool(node.concurrent and node.idxname)
    return bool(kind == "drop_stmt" and node.remove_type == pg.OBJECT_INDEX and node.concurrent)
