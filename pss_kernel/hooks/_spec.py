"""Declaring hooks and services in a plugin's ``contracts`` module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from pss_kernel.resilience._call import Call

__all__ = ["HookKind", "HookSpec", "Service", "hookspec", "service"]

P = ParamSpec("P")
R = TypeVar("R")

HookKind = Literal["first", "pipeline", "notify"]


class _Declared(Generic[P, R]):
    """A typed declaration: name, owner, parameters; no behaviour of its own."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> None:
        self.function = function
        self.name = function.__name__
        self.owner = function.__module__.partition(".")[0]
        self.parameters = tuple(inspect.signature(function).parameters)
        self.__doc__ = function.__doc__
        if not self.parameters or self.parameters[0] != "uow":
            raise TypeError(f"{self}: the first parameter must be called 'uow'.")

    def __str__(self) -> str:
        return f"{self.function.__module__}.{self.name}"


class HookSpec(_Declared[P, R]):
    """An extension point. Called with ``await uow.call(spec, name=value, …)``.

    ``first``: implementations are asked in order, the first answer that is not None wins.
    ``pipeline``: each transforms the first parameter after ``uow`` and returns it.
    ``notify``: all are told; a failure is recorded and contained.
    ``budget``: seconds that one implementation may take.
    ``optional``: whether it goes on without a plugin that is in quarantine.
    """

    def __init__(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        kind: HookKind,
        budget: float,
        *,
        optional: bool | None = None,
    ) -> None:
        super().__init__(function)
        self.kind = kind
        self.budget = budget
        self.optional = kind != "pipeline" if optional is None else optional
        if kind == "pipeline" and len(self.parameters) < 2:  # noqa: PLR2004 - uow and the value
            raise TypeError(f"{self}: a pipeline needs a value after 'uow'.")


class Service(_Declared[P, R]):
    """A typed handle that exactly one plugin provides; called like the function it declares.

    Runs in the caller's unit of work and within the caller's time budget. Raises
    PluginNotEnabled where the tenant does not have the providing plugin, PluginQuarantined
    where it is in quarantine.
    """

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        uow: Any = args[0] if args else kwargs["uow"]
        plugin, function = uow.installation.registry.provider(self, uow.tenant)
        async with Call(uow.installation, uow.tenant, plugin, None), uow.acting(plugin):
            result: R = await function(*args, **kwargs)
        return result


def hookspec(
    kind: HookKind, *, budget: float = 2.0, optional: bool | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], HookSpec[P, R]]:
    """Declare the decorated coroutine function as an extension point; its body stays empty.

    ``optional``: whether callers go on without an implementation whose plugin is in quarantine;
    by default so for ``first`` and ``notify``, and not for a ``pipeline``.
    """

    def declare(function: Callable[P, Coroutine[Any, Any, R]]) -> HookSpec[P, R]:
        return HookSpec(function, kind, budget, optional=optional)

    return declare


def service(function: Callable[P, Coroutine[Any, Any, R]]) -> Service[P, R]:
    """Declare the decorated coroutine function as a service; its body stays empty."""
    return Service(function)
