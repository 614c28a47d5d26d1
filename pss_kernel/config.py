"""Where the installation finds its database, broker and cache: environment variables only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pss_kernel.errors import Invalid
from pss_kernel.keys._secret import Secret
from pss_kernel.keys._sources import resolved

__all__ = [
    "CONTROL_CELL",
    "EMBEDDED",
    "IDENTITY",
    "KERNEL",
    "PLATFORM",
    "CellConfig",
    "Config",
    "host_of",
    "make_data_folder",
]

CONTROL_CELL = "default"
"""The cell that also says where every tenant lives: the one of ``PSS_DATABASE_URL``."""

KERNEL = "kernel"
"""The ledger's name for the tables that every tenant has, and for work that is no plugin's."""

IDENTITY = "identity"
"""The built-in plugin of every tenant: accounts, sessions, roles, keys, the audit trail."""

PLATFORM = "platform"
"""The code of the reserved tenant whose staff are the operators of the installation."""

EMBEDDED = "embedded"
"""In place of a cluster's URL: a server of its own in the data folder."""

_CELL = re.compile(r"[a-z][a-z0-9]{0,30}", re.ASCII)

_OTHER_FOLDER = "Name another one with --data-dir or PSS_DATA_DIR."


class CellConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One further database cluster; its variables begin with ``PSS_CELL_<NAME>_``."""

    name: str
    database_url: str
    """For the owner; the word ``embedded``: a server of its own in the data folder."""
    app_database_url: str | None = None
    """For the application's own login; as ``PSS_APP_DATABASE_URL``."""
    direct_database_url: str | None = None
    """For the same login past a pooler; as ``PSS_DIRECT_DATABASE_URL``."""
    replica_url: str | None = None
    """A streaming replica of it; as ``PSS_REPLICA_URL``."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one installation. With none given it runs embedded, in ``data_dir``."""

    data_dir: Path
    """Holds the embedded database and what the programs write."""
    database_url: str | None = None
    """``PSS_DATABASE_URL``: a login that may create roles and schemas; None: embedded."""
    app_database_url: str | None = None
    """``PSS_APP_DATABASE_URL``: the application's own login, with no table rights of its own.
    None: the owner's login, reduced to the role ``pss_app`` when it connects."""
    direct_database_url: str | None = None
    """``PSS_DIRECT_DATABASE_URL``: the same login past a pooler, for what can't go through one.
    None: with a pooler, where ``PSS_DATABASE_URL`` is; else as ``PSS_APP_DATABASE_URL``."""
    pooler: Literal["none", "transaction"] = "none"
    """``PSS_POOLER``: ``transaction`` where ``PSS_APP_DATABASE_URL`` is a pooler that gives each
    transaction a connection of its choice, as PgBouncer does with ``pool_mode = transaction``."""
    replica_url: str | None = None
    """``PSS_REPLICA_URL``: the same database on a streaming replica, for ``pss_app``; the word
    ``embedded``: one beside the embedded database. None: all reads go to the primary."""
    replica_max_lag: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 5.0
    """``PSS_REPLICA_MAX_LAG``: seconds; a replica that is further behind is not read from."""
    cells: tuple[CellConfig, ...] = ()
    """``PSS_CELLS``: names of further database clusters, separated by commas; tenants may live
    there instead of in the one of ``PSS_DATABASE_URL``, which is the cell ``default``."""
    amqp_url: str | None = None
    """``PSS_AMQP_URL``: RabbitMQ; None: events are delivered in place by the worker."""
    redis_url: str | None = None
    """``PSS_REDIS_URL``: where all processes count requests together; None: each for itself."""
    base_domain: str = "localhost"
    """``PSS_BASE_DOMAIN``: a tenant answers at ``<code>.<base domain>``."""
    role_prefix: str = ""
    """``PSS_ROLE_PREFIX``: keeps two installations in one PostgreSQL server apart."""
    pool_size: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    """``PSS_POOL_SIZE``: database connections per process."""
    plugin_pool_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """``PSS_PLUGIN_POOL_SHARE``: the part of the pool that one plugin may use for one tenant."""
    plugin_window_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    """``PSS_PLUGIN_WINDOW_SECONDS``: over how long the following are counted, per process."""
    plugin_failures: Annotated[int, msgspec.Meta(ge=0)] = 10
    """``PSS_PLUGIN_FAILURES``: so many failed calls, and ``plugin_failure_share`` of all calls,
    put a plugin into quarantine for the tenant; 0: never."""
    plugin_failure_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """``PSS_PLUGIN_FAILURE_SHARE``; for calls over their budget, the share of the time."""
    plugin_timeouts: Annotated[int, msgspec.Meta(ge=0)] = 5
    """``PSS_PLUGIN_TIMEOUTS``: so many calls over their time budget; 0: never."""
    plugin_leaks: Annotated[int, msgspec.Meta(ge=0)] = 5
    """``PSS_PLUGIN_LEAKS``: so many units of work that were left open; 0: never."""
    plugin_database_seconds: Annotated[float, msgspec.Meta(ge=0)] = 120.0
    """``PSS_PLUGIN_DATABASE_SECONDS``: so much of the database's time, where its calls are slow
    ones; 0: never."""
    plugin_slow_call_seconds: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """``PSS_PLUGIN_SLOW_CALL_SECONDS``: what a slow call takes of it. Many quick calls are a busy
    plugin, few slow ones a wasteful one."""
    migrate_on_start: bool | None = None
    """``PSS_MIGRATE_ON_START``: whether a process that starts brings every tenant's tables to the
    installed versions; None: with the embedded database only."""
    tenants_per_connection: Annotated[int, msgspec.Meta(ge=1)] = 100
    """``PSS_TENANTS_PER_CONNECTION``: after so many different tenants a connection is closed,
    and the memory with it that PostgreSQL keeps for the tables of each."""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """``PSS_MAX_BODY_BYTES``: a larger request body is refused with 413."""
    rate_limits: Literal["on", "off"] = "on"
    """``PSS_RATE_LIMITS``: ``off`` lets everybody ask as often as they like, for benchmarks."""
    client_requests_per_minute: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 30_000
    """``PSS_CLIENT_REQUESTS_PER_MINUTE``: from one address to one process, whatever for."""
    tenant_requests_per_minute: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1_000_000
    """``PSS_TENANT_REQUESTS_PER_MINUTE``: no tenant's own setting goes beyond it."""
    trusted_proxies: str = ""
    """``PSS_TRUSTED_PROXIES``: networks, separated by commas, whose ``X-Forwarded-For`` and
    ``X-Forwarded-Proto`` are believed; empty: nobody's."""
    demo: bool = False
    """``PSS_DEMO``: for trying out; it is started with secrets that are missing or that everybody
    knows. ``pss serve --demo`` sets it, and an embedded database is as good."""
    outgoing_allow: str = ""
    """``PSS_OUTGOING_ALLOW``: networks and host names, separated by commas, that a URL in a
    tenant's settings may lead to although they are not public; empty: none."""
    smtp_url: Secret | None = None
    """``PSS_SMTP_URL``: where mail is handed in, ``smtp://user:password@host:587``; None: with an
    embedded database it is written into the folder ``mail`` of ``data_dir``, else there is none."""
    mail_from: str = ""
    """``PSS_MAIL_FROM``: the address that mail is sent from."""
    master_key: Secret | None = None
    """``PSS_MASTER_KEY``: master keys in base64, the current one first, earlier ones after it."""
    master_key_file: Path | None = None
    """``PSS_MASTER_KEY_FILE``: a file with the same, one in a line."""
    vault_addr: str | None = None
    """``PSS_VAULT_ADDR``: HashiCorp Vault, whose transit engine holds the master key."""
    vault_token: Secret | None = None
    """``PSS_VAULT_TOKEN``: a token that may encrypt and decrypt with that key."""
    vault_token_file: Path | None = None
    """``PSS_VAULT_TOKEN_FILE``: a file with the token, read again when it is refused."""
    vault_key: str = "pss"
    """``PSS_VAULT_KEY``: the key's name in the transit engine."""
    vault_mount: str = "transit"
    """``PSS_VAULT_MOUNT``: where the transit engine is mounted."""
    log_format: Literal["console", "json"] = "console"
    """``PSS_LOG_FORMAT``: ``console`` or ``json``."""
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """``PSS_LOG_LEVEL``: debug, info, warning, error or critical."""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, data_dir: Path | None = None
    ) -> Config:
        """Read every ``PSS_…`` variable, and what files and Vault hold in place of secrets.

        Raises Invalid with the variable's name.
        """
        environment = resolved(os.environ if environment is None else environment)
        given: dict[str, Any] = {}
        for name in cls.__struct_fields__:
            value = environment.get(f"PSS_{name.upper()}", "").strip()
            if value:
                given[name] = value
        if "cells" in given:
            given["cells"] = tuple(_cells(given["cells"], environment))
        if data_dir is not None:
            given["data_dir"] = str(data_dir)
        given.setdefault("data_dir", "var")
        try:
            config = msgspec.convert(
                given, cls, strict=False, dec_hook=lambda kind, value: kind(value)
            )
        except msgspec.ValidationError as error:
            wrong, _, place = str(error).partition(" - at `$.")
            raise Invalid(
                f"The environment variable PSS_{place.rstrip('`').upper()} is wrong: {wrong}.",
                code="invalid-configuration",
            ) from error
        return msgspec.structs.replace(config, data_dir=config.data_dir.expanduser().resolve())

    @property
    def migrates_on_start(self) -> bool:
        """Whether a start brings tenants' tables up to date, as set or by default."""
        if self.migrate_on_start is None:
            return self.database_url is None
        return self.migrate_on_start


