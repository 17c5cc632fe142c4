-- First scan wins: a gate asks before the first entry of a one-time ticket, and the hub grants it once. If the night is
-- divided among gates, the ticket's home gate has to lend it first (domain 2.3; docs/adr/0015). If a gate dies with a
-- grant, a person frees the ticket.

-- A ticket's home gate; null if none is left. It computes the same as gate/rules/home_gate.py.
create or replace function home_of(p_code_hash text, p_homes text[], p_retired text[] default '{}') returns text
language sql immutable parallel safe
return (
    select gate from unnest(p_homes) as homes (gate) where gate <> all (p_retired)
    order by sha256(convert_to(gate || ' ' || p_code_hash, 'UTF8')) desc, gate collate "C" desc limit 1
);

-- An entry as it stands in a grant, with the id that its gate gave the scan.
create or replace function grant_entry(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', coalesce(said_of(p_scan)::text, '')
) end;

-- The ticket or pass of a code, with its row locked. Its event is not locked, because ingest holds that for a whole
-- batch. An unknown code is locked by its hash. is_perk: its guest may come and go, so there is nothing to claim.
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
            grant_entry(v_ticket.checked_in_at, v_ticket.checked_in_by, v_ticket.checked_in_scan),
            coalesce(v_table.status in ('confirmed', 'checked_in'), false), false;
        return;
    end if;
    select p.* into v_pass from vip_guest_passes p where p.code_hash = p_code_hash for no key update;
    if found then
        select r.* into v_table from vip_reservations r where r.id = v_pass.reservation_id;
        return query select v_table.event_id, v_pass.status,
            grant_entry(v_pass.checked_in_at, v_pass.checked_in_by, v_pass.checked_in_scan),
            v_table.status in ('confirmed', 'checked_in'), v_table.status not in ('confirmed', 'checked_in');
        return;
    end if;
    perform take_locks(array[code_lock(p_code_hash)]);
end
$$;

-- The entry of a code's live grant, made or still to come; null if there is none. A grant that came to nothing is
-- released here: its scan was annulled or refused, the same journal claims the code again, or its gate was revoked, so
-- that a stolen gate keeps nobody out.
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
    select * into v_scan from scans_of(array[scan_key(v_live.gate_id, v_live.scan_id)]);
    if v_scan.scan_id is null then
        v_why := case when (v_live.gate_id, v_live.epoch) = (p_gate, p_epoch) then 'superseded'
            when is_revoked(v_live.gate_id) then 'revoked' end;
    elsif v_scan.annulled_at is not null then
        v_why := 'annulled';
    elsif v_scan.verdict <> 'admit' then
        v_why := 'unused';
    end if;
    if v_why is null then
        return grant_entry(coalesce(v_scan.corrected_at, v_scan.occurred_at, v_live.answered_at),
            v_live.gate_id, v_live.scan_id);
    end if;
    update claims set released_at = p_now, released_by = v_why
    where gate_id = v_live.gate_id and scan_id = v_live.scan_id;
    return null;
end
$$;

