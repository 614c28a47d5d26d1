"""The installed plugins: found by entry point, validated, resolved as one graph."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import structlog
from packaging.requirements import Requirement

from pss_kernel.errors import Invalid, PluginNotEnabled, PluginQuarantined
from pss_kernel.hooks._spec import HookSpec, Service
from pss_kernel.manifest import claims_of, fault_of
from pss_kernel.persistence._migrations import revisions_of, tables_made
from pss_kernel.plugin import Handler, HookImplementation, Permission, Plugin
from pss_kernel.tenancy._tenant import IDENTITY, Tenant

__all__ = ["BrokenPlugin", "Registry"]

_log = structlog.get_logger("pss.plugins")
_GROUP = "pss.plugins"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that is installed but can't be used, and what to do about it."""

    name: str
    reason: str
    mend: str


class Registry:
    """All usable plugins, in the order in which they need each other."""

    def __init__(self, plugins: Iterable[Plugin], broken: Iterable[BrokenPlugin] = ()) -> None:
        self.broken = list(broken)
        self.plugins = self._resolve([_built_in(), *plugins])
        self._hooks: dict[HookSpec[..., Any], list[HookImplementation]] = {}
        self._services: dict[Service[..., Any], tuple[str, Callable[..., Any]]] = {}
        self._handlers: dict[str, list[Handler]] = {}
        self.permissions: dict[str, Permission] = {}
        self._settings: dict[type, str] = {}
        for plugin in list(self.plugins.values()):
            self._register(plugin)
        for implementations in self._hooks.values():
            implementations.sort(key=lambda one: (one.order, one.plugin))

    @classmethod
    def discover(cls, *, strict: bool = False) -> Registry:
        """Load what is installed. With ``strict`` a plugin that can't be used is an error."""
        plugins: list[Plugin] = []
        broken: list[BrokenPlugin] = []
        for point in sorted(entry_points(group=_GROUP), key=lambda one: one.name):
            try:
                plugins.append(_load(point))
            except Exception as error:  # noqa: BLE001 - a plugin may fail in any way it likes
                broken.append(
                    BrokenPlugin(
                        point.name,
                        f"It can't be imported: {error!r}",
                        f"Upgrade or remove the distribution that brings '{point.value}'.",
                    )
                )
        registry = cls(plugins, broken)
        if strict:
            registry.refuse_broken()
        return registry

    def report_broken(self) -> None:
        """Log what was skipped, and how to mend it."""
        for one in self.broken:
            _log.warning("plugin_skipped", plugin=one.name, reason=one.reason, mend=one.mend)

    def refuse_broken(self) -> None:
        """Raises Invalid where an installed plugin can't be used."""
        if self.broken:
            raise Invalid(
                "Some installed plugins can't be used: "
                + " ".join(f"{one.name}: {one.reason} {one.mend}" for one in self.broken),
                code="broken-plugins",
            )

    def __getitem__(self, name: str) -> Plugin:
        """The plugin of that name. Raises Invalid where it is not installed."""
        try:
            return self.plugins[name]
        except KeyError:
            for broken in self.broken:
                if broken.name == name:
                    raise Invalid(
                        f"The plugin {name!r} is installed but can't be used. {broken.reason}",
                        code="broken-plugins",
                        mend=broken.mend,
                    ) from None
            raise Invalid(
                f"The plugin {name!r} is not installed.",
                code="unknown-plugin",
                mend=f"Installed are: {', '.join(self.plugins) or 'none'}.",
            ) from None

    def implementations(self, spec: HookSpec[..., Any], tenant: Tenant) -> list[HookImplementation]:
        """What the tenant's enabled plugins implement of a hook, in order.

        Raises PluginQuarantined where one of them is in quarantine and must not be left out.
        """
        every = self._hooks.get(spec, ())
        if tenant.quarantined and not spec.optional:
            for one in every:
                if one.plugin in tenant.quarantined:
                    raise PluginQuarantined(one.plugin)
        return [one for one in every if one.plugin in tenant.enabled]

    def provider(self, handle: Service[..., Any], tenant: Tenant) -> tuple[str, Callable[..., Any]]:
        """The plugin and the function behind a service.

        Raises PluginNotEnabled, PluginQuarantined.
        """
        plugin, function = self._services.get(handle, (handle.owner, None))
        if plugin in tenant.quarantined:
            raise PluginQuarantined(plugin)
        if function is None or plugin not in tenant.enabled:
            raise PluginNotEnabled(f"{tenant.name} has not enabled {plugin!r}.")
        return plugin, function

    def handlers(self, event_type: str) -> list[Handler]:
        """Who consumes events of that type, whatever the tenant."""
        return self._handlers.get(event_type, [])

    @property
    def consumed(self) -> list[str]:
        """Every event type that somebody handles."""
        return sorted(self._handlers)

    def plugin_of_settings(self, kind: type) -> str:
        """Whose settings the type is."""
        return self._settings[kind]

    def requirements(self, name: str) -> list[str]:
        """The plugins that one needs directly."""
        return [Requirement(text).name for text in self[name].requires]

    def closure(self, names: Iterable[str]) -> list[str]:
        """The named plugins with all that they need, requirements first."""
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting.extend(self.requirements(name))
        return [name for name in self.plugins if name in wanted]

    def dependents(self, name: str) -> list[str]:
        """The plugins that need that one, directly or not, those needing most first."""
        return [
            other
            for other in reversed(list(self.plugins))
            if other != name and name in self.closure([other])
        ]

    def migrations_of(self, name: str) -> Path:
        """Where a plugin keeps its Alembic revisions."""
        return _migrations(self[name])

    def _resolve(self, plugins: list[Plugin]) -> dict[str, Plugin]:
        """Leave out what can't be used (and what needs it); order the rest by need."""
        usable: dict[str, Plugin] = {}
        claimed: dict[Hashable, str] = {}
        for plugin in plugins:
            claims = dict(claims_of(plugin))
            taken = next((one for one in claims if one in claimed), None)
            reason = fault_of(plugin)
            if not reason and taken is not None:
                reason = f"It brings {claims[taken]}; {claimed[taken]!r} does that already."
            if reason:
                self.broken.append(BrokenPlugin(plugin.name, reason, "Correct its manifest."))
            else:
                usable[plugin.name] = plugin
                claimed |= dict.fromkeys(claims, plugin.name)
        while True:
            faults = [(name, _unmet(plugin, usable)) for name, plugin in usable.items()]
            unmet = [(name, fault) for name, fault in faults if fault]
            if not unmet:
                return self._ordered(usable)
            for name, (reason, mend) in unmet:
                self.broken.append(BrokenPlugin(name, reason, mend))
                del usable[name]

    def _ordered(self, usable: dict[str, Plugin]) -> dict[str, Plugin]:
        ordered: dict[str, Plugin] = {}
        waiting = dict(usable)
        while waiting:
            ready = [
                name
                for name, plugin in sorted(waiting.items(), key=_built_in_first)
                if all(Requirement(text).name in ordered for text in plugin.requires)
            ]
            if not ready:
                circle = ", ".join(sorted(waiting))
                for name in waiting:
                    self.broken.append(
                        BrokenPlugin(
                            name,
                            f"It is part of a circle of requirements: {circle}.",
                            "One of them must stop requiring the other.",
                        )
                    )
                break
            for name in ready:
                ordered[name] = waiting.pop(name)
        return ordered

    def _register(self, plugin: Plugin) -> None:
        for implementation in plugin.hooks:
            self._hooks.setdefault(implementation.spec, []).append(implementation)
        for handle, function in plugin.services.items():
            self._services[handle] = (plugin.name, function)
        for handler in plugin.handlers:
            self._handlers.setdefault(handler.event.event_type, []).append(handler)
        for permission in plugin.permissions:
            self.permissions[permission.name] = permission
        self._settings[plugin.settings] = plugin.name


