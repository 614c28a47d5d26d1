from sqlalchemy import Column, Table, Text

from pss_kernel import Personal, tenant_metadata

metadata = tenant_metadata()

visitor = Table(
    "visitor",
    metadata,
    Column("visitor_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact", Personal("e-mail address and telephone number")),
)
