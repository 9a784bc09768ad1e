activations
  seq bigint NOT NULL
  snapshot_id bigint NOT NULL
  over_id bigint
  rolled_back bigint NOT NULL
  reason text NOT NULL
  actor text NOT NULL
  request_id text NOT NULL
  at bigint NOT NULL
  CONSTRAINT activations_pkey PRIMARY KEY (seq)

api_keys
  id bigint NOT NULL
  tenant_id bigint NOT NULL
  environment text NOT NULL
  hash bytea NOT NULL
  prefix text NOT NULL
  last_four text NOT NULL
  label text NOT NULL
  scopes text NOT NULL
  rate_limit bigint NOT NULL
  is_operator bigint NOT NULL
  created_at bigint NOT NULL
  revoked_at bigint
  CONSTRAINT api_keys_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'test'::text])))
  CONSTRAINT api_keys_hash_key UNIQUE (hash)
  CONSTRAINT api_keys_pkey PRIMARY KEY (id)
  CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id)
  CREATE UNIQUE INDEX api_keys_hash_key ON public.api_keys USING btree (hash)
  CREATE INDEX api_keys_tenant ON public.api_keys USING btree (tenant_id, id)

campaign_changes
  campaign_id bigint NOT NULL
  activation bigint NOT NULL
  blocked bigint NOT NULL DEFAULT 0
  held bigint NOT NULL DEFAULT 0
  other bigint NOT NULL DEFAULT 0
  CONSTRAINT campaign_changes_pkey PRIMARY KEY (campaign_id, activation)

campaign_counts
  campaign_id bigint NOT NULL
  slot bigint NOT NULL
  pending bigint NOT NULL DEFAULT 0
  dialing bigint NOT NULL DEFAULT 0
  dnd bigint NOT NULL DEFAULT 0
  held bigint NOT NULL DEFAULT 0
  completed bigint NOT NULL DEFAULT 0
  failed bigint NOT NULL DEFAULT 0
  no_answer bigint NOT NULL DEFAULT 0
  unchecked bigint NOT NULL DEFAULT 0
  found_unavailable bigint NOT NULL DEFAULT 0
  found_stale bigint NOT NULL DEFAULT 0
  found_clean bigint NOT NULL DEFAULT 0
  found_full bigint NOT NULL DEFAULT 0
  found_partial bigint NOT NULL DEFAULT 0
  found_suppressed bigint NOT NULL DEFAULT 0
  found_held bigint NOT NULL DEFAULT 0
  CONSTRAINT campaign_counts_pkey PRIMARY KEY (campaign_id, slot)

campaigns
  id bigint NOT NULL
  tenant_id bigint NOT NULL
  environment text NOT NULL
  name text NOT NULL
  dial_mode text NOT NULL
  voice_agent_id text
  post_answer_action text NOT NULL
  predictive_target_abandon double precision
  predictive_max_wait_s double precision
  predictive_min_ratio double precision
  predictive_max_ratio double precision
  max_attempts bigint NOT NULL
  retry_delay_s bigint NOT NULL
  max_concurrent bigint
  calling_window text
  caller_id text
  status text NOT NULL
  created_at bigint NOT NULL
  updated_at bigint NOT NULL
  deleted_at bigint
  CONSTRAINT campaigns_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'test'::text])))
  CONSTRAINT campaigns_pkey PRIMARY KEY (id)
  CREATE INDEX campaigns_tenant ON public.campaigns USING btree (tenant_id, environment, id)

chains
  writer_id bigint NOT NULL
  server_id bigint NOT NULL
  opened_at bigint NOT NULL
  gone_at bigint
  sealed bigint NOT NULL DEFAULT 0
  entries bigint NOT NULL DEFAULT 0
  CONSTRAINT chains_pkey PRIMARY KEY (writer_id)
  CREATE INDEX chains_unsealed ON public.chains USING btree (writer_id) WHERE (sealed = 0)

checkpoints
  seq bigint NOT NULL
  text bytea NOT NULL
  signature bytea NOT NULL
  CONSTRAINT checkpoints_pkey PRIMARY KEY (seq)

