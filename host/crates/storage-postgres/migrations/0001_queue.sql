-- Version 1, second half: entities, their edges, and the queues.
-- The rules of the first half hold here too. An edge, a relation and a key name entities by ref, because either end may
-- be missing; work and reads name them by `entity_id` (the uid), so that nothing outlives a deleted entity unnoticed.

-- Bodies and the state of processing; large bodies lie beside their rows. Scheduling is in `work`: no body is rewritten to
-- change a time. `memo` null means "run it whatever the inputs". `status`: 0 pending, 1 ok, 2 partial, 3 failed.
-- A run rewrites the row and, where it ends as before, no indexed column: with room for one more row on its page it stays
-- there, and none of the five indexes is written. Rows are some 2 kB, so that room is a quarter. Vacuum comes after a
-- twentieth has changed, which at five million rows is a quarter of a million and not a million.
CREATE TABLE refresh_state (
    tenant_id bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    location_key text COLLATE "C",
    status bigint NOT NULL DEFAULT 0,
    dead_letter boolean NOT NULL DEFAULT false,
    attempts bigint NOT NULL DEFAULT 0,
    waiting text COLLATE "C",
    last_run_at bigint,
    orphaned_at bigint,
    memo bytea,
    trace text COLLATE "C" NOT NULL DEFAULT '[]',
    diagnostics text COLLATE "C" NOT NULL DEFAULT '[]',
    cache text COLLATE "C" NOT NULL DEFAULT '{}',
    unprocessed_entity text COLLATE "C" NOT NULL,
    processed_entity text COLLATE "C",
    good_digest bytea,
    good_trace text COLLATE "C",
    left_digest bytea,
    revisions text COLLATE "C" NOT NULL DEFAULT '[]'
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);
-- By ref: every emission, edge and stitch looks here, and `…/processing` pages by it.
CREATE UNIQUE INDEX refresh_state_ref ON refresh_state (tenant_id, entity_ref);
-- By uid: claims and records; also the order in which a tenant is queued again as a whole.
CREATE UNIQUE INDEX refresh_state_uid ON refresh_state (tenant_id, entity_id);
-- `…/processing?status=…`: a status changes once or twice in a life, so the index costs little.
CREATE INDEX refresh_state_status ON refresh_state (tenant_id, status, entity_ref) WHERE waiting IS NULL;
-- Waiting entities and dead letters are few among many.
CREATE INDEX refresh_state_waiting ON refresh_state (tenant_id, entity_ref) WHERE waiting IS NOT NULL;
CREATE INDEX refresh_state_dead ON refresh_state (tenant_id, entity_ref) WHERE dead_letter;

-- Edges. Exactly one of `source_key` (a provider) and `source_entity_ref` (a parent) is not empty. Keyed by target,
-- because walking up (orphans, ancestry, refresh) is what happens most.
CREATE TABLE refresh_state_references (
    tenant_id bigint NOT NULL,
    target_entity_ref text COLLATE "C" NOT NULL,
    source_key text COLLATE "C" NOT NULL,
    source_entity_ref text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, target_entity_ref, source_key, source_entity_ref)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- Down: the children of a parent (`source_key` empty) and what a provider gave. With the target, so that the walk down never
-- visits the table, and what a provider gave is walked in order and in parts.
CREATE INDEX references_source
    ON refresh_state_references (tenant_id, source_key, source_entity_ref, target_entity_ref);

CREATE TABLE refresh_keys (
    tenant_id bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, entity_id, key)
);
-- Refresh by key, 500 entities at a time in order of uid: one key may be that of a whole repository.
CREATE INDEX refresh_keys_key ON refresh_keys (tenant_id, key, entity_id);

