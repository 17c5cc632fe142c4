-- The devices at the doors, their statuses, and staff's orders to them (data model 3.1; protocol 4.2).

-- No gate may have one of the hub's names, because a gate's name is also that of its certificate, and so its user and
-- client at the broker.
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

-- The newest status of each gate. online: from its statuses and its last will; the rest is from when it was last
-- online. heard_at: when the gate itself was last heard, by the hub's clock; null while only a retained status is
-- known, whose age is unknown. said_at: by the gate's clock, which is the hub's if clock = 'synced'. complete_at: when
-- everything the gate had recorded was last known to be here, by the hub's clock. flooding: the gates that it sees
-- exceed their budgets.
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

-- Staff's orders to gates. `id` is also the scan_id of the order's record in the gate's journal. outcome and why: the
-- gate's reply; null until it comes.
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

-- Every certificate the venue's authority has signed, for as long as it counts (ADR 31). `serial` as the revocation list
-- has it, in hexadecimal. A gate may have several: the old one stays good after a renewal.
create table if not exists certificates (
    serial text primary key constraint certificates_serial check (serial ~ '^[0-9a-f]{1,40}$'),
    kind text not null constraint certificates_kind check (
        kind in ('gate', 'take-over', 'gates authority', 'hub authority', 'broker', 'web', 'hub')
    ),
    gate_id text constraint certificates_gate_fkey references gates (gate_id),
    fingerprint text not null constraint certificates_fingerprint check (fingerprint ~ '^[0-9a-f]{64}$'),
    not_before timestamptz not null,
    not_after timestamptz not null,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint certificates_whose check ((kind in ('gate', 'take-over')) = (gate_id is not null))
);

create index if not exists certificates_gate on certificates (gate_id, not_after);

-- What the authority is asked to sign. `token_hash`: of the gate's new token, which the gate made itself.
create table if not exists certificate_requests (
    id uuid primary key default gen_random_uuid(),
    gate_id text not null constraint certificate_requests_gate_fkey references gates (gate_id),
    purpose text not null constraint certificate_requests_purpose check (purpose in ('enrol', 'renew')),
    request text not null constraint certificate_requests_length check (length(request) <= 4096),
    token_hash text constraint certificate_requests_token check (token_hash ~ '^[0-9a-f]{64}$'),
    certificate text,
    refused text,
    done_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint certificate_requests_enrol check ((purpose = 'enrol') = (token_hash is not null))
);

create index if not exists certificate_requests_waiting on certificate_requests (created_at) where done_at is null;
create index if not exists certificate_requests_gate on certificate_requests (gate_id, created_at);

-- Permissions to enrol a gate once: from the machine with this SSH host key, until then. Only the token's hash is here.
-- `content`: the hash of what it was used with; the same may be asked again, because the first answer may have been lost.
create table if not exists enrolments (
    token_hash text primary key constraint enrolments_token check (token_hash ~ '^[0-9a-f]{64}$'),
    gate_id text not null constraint enrolments_gate_fkey references gates (gate_id),
    host_key text not null constraint enrolments_host_key check (host_key ~ '^SHA256:[A-Za-z0-9+/]{43}$'),
    expires_at timestamptz not null,
    used_at timestamptz,
    content text,
    request_id uuid constraint enrolments_request_fkey references certificate_requests (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists enrolments_gate on enrolments (gate_id);

-- How far a revoked gate is locked out of the broker. listed_at: the broker refuses what is on the list. thrown_out_at:
-- its connection was taken over. refused_at: tried once more, and refused.
create table if not exists revocations (
    gate_id text primary key constraint revocations_gate_fkey references gates (gate_id),
    stolen boolean not null,
    listed_at timestamptz,
    thrown_out_at timestamptz,
    refused_at timestamptz,
    trouble text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- Alerts for staff and the other gates, one row for each record. sent_at: when it was handed to the broker. The id of
-- an alert can be predictable (`note_clones`), so it conflicts only with those of the same gate and reason.
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

-- Who did what, to whom or what, and why. Append-only.
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

-- The hub's locks (objects/11_locks.sql): rows that only the hub may touch. They never change; they exist to be locked.
create table if not exists hub_locks (
    name text primary key
);

insert into hub_locks (name) values ('housekeeping'), ('scan partitions') on conflict do nothing;

-- The active consumer of a venue, identified by its session; it is active while the session is connected. A lock would
-- need a transaction that is open all night and keeps vacuum from cleaning every table.
create table if not exists active_hubs (
    venue text primary key,
    pid integer,
    backend_start timestamptz,
    login name,
    since timestamptz
);
