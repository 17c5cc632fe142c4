-- First scan wins: gates ask before the first entry of a one-time ticket, and the hub grants it once. Where the
-- night is divided among gates, a ticket's home lends it first (domain 2.3; docs/adr/0015).

-- isolation_policy: what a gate does that cannot ask. home_gates: among whom the tickets are divided, empty until
-- that is final. retired_gates: those of them that are out for the night.
alter table events add column if not exists isolation_policy text not null default 'admit'
constraint events_isolation check (isolation_policy in ('admit', 'home_gate', 'deny'));
alter table events add column if not exists home_gates text[] not null default '{}';
alter table events add column if not exists retired_gates text[] not null default '{}';

-- Every claim, under the scan_id its admission will have. answer: null while the ticket's home is being asked
-- (home), and of a return that came before its claim. A grant is live until released_at; its record in scan_logs
-- spends it. seen_boot and seen_ms: the first the gate said of itself after that, by its own clock.
create table if not exists claims (
    scan_id uuid primary key,
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
    released_by text
        constraint claims_released check (
            released_by in ('returned', 'superseded', 'annulled', 'unused', 'revoked', 'freed')
        ),
    spent_at timestamptz,
    seen_boot text,
    seen_ms bigint
);

-- The rule itself: of one code there is never more than one live grant.
create unique index if not exists claims_one_grant on claims (code_hash)
where answer = 'granted' and released_at is null;
create index if not exists claims_open on claims (gate_id)
where answer = 'granted' and released_at is null and spent_at is null;
create index if not exists claims_asked on claims (asked_at);
create index if not exists claims_event on claims (event_id);

-- Tickets a home gate was asked to lend, written before it is asked. lent: it said that it will not admit the
-- ticket alone any more, which holds for the night; null while it has not answered.
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

create or replace view feed_events as
select
    e.id as event_id,
    jsonb_build_object(
        't', 'event',
        'event_id', e.id,
        'code', e.code,
        'name', e.name,
        'doors_open_at', feed_time(e.doors_open_at),
        'ends_at', feed_time(e.ends_at),
        'status', e.status,
        'capacity', e.venue_capacity,
        'isolation', e.isolation_policy,
        'homes', e.home_gates,
        'retired', e.retired_gates
    ) as row
from events e;

create or replace function feed_on_events() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_events uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_events from new_rows;
    else
        select array_agg(n.id) into v_events from new_rows n join old_rows o on o.id = n.id
        where (n.code, n.name, n.doors_open_at, n.ends_at, n.status, n.venue_capacity, n.isolation_policy,
                n.home_gates, n.retired_gates)
            is distinct from (o.code, o.name, o.doors_open_at, o.ends_at, o.status, o.venue_capacity,
                o.isolation_policy, o.home_gates, o.retired_gates);
    end if;
    if v_events is not null then
        perform feed_append(p_events => v_events);
    end if;
    return null;
end
$$;

-- Which gate a ticket is at home at, null if none is left: gate/homes.py, byte by byte.
create or replace function home_of(p_code_hash text, p_homes text[], p_retired text[] default '{}') returns text
language sql immutable parallel safe
return (
    select gate from unnest(p_homes) as homes (gate) where gate <> all (p_retired)
    order by sha256(convert_to(gate || ' ' || p_code_hash, 'UTF8')) desc, gate collate "C" desc limit 1
);

-- One writer of homes and retired gates against any number of claims. Taken last of all locks, so that whoever
-- holds it waits for nobody.
create or replace function homes_key(p_event uuid) returns bigint
language sql immutable parallel safe
return hashtextextended('maguey homes ' || p_event::text, 0);

-- An entry as an answer to a claim gives it.
create or replace function claim_entry_of(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', coalesce(p_gate, ''), 'scan', coalesce(p_scan::text, '')
) end;

