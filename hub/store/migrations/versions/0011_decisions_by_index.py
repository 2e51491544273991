"""The decisions of an area are counted out of an index: the rows beside it hold whole reports."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OLD, _NEW = "ix_assessments_camera_id_as_of_id", "ix_assessments_camera_id_as_of_id_decision"


def upgrade() -> None:
    """Put the decision into the index."""
    op.create_index(op.f(_NEW), "assessments", ["camera_id", "as_of", "id", "decision"], unique=False)
    op.drop_index(op.f(_OLD), table_name="assessments")


def downgrade() -> None:
    """Take it out again."""
    op.create_index(op.f(_OLD), "assessments", ["camera_id", "as_of", "id"], unique=False)
    op.drop_index(op.f(_NEW), table_name="assessments")