-- A gate whose list is behind also asks before it admits a guest with the VIP perk (domain 2.3, "A list that is
-- behind"). So the answer has what such a gate cannot know: 'reason', why a ticket is revoked, in the order of the
-- decision table, and 'reentry', whether it has the perk. The grant of a perk is not kept, because there is nothing to
-- claim.
create or replace function claim_answer(
    p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subject record;
    v_event events;
    v_entry jsonb;
    v_home text;
    v_reason text;
begin
    select * into v_subject from claim_subject(p_code_hash);
    perform take_locks(array[home_gates_lock(p_event)], true);
    select * into v_event from events where id = p_event;
    v_reason := case
        when v_subject.event_id <> p_event then 'wrong_event'
        when v_event.status = 'cancelled' then 'event_cancelled'
        when v_subject.status in ('cancelled', 'refunded') then v_subject.status
        when v_subject.is_unpaid then 'table_not_confirmed'
    end;
    if v_reason is not null then
        return jsonb_build_object('answer', 'revoked', 'reason', v_reason);
    elsif v_subject.is_perk then
        return jsonb_build_object('answer', 'granted', 'perk', true, 'reentry', true);
    end if;
    v_entry := claim_holder(p_gate, p_epoch, p_code_hash, p_now);
    if v_subject.status is null and v_entry is null then
        select grant_entry(coalesce(s.corrected_at, s.occurred_at), s.gate_id, s.scan_id) into v_entry
        from scans_of(array(select scan_id from scan_places where one_time_code_hash = p_code_hash)) s
        where s.annulled_at is null
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
    -- no 'reentry' for an unknown code: the gate's own list knows more
    return jsonb_strip_nulls(jsonb_build_object('answer', 'granted', 'reentry', v_subject.is_perk));
end
$$;

-- Why this gate may not claim anything for this night; null if it may.
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

-- Answer a claim; a repetition gets the same answer. Returns one of
--   {"to": gate, "grant": the answer}, {"to": gate, "lend": the home gate to ask first},
--   {"refused": why there is no answer}, or null: there is nothing to answer (any more).
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
    -- before any claim: sessions lock the ticket's row first, and then its claims
    perform claim_subject(p_code_hash);
    select * into v_mine from claims where gate_id = p_gate and scan_id = p_scan for update;
    if found then
        if v_mine.code_hash is null or v_mine.released_at is not null then
            return null;
        elsif (v_mine.code_hash, v_mine.epoch, v_mine.event_id) is distinct from (p_code_hash, p_epoch, p_event) then
            return jsonb_build_object('refused', 'its scan_id is that of another claim');
        elsif v_mine.answer is not null then
            return jsonb_build_object('to', p_gate, 'grant', v_mine.grant_message);
        end if;
    end if;
    v_answer := claim_answer(p_gate, p_epoch, p_code_hash, p_event, gates_that_count(p_heard), p_now);
    v_lender := v_answer ->> 'lend';
    v_answer := v_answer - 'lend';
    insert into claims (scan_id, gate_id, epoch, event_id, code_hash, asked_at, home, answer, grant_message,
        answered_at, released_at)
    select p_scan, p_gate, p_epoch, p_event, p_code_hash, p_now, v_lender,
        case when v_lender is null then v_answer ->> 'answer' end,
        case when v_lender is null then v_answer - 'perk' end,
        case when v_lender is null then p_now end,
        case when v_answer ? 'perk' then p_now end
    on conflict (gate_id, scan_id) do update set asked_at = excluded.asked_at, home = excluded.home,
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

-- Take a home gate's answer to a request to lend; returns what claim_entry returns. If the ticket is neither lent nor
-- used (p_used), the home gate cannot tell, and the ticket may enter only there. A claim older than p_fresh gets no
-- answer, because its gate no longer waits; it may ask again.
create or replace function take_lend_answer(
    p_venue text, p_home text, p_scan uuid, p_code_hash text, p_lent boolean, p_used boolean, p_heard text[],
    p_now timestamptz, p_fresh interval default '2 seconds'
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_claim claims;
    v_ticket tickets;
    v_answer text;
begin
    if is_revoked(p_home) then
        -- in the wrong hands it could call every ticket used
        return null;
    end if;
    perform claim_subject(p_code_hash);
    update lends set lent = coalesce(lent, false) or p_lent, answered_at = p_now
    where code_hash = p_code_hash and gate_id = p_home;
    select * into v_claim from claims
    where scan_id = p_scan and code_hash = p_code_hash and home = p_home and answer is null
        and released_at is null and asked_at > p_now - p_fresh
    order by asked_at, gate_id limit 1 for update;
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
            grant_entry(v_ticket.checked_in_at, v_ticket.checked_in_by, v_ticket.checked_in_scan)))
    where gate_id = v_claim.gate_id and scan_id = p_scan
    returning * into v_claim;
    return jsonb_build_object('to', v_claim.gate_id, 'grant', v_claim.grant_message);
end
$$;

-- Take back a claim with which nobody entered or will enter. It may arrive before the claim itself, and is then kept
-- for it. If the gate's own record shows an entry, the record counts.
create or replace function give_back(p_venue text, p_gate text, p_scan uuid, p_now timestamptz) returns void
language sql set search_path = public, pg_temp as $$
    insert into claims (scan_id, gate_id, asked_at, released_at, released_by)
    select p_scan, p_gate, p_now, p_now, 'returned' where claim_refusal(p_venue, p_gate, null) is null
    on conflict (gate_id, scan_id) do update set released_at = p_now, released_by = 'returned'
    where claims.released_at is null and not exists (
        select from scans_of(array[scan_key(p_gate, p_scan)]) s where s.verdict = 'admit' and s.annulled_at is null
    )
$$;

-- Update a gate's grants by its status (GateStatus). A grant is spent once its record is here, and released once the
-- gate can no longer use it: in a status that comes p_kept_ms, by the gate's own clock, after the first one since the
-- grant, or from another boot, the gate says that its door is running (p_door), and nothing of its journal is missing
-- here. The door handles one scan at a time, so it has finished the scan of that grant. Time alone never releases a
-- grant. Returns how many were released.
create or replace function sweep_claims(
    p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot_id text,
    p_monotonic_ms bigint, p_now timestamptz, p_kept_ms bigint default 30000
) returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_count integer := 0;
begin
    if is_revoked(p_gate) then
        return 0;
    end if;
    update claims c set spent_at = p_now
    where c.gate_id = p_gate and c.answer = 'granted' and c.released_at is null and c.spent_at is null
        and scan_key(c.gate_id, c.scan_id) is not null;
    if p_door and p_acked = p_last_seq and p_last_seq <= coalesce(
        (select seq from gate_watermarks where gate_id = p_gate and epoch = p_epoch), 0
    ) then
        update claims c set released_at = p_now, released_by = 'unused'
        where c.gate_id = p_gate and c.epoch = p_epoch and c.answer = 'granted'
            and c.released_at is null and c.spent_at is null
            and (c.seen_boot <> p_boot_id or p_monotonic_ms - c.seen_ms >= p_kept_ms)
            -- a record that could not be read may be the admission
            and not exists (
                select from scan_quarantine q
                where q.gate_id = p_gate and q.epoch = p_epoch and q.received_at >= c.asked_at
            );
        get diagnostics v_count = row_count;
    end if;
    update claims set seen_boot = p_boot_id, seen_ms = p_monotonic_ms
    where gate_id = p_gate and answer = 'granted' and released_at is null and spent_at is null
        and seen_boot is null;
    return v_count;
end
$$;

-- Called before a night's tickets get other home gates. Marks as lent what a new home gate must not admit alone,
-- because the hub has granted it to another gate, or because its guest is in and the new home's list may not have that
-- yet.
create or replace function lend_taken_tickets(p_event uuid, p_homes text[], p_retired text[], p_now timestamptz)
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

-- Divide the tickets of this gate's nights among their gates, once, from an hour before the doors open, if the policy
-- is home_gate. Gates that are added later have no tickets of their own.
create or replace function assign_home_gates(p_gate text, p_now timestamptz default now()) returns void
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
        perform take_locks(array[home_gates_lock(v_event)]);
        select array_agg(g.gate_id order by g.gate_id collate "C") into v_homes
        from gate_events s join gates g on g.gate_id = s.gate_id
        where s.event_id = v_event and g.status = 'active' and g.revoked_at is null
            and g.venue = (select venue from gates where gate_id = p_gate);
        perform lend_taken_tickets(v_event, v_homes, retired_gates, p_now) from events
        where id = v_event and home_gates = '{}';
        update events set home_gates = coalesce(v_homes, '{}') where id = v_event and home_gates = '{}';
    end loop;
end
$$;

-- Take a gate out for the night; its tickets get other home gates. Returns 'retired', 'already', 'no home' (it is not a
-- home gate of this night), or 'last' (there is no other home gate).
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
    perform take_locks(array[home_gates_lock(p_event)]);
    perform lend_taken_tickets(p_event, v_event.home_gates, v_event.retired_gates || p_gate, p_now);
    update events set retired_gates = retired_gates || p_gate where id = p_event;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'retire', p_gate, p_reason, jsonb_build_object('event_id', p_event));
    return 'retired';
