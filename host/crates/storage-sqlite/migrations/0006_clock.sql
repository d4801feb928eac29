-- How far the clock of the machine was ahead of how long it had run, and in which boot: a difference to now is a clock that was
-- set, and due times follow it.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot BLOB NOT NULL,
    ahead_ms INTEGER NOT NULL
);
