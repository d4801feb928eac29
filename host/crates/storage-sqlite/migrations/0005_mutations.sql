-- Staged mutations (DESIGN §7): how many rows are placed, and when a step was last made, so that one whose process died is
-- completed by another. `committed` is 2 for one that is over and whose rows are to go.
ALTER TABLE mutations ADD COLUMN placed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mutations ADD COLUMN stepped_at INTEGER NOT NULL DEFAULT 0;
-- Whether a mutation names a ref, and which of equal refs is the last.
CREATE INDEX mutation_rows_ref ON mutation_rows (tenant_id, mutation_id, entity_ref, number);
CREATE INDEX mutations_source ON mutations (tenant_id, source_key);
CREATE INDEX mutations_left ON mutations (committed, stepped_at);
