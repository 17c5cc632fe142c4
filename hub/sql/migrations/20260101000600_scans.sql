-- Every scan that gates report, partitioned by the month in which it was received: old months are dropped as a whole,
-- and what is queried all night stays small (data model 3.1; docs/adr/0021).

-- The scan record of protocol 4.3, field by field. No foreign keys: a scan is kept whatever it names.
-- scan_id: the hub's own id of the scan. It is the gate's id for it, unless another gate used that id before. said_id:
-- the gate's id, if it differs (docs/adr/0023).
-- actuated: whether the turnstile opened; null while that is unknown. annulled_at: nobody walked through, so the scan
-- is no entry. Both come from later records of the same gate; the scan's own fields stay as they were sent.
-- corrected_at: its time by the hub's clock as far as known, give or take corrected_uncertainty_ms (null if unknown).
-- one_time_code_hash: the code, if this was the first entry of a one-time ticket; otherwise null.
create table if not exists scan_logs (
    scan_id uuid not null,
    said_id uuid,
    gate_id text not null,
    epoch text not null,
    seq bigint not null constraint scan_logs_seq_positive check (seq > 0),
    boot_id text not null,
    occurred_at timestamptz not null constraint scan_logs_time check (
        occurred_at >= '1970-01-01 00:00+00' and occurred_at < '2200-01-01 00:00+00'
    ),
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
    record text not null constraint scan_logs_record check (record in ('scan', 'passed', 'annulled', 'event')),
    refers_to uuid,
    heard jsonb not null default '[]',
    actor text not null default '',
    note text not null default '',
    payload_hash text not null,
    received_at timestamptz not null default now(),
    actuated boolean,
    annulled_at timestamptz constraint scan_logs_annulled check (
        annulled_at >= '1970-01-01 00:00+00' and annulled_at < '2200-01-01 00:00+00'
    ),
    corrected_at timestamptz,
    corrected_uncertainty_ms bigint,
    one_time_code_hash text,
    constraint scan_logs_scan_id_key primary key (scan_id, received_at)
) partition by range (received_at);

create index if not exists scan_logs_subject on scan_logs (subject_id, occurred_at) where subject_id is not null;
create index if not exists scan_logs_unsynced on scan_logs (code_hash)
where subject_id is null and verdict = 'admit' and record = 'scan';

-- No scan is lost because the partition of its month is missing.
create table if not exists scan_logs_default partition of scan_logs default;

-- The place of every scan ever stored: unique across months, which a key of the partitioned table cannot be. Scans are
-- found by their places alone, whatever their month: scan_logs has no such index. Rows stay when their scans are
-- archived, so a gate that was away for a year and sends a scan again makes no second admission.
create table if not exists scan_places (
    gate_id text not null,
    epoch text not null,
    seq bigint not null,
    scan_id uuid not null constraint scan_places_scan_key unique,
    said_id uuid,
    received_at timestamptz not null,
    refers_to uuid,
    one_time_code_hash text,
    constraint scan_places_pkey primary key (gate_id, epoch, seq)
);

create unique index if not exists scan_places_said on scan_places (gate_id, said_id) where said_id is not null;
create index if not exists scan_places_apart on scan_places (scan_id) where said_id is not null;
create index if not exists scan_places_refers_to on scan_places (refers_to) where refers_to is not null;
create index if not exists scan_places_one_time on scan_places (one_time_code_hash)
where one_time_code_hash is not null;

-- Scans of a damaged journal come again in its gate's next numbering. They are stored once, in scan_logs, under the
-- place that came first. The other places are here, so that no numbering has a gap.
create table if not exists scan_repeats (
    gate_id text not null,
    epoch text not null,
    seq bigint not null constraint scan_repeats_seq_positive check (seq > 0),
    scan_id uuid not null,
    payload_hash text not null,
    received_at timestamptz not null default now(),
    primary key (gate_id, epoch, seq)
);