-- What a code may do here, its row locked: the ticket's or pass's, and never its event's, which ingest holds for a
-- whole batch. A code nobody knows is locked by its hash. is_perk: comes and goes, so there is nothing to claim.
create or replace function claim_subject(p_code_hash text)
returns table (event_id uuid, status text, entry jsonb, is_perk boolean, is_unpaid boolean)
language plpgsql set search_path = public, pg_temp as $$
declare
    v_ticket tickets;
    v_pass vip_guest_passes;
    v_table vip_reservations;
begin
    select t.* into v_ticket from tickets t where t.code_hash = p_code_hash for no key update;
    if found then
        select r.* into v_table from vip_linked_tickets l join vip_reservations r on r.id = l.vip_reservation_id
        where l.ticket_id = v_ticket.id;
        return query select v_ticket.event_id, v_ticket.status,
            claim_entry_of(v_ticket.checked_in_at, v_ticket.checked_in_by, v_ticket.checked_in_scan),
            coalesce(v_table.status in ('confirmed', 'checked_in'), false), false;
        return;
    end if;
    select p.* into v_pass from vip_guest_passes p where p.code_hash = p_code_hash for no key update;
    if found then
        select r.* into v_table from vip_reservations r where r.id = v_pass.reservation_id;
        return query select v_table.event_id, v_pass.status,
            claim_entry_of(v_pass.checked_in_at, v_pass.checked_in_by, v_pass.checked_in_scan),
            v_table.status in ('confirmed', 'checked_in'), v_table.status not in ('confirmed', 'checked_in');
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('maguey code ' || p_code_hash, 0));
end
$$;

create or replace function is_revoked(p_gate text) returns boolean
language sql stable set search_path = public, pg_temp
return exists (select from gates where gate_id = p_gate and (status = 'revoked' or revoked_at is not null));

-- Whom a code is granted to, as the entry it is or will be taken with. A grant that came to nothing is released
-- here: its scan was annulled or refused, the same journal asks anew, which knows best, or its gate was revoked
-- and what it has not delivered never comes: one stolen gate must not keep everybody out.
create or replace function claim_holder(p_gate text, p_epoch text, p_code_hash text, p_now timestamptz)
returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_live claims;
    v_scan scan_logs;
    v_why text;
begin
    select * into v_live from claims
    where code_hash = p_code_hash and answer = 'granted' and released_at is null;
    if not found then
        return null;
    end if;
    select * into v_scan from scan_logs where scan_id = v_live.scan_id and gate_id = v_live.gate_id;
    if v_scan.scan_id is null then
        v_why := case when (v_live.gate_id, v_live.epoch) = (p_gate, p_epoch) then 'superseded'
            when is_revoked(v_live.gate_id) then 'revoked' end;
    elsif v_scan.annulled_at is not null then
        v_why := 'annulled';
    elsif v_scan.verdict <> 'admit' then
        v_why := 'unused';
    end if;
    if v_why is null then
        return claim_entry_of(coalesce(v_scan.corrected_at, v_scan.occurred_at, v_live.answered_at),
            v_live.gate_id, v_live.scan_id);
    end if;
    update claims set released_at = p_now, released_by = v_why where scan_id = v_live.scan_id;
    return null;
end
$$;

