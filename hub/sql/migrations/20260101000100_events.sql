-- Nights, and the feed of who may enter (data model 3.1).
--
-- Times that a gate reads lie between 1970 and 2199, because gates read ISO 8601 with four-digit years and no infinity.

-- isolation_policy: what a gate does that cannot ask. home_gates: the gates among which the tickets are divided; empty
-- until they are. retired_gates: those of them that are out for the night. cancellation: the numbers of its
-- cancellation, as they were answered. feed_generation: a night's versions can only be compared within one generation
-- (docs/adr/0018). It stands here and not in `admission_changes`: whatever was restored, the changes kept there belong
-- to the database as it is now.
create table if not exists events (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint events_name_key unique,
    code text not null constraint events_code_key unique
        constraint events_code_letters check (code ~ '^[A-Z]{2,6}$'),
    description text,
    event_date date not null,
    doors_open_at timestamptz not null,
    starts_at timestamptz,
    ends_at timestamptz not null,
    venue_capacity integer not null default 0 constraint events_capacity_positive check (venue_capacity >= 0),
    ticket_types jsonb not null default '[]',
    status text not null default 'scheduled'
        constraint events_status check (status in ('scheduled', 'completed', 'cancelled')),
    isolation_policy text not null default 'admit'
        constraint events_isolation check (isolation_policy in ('admit', 'home_gate', 'deny')),
    home_gates text[] not null default '{}',
    retired_gates text[] not null default '{}',
    admission_version bigint not null default 0,
    feed_generation bigint not null default 1 constraint events_generation_positive check (feed_generation > 0),
    cancelled_at timestamptz,
    cancelled_by text,
    cancellation_reason text,
    cancellation jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint events_hours check (ends_at > doors_open_at),
    constraint events_times check (
        (doors_open_at >= '1970-01-01 00:00+00' and doors_open_at < '2200-01-01 00:00+00')
        and (starts_at >= '1970-01-01 00:00+00' and starts_at < '2200-01-01 00:00+00')
        and (ends_at >= '1970-01-01 00:00+00' and ends_at < '2200-01-01 00:00+00')
    )
);

-- The admission feed: one gapless, ordered list of changes per night. A row is the JSON of the gate's `FeedRow`; it
-- holds hashes of codes, never a code. No foreign key, which would be checked for every row: a row is only ever made
-- together with the night's next version, in one statement (`feed_append`).
create table if not exists admission_changes (
    event_id uuid not null,
    version bigint not null,
    row jsonb not null,
    created_at timestamptz not null default now(),
    primary key (event_id, version)
);

-- The hub's own digest of a night at a version, kept because computing it reads the whole night.
create table if not exists feed_digests (
    event_id uuid not null constraint feed_digests_event_fkey references events (id) on delete cascade,
    generation bigint not null,
    version bigint not null,
    digest text not null,
    computed_at timestamptz not null,
    primary key (event_id, generation, version)
);

-- The allowed steps of nights, orders, tickets, reservations and guest passes (domain 2.1). Its rows are in
-- objects/20_states.sql.
create table if not exists state_transitions (
    machine text not null,
    from_state text not null,
    to_state text not null,
    condition text not null default ''
        constraint state_transitions_condition check (condition in ('', 'before_start', 'annulled')),
    primary key (machine, from_state, to_state)
);
