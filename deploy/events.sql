-- The events that the pipeline reads; run by the database's image when its volume is empty.
CREATE TABLE events (
    "user" text NOT NULL,
    item text NOT NULL,
    timestamp timestamptz NOT NULL
);
CREATE INDEX ON events (timestamp);
