CREATE TABLE activations (
  seq         BIGINT NOT NULL PRIMARY KEY,
  snapshot_id BIGINT NOT NULL,
  over_id     BIGINT,          -- active before
  rolled_back BIGINT NOT NULL, -- 1: an older snapshot was made active again
  reason      TEXT   NOT NULL,
  actor       TEXT   NOT NULL,
  request_id  TEXT   NOT NULL,
  at          BIGINT NOT NULL
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

CREATE TABLE campaign_changes (
  campaign_id BIGINT NOT NULL,
  activation  BIGINT NOT NULL,
  blocked     BIGINT NOT NULL DEFAULT 0, -- clean or unchecked before, blocked since
  held        BIGINT NOT NULL DEFAULT 0, -- blocked before, held since
  other       BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, activation)
);

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
  unchecked   BIGINT NOT NULL DEFAULT 0, found_unavailable BIGINT NOT NULL DEFAULT 0, found_stale       BIGINT NOT NULL DEFAULT 0, found_clean       BIGINT NOT NULL DEFAULT 0, found_full        BIGINT NOT NULL DEFAULT 0, found_partial     BIGINT NOT NULL DEFAULT 0, found_suppressed  BIGINT NOT NULL DEFAULT 0, found_held        BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, slot)
);

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

CREATE TABLE chains (
  writer_id BIGINT NOT NULL PRIMARY KEY,
  server_id BIGINT NOT NULL,           -- the process that adds to it, 0: none any more
  opened_at BIGINT NOT NULL,
  gone_at   BIGINT,                    -- since when that process is seen to be gone, by the clock of the database
  sealed    BIGINT NOT NULL DEFAULT 0, -- number of the checkpoint that names its last entry, 0: it may grow
  entries   BIGINT NOT NULL DEFAULT 0  -- in a sealed one
);

CREATE INDEX chains_unsealed ON chains (writer_id) WHERE sealed = 0;

CREATE TABLE checkpoints (
  seq       INTEGER NOT NULL PRIMARY KEY,
  text      BLOB    NOT NULL, -- JSON on one line
  signature BLOB    NOT NULL
);

CREATE TABLE deployment (
  one                   BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  version               BIGINT NOT NULL,
  active_snapshot_id    BIGINT,
  activated_at          BIGINT,
  confirmed_snapshot_id BIGINT,
  id_floor              BIGINT NOT NULL -- highest id of rows that are gone
, id                   BIGINT, activation           BIGINT NOT NULL DEFAULT 0, confirmed_activation BIGINT NOT NULL DEFAULT 0, sweep_activation     BIGINT NOT NULL DEFAULT 0, sweep_above          BIGINT NOT NULL DEFAULT 0, sweep_done           BIGINT NOT NULL DEFAULT 0, sweep_total          BIGINT NOT NULL DEFAULT 0, sweep_changed        BIGINT NOT NULL DEFAULT 0, suppression_seq      BIGINT NOT NULL DEFAULT 0, scrubs               BIGINT NOT NULL DEFAULT 0, pepper_fingerprint   BLOB, public_key           BLOB, spread_seq BIGINT NOT NULL DEFAULT 0, moving TEXT, moved_to TEXT, moved_at BIGINT, packed BIGINT NOT NULL DEFAULT 0, roster_seq BIGINT NOT NULL DEFAULT 0);

CREATE TABLE erasures (
  id           BIGINT NOT NULL PRIMARY KEY,
  tenant_id    BIGINT NOT NULL,
  environment  TEXT   NOT NULL, -- test: of what belongs to tests alone
  phone_hash   BLOB   NOT NULL,
  state        TEXT   NOT NULL, -- running until no copy is left in the files of the store
  reason       TEXT   NOT NULL,
  actor        TEXT   NOT NULL,
  leads        BIGINT NOT NULL,
  suppressions BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  finished_at  BIGINT
);

CREATE INDEX erasures_tenant ON erasures (tenant_id, id);

CREATE INDEX erasures_unfinished ON erasures (id) WHERE finished_at IS NULL;

CREATE TABLE key_usage (
  key_id BIGINT NOT NULL,
  minute BIGINT NOT NULL, -- since 1970-01-01
  used   BIGINT NOT NULL,
  PRIMARY KEY (key_id, minute)
);

CREATE TABLE lead_block_externals (
  campaign_id BIGINT NOT NULL,
  block       BIGINT NOT NULL,
  hashes      BLOB   NOT NULL,
  PRIMARY KEY (campaign_id, block)
) WITHOUT ROWID;

CREATE TABLE lead_block_heads (
  campaign_id BIGINT NOT NULL,
  first_id    BIGINT NOT NULL, -- the lowest id in it
  block       BIGINT NOT NULL,
  states      BIGINT NOT NULL, -- bits of the states that some lead has
  created_min BIGINT NOT NULL,
  created_max BIGINT NOT NULL,
  checked_min BIGINT NOT NULL, -- of leads with a finding of the registry
  checked_max BIGINT NOT NULL,
  unfounded   BIGINT NOT NULL, -- 1: some lead was found clean without a snapshot
  PRIMARY KEY (campaign_id, first_id)
) WITHOUT ROWID;

CREATE TABLE lead_blocks (
  campaign_id BIGINT NOT NULL,
  block       BIGINT NOT NULL,
  body        BLOB   NOT NULL,
  PRIMARY KEY (campaign_id, block)
) WITHOUT ROWID;

