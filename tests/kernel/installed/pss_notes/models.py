from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Table, Text, func

from pss_kernel import tenant_metadata

metadata = tenant_metadata()

note = Table(
    "note",
    metadata,
    Column("note_id", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column(
        "written_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True
    ),
)
counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("remaining", BigInteger, CheckConstraint("remaining >= 0", "remaining"), nullable=False),
)
trace = Table(
    "trace",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
)
