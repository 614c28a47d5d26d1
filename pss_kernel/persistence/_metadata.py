"""Table metadata for plugins: unqualified names, and constraint names that migrations can use."""

from __future__ import annotations

from sqlalchemy import MetaData

__all__ = ["tenant_metadata"]


def tenant_metadata() -> MetaData:
    """Metadata for one plugin's tables; which schema they are in is the unit of work's matter."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