deployment
  one bigint NOT NULL
  version bigint NOT NULL
  active_snapshot_id bigint
  activated_at bigint
  confirmed_snapshot_id bigint
  id_floor bigint NOT NULL
  id bigint
  activation bigint NOT NULL DEFAULT 0
  confirmed_activation bigint NOT NULL DEFAULT 0
  sweep_activation bigint NOT NULL DEFAULT 0
  sweep_above bigint NOT NULL DEFAULT 0
  sweep_done bigint NOT NULL DEFAULT 0
  sweep_total bigint NOT NULL DEFAULT 0
  sweep_changed bigint NOT NULL DEFAULT 0
  suppression_seq bigint NOT NULL DEFAULT 0
  scrubs bigint NOT NULL DEFAULT 0
  pepper_fingerprint bytea
  public_key bytea
  spread_seq bigint NOT NULL DEFAULT 0
  moving text
  moved_to text
  moved_at bigint
  packed bigint NOT NULL DEFAULT 0
  roster_seq bigint NOT NULL DEFAULT 0
  CONSTRAINT deployment_one_check CHECK ((one = 1))
  CONSTRAINT deployment_pkey PRIMARY KEY (one)

erasures
  id bigint NOT NULL
  tenant_id bigint NOT NULL
  environment text NOT NULL
  phone_hash bytea NOT NULL
  state text NOT NULL
  reason text NOT NULL
  actor text NOT NULL
  leads bigint NOT NULL
  suppressions bigint NOT NULL
  created_at bigint NOT NULL
  finished_at bigint
  CONSTRAINT erasures_pkey PRIMARY KEY (id)
  CREATE INDEX erasures_tenant ON public.erasures USING btree (tenant_id, id)
  CREATE INDEX erasures_unfinished ON public.erasures USING btree (id) WHERE (finished_at IS NULL)

key_usage
  key_id bigint NOT NULL
  minute bigint NOT NULL
  used bigint NOT NULL
  CONSTRAINT key_usage_pkey PRIMARY KEY (key_id, minute)

leads
  campaign_id bigint NOT NULL
  id bigint NOT NULL
  phone bigint NOT NULL
  name text
  email text
  external_id text
  metadata bytea
  status bigint NOT NULL
  attempts bigint NOT NULL
  reason bigint NOT NULL
  snapshot_id bigint
  checked_at bigint
  created_at bigint NOT NULL
  updated_at bigint NOT NULL
  first_entry bigint
  last_entry bigint
  CONSTRAINT leads_pkey PRIMARY KEY (campaign_id, id)
  CREATE UNIQUE INDEX leads_phone ON public.leads USING btree (campaign_id, phone)
  CREATE INDEX leads_suppressed ON public.leads USING btree (campaign_id, id) WHERE (reason = 5)

leases
  name text NOT NULL
  holder bigint NOT NULL
  fence bigint NOT NULL
  until bigint NOT NULL
  CONSTRAINT leases_pkey PRIMARY KEY (name)

ledger
  campaign_id bigint NOT NULL
  id bigint NOT NULL
  tenant_id bigint NOT NULL
  writer_id bigint NOT NULL
  seq bigint NOT NULL
  head bytea NOT NULL
  body bytea NOT NULL
  hash bytea NOT NULL
  CONSTRAINT ledger_pkey PRIMARY KEY (campaign_id, writer_id, seq)
  CREATE INDEX ledger_chain ON public.ledger USING btree (writer_id, seq)
  CREATE INDEX ledger_order ON public.ledger USING btree (id)
  CREATE INDEX ledger_tenant ON public.ledger USING btree (tenant_id, id)

nodes
  node bigint NOT NULL
  holder bigint NOT NULL
  fence bigint NOT NULL
  until bigint NOT NULL
  floor bigint NOT NULL
  CONSTRAINT nodes_pkey PRIMARY KEY (node)

registry_imports
  id bigint NOT NULL
  state text NOT NULL
  mode text NOT NULL
  effective_date bigint NOT NULL
  override text NOT NULL
  file text NOT NULL
  sha256 bytea NOT NULL
  actor text NOT NULL
  request_id text NOT NULL
  stage text NOT NULL
  bytes_total bigint NOT NULL
  bytes_done bigint NOT NULL
  rows_read bigint NOT NULL
  rows_active bigint NOT NULL
  rows_deleted bigint NOT NULL
  malformed bigint NOT NULL
  conflicts bigint NOT NULL
  warnings text NOT NULL
  refusals text NOT NULL
  problem text NOT NULL
  snapshot_id bigint
  created_at bigint NOT NULL
  finished_at bigint
  server_id bigint NOT NULL DEFAULT 0
  CONSTRAINT registry_imports_pkey PRIMARY KEY (id)

