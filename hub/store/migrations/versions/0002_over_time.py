"""What the hub keeps over time: changes of health, memory from run to run, scheduled checks, alerts."""

import sqlalchemy as sa
from alembic import op

from hub.store import columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.add_column("cameras", sa.Column("alert", sa.String(length=8), nullable=False, server_default=""))
    op.create_table(
        "health_changes",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_health_changes_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", "at", name=op.f("pk_health_changes")),
        sqlite_with_rowid=False,
    )
    _begin_log()
    op.create_table(
        "camera_memory",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.Column("changed_at", columns.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_camera_memory_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_memory")),
    )
    op.create_table(
        "camera_marks",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_camera_marks_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", "kind", "value", name=op.f("pk_camera_marks")),
    )
    op.create_index(op.f("ix_camera_marks_kind_value"), "camera_marks", ["kind", "value"], unique=False)
    op.create_table(
        "checks",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("due_at", columns.UtcTime(), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("votes", columns.JsonText(), nullable=False),
        sa.Column("last_at", columns.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_checks_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_checks")),
    )
    op.create_index(op.f("ix_checks_due_at"), "checks", ["due_at"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("params", columns.JsonText(), nullable=False),
        sa.Column("first_at", columns.UtcTime(), nullable=False),
        sa.Column("last_at", columns.UtcTime(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("assessment_id", sa.String(length=36), nullable=True),
        sa.Column("acknowledged_at", columns.UtcTime(), nullable=True),
        sa.Column("acknowledged_by", columns.JsonText(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_alerts_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        op.f("ix_alerts_camera_id_acknowledged_at"), "alerts", ["camera_id", "acknowledged_at"], unique=False
    )
    op.create_index(op.f("ix_alerts_last_at_id"), "alerts", ["last_at", "id"], unique=False)


def _begin_log() -> None:
    """Begin the log of each camera with what was measured last."""
    health = sa.table(
        "health",
        sa.column("camera_id", sa.String()),
        sa.column("state", sa.String()),
        sa.column("since", columns.UtcTime()),
    )
    changes = sa.table(
        "health_changes",
        sa.column("camera_id", sa.String()),
        sa.column("at", sa.BigInteger()),
        sa.column("state", sa.SmallInteger()),
    )
    bind = op.get_bind()
    codes = {"alive": 1, "degraded": 2, "fault": 3, "unreachable": 4}
    rows = [
        {"camera_id": row.camera_id, "at": int(row.since.timestamp()), "state": codes[row.state]}
        for row in bind.execute(sa.select(health))
    ]
    if rows:
        bind.execute(changes.insert(), rows)


def downgrade() -> None:
    """Drop them."""
    for name in ("alerts", "checks", "camera_marks", "camera_memory", "health_changes"):
        op.drop_table(name)
    op.drop_column("cameras", "alert")
