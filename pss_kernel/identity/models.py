"""The tables of accounts, sessions, factors and the audit trail; as the migrations make them."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pss_kernel.persistence import tenant_metadata

__all__ = ["metadata"]

metadata = tenant_metadata()


def _moment(name: str, *, nullable: bool = True) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _account(*, nullable: bool = False) -> Column[str]:
    return Column(
        "account_id",
        Text,
        ForeignKey("account.account_id", ondelete="CASCADE"),
        nullable=nullable,
    )


account = Table(
    "account",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("password_hash", Text),
    _moment("password_changed_at"),
    _moment("email_verified_at"),
    Column("failed_attempts", Integer, nullable=False),
    Column("refused_attempts", Integer, nullable=False),
    _moment("locked_until"),
    Column("new_email", Text),
    Column("new_email_key", Text),
    _moment("signed_in_at"),
    _moment("created_at", nullable=False),
    Column("created_by", Text, nullable=False),
    _moment("changed_at", nullable=False),
    UniqueConstraint("email_key"),
)

account_link = Table(
    "account_link",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _account(),
    Column("purpose", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    _moment("created_at", nullable=False),
    _moment("expires_at", nullable=False),
    _moment("used_at"),
    Index("ix_account_link_account_id", "account_id"),
    Index("ix_account_link_expires_at", "expires_at"),
)

session = Table(
    "session",
    metadata,
    Column("session_id", Text, primary_key=True),
    _account(),
    Column("methods", ARRAY(Text), nullable=False),
    _moment("authenticated_at", nullable=False),
    _moment("created_at", nullable=False),
    _moment("used_at", nullable=False),
    _moment("expires_at", nullable=False),
    _moment("token_expires_at", nullable=False),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    _moment("ended_at"),
    Column("end_reason", Text),
    Index("ix_session_account_id", "account_id"),
    Index("ix_session_expires_at", "expires_at"),
)

refresh_token = Table(
    "refresh_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column(
        "session_id", Text, ForeignKey("session.session_id", ondelete="CASCADE"), nullable=False
    ),
    _moment("created_at", nullable=False),
    _moment("expires_at", nullable=False),
    _moment("used_at"),
    Index("ix_refresh_token_session_id", "session_id"),
)

factor = Table(
    "factor",
    metadata,
    Column("factor_id", Text, primary_key=True),
    _account(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret", LargeBinary),
    Column("last_step", BigInteger),
    Column("credential_id", LargeBinary),
    Column("public_key", LargeBinary),
    Column("sign_count", BigInteger, nullable=False),
    _moment("created_at", nullable=False),
    _moment("confirmed_at"),
    _moment("used_at"),
    UniqueConstraint("credential_id"),
    Index("ix_factor_account_id", "account_id"),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column(
        "account_id",
        Text,
        ForeignKey("account.account_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("digest", LargeBinary, primary_key=True),
    _moment("created_at", nullable=False),
    _moment("used_at"),
)

factor_lock = Table(
    "factor_lock",
    metadata,
    Column(
        "account_id",
        Text,
        ForeignKey("account.account_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("failures", Integer, nullable=False),
    _moment("locked_until"),
)

sign_in_step = Table(
    "sign_in_step",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    _account(nullable=True),
    Column("data", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False),
    _moment("created_at", nullable=False),
    _moment("expires_at", nullable=False),
    _moment("used_at"),
    Index("ix_sign_in_step_account_id", "account_id"),
    Index("ix_sign_in_step_expires_at", "expires_at"),
)

sign_on_link = Table(
    "sign_on_link",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    _account(),
    _moment("created_at", nullable=False),
    Index("ix_sign_on_link_account_id", "account_id"),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    _moment("at", nullable=False),
    Column("action", Text, Computed("((entry)::jsonb ->> 'action'::text)", persisted=True)),
    Column("actor", Text, Computed("((entry)::jsonb ->> 'actor'::text)", persisted=True)),
    Column("subject", Text, Computed("((entry)::jsonb ->> 'subject'::text)", persisted=True)),
    Index("ix_audit_entry_at", "at"),
    Index("ix_audit_entry_subject", "subject"),
)