-- What could not be read, never dropped. Repeated bytes are one row. `raw` has the first 64 KiB; `raw_hash` and
-- `raw_length` are of all the bytes.
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

-- A hash, because a topic may be too long for an index.
create unique index if not exists scan_quarantine_once on scan_quarantine (md5(topic), raw_hash);
create index if not exists scan_quarantine_place on scan_quarantine (gate_id, epoch, seq) where seq is not null;

-- Every record of this gate and epoch up to and including seq is in scan_logs, scan_repeats or scan_quarantine.
create table if not exists gate_watermarks (
    gate_id text not null,
    epoch text not null,
    seq bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (gate_id, epoch)
);

-- The hub's time at which a gate's monotonic clock stood at 0 in this boot, by its best record or status with a
-- measured clock. monotonic_ms: the time of that measurement.
create table if not exists boot_clocks (
    gate_id text not null,
    boot_id text not null,
    base timestamptz not null,
    uncertainty_ms bigint not null,
    monotonic_ms bigint not null,
    updated_at timestamptz not null default now(),
    primary key (gate_id, boot_id)
);

-- The span of a boot's records in a numbering. If a boot begins before another has ended, there are two machines.
-- has_untrusted: some of them are dated by the boot's clock. is_torn: its clocks contradict each other, so each record
-- may change the times of all of them (`note_torn`).
create table if not exists boots (
    gate_id text not null,
    epoch text not null,
    boot_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    has_untrusted boolean not null,
    is_torn boolean not null default false,
    primary key (gate_id, epoch, boot_id)
);

create index if not exists boots_of_gate on boots (gate_id, boot_id) where has_untrusted;

-- Numberings that need more times settled than a batch may read: from `seq` on, or from the beginning of its boot if
-- `whole`. asked: how often this was requested; the settling is done if no request came meanwhile.
create table if not exists settlings (
    gate_id text not null,
    epoch text not null,
    seq bigint not null,
    whole boolean not null,
    asked bigint not null default 1,
    since timestamptz not null default now(),
    primary key (gate_id, epoch)
);

-- Double admissions: one row for each admission besides the one that counts. withdrawn_at: an admission was annulled,
-- so it no longer is one. Each makes one alert (`alerts`, under this id), and no other when winner and loser change
-- places.
create table if not exists scan_conflicts (
    id uuid primary key default gen_random_uuid(),
    code_hash text not null,
    ticket_id uuid constraint scan_conflicts_ticket_fkey references tickets (id) on delete set null,
    winner_scan uuid not null,
    loser_scan uuid not null,
    rule text not null constraint scan_conflicts_rule check (rule in ('earlier', 'gate')),
    withdrawn_at timestamptz,
    acknowledged_by text,
    acknowledged_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint scan_conflicts_two check (winner_scan <> loser_scan)
);

create unique index if not exists scan_conflicts_loser on scan_conflicts (loser_scan) where withdrawn_at is null;
create index if not exists scan_conflicts_code on scan_conflicts (code_hash);
create index if not exists scan_conflicts_ticket on scan_conflicts (ticket_id) where ticket_id is not null;

-- How many records of each kind were ever stored of a gate, counted with them: whoever watches the hub looks every few
-- seconds, and counting scan_logs would take longer each month.
create table if not exists scan_tallies (
    gate_id text not null,
    record text not null,
    verdict text not null,
    count bigint not null,
    constraint scan_tallies_pkey primary key (gate_id, record, verdict)
);

-- The counts of archived scans. day: UTC, by the corrected time. annulled: how many of them were no entry.
create table if not exists scan_counts (
    event_id uuid,
    gate_id text not null,
    day date not null,
    record text not null,
    verdict text not null,
    reason text not null,
    kind text not null,
    count bigint not null,
    annulled bigint not null,
    constraint scan_counts_key unique nulls not distinct (event_id, gate_id, day, record, verdict, reason, kind)
);
