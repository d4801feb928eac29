-- Version 4: a change says with which etag the entity was served, so that who follows knows what it has already. Changes from
-- before have none.
ALTER TABLE changes ADD COLUMN etag TEXT;