def host_of(code: str, base_domain: str) -> str:
    """Where a tenant answers beside its own domains; a host name has no underscore."""
    return f"{code.replace('_', '-')}.{base_domain}"


def _cells(names: str, environment: Mapping[str, str]) -> Iterator[CellConfig]:
    """The further clusters, each with its own variables. Raises Invalid with what is missing."""
    seen = {CONTROL_CELL}
    for name in (one.strip() for one in names.split(",") if one.strip()):
        if not _CELL.fullmatch(name) or name in seen:
            raise Invalid(
                f"The environment variable PSS_CELLS is wrong: {name!r} can't be a cell's name.",
                code="invalid-configuration",
                mend="A name has up to 31 of a-z and 0-9, begins with a letter, stands once, "
                f"and is not {CONTROL_CELL!r}, the cell of PSS_DATABASE_URL.",
            )
        seen.add(name)
        prefix = f"PSS_CELL_{name.upper()}_"
        url = environment.get(f"{prefix}DATABASE_URL", "").strip()
        if not url:
            raise Invalid(
                f"PSS_CELLS names {name!r}, but {prefix}DATABASE_URL is not set.",
                code="invalid-configuration",
                mend="Give the URL of its owner's login, or 'embedded'.",
            )
        app_url = environment.get(f"{prefix}APP_DATABASE_URL", "").strip()
        direct_url = environment.get(f"{prefix}DIRECT_DATABASE_URL", "").strip()
        replica_url = environment.get(f"{prefix}REPLICA_URL", "").strip()
        yield CellConfig(
            name=name,
            database_url=url,
            app_database_url=app_url or None,
            direct_database_url=direct_url or None,
            replica_url=replica_url or None,
        )


def make_data_folder(folder: Path) -> None:
    """Make the folder where it is missing. Raises Invalid where that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"The data folder {folder} can't be used: {error.strerror}.",
            code="data-folder",
            mend=_OTHER_FOLDER,
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Invalid(
            f"The data folder {folder} can't be written to.", code="data-folder", mend=_OTHER_FOLDER
        )
