-- Texts are compared byte by byte (BINARY), which is the order of pages.
CREATE TABLE sluice_item (
  kind     TEXT    NOT NULL,
  id       TEXT    NOT NULL,
  revision INTEGER NOT NULL CHECK (revision > 0),
  owner    TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  expires  INTEGER,            -- milliseconds since 1970, UTC; NULL is never
  body     BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX sluice_item_key ON sluice_item (kind, id);
CREATE INDEX sluice_item_owner ON sluice_item (kind, owner, id) WHERE owner <> '';
CREATE INDEX sluice_item_state ON sluice_item (kind, state, id) WHERE state <> '';
CREATE INDEX sluice_item_expires ON sluice_item (kind, expires) WHERE expires IS NOT NULL;

-- What a ping writes: only a write tells whether the disk takes one.
CREATE TABLE sluice_ping (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
INSERT INTO sluice_ping VALUES (1, 0);