schema_migrations
  name text NOT NULL
  checksum text NOT NULL
  applied_at bigint NOT NULL
  CONSTRAINT schema_migrations_pkey PRIMARY KEY (name)

servers
  id bigint NOT NULL
  pid bigint NOT NULL
  host text NOT NULL
  address text NOT NULL
  started_at bigint NOT NULL
  seen_at bigint NOT NULL
  version bigint NOT NULL
  snapshot_id bigint
  problem text NOT NULL
  node bigint NOT NULL DEFAULT 0
  prepared bytea
  fetched bigint NOT NULL DEFAULT 0
  CONSTRAINT servers_pkey PRIMARY KEY (id)

snapshot_blocks
  sha256 bytea NOT NULL
  seq bigint NOT NULL
  bytes bigint NOT NULL
  data bytea NOT NULL
  CONSTRAINT snapshot_blocks_pkey PRIMARY KEY (sha256, seq)

snapshot_files
  snapshot_id bigint NOT NULL
  seq bigint NOT NULL
  name text NOT NULL
  sha256 bytea NOT NULL
  bytes bigint NOT NULL
  rows_read bigint NOT NULL
  CONSTRAINT snapshot_files_pkey PRIMARY KEY (snapshot_id, seq)
  CONSTRAINT snapshot_files_snapshot_id_fkey FOREIGN KEY (snapshot_id) REFERENCES snapshots(id)

snapshot_uploads
  sha256 bytea NOT NULL
  bytes bigint NOT NULL
  base bytea
  ready bigint NOT NULL
  pending bigint NOT NULL
  touched_at bigint NOT NULL
  CONSTRAINT snapshot_uploads_pkey PRIMARY KEY (sha256)

snapshots
  id bigint NOT NULL
  parent_id bigint
  mode text NOT NULL
  effective_date bigint NOT NULL
  sha256 bytea NOT NULL
  file_bytes bigint NOT NULL
  numbers bigint NOT NULL
  partial_numbers bigint NOT NULL
  full_numbers bigint NOT NULL
  rows_read bigint NOT NULL
  rows_active bigint NOT NULL
  rows_deleted bigint NOT NULL
  malformed bigint NOT NULL
  conflicts bigint NOT NULL
  overridden text NOT NULL
  override_reason text NOT NULL
  actor text NOT NULL
  created_at bigint NOT NULL
  base_sha256 bytea
  replaced_id bigint
  CONSTRAINT snapshots_mode_check CHECK ((mode = ANY (ARRAY['full'::text, 'delta'::text])))
  CONSTRAINT snapshots_pkey PRIMARY KEY (id)

suppressions
  id bigint NOT NULL
  tenant_id bigint NOT NULL
  campaign_id bigint NOT NULL
  environment text NOT NULL
  phone_hash bytea NOT NULL
  phone bigint
  reason text NOT NULL
  source text NOT NULL
  expires_at bigint
  actor text NOT NULL
  created_at bigint NOT NULL
  updated_at bigint NOT NULL
  ended_at bigint
  end_reason text NOT NULL
  end_actor text NOT NULL
  changed_seq bigint NOT NULL
  CONSTRAINT suppressions_pkey PRIMARY KEY (id)
  CREATE INDEX suppressions_changed ON public.suppressions USING btree (changed_seq)
  CREATE INDEX suppressions_expiry ON public.suppressions USING btree (expires_at) WHERE ((ended_at IS NULL) AND (expires_at IS NOT NULL))
  CREATE INDEX suppressions_list ON public.suppressions USING btree (tenant_id, id)
  CREATE UNIQUE INDEX suppressions_one ON public.suppressions USING btree (tenant_id, phone_hash, campaign_id, environment) WHERE (ended_at IS NULL)
  CREATE INDEX suppressions_phone ON public.suppressions USING btree (tenant_id, phone_hash, id)

tenants
  id bigint NOT NULL
  name text NOT NULL
  created_at bigint NOT NULL
  CONSTRAINT tenants_name_key UNIQUE (name)
  CONSTRAINT tenants_pkey PRIMARY KEY (id)
  CREATE UNIQUE INDEX tenants_name_key ON public.tenants USING btree (name)

-- deployment: 1 1 true true 0
