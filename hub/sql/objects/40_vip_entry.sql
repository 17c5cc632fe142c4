-- The VIP scan contract (domain 2.5): a table's guest may enter again and again, and the table counts its guests.

-- How many guests a table was sold for.
create or replace function vip_seats(p_package jsonb, p_capacity integer) returns integer
language sql immutable parallel safe
return case when p_package ->> 'guestCount' ~ '^[0-9]{1,6}$'
    then (p_package ->> 'guestCount')::integer else p_capacity end;

-- Count the guests who have arrived at these tables, if they are paid; the first arrival moves a table to checked_in.
-- The guests' own times say who was first, in whatever order their scans came in. A gate that was offline all night
-- reports the day after, when its tables are already completed: its guests are counted, and the table stays completed.
create or replace function vip_recount(p_reservations uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    -- two statements: the count must see what was committed while this one waited for the lock
    perform 1 from vip_reservations where id = any (p_reservations) order by id for no key update;
    with arrived as (
        select r.id, count(guest.status) as guests,
            (array_agg(guest.at order by guest.at, guest.gate))[1] as at,
            (array_agg(guest.gate order by guest.at, guest.gate))[1] as gate
        from vip_reservations r
        left join lateral (
            select p.status, p.checked_in_at as at, p.checked_in_by as gate from vip_guest_passes p
            where p.reservation_id = r.id and p.status = 'checked_in'
            union all
            select t.status, t.checked_in_at, t.checked_in_by
            from vip_linked_tickets l join tickets t on t.id = l.ticket_id
            where l.vip_reservation_id = r.id and t.status = 'checked_in'
        ) guest on true
        where r.id = any (p_reservations) and r.status in ('confirmed', 'checked_in', 'completed')
        group by r.id
    ), outcome as (
        select a.id, a.guests,
            case when r.status = 'confirmed' and a.guests > 0 then 'checked_in' else r.status end as status,
            case when a.guests > 0 then coalesce(a.at, r.checked_in_at) end as at,
            case when a.guests > 0 then coalesce(a.gate, r.checked_in_by) end as gate
        from arrived a join vip_reservations r on r.id = a.id
    )
    update vip_reservations r set
        checked_in_guests = o.guests, status = o.status, checked_in_at = o.at, checked_in_by = o.gate
    from outcome o
    where r.id = o.id and (r.checked_in_guests, r.status, r.checked_in_at, r.checked_in_by)
        is distinct from (o.guests, o.status, o.at, o.gate);
end
$$;

-- Label the logged entries of these guests: the first is the one that their pass or ticket names (invariant 9).
create or replace function vip_relabel(p_subjects uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    with label as (
        select l.id, case when
            (l.scanned_at, l.scanned_by) = (coalesce(p.checked_in_at, t.checked_in_at),
                coalesce(p.checked_in_by, t.checked_in_by, ''))
            and l.scan_id is not distinct from coalesce(p.checked_in_scan, t.checked_in_scan)
            and row_number() over (
                partition by l.pass_id, l.ticket_id, l.scanned_at, l.scanned_by, l.scan_id order by l.id
            ) = 1
            then 'first_entry' else 'reentry' end as scan_type
        from vip_scan_logs l
        left join vip_guest_passes p on p.id = l.pass_id
        left join tickets t on t.id = l.ticket_id
        where l.pass_id = any (p_subjects) or l.ticket_id = any (p_subjects)
    )
    update vip_scan_logs l set scan_type = label.scan_type from label
    where l.id = label.id and l.scan_type <> label.scan_type
$$;

-- An entry as the contract answers it. p_last: the guest's entry before this one.
create or replace function vip_entry_answer(
    p_pass vip_guest_passes, p_first boolean, p_last timestamptz
) returns json
language sql stable set search_path = public, pg_temp as $$
    select (jsonb_build_object(
        'success', true,
        'entry_type', case when p_first then 'first_entry' else 'reentry' end,
        'message', case when p_first then 'Welcome.' else 'Re-entry granted.' end,
        'pass_id', p_pass.id,
        'reservation_id', r.id,
        'guest_number', p_pass.guest_number,
        'checked_in_guests', r.checked_in_guests,
        'total_guests', vip_seats(r.package_snapshot, v.capacity)
    ) || case when p_first then '{}' else jsonb_build_object('last_entry_time', p_last) end)::json
    from vip_reservations r join event_vip_tables v on v.id = r.event_vip_table_id
    where r.id = p_pass.reservation_id
$$;

-- The contract with the time as an argument, because scans of an offline gate arrive late.
create or replace function vip_pass_scan(
    p_pass_id uuid, p_scanned_by text, p_at timestamptz, p_scan uuid default null
) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_pass vip_guest_passes;
    v_reservation vip_reservations;
    v_last timestamptz;
    v_first boolean;
begin
    -- everything that changes admissions locks the event first: one order, no deadlocks
    perform 1 from events where id = (
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = p_pass_id
    ) for no key update;
    select * into v_pass from vip_guest_passes where id = p_pass_id for update;
    if not found then
        return refuse('PASS_NOT_FOUND', 'There is no such guest pass.');
    elsif v_pass.status = 'cancelled' then
        return refuse('PASS_CANCELLED', 'This guest pass was cancelled.');
    end if;
    -- `for update` would wait for whoever is linking a ticket, who waits for the event
    select * into v_reservation from vip_reservations where id = v_pass.reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'The reservation of this pass does not exist.');
    elsif v_reservation.status not in ('confirmed', 'checked_in')
        and (v_reservation.status <> 'completed' or p_scan is null) then
        return refuse('RESERVATION_NOT_CONFIRMED',
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
    -- if this is a late report of an earlier entry, it becomes the first
    perform refresh_passes(array[p_pass_id]);
    perform vip_relabel(array[p_pass_id]);
    perform vip_recount(array[v_reservation.id]);
    return vip_entry_answer(v_pass, v_first, v_last);
end
$$;

-- The contract for the door. Staff are named by their token; the hub names the gate.
create or replace function process_vip_scan_with_reentry(
    p_pass_id uuid, p_scanned_by varchar default 'system'
) returns json
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not (is_service() or is_staff()) then
        return refuse('NOT_ALLOWED', 'Only staff checks guests in.');
    end if;
    return vip_pass_scan(p_pass_id,
        case when is_service() then coalesce(p_scanned_by, 'system') else acting_as() end, now());
end
$$;

-- Whether a ticket belongs to a table, and whether its guest may therefore come back.
create or replace function check_vip_linked_ticket_reentry(p_ticket_id uuid) returns json
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    if not (is_service() or is_staff()) then
        return refuse('NOT_ALLOWED', 'Only staff may ask whose table a ticket belongs to.');
    end if;
    return coalesce((
        select json_build_object(
            'is_vip_linked', true,
            'allow_reentry', r.status in ('confirmed', 'checked_in'),
            'vip_reservation_id', r.id,
            'table_number', r.table_number,
            'table_name', v.table_name,
            'reservation_status', r.status
        )
        from vip_linked_tickets l
        join vip_reservations r on r.id = l.vip_reservation_id
        join event_vip_tables v on v.id = r.event_vip_table_id
        where l.ticket_id = p_ticket_id
    ), json_build_object('is_vip_linked', false));
end
$$;
