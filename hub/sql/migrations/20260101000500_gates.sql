-- The devices at the doors, what each says of itself, and what staff orders them to do (data model 3.1; protocol 4.2).

-- No gate bears a name of the hub's own: a name is a certificate's, and so a user's and a client's at the broker.
create table if not exists gates (
    id uuid primary key default gen_random_uuid(),
    gate_id text not null constraint gates_gate_id_key unique
        constraint gates_gate_id_topic check (gate_id ~ '^[A-Za-z0-9_.-]{1,64}$')
        constraint gates_not_the_hub check (gate_id !~* '^maguey-hub'),
    venue text not null,
    name text not null,
    certificate_fingerprint text,
    token_hash text,
    epoch text,
    version text,
    last_seen_at timestamptz,
    status text not null default 'active' constraint gates_status check (status in ('active', 'revoked')),
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table if not exists gate_events (
    gate_id text not null constraint gate_events_gate_fkey references gates (gate_id),
    event_id uuid not null constraint gate_events_event_fkey references events (id),
    created_at timestamptz not null default now(),
    primary key (gate_id, event_id)
);

-- The newest status of each gate. online: by its own word or its last will; the rest is from when it was last
-- online. heard_at: when the gate itself was heard, by the hub's clock; null as long as only a retained status
-- is known, whose age nobody knows. said_at: by the gate's clock, which is the hub's where clock = 'synced'.
-- complete_at: when everything the gate had recorded was last known to be here, by the hub's clock. flooding: which
-- gates it sees send more than their budget.
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
    flooding text[] not null default '{}',
    said_at timestamptz constraint gate_status_said check (said_at >= '1970-01-01 00:00+00' and said_at < '2200-01-01 00:00+00'),
    heard_at timestamptz,
    complete_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- Staff's orders to gates. `id` is also the scan_id of the record the order leaves in the gate's journal.
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

-- What staff and the other gates have to be told, one row for each record. sent_at: handed to the broker. An alert's id
-- may be one that can be foretold (`note_clones`), so only another of the same gate and reason takes its place.
create table if not exists alerts (
    number bigint generated always as identity primary key,
    scan_id uuid not null,
    venue text not null,
    gate_id text not null,
    reason text not null,
    at timestamptz not null constraint alerts_time check (at >= '1970-01-01 00:00+00' and at < '2200-01-01 00:00+00'),
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    constraint alerts_scan_key unique (scan_id, gate_id, reason)
);

create index if not exists alerts_waiting on alerts (venue, number) where sent_at is null;
create index if not exists alerts_sent on alerts (venue, gate_id, reason, sent_at) where sent_at is not null;

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

-- The hub's locks are rows that nobody but the hub may touch (objects/11_locks.sql). A row never changes; it is there
-- to be locked.
create table if not exists hub_locks (
    name text primary key
);

insert into hub_locks (name) values ('housekeeping'), ('scan partitions') on conflict do nothing;

-- The consumer of a venue that is the active one, by its session: it is as long as that is connected. Not a lock,
-- which would take a transaction that is open for the whole night and keeps every table from being cleaned.
create table if not exists active_hubs (
    venue text primary key,
    pid integer,
    backend_start timestamptz,
    login name,
    since timestamptz
);
