"""Everything of a plugin that can be run, each as one element with a name."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from pss_kernel.answers import Content
from pss_kernel.auth import Actor
from pss_kernel.ids import new_uuid7
from pss_kernel.messaging._deliver import deliver_to
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._jobs import run_job
from pss_kernel.plugin import Handler, Job, Plugin, TenantFiles
from pss_kernel.tenancy import Tenant
from pss_kernel.testing._kit import TestKit
from pss_kernel.testing.conformance._interface import Operation, filled, operations

__all__ = ["CannotRun", "Element", "Outcome", "Side", "elements_of"]

_MOST_MOMENTS = 50
_ACTOR = Actor("system", "conformance")


class CannotRun(Exception):  # noqa: N818 - says what is so
    """No arguments could be made for an element."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tenants, and clients of it: one with every permission, and a guest."""

    kit: TestKit
    tenant: Tenant
    staff: httpx.AsyncClient
    guest: httpx.AsyncClient


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered, as text."""

    text: str
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """A route, hook implementation, service, job, handler or kind of tenant files.

    ``prepare`` makes what will be sent from the known values: the texts of it, and a call.
    """

    name: str
    prepare: Callable[[Side, Mapping[str, str]], tuple[list[str], Callable[[], Awaitable[Outcome]]]]
    asks: tuple[str, ...] = ()
    """The names in its path: asked for with the other's values too."""
    asks_with: bool = True
    """Whether anything is sent to it at all."""
    ends: bool = False
    """Whether it takes something away, so that it runs last."""


def elements_of(
    kit: TestKit,
    plugin: Plugin,
    document: dict[str, Any],
    words: Mapping[str, Any],
    files: Path | None,
) -> Iterator[Element]:
    """All that a plugin has."""
    for operation in operations(document):
        if operation.plugin == plugin.name:
            yield from _routes(operation, document, words)
    for one in plugin.hooks:
        yield _function(f"hook {one.spec}", plugin.name, one.function, one.spec.function, words)
    for handle, function in plugin.services.items():
        yield _function(f"service {handle}", plugin.name, function, handle.function, words)
    for handler in plugin.handlers:
        yield _handler(kit, handler, words)
    for job in plugin.jobs:
        yield _job(kit, job)
    for declared in plugin.files:
        yield _files(kit, declared, files)


def _routes(
    operation: Operation, document: dict[str, Any], words: Mapping[str, Any]
) -> Iterator[Element]:
    for who in ("staff", "guest") if operation.guest else ("staff",):

        def prepare(
            side: Side, known: Mapping[str, str], who: str = who
        ) -> tuple[list[str], Callable[[], Awaitable[Outcome]]]:
            def value(name: str) -> Any:
                return filled({"type": "string"}, document, known, name, words=words)

            path = operation.path
            for name in operation.in_path:
                path = path.replace(f"{{{name}}}", quote(str(value(name)), safe=""))
            query = {
                name: value(name)
                for name in operation.in_query
                if name in known or words.get(name) is not None
            }
            body = None
            if operation.body is not None:
                body = filled(operation.body, document, known, words=words)
            sent = [path, *(str(one) for one in query.values()), msgspec.json.encode(body).decode()]
            sent += [str(value(name)) for name in operation.in_path]

            async def call() -> Outcome:
                client: httpx.AsyncClient = getattr(side, who)
                answer = await client.request(
                    operation.method, path, params=query, json=body if body is not None else None
                )
                text = f"{answer.headers!r}\n{answer.text}"
                failed = answer.text if answer.status_code == 500 else ""  # noqa: PLR2004
                return Outcome(text, failed)

            return sent, call

        yield Element(
            f"{operation}{' as a guest' if who == 'guest' else ''}",
            prepare,
            asks=operation.in_path,
            ends=operation.method == "DELETE",
        )


def _function(
    name: str,
    plugin: str,
    function: Callable[..., Any],
    declared: Callable[..., Any],
    words: Mapping[str, Any],
) -> Element:
    """A function that is called with a unit of work: a hook's implementation or a service."""

    def prepare(
        side: Side, known: Mapping[str, str]
    ) -> tuple[list[str], Callable[[], Awaitable[Outcome]]]:
        arguments = _arguments(function, declared, known, words)
        sent = [repr(arguments)]

        async def call() -> Outcome:
            installation = side.kit.installation
            async with installation.unit_of_work(side.tenant, _ACTOR, plugin=plugin) as uow:
                return Outcome(_shown(await function(uow, **arguments)))

        return sent, call

    return Element(name, prepare)


