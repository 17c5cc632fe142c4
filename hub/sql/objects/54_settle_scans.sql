-- What scans do to tickets, passes and tables. Everything locks in one order: events first, then tickets by code, then
-- tables (domain 2.3, 2.5; protocol 4.3). Of every ticket one admission counts, whoever writes (domain 2.2).

-- Whose entries these scans may change. An annulment names them itself: its scan may be in another transaction still,
-- which the event's lock then waits for. `codes`: the one-time codes; `codes_without_ticket`: those of them that no
-- ticket here has. `first_entries`: the scans of those of whom there is nothing here but the first entry of a one-time
-- ticket, once.
create or replace function subjects_of(
    p_scans scan_logs[], out subjects uuid[], out codes text[], out codes_without_ticket text[],
    out first_entries scan_logs[]
)
language plpgsql stable set search_path = public, pg_temp as $$
begin
    with named as (
        select s as scan, s.one_time_code_hash as code, coalesce(s.subject_id, t.id, p.id) as subject,
            s.subject_id is not null and s.one_time_code_hash is not null as is_first_entry,
            s.subject_id is null and t.id is null as is_without_ticket
        from unnest(p_scans) s
        -- nothing is looked up where a gate knew who it was; one look into the index each (offset 0)
        left join lateral (
            select k.id from tickets k where s.subject_id is null and k.code_hash = s.code_hash offset 0
        ) t on true
        left join lateral (
            select k.id from vip_guest_passes k where s.subject_id is null and k.code_hash = s.code_hash offset 0
        ) p on true
        where s.verdict = 'admit' or s.record = 'annulled'
    ), subject as (
        select subject as id, case when count(*) = 1 and bool_and(is_first_entry) then array_agg(scan) end as scan
        from named where subject is not null group by subject
    )
    select coalesce(array_agg(id), '{}'), array(select distinct code from named where code is not null),
        array(select distinct code from named where code is not null and is_without_ticket),
        coalesce(array_agg(scan[1]) filter (where scan is not null), '{}')
    into subjects, codes, codes_without_ticket, first_entries
    from subject;
end
$$;

-- Who was let in by these scans, or by those of them that were annulled. A code the gate did not know is
-- found by its hash.
create or replace function admitted_by(p_scans uuid[])
returns table (scan_id uuid, subject_id uuid, at timestamptz, gate text)
language sql stable set search_path = public, pg_temp as $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.corrected_at, s.gate_id
    from scans_of(p_scans) s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;

-- Every admission of these tickets that still counts as one.
create or replace function ticket_entries(p_tickets uuid[])
returns table (ticket_id uuid, scan scan_logs)
language sql stable set search_path = public, pg_temp as $$
    select t.id, s from tickets t join scan_logs s on s.subject_id = t.id
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
    union all
    select t.id, s from tickets t join scan_logs s on s.subject_id is null and s.code_hash = t.code_hash
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;

