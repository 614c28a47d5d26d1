"""The tables of this plugin: payments, refunds, and the ledger with one account row per order."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from pss_kernel import tenant_metadata

__all__ = ["ledger_entry", "metadata", "order_account", "payment", "refund"]

metadata = tenant_metadata()

_STATUSES = (
    "'pending', 'requires_action', 'authorised', 'captured', 'voiding', 'abandoned', 'failed'"
)
_ACTIVE = "status IN ('pending', 'requires_action', 'authorised')"
_UNSETTLED = "status IN ('pending', 'requires_action', 'authorised', 'voiding', 'abandoned')"
_ACCOUNTS = (
    "'gateway_clearing', 'customer_deposits', 'refunds_payable', 'ticket_revenue',"
    " 'tax_payable', 'penalty_revenue'"
)

# `attempt_at` is a lease and a timetable in one: nobody but its holder works on the row before
# that moment of the database's clock. `deadline_at` ends a challenge, or the watch over a
# payment that the gateway did not know.
payment = Table(
    "payment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("gateway", Text, nullable=False),
    Column("method_type", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("gateway_reference", Text),
    Column("action_url", Text),
    Column("failure_code", Text),
    Column("failure_detail", Text),
    Column("attempts", Integer, nullable=False),
    Column("attempt_at", DateTime(timezone=True), nullable=False),
    Column("deadline_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    CheckConstraint("amount_minor > 0", name="amount_minor"),
    UniqueConstraint("caller", "idempotency_key"),
    # Two payments of one order never run at once.
    Index("uq_payment_order_id_active", "order_id", unique=True, postgresql_where=text(_ACTIVE)),
    Index("ix_payment_unsettled", "attempt_at", postgresql_where=text(_UNSETTLED)),
)

refund = Table(
    "refund",
    metadata,
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey(payment.c.id), nullable=False),
    Column("order_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("decline_reason", Text),
    Column("retries", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempt_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("status IN ('pending', 'refunded', 'refused')", name="status"),
    CheckConstraint("amount_minor > 0", name="amount_minor"),
    # One automatic refund per payment and cause.
    UniqueConstraint("payment_id", "reason"),
    Index("ix_refund_order_id", "order_id"),
    Index("ix_refund_pending", "attempt_at", postgresql_where=text("status = 'pending'")),
)

# Every posting locks the order's row first: postings of one order come one after the other, and
# its deposits can't go below nothing.
order_account = Table(
    "order_account",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("deposits_minor", BigInteger, nullable=False),
    Column("cancellation_refund_minor", BigInteger),
    Column("cancellation_penalty_minor", BigInteger),
    Column("cancellation_settled_at", DateTime(timezone=True)),
    CheckConstraint("deposits_minor >= 0", name="deposits_minor"),
)

# Triggers of the migration refuse a posting that is not balanced (one statement inserts all of
# it), and any change of an entry.
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("posting_id", Text, nullable=False),
    Column("order_id", Text, ForeignKey(order_account.c.order_id), nullable=False),
    Column("reason", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("debit_minor", BigInteger, nullable=False),
    Column("credit_minor", BigInteger, nullable=False),
    Column("posted_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"account IN ({_ACCOUNTS})", name="account"),
    CheckConstraint(
        "debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)",
        name="one_side",
    ),
    Index("ix_ledger_entry_order_id", "order_id"),
)
