"""What every folder of tests shares: waiting for a condition, and the services beside us."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import aio_pika
import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url

from pss_kernel.keys._key_file import make_key_file
from pss_kernel.persistence._database import connect_arguments

_DATABASE = os.environ.get("PSS_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
_AMQP = os.environ.get("PSS_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
_REDIS = os.environ.get("PSS_TEST_REDIS_URL", "redis://127.0.0.1:6379/")


def absent(service: str, variable: str, error: BaseException) -> NoReturn:
    """Skip for want of a service; in CI (``PSS_REQUIRE_SERVICES=1``) fail instead."""
    reason = f"{service} does not answer ({error!r}); start it, or correct {variable}"
    if os.environ.get("PSS_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def eventually() -> Any:
    """Wait until something comes true.

    ``await eventually(lambda: …)``: a function or a coroutine function; gives its true value.
    """

    async def wait(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
        last: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    looked = condition()
                    last = await looked if inspect.isawaitable(looked) else looked
                    if last:
                        return last
                    await asyncio.sleep(0.02)  # between two looks at the condition
        except TimeoutError:
            raise AssertionError(f"It did not come true in {seconds} s: {last!r}") from None

    return wait


@pytest.fixture(scope="session")
def master_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Master keys, as an installation on a server has them."""
    path = tmp_path_factory.mktemp("keys") / "master.key"
    make_key_file(path)
    return path


@asynccontextmanager
async def _throwaway_database(master_key_file: Path) -> AsyncIterator[dict[str, Any]]:
    """A throwaway database on the PostgreSQL server, as the configuration names it.

    The application logs in as itself, with none of the owner's rights. Database and roles
    are dropped at the end.
    """
    owner_url = make_url(_DATABASE)
    name = f"pss_test_{secrets.token_hex(4)}"
    try:
        owner = await asyncpg.connect(**connect_arguments(owner_url), timeout=5)
    except (OSError, asyncpg.PostgresError) as error:
        absent("PostgreSQL", "PSS_TEST_DATABASE_URL", error)
    prefix, password = f"{name}_", secrets.token_hex(8)
    try:
        await owner.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        await owner.execute(f"CREATE ROLE \"{prefix}pss_app\" LOGIN PASSWORD '{password}'")
        here = owner_url.set(database=name)
        app = here.set(username=f"{prefix}pss_app", password=password)
        yield {
            "database_url": here.render_as_string(hide_password=False),
            "app_database_url": app.render_as_string(hide_password=False),
            "role_prefix": prefix,
            "master_key_file": str(master_key_file),
        }
    finally:
        await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        roles = await owner.fetch(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", prefix
        )
        for row in roles:
            await owner.execute(f'DROP ROLE "{row["rolname"]}"')
        await owner.close()


@pytest.fixture(scope="session")
def pooler(server_database: dict[str, Any]) -> Iterator[str]:
    """PgBouncer in transaction mode before the server's database: the URL of the application.

    It has three connections to the server, however many there are to it.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        absent("PgBouncer", "PATH (Debian's package is 'pgbouncer')", FileNotFoundError())
    app = make_url(server_database["app_database_url"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pss-pooler-") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{app.username}" "{app.password}"\n')
        (folder / "ini").write_text(
            _POOLER.format(
                database=app.database, host=app.host, server=app.port, port=port, folder=folder
            )
        )
        user = None
        if os.getuid() == 0:  # it refuses to run as root
            user = "nobody"
            for path in (folder, folder / "users", folder / "ini"):
                shutil.chown(path, user)
        running = subprocess.Popen([program, folder / "ini"], user=user, stderr=subprocess.DEVNULL)
        try:
            yield app.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            running.terminate()
            running.wait()


_POOLER = """
[databases]
{database} = host={host} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
logfile = {folder}/log
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 3
max_client_conn = 500
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_database(master_key_file: Path) -> AsyncIterator[dict[str, Any]]:
    """A throwaway database on the PostgreSQL server; see above."""
    async with _throwaway_database(master_key_file) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def another_server_database(master_key_file: Path) -> AsyncIterator[dict[str, Any]]:
    """One more, for tests whose tenants have plugins that the others don't know."""
    async with _throwaway_database(master_key_file) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _amqp_answers() -> None:
    try:
        await (await aio_pika.connect(_AMQP, timeout=5)).close()
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        absent("RabbitMQ", "PSS_TEST_AMQP_URL", error)


@pytest.fixture(scope="session")
def amqp_url(_amqp_answers: None) -> Iterator[str]:
    """RabbitMQ: a virtual host of our own where we may make one, else the default one."""
    name = f"pss-test-{secrets.token_hex(4)}"
    ours = False
    if shutil.which("rabbitmqctl"):
        ours = _rabbitmqctl("add_vhost", name)
        user = make_url(_AMQP).username or "guest"
        ours = ours and _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
    yield f"{_AMQP.rstrip('/')}/{name}" if ours else _AMQP
    if ours:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*arguments: str) -> bool:
    finished = subprocess.run(["rabbitmqctl", *arguments], check=False, capture_output=True)
    return finished.returncode == 0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url() -> str:
    """Redis."""
    client = Redis.from_url(_REDIS, socket_connect_timeout=5)
    try:
        await client.ping()
    except (OSError, RedisError) as error:
        absent("Redis", "PSS_TEST_REDIS_URL", error)
    finally:
        await client.aclose()
    return _REDIS
