-- Version 2: settings of a processor have a version, for `ETag` and `If-Match`: the version of the tenant's pipelines that
-- they came with, so that it is not met again when a processor is deleted and made anew.
ALTER TABLE processors ADD COLUMN settings_version INTEGER NOT NULL DEFAULT 0;
