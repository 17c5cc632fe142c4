-- The order in which a batch, or a boot's clock, takes effect: events first, then tickets by code, then
-- tables; and the entries of those who may come again (domain 2.3, 2.5; protocol 4.3).

-- The contract's body with the time and the scan as arguments: scans of an offline gate arrive late.
drop function if exists vip_pass_scan(uuid, text, timestamptz);
create or replace function vip_pass_scan(
    p_pass_id uuid, p_scanned_by text, p_at timestamptz, p_scan uuid default null
) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_pass vip_guest_passes;
    v_reservation vip_reservations;
    v_seats integer;
    v_last timestamptz;
    v_first boolean;
begin
    -- Everything that changes admissions locks the event first: one order, no deadlocks.
    perform 1 from events where id = (
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = p_pass_id
    ) for no key update;
    select * into v_pass from vip_guest_passes where id = p_pass_id for update;
    if not found then
        return vip_refusal('PASS_NOT_FOUND', 'There is no such guest pass.');
    elsif v_pass.status = 'cancelled' then
        return vip_refusal('PASS_CANCELLED', 'This guest pass was cancelled.');
    end if;
    -- Not FOR UPDATE: that would wait for whoever is linking a ticket, who waits for the event.
    select * into v_reservation from vip_reservations where id = v_pass.reservation_id for no key update;
    if not found then
        return vip_refusal('RESERVATION_NOT_FOUND', 'The reservation of this pass does not exist.');
    elsif v_reservation.status not in ('confirmed', 'checked_in') then
        return vip_refusal('RESERVATION_NOT_CONFIRMED',
            format('Table %s is %s, not confirmed.', v_reservation.table_number, v_reservation.status));
    end if;

    v_first := v_pass.status = 'issued';
    if not v_first then
        select max(scanned_at) into v_last from vip_scan_logs where pass_id = p_pass_id;
        v_last := coalesce(v_last, v_pass.checked_in_at);
    end if;
    insert into vip_scan_logs (pass_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    values (p_pass_id, v_reservation.id, case when v_first then 'first_entry' else 'reentry' end,
        p_scanned_by, p_at, p_scan);
    -- A late report of an earlier entry: the earlier one was the first.
    perform refresh_passes(array[p_pass_id]);
    perform vip_relabel(array[p_pass_id]);
    perform vip_recount(array[v_reservation.id]);
    select * into v_reservation from vip_reservations where id = v_reservation.id;

    select vip_seats(v_reservation.package_snapshot, capacity) into v_seats
    from event_vip_tables where id = v_reservation.event_vip_table_id;
    return vip_entry(v_pass, v_reservation, v_seats, v_first, v_last);
end
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

-- Log the entries of tickets that belong to a paid table; `vip_relabel` finds out which was the first.
create or replace function log_linked_entries(p_scans uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    select t.id, r.id, 'reentry', a.gate, a.at, a.scan_id
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id and r.status in ('confirmed', 'checked_in')
    order by a.at, a.gate, a.scan_id
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

-- Those of these guests who may come again: the log of their entries, and how many are at their tables. A
-- table that is checked in stays so (forward only, domain 2.1). The annulled scan itself stays in scan_logs.
create or replace function settle_vip(
    p_guests uuid[], p_fresh uuid[], p_moved uuid[], p_taken_back uuid[]
) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from vip_guest_passes where id = any (p_guests) order by qr_code_token for no key update;
    delete from vip_scan_logs where scan_id = any (p_taken_back);
    update vip_scan_logs l set scanned_at = s.corrected_at from scan_logs s
    where s.scan_id = any (p_moved) and l.scan_id = s.scan_id and l.scanned_at <> s.corrected_at;
    perform refresh_passes(p_guests);
    perform log_linked_entries(p_fresh);
    perform check_in_passes(p_fresh);
    perform vip_relabel(p_guests);
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (p_guests)
        union
        select reservation_id from vip_guest_passes where id = any (p_guests)
    ));
end
$$;

