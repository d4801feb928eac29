-- Runs of scheduled tasks (DESIGN §8): the ticket of the one under way, and how the last one ended.
ALTER TABLE scheduled_tasks ADD COLUMN ticket TEXT;
ALTER TABLE scheduled_tasks ADD COLUMN started_at INTEGER;
ALTER TABLE scheduled_tasks ADD COLUMN ended_at INTEGER;
ALTER TABLE scheduled_tasks ADD COLUMN error TEXT;
