-- First scan wins: a gate asks before the first entry of a one-time ticket, and the hub grants it once. If the night is
-- divided among gates, the ticket's home gate has to lend it first (domain 2.3; docs/adr/0015).

-- Every claim, under its gate and the scan_id that its admission will have. answer: null while the ticket's home gate
-- is being asked (home), and for a return that came before its claim. A grant is live until released_at; its record in
-- scan_logs spends it. seen_boot and seen_ms: the gate's first status after the grant, by its own clock.
create table if not exists claims (
    scan_id uuid not null,
    gate_id text not null,
    epoch text,
    event_id uuid,
    code_hash text,
    answer text constraint claims_answer check (answer in ('granted', 'taken', 'revoked', 'elsewhere')),
    grant_message jsonb,
    home text,
    asked_at timestamptz not null,
    answered_at timestamptz,
    released_at timestamptz,
    released_by text constraint claims_released check (
        released_by in ('returned', 'superseded', 'annulled', 'unused', 'revoked', 'freed', 'flooding')
    ),
    spent_at timestamptz,
    seen_boot text,
    seen_ms bigint,
    constraint claims_pkey primary key (gate_id, scan_id)
);

-- The rule itself: a code never has more than one live grant.
create unique index if not exists claims_one_grant on claims (code_hash)
where answer = 'granted' and released_at is null;
create index if not exists claims_open on claims (gate_id)
where answer = 'granted' and released_at is null and spent_at is null;
create index if not exists claims_asked on claims (asked_at);
create index if not exists claims_event on claims (event_id);

-- Tickets that a home gate was asked to lend, written before it is asked. lent: it answered that it will no longer
-- admit the ticket alone, which holds for the night; null until it answers.
create table if not exists lends (
    code_hash text not null,
    gate_id text not null,
    event_id uuid not null,
    lent boolean,
    asked_at timestamptz not null,
    answered_at timestamptz,
    primary key (code_hash, gate_id)
);

create index if not exists lends_gate on lends (gate_id, event_id);
