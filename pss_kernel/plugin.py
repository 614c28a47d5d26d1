"""A plugin: its manifest, and how it declares the routes, hooks, handlers and jobs it brings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import typer

from pss_kernel._declarations import (
    EVENT_SECONDS,
    JOB_SECONDS,
    REQUEST_SECONDS,
    FileFinding,
    Function,
    Handler,
    HookImplementation,
    Job,
    NoSettings,
    Permission,
    Progress,
    Route,
    Sidecar,
    TenantFiles,
)
from pss_kernel.hooks._spec import HookSpec, Service
from pss_kernel.limits._classes import LimitClass
from pss_kernel.messaging._event import Event
from pss_kernel.personal._declared import PersonalTable

__all__ = [
    "FileFinding",
    "Handler",
    "HookImplementation",
    "Job",
    "Permission",
    "Plugin",
    "Progress",
    "Route",
    "Sidecar",
    "TenantFiles",
]

F = TypeVar("F", bound=Function)


@dataclass(slots=True, eq=False)
class Plugin:
    """A capability, installed once and enabled by each tenant for its own schema."""

    name: str
    version: str = field(kw_only=True)
    summary: str = field(kw_only=True, default="")
    requires: list[str] = field(kw_only=True, default_factory=list)
    kernel: str = field(kw_only=True, default=">=0.1")
    settings: type[msgspec.Struct] = field(kw_only=True, default=NoSettings)
    permissions: list[Permission] = field(kw_only=True, default_factory=list)
    emits: list[type[Event]] = field(kw_only=True, default_factory=list)
    reads: list[str] = field(kw_only=True, default_factory=list)
    """Tables of required plugins that it reads with SQL of its own: ``["inventory.leg"]``."""
    personal: list[PersonalTable] = field(kw_only=True, default_factory=list)
    """Its tables with data about people, and what becomes of that when they want it erased."""
    modules: list[str] = field(kw_only=True, default_factory=list)
    package: str = field(kw_only=True, default="")
    routes: list[Route] = field(init=False, default_factory=list)
    hooks: list[HookImplementation] = field(init=False, default_factory=list)
    services: dict[Service[..., Any], Function] = field(init=False, default_factory=dict)
    handlers: list[Handler] = field(init=False, default_factory=list)
    jobs: list[Job] = field(init=False, default_factory=list)
    files: list[TenantFiles] = field(init=False, default_factory=list)
    sidecars: list[Sidecar] = field(init=False, default_factory=list)
    decoders: dict[str, Callable[[bytes], object]] = field(init=False, default_factory=dict)
    command_groups: dict[str, typer.Typer] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not self.package:
            self.package = sys._getframe(2).f_globals["__name__"]  # noqa: SLF001 - who makes it
        for event in self.emits:
            event.event_type = f"{self.name}.{event.event_name}"

    def route(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        path: str,
        *,
        permission: str,
        status: int | None = None,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        read_only: bool = False,
        confidential: bool = False,
        limit: LimitClass | None = None,
        produces: str = "application/json",
    ) -> Callable[[F], F]:
        """An operation under ``/v1``; ``status`` defaults to 201 for POST, else 200.

        ``budget``: seconds after which it is cancelled, undone and answered with 503. ``limit``:
        which of the caller's limits it draws from; by the method where it names none.
        ``produces``: the media type of a ``Content`` that it gives.
        """

        def declare(function: F) -> F:
            self.routes.append(
                Route(
                    self.name,
                    method,
                    path,
                    permission,
                    function,
                    status or (201 if method == "POST" else 200),
                    summary or _first_sentence(function),
                    _takes(function),
                    budget,
                    read_only,
                    confidential,
                    limit or _usual_limit(method, confidential=confidential),
                    produces,
                )
            )
            return function

        return declare

    def get(
        self,
        path: str,
        *,
        permission: str,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        read_only: bool = False,
        limit: LimitClass | None = None,
        produces: str = "application/json",
    ) -> Callable[[F], F]:
        """A GET; answers 200.

        ``read_only``: its unit of work can't write and may be on a replica, a moment behind.
        """
        return self.route(
            "GET",
            path,
            permission=permission,
            summary=summary,
            budget=budget,
            read_only=read_only,
            limit=limit,
            produces=produces,
        )

    def post(
        self,
        path: str,
        *,
        permission: str,
        status: int = 201,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        confidential: bool = False,
        limit: LimitClass | None = None,
    ) -> Callable[[F], F]:
        """A POST; its JSON body arrives in the parameter ``data``; idempotent by its key.

        ``confidential``: its body or answer holds a password or a token. What is kept of both for
        repeated requests is sealed, or not kept at all where the tenant can have no key.
        """
        return self.route(
            "POST",
            path,
            permission=permission,
            status=status,
            summary=summary,
            budget=budget,
            confidential=confidential,
            limit=limit,
        )

    def put(
        self,
        path: str,
        *,
        permission: str,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        limit: LimitClass | None = None,
    ) -> Callable[[F], F]:
        """A PUT; answers 200."""
        return self.route(
            "PUT", path, permission=permission, summary=summary, budget=budget, limit=limit
        )

    def patch(
        self,
        path: str,
        *,
        permission: str,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        limit: LimitClass | None = None,
    ) -> Callable[[F], F]:
        """A PATCH; answers 200."""
        return self.route(
            "PATCH", path, permission=permission, summary=summary, budget=budget, limit=limit
        )

    def delete(
        self,
        path: str,
        *,
        permission: str,
        summary: str = "",
        budget: float = REQUEST_SECONDS,
        limit: LimitClass | None = None,
    ) -> Callable[[F], F]:
        """A DELETE; answers 200 with what was ended."""
        return self.route(
            "DELETE", path, permission=permission, summary=summary, budget=budget, limit=limit
        )

    def hook(self, spec: HookSpec[..., Any], *, order: int = 100) -> Callable[[F], F]:
        """Implement another plugin's hook; lower ``order`` is called first."""

        def declare(function: F) -> F:
            accepts = tuple(inspect.signature(function).parameters)[1:]
            self.hooks.append(HookImplementation(self.name, spec, function, order, accepts))
            return function

        return declare

    def provides(self, handle: Service[..., Any]) -> Callable[[F], F]:
        """Provide a service that this plugin's contracts declare."""

        def declare(function: F) -> F:
            self.services[handle] = function
            return function

        return declare

    def on(
        self, event: type[Event], *, name: str | None = None, budget: float = EVENT_SECONDS
    ) -> Callable[[F], F]:
        """Handle an event, bound to its tenant, its effects exactly once.

        ``budget``: seconds after which it is cancelled, undone and tried again later.
        """
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise TypeError(f"{event!r} is no Event: it can't be handled with 'on'.")

        def declare(function: F) -> F:
            handler = name or function.__name__
            self.handlers.append(
                Handler(
                    self.name, event, function, f"{self.name}.{handler}", _takes(function), budget
                )
            )
            return function

        return declare

    def job(
        self,
        *,
        every: float | None = None,
        cron: str | None = None,
        name: str | None = None,
        budget: float = JOB_SECONDS,
    ) -> Callable[[F], F]:
        """Recurring work: ``every`` seconds, or a ``cron`` expression in the tenant's zone.

        ``budget``: seconds after which a run is cancelled and undone.
        """
        if (every is None) == (cron is None):
            raise TypeError("A job has either 'every' or 'cron'.")

        def declare(function: F) -> F:
            self.jobs.append(
                Job(
                    self.name,
                    name or function.__name__,
                    function,
                    every,
                    cron,
                    _takes(function),
                    budget,
                )
            )
            return function

        return declare

    def tenant_files(
        self, name: str, *, pattern: str, check: Callable[[Path], list[FileFinding]]
    ) -> Callable[[F], F]:
        """Load files of the tenant's folder when their content has changed."""

        def declare(function: F) -> F:
            self.files.append(TenantFiles(self.name, name, pattern, check, function))
            return function

        return declare

    def sidecar(self, name: str, *, argv: list[str], env_url: str) -> None:
        """Bring a server of its own, run beside the application by ``pss serve``."""
        self.sidecars.append(Sidecar(name, argv, env_url))

    def decoder(self, name: str) -> Callable[[F], F]:
        """Give ``pss decode NAME`` a reader of an outside format: bytes in, a struct out."""

        def declare(function: F) -> F:
            self.decoders[name] = function
            return function

        return declare

    def typer(self, name: str, *, help: str) -> typer.Typer:  # noqa: A002 - typer's own word
        """A group of commands under ``pss NAME``."""
        group = typer.Typer(help=help, no_args_is_help=True)
        self.command_groups[name] = group
        return group


def _usual_limit(method: str, *, confidential: bool) -> LimitClass:
    if confidential:
        return "secret"
    return "read" if method == "GET" else "write"


def _takes(function: Function) -> Literal["uow", "work"]:
    parameters = inspect.signature(function).parameters
    if "uow" in parameters:
        return "uow"
    if "work" in parameters:
        return "work"
    raise TypeError(f"{function.__module__}.{function.__name__} must take 'uow' or 'work'.")


def _first_sentence(function: Function) -> str:
    documentation = inspect.getdoc(function) or function.__name__.replace("_", " ")
    return documentation.splitlines()[0].rstrip(".")
