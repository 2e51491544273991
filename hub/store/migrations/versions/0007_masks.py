"""Zones of a camera's picture that were declared as to be masked."""

import sqlalchemy as sa
from alembic import op

from hub.store import columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("cameras", sa.Column("masks", columns.JsonText(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("cameras", "masks")
