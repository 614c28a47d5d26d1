from sqlalchemy import Column, Table, Text

from pss_kernel import Personal, tenant_metadata

metadata = tenant_metadata()

guest = Table(
    "guest",
    metadata,
    Column("guest_id", Text, primary_key=True),
    Column("phone", Personal("telephone number")),
)