-- The largest write of a run, so two indexes and no third: by source for stitching, by originator for the difference. Rows
-- are never changed, so that pages are full; it is the largest table, and a fifth of it is too much to wait for.
CREATE TABLE relations (
    tenant_id bigint NOT NULL,
    source_entity_ref text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    target_entity_ref text COLLATE "C" NOT NULL,
    originating_entity_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX relations_originator ON relations (tenant_id, originating_entity_id);

-- A stitch changes the etag and the body, which no index has: with room left on its page the new row stays there and no
-- index is written. Vacuum comes after a twentieth has changed, so that the room is free again before the next round.
CREATE TABLE final_entities (
    tenant_id bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    etag text COLLATE "C" NOT NULL,
    final_entity text COLLATE "C" NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX final_entities_ref ON final_entities (tenant_id, entity_ref);
-- By uid, and the order of the scan that builds an index.
CREATE UNIQUE INDEX final_entities_uid ON final_entities (tenant_id, entity_id);

-- Narrow; a row exists only while there is work. `claim_no` starts at a random number and is raised by each claim, so
-- that a number is not met again when a row is made anew. `again`: queued while held (1), and with its memo cleared (2).
-- A row lives from being queued to being recorded and is written three times: what is dead is soon a multiple of what lives,
-- whatever the size, and a claim walks over it at the low end of `work_due`. So vacuum comes after a number of rows and no
-- share of them, and does not pause: the table is small, or just has been. No room is left on pages: a claim changes what
-- two indexes are of, so a row never stays in place.
CREATE TABLE work (
    tenant_id bigint NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    lane bigint NOT NULL,
    due_at bigint NOT NULL,
    worker_id text COLLATE "C",
    claim_no bigint NOT NULL,
    charged_us bigint NOT NULL DEFAULT 0,
    again bigint NOT NULL DEFAULT 0,
    again_lane bigint,
    again_due bigint,
    PRIMARY KEY (tenant_id, entity_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
-- A tenant's oldest due items of one lane.
CREATE INDEX work_due ON work (tenant_id, lane, due_at) WHERE worker_id IS NULL;
-- What a worker whose lease ended held.
CREATE INDEX work_held ON work (worker_id) WHERE worker_id IS NOT NULL;

-- The first level of a claim. `ready`: it may have due items; else `ready_at` is when it will (null: no items known).
-- `bulk_after` set: all entities with a greater `entity_id` are still to be queued here (an activation is one row).
-- At most four rows of a tenant, each changed by every claim and every record of its tenant, in columns that indexes are of:
-- vacuumed by the number of changes, without a pause.
CREATE TABLE tenant_lanes (
    tenant_id bigint NOT NULL,
    lane bigint NOT NULL,
    ready boolean NOT NULL DEFAULT false,
    ready_at bigint,
    pass double precision NOT NULL DEFAULT 0,
    weight double precision NOT NULL,
    mean_us double precision NOT NULL DEFAULT 1000,
    held bigint NOT NULL DEFAULT 0,
    max_held bigint NOT NULL DEFAULT 1000000,
    bulk_after text COLLATE "C",
    PRIMARY KEY (tenant_id, lane)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
-- The lowest pass of those that are ready, and the highest of the others (where the idle begin again).
CREATE INDEX tenant_lanes_pick ON tenant_lanes (ready, pass);
-- Lane 0 alone: it is looked at first.
CREATE INDEX tenant_lanes_asked ON tenant_lanes (pass) WHERE ready AND lane = 0;
-- What becomes ready as time passes.
CREATE INDEX tenant_lanes_wait ON tenant_lanes (ready_at) WHERE NOT ready AND ready_at IS NOT NULL;

-- What everybody holds, summed at a claim: tenants that hold nothing are not looked at.
CREATE INDEX tenant_lanes_held ON tenant_lanes (held) WHERE held > 0;

CREATE TABLE workers (
    worker_id text COLLATE "C" PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX workers_expiry ON workers (expires_at);

-- A claim moves `next_stitch_at` ahead; a new ticket tells that the result is out of date. Vacuumed as `work` is, and for the
-- same reason.
CREATE TABLE stitch_queue (
    tenant_id bigint NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    ticket bigint NOT NULL,
    next_stitch_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
-- The tenant of the oldest ref, then that tenant's oldest refs.
CREATE INDEX stitch_queue_due ON stitch_queue (next_stitch_at);
CREATE INDEX stitch_queue_tenant ON stitch_queue (tenant_id, next_stitch_at);

-- Few at a time, and many when a source goes; vacuumed as `work` is.
CREATE TABLE orphan_checks (
    tenant_id bigint NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    due_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
-- The tenant of the oldest check, then that tenant's oldest checks.
CREATE INDEX orphan_checks_due ON orphan_checks (due_at);
CREATE INDEX orphan_checks_tenant ON orphan_checks (tenant_id, due_at);

-- Emissions that lost. A provider cannot be asked again, so what it gave is kept and applied when the owner goes.
CREATE TABLE conflicts (
    tenant_id bigint NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    source_key text COLLATE "C" NOT NULL,
    source_entity_ref text COLLATE "C" NOT NULL,
    location_key text COLLATE "C",
    owner_location_key text COLLATE "C",
    unprocessed_entity text COLLATE "C",
    at bigint NOT NULL,
    PRIMARY KEY (tenant_id, entity_ref, source_key, source_entity_ref)
);
-- What one loser lost: resolved when it emits again, or walked in order where a staged mutation is applied.
CREATE INDEX conflicts_loser ON conflicts (tenant_id, source_key, source_entity_ref, entity_ref);

CREATE TABLE locations (
    tenant_id bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    entity_ref text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX locations_target ON locations (tenant_id, type, target);
-- Whether another location stands behind the same entity.
CREATE INDEX locations_entity ON locations (tenant_id, entity_ref);

-- Which entity used which read in its last run.
CREATE TABLE read_uses (
    tenant_id bigint NOT NULL,
    credential text COLLATE "C" NOT NULL,
    want text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, credential, want, entity_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- The difference when an entity is recorded, and its reads when it is refreshed.
CREATE INDEX read_uses_entity ON read_uses (tenant_id, entity_id);
