"""The last events of each camera."""

import sqlalchemy as sa
from alembic import op

from hub.store import columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "camera_events",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("arrived_at", columns.UtcTime(), nullable=False),
        sa.Column("told_at", columns.UtcTime(), nullable=True),
        sa.Column("said", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"],
            ["cameras.id"],
            name=op.f("fk_camera_events_camera_id_cameras"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_events")),
    )
    op.create_index(
        op.f("ix_camera_events_camera_id_arrived_at"),
        "camera_events",
        ["camera_id", "arrived_at"],
        unique=False,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("camera_events")
