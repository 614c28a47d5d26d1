"""Calling a hook's implementations: the tenant's own, in order, each within its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from pss_kernel.errors import Problem, Unavailable
from pss_kernel.resilience._call import Call

if TYPE_CHECKING:
    from pss_kernel.hooks._spec import HookSpec
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.plugin import HookImplementation

__all__ = ["HookFailed", "call_hook"]

_log = structlog.get_logger("pss.hooks")


class HookFailed(Unavailable):
    """An implementation that had to answer failed or took longer than its budget."""

    code, title = "hook-failed", "A plugin that had to answer did not"


async def call_hook(spec: HookSpec[..., Any], uow: UnitOfWork, arguments: dict[str, Any]) -> Any:
    """Call what this tenant's enabled plugins implement, as the hook's kind says."""
    implementations = uow.installation.registry.implementations(spec, uow.tenant)
    if spec.kind == "first":
        return await _first(implementations, uow, arguments)
    if spec.kind == "pipeline":
        return await _pipeline(implementations, uow, arguments, spec.parameters[1])
    return await _notify(implementations, uow, arguments)


async def _first(
    implementations: list[HookImplementation], uow: UnitOfWork, arguments: dict[str, Any]
) -> Any:
    for implementation in implementations:
        answer = await _answer(implementation, uow, arguments)
        if answer is not None:
            return answer
    return None


async def _pipeline(
    implementations: list[HookImplementation],
    uow: UnitOfWork,
    arguments: dict[str, Any],
    carried: str,
) -> Any:
    for implementation in implementations:
        arguments = {**arguments, carried: await _answer(implementation, uow, arguments)}
    return arguments[carried]


async def _notify(
    implementations: list[HookImplementation], uow: UnitOfWork, arguments: dict[str, Any]
) -> None:
    for implementation in implementations:
        try:
            await _answer(implementation, uow, arguments, contained=True)
        except Exception:  # noqa: BLE001 - a notified plugin's failure is contained here
            _log.exception("hook_contained", **_facts(implementation, uow))


async def _answer(
    implementation: HookImplementation,
    uow: UnitOfWork,
    arguments: dict[str, Any],
    *,
    contained: bool = False,
) -> Any:
    """``contained``: what its statements broke is undone, and the caller's transaction goes on."""
    accepted = {name: arguments[name] for name in implementation.accepts if name in arguments}
    budget = implementation.spec.budget
    call = Call(uow.installation, uow.tenant, implementation.plugin, budget)
    try:
        async with call, uow.acting(implementation.plugin):
            if not contained:
                return await implementation.function(uow, **accepted)
            async with uow.savepoint():
                return await implementation.function(uow, **accepted)
    except Problem as problem:
        if not call.expired:
            raise
        _log.error("hook_over_budget", budget=budget, **_facts(implementation, uow))
        raise HookFailed(
            f"The plugin {implementation.plugin!r} did not answer {implementation.spec.name!r} "
            f"within {budget:g} s."
        ) from problem
    except Exception as error:
        _log.exception("hook_failed", **_facts(implementation, uow))
        raise HookFailed(
            f"The plugin {implementation.plugin!r} failed in {implementation.spec.name!r}."
        ) from error


def _facts(implementation: HookImplementation, uow: UnitOfWork) -> dict[str, Any]:
    return {
        "hook": str(implementation.spec),
        "plugin": implementation.plugin,
        "tenant": uow.tenant.code,
    }
