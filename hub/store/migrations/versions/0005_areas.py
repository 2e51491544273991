"""What areas are judged and reported by: judgements, kept standards, area reports, where cameras come from."""

import sqlalchemy as sa
from alembic import op

from hub.store import columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ADDED = ("group_name", "funding", "source_class")


def upgrade() -> None:
    """Make the tables. Judgements are filled by the next re-assessment, not here: that reads every report."""
    op.add_column("cameras", sa.Column("group_name", sa.Text(), nullable=False, server_default=""))
    op.add_column("cameras", sa.Column("funding", sa.Text(), nullable=False, server_default=""))
    op.add_column("cameras", sa.Column("siting", columns.JsonText(), nullable=True))
    op.add_column(
        "cameras", sa.Column("source_class", sa.String(length=32), nullable=False, server_default="")
    )
    op.create_table(
        "judgements",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("assessment_id", sa.String(length=36), nullable=False),
        sa.Column("basis_id", sa.String(length=36), nullable=False),
        sa.Column("standard_hash", sa.String(length=64), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("as_of", columns.UtcTime(), nullable=False),
        sa.Column("verdicts", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("said", columns.JsonText(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_judgements_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_judgements")),
    )
    op.create_index(op.f("ix_judgements_standard_hash"), "judgements", ["standard_hash"], unique=False)
    op.create_table(
        "standards_kept",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("standard", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("content", columns.PackedJson(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_standards_kept")),
    )
    op.create_table(
        "area_reports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("area_code", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("as_of", columns.UtcTime(), nullable=False),
        sa.Column("by", columns.JsonText(), nullable=False),
        sa.Column("cameras", sa.Integer(), nullable=False),
        sa.Column("document", columns.PackedJson(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area_reports")),
    )
    op.create_index(
        op.f("ix_area_reports_area_code_as_of_id"), "area_reports", ["area_code", "as_of", "id"], unique=False
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("area_reports", "standards_kept", "judgements"):
        op.drop_table(name)
    for name in (*_ADDED, "siting"):
        op.drop_column("cameras", name)
