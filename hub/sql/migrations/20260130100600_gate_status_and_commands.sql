-- What each gate says of itself, the orders of staff to gates, and who did what (data model 3.1; protocol 4.2).

-- The newest status of each gate. online: by its own word or its last will; the rest is from when it was last
-- online. heard_at: when the gate itself was heard, by the hub's clock; null as long as only a retained status
-- is known, whose age nobody knows. said_at: by the gate's clock, which is the hub's where clock = 'synced'.
create table if not exists gate_status (
    gate_id text primary key constraint gate_status_gate_fkey references gates (gate_id),
    online boolean not null,
    version text not null default '',
    event_id uuid,
    cache_version bigint,
    cache_age_s bigint,
    epoch text,
    last_seq bigint not null default 0,
    acked bigint not null default 0,
    unacked bigint not null default 0,
    oldest_unacked_s bigint,
    clock text not null default 'untrusted' constraint gate_status_clock check (clock in ('synced', 'untrusted')),
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    boot_id text not null default '',
    monotonic_ms bigint,
    isolated boolean not null default false,
    door boolean,
    parts jsonb not null default '{}',
    way text not null default '',
    counters jsonb not null default '{}',
    held jsonb not null default '[]',
    said_at timestamptz constraint gate_status_said check (is_plausible(said_at)),
    heard_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create or replace trigger gate_status_touch before update on gate_status
for each row execute function touch_updated_at();

-- The hub's own digest of a night at a version, remembered: computing it reads the whole night.
create table if not exists feed_digests (
    event_id uuid not null constraint feed_digests_event_fkey references events (id) on delete cascade,
    generation bigint not null,
    version bigint not null,
    digest text not null,
    computed_at timestamptz not null,
    primary key (event_id, generation, version)
);

-- Orders of staff to gates. `id` is also the scan_id of the record the order leaves in the gate's journal.
-- outcome and why: what the gate replied; null while it has not.
create table if not exists commands (
    id uuid primary key,
    venue text not null,
    gate_id text not null constraint commands_gate_fkey references gates (gate_id),
    action text not null constraint commands_action check (
        action in ('release', 'hold_open', 'close', 'resume', 'show_text', 'refetch', 'restart')
    ),
    text text not null default '',
    reason text not null constraint commands_reason check (reason <> ''),
    actor text not null constraint commands_actor check (actor <> ''),
    key_id text not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    outcome text constraint commands_outcome check (outcome in ('done', 'refused')),
    why text not null default '',
    replied_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint commands_life check (expires_at > issued_at)
);
create index if not exists commands_gate on commands (gate_id, issued_at);

create or replace trigger commands_touch before update on commands
for each row execute function touch_updated_at();

-- Who did what, to whom or what, and why. Only ever added to.
create table if not exists audit_log (
    id uuid primary key default gen_random_uuid(),
    actor text not null,
    action text not null,
    target text not null,
    reason text not null,
    details jsonb not null default '{}',
    created_at timestamptz not null default now()
);
create index if not exists audit_log_time on audit_log (created_at);
