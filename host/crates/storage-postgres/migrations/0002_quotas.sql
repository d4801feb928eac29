-- Quotas (DESIGN §4): what an operator has set for a tenant in place of the configuration's figures, as JSON.
CREATE TABLE tenant_quotas (
    tenant_id bigint PRIMARY KEY,
    overrides text COLLATE "C" NOT NULL
);

-- What would be long to count whenever something is added, and the CPU time of the last minute: what was left of it at
-- `cpu_at`. `cpu_until`: nothing of the tenant is claimed before. A row is written with every batch of its tenant.
CREATE TABLE tenant_usage (
    tenant_id bigint PRIMARY KEY,
    entities bigint NOT NULL DEFAULT 0,
    cpu_us bigint NOT NULL DEFAULT 0,
    cpu_at bigint NOT NULL DEFAULT 0,
    cpu_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

-- The count is kept by the database, so that no writer forgets it, whatever its version. Once for each statement. Writers of the
-- version before wait meanwhile, so that nobody adds between the count and the triggers.
LOCK TABLE refresh_state IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO tenant_usage (tenant_id, entities) SELECT tenant_id, count(*) FROM refresh_state GROUP BY tenant_id;
CREATE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenant_usage AS u (tenant_id, entities) SELECT tenant_id, count(*) FROM added GROUP BY tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET entities = u.entities + excluded.entities;
    RETURN NULL;
END $$;
CREATE FUNCTION count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenant_usage u SET entities = greatest(u.entities - gone.entities, 0)
    FROM (SELECT tenant_id, count(*) AS entities FROM removed GROUP BY tenant_id) gone
    WHERE u.tenant_id = gone.tenant_id;
    RETURN NULL;
END $$;
CREATE TRIGGER refresh_state_added AFTER INSERT ON refresh_state
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE TRIGGER refresh_state_removed AFTER DELETE ON refresh_state
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_removed();
