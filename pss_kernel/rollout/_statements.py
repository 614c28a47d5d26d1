"""What a statement of a migration does to tables in use: its locks, rewrites and scans.

Read from PostgreSQL's own grammar; the locks are those of its documentation (chapter 13.3.1 and
each command's page), and the tests hold them against what a server really takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import postgast
from postgast import pg_query_pb2 as pg

from pss_kernel.errors import Invalid

__all__ = ["Effect", "Known", "Lock", "effects_of", "kind_of", "parsed", "split", "tree_of"]

_ORDER = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
_BLOCKS = {"SHARE": "writes", "SHARE ROW EXCLUSIVE": "writes", "EXCLUSIVE": "writes"}
# Everything else that ALTER TABLE does needs ACCESS EXCLUSIVE.
_WEAKER = {
    pg.AT_ValidateConstraint: "SHARE UPDATE EXCLUSIVE",
    pg.AT_SetStatistics: "SHARE UPDATE EXCLUSIVE",
    pg.AT_SetOptions: "SHARE UPDATE EXCLUSIVE",
    pg.AT_ResetOptions: "SHARE UPDATE EXCLUSIVE",
    pg.AT_SetRelOptions: "SHARE UPDATE EXCLUSIVE",
    pg.AT_ResetRelOptions: "SHARE UPDATE EXCLUSIVE",
    pg.AT_ClusterOn: "SHARE UPDATE EXCLUSIVE",
    pg.AT_DropCluster: "SHARE UPDATE EXCLUSIVE",
    pg.AT_AttachPartition: "SHARE UPDATE EXCLUSIVE",
    pg.AT_EnableTrig: "SHARE ROW EXCLUSIVE",
    pg.AT_EnableTrigAll: "SHARE ROW EXCLUSIVE",
    pg.AT_EnableTrigUser: "SHARE ROW EXCLUSIVE",
    pg.AT_DisableTrig: "SHARE ROW EXCLUSIVE",
    pg.AT_DisableTrigAll: "SHARE ROW EXCLUSIVE",
    pg.AT_DisableTrigUser: "SHARE ROW EXCLUSIVE",
}
_REWRITES = {
    pg.AT_AlterColumnType,
    pg.AT_SetLogged,
    pg.AT_SetUnLogged,
    pg.AT_SetAccessMethod,
    pg.AT_SetTableSpace,
    pg.AT_SetExpression,
    pg.AT_AddIdentity,
}
# Evaluated once for the whole ALTER TABLE, so that no row has to be written.
_NOT_VOLATILE = {"now", "transaction_timestamp", "statement_timestamp", "current_setting"}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on a table, by PostgreSQL's name for its mode."""

    table: str
    mode: str

    @property
    def blocks(self) -> str:
        """Who waits while it is held: ``reads and writes``, ``writes`` or nobody."""
        return "reads and writes" if self.mode == _ORDER[-1] else _BLOCKS.get(self.mode, "")


@dataclass(frozen=True, slots=True)
class Effect:
    """One statement, and what it does to tables that were there before the migration."""

    sql: str
    locks: tuple[Lock, ...] = ()
    rewrites: bool = False
    """Every row is written anew while the lock is held."""
    scans: bool = False
    """Every row is read while the lock is held."""
    unseen: bool = False
    """What it does can't be told from its text (a DO block, say); a dry run shows it."""


@dataclass(slots=True)
class Known:
    """What a plugin's migrations have made so far, in the order in which they are read."""

    indexes: dict[str, str] = field(default_factory=dict)
    """The table that each index is on."""
    made: set[str] = field(default_factory=set)
    """Tables that are not there before the pending migrations: nobody waits for them."""


def parsed(sql: str) -> list[tuple[str, Any]]:
    """Each statement as PostgreSQL's parser sees it: its kind and its node."""
    nodes = [one.stmt for one in tree_of(sql).stmts]
    return [(kind, getattr(node, kind)) for node in nodes if (kind := kind_of(node))]


