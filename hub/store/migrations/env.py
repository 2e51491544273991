"""Alembic's environment: migrate over the connection that the store hands in."""

from alembic import context

from hub.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=connection is not None and connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
context.run_migrations()
