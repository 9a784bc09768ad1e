-- Suppression lists, the ledger with its checkpoints, registry imports over the
-- API, roll-backs, erasures, and counts by finding.

ALTER TABLE leads ADD COLUMN first_entry BIGINT; -- of the ledger: how the lead came in
ALTER TABLE leads ADD COLUMN last_entry  BIGINT; -- its latest decision, null while that is the first

ALTER TABLE snapshots ADD COLUMN base_sha256 BLOB;   -- of the base file, when the file is an overlay
ALTER TABLE snapshots ADD COLUMN replaced_id BIGINT; -- active before

ALTER TABLE campaign_counts ADD COLUMN found_unavailable BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_stale       BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_clean       BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_full        BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_partial     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_suppressed  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaign_counts ADD COLUMN found_held        BIGINT NOT NULL DEFAULT 0;
UPDATE campaign_counts
   SET found_unavailable = f.unavailable, found_stale = f.stale, found_clean = f.clean, found_full = f.full_block,
       found_partial = f.partial_block, found_suppressed = f.suppressed, found_held = f.held
  FROM (SELECT campaign_id,
               count(*) FILTER (WHERE reason = 0) AS unavailable,
               count(*) FILTER (WHERE reason = 1) AS stale,
               count(*) FILTER (WHERE reason = 2) AS clean,
               count(*) FILTER (WHERE reason = 3) AS full_block,
               count(*) FILTER (WHERE reason = 4) AS partial_block,
               count(*) FILTER (WHERE reason = 5) AS suppressed,
               count(*) FILTER (WHERE reason = 6) AS held
          FROM leads GROUP BY campaign_id) AS f
 WHERE f.campaign_id = campaign_counts.campaign_id;

-- activation counts how often a snapshot became the active one; the confirmed one
-- replaces confirmed_snapshot_id, since a roll-back makes a snapshot active again.
-- The sweep columns say how far the re-check of all leads has come.
ALTER TABLE deployment ADD COLUMN id                   BIGINT;
ALTER TABLE deployment ADD COLUMN activation           BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN confirmed_activation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN sweep_activation     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN sweep_above          BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN sweep_done           BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN sweep_total          BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN sweep_changed        BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN suppression_seq      BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN scrubs               BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deployment ADD COLUMN pepper_fingerprint   BLOB;
ALTER TABLE deployment ADD COLUMN public_key           BLOB; -- Ed25519, of the checkpoints

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
INSERT INTO activations (seq, snapshot_id, over_id, rolled_back, reason, actor, request_id, at)
  SELECT 1, s.id, NULL, 0, s.override_reason, s.actor, '', d.activated_at
    FROM deployment d JOIN snapshots s ON s.id = d.active_snapshot_id;
UPDATE deployment SET activation = 1 WHERE active_snapshot_id IS NOT NULL;
UPDATE deployment SET confirmed_activation = 1 WHERE active_snapshot_id = confirmed_snapshot_id;

-- The leads that an opt-out list blocks: what must be looked through when an entry
-- is lifted whose phone was erased. 5 is the finding "suppressed".
CREATE INDEX leads_suppressed ON leads (campaign_id, id) WHERE reason = 5;

-- What the re-check after an activation changed in a campaign.
CREATE TABLE campaign_changes (
  campaign_id BIGINT NOT NULL,
  activation  BIGINT NOT NULL,
  blocked     BIGINT NOT NULL DEFAULT 0, -- clean or unchecked before, blocked since
  held        BIGINT NOT NULL DEFAULT 0, -- blocked before, held since
  other       BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign_id, activation)
);

-- Opt-out lists. Rows stay when they have ended; a row without a phone is of a
-- person who was erased and goes on blocking by the hash.
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
CREATE UNIQUE INDEX suppressions_one ON suppressions (tenant_id, phone_hash, campaign_id, environment) WHERE ended_at IS NULL;
CREATE INDEX suppressions_changed ON suppressions (changed_seq);
CREATE INDEX suppressions_phone ON suppressions (tenant_id, phone_hash, id);
CREATE INDEX suppressions_list ON suppressions (tenant_id, id);
CREATE INDEX suppressions_expiry ON suppressions (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;

-- The evidence: one row for each transaction and campaign it touched, in chains by
-- the writer and in the order of the ids, each hashed together with the one before. Nothing here is ever
-- updated or deleted.
CREATE TABLE ledger (
  campaign_id BIGINT  NOT NULL, -- 0: a fact of the tenant or the deployment
--sqlite:  id          INTEGER NOT NULL PRIMARY KEY,
--postgres:  id          BIGINT  NOT NULL,
  tenant_id   BIGINT  NOT NULL, -- 0: a fact of the deployment
  writer_id   BIGINT  NOT NULL,
  seq         BIGINT  NOT NULL,
  head        BLOB    NOT NULL, -- JSON
  body        BLOB    NOT NULL, -- packed decisions
--postgres:  PRIMARY KEY (campaign_id, writer_id, seq),
  hash        BLOB    NOT NULL
);
CREATE INDEX ledger_tenant ON ledger (tenant_id, id);
CREATE INDEX ledger_chain ON ledger (writer_id, seq);
--postgres:CREATE INDEX ledger_order ON ledger (id);

CREATE TABLE checkpoints (
  seq       INTEGER NOT NULL PRIMARY KEY,
  text      BLOB    NOT NULL, -- JSON on one line
  signature BLOB    NOT NULL
);

-- Registry files that came over the API.
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
);

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