-- Write down at their scans what the later records among these say, and at these scans what was said
-- before they came. Only the gate that admitted may say it. p_told: the scans of which p_new tell. Returns the
-- scans that were entries until now.
drop function if exists note_outcomes(uuid[]);
create or replace function note_outcomes(p_new uuid[], p_told uuid[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scans uuid[];
    v_taken_back uuid[];
begin
    v_scans := p_told || array(
        select told.refers_to from unnest(p_new) as asked (scan_id)
        cross join lateral (
            select l.refers_to from scan_logs l
            where l.refers_to = asked.scan_id and l.record in ('passed', 'annulled') offset 0
        ) told
    );
    if cardinality(v_scans) = 0 then
        return '{}';
    end if;
    perform 1 from scan_logs where scan_id = any (v_scans) order by scan_id for no key update;
    with outcome as (
        select l.refers_to, l.gate_id, bool_or(l.reason <> 'not_opened') as actuated,
            min(l.occurred_at) filter (where l.record = 'annulled') as annulled_at
        from scan_logs l where l.refers_to = any (v_scans) and l.record in ('passed', 'annulled')
        group by l.refers_to, l.gate_id
    ), noted as (
        update scan_logs s set actuated = o.actuated, annulled_at = o.annulled_at
        from outcome o join scan_logs before on before.scan_id = o.refers_to
        where s.scan_id = o.refers_to and s.gate_id = o.gate_id
            and s.record = 'scan' and s.verdict = 'admit'
            and (s.actuated, s.annulled_at) is distinct from (o.actuated, o.annulled_at)
        returning s.scan_id, before.annulled_at is null and s.annulled_at is not null as is_taken_back
    )
    select array_agg(scan_id) into v_taken_back from noted where is_taken_back and scan_id <> all (p_new);
    return coalesce(v_taken_back, '{}');
end
$$;

-- Let these new scans, and what was learnt of older ones' times, take effect. p_told, p_annulled: the scans of
-- which the new ones say so. p_places: as for `unsettled`, or null. p_venue: whom to tell of a conflict.
create or replace function settle_scans(
    p_fresh uuid[], p_told uuid[], p_annulled uuid[], p_places jsonb, p_venue text
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_moved uuid[] := '{}';
    v_scans uuid[] := p_fresh || p_annulled;
    v_concerned record;
    v_taken_back uuid[];
    v_doubled text[];
    v_done uuid[];
    v_guests uuid[];
    v_code text;
begin
    if p_places is not null then
        p_places := widened(p_places);
        v_moved := array(select scan_id from unsettled(p_places));
        v_scans := v_scans || v_moved;
    end if;
    select * into v_concerned from concerned_by(v_scans);
    perform lock_events_of(v_concerned.subjects);
    if cardinality(v_concerned.strangers) > 0 then
        perform lock_codes(v_concerned.strangers);
    end if;
    if cardinality(v_moved) > 0 then
        update scan_logs s set corrected_at = u.at, corrected_uncertainty_ms = u.uncertainty_ms
        from unsettled(p_places) u where s.scan_id = u.scan_id;
    end if;
    if p_places is not null then
        perform note_torn(p_places);
    end if;
    v_taken_back := note_outcomes(p_fresh, p_told);
    v_doubled := doubled(v_concerned.codes);
    perform 1 from tickets where id = any (v_concerned.subjects) order by qr_code_data for no key update;
    if cardinality(v_scans) > cardinality(p_fresh) then
        v_concerned.plain := array(select unnest(v_concerned.plain) intersect select unnest(p_fresh));
    end if;
    v_done := check_in_fresh(v_concerned.plain, v_doubled);
    if cardinality(v_done) < cardinality(v_concerned.subjects) then
        perform refresh_tickets(array(select unnest(v_concerned.subjects) except select unnest(v_done)));
    end if;
    v_guests := array(
        select ticket_id from vip_linked_tickets where ticket_id = any (v_concerned.subjects)
        union
        select id from vip_guest_passes where id = any (v_concerned.subjects)
    );
    if cardinality(v_guests) > 0 then
        perform settle_vip(v_guests, p_fresh, v_moved, v_taken_back);
    end if;
    for v_code in
        select unnest(v_doubled)
        union
        select c.code_hash from scan_logs s join scan_conflicts c on c.code_hash = s.one_time_code_hash
        where s.scan_id = any (v_moved || v_taken_back) and c.withdrawn_at is null
        order by 1
    loop
        perform pair_admissions(v_code, p_venue);
    end loop;
end
$$;

drop function if exists ingest_scans(jsonb, jsonb);

-- Take in a batch of scan records (each with its payload_hash); returns how many were new.
-- p_topics: the topic each gate's records came on, all of them: they are locked by it, and what has to be
-- quarantined or told names it. The settings: plans are made once, for tables that are empty then and large
-- before anybody has counted them again.
create or replace function ingest_scans(p_records json, p_topics jsonb) returns integer
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_venue text := (select split_part(value, '/', 3) from jsonb_each_text(p_topics) order by key limit 1);
    v_new record;
begin
    perform lock_gates(array(select jsonb_object_keys(p_topics)));
    select * into v_new from store_records(p_records);
    if cardinality(v_new.fresh) < json_array_length(p_records) then
        perform keep_repeats(p_records::jsonb);
        perform note_clones(quarantine_misfits(p_records::jsonb, p_topics), v_venue);
    end if;
    if cardinality(v_new.fresh) > 0 then
        perform note_clones(entangled(v_new.numberings), v_venue);
        if v_new.learnt is not null then
            v_new.places := nullif(
                coalesce(v_new.places, '[]') || coalesce(places_of_boots(v_new.learnt), '[]'), '[]'
            );
        end if;
        perform settle_scans(v_new.fresh, v_new.told, v_new.annulled, v_new.places, v_venue);
    end if;
    if v_new.has_events then
        perform note_alerts(v_new.fresh, p_topics);
    end if;
    return cardinality(v_new.fresh);
end
$$;

-- A gate said (in its status) that in this boot, when its monotonic clock stood at p_monotonic_ms, the hub's
-- time was p_wall, give or take p_uncertainty_ms. Its scans that nobody could place are placed from it.
create or replace function note_boot_clock(
    p_gate text, p_boot text, p_monotonic_ms bigint, p_wall timestamptz, p_uncertainty_ms bigint
) returns void
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_base timestamptz;
begin
    if p_uncertainty_ms between 0 and 3600000 and is_countable(p_monotonic_ms) and is_plausible(p_wall) then
        v_base := p_wall - p_monotonic_ms * interval '1 millisecond';
    end if;
    if v_base is null or exists (
        select from boot_clocks where gate_id = p_gate and boot_id = p_boot
            and (uncertainty_ms, monotonic_ms, base) <= (p_uncertainty_ms, p_monotonic_ms, v_base)
    ) then
        return;
    end if;
    perform lock_gates(array[p_gate]);
    insert into boot_clocks as known (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
    values (p_gate, p_boot, v_base, p_uncertainty_ms, p_monotonic_ms)
    on conflict (gate_id, boot_id) do update set base = excluded.base,
        uncertainty_ms = excluded.uncertainty_ms, monotonic_ms = excluded.monotonic_ms, updated_at = now()
    where (excluded.uncertainty_ms, excluded.monotonic_ms, excluded.base)
        < (known.uncertainty_ms, known.monotonic_ms, known.base);
    perform settle_scans('{}', '{}', '{}', places_of_boots(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'boot_id', p_boot)
    )), null);
end
$$;

drop function if exists store_scans(jsonb);
drop function if exists take_back(uuid[]);
drop function if exists take_back_tickets(uuid[]);
drop function if exists take_back_passes(uuid[]);
drop function if exists unlog_entries(uuid[]);
drop function if exists recount_linked_tables(uuid[]);

-- What was stored before there were conflicts; nobody is told of what is history.
do $$ begin
    perform pair_admissions(code, null) from unnest(doubled(array(
        select distinct one_time_code_hash from scan_logs where one_time_code_hash is not null
    ))) as twice (code);
end $$;
