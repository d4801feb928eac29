-- The queue of uploads to be compiled: fair, bounded, charged (DESIGN §1, §4).

-- How often a run was taken, and when it may be taken again after a failure of ours.
ALTER TABLE runs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
-- Uploads of a tenant that wait or are compiled: at most one of the latter, and a bound on both.
CREATE INDEX runs_inspecting ON runs (tenant_id, state) WHERE kind = 'inspect-revision' AND state IN ('queued', 'running');

-- CPU time of compiling by minute, of the last hour.
CREATE TABLE compilations (
    tenant_id INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    cpu_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, minute)
) WITHOUT ROWID;

-- Whose turn it was last; a counter and no time, so that a clock that stands or jumps does not decide.
CREATE TABLE compile_turns (
    tenant_id INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL
);
CREATE INDEX compile_turns_turn ON compile_turns (turn);
