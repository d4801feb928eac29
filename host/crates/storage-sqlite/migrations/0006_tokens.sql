-- From when on a token is good; null for at once.
ALTER TABLE tokens ADD COLUMN not_before INTEGER;
