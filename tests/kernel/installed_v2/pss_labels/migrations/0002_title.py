"""Expand: the column gets a second name, and whoever writes one of them writes both."""

from alembic import op

revision = "0002"
down_revision = "0001"
allow = {"whole-table-write": "A tenant has a few labels, written seldom."}


def upgrade() -> None:
    op.execute("ALTER TABLE label ADD COLUMN title text")
    op.execute("""
CREATE FUNCTION label_has_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.title := coalesce(NEW.title, NEW.caption);
    NEW.caption := NEW.title;
  ELSIF NEW.title IS DISTINCT FROM OLD.title THEN
    NEW.caption := NEW.title;
  ELSE
    NEW.title := NEW.caption;
  END IF;
  RETURN NEW;
END $$""")
    op.execute("""
CREATE TRIGGER label_has_both BEFORE INSERT OR UPDATE ON label
FOR EACH ROW EXECUTE FUNCTION label_has_both()""")
    op.execute("UPDATE label SET title = caption")


def downgrade() -> None:
    op.execute("DROP TRIGGER label_has_both ON label")
    op.execute("DROP FUNCTION label_has_both")
    op.execute("ALTER TABLE label DROP COLUMN title")
