"""The data keys of the tenant that a unit of work is for, as this process knows them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import TenantUnknown
from pss_kernel.keys._data_keys import DataKeys
from pss_kernel.keys._keyring import make_key

if TYPE_CHECKING:
    from pss_kernel.persistence._unit_of_work import UnitOfWork

__all__ = ["current_keys", "keys_of"]


def keys_of(uow: UnitOfWork) -> DataKeys:
    """Its keys; a long piece of work has an older tenant."""
    try:
        tenant = uow.installation.directory.by_code(uow.tenant.code)
    except TenantUnknown:
        tenant = uow.tenant
    return uow.installation.keyring.of(tenant)


async def current_keys(uow: UnitOfWork) -> DataKeys:
    """Its keys, with a current one; made here for the first that is to be sealed of all."""
    opener = keys_of(uow)
    if opener.current is None:
        # Not in the request's own transaction: its role may not, and others wait for it as well.
        async with uow.installation.keyring.making:
            opener = keys_of(uow)
            if opener.current is None:
                async with uow.installation.cell(uow.tenant).owner() as owner:
                    opener = await make_key(uow.installation.keyring, owner, uow.tenant.code)
                await uow.installation.directory.refresh()
    return opener
