-- A tenant that is being imported is as one deleted, and takes its name with the last step: when its import last made a step.
ALTER TABLE tenants ADD COLUMN importing_at bigint;
