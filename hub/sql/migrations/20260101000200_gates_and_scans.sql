-- Gates, and every scan they report: read, unreadable, and how far without a gap (data model 3.1).

create table if not exists gates (
    id uuid primary key default gen_random_uuid(),
    gate_id text not null constraint gates_gate_id_key unique
        constraint gates_gate_id_topic check (gate_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
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

-- Field by field the scan record of protocol 4.3. No foreign keys: a scan is kept whatever it names.
create table if not exists scan_logs (
    scan_id uuid constraint scan_logs_scan_id_key primary key,
    gate_id text not null,
    epoch text not null,
    seq bigint not null constraint scan_logs_seq_positive check (seq > 0),
    boot_id text not null,
    occurred_at timestamptz not null constraint scan_logs_time check (is_plausible(occurred_at)),
    monotonic_ms bigint not null,
    verdict text not null constraint scan_logs_verdict check (verdict in ('admit', 'deny', 'none')),
    reason text not null,
    rule integer not null,
    kind text not null,
    clock text not null,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    event_id uuid,
    subject_id uuid,
    code_hash text,
    raw_hash text,
    flags text[] not null default '{}',
    scan_method text not null,
    cache_version bigint,
    cache_age_s bigint,
    released boolean not null,
    record text not null constraint scan_logs_record check (record in ('scan', 'passed', 'annulled')),
    refers_to uuid,
    payload_hash text not null,
    received_at timestamptz not null default now(),
    constraint scan_logs_place_key unique (gate_id, epoch, seq)
);

create index if not exists scan_logs_subject on scan_logs (subject_id, occurred_at) where subject_id is not null;

-- Kept, never dropped. The same bytes sent again are one row. `raw` is their first 64 KiB, `raw_hash`
-- and `raw_length` those of all of them.
create table if not exists scan_quarantine (
    id uuid primary key default gen_random_uuid(),
    topic text not null,
    gate_id text,
    epoch text,
    seq bigint,
    raw bytea not null,
    raw_hash text not null,
    raw_length integer not null,
    error text not null,
    received_at timestamptz not null default now()
);

-- A hash, because a topic may be longer than what an index takes.
create unique index if not exists scan_quarantine_once on scan_quarantine (hash_of_text(topic || ' ' || raw_hash));

create index if not exists scan_quarantine_place on scan_quarantine (gate_id, epoch, seq)
where seq is not null;

-- Everything of this gate and epoch up to and including seq is in scan_logs or scan_quarantine.
create table if not exists gate_watermarks (
    gate_id text not null,
    epoch text not null,
    seq bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (gate_id, epoch)
);

create or replace trigger gates_touch before update on gates
for each row execute function touch_updated_at();