def _arguments(
    function: Callable[..., Any],
    declared: Callable[..., Any],
    known: Mapping[str, str],
    words: Mapping[str, Any],
) -> dict[str, Any]:
    hints = _hints(declared) or _hints(function)
    if hints is None:
        raise CannotRun("the types of its parameters can't be resolved")
    made = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        try:
            made[name] = _value_of(hints.get(name, str), known, name, words)
        except (TypeError, msgspec.ValidationError, KeyError) as error:
            if parameter.default is inspect.Parameter.empty:
                raise CannotRun(f"no {name} can be made: {error}") from error
    return made


def _hints(function: Callable[..., Any]) -> dict[str, Any] | None:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return None


def _value_of(kind: Any, known: Mapping[str, str], name: str, words: Mapping[str, Any]) -> Any:
    """A value of a type, made from its JSON schema."""
    (schema,), components = msgspec.json.schema_components(
        [kind], ref_template="#/components/schemas/{name}"
    )
    value = filled(schema, {"components": {"schemas": components}}, known, name, words=words)
    for _ in range(_MOST_MOMENTS):
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            # The schema of a time without a zone says "string" only; the error says where.
            said, _, place = str(error).partition(" - at `")
            if said != "Invalid RFC3339 encoded datetime":
                raise
            value = _with_moment(value, re.findall(r"\w+", place.removeprefix("$")))
    return msgspec.convert(value, kind)


def _with_moment(value: Any, path: list[str]) -> Any:
    """The value with a moment at a place in it."""
    if not path:
        return "2030-06-15T12:00:00Z"
    key: Any = int(path[0]) if isinstance(value, list) else path[0]
    value[key] = _with_moment(value[key], path[1:])
    return value


def _shown(value: Any) -> str:
    if isinstance(value, Content):
        value = value.body
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return repr(value)


def _handler(kit: TestKit, handler: Handler, words: Mapping[str, Any]) -> Element:
    def prepare(
        side: Side, known: Mapping[str, str]
    ) -> tuple[list[str], Callable[[], Awaitable[Outcome]]]:
        try:
            event = _value_of(handler.event, known, "", words)
        except (TypeError, msgspec.ValidationError, KeyError) as error:
            raise CannotRun(f"no {handler.event.__name__} can be made: {error}") from error
        envelope = Envelope(
            id=UUID(int=new_uuid7()),
            type=handler.event.event_type,
            version=handler.event.event_version,
            tenant=side.tenant.code,
            stream="conformance",
            stream_version=1,
            occurred_at=datetime.now(UTC),
            correlation_id="cor_conformance",
            actor=_ACTOR.label,
            data=msgspec.to_builtins(event),
        )

        async def call() -> Outcome:
            fresh = msgspec.structs.replace(envelope, id=UUID(int=new_uuid7()))
            await deliver_to(kit.installation, handler, fresh)
            return Outcome("")

        return [msgspec.json.encode(envelope).decode()], call

    return Element(f"handler {handler.name}", prepare)


def _job(kit: TestKit, job: Job) -> Element:
    def prepare(
        side: Side, _known: Mapping[str, str]
    ) -> tuple[list[str], Callable[[], Awaitable[Outcome]]]:
        async def call() -> Outcome:
            await run_job(kit.installation, side.tenant, job)
            return Outcome("")

        return [], call

    return Element(f"job {job.name}", prepare, asks_with=False)


def _files(kit: TestKit, declared: TenantFiles, folder: Path | None) -> Element:
    """Files are checked, and loaded where they have no errors."""

    def prepare(
        side: Side, _known: Mapping[str, str]
    ) -> tuple[list[str], Callable[[], Awaitable[Outcome]]]:
        place = (
            folder / side.tenant.code if folder and (folder / side.tenant.code).is_dir() else folder
        )
        paths = sorted(place.glob(declared.pattern)) if place else []
        if not paths:
            raise CannotRun(f"give 'files': a folder with {declared.pattern}")

        async def call() -> Outcome:
            findings = [one for path in paths for one in declared.check(path)]
            said = "\n".join(str(one) for one in findings)
            if not any(one.severity == "error" for one in findings):
                async with kit.installation.unit_of_work(
                    side.tenant, _ACTOR, plugin=declared.plugin
                ) as uow:
                    said += await declared.load(uow, paths, lambda _done, _total: None)
            return Outcome(said)

        return [], call

    return Element(f"files {declared.name}", prepare, asks_with=False)