def _migrations(plugin: Plugin) -> Path:
    return Path(importlib.import_module(plugin.package).__path__[0]) / "migrations"


def _built_in_first(item: tuple[str, Plugin]) -> tuple[bool, str]:
    name, _ = item
    return name != IDENTITY, name


def _built_in() -> Plugin:
    """The plugin that every installation has; it comes with the kernel."""
    package = importlib.import_module("pss_kernel.identity")
    built_in: Plugin = package.plugin
    for module in built_in.modules:
        importlib.import_module(f"{built_in.package}.{module}")
    return built_in


def _load(point: EntryPoint) -> Plugin:
    plugin = point.load()
    if not isinstance(plugin, Plugin):
        raise TypeError(f"{point.value} is not a Plugin")
    plugin.package = point.module
    for module in plugin.modules:
        importlib.import_module(f"{point.module}.{module}")
    # Read now, so that a migration that can't be read breaks its own plugin and nothing else.
    revisions_of(Path(importlib.import_module(point.module).__path__[0]) / "migrations")
    return plugin


def _unmet(plugin: Plugin, usable: dict[str, Plugin]) -> tuple[str, str] | None:
    """The first requirement that the usable plugins don't meet, and the mend."""
    for text in plugin.requires:
        requirement = Requirement(text)
        found = usable.get(requirement.name)
        if found is None:
            return (
                f"It needs the plugin {requirement.name!r}, which is not installed or not usable.",
                f"Install '{text}' or remove '{plugin.name}'.",
            )
        if found.version not in requirement.specifier:
            return (
                f"It needs {text}; installed is {found.version}.",
                f"Install a '{requirement.name}' that satisfies {requirement.specifier}.",
            )
    for one in plugin.reads:
        owner, _, table = one.partition(".")
        tables = tables_made(revisions_of(_migrations(usable[owner])))
        if table not in tables:
            return (
                f"It reads {one!r}, a table that {owner!r} does not have.",
                f"Correct 'reads' in its manifest; there are: {', '.join(sorted(tables))}.",
            )
    return None
