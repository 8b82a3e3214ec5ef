"""Rotation of key-encryption keys, forms of look-ups, accounts that became another."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("person_keys_kek", "person_keys", ["kek"])
    op.create_table(
        "key_rotations",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("destroyed", sa.BigInteger, nullable=False),
        sa.Column("rewrapped", sa.BigInteger, nullable=False),
        sa.Column("rewrapped_ms", sa.BigInteger),
        sa.Column("closed_ms", sa.BigInteger),
    )
    op.add_column("profiles", sa.Column("form", sa.Text, nullable=False, server_default=""))
    op.create_index("profiles_form", "profiles", ["form"])
    op.add_column("subjects", sa.Column("merged_into", sa.Text))
    op.create_index("subjects_merged_into", "subjects", ["merged_into"])
    # A row that is there can be locked: see Vault.current. Of the others, nothing happened yet.
    op.execute(
        "INSERT INTO counters (name, value) VALUES ('current-kek', 1), ('keys-destroyed', 0), ('blocks-merged', 0)"
    )
