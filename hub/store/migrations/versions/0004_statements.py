"""What people state: declarations with their papers, waivers and attestations."""

import sqlalchemy as sa
from alembic import op

from hub.store import columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "declarations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("fact", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value", columns.JsonText(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("declared_at", columns.UtcTime(), nullable=False),
        sa.Column("valid_until", columns.UtcTime(), nullable=False),
        sa.Column("attachment_sha256", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("recorded_by", columns.JsonText(), nullable=False),
        sa.Column("recorded_at", columns.UtcTime(), nullable=False),
        sa.Column("ended_at", columns.UtcTime(), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declarations")),
    )
    op.create_index(
        op.f("ix_declarations_camera_id_fact_version"),
        "declarations",
        ["camera_id", "fact", "version"],
        unique=True,
    )
    op.create_index(
        op.f("ix_declarations_settled_valid_until"), "declarations", ["settled", "valid_until"], unique=False
    )
    op.create_table(
        "attachments",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("added_by", columns.JsonText(), nullable=False),
        sa.Column("added_at", columns.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_attachments_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", "sha256", name=op.f("pk_attachments")),
    )
    op.create_table(
        "statements",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=16), nullable=False),
        sa.Column("camera_id", sa.String(length=36), nullable=True),
        sa.Column("area_code", sa.String(length=16), nullable=True),
        sa.Column("selector", columns.JsonText(), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.Column("starts_at", columns.UtcTime(), nullable=False),
        sa.Column("expires_at", columns.UtcTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=36), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("proposed_at", columns.UtcTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=36), nullable=True),
        sa.Column("decider", sa.Text(), nullable=True),
        sa.Column("decided_at", columns.UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statements")),
    )
    op.create_index(
        op.f("ix_statements_kind_proposed_at_id"), "statements", ["kind", "proposed_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_statements_kind_state_expires_at"),
        "statements",
        ["kind", "state", "expires_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_statements_settled_expires_at"), "statements", ["settled", "expires_at"], unique=False
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("statements", "attachments", "declarations"):
        op.drop_table(name)