-- Write down at their scans what the later records among these say, and at these scans what was said before they came.
-- Only the gate that admitted may say it. Returns the scans that are annulled since now.
create or replace function note_outcomes(p_stored scan_logs[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scans uuid[] := scans_with_outcome(p_stored);
    v_telling uuid[];
    v_annulled uuid[];
begin
    if cardinality(v_scans) = 0 then
        return '{}';
    end if;
    perform 1 from (
        select scan_id, received_at from scan_places where scan_id = any (v_scans) order by scan_id offset 0
    ) p cross join lateral (
        select from scan_logs l where l.scan_id = p.scan_id and l.received_at = p.received_at
        for no key update offset 0
    ) locked;
    v_telling := array(
        select distinct l.scan_id from scan_places k
        join scan_places l on l.refers_to = coalesce(k.said_id, k.scan_id) and l.gate_id = k.gate_id
        where k.scan_id = any (v_scans)
    );
    with outcome as (
        select l.refers_to, l.gate_id, bool_or(l.reason <> 'not_opened') as actuated,
            min(l.occurred_at) filter (where l.record = 'annulled') as annulled_at
        from scans_of(v_telling) l where l.record in ('passed', 'annulled')
        group by l.refers_to, l.gate_id
    ), noted as (
        update scan_logs s set actuated = o.actuated, annulled_at = o.annulled_at
        from outcome o cross join lateral scans_of(array[scan_key(o.gate_id, o.refers_to)]) before
        where s.scan_id = before.scan_id and s.received_at = before.received_at and s.gate_id = o.gate_id
            and s.record = 'scan' and s.verdict = 'admit'
            and (s.actuated, s.annulled_at) is distinct from (o.actuated, o.annulled_at)
        returning s.scan_id, before.annulled_at is null and s.annulled_at is not null as is_annulled
    )
    select array_agg(scan_id) into v_annulled from noted where is_annulled;
    return coalesce(v_annulled, '{}');
end
$$;

-- The scans of which these say what became of them, and those of these of which it was said before they came.
create or replace function scans_with_outcome(p_stored scan_logs[]) returns uuid[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        select k.scan_id from unnest(p_stored) s
        cross join lateral (select scan_key(s.gate_id, s.refers_to) as scan_id offset 0) k
        where s.record in ('passed', 'annulled') and k.scan_id is not null
    ) || array(
        select s.scan_id from unnest(p_stored) s
        -- one look into the index each (offset 0)
        cross join lateral (
            select from scan_places l
            where l.refers_to = coalesce(s.said_id, s.scan_id) and l.gate_id = s.gate_id offset 0
        ) earlier
    );
end
$$;

-- The usual case: the first admission of a ticket nobody has used, one scan of each, unless its code was admitted
-- twice or it was annulled. Returns the tickets that are in now.
create or replace function check_in(p_first_entries scan_logs[], p_codes_twice text[], p_annulled uuid[])
returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_tickets uuid[];
begin
    with checked_in as (
        update tickets t set status = 'checked_in', is_used = true,
            checked_in_at = s.corrected_at, checked_in_by = s.gate_id, checked_in_scan = s.scan_id,
            last_entry_at = s.corrected_at, last_entry_gate = s.gate_id, last_entry_scan = s.scan_id,
            updated_at = now()
        from unnest(p_first_entries) s
        where t.id = s.subject_id and t.status = 'issued' and t.checked_in_at is null and s.annulled_at is null
            and s.one_time_code_hash <> all (p_codes_twice) and s.scan_id <> all (p_annulled)
        returning t.id
    )
    select array_agg(id) into v_tickets from checked_in;
    return coalesce(v_tickets, '{}');
end
$$;

-- Every other case, one ticket after the other by their codes.
create or replace function refresh_subjects(p_subjects uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from tickets where id = any (p_subjects) order by qr_code_data for no key update;
    perform refresh_tickets(p_subjects);
end
$$;

-- What a ticket's row says follows from all its admissions. Of those of a one-time ticket
-- only the winner can be its check-in; an entry made without a scan, or whose scan is archived, stays among them.
-- A ticket that was cancelled or refunded before anybody used it stays as it is; one whose last admission was
-- annulled is good again.
create or replace function refresh_tickets(p_tickets uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    with entry as (
        select ticket_id, (scan).scan_id, (scan).corrected_at as at, (scan).gate_id as gate,
            (scan).one_time_code_hash is not null as is_one_time, as_admission(scan) as admission
        from ticket_entries(p_tickets)
    ), winner as (
        select a.ticket_id, w.scan_id from (
            select ticket_id, jsonb_agg(admission) as admissions from entry where is_one_time group by ticket_id
        ) a cross join lateral winner_of(a.admissions) w
    ), first_entry as (
        select distinct on (ticket_id) * from (
            select e.ticket_id, e.at, e.gate, e.scan_id from entry e
            where not e.is_one_time or e.scan_id in (select scan_id from winner)
            union all
            select id, checked_in_at, checked_in_by, checked_in_scan from tickets
            where id = any (p_tickets) and checked_in_at is not null
                and (checked_in_scan is null or is_archived(checked_in_scan))
        ) candidate order by ticket_id, at, gate collate "C", scan_id
    ), last_entry as (
        select distinct on (ticket_id) * from (
            select ticket_id, at, gate, scan_id from entry
            union all
            select id, last_entry_at, last_entry_gate, last_entry_scan from tickets
            where id = any (p_tickets) and last_entry_at is not null
                and (last_entry_scan is null or is_archived(last_entry_scan))
        ) candidate order by ticket_id, at desc, gate collate "C" desc, scan_id desc
    ), outcome as (
        select t.id, f.at is not null or t.is_used and t.checked_in_scan is null as is_used,
            case when f.at is not null and t.status = 'issued' then 'checked_in'
                when f.at is null and t.status = 'checked_in' and t.checked_in_scan is not null then 'issued'
                else t.status end as status,
            f.at, f.gate, f.scan_id, l.at as last_at, l.gate as last_gate, l.scan_id as last_scan_id
        from tickets t
        left join first_entry f on f.ticket_id = t.id
        left join last_entry l on l.ticket_id = t.id
        where t.id = any (p_tickets) and (t.status in ('issued', 'checked_in') or t.checked_in_at is not null)
    )
    update tickets t set status = o.status, is_used = o.is_used,
        checked_in_at = o.at, checked_in_by = o.gate, checked_in_scan = o.scan_id,
        last_entry_at = o.last_at, last_entry_gate = o.last_gate, last_entry_scan = o.last_scan_id
    from outcome o
    where t.id = o.id
        and (t.status, t.is_used, t.checked_in_at, t.checked_in_by, t.checked_in_scan, t.last_entry_at,
            t.last_entry_gate, t.last_entry_scan)
        is distinct from (o.status, o.is_used, o.at, o.gate, o.scan_id, o.last_at, o.last_gate, o.last_scan_id)
$$;

-- A pass was first used by the earliest of its entries; one that was checked in without any keeps that.
create or replace function refresh_passes(p_passes uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    with first_entry as (
        select distinct on (pass_id) * from (
            select pass_id, scanned_at as at, scanned_by as gate, scan_id from vip_scan_logs
            where pass_id = any (p_passes)
            union all
            select id, checked_in_at, checked_in_by, null from vip_guest_passes
            where id = any (p_passes) and checked_in_at is not null and checked_in_scan is null
        ) candidate order by pass_id, at, gate collate "C", scan_id nulls first
    ), outcome as (
        select p.id, f.at, f.gate, f.scan_id,
            case when f.at is not null and p.status = 'issued' then 'checked_in'
                when f.at is null and p.status = 'checked_in' and p.checked_in_scan is not null then 'issued'
                else p.status end as status
        from vip_guest_passes p left join first_entry f on f.pass_id = p.id
        where p.id = any (p_passes)
    )
    update vip_guest_passes p set status = o.status, checked_in_at = o.at, checked_in_by = o.gate,
        checked_in_scan = o.scan_id
    from outcome o
    where p.id = o.id and (p.status, p.checked_in_at, p.checked_in_by, p.checked_in_scan)
        is distinct from (o.status, o.at, o.gate, o.scan_id)
$$;

create or replace function check_in_passes(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_entry record;
begin
    for v_entry in
        select p.id, a.at, a.gate, a.scan_id from admitted_by(p_scans) a
        join vip_guest_passes p on p.id = a.subject_id
        order by a.at, a.gate, a.scan_id
    loop
        perform vip_pass_scan(v_entry.id, v_entry.gate, v_entry.at, v_entry.scan_id);
    end loop;
end
$$;

-- Log the entries of tickets that belong to a paid table; `vip_relabel` finds out which was the first.
create or replace function log_linked_entries(p_scans uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    select t.id, r.id, 'reentry', a.gate, a.at, a.scan_id
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id
        and r.status in ('confirmed', 'checked_in', 'completed')
    order by a.at, a.gate, a.scan_id
$$;

-- Those of these subjects who may come again, guests of a table: the log of their entries, and how many are at their
-- tables. A table that is checked in stays so (forward only, domain 2.1). The annulled scan itself stays in scan_logs.
create or replace function settle_vip(
    p_subjects uuid[], p_fresh uuid[], p_moved uuid[], p_annulled uuid[]
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_guests uuid[] := array(
        select ticket_id from vip_linked_tickets where ticket_id = any (p_subjects)
        union
        select id from vip_guest_passes where id = any (p_subjects)
    );
begin
    if cardinality(v_guests) = 0 then
        return;
    end if;
    perform 1 from vip_guest_passes where id = any (v_guests) order by qr_code_token for no key update;
    delete from vip_scan_logs where scan_id = any (p_annulled);
    update vip_scan_logs l set scanned_at = s.corrected_at from scans_of(p_moved) s
    where l.scan_id = s.scan_id and l.scanned_at <> s.corrected_at;
    perform refresh_passes(v_guests);
    perform log_linked_entries(p_fresh);
    perform check_in_passes(p_fresh);
    perform vip_relabel(v_guests);
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (v_guests)
        union
        select reservation_id from vip_guest_passes where id = any (v_guests)
    ));
end
$$;

-- Let these new scans, and what was learnt of older ones' times, take effect. p_moved: scans that were at p_at, give or
-- take p_ms. p_places: as for `note_torn`, or null. p_venue: whom to alert to a conflict.
create or replace function take_effect(
    p_stored scan_logs[], p_moved uuid[], p_at timestamptz[], p_ms bigint[], p_places jsonb, p_venue text
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_fresh uuid[] := array(select s.scan_id from unnest(p_stored) s);
    v_older uuid[] := p_moved || array(
        select scan_key(s.gate_id, s.refers_to) from unnest(p_stored) s where s.record = 'annulled'
    );
    v_scans scan_logs[] := p_stored;
    v record;
    v_annulled uuid[];
    v_codes_twice text[];
    v_done uuid[];
begin
    if cardinality(v_older) > 0 then
        v_scans := v_scans || array(select s from scans_of(v_older) s where s.scan_id <> all (v_fresh));
    end if;
    select * into v from subjects_of(v_scans);
    perform lock_events_of(v.subjects);
    if cardinality(v.codes_without_ticket) > 0 then
        perform lock_codes(v.codes_without_ticket);
    end if;
    perform move_scans(p_moved, p_at, p_ms, p_places);
    v_annulled := note_outcomes(p_stored);
    v_codes_twice := codes_admitted_twice(v.codes);
    if cardinality(v_older) > 0 then
        -- of what is new, and as it is now
        v.first_entries := array(
            select s from scans_of(array(
                select f.scan_id from unnest(v.first_entries) f where f.scan_id = any (v_fresh)
            )) s
        );
    end if;
    v_done := check_in(v.first_entries, v_codes_twice, v_annulled);
    if cardinality(v_done) < cardinality(v.subjects) then
        perform refresh_subjects(array(select unnest(v.subjects) except select unnest(v_done)));
    end if;
    v_annulled := array(select unnest(v_annulled) except select unnest(v_fresh));
    perform settle_vip(v.subjects, v_fresh, p_moved, v_annulled);
    perform pair_codes(v_codes_twice, p_moved || v_annulled, p_venue);
end
$$;

-- These scans were at p_at, give or take p_ms.
create or replace function move_scans(p_moved uuid[], p_at timestamptz[], p_ms bigint[], p_places jsonb) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    if cardinality(p_moved) > 0 then
        update scan_logs s set corrected_at = u.at, corrected_uncertainty_ms = u.ms
        from unnest(p_moved, p_at, p_ms) as u (scan_id, at, ms) join scan_places p on p.scan_id = u.scan_id
        where s.scan_id = p.scan_id and s.received_at = p.received_at;
    end if;
    if p_places is not null then
        perform note_torn(p_places);
    end if;
end
$$;

-- Let what a batch brought take effect. p_places: from where on times are to be settled, or null: at once where that
-- looks at few scans, later where it looks at many (`put_off`).
create or replace function settle_scans(p_stored scan_logs[], p_places jsonb, p_venue text) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_near jsonb;
    v_far jsonb;
    v_moved uuid[] := '{}';
    v_at timestamptz[] := '{}';
    v_ms bigint[] := '{}';
begin
    if p_places is not null then
        select near, far into v_near, v_far from put_off(p_places);
        select coalesce(array_agg(u.scan_id), '{}'), coalesce(array_agg(u.at), '{}'),
            coalesce(array_agg(u.uncertainty_ms), '{}')
        into v_moved, v_at, v_ms from (
            select * from times_to_correct(v_near)
            union all
            select * from times_by_own_clock(array(select s.scan_id from unnest(p_stored) s), v_far)
        ) u;
    end if;
    perform take_effect(p_stored, v_moved, v_at, v_ms, v_near, p_venue);
end
$$;

-- Only admissions that are written down as such can take the place of another: not a second check-in by hand,
-- not a scan that was annulled or is of another ticket. And only one that was annulled leaves the place empty.
create or replace function one_winning_admission() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scan scan_logs;
begin
    select * into v_scan from scans_of(array[coalesce(new.checked_in_scan, old.checked_in_scan)])
    where verdict = 'admit' and record = 'scan'
        and (subject_id = old.id or subject_id is null and code_hash = old.code_hash);
    if found and new.checked_in_scan is not null and v_scan.annulled_at is null
            and (new.checked_in_at, new.checked_in_by) = (v_scan.corrected_at, v_scan.gate_id)
        or found and new.checked_in_scan is null and new.checked_in_at is null and v_scan.annulled_at is not null
    then
        return new;
    end if;
    raise exception 'ticket % is in since % by %: only one admission counts', old.ticket_id,
        old.checked_in_at, coalesce(old.checked_in_by, 'somebody')
        using errcode = 'check_violation', constraint = 'tickets_one_winner',
            hint = 'Record the second admission as a scan; it will be kept as a conflict.';
end
$$;

create or replace trigger tickets_one_winner before update on tickets for each row
when (
    old.checked_in_at is not null and (
        old.checked_in_at is distinct from new.checked_in_at or old.checked_in_by is distinct from new.checked_in_by
        or old.checked_in_scan is distinct from new.checked_in_scan
    )
)
execute function one_winning_admission();