def tree_of(sql: str) -> Any:
    """What PostgreSQL's parser makes of it. Raises Invalid with what it can't read."""
    try:
        return postgast.parse(sql)
    except postgast.PgQueryError as error:
        beginning = " ".join(sql.split())[:80]
        raise Invalid(
            f"A migration holds SQL that can't be read ({error}): {beginning}",
            code="unreadable-migration",
            mend="Correct the revision.",
        ) from error


def kind_of(node: Any) -> str:
    """The name of the one thing that a node of the parse tree is."""
    return str(node.WhichOneof("node") or "")


def split(statements: tuple[str, ...]) -> list[str]:
    """Texts that may hold several statements, as single ones."""
    try:
        return [one.strip() for text in statements for one in postgast.split(text)]
    except postgast.PgQueryError:
        return [one for text in statements for one in (text.strip(),) if tree_of(one)]


def effects_of(statements: tuple[str, ...], known: Known) -> list[Effect]:
    """What each statement does to tables that others use; ``known`` learns what it makes."""
    found = []
    for sql in split(statements):
        for kind, node in parsed(sql):
            if kind == "create_stmt":
                known.made.add(node.relation.relname)
            elif kind == "index_stmt":
                known.indexes[node.idxname] = node.relation.relname
            locks = _dropped_indexes(node, known) if kind == "drop_stmt" else []
            locks += _READERS[kind](node) if kind in _READERS else []
            used = [one for one in locks if one.table not in known.made]
            found.append(
                Effect(
                    sql,
                    _strongest(used),
                    rewrites=bool(used) and _rewrites(kind, node),
                    scans=bool(used) and _scans(kind, node),
                    unseen=kind in _UNREADABLE,
                )
            )
    return found


def _dropped_indexes(node: Any, known: Known) -> list[Lock]:
    if node.remove_type != pg.OBJECT_INDEX:
        return []
    names = [one.list.items[-1].string.sval for one in node.objects]
    mode = "SHARE UPDATE EXCLUSIVE" if node.concurrent else "ACCESS EXCLUSIVE"
    return [Lock(known.indexes.get(name, name), mode) for name in names]


_UNREADABLE = {"do_stmt", "call_stmt", "execute_stmt"}


def _strongest(locks: list[Lock]) -> tuple[Lock, ...]:
    by_table: dict[str, str] = {}
    for lock in locks:
        before = by_table.get(lock.table, _ORDER[0])
        by_table[lock.table] = max(before, lock.mode, key=_ORDER.index)
    return tuple(Lock(table, mode) for table, mode in by_table.items())


def _alter(node: Any) -> Iterator[Lock]:
    if node.objtype == pg.OBJECT_INDEX:
        return
    for command in (one.alter_table_cmd for one in node.cmds):
        mode = _WEAKER.get(command.subtype, "ACCESS EXCLUSIVE")
        constraints = list(_constraints(command))
        for one in constraints:
            if one.contype == pg.CONSTR_FOREIGN:
                yield Lock(one.pktable.relname, "SHARE ROW EXCLUSIVE")
        if command.subtype == pg.AT_AddConstraint and all(
            one.contype == pg.CONSTR_FOREIGN for one in constraints
        ):
            mode = "SHARE ROW EXCLUSIVE"
        yield Lock(node.relation.relname, mode)


def _constraints(command: Any) -> Iterator[Any]:
    """Those that an ALTER TABLE adds, by themselves or with a column."""
    definition = command.__getattribute__("def")
    kind = kind_of(definition)
    if kind == "constraint":
        yield definition.constraint
    elif kind == "column_def":
        yield from (one.constraint for one in definition.column_def.constraints)


def _create(node: Any) -> Iterator[Lock]:
    for element in node.table_elts:
        kind = kind_of(element)
        own = [element.constraint] if kind == "constraint" else []
        if kind == "column_def":
            own = [one.constraint for one in element.column_def.constraints]
        for one in own:
            if one.contype == pg.CONSTR_FOREIGN:
                yield Lock(one.pktable.relname, "SHARE ROW EXCLUSIVE")


