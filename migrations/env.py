"""Alembic's environment for the control schema ``pss``.

The kernel runs it (``pss migrate``) with an open connection in the configuration's attributes;
``alembic -x url=postgresql://… upgrade head`` works too.
"""

from alembic import context
from sqlalchemy import Connection, create_engine, text


def run(connection: Connection) -> None:
    """Upgrade on this connection, with the version table beside the schema's own tables."""
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS pss"))
    context.configure(connection=connection, version_table_schema="pss")
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        run(opened)
