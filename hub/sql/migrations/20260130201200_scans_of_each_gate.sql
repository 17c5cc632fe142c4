-- A gate's scan is known by its gate and by what the gate calls it: nobody can take another's name for a scan by
-- bringing it first (protocol 4.5, Fairness; docs/adr/0023).

-- scan_id stays one scan's and the hub's own name of it: what its gate calls it, and another only where that is taken
-- by another gate. said_id: what its gate calls it, where that is not the scan_id.
alter table scan_places add column if not exists said_id uuid;
alter table scan_logs add column if not exists said_id uuid;
create unique index if not exists scan_places_said on scan_places (gate_id, said_id) where said_id is not null;
create index if not exists scan_places_apart on scan_places (scan_id) where said_id is not null;

create or replace function keep_scan_places() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into scan_places (gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash)
    select gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash from new_rows;
    return null;
end
$$;

-- The scan_id here of what this gate calls so; null: nothing of this gate is.
create or replace function scan_key(p_gate text, p_said uuid) returns uuid
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return coalesce(
        (select scan_id from scan_places where gate_id = p_gate and said_id = p_said),
        (select scan_id from scan_places where scan_id = p_said and gate_id = p_gate and said_id is null)
    );
end
$$;

-- What its gate calls this scan.
create or replace function said_of(p_scan uuid) returns uuid
language plpgsql stable parallel safe set search_path = public, pg_temp as $$
begin
    return coalesce((select said_id from scan_places where scan_id = p_scan and said_id is not null), p_scan);
end
$$;

-- These records under their scan_id here. A name that is another gate's gives way to one that nobody can guess, and
-- stays it when the record comes again. p_records: of gates that are locked.
create or replace function with_keys(p_records json) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_apart jsonb;
begin
    with said as (
        select distinct r.gate_id, r.scan_id from json_to_recordset(p_records) as r (gate_id text, scan_id uuid)
    ), shared as (
        select said.*, min(gate_id) over (partition by scan_id) < gate_id as is_second from said
    ), judged as (
        select s.gate_id, s.scan_id, s.is_second, (
            select p.scan_id from scan_places p where p.gate_id = s.gate_id and p.said_id = s.scan_id
        ) as known, (
            select (p.gate_id, p.said_id is null) = (s.gate_id, true) from scan_places p where p.scan_id = s.scan_id
        ) as is_own
        from shared s
    )
    select jsonb_object_agg(gate_id || ' ' || scan_id, coalesce(known, gen_random_uuid())) into v_apart
    from judged where known is not null or not is_own or is_own is null and is_second;
    if v_apart is null then
        return p_records;
    end if;
    return (
        select json_agg(case when k.scan_id is null then e.value else
            (e.value::jsonb || jsonb_build_object('said_id', e.value ->> 'scan_id', 'scan_id', k.scan_id))::json
        end order by e.place)
        from json_array_elements(p_records) with ordinality as e (value, place)
        cross join lateral (
            select v_apart ->> ((e.value ->> 'gate_id') || ' ' || (e.value ->> 'scan_id')::uuid) as scan_id
        ) k
    );
end
$$;

-- As before; an entry is told with what its gate calls it.
create or replace function claim_entry_of(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', coalesce(said_of(p_scan)::text, '')
) end;

create or replace function feed_entry(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', said_of(p_scan)
) end;

-- A claim, too, is its gate's.
do $$
begin
    if (select cardinality(conkey) from pg_constraint where conname = 'claims_pkey') = 1 then
        alter table claims drop constraint claims_pkey, add constraint claims_pkey primary key (gate_id, scan_id);
    end if;
end
$$;

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
            claim_entry_of(v_ticket.checked_in_at, v_ticket.checked_in_by, v_ticket.checked_in_scan)))
    where gate_id = v_claim.gate_id and scan_id = p_scan
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
    on conflict (gate_id, scan_id) do update set released_at = p_now, released_by = 'returned'
    where claims.released_at is null and not exists (
        select from scans_of(array[scan_key(p_gate, p_scan)]) s where s.verdict = 'admit' and s.annulled_at is null
    )
$$;

-- An order's record is what its gate calls by the order's id.
create or replace view command_outcomes with (security_invoker = true) as
select c.*, s.occurred_at as recorded_at, s.reason as recorded_as, s.epoch as recorded_epoch,
    s.seq as recorded_seq,
    case
        when s.scan_id is not null then 'recorded'
        when c.outcome is not null then c.outcome
        when c.expires_at < now() then 'no answer'
        else 'waiting'
    end as state
from commands c
left join lateral scans_of(array[scan_key(c.gate_id, c.id)]) s on s.record = 'event';

-- An alert's id may be one that can be foretold (`note_clones`): it is taken by another of that gate and reason only.
do $$
begin
    if (select cardinality(conkey) from pg_constraint where conname = 'alerts_scan_key') = 1 then
        alter table alerts drop constraint alerts_scan_key,
            add constraint alerts_scan_key unique (scan_id, gate_id, reason);
    end if;
end
$$;

-- Where somebody has other default privileges, what is made is everybody's at first.
do $$
declare
    v_name text;
begin
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname in ('scan_key', 'said_of', 'with_keys')
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_name);
        execute format('grant execute on function %s to service_role', v_name);
    end loop;
end
$$;