def _index(node: Any) -> Iterator[Lock]:
    yield Lock(node.relation.relname, "SHARE UPDATE EXCLUSIVE" if node.concurrent else "SHARE")


def _drop(node: Any) -> Iterator[Lock]:
    for item in node.objects:
        names = [one.string.sval for one in item.list.items]
        if node.remove_type == pg.OBJECT_TABLE:
            yield Lock(names[-1], "ACCESS EXCLUSIVE")
        elif node.remove_type == pg.OBJECT_TRIGGER:
            yield Lock(names[-2], "ACCESS EXCLUSIVE")


def _comment(node: Any) -> Iterator[Lock]:
    names = [one.string.sval for one in node.object.list.items]
    if node.objtype == pg.OBJECT_TABLE:
        yield Lock(names[-1], "SHARE UPDATE EXCLUSIVE")
    elif node.objtype in {pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT}:
        yield Lock(names[-2], "SHARE UPDATE EXCLUSIVE")


def _on_relation(mode: str) -> Callable[[Any], Iterator[Lock]]:
    def read(node: Any) -> Iterator[Lock]:
        yield Lock(node.relation.relname, mode)

    return read


def _rename(node: Any) -> Iterator[Lock]:
    if node.rename_type in {pg.OBJECT_TABLE, pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT}:
        yield Lock(node.relation.relname, "ACCESS EXCLUSIVE")


def _each(mode: str) -> Callable[[Any], Iterator[Lock]]:
    def read(node: Any) -> Iterator[Lock]:
        for one in node.relations:
            yield Lock(one.range_var.relname, mode)

    return read


_READERS: dict[str, Callable[[Any], Iterator[Lock]]] = {
    "alter_table_stmt": _alter,
    "create_stmt": _create,
    "create_trig_stmt": _on_relation("SHARE ROW EXCLUSIVE"),
    "index_stmt": _index,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "insert_stmt": _on_relation("ROW EXCLUSIVE"),
    "update_stmt": _on_relation("ROW EXCLUSIVE"),
    "delete_stmt": _on_relation("ROW EXCLUSIVE"),
    "truncate_stmt": _each("ACCESS EXCLUSIVE"),
    "lock_stmt": _each("ACCESS EXCLUSIVE"),
    "comment_stmt": _comment,
    "cluster_stmt": _on_relation("ACCESS EXCLUSIVE"),
}


def _rewrites(kind: str, node: Any) -> bool:
    if kind == "cluster_stmt":
        return True
    if kind != "alter_table_stmt":
        return False
    return any(
        command.subtype in _REWRITES
        or (command.subtype == pg.AT_AddColumn and any(map(_fills, _constraints(command))))
        for command in (one.alter_table_cmd for one in node.cmds)
    )


def _fills(constraint: Any) -> bool:
    """Whether a new column has a value of its own in each row that is there already."""
    if constraint.contype in {pg.CONSTR_IDENTITY, pg.CONSTR_GENERATED}:
        return str(constraint.generated_kind) != "v"
    if constraint.contype != pg.CONSTR_DEFAULT:
        return False
    calls = [one for _, one in postgast.walk(constraint.raw_expr) if _called(one)]
    return any(_called(one) not in _NOT_VOLATILE for one in calls)


def _called(node: Any) -> str:
    if type(node).__name__ != "FuncCall":
        return ""
    return str(node.funcname[-1].string.sval)


def _scans(kind: str, node: Any) -> bool:
    if kind == "index_stmt":
        return True
    if kind != "alter_table_stmt":
        return False
    for command in (one.alter_table_cmd for one in node.cmds):
        if command.subtype in {pg.AT_SetNotNull, pg.AT_ValidateConstraint}:
            return True
        for one in _constraints(command):
            if command.subtype == pg.AT_AddConstraint and not one.skip_validation:
                return not one.indexname  # an index that is there has read the rows already
    return False
