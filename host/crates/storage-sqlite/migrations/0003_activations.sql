-- Activations with their canaries and regressions (DESIGN §3.3). The rules of version 1 hold here too.

-- `held`: not called although a revision is current. `ever_passed`: one of its revisions passed a canary at some time.
ALTER TABLE processors ADD COLUMN last_activation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processors ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE processors ADD COLUMN ever_passed INTEGER NOT NULL DEFAULT 0;

-- The activation under which the revision last passed; null if it has not, or was quarantined since.
ALTER TABLE processor_revisions ADD COLUMN passed_activation INTEGER;
UPDATE processor_revisions SET passed_activation = 0 WHERE activated_at IS NOT NULL;
UPDATE processors SET ever_passed = 1 WHERE current_revision IS NOT NULL;

-- The bytes that last had a good result, and, while what follows is not good, the reads of that result.
ALTER TABLE refresh_state ADD COLUMN good_digest BLOB;
ALTER TABLE refresh_state ADD COLUMN good_trace TEXT;

-- `picked_at` null: the entities of the canary are yet to be picked. `ends_at` null: it had no canary. `config_before` and
-- `config_after`: what a configuration that came with the revision replaced, and itself, as JSON; null if none came.
CREATE TABLE activations (
    tenant_id INTEGER NOT NULL,
    processor TEXT NOT NULL,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    digest BLOB NOT NULL,
    state TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    picked_at INTEGER,
    ends_at INTEGER,
    matching INTEGER NOT NULL DEFAULT 0,
    processed INTEGER NOT NULL DEFAULT 0,
    alarm_at INTEGER,
    alarm_reason TEXT,
    returned_to INTEGER,
    config_before TEXT,
    config_after TEXT,
    PRIMARY KEY (tenant_id, processor, number)
) WITHOUT ROWID;
-- Canaries are few: whether a tenant has one, and which are to be picked or ended.
CREATE INDEX activations_canary ON activations (tenant_id, processor) WHERE state = 'canary';

-- The entities of open canaries.
CREATE TABLE canary_entities (
    tenant_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    processor TEXT NOT NULL,
    activation INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, entity_id, processor)
) WITHOUT ROWID;
CREATE INDEX canary_entities_processor ON canary_entities (tenant_id, processor, activation, done);

-- Each entity once in an activation.
CREATE TABLE regressions (
    tenant_id INTEGER NOT NULL,
    processor TEXT NOT NULL,
    activation INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    entity_ref TEXT NOT NULL,
    in_canary INTEGER NOT NULL,
    fault TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, processor, activation, entity_id)
) WITHOUT ROWID;
CREATE INDEX regressions_at ON regressions (tenant_id, processor, activation, at);

-- Calls of the last minutes, a row for each minute.
CREATE TABLE activation_calls (
    tenant_id INTEGER NOT NULL,
    processor TEXT NOT NULL,
    activation INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    faulted INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, processor, activation, minute)
) WITHOUT ROWID;
