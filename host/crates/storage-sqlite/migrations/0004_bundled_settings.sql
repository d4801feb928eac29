-- What a tenant has set on processors that ship with the host; one without a row is as it ships. The version of a row is the
-- version of the tenant's pipelines that it came with, as that of a processor's settings.
CREATE TABLE bundled_settings (
    tenant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    settings_version INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;
