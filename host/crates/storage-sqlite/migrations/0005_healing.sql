-- Digest of the edges and relations that an entity's last good run left, so that the audit sees when one is lost or foreign
-- (DESIGN §2). Null until its next run.
ALTER TABLE refresh_state ADD COLUMN left_digest BLOB;