CREATE TABLE leads (
  campaign_id BIGINT  NOT NULL,
  id          INTEGER NOT NULL PRIMARY KEY,
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
  updated_at  BIGINT  NOT NULL
, first_entry BIGINT, last_entry  BIGINT);

CREATE TABLE leases (
  name   TEXT   NOT NULL PRIMARY KEY,
  holder BIGINT NOT NULL, -- the server
  fence  BIGINT NOT NULL, -- grows whenever it is claimed or given back
  until  BIGINT NOT NULL  -- by the clock of the database; 0 when it was given back
);

CREATE TABLE ledger (
  campaign_id BIGINT  NOT NULL, -- 0: a fact of the tenant or the deployment
  id          INTEGER NOT NULL PRIMARY KEY,
  tenant_id   BIGINT  NOT NULL, -- 0: a fact of the deployment
  writer_id   BIGINT  NOT NULL,
  seq         BIGINT  NOT NULL,
  head        BLOB    NOT NULL, -- JSON
  body        BLOB    NOT NULL, -- packed decisions
  hash        BLOB    NOT NULL
);

CREATE INDEX ledger_chain ON ledger (writer_id, seq);

CREATE INDEX ledger_tenant ON ledger (tenant_id, id);

CREATE TABLE nodes (
  node   BIGINT NOT NULL PRIMARY KEY,
  holder BIGINT NOT NULL, -- the process
  fence  BIGINT NOT NULL, -- grows whenever it is taken
  until  BIGINT NOT NULL,
  floor  BIGINT NOT NULL  -- ids made with it are not above this
);

CREATE TABLE registry_imports (
  id             BIGINT NOT NULL PRIMARY KEY,
  state          TEXT   NOT NULL,
  mode           TEXT   NOT NULL,
  effective_date BIGINT NOT NULL,
  override       TEXT   NOT NULL,
  file           TEXT   NOT NULL, -- as it is named in the upload directory
  sha256         BLOB   NOT NULL, -- of what arrived
  actor          TEXT   NOT NULL,
  request_id     TEXT   NOT NULL,
  stage          TEXT   NOT NULL,
  bytes_total    BIGINT NOT NULL,
  bytes_done     BIGINT NOT NULL,
  rows_read      BIGINT NOT NULL,
  rows_active    BIGINT NOT NULL,
  rows_deleted   BIGINT NOT NULL,
  malformed      BIGINT NOT NULL,
  conflicts      BIGINT NOT NULL,
  warnings       TEXT   NOT NULL, -- JSON list of sentences
  refusals       TEXT   NOT NULL, -- JSON list of rules and sentences
  problem        TEXT   NOT NULL, -- why it failed
  snapshot_id    BIGINT,
  created_at     BIGINT NOT NULL,
  finished_at    BIGINT
, server_id BIGINT NOT NULL DEFAULT 0);

CREATE TABLE schema_migrations (
		  name       TEXT   NOT NULL PRIMARY KEY,
		  checksum   TEXT   NOT NULL,
		  applied_at BIGINT NOT NULL
		);

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
, node     BIGINT NOT NULL DEFAULT 0, prepared BLOB, fetched  BIGINT NOT NULL DEFAULT 0);

CREATE TABLE snapshot_blocks (
  sha256 BLOB   NOT NULL, -- of the whole file
  seq    BIGINT NOT NULL,
  bytes  BIGINT NOT NULL, -- before it was compressed
  data   BLOB   NOT NULL,
  PRIMARY KEY (sha256, seq)
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

CREATE TABLE snapshot_uploads (
  sha256     BLOB   NOT NULL PRIMARY KEY,
  bytes      BIGINT NOT NULL,
  base       BLOB,            -- of an overlay: the file it lies over
  ready      BIGINT NOT NULL,
  pending    BIGINT NOT NULL,
  touched_at BIGINT NOT NULL  -- moves while somebody works on it
);

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
, base_sha256 BLOB, replaced_id BIGINT);

CREATE TABLE suppressions (
  id          BIGINT NOT NULL PRIMARY KEY,
  tenant_id   BIGINT NOT NULL, -- 0: the whole deployment
  campaign_id BIGINT NOT NULL, -- 0: all campaigns
  environment TEXT   NOT NULL,
  phone_hash  BLOB   NOT NULL,
  phone       BIGINT,
  reason      TEXT   NOT NULL,
  source      TEXT   NOT NULL,
  expires_at  BIGINT,
  actor       TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  ended_at    BIGINT,
  end_reason  TEXT   NOT NULL,
  end_actor   TEXT   NOT NULL,
  changed_seq BIGINT NOT NULL  -- grows with every change of any row, for copies in memory
);

CREATE INDEX suppressions_changed ON suppressions (changed_seq);

CREATE INDEX suppressions_expiry ON suppressions (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;

CREATE INDEX suppressions_list ON suppressions (tenant_id, id);

CREATE UNIQUE INDEX suppressions_one ON suppressions (tenant_id, phone_hash, campaign_id, environment) WHERE ended_at IS NULL;

CREATE INDEX suppressions_phone ON suppressions (tenant_id, phone_hash, id);

CREATE TABLE tenants (
  id         BIGINT NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

-- deployment: 1 1 true true 0
