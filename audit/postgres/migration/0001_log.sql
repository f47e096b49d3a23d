-- One row for each replica's log. size is how many records there ever were,
-- sealed how many of them are in segments, first the first that is kept.
CREATE TABLE sluice_audit_replica (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL UNIQUE,
	public text NOT NULL DEFAULT '',
	size bigint NOT NULL DEFAULT 0,
	sealed bigint NOT NULL DEFAULT 0,
	first bigint NOT NULL DEFAULT 0,
	high bigint NOT NULL DEFAULT 0,
	back bigint NOT NULL DEFAULT 0,
	day date NOT NULL DEFAULT '1970-01-01'
) WITH (fillfactor = 50);

CREATE TABLE sluice_audit_head (
	replica integer NOT NULL, first bigint NOT NULL, n integer NOT NULL, leaves bytea NOT NULL, body bytea NOT NULL,
	PRIMARY KEY (replica, first)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE sluice_audit_leaf (
	replica integer NOT NULL, first bigint NOT NULL, n integer NOT NULL, leaves bytea NOT NULL,
	PRIMARY KEY (replica, first)
);
ALTER TABLE sluice_audit_leaf ALTER leaves SET STORAGE EXTERNAL;

CREATE TABLE sluice_audit_checkpoint (
	replica integer NOT NULL, size bigint NOT NULL, root bytea NOT NULL, time bigint NOT NULL, note bytea NOT NULL,
	PRIMARY KEY (replica, size)
);

-- Which days a replica has segments of: from which record on, and the latest time
-- up to its end.
CREATE TABLE sluice_audit_day (
	replica integer NOT NULL, day date NOT NULL, first bigint NOT NULL, high bigint NOT NULL,
	PRIMARY KEY (replica, day)
) WITH (fillfactor = 50);

CREATE TABLE sluice_audit_segment (
	first bigint NOT NULL, low bigint NOT NULL, top bigint NOT NULL, high bigint NOT NULL,
	day date NOT NULL, replica integer NOT NULL, n integer NOT NULL,
	ends integer[] NOT NULL, -- of each 128 records, in body
	body bytea NOT NULL
) PARTITION BY RANGE (day);
ALTER TABLE sluice_audit_segment ALTER body SET STORAGE EXTERNAL;
CREATE INDEX sluice_audit_segment_first ON sluice_audit_segment (replica, first);
CREATE INDEX sluice_audit_segment_high ON sluice_audit_segment (replica, high, first);

CREATE TABLE sluice_audit_term (
	key bigint NOT NULL, first bigint NOT NULL, day date NOT NULL, replica integer NOT NULL, at bytea NOT NULL
) PARTITION BY RANGE (day);
CREATE INDEX sluice_audit_term_key ON sluice_audit_term (key, replica, first);

CREATE TABLE sluice_audit_call (
	first bigint NOT NULL, day date NOT NULL, replica integer NOT NULL, filter bytea NOT NULL
) PARTITION BY RANGE (day);
ALTER TABLE sluice_audit_call ALTER filter SET STORAGE PLAIN;
CREATE INDEX sluice_audit_call_first ON sluice_audit_call (replica, first);

CREATE TABLE sluice_audit_payload (
	seq bigint NOT NULL, day date NOT NULL, replica integer NOT NULL, id text NOT NULL, key text NOT NULL, words bytea NOT NULL, body bytea NOT NULL
) PARTITION BY RANGE (day);
ALTER TABLE sluice_audit_payload ALTER body SET STORAGE EXTERNAL;
CREATE INDEX sluice_audit_payload_id ON sluice_audit_payload (id);
CREATE INDEX sluice_audit_payload_key ON sluice_audit_payload (key);

CREATE TABLE sluice_audit_datakey (id text PRIMARY KEY, sealed bytea NOT NULL);
CREATE TABLE sluice_audit_mark (name text PRIMARY KEY, cursor text NOT NULL);
