-- Several processes on one database: who has which node number, which chain of the
-- ledger and which work, the files of snapshots on their way to all of them, and
-- what each key has used of its rate.

ALTER TABLE servers ADD COLUMN node     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN prepared BLOB; -- SHA-256s, one behind the other: of snapshots that it can answer from at once
ALTER TABLE servers ADD COLUMN fetched  BIGINT NOT NULL DEFAULT 0; -- bytes that are there of the files it fetches

-- The numbers in the ids. A process makes ids while it has leased one, until the time
-- that the lease says, by the clock of the database.
CREATE TABLE nodes (
  node   BIGINT NOT NULL PRIMARY KEY,
  holder BIGINT NOT NULL, -- the process
  fence  BIGINT NOT NULL, -- grows whenever it is taken
  until  BIGINT NOT NULL,
  floor  BIGINT NOT NULL  -- ids made with it are not above this
);
--postgres:INSERT INTO nodes (node, holder, fence, until, floor) SELECT n, 0, 0, 0, 0 FROM generate_series(0, 1023) AS n;

-- Work that one process does at a time. What it writes names the fence it was given.
CREATE TABLE leases (
  name   TEXT   NOT NULL PRIMARY KEY,
  holder BIGINT NOT NULL, -- the server
  fence  BIGINT NOT NULL, -- grows whenever it is claimed or given back
  until  BIGINT NOT NULL  -- by the clock of the database; 0 when it was given back
);

-- The file of an import lies on the disk of the server that it came to.
ALTER TABLE registry_imports ADD COLUMN server_id BIGINT NOT NULL DEFAULT 0;

-- The chains of the ledger. A sealed one will not grow: the process that wrote it is
-- gone, and a checkpoint names its last entry.
CREATE TABLE chains (
  writer_id BIGINT NOT NULL PRIMARY KEY,
  server_id BIGINT NOT NULL,           -- the process that adds to it, 0: none any more
  opened_at BIGINT NOT NULL,
  gone_at   BIGINT,                    -- since when that process is seen to be gone, by the clock of the database
  sealed    BIGINT NOT NULL DEFAULT 0, -- number of the checkpoint that names its last entry, 0: it may grow
  entries   BIGINT NOT NULL DEFAULT 0  -- in a sealed one
);
CREATE INDEX chains_unsealed ON chains (writer_id) WHERE sealed = 0;
--sqlite:INSERT INTO chains (writer_id, server_id, opened_at) VALUES (1, 0, 0);

-- Changes of the opt-out lists up to which the leads of all campaigns have been judged
-- anew, where a transaction touches one campaign.
ALTER TABLE deployment ADD COLUMN spread_seq BIGINT NOT NULL DEFAULT 0;

-- What is being moved here from another store, until all of it is there.
ALTER TABLE deployment ADD COLUMN moving TEXT;

-- Files of snapshots in pieces, until every server that runs has them and for those
-- that start.
CREATE TABLE snapshot_blocks (
  sha256 BLOB   NOT NULL, -- of the whole file
  seq    BIGINT NOT NULL,
  bytes  BIGINT NOT NULL, -- before it was compressed
  data   BLOB   NOT NULL,
  PRIMARY KEY (sha256, seq)
);
--postgres:ALTER TABLE snapshot_blocks ALTER COLUMN data SET STORAGE EXTERNAL; -- compressed already

-- What is being published, and how long the file is. ready is set when all its
-- blocks are there, pending while it is about to become the active snapshot.
CREATE TABLE snapshot_uploads (
  sha256     BLOB   NOT NULL PRIMARY KEY,
  bytes      BIGINT NOT NULL,
  base       BLOB,            -- of an overlay: the file it lies over
  ready      BIGINT NOT NULL,
  pending    BIGINT NOT NULL,
  touched_at BIGINT NOT NULL  -- moves while somebody works on it
);

-- Requests that keys have made, all processes together, in each minute.
CREATE TABLE key_usage (
  key_id BIGINT NOT NULL,
  minute BIGINT NOT NULL, -- since 1970-01-01
  used   BIGINT NOT NULL,
  PRIMARY KEY (key_id, minute)
);
