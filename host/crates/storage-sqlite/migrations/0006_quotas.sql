-- Quotas (DESIGN §4): what an operator has set for a tenant in place of the configuration's figures, as JSON.
CREATE TABLE tenant_quotas (
    tenant_id INTEGER PRIMARY KEY,
    overrides TEXT NOT NULL
);

-- What would be long to count whenever something is added, and the CPU time of the last minute: what was left of it at
-- `cpu_at`. `cpu_until`: nothing of the tenant is claimed before.
CREATE TABLE tenant_usage (
    tenant_id INTEGER PRIMARY KEY,
    entities INTEGER NOT NULL DEFAULT 0,
    cpu_us INTEGER NOT NULL DEFAULT 0,
    cpu_at INTEGER NOT NULL DEFAULT 0,
    cpu_until INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tenant_usage_cpu ON tenant_usage (cpu_until) WHERE cpu_until > 0;

-- The count is kept by the database, so that no writer forgets it, whatever its version.
INSERT INTO tenant_usage (tenant_id, entities) SELECT tenant_id, count(*) FROM refresh_state GROUP BY tenant_id;
CREATE TRIGGER refresh_state_added AFTER INSERT ON refresh_state BEGIN
    INSERT INTO tenant_usage (tenant_id, entities) VALUES (NEW.tenant_id, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET entities = entities + 1;
END;
CREATE TRIGGER refresh_state_removed AFTER DELETE ON refresh_state BEGIN
    UPDATE tenant_usage SET entities = max(entities - 1, 0) WHERE tenant_id = OLD.tenant_id;
END;
