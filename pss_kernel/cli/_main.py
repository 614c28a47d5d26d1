"""The commands, those of the plugins included, and what a mistake looks like."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, NoReturn

import typer

from pss_kernel._version import __version__
from pss_kernel.cli import (
    _accounts,
    _audit,
    _auth,
    _cells,
    _data_keys,
    _decode,
    _doctor,
    _keys,
    _migrate,
    _operators,
    _outgoing,
    _persons,
    _plugins,
    _roles,
    _serve,
    _settings,
    _tenants,
)
from pss_kernel.cli._context import installed_plugins
from pss_kernel.config import Config
from pss_kernel.errors import Problem
from pss_kernel.observability import configure_logging
from pss_kernel.tenancy._origin import Origin, origin

__all__ = ["main"]

_MISTAKE = 2
_INTERRUPTED = 130  # as shells say it of Ctrl-C


def main() -> NoReturn:
    """Run the command line; a user's mistake is told in plain words, with exit code 2."""
    try:
        configure_logging(Config.from_environment())
        app = build()
        who = origin.set(Origin(f"cli:{_user()}", _typed(app, sys.argv[1:])))
        try:
            app(prog_name="pss")
        finally:
            origin.reset(who)
    except Problem as problem:
        sys.stderr.write(f"Error: {problem.sentence}\n")
        sys.exit(_MISTAKE)
    except BrokenPipeError:
        sys.exit(0)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            sys.stderr.write("Interrupted. The same command again does what is left.\n")
        raise
    sys.exit(0)


def build() -> typer.Typer:
    """The whole command tree: the kernel's commands and each installed plugin's groups."""
    app = typer.Typer(
        name="pss",
        help="Run a passenger service system: serve tenants, apply their files, look inside.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback()
    def options(
        _version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_print_version, is_eager=True, help="Print the version."
            ),
        ] = False,
    ) -> None:
        pass

    registry = installed_plugins()
    _serve.register(app)
    _doctor.register(app)
    app.add_typer(_tenants.app, name="tenant")
    app.add_typer(_cells.app, name="cell")
    app.add_typer(_plugins.app, name="plugin")
    app.add_typer(_migrate.app, name="migrate")
    app.add_typer(_accounts.app, name="account")
    app.add_typer(_operators.app, name="operator")
    app.add_typer(_keys.app, name="apikey")
    app.add_typer(_roles.app, name="role")
    app.add_typer(_auth.app, name="auth")
    app.add_typer(_settings.app, name="settings")
    app.add_typer(_audit.app, name="audit")
    app.add_typer(_persons.app, name="person")
    app.add_typer(_data_keys.app, name="keys")
    app.add_typer(_outgoing.app, name="outgoing")
    app.add_typer(_decode.group(registry), name="decode")
    for plugin in registry.plugins.values():
        for name, group in plugin.command_groups.items():
            app.add_typer(group, name=name)
    return app


def _typed(app: typer.Typer, words: list[str]) -> str:
    """The command without its arguments: for the history of settings, which is kept for ever."""
    groups = {group.name for group in app.registered_groups}
    return " ".join(["pss", *words[: 2 if words and words[0] in groups else 1]])


def _user() -> str:
    """Who runs the command, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pss {__version__}\n")
        raise typer.Exit