end
$$;

-- Whether the scan of a grant may be among the records that its gate sent since then and that could not be read.
create or replace function may_be_unread(p_claim claims) returns boolean
language sql stable set search_path = public, pg_temp
return exists (
    select from scan_quarantine q where q.gate_id = p_claim.gate_id and q.received_at >= p_claim.asked_at
);

-- Whether the scan of a grant may still come. It cannot if
--   - its gate was revoked;
--   - the gate has another journal by now, all of which is here (a salvaged journal would have brought the scan, a new
--     card never does);
--   - the gate is not heard, and a person retired it or says that it is off (p_is_off). A gate that is heard returns
--     unused grants by itself (`sweep_claims`). Its last will counts as heard: the door goes on without a line.
-- The last two count only if everything that the gate sent since the grant could be read.
create or replace function may_still_use(p_claim claims, p_is_off boolean, p_now timestamptz) returns boolean
language sql stable set search_path = public, pg_temp
return not (
    is_revoked(p_claim.gate_id)
    or not may_be_unread(p_claim) and (
        exists (
            select from gate_status s where s.gate_id = p_claim.gate_id and s.online and s.door
                and s.heard_at > p_claim.asked_at and s.epoch <> p_claim.epoch and s.acked = s.last_seq
                and s.last_seq <= coalesce(
                    (select w.seq from gate_watermarks w where w.gate_id = s.gate_id and w.epoch = s.epoch), 0
                )
        )
        or (
            p_is_off
            or exists (select from events where id = p_claim.event_id and p_claim.gate_id = any (retired_gates))
        ) and not exists (
            select from gate_status s where s.gate_id = p_claim.gate_id
                and abs(extract(epoch from p_now - s.heard_at)) < 60
        )
    )
);

