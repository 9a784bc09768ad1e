-- Where an embedded store was moved to, and when: it is not written to any more.
ALTER TABLE deployment ADD COLUMN moved_to TEXT;
ALTER TABLE deployment ADD COLUMN moved_at BIGINT;
