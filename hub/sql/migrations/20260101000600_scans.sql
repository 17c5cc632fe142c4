-- Every scan the gates report, in the part of scan_logs of the month it was received in: old ones go as a whole table,
-- and what is asked all night stays small (data model 3.1; docs/adr/0021).

-- Field by field the scan record of protocol 4.3. No foreign keys: a scan is kept whatever it names.
-- scan_id: one scan's, and the hub's own name of it: what its gate calls it, and another only where that is taken by
-- another gate. said_id: what its gate calls it, where that is not the scan_id (docs/adr/0023).
-- actuated: the turnstile opened; null while nothing is known. annulled_at: nobody walked through, so the scan is no
-- entry. Later records of the same gate say both; the scan's own fields stay as they were sent.
-- corrected_at: when it was by the hub's clock, as far as known; give or take corrected_uncertainty_ms, null where
-- nobody knows. one_time_code_hash: what this admitted for the first time on a ticket that is good once; null of
-- everything else.
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

-- Nothing is ever lost for want of a month's part.
create table if not exists scan_logs_default partition of scan_logs default;

-- Where every scan ever taken in stands, for a unique key of a partitioned table must hold its month; and by what
-- it is looked for whatever its month. Scans are found by their places here alone: scan_logs has no such index. Kept when the scan itself is archived: a place that was used stays used, and
-- a gate that was away for a year and sends it again makes no second admission.
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

-- A damaged journal's scans come again in its gate's next numbering. Kept once, in scan_logs under the
-- place that came first; here stand the others, so that no numbering has a hole.
create table if not exists scan_repeats (
    gate_id text not null,
    epoch text not null,
    seq bigint not null constraint scan_repeats_seq_positive check (seq > 0),
    scan_id uuid not null,
    payload_hash text not null,
    received_at timestamptz not null default now(),
    primary key (gate_id, epoch, seq)
);

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
create unique index if not exists scan_quarantine_once on scan_quarantine (md5(topic), raw_hash);
create index if not exists scan_quarantine_place on scan_quarantine (gate_id, epoch, seq) where seq is not null;

-- Everything of this gate and epoch up to and including seq is in scan_logs, scan_repeats or scan_quarantine.
create table if not exists gate_watermarks (
    gate_id text not null,
    epoch text not null,
    seq bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (gate_id, epoch)
);

-- The hub's time when a gate's monotonic clock stood at 0 in this boot, as its best record or status with a
-- measured clock says; monotonic_ms: when that was.
create table if not exists boot_clocks (
    gate_id text not null,
    boot_id text not null,
    base timestamptz not null,
    uncertainty_ms bigint not null,
    monotonic_ms bigint not null,
    updated_at timestamptz not null default now(),
    primary key (gate_id, boot_id)
);

-- Where in a numbering a boot's records stand. One that begins before another has ended is two machines.
-- has_untrusted: some of them must be placed by the boot's clock. is_torn: its clocks contradict each other, so
-- that each record may change what becomes of all of them (`note_torn`).
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

-- Numberings of which more is to be settled than a batch may look at: from `seq` on, and from the beginning of its
-- boot if `whole`. asked: how often so far; whoever settles them is done when nobody asked meanwhile.
create table if not exists settlings (
    gate_id text not null,
    epoch text not null,
    seq bigint not null,
    whole boolean not null,
    asked bigint not null default 1,
    since timestamptz not null default now(),
    primary key (gate_id, epoch)
);

-- Double admissions: one row for each admission beyond the one that counts. withdrawn_at: it is none any
-- more, for an admission was annulled. Each is told once (`alerts`, under this id), and never again when
-- winner and loser change places.
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

-- What is kept of scans that are archived. day: UTC, by the corrected time. annulled: how many of them were no entry.
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
