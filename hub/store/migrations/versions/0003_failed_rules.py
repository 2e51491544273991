"""Which rules each camera fails, and by which standard it was judged, beside the reports that say so."""

import sqlalchemy as sa
from alembic import op

from hub.store.columns import PackedJson

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 50  # reports held open while the index is filled

_cameras = sa.table("cameras", sa.column("id"), sa.column("assessment_id"), sa.column("standard"))
_assessments = sa.table(
    "assessments", sa.column("id"), sa.column("standard"), sa.column("report", PackedJson())
)
_failed = sa.table("failed_rules", sa.column("camera_id"), sa.column("rule"), sa.column("standard"))


def upgrade() -> None:
    """Make the index, and fill it from the reports that cameras stand on now."""
    op.add_column("cameras", sa.Column("standard", sa.String(length=64), nullable=False, server_default=""))
    op.create_index(op.f("ix_cameras_standard"), "cameras", ["standard"], unique=False)
    op.create_table(
        "failed_rules",
        sa.Column("camera_id", sa.String(length=36), nullable=False),
        sa.Column("rule", sa.String(length=16), nullable=False),
        sa.Column("standard", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["cameras.id"], name=op.f("fk_failed_rules_camera_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("camera_id", "rule", name=op.f("pk_failed_rules")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_failed_rules_standard_rule_camera_id"),
        "failed_rules",
        ["standard", "rule", "camera_id"],
        unique=False,
    )
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    last = ""
    joined = _cameras.join(_assessments, _assessments.c.id == _cameras.c.assessment_id)
    while True:
        rows = connection.execute(
            sa.select(_cameras.c.id, _assessments.c.standard, _assessments.c.report)
            .select_from(joined)
            .where(_cameras.c.id > last)
            .order_by(_cameras.c.id)
            .limit(AT_ONCE)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        failed = []
        for camera, standard, report in rows:
            connection.execute(sa.update(_cameras).where(_cameras.c.id == camera).values(standard=standard))
            found = [one["rule"] for one in report.get("findings") or () if one.get("verdict") == "FAIL"]
            failed += [
                {"camera_id": camera, "rule": rule, "standard": standard} for rule in dict.fromkeys(found)
            ]
        if failed:
            connection.execute(sa.insert(_failed), failed)


def downgrade() -> None:
    """Drop the index."""
    op.drop_table("failed_rules")
    op.drop_index(op.f("ix_cameras_standard"), "cameras")
    op.drop_column("cameras", "standard")
