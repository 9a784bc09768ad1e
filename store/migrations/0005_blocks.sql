-- How the embedded store keeps a phone once in a campaign: by blocks (1) or by a
-- unique index (0). PostgreSQL always has the index.
ALTER TABLE deployment ADD COLUMN packed BIGINT NOT NULL DEFAULT 0;

-- Grows when another process than the server has added or removed leads, so that the
-- server drops from memory what it knows of phones.
ALTER TABLE deployment ADD COLUMN roster_seq BIGINT NOT NULL DEFAULT 0;

-- The leads of a campaign in the order of their ids, packed as package phoneblock
-- says. Blocks are numbered from 1; leads are appended to the last one alone.
--sqlite:CREATE TABLE lead_blocks (
--sqlite:  campaign_id BIGINT NOT NULL,
--sqlite:  block       BIGINT NOT NULL,
--sqlite:  body        BLOB   NOT NULL,
--sqlite:  PRIMARY KEY (campaign_id, block)
--sqlite:) WITHOUT ROWID;

-- What is known of the leads of each block but the last of a campaign. It may say too
-- much, and never too little.
--sqlite:CREATE TABLE lead_block_heads (
--sqlite:  campaign_id BIGINT NOT NULL,
--sqlite:  first_id    BIGINT NOT NULL, -- the lowest id in it
--sqlite:  block       BIGINT NOT NULL,
--sqlite:  states      BIGINT NOT NULL, -- bits of the states that some lead has
--sqlite:  created_min BIGINT NOT NULL,
--sqlite:  created_max BIGINT NOT NULL,
--sqlite:  checked_min BIGINT NOT NULL, -- of leads with a finding of the registry
--sqlite:  checked_max BIGINT NOT NULL,
--sqlite:  unfounded   BIGINT NOT NULL, -- 1: some lead was found clean without a snapshot
--sqlite:  PRIMARY KEY (campaign_id, first_id)
--sqlite:) WITHOUT ROWID;

-- The external ids of the leads in a block, 4 bytes of a hash of each. Blocks without
-- such have no row.
--sqlite:CREATE TABLE lead_block_externals (
--sqlite:  campaign_id BIGINT NOT NULL,
--sqlite:  block       BIGINT NOT NULL,
--sqlite:  hashes      BLOB   NOT NULL,
--sqlite:  PRIMARY KEY (campaign_id, block)
--sqlite:) WITHOUT ROWID;
