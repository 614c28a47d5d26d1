"""What may be asked for a key: scopes within the maker's own rights, networks, a time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from pss_kernel.api_versions import VERSIONS
from pss_kernel.auth import scopes_of
from pss_kernel.auth._rights import Given
from pss_kernel.errors import FieldError, Forbidden, Invalid
from pss_kernel.identity.roles.escalation import beyond_own, named

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.registry import Registry
    from pss_kernel.tenancy import Tenant

__all__ = [
    "network_errors",
    "networks_of",
    "refuse",
    "refuse_as_a_whole",
    "refuse_more_than_own",
    "scope_errors",
    "time_errors",
    "version_errors",
]


def scope_errors(registry: Registry, scopes: Iterable[str]) -> Iterator[FieldError]:
    """Names that are no permission, ``<plugin>:*`` or ``*``."""
    known = registry.permissions
    groups = {"*", *(f"{name.partition(':')[0]}:*" for name in known)}
    for place, scope in enumerate(scopes):
        if scope not in known and scope not in groups:
            yield FieldError(
                pointer=f"/scopes/{place}",
                detail=f"No such scope: {scope[:80]}.",
                code="unknown-scope",
            )


def network_errors(networks: Iterable[str]) -> Iterator[FieldError]:
    """What is no network in CIDR notation, or has bits set behind its length."""
    for place, text in enumerate(networks):
        detail = ""
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            detail = f"{text[:60]!r} is no network: write 203.0.113.0/24, or 2001:db8::/32."
        else:
            if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
                detail = "Write a network of IPv4 addresses as such."
            elif "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
                detail = f"It has bits set behind its length; the network is {network}."
        if detail:
            yield FieldError(pointer=f"/networks/{place}", detail=detail)


def networks_of(networks: Iterable[str]) -> list[str]:
    """In their one form, each once; a single address becomes a network of one."""
    return list(dict.fromkeys(str(ipaddress.ip_network(one)) for one in networks))


def time_errors(expires_at: datetime | None, now: datetime) -> Iterator[FieldError]:
    """A moment without an offset from UTC, or one that has passed."""
    detail = ""
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        detail = "Say the offset from UTC too: 2027-06-30T00:00:00Z."
    elif expires_at <= now:
        detail = "This time has passed."
    if detail:
        yield FieldError(pointer="/expires_at", detail=detail)


def version_errors(version: str | None) -> Iterator[FieldError]:
    """A version of the interface that there is not."""
    if version is not None and version not in VERSIONS:
        yield FieldError(
            pointer="/api_version",
            detail=f"There is no such version. Known are: {', '.join(VERSIONS)}.",
            code="unknown-version",
        )


def refuse_more_than_own(
    registry: Registry, tenant: Tenant, actor: Actor, scopes: Iterable[str]
) -> None:
    """Nobody gets more by a key than they have themselves; the system may give anything.

    Raises Forbidden where the scopes include what the actor may not, or may only within limits: a
    key has no amount and no station that would keep it within them.
    """
    given = {name: Given("scope") for name in scopes_of(registry, tenant, frozenset(scopes))}
    beyond = beyond_own(actor, registry, given)
    missing = [one for one in beyond if not actor.may(one)]
    narrowed = [one for one in beyond if actor.may(one)]
    if not beyond:
        return
    said = []
    if missing:
        said.append(f"you don't have {named(missing)} yourself")
    if narrowed:
        said.append(f"you have {named(narrowed)} within limits that a key can't keep")
    raise Forbidden(
        f"A key can't be given more than its maker has: {'; '.join(said)}.",
        code="scopes-beyond-own",
        mend="Leave these scopes out, or let somebody with these permissions make the key.",
    )


def refuse_as_a_whole(errors: Iterable[FieldError]) -> None:
    """Raises Invalid with all of them in one sentence, for people at a command line."""
    found = list(errors)
    if found:
        raise Invalid(
            " ".join(one.detail for one in found),
            code=found[0].code,
            mend="See 'pss apikey create --help'; permissions: docs/reference.md.",
        )


def refuse(errors: Iterable[FieldError]) -> None:
    """Raises Invalid with all of them, where there are any."""
    found = list(errors)
    if found:
        raise Invalid(errors=found)
