-- Texts are compared byte by byte (C), which is the order of pages.
CREATE TABLE sluice_item (
  kind     text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  owner    text COLLATE "C" NOT NULL,
  state    text COLLATE "C" NOT NULL,
  expires  bigint,             -- milliseconds since 1970, UTC; NULL is never
  body     bytea NOT NULL,
  PRIMARY KEY (kind, id)
);

-- An owner or state is up to 1 KiB, below the third of a page that a key may have.
CREATE INDEX sluice_item_owner ON sluice_item (kind, owner, id) WHERE owner <> '';
CREATE INDEX sluice_item_state ON sluice_item (kind, state, id) WHERE state <> '';
CREATE INDEX sluice_item_expires ON sluice_item (kind, expires) WHERE expires IS NOT NULL;

-- Each change is told to the other replicas when it is committed. A kind has no
-- space in it, so that the first one ends it.
CREATE FUNCTION sluice_item_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM pg_notify('sluice_item', OLD.kind || ' ' || OLD.id);
  ELSE
    PERFORM pg_notify('sluice_item', NEW.kind || ' ' || NEW.id);
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER sluice_item_told AFTER INSERT OR UPDATE OR DELETE ON sluice_item
  FOR EACH ROW EXECUTE FUNCTION sluice_item_tell();

-- What a ping writes: only a write tells whether the database takes one.
CREATE TABLE sluice_ping (one integer PRIMARY KEY CHECK (one = 1), at bigint NOT NULL);
INSERT INTO sluice_ping VALUES (1, 0);
