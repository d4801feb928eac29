-- Digest of the edges and relations that an entity's last good run left, so that the audit sees when one is lost or foreign
-- (DESIGN §2). Null until its next run.
ALTER TABLE refresh_state ADD COLUMN left_digest BLOB;

-- The tenant's own processors that the last run matched, with the digests of their revisions, for `…/processing`.
ALTER TABLE refresh_state ADD COLUMN revisions TEXT NOT NULL DEFAULT '[]';
