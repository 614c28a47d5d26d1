"""What can be wrong with a plugin by itself, found before it is used."""

from __future__ import annotations

import inspect
import re
import types
from collections import Counter
from collections.abc import Hashable, Iterator
from datetime import UTC, datetime

import pluggy
from cronsim import CronSim, CronSimError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pss_kernel._version import __version__
from pss_kernel.plugin import HookImplementation, Plugin

__all__ = ["claims_of", "fault_of"]

_COMMANDS = {
    *("serve", "worker", "doctor", "tenant", "plugin", "apikey", "decode"),
    *("settings", "keys", "migrate", "role", "auth"),
}
_markers = (pluggy.HookspecMarker("pss"), pluggy.HookimplMarker("pss"))


def fault_of(plugin: Plugin) -> str:
    """The first thing that is wrong with a manifest by itself, or an empty string."""
    return next(_faults(plugin), "")


def claims_of(plugin: Plugin) -> Iterator[tuple[Hashable, str]]:
    """What only one installed plugin may have, with its name for people."""
    yield ("plugin", plugin.name), f"a plugin called {plugin.name!r}"
    for route in plugin.routes:
        # Whatever its parameters are called, a path can be served once only.
        path = re.sub(r"{\w+", "{", route.path)
        yield (route.method, path), f"the route {route.method} {route.path}"
    for handle in plugin.services:
        yield handle, f"the service {handle}"
    for name in plugin.decoders:
        yield ("decoder", name), f"the decoder {name!r}"
    for name in plugin.command_groups:
        yield ("commands", name), f"the commands {name!r}"


def _faults(plugin: Plugin) -> Iterator[str]:
    if not plugin.name.isidentifier() or plugin.name != plugin.name.lower():
        yield f"Its name {plugin.name!r} is not a lower-case identifier."
    yield from _version_faults(plugin)
    yield from _permission_faults(plugin)
    yield from _read_only_faults(plugin)
    # Handlers and jobs are remembered by their names, in the inbox, the queues and the job table.
    names = Counter([handler.name for handler in plugin.handlers])
    names.update(f"{plugin.name}.{job.name} (job)" for job in plugin.jobs)
    for name, number in names.items():
        if number > 1:
            yield f"It has {number} handlers or jobs called {name!r}; give each its own 'name'."
    yield from _function_faults(plugin)
    yield from _job_faults(plugin)
    for implementation in plugin.hooks:
        if fault := _hook_fault(implementation):
            yield fault
    yield from _other_faults(plugin)


def _function_faults(plugin: Plugin) -> Iterator[str]:
    declared = [
        *(route.function for route in plugin.routes),
        *(one.function for one in plugin.hooks),
        *plugin.services.values(),
        *(handler.function for handler in plugin.handlers),
        *(job.function for job in plugin.jobs),
    ]
    for function in declared:
        if not inspect.iscoroutinefunction(function):
            yield f"{function.__module__}.{function.__name__} must be 'async def'."


def _job_faults(plugin: Plugin) -> Iterator[str]:
    for job in plugin.jobs:
        if job.every is not None and job.every <= 0:
            yield f"Its job {job.name!r} must recur after more than 0 seconds."
        if job.cron is not None:
            try:
                next(CronSim(job.cron, datetime.now(UTC)))
            except (CronSimError, StopIteration):
                yield f"The cron expression {job.cron!r} of its job {job.name!r} never comes due."


def _other_faults(plugin: Plugin) -> Iterator[str]:
    for name in plugin.command_groups:
        if name in _COMMANDS:
            yield f"Its commands can't be called {name!r}: that is one of pss's own."
    try:
        plugin.settings()
    except (TypeError, ValueError) as error:
        yield f"Its settings need a default for every field: {error}."
    yield from _read_faults(plugin)
    needed = {f"pss_{Requirement(text).name}" for text in plugin.requires}
    needed |= {plugin.package, "pss_kernel"}
    for spec in (one.spec for one in plugin.hooks):
        if spec.owner.startswith("pss_") and spec.owner not in needed:
            yield f"It implements {spec}, but {spec.owner.removeprefix('pss_')!r} is not required."


def _read_faults(plugin: Plugin) -> Iterator[str]:
    required = {Requirement(text).name for text in plugin.requires}
    for one in plugin.reads:
        owner, dot, table = one.partition(".")
        if not (dot and owner and table):
            yield f"It reads {one!r}; name a table as 'plugin.table'."
        elif owner not in required:
            yield f"It reads {one!r}, but {owner!r} is not required."


def _version_faults(plugin: Plugin) -> Iterator[str]:
    try:
        Version(plugin.version)
    except InvalidVersion:
        yield f"Its version {plugin.version!r} can't be read."
    try:
        if __version__ not in SpecifierSet(plugin.kernel):
            yield f"It needs a kernel {plugin.kernel}; this one is {__version__}."
    except InvalidSpecifier:
        yield f"Its kernel range {plugin.kernel!r} can't be read."
    for text in plugin.requires:
        try:
            Requirement(text)
        except InvalidRequirement:
            yield f"Its requirement {text!r} can't be read."


def _permission_faults(plugin: Plugin) -> Iterator[str]:
    declared = {permission.name for permission in plugin.permissions}
    for name in sorted(declared):
        if not name.startswith(f"{plugin.name}:"):  # scopes like 'plugin:*' rely on it
            yield f"Its permission {name!r} must begin with '{plugin.name}:'."
    for permission in plugin.permissions:
        if permission.level is None and not permission.guest:
            yield (
                f"Its permission {permission.name!r} does not say its 'level', the lowest role "
                "that has it."
            )
        if permission.special and permission.level not in {"admin", "super_admin"}:
            yield (
                f"Its permission {permission.name!r} is special, so its level is 'admin' or "
                "'super_admin'."
            )
        if len({rule.name for rule in permission.rules}) < len(permission.rules):
            yield f"Its permission {permission.name!r} declares a rule twice."
    for route in plugin.routes:
        if route.permission not in declared:
            yield (
                f"Its route {route.method} {route.path} names the permission "
                f"{route.permission!r}, which it does not declare."
            )


def _read_only_faults(plugin: Plugin) -> Iterator[str]:
    for route in plugin.routes:
        if route.read_only and route.method != "GET":
            yield (
                f"Its route {route.method} {route.path} can't be read_only: only a GET may be, "
                "for what decides something reads from the primary."
            )
        elif route.read_only and route.takes != "uow":
            yield (
                f"Its route {route.method} {route.path} is read_only but takes 'work'; let it "
                "take 'uow', or begin its units with work.begin(read_only=True)."
            )


def _hook_fault(implementation: HookImplementation) -> str:
    """Let pluggy check the implementation's name and parameters against the specification."""
    specification, implementation_marker = _markers
    spec = implementation.spec
    name = spec.name
    manager = pluggy.PluginManager("pss")
    declared = types.FunctionType(
        spec.function.__code__, {}, name, spec.function.__defaults__, spec.function.__closure__
    )
    declared.__kwdefaults__ = spec.function.__kwdefaults__
    manager.add_hookspecs(type("Specifications", (), {name: specification(declared)}))
    offered = types.FunctionType(
        implementation.function.__code__,
        {},
        name,
        implementation.function.__defaults__,
        implementation.function.__closure__,
    )
    try:
        manager.register(types.SimpleNamespace(**{name: implementation_marker(offered)}))
        manager.check_pending()
    except pluggy.PluginValidationError:
        return (
            f"It implements {spec} with other parameters: {', '.join(implementation.accepts)}; "
            f"it may take only: {', '.join(spec.parameters)}."
        )
    return ""