-- Free a ticket by hand whose grant came to nothing. Returns {"outcome": 'freed', 'no ticket', 'no grant', 'used',
-- 'unread' or 'alive', "gate": the gate that has or had the grant}; nothing is changed unless it is 'freed'.
create or replace function free_grant(
    p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_ticket tickets;
    v_claim claims;
begin
    select * into v_ticket from tickets
    where event_id = p_event and (ticket_id = p_ticket or id::text = lower(p_ticket)) for no key update;
    if not found then
        return jsonb_build_object('outcome', 'no ticket');
    elsif v_ticket.status = 'checked_in' then
        return jsonb_build_object('outcome', 'used', 'gate', v_ticket.checked_in_by);
    end if;
    select * into v_claim from claims
    where code_hash = v_ticket.code_hash and answer = 'granted' and released_at is null for update;
    if not found then
        return jsonb_build_object('outcome', 'no grant');
    elsif exists (
        select from scans_of(array[scan_key(v_claim.gate_id, v_claim.scan_id)]) where annulled_at is null
    ) then
        return jsonb_build_object('outcome', 'used', 'gate', v_claim.gate_id);
    elsif may_still_use(v_claim, p_is_off, p_now) then
        return jsonb_build_object('gate', v_claim.gate_id,
            'outcome', case when may_be_unread(v_claim) then 'unread' else 'alive' end);
    end if;
    update claims set released_at = p_now, released_by = 'freed'
    where gate_id = v_claim.gate_id and scan_id = v_claim.scan_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'free', v_ticket.id::text, p_reason, jsonb_build_object('event_id', p_event,
        'gate_id', v_claim.gate_id, 'epoch', v_claim.epoch, 'scan_id', v_claim.scan_id, 'is_off', p_is_off));
    return jsonb_build_object('outcome', 'freed', 'gate', v_claim.gate_id);
end
$$;
