from __future__ import annotations

from pss_kernel import Event, UnitOfWork, service


class SecretTold(Event, name="secret-told"):
    """A secret was told."""

    secret: str


@service
async def first_secret(uow: UnitOfWork) -> str:
    """The tenant's first secret."""


class Box:
    """What has no JSON schema."""


@service
async def open_box(uow: UnitOfWork, box: Box) -> str:
    """What is in the box."""