-- The answer to a claim, as protocol 4.2 has it, without who may ask and what was answered before; or, with
-- 'lend', the home gate that has to be asked first. p_heard: the gates that are there to be asked.
create or replace function claim_answer(
    p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subject record;
    v_event events;
    v_entry jsonb;
    v_home text;
begin
    select * into v_subject from claim_subject(p_code_hash);
    perform pg_advisory_xact_lock_shared(homes_key(p_event));
    select * into v_event from events where id = p_event;
    if v_subject.event_id <> p_event or v_subject.is_unpaid or v_subject.status in ('cancelled', 'refunded') then
        return jsonb_build_object('answer', 'revoked', 'status', v_subject.status);
    elsif v_event.status = 'cancelled' then
        return jsonb_build_object('answer', 'revoked', 'status', 'cancelled');
    elsif v_subject.is_perk then
        return jsonb_build_object('answer', 'granted', 'perk', true);
    end if;
    v_entry := claim_holder(p_gate, p_epoch, p_code_hash, p_now);
    if v_subject.status is null and v_entry is null then
        select claim_entry_of(coalesce(s.corrected_at, s.occurred_at), s.gate_id, s.scan_id) into v_entry
        from scan_logs s where s.one_time_code_hash = p_code_hash and s.annulled_at is null
        order by s.corrected_at, s.gate_id limit 1;
    end if;
    if v_subject.status = 'checked_in' or v_entry is not null then
        return jsonb_build_object('answer', 'taken', 'entry', coalesce(v_subject.entry, v_entry));
    end if;
    if v_event.isolation_policy = 'home_gate' then
        v_home := home_of(p_code_hash, v_event.home_gates, v_event.retired_gates);
        if v_home <> p_gate and not exists (
            select from lends where code_hash = p_code_hash and gate_id = v_home and lent
        ) then
            return jsonb_build_object(case when v_home = any (p_heard) then 'lend' else 'home' end, v_home)
                || jsonb_build_object('answer', 'elsewhere');
        end if;
    end if;
    return jsonb_build_object('answer', 'granted');
end
$$;

-- Why this gate may not claim for this night at all; null if it may.
create or replace function claim_refusal(p_venue text, p_gate text, p_event uuid) returns text
language sql stable set search_path = public, pg_temp
return case
    when not exists (select from gates where gate_id = p_gate and venue = p_venue)
        then 'no gate of this name belongs to the venue'
    when is_revoked(p_gate) then 'the gate was revoked'
    when p_event is not null
        and not exists (select from gate_events where gate_id = p_gate and event_id = p_event)
        then 'the gate does not serve this night'
end;

-- Answer a claim; asking twice gives the same. Returns one of
--   {"to": gate, "grant": what to answer}, {"to": gate, "lend": home to be asked first},
--   {"refused": why nobody is answered}, or null: there is nothing to say (any more).
create or replace function claim_entry(
    p_venue text, p_gate text, p_scan uuid, p_code_hash text, p_event uuid, p_epoch text, p_heard text[],
    p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refusal text := claim_refusal(p_venue, p_gate, p_event);
    v_mine claims;
    v_answer jsonb;
    v_lender text;
begin
    if v_refusal is not null then
        return jsonb_build_object('refused', v_refusal);
    end if;
    -- before any claim: whoever has the ticket's row goes on to the claims of it
    perform claim_subject(p_code_hash);
    select * into v_mine from claims where scan_id = p_scan for update;
    if found then
        if v_mine.gate_id = p_gate and v_mine.code_hash is null or v_mine.released_at is not null then
            return null;
        elsif (v_mine.gate_id, v_mine.code_hash, v_mine.epoch, v_mine.event_id)
                is distinct from (p_gate, p_code_hash, p_epoch, p_event) then
            return jsonb_build_object('refused', 'its scan_id is that of another claim');
        elsif v_mine.answer is not null then
            return jsonb_build_object('to', p_gate, 'grant', v_mine.grant_message);
        end if;
    end if;
    v_answer := claim_answer(p_gate, p_epoch, p_code_hash, p_event, p_heard, p_now);
    v_lender := v_answer ->> 'lend';
    v_answer := v_answer - 'lend';
    insert into claims (scan_id, gate_id, epoch, event_id, code_hash, asked_at, home, answer, grant_message,
        answered_at, released_at)
    select p_scan, p_gate, p_epoch, p_event, p_code_hash, p_now, v_lender,
        case when v_lender is null then v_answer ->> 'answer' end,
        case when v_lender is null then v_answer - 'perk' end,
        case when v_lender is null then p_now end,
        case when v_answer ? 'perk' then p_now end
    on conflict (scan_id) do update set asked_at = excluded.asked_at, home = excluded.home,
        answer = excluded.answer, grant_message = excluded.grant_message, answered_at = excluded.answered_at,
        released_at = excluded.released_at
    where claims.released_at is null;
    if not found then
        return null;
    elsif v_lender is null then
        return jsonb_build_object('to', p_gate, 'grant', v_answer - 'perk');
    end if;
    insert into lends (code_hash, gate_id, event_id, asked_at)
    values (p_code_hash, v_lender, p_event, p_now) on conflict do nothing;
    return jsonb_build_object('to', p_gate, 'lend', v_lender, 'event_id', p_event);
end
$$;

-- A home gate's answer to being asked to lend; returns as claim_entry. Neither lent nor used (p_used): it cannot
-- say, and only there the ticket may enter. p_fresh: who asked longer ago has gone on, and only asking again gets
-- it an answer.
create or replace function settle_lend(
    p_venue text, p_home text, p_scan uuid, p_code_hash text, p_lent boolean, p_used boolean, p_heard text[],
    p_now timestamptz, p_fresh interval default '2 seconds'
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_claim claims;
    v_ticket tickets;
    v_answer text;
begin
    perform claim_subject(p_code_hash);
    update lends set lent = coalesce(lent, false) or p_lent, answered_at = p_now
    where code_hash = p_code_hash and gate_id = p_home;
    select * into v_claim from claims
    where scan_id = p_scan and code_hash = p_code_hash and home = p_home and answer is null
        and released_at is null and asked_at > p_now - p_fresh
    for update;
    if not found then
        return null;
    elsif p_lent then
        return claim_entry(p_venue, v_claim.gate_id, p_scan, p_code_hash, v_claim.event_id, v_claim.epoch,
            p_heard, p_now);
    end if;
    select t.* into v_ticket from tickets t where t.code_hash = p_code_hash;
    v_answer := case when p_used or v_ticket.checked_in_at is not null then 'taken' else 'elsewhere' end;
    update claims set answer = v_answer, answered_at = p_now,
        grant_message = jsonb_strip_nulls(jsonb_build_object('answer', v_answer, 'home', p_home, 'entry',
            claim_entry_of(v_ticket.checked_in_at, v_ticket.checked_in_by, v_ticket.checked_in_scan)))
    where scan_id = p_scan
    returning * into v_claim;
    return jsonb_build_object('to', v_claim.gate_id, 'grant', v_claim.grant_message);
end
$$;

-- Nobody came in with this claim, or will. Before the claim itself came, it is remembered for it. A gate whose
-- record says the opposite is believed that.
create or replace function give_back(p_venue text, p_gate text, p_scan uuid, p_now timestamptz) returns void
language sql set search_path = public, pg_temp as $$
    insert into claims (scan_id, gate_id, asked_at, released_at, released_by)
    select p_scan, p_gate, p_now, p_now, 'returned' where claim_refusal(p_venue, p_gate, null) is null
    on conflict (scan_id) do update set released_at = p_now, released_by = 'returned'
    where claims.gate_id = p_gate and claims.released_at is null and not exists (
        select from scan_logs s where s.scan_id = p_scan and s.verdict = 'admit' and s.annulled_at is null
    )
$$;

-- What a gate says of itself (GateStatus), for its grants: those whose record came are spent; those it cannot use
-- any more are released. That is so once it has said, by its own clock p_kept_ms after the first it said since the
-- grant, or in another boot, that its door is turning (p_door) and that nothing of its journal is missing here: the
-- door decides one scan after the other and has turned since. No time alone ever frees a grant.
-- Returns how many were released.
create or replace function sweep_claims(
    p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot text, p_ms bigint,
    p_now timestamptz, p_kept_ms bigint default 30000
) returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_count integer := 0;
begin
    update claims c set spent_at = p_now from scan_logs s
    where c.gate_id = p_gate and c.answer = 'granted' and c.released_at is null and c.spent_at is null
        and s.scan_id = c.scan_id and s.gate_id = c.gate_id;
    if p_door and p_acked = p_last_seq and p_last_seq <= coalesce(
        (select seq from gate_watermarks where gate_id = p_gate and epoch = p_epoch), 0
    ) then
        update claims c set released_at = p_now, released_by = 'unused'
        where c.gate_id = p_gate and c.epoch = p_epoch and c.answer = 'granted'
            and c.released_at is null and c.spent_at is null
            and (c.seen_boot <> p_boot or p_ms - c.seen_ms >= p_kept_ms)
            -- of what could not be read nobody knows whose admission it is
            and not exists (
                select from scan_quarantine q
                where q.gate_id = p_gate and q.epoch = p_epoch and q.received_at >= c.asked_at
            );
        get diagnostics v_count = row_count;
    end if;
    update claims set seen_boot = p_boot, seen_ms = p_ms
    where gate_id = p_gate and answer = 'granted' and released_at is null and spent_at is null
        and seen_boot is null;
    return v_count;
end
$$;

-- Before a night's tickets get other homes: what a new home may not admit alone, because the hub has granted it to
-- somebody, or because it is in and the new home's list may not say so yet.
create or replace function lend_what_is_taken(p_event uuid, p_homes text[], p_retired text[], p_now timestamptz)
returns void
language sql set search_path = public, pg_temp as $$
    insert into lends (code_hash, gate_id, event_id, lent, asked_at)
    select distinct taken.code_hash, home_of(taken.code_hash, p_homes, p_retired), p_event, true, p_now
    from (
        select code_hash, gate_id from claims
        where event_id = p_event and answer = 'granted' and released_at is null
        union
        select code_hash, checked_in_by from tickets where event_id = p_event and status = 'checked_in'
    ) taken
    where home_of(taken.code_hash, p_homes, p_retired) <> coalesce(taken.gate_id, '')
    on conflict (code_hash, gate_id) do update set lent = true
$$;

-- Divide the nights with the policy home_gate that this gate serves among their gates, once, from an hour before
-- the doors open. Gates that come later have no tickets of their own.
create or replace function freeze_homes(p_gate text, p_now timestamptz) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event uuid;
    v_homes text[];
begin
    for v_event in
        select e.id from events e join gate_events s on s.event_id = e.id and s.gate_id = p_gate
        where e.isolation_policy = 'home_gate' and e.home_gates = '{}' and e.status = 'scheduled'
            and e.doors_open_at <= p_now + interval '1 hour' and e.ends_at > p_now
        order by e.id
    loop
        perform 1 from events where id = v_event for no key update;
        perform pg_advisory_xact_lock(homes_key(v_event));
        select array_agg(g.gate_id order by g.gate_id collate "C") into v_homes
        from gate_events s join gates g on g.gate_id = s.gate_id
        where s.event_id = v_event and g.status = 'active' and g.revoked_at is null
            and g.venue = (select venue from gates where gate_id = p_gate);
        perform lend_what_is_taken(v_event, v_homes, retired_gates, p_now) from events
        where id = v_event and home_gates = '{}';
        update events set home_gates = coalesce(v_homes, '{}') where id = v_event and home_gates = '{}';
    end loop;
end
$$;

-- Take a gate out for the night: its tickets get other homes. Returns what came of it: 'retired', 'already',
-- 'no home' of this night, or 'last': there is no other home to give them to.
create or replace function retire_gate(
    p_event uuid, p_gate text, p_actor text, p_reason text, p_now timestamptz
) returns text
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
begin
    select * into v_event from events where id = p_event for no key update;
    if p_gate <> all (v_event.home_gates) then
        return 'no home';
    elsif p_gate = any (v_event.retired_gates) then
        return 'already';
    elsif v_event.home_gates <@ (v_event.retired_gates || p_gate) then
        return 'last';
    end if;
    perform pg_advisory_xact_lock(homes_key(p_event));
    perform lend_what_is_taken(p_event, v_event.home_gates, v_event.retired_gates || p_gate, p_now);
    update events set retired_gates = retired_gates || p_gate where id = p_event;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'retire', p_gate, p_reason, jsonb_build_object('event_id', p_event));
    return 'retired';
end
$$;
