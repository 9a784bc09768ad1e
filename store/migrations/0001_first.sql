-- Tenants, keys, campaigns and leads, the register of registry snapshots, and
-- what processes tell each other. Times are Unix milliseconds, UTC. Ids are made
-- by the program. Everything about a lead names its campaign first, so that the
-- same statements can run on a database that is spread by campaign.
--
-- Lines that begin with --sqlite: or --postgres: are for one engine alone.

CREATE TABLE tenants (
  id         BIGINT NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
  id          BIGINT NOT NULL PRIMARY KEY,
  tenant_id   BIGINT NOT NULL REFERENCES tenants (id),
  environment TEXT   NOT NULL CHECK (environment IN ('live', 'test')),
  hash        BLOB   NOT NULL UNIQUE, -- SHA-256 of the whole key
  prefix      TEXT   NOT NULL,
  last_four   TEXT   NOT NULL,
  label       TEXT   NOT NULL,
  scopes      TEXT   NOT NULL,        -- separated by spaces; empty means all ordinary ones
  rate_limit  BIGINT NOT NULL,        -- requests per minute
  is_operator BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  revoked_at  BIGINT
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, id);

CREATE TABLE campaigns (
  id                        INTEGER NOT NULL PRIMARY KEY,
  tenant_id                 BIGINT  NOT NULL,
  environment               TEXT    NOT NULL CHECK (environment IN ('live', 'test')),
  name                      TEXT    NOT NULL,
  dial_mode                 TEXT    NOT NULL,
  voice_agent_id            TEXT,
  post_answer_action        TEXT    NOT NULL,
  predictive_target_abandon DOUBLE PRECISION,
  predictive_max_wait_s     DOUBLE PRECISION,
  predictive_min_ratio      DOUBLE PRECISION,
  predictive_max_ratio      DOUBLE PRECISION,
  max_attempts              BIGINT  NOT NULL,
  retry_delay_s             BIGINT  NOT NULL,
  max_concurrent            BIGINT,
  calling_window            TEXT,             -- JSON, as the API shows it
  caller_id                 TEXT,
  status                    TEXT    NOT NULL,
  created_at                BIGINT  NOT NULL,
  updated_at                BIGINT  NOT NULL,
  deleted_at                BIGINT            -- set: gone for everybody, its leads are being removed
);
CREATE INDEX campaigns_tenant ON campaigns (tenant_id, environment, id);

-- How many leads of a campaign have each status, kept by the transaction that
-- changes them. unchecked counts the unfinished leads no registry has answered
-- for: work for the re-check, found without a look at the leads.
CREATE TABLE campaign_counts (
  campaign_id BIGINT NOT NULL,
  slot        BIGINT NOT NULL, -- the counts are the sum: writers beside each other add to slots of their own
  pending     BIGINT NOT NULL DEFAULT 0,
  dialing     BIGINT NOT NULL DEFAULT 0,
  dnd         BIGINT NOT NULL DEFAULT 0,
  held        BIGINT NOT NULL DEFAULT 0,
  completed   BIGINT NOT NULL DEFAULT 0,
  failed      BIGINT NOT NULL DEFAULT 0,
  no_answer   BIGINT NOT NULL DEFAULT 0,
  unchecked   BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, slot)
);

CREATE TABLE leads (
  campaign_id BIGINT  NOT NULL,
--sqlite:  id          INTEGER NOT NULL PRIMARY KEY,
--postgres:  id          BIGINT  NOT NULL,
  phone       BIGINT  NOT NULL, -- the 10 digits as an integer
  name        TEXT,
  email       TEXT,
  external_id TEXT,
  metadata    BLOB,             -- the bytes as they came
  status      BIGINT  NOT NULL,
  attempts    BIGINT  NOT NULL,
  reason      BIGINT  NOT NULL, -- what the last deciding check found
  snapshot_id BIGINT,           -- and by which snapshot; null while unchecked
  checked_at  BIGINT,
  created_at  BIGINT  NOT NULL,
--postgres:  PRIMARY KEY (campaign_id, id),
  updated_at  BIGINT  NOT NULL
);
CREATE UNIQUE INDEX leads_phone ON leads (campaign_id, phone);
--sqlite:CREATE INDEX leads_campaign ON leads (campaign_id, id);

-- Every snapshot that was ever active; its file is named by its SHA-256.
CREATE TABLE snapshots (
  id              BIGINT NOT NULL PRIMARY KEY,
  parent_id       BIGINT,          -- delta: the snapshot it was applied to
  mode            TEXT   NOT NULL CHECK (mode IN ('full', 'delta')),
  effective_date  BIGINT NOT NULL, -- days since 1970-01-01
  sha256          BLOB   NOT NULL,
  file_bytes      BIGINT NOT NULL,
  numbers         BIGINT NOT NULL, -- active numbers in the snapshot
  partial_numbers BIGINT NOT NULL, -- of these, with a list of categories
  full_numbers    BIGINT NOT NULL, -- active numbers in the last full set of its lineage
  rows_read       BIGINT NOT NULL,
  rows_active     BIGINT NOT NULL,
  rows_deleted    BIGINT NOT NULL,
  malformed       BIGINT NOT NULL,
  conflicts       BIGINT NOT NULL,
  overridden      TEXT   NOT NULL, -- the rules that were overridden, separated by spaces
  override_reason TEXT   NOT NULL,
  actor           TEXT   NOT NULL,
  created_at      BIGINT NOT NULL
);

CREATE TABLE snapshot_files (
  snapshot_id BIGINT NOT NULL REFERENCES snapshots (id),
  seq         BIGINT NOT NULL,
  name        TEXT   NOT NULL,
  sha256      BLOB   NOT NULL,
  bytes       BIGINT NOT NULL,
  rows_read   BIGINT NOT NULL,
  PRIMARY KEY (snapshot_id, seq)
);

-- One row. version grows with every change that running servers must take;
-- confirmed_snapshot_id is the snapshot up to which all leads are re-checked.
CREATE TABLE deployment (
  one                   BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  version               BIGINT NOT NULL,
  active_snapshot_id    BIGINT,
  activated_at          BIGINT,
  confirmed_snapshot_id BIGINT,
  id_floor              BIGINT NOT NULL -- highest id of rows that are gone
);
INSERT INTO deployment (one, version, id_floor) VALUES (1, 1, 0);

-- The servers that run, and which version and snapshot each one answers from.
CREATE TABLE servers (
  id          BIGINT NOT NULL PRIMARY KEY,
  pid         BIGINT NOT NULL,
  host        TEXT   NOT NULL,
  address     TEXT   NOT NULL,
  started_at  BIGINT NOT NULL,
  seen_at     BIGINT NOT NULL,
  version     BIGINT NOT NULL,
  snapshot_id BIGINT,
  problem     TEXT   NOT NULL -- why the active snapshot is not served; empty when all is well
);
