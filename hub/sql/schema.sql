CREATE SCHEMA auth;
CREATE FUNCTION auth.jwt() RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (COALESCE(NULLIF(current_setting('request.jwt.claims'::text, true), ''::text), '{}'::text))::jsonb;
CREATE FUNCTION auth.role() RETURNS text
    LANGUAGE sql STABLE
    RETURN (auth.jwt() ->> 'role'::text);
CREATE FUNCTION auth.uid() RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (NULLIF((auth.jwt() ->> 'sub'::text), ''::text))::uuid;
CREATE FUNCTION public.acting_as() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$ select coalesce(auth.uid()::text, session_user::text) $$;
CREATE FUNCTION public.add_to_guest_list(p_reservation_id uuid, p_ticket_id uuid, p_actor text, p_by_staff boolean) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_reservation vip_reservations;
    v_ticket tickets;
    v_link vip_linked_tickets;
    v_refusal jsonb;
begin
    select * into v_event from events
    where id = (select event_id from vip_reservations where id = p_reservation_id) for no key update;
    select * into v_reservation from vip_reservations where id = p_reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.');
    end if;
    select * into v_ticket from tickets where id = p_ticket_id for no key update;
    if not found then
        return refuse('TICKET_NOT_FOUND', 'There is no such ticket.');
    end if;
    select * into v_link from vip_linked_tickets where ticket_id = p_ticket_id;
    if v_link.vip_reservation_id = p_reservation_id then
        return link_answer(v_link);
    end if;
    v_refusal := link_refusal(v_event, v_reservation, v_ticket, v_link, p_by_staff, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    insert into vip_linked_tickets (vip_reservation_id, order_id, ticket_id, purchased_by_email, purchased_by_name,
        linked_by)
    values (p_reservation_id, v_ticket.order_id, p_ticket_id, left(v_ticket.guest_email, 320),
        left(v_ticket.guest_name, 200), p_actor)
    on conflict (ticket_id) do update set vip_reservation_id = excluded.vip_reservation_id,
        is_booker_purchase = false, linked_by = excluded.linked_by
    returning * into v_link;
    if p_by_staff then
        perform audit_list_change('link', v_event, v_reservation, p_ticket_id, p_actor, now());
    end if;
    return link_answer(v_link);
end
$$;
CREATE FUNCTION public.admitted_already(p_gate text, p_code text, p_subject uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if p_code is not null then
        return (select count(*) from (
            select from scan_places where one_time_code_hash = p_code and gate_id = p_gate limit most_of_one_guest()
        ) k);
    end if;
    return (select count(*) from (
        select from scan_logs where subject_id = p_subject and gate_id = p_gate
            and verdict = 'admit' and one_time_code_hash is null limit most_of_one_guest()
    ) k);
end
$$;
CREATE FUNCTION public.admitted_by(p_scans uuid[]) RETURNS TABLE(scan_id uuid, subject_id uuid, at timestamp with time zone, gate text)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.corrected_at, s.gate_id
    from scans_of(p_scans) s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;
CREATE FUNCTION public.advance_watermark(p_gate text, p_epoch text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    c_step constant integer := 1000;
    v_before bigint;
    v_seq bigint;
    v_next bigint;
begin
    insert into gate_watermarks (gate_id, epoch) values (p_gate, p_epoch) on conflict do nothing;
    select seq into v_before from gate_watermarks where gate_id = p_gate and epoch = p_epoch for update;
    v_seq := v_before;
    loop
        select max(run.seq) into v_next from (
            select kept.seq, row_number() over (order by kept.seq) as n from (
                (select seq from scan_places where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
                union
                (select seq from scan_repeats where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
                union
                (select seq from scan_quarantine where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
            ) kept
        ) run where run.seq = v_seq + run.n;
        exit when v_next is null;
        exit when v_next < v_seq + c_step;
        v_seq := v_next;
    end loop;
    v_seq := coalesce(v_next, v_seq);
    if v_seq > v_before then
        update gate_watermarks set seq = v_seq, updated_at = now() where gate_id = p_gate and epoch = p_epoch;
    end if;
    return v_seq;
end
$$;
CREATE FUNCTION public.after_boot(p_base timestamp with time zone, p_monotonic_ms bigint) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST(GREATEST((p_base + ((p_monotonic_ms)::double precision * '00:00:00.001'::interval)), '1970-01-01 00:00:00+00'::timestamp with time zone), '2199-12-31 00:00:00+00'::timestamp with time zone);
CREATE FUNCTION public.append_rows(p_events uuid[], p_rows jsonb[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    with change as (
        select c.event_id, c.row, row_number() over (partition by c.event_id order by c.place) as step
        from unnest(p_events, p_rows) with ordinality as c (event_id, row, place)
    ), bumped as (
        update events e set admission_version = e.admission_version + counted.steps
        from (select event_id, count(*) as steps from change group by event_id) counted
        where e.id = counted.event_id
        returning e.id, e.admission_version - counted.steps as before
    )
    insert into admission_changes (event_id, version, row)
    select bumped.id, bumped.before + change.step, change.row from change join bumped on bumped.id = change.event_id;
    perform pg_notify('maguey_admissions', event_id::text) from unnest(p_events) as touched (event_id) group by event_id;
end
$$;
CREATE FUNCTION public.archive_partition(p_part text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $_$
begin
    -- no scan may come in between counting and dropping
    execute format('lock table public.%I in access exclusive mode', p_part);
    execute format($count$
        insert into scan_counts as known (event_id, gate_id, day, record, verdict, reason, kind, count, annulled)
        select event_id, gate_id, (coalesce(corrected_at, occurred_at) at time zone 'UTC')::date, record, verdict,
            reason, kind, count(*), count(annulled_at)
        from public.%I group by 1, 2, 3, 4, 5, 6, 7
        on conflict on constraint scan_counts_key do update
        set count = known.count + excluded.count, annulled = known.annulled + excluded.annulled
    $count$, p_part);
    execute format('drop table public.%I', p_part);
end
$_$;
CREATE FUNCTION public.archive_scans(p_before date, p_is_dry boolean DEFAULT false, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
declare
    v_before timestamptz := least(p_before::timestamp at time zone 'UTC', p_now - interval '60 days');
    v_month record;
    v_why text;
    v_scans bigint;
    v_gone jsonb := '[]';
    v_kept jsonb := '[]';
begin
    -- the lock that whoever makes a partition takes
    perform take_locks(array['scan partitions']);
    for v_month in
        select name, since, since + interval '1 month' as until, to_char(since, 'YYYY-MM') as label from (
            select c.relname as name, to_date(substr(c.relname, 11), 'YYYY_MM')::timestamp as since
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'public.scan_logs'::regclass and c.relname ~ '^scan_logs_\d{4}_\d{2}$'
        ) parts where (since + interval '1 month') at time zone 'UTC' <= v_before order by since
    loop
        v_why := reason_to_keep_scans(v_month.since at time zone 'UTC', v_month.until at time zone 'UTC', p_now);
        if v_why is not null then
            v_kept := v_kept || jsonb_build_object('month', v_month.label, 'why', v_why);
            continue;
        end if;
        execute format('select count(*) from public.%I', v_month.name) into v_scans;
        v_gone := v_gone || jsonb_build_object('month', v_month.label, 'scans', v_scans);
        if not p_is_dry then
            perform archive_partition(v_month.name);
        end if;
    end loop;
    if not p_is_dry and v_gone <> '[]' then
        insert into audit_log (actor, action, target, reason, details)
        values (acting_as(), 'archive', 'scan_logs', 'retention', jsonb_build_object('months', v_gone));
    end if;
    return jsonb_build_object('success', true, 'months', v_gone, 'kept', v_kept);
end
$_$;
CREATE TABLE public.scan_logs (
    scan_id uuid NOT NULL,
    said_id uuid,
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    boot_id text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    monotonic_ms bigint NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    rule integer NOT NULL,
    kind text NOT NULL,
    clock text NOT NULL,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    event_id uuid,
    subject_id uuid,
    code_hash text,
    raw_hash text,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    scan_method text NOT NULL,
    cache_version bigint,
    cache_age_s bigint,
    released boolean NOT NULL,
    record text NOT NULL,
    refers_to uuid,
    heard jsonb DEFAULT '[]'::jsonb NOT NULL,
    actor text DEFAULT ''::text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    payload_hash text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    actuated boolean,
    annulled_at timestamp with time zone,
    corrected_at timestamp with time zone,
    corrected_uncertainty_ms bigint,
    one_time_code_hash text,
    CONSTRAINT scan_logs_annulled CHECK (((annulled_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (annulled_at < '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT scan_logs_record CHECK ((record = ANY (ARRAY['scan'::text, 'passed'::text, 'annulled'::text, 'event'::text]))),
    CONSTRAINT scan_logs_seq_positive CHECK ((seq > 0)),
    CONSTRAINT scan_logs_time CHECK (((occurred_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT scan_logs_verdict CHECK ((verdict = ANY (ARRAY['admit'::text, 'deny'::text, 'none'::text])))
)
PARTITION BY RANGE (received_at);
CREATE FUNCTION public.are_names_new(p_records public.scan_logs[]) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return not exists (
        select from unnest(p_records) r
        where (select true from scan_places p where p.scan_id = r.scan_id) is not null
            or (select true from scan_places p where p.gate_id = r.gate_id and p.said_id = r.scan_id) is not null
    ) and not exists (
        select from unnest(p_records) r group by r.scan_id having min(r.gate_id) <> max(r.gate_id)
    );
end
$$;
CREATE FUNCTION public.as_admission(p_scan public.scan_logs) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('scan_id', (p_scan).scan_id, 'gate_id', (p_scan).gate_id, 'epoch', (p_scan).epoch, 'seq', (p_scan).seq, 'at', (p_scan).corrected_at, 'uncertainty_ms', (p_scan).corrected_uncertainty_ms);
CREATE FUNCTION public.assign_home_gates(p_gate text, p_now timestamp with time zone DEFAULT now()) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    code text NOT NULL,
    description text,
    event_date date NOT NULL,
    doors_open_at timestamp with time zone NOT NULL,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone NOT NULL,
    venue_capacity integer DEFAULT 0 NOT NULL,
    ticket_types jsonb DEFAULT '[]'::jsonb NOT NULL,
    status text DEFAULT 'scheduled'::text NOT NULL,
    isolation_policy text DEFAULT 'admit'::text NOT NULL,
    home_gates text[] DEFAULT '{}'::text[] NOT NULL,
    retired_gates text[] DEFAULT '{}'::text[] NOT NULL,
    admission_version bigint DEFAULT 0 NOT NULL,
    feed_generation bigint DEFAULT 1 NOT NULL,
    cancelled_at timestamp with time zone,
    cancelled_by text,
    cancellation_reason text,
    cancellation jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT events_capacity_positive CHECK ((venue_capacity >= 0)),
    CONSTRAINT events_code_letters CHECK ((code ~ '^[A-Z]{2,6}$'::text)),
    CONSTRAINT events_generation_positive CHECK ((feed_generation > 0)),
    CONSTRAINT events_hours CHECK ((ends_at > doors_open_at)),
    CONSTRAINT events_isolation CHECK ((isolation_policy = ANY (ARRAY['admit'::text, 'home_gate'::text, 'deny'::text]))),
    CONSTRAINT events_status CHECK ((status = ANY (ARRAY['scheduled'::text, 'completed'::text, 'cancelled'::text]))),
    CONSTRAINT events_times CHECK (((doors_open_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (doors_open_at < '2200-01-01 00:00:00+00'::timestamp with time zone) AND ((starts_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (starts_at < '2200-01-01 00:00:00+00'::timestamp with time zone)) AND ((ends_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (ends_at < '2200-01-01 00:00:00+00'::timestamp with time zone))))
);
CREATE TABLE public.vip_reservations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    event_vip_table_id uuid NOT NULL,
    table_number integer NOT NULL,
    purchaser_name text DEFAULT ''::text NOT NULL,
    purchaser_email text,
    purchaser_phone text,
    amount_paid_cents integer DEFAULT 0 NOT NULL,
    stripe_payment_intent_id text,
    status text DEFAULT 'pending'::text NOT NULL,
    qr_code_token text,
    invite_code text,
    package_snapshot jsonb DEFAULT '{}'::jsonb NOT NULL,
    special_requests text,
    held_by_hand boolean DEFAULT false NOT NULL,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    checked_in_guests integer DEFAULT 0 NOT NULL,
    refunded_at timestamp with time zone,
    refund_amount_cents integer,
    stripe_refund_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_reservations_status CHECK ((status = ANY (ARRAY['pending'::text, 'confirmed'::text, 'checked_in'::text, 'completed'::text, 'cancelled'::text])))
);
CREATE FUNCTION public.audit_list_change(p_action text, p_event public.events, p_reservation public.vip_reservations, p_ticket_id uuid, p_actor text, p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, p_action || case when has_started(p_event, p_now) then '_at_door' else '' end,
        p_ticket_id::text, format('guest list of table %s, %s', p_reservation.table_number, p_event.code),
        jsonb_build_object('event_id', p_event.id, 'vip_reservation_id', p_reservation.id,
            'table_number', p_reservation.table_number));
end
$$;
CREATE FUNCTION public.become_active(p_venue text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_now active_hubs;
    v_mine timestamptz := (select backend_start from pg_stat_activity where pid = pg_backend_pid());
begin
    insert into active_hubs (venue) select p_venue
    where not exists (select from active_hubs where venue = p_venue) on conflict do nothing;
    select * into v_now from active_hubs where venue = p_venue for update skip locked;
    if not found then
        return false;
    elsif (v_now.pid, v_now.backend_start) = (pg_backend_pid(), v_mine) then
        return true;
    elsif exists (
        select from pg_stat_activity
        where pid = v_now.pid and usename = v_now.login
            and (backend_start is null or backend_start = v_now.backend_start)
    ) then
        return false;
    end if;
    update active_hubs set pid = pg_backend_pid(), backend_start = v_mine, login = session_user, since = now()
    where venue = p_venue;
    return true;
end
$$;
CREATE FUNCTION public.booking_refusal(p_purchaser jsonb, p_amount_cents integer, p_package jsonb, p_guest_passes integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
begin
    if coalesce(jsonb_typeof(p_purchaser), '') <> 'object'
        or length(btrim(coalesce(p_purchaser ->> 'name', ''))) not between 1 and 200
        or length(p_purchaser ->> 'email') > 320 or length(p_purchaser ->> 'phone') > 50
    then
        return refuse('INVALID_ARGUMENT', 'A purchaser has a name of at most 200 characters, and may have an email of'
            ' at most 320 and a phone of at most 50.');
    elsif coalesce(jsonb_typeof(p_package), '') <> 'object'
        or p_package ? 'guestCount' and coalesce(p_package ->> 'guestCount', '') !~ '^[1-9][0-9]{0,5}$'
    then
        return refuse('INVALID_ARGUMENT', 'A package is an object; its guestCount is a number of guests.');
    elsif octet_length(p_package::text) > 16384 then
        return refuse('INVALID_ARGUMENT', 'A package has at most 16384 bytes.');
    elsif coalesce(p_guest_passes, -1) not between 0 and 1000 then
        return refuse('INVALID_ARGUMENT', 'guest_passes is how many passes to make, 0 or more.');
    elsif coalesce(p_amount_cents, -1) not between 0 and 999999999 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, from 0 to 999999999.');
    end if;
    return null;
end
$_$;
CREATE FUNCTION public.cancel_event(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint DEFAULT NULL::bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may cancel a night.');
    end if;
    return write_cancellation(p_event_id, named_actor(p_actor), p_reason, p_expected_total_cents);
end
$$;
CREATE FUNCTION public.cancel_table_by_hand(p_event_id uuid, p_table_number integer, p_actor text, p_reason text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_reservation vip_reservations;
begin
    select * into v_event from events where id = p_event_id for no key update;
    perform 1 from event_vip_tables where event_id = p_event_id and table_number = p_table_number for no key update;
    select * into v_reservation from vip_reservations
    where id = reservation_of_table(p_event_id, p_table_number) for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', format('Table %s of %s is not reserved.', p_table_number, v_event.name));
    elsif v_reservation.status <> 'pending' then
        return refuse('NOT_ALLOWED', format('Table %s is %s: what is paid is not cancelled.', p_table_number,
            v_reservation.status));
    elsif has_started(v_event, now()) then
        return refuse('EVENT_STARTED', format('%s has started: nothing is cancelled any more.', v_event.name));
    end if;
    update vip_reservations set status = 'cancelled' where id = v_reservation.id;
    update vip_guest_passes set status = 'cancelled'
    where reservation_id = v_reservation.id and status in ('issued', 'checked_in');
    update event_vip_tables set is_available = true where id = v_reservation.event_vip_table_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'cancel table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_reservation.id));
    return reservation_answer(v_reservation.id, false);
end
$$;
CREATE FUNCTION public.cancellation_numbers(p_event public.events) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with refund as (
        select cents, currency, case when reservation_id is not null then 'tables'
            when order_id is not null then 'orders' else 'tickets' end as kind
        from refundable_payments(p_event.id)
    )
    select jsonb_build_object(
        'event', jsonb_build_object('event_id', p_event.id, 'code', p_event.code, 'name', p_event.name,
            'starts_at', coalesce(p_event.starts_at, p_event.doors_open_at)),
        'orders', (select count(*) from orders where event_id = p_event.id and status = 'completed'),
        'tickets', (
            select count(*) from tickets where event_id = p_event.id and status in ('issued', 'checked_in')
        ),
        'reservations', (
            select count(*) from vip_reservations
            where event_id = p_event.id and status in ('pending', 'confirmed', 'checked_in')
        ),
        'guest_passes', (
            select count(*) from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
            where r.event_id = p_event.id and p.status in ('issued', 'checked_in')
        ),
        'refunds', (select count(*) from refund),
        'refund_total_cents', (select coalesce(sum(cents), 0) from refund),
        'by_kind', (
            select jsonb_object_agg(k.kind, jsonb_build_object('count', k.count, 'cents', k.cents)) from (
                select kind, count(r.cents), coalesce(sum(r.cents), 0) as cents
                from unnest(array['orders', 'tables', 'tickets']) as kinds (kind) left join refund r using (kind)
                group by kind
            ) k
        ),
        'by_hand_cents', (select coalesce(sum(cents), 0) from purchases_of(p_event.id) where intent is null),
        'currency', (select case when min(currency) = max(currency) then min(currency) end from refund)
    )
$$;
CREATE FUNCTION public.cancellation_refusal(p_event public.events, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return case
        when p_event.id is null then refuse('EVENT_NOT_FOUND', 'There is no such night.')
        when p_event.cancellation is not null
            then refuse('EVENT_CANCELLED', format('%s is cancelled.', p_event.name))
        when p_event.status = 'completed' then refuse('EVENT_COMPLETED', format('%s is over.', p_event.name))
        when p_event.status = 'scheduled' and has_started(p_event, p_now) then refuse('EVENT_STARTED',
            format('%s has started: it cannot be cancelled any more.', p_event.name))
    end;
end
$$;
CREATE FUNCTION public.check_character(p_code text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    c_alphabet constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
    v_check integer := 36;
    v_letter text;
begin
    foreach v_letter in array string_to_array(replace(p_code, '-', ''), null) loop
        v_check := (v_check + strpos(c_alphabet, v_letter) - 1) % 36;
        v_check := case when v_check = 0 then 36 else v_check end * 2 % 37;
    end loop;
    return substr(c_alphabet, (37 - v_check) % 36 + 1, 1);
end
$$;
CREATE FUNCTION public.check_in(p_first_entries public.scan_logs[], p_codes_twice text[], p_annulled uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.check_in_passes(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.check_transition(p_machine text, p_from text, p_to text, p_is_annulled boolean, p_events uuid[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_thing text := case when p_machine ~ '^[aeiou]' then 'an ' else 'a ' end || replace(p_machine, '_', ' ');
    v_condition text;
begin
    select condition into v_condition from state_transitions
    where (machine, from_state, to_state) = (p_machine, p_from, p_to);
    if not found then
        raise exception '% cannot go from % to %', v_thing, p_from, p_to
            using errcode = 'check_violation', hint = 'docs/data-model.md shows the states; they only move forward.';
    elsif v_condition = 'before_start'
        and exists (select from unnest(p_events) as e (id) where not may_be_cancelled(e.id, now()))
    then
        raise exception '% cannot be % once the night has started', v_thing, p_to
            using errcode = 'check_violation', hint = 'All sales are final from then on; nothing was changed.';
    elsif v_condition = 'annulled' and not p_is_annulled then
        -- only a scan can be annulled, by its gate, when nobody walked through
        raise exception '% cannot go from % to % unless its scan was annulled', v_thing, p_from, p_to
            using errcode = 'check_violation', hint = 'Only the hub does that, when a gate reports it.';
    end if;
end
$$;
CREATE FUNCTION public.check_vip_capacity(p_reservation_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not may_edit_guest_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may see who sits there.');
    end if;
    return coalesce(
        (select jsonb_build_object('success', true, 'capacity', capacity, 'passes', passes, 'linked', linked,
            'remaining', remaining) from seats_of(p_reservation_id) where capacity is not null),
        refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.')
    );
end
$$;
CREATE FUNCTION public.check_vip_linked_ticket_reentry(p_ticket_id uuid) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.checkout_answer(p_order_id uuid, p_already boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_build_object('success', true, 'already', p_already, 'order_id', p_order_id,
        'reservation_id', r.id, 'ticket_id', t.id, 'link_id', l.id, 'invite_code', r.invite_code,
        'qr_code', t.qr_code_data)
    from tickets t
    join vip_linked_tickets l on l.ticket_id = t.id and l.is_booker_purchase
    join vip_reservations r on r.id = l.vip_reservation_id
    where t.order_id = p_order_id
$$;
CREATE FUNCTION public.claim_answer(p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.claim_entry(p_venue text, p_gate text, p_scan uuid, p_code_hash text, p_event uuid, p_epoch text, p_heard text[], p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.claim_holder(p_gate text, p_epoch text, p_code_hash text, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.gates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    gate_id text NOT NULL,
    venue text NOT NULL,
    name text NOT NULL,
    certificate_fingerprint text,
    token_hash text,
    epoch text,
    version text,
    last_seen_at timestamp with time zone,
    status text DEFAULT 'active'::text NOT NULL,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gates_gate_id_topic CHECK ((gate_id ~ '^[A-Za-z0-9_.-]{1,64}$'::text)),
    CONSTRAINT gates_not_the_hub CHECK ((gate_id !~* '^maguey-hub'::text)),
    CONSTRAINT gates_status CHECK ((status = ANY (ARRAY['active'::text, 'revoked'::text])))
);
CREATE FUNCTION public.is_revoked(p_gate text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    RETURN (EXISTS (SELECT FROM public.gates WHERE ((gates.gate_id = is_revoked.p_gate) AND ((gates.status = 'revoked'::text) OR (gates.revoked_at IS NOT NULL)))));
CREATE TABLE public.gate_events (
    gate_id text NOT NULL,
    event_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE FUNCTION public.claim_refusal(p_venue text, p_gate text, p_event uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    RETURN CASE WHEN (NOT (EXISTS (SELECT FROM public.gates WHERE ((gates.gate_id = claim_refusal.p_gate) AND (gates.venue = claim_refusal.p_venue))))) THEN 'no gate of this name belongs to the venue'::text WHEN public.is_revoked(p_gate) THEN 'the gate was revoked'::text WHEN ((p_event IS NOT NULL) AND (NOT (EXISTS (SELECT FROM public.gate_events WHERE ((gate_events.gate_id = claim_refusal.p_gate) AND (gate_events.event_id = claim_refusal.p_event)))))) THEN 'the gate does not serve this night'::text ELSE NULL::text END;
CREATE FUNCTION public.claim_subject(p_code_hash text) RETURNS TABLE(event_id uuid, status text, entry jsonb, is_perk boolean, is_unpaid boolean)
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.cleanup_expired_webhook_idempotency(p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with forgotten as (
        delete from webhook_events where processed_at < p_now - interval '30 days' returning 1
    )
    select jsonb_build_object('success', true, 'forgotten', count(*)) from forgotten
$$;
CREATE FUNCTION public.code_lock(p_code text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('code '::text || ((hashtextextended(p_code, (0)::bigint) & (1023)::bigint))::text);
CREATE FUNCTION public.codes_admitted_twice(p_codes text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_codes text[];
begin
    v_codes := array(
        select code from unnest(p_codes) as asked (code) cross join lateral (
            select from scan_places where one_time_code_hash = code offset 1 limit 1
        ) second
    );
    if cardinality(v_codes) = 0 then
        return '{}';
    end if;
    return array(
        select s.one_time_code_hash
        from scans_of(array(select scan_id from scan_places where one_time_code_hash = any (v_codes))) s
        where s.annulled_at is null group by s.one_time_code_hash having count(*) > 1
    );
end
$$;
CREATE FUNCTION public.complete_finished_events(p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_over uuid[];
    v_events integer;
    v_reservations integer;
begin
    v_over := array(
        select id from events e where ends_at <= p_now and (
            status = 'scheduled' or status = 'completed' and exists (
                select from vip_reservations r where r.event_id = e.id and r.status in ('confirmed', 'checked_in')
            )
        ) order by id for no key update
    );
    update vip_reservations set status = 'completed'
    where event_id = any (v_over) and status in ('confirmed', 'checked_in');
    get diagnostics v_reservations = row_count;
    update events set status = 'completed'
    where id = any (v_over) and status = 'scheduled' and ends_at <= p_now;
    get diagnostics v_events = row_count;
    return jsonb_build_object('success', true, 'events', v_events, 'reservations', v_reservations);
end
$$;
CREATE FUNCTION public.confirm_table_by_hand(p_event_id uuid, p_table_number integer, p_amount_cents integer, p_actor text, p_reason text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_reservation vip_reservations;
begin
    select * into v_event from events where id = p_event_id for no key update;
    select * into v_reservation from vip_reservations
    where id = reservation_of_table(p_event_id, p_table_number) for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', format('Table %s of %s is not reserved.', p_table_number, v_event.name));
    elsif v_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', v_event.name));
    elsif v_event.status = 'completed' or now() >= v_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', v_event.name));
    elsif v_reservation.status <> 'pending' then
        return reservation_answer(v_reservation.id, true);
    end if;
    update vip_reservations set status = 'confirmed', amount_paid_cents = p_amount_cents where id = v_reservation.id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'confirm table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_reservation.id, 'amount_cents', p_amount_cents));
    return reservation_answer(v_reservation.id, false);
end
$$;
CREATE FUNCTION public.confirm_vip_reservation(p_reservation_id uuid, p_stripe_payment_intent_id text, p_amount_cents integer, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_intent text := nullif(p_stripe_payment_intent_id, '');
    v_event events;
    v_reservation vip_reservations;
begin
    if v_intent is null then
        return refuse('INVALID_ARGUMENT', 'A payment has an id.');
    elsif coalesce(p_amount_cents, -1) not between 0 and 999999999 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, from 0 to 999999999.');
    end if;
    select * into v_event from events
    where id = (select event_id from vip_reservations where id = p_reservation_id) for no key update;
    select * into v_reservation from vip_reservations where id = p_reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.');
    elsif v_reservation.stripe_payment_intent_id = v_intent then
        return reservation_answer(p_reservation_id, true);
    elsif v_reservation.stripe_payment_intent_id is not null or is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This table is paid, or this payment has bought something else.');
    elsif v_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', v_event.name));
    elsif v_event.status = 'completed' or p_now >= v_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', v_event.name));
    elsif v_reservation.status <> 'pending' then
        return refuse('RESERVATION_NOT_CONFIRMED', format('The reservation of table %s is %s: give the payment back.',
            v_reservation.table_number, v_reservation.status));
    end if;
    update vip_reservations set status = 'confirmed', stripe_payment_intent_id = v_intent,
        amount_paid_cents = p_amount_cents
    where id = p_reservation_id;
    perform record_table_payment(v_intent, p_amount_cents);
    return reservation_answer(p_reservation_id, false);
end
$$;
CREATE FUNCTION public.create_unified_vip_checkout(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_ticket jsonb, p_stripe_payment_intent_id text, p_stripe_session_id text DEFAULT NULL::text, p_package jsonb DEFAULT '{}'::jsonb, p_guest_passes integer DEFAULT 0) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_line jsonb := jsonb_build_object('qr_code_data', p_ticket ->> 'ticket_id', 'ticket_type', 'General Admission',
        'guest_name', p_purchaser ->> 'name', 'guest_email', p_purchaser ->> 'email',
        'guest_phone', p_purchaser ->> 'phone') || jsonb_strip_nulls(p_ticket);
begin
    if coalesce(p_stripe_payment_intent_id, p_stripe_session_id, '') = '' then
        return refuse('INVALID_ARGUMENT', 'What is not paid is no checkout: name the payment or its session.');
    elsif coalesce(jsonb_typeof(p_ticket), '') <> 'object' then
        return refuse('INVALID_ARGUMENT', 'The host buys a ticket of their own.');
    end if;
    return sell_table_with_ticket(p_event_id, p_table_id, p_purchaser,
        jsonb_strip_nulls(jsonb_build_object('event_id', p_event_id, 'total_amount_cents', p_amount_cents,
            'stripe_payment_intent_id', nullif(p_stripe_payment_intent_id, ''),
            'stripe_session_id', nullif(p_stripe_session_id, ''), 'customer_email', p_purchaser ->> 'email',
            'customer_name', p_purchaser ->> 'name')),
        jsonb_build_array(v_line), p_package, p_guest_passes);
end
$$;
CREATE FUNCTION public.create_vip_reservation_atomic(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_stripe_payment_intent_id text DEFAULT NULL::text, p_package jsonb DEFAULT '{}'::jsonb, p_guest_passes integer DEFAULT 0, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_intent text := nullif(p_stripe_payment_intent_id, '');
    v_refusal jsonb := booking_refusal(p_purchaser, p_amount_cents, p_package, p_guest_passes);
    v_event events;
    v_table event_vip_tables;
    v_known vip_reservations;
    v_id uuid;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_known from vip_reservations where stripe_payment_intent_id = v_intent;
    if v_known.event_vip_table_id = p_table_id then
        return reservation_answer(v_known.id, true);
    elsif v_intent is not null and is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := table_sale_refusal(v_event, v_table, p_package, p_guest_passes, p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    v_id := write_reservation(v_table, p_purchaser, p_amount_cents,
        case when v_intent is null then 'pending' else 'confirmed' end, v_intent, p_package, p_guest_passes, p_now);
    if v_intent is not null then
        perform record_table_payment(v_intent, p_amount_cents);
    end if;
    return reservation_answer(v_id, false);
end
$$;
CREATE FUNCTION public.cut_name(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select coalesce(string_agg(letter, '' order by place), left(p_text, 80)) from (
        select m[1] as letter, place, sum(length(m[1])) over (order by place) as characters
        from (select
            -- Mn, Me, Mc, joining Hangul, skin tones and tags: what belongs to the letter before
            '\u0300-\u036F\u0483-\u0489\u0591-\u05BD\u05BF\u05C1-\u05C2\u05C4-\u05C5\u05C7\u0610-\u061A\u064B-\u065F'
            || '\u0670\u06D6-\u06DC\u06DF-\u06E4\u06E7-\u06E8\u06EA-\u06ED\u0711\u0730-\u074A\u07A6-\u07B0\u07EB-\u07F3'
            || '\u07FD\u0816-\u0819\u081B-\u0823\u0825-\u0827\u0829-\u082D\u0859-\u085B\u0898-\u089F\u08CA-\u08E1'
            || '\u08E3-\u0903\u093A-\u093C\u093E-\u094F\u0951-\u0957\u0962-\u0963\u0981-\u0983\u09BC\u09BE-\u09CD\u09D7'
            || '\u09E2-\u09E3\u09FE-\u0A03\u0A3C-\u0A51\u0A70-\u0A71\u0A75\u0A81-\u0A83\u0ABC\u0ABE-\u0ACD\u0AE2-\u0AE3'
            || '\u0AFA-\u0B03\u0B3C\u0B3E-\u0B57\u0B62-\u0B63\u0B82\u0BBE-\u0BCD\u0BD7\u0C00-\u0C04\u0C3C\u0C3E-\u0C56'
            || '\u0C62-\u0C63\u0C81-\u0C83\u0CBC\u0CBE-\u0CD6\u0CE2-\u0CE3\u0D00-\u0D03\u0D3B-\u0D3C\u0D3E-\u0D4D\u0D57'
            || '\u0D62-\u0D63\u0D81-\u0D83\u0DCA-\u0DDF\u0DF2-\u0DF3\u0E31\u0E34-\u0E3A\u0E47-\u0E4E\u0EB1\u0EB4-\u0EBC'
            || '\u0EC8-\u0ECD\u0F18-\u0F19\u0F35\u0F37\u0F39\u0F3E-\u0F3F\u0F71-\u0F84\u0F86-\u0F87\u0F8D-\u0FBC\u0FC6'
            || '\u102B-\u103E\u1056-\u1059\u105E-\u1060\u1062-\u1064\u1067-\u106D\u1071-\u1074\u1082-\u108D\u108F'
            || '\u109A-\u109D\u1160-\u11FF\u135D-\u135F\u1712-\u1715\u1732-\u1734\u1752-\u1753\u1772-\u1773\u17B4-\u17D3'
            || '\u17DD\u180B-\u180D\u180F\u1885-\u1886\u18A9\u1920-\u193B\u1A17-\u1A1B\u1A55-\u1A7F\u1AB0-\u1B04'
            || '\u1B34-\u1B44\u1B6B-\u1B73\u1B80-\u1B82\u1BA1-\u1BAD\u1BE6-\u1BF3\u1C24-\u1C37\u1CD0-\u1CD2\u1CD4-\u1CE8'
            || '\u1CED\u1CF4\u1CF7-\u1CF9\u1DC0-\u1DFF\u200C\u20D0-\u20F0\u2CEF-\u2CF1\u2D7F\u2DE0-\u2DFF\u302A-\u302F'
            || '\u3099-\u309A\uA66F-\uA672\uA674-\uA67D\uA69E-\uA69F\uA6F0-\uA6F1\uA802\uA806\uA80B\uA823-\uA827\uA82C'
            || '\uA880-\uA881\uA8B4-\uA8C5\uA8E0-\uA8F1\uA8FF\uA926-\uA92D\uA947-\uA953\uA980-\uA983\uA9B3-\uA9C0\uA9E5'
            || '\uAA29-\uAA36\uAA43\uAA4C-\uAA4D\uAA7B-\uAA7D\uAAB0\uAAB2-\uAAB4\uAAB7-\uAAB8\uAABE-\uAABF\uAAC1'
            || '\uAAEB-\uAAEF\uAAF5-\uAAF6\uABE3-\uABEA\uABEC-\uABED\uFB1E\uFE00-\uFE0F\uFE20-\uFE2F\U000101FD\U000102E0'
            || '\U00010376-\U0001037A\U00010A01-\U00010A0F\U00010A38-\U00010A3F\U00010AE5-\U00010AE6'
            || '\U00010D24-\U00010D27\U00010EAB-\U00010EAC\U00010F46-\U00010F50\U00010F82-\U00010F85'
            || '\U00011000-\U00011002\U00011038-\U00011046\U00011070\U00011073-\U00011074\U0001107F-\U00011082'
            || '\U000110B0-\U000110BA\U000110C2\U00011100-\U00011102\U00011127-\U00011134\U00011145-\U00011146\U00011173'
            || '\U00011180-\U00011182\U000111B3-\U000111C0\U000111C9-\U000111CC\U000111CE-\U000111CF'
            || '\U0001122C-\U00011237\U0001123E\U000112DF-\U000112EA\U00011300-\U00011303\U0001133B-\U0001133C'
            || '\U0001133E-\U0001134D\U00011357\U00011362-\U00011374\U00011435-\U00011446\U0001145E\U000114B0-\U000114C3'
            || '\U000115AF-\U000115C0\U000115DC-\U000115DD\U00011630-\U00011640\U000116AB-\U000116B7'
            || '\U0001171D-\U0001172B\U0001182C-\U0001183A\U00011930-\U0001193E\U00011940\U00011942-\U00011943'
            || '\U000119D1-\U000119E0\U000119E4\U00011A01-\U00011A0A\U00011A33-\U00011A39\U00011A3B-\U00011A3E\U00011A47'
            || '\U00011A51-\U00011A5B\U00011A8A-\U00011A99\U00011C2F-\U00011C3F\U00011C92-\U00011CB6'
            || '\U00011D31-\U00011D45\U00011D47\U00011D8A-\U00011D97\U00011EF3-\U00011EF6\U00016AF0-\U00016AF4'
            || '\U00016B30-\U00016B36\U00016F4F\U00016F51-\U00016F92\U00016FE4-\U00016FF1\U0001BC9D-\U0001BC9E'
            || '\U0001CF00-\U0001CF46\U0001D165-\U0001D169\U0001D16D-\U0001D172\U0001D17B-\U0001D182'
            || '\U0001D185-\U0001D18B\U0001D1AA-\U0001D1AD\U0001D242-\U0001D244\U0001DA00-\U0001DA36'
            || '\U0001DA3B-\U0001DA6C\U0001DA75\U0001DA84\U0001DA9B-\U0001DAAF\U0001E000-\U0001E02A\U0001E130-\U0001E136'
            || '\U0001E2AE\U0001E2EC-\U0001E2EF\U0001E8D0-\U0001E8D6\U0001E944-\U0001E94A\U0001F3FB-\U0001F3FF'
            || '\U000E0020-\U000E01EF'
            as marks
        ) c
        cross join regexp_matches(left(p_text, 81),
            '(?:[\U0001F1E6-\U0001F1FF]{2}|.)(?:[' || marks || ']|\u200D[^' || marks || '\u200D]?)*', 'g') with ordinality as l (m, place)
    ) cut
    where place <= 40 and characters <= 80
$$;
CREATE FUNCTION public.dismiss_staff(p_user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not is_owner() then
        return refuse('NOT_ALLOWED', 'Only an owner says who works here.');
    end if;
    delete from staff where user_id = p_user_id;
    if not found then
        return refuse('STAFF_NOT_FOUND', 'Nobody with this id works here.');
    end if;
    return jsonb_build_object('success', true, 'message', 'Does not work here any more.');
end
$$;
CREATE FUNCTION public.refuse(p_error text, p_message text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_build_object('success', false, 'error', p_error, 'message', p_message);
CREATE FUNCTION public.duplicate_refusal(p_constraint text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (p_constraint = ANY (ARRAY['tickets_ticket_id_key'::text, 'tickets_qr_code_data_key'::text, 'tickets_code_any_case'::text])) THEN public.refuse('INVALID_ARGUMENT'::text, 'A ticket of this number or code exists already.'::text) ELSE public.refuse('ALREADY_PROCESSED'::text, 'This payment or this session has bought something else.'::text) END;
CREATE FUNCTION public.each_once(p_records public.scan_logs[]) RETURNS public.scan_logs[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_record scan_logs;
    v_once scan_logs[];
    v_taken jsonb := '{}';
    v_place text;
begin
    if (
        select count(*) = least(count(distinct (r.gate_id, r.epoch, r.seq)), count(distinct r.scan_id))
        from unnest(p_records) r
    ) then
        return p_records;
    end if;
    -- only the few that share a place or an id have to be looked at one by one
    v_once := array(
        select c.record from (
            select r as record, count(*) over (partition by r.gate_id, r.epoch, r.seq) as of_place,
                count(*) over (partition by r.scan_id) as of_id
            from unnest(p_records) r
        ) c where c.of_place = 1 and c.of_id = 1
    );
    for v_record in
        select (c.record).* from (
            select r as record, row_number() over () as place,
                count(*) over (partition by r.gate_id, r.epoch, r.seq) as of_place,
                count(*) over (partition by r.scan_id) as of_id
            from unnest(p_records) r
        ) c where c.of_place > 1 or c.of_id > 1
        order by (c.record).gate_id, (c.record).epoch, (c.record).seq, c.place
    loop
        v_place := jsonb_build_array(v_record.gate_id, v_record.epoch, v_record.seq)::text;
        if not v_taken ? v_place and not v_taken ? v_record.scan_id::text then
            v_once := v_once || v_record;
            v_taken := v_taken || jsonb_build_object(v_place, true, v_record.scan_id, true);
        end if;
    end loop;
    return v_once;
end
$$;
CREATE FUNCTION public.enforce_gate_limit() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    c_most constant integer := 256;
    v_count bigint;
begin
    if tg_table_name = 'gates' then
        select count(*) into v_count from gates where venue = new.venue;
    else
        select count(*) into v_count from gate_events where event_id = new.event_id;
    end if;
    if v_count > c_most then
        raise exception 'one % has at most % gates',
            case tg_table_name when 'gates' then 'venue' else 'night' end, c_most
            using errcode = 'check_violation', constraint = tg_table_name || '_bound';
    end if;
    return null;
end
$$;
CREATE FUNCTION public.enforce_seats() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_column text := tg_argv[0];
    v_full record;
begin
    if tg_op = 'INSERT' then
        select s.* into v_full
        from (select distinct (to_jsonb(n) ->> v_column)::uuid as id from new_rows n) r
        cross join lateral seats_of(r.id) s
        where s.passes + s.linked > s.capacity limit 1;
    else
        select s.* into v_full
        from (
            select id, (to_jsonb(n) ->> v_column)::uuid as reservation_id from new_rows n
            except
            select id, (to_jsonb(o) ->> v_column)::uuid from old_rows o
        ) r
        cross join lateral seats_of(r.reservation_id) s
        where s.passes + s.linked > s.capacity limit 1;
    end if;
    if v_full.capacity is not null then
        raise exception 'the table has % seats: % passes and % linked tickets are too many',
            v_full.capacity, v_full.passes, v_full.linked
            using errcode = 'check_violation', constraint = 'vip_seats',
                hint = 'Cancel a pass or unlink a ticket first.';
    end if;
    return null;
end
$$;
CREATE FUNCTION public.enforce_ticket_transitions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_step record;
begin
    for v_step in
        -- a full join never compares every row with every other, even if it was planned for one row
        select o.status as old_status, n.status as new_status,
            bool_and(o.id is not null and n.id is not null) as is_same,
            bool_and(o.checked_in_scan is not null and n.checked_in_at is null) as is_annulled,
            array_agg(distinct n.event_id) as events
        from new_rows n full join old_rows o on o.id = n.id
        where o.status is distinct from n.status group by o.status, n.status
    loop
        if not v_step.is_same then
            raise exception 'the id of a ticket cannot change' using errcode = 'check_violation';
        end if;
        perform check_transition('ticket', v_step.old_status, v_step.new_status, v_step.is_annulled, v_step.events);
    end loop;
    return null;
end
$$;
CREATE FUNCTION public.enforce_transition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform check_transition(tg_argv[0], old.status, new.status,
        to_jsonb(old) ->> 'checked_in_scan' is not null and to_jsonb(new) ->> 'checked_in_at' is null,
        array[case tg_argv[0] when 'event' then new.id else (to_jsonb(new) ->> 'event_id')::uuid end]);
    return new;
end
$$;
CREATE FUNCTION public.ensure_scan_partitions(p_months_ahead integer DEFAULT 3, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_made text[] := '{}';
    v_month date;
begin
    for v_month in
        select date_trunc('month', p_now at time zone 'UTC') + make_interval(months => n)
        from generate_series(0, least(greatest(p_months_ahead, 0), 24)) n
        union
        select date_trunc('month', received_at at time zone 'UTC') from scan_logs_default
        order by 1
    loop
        if make_scan_partition(v_month) then
            v_made := v_made || to_char(v_month, 'YYYY-MM');
        end if;
    end loop;
    return jsonb_build_object('success', true, 'made', to_jsonb(v_made));
end
$$;
CREATE FUNCTION public.erase_names_in_feed(p_events uuid[], p_tickets uuid[], p_reservations uuid[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_rows integer;
begin
    update admission_changes set row = without_names(row)
    where event_id = any (p_events) and row <> without_names(row) and (
        row ->> 'subject_id' = any (p_tickets::text[]) or row ->> 'reservation_id' = any (
            p_reservations::text[] || array(
                select vip_reservation_id::text from vip_linked_tickets where ticket_id = any (p_tickets)
            )
        )
    );
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;
CREATE FUNCTION public.erase_people(p_events uuid[], p_orders uuid[], p_tickets uuid[], p_reservations uuid[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_orders integer;
    v_tickets integer;
    v_reservations integer;
    v_passes integer;
    v_mails integer;
begin
    perform 1 from events where id = any (p_events) order by id for no key update;
    update orders set customer_email = null, customer_name = null, stripe_customer_id = null, metadata = '{}'
    where id = any (p_orders) and (customer_email, customer_name, stripe_customer_id, metadata)
        is distinct from (null, null, null, '{}'::jsonb);
    get diagnostics v_orders = row_count;
    update payments set metadata = '{}' where order_id = any (p_orders) and metadata <> '{}';
    update vip_reservations set purchaser_name = '', purchaser_email = null, purchaser_phone = null,
        special_requests = null, package_snapshot = without_people(package_snapshot)
    where id = any (p_reservations)
        and (purchaser_name, purchaser_email, purchaser_phone, special_requests, package_snapshot)
        is distinct from ('', null, null, null, without_people(package_snapshot));
    get diagnostics v_reservations = row_count;
    update vip_linked_tickets set purchased_by_email = null, purchased_by_name = null, linked_by = null
    where (vip_reservation_id = any (p_reservations) or ticket_id = any (p_tickets))
        and (purchased_by_email, purchased_by_name, linked_by) is distinct from (null, null, null);
    -- a reference may be made of the guest's name and address
    update tickets set guest_name = null, guest_email = null, guest_phone = null, metadata = '{}',
        external_reference = null
    where id = any (p_tickets) and (guest_name, guest_email, guest_phone, metadata, external_reference)
        is distinct from (null, null, null, '{}'::jsonb, null);
    get diagnostics v_tickets = row_count;
    update vip_guest_passes set guest_name = null
    where reservation_id = any (p_reservations) and guest_name is not null;
    get diagnostics v_passes = row_count;
    delete from email_queue where payload ->> 'order_id' = any (p_orders::text[])
        or payload ->> 'ticket_id' = any (p_tickets::text[])
        or payload ->> 'reservation_id' = any (p_reservations::text[]);
    get diagnostics v_mails = row_count;
    return jsonb_build_object('orders', v_orders, 'tickets', v_tickets, 'reservations', v_reservations,
        'guest_passes', v_passes, 'mails', v_mails,
        'feed_rows', erase_names_in_feed(p_events, p_tickets, p_reservations));
end
$$;
CREATE FUNCTION public.erase_person(p_email text, p_actor text, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
declare
    v_email text := lower(btrim(p_email));
    v_orders uuid[];
    v_tickets uuid[];
    v_reservations uuid[];
    v_events uuid[];
    v_coming text;
    v_done jsonb;
    v_mails integer;
    v_failures integer;
begin
    if coalesce(btrim(p_actor), '') = '' or coalesce(v_email, '') !~ '^\S+@\S+$' then
        return refuse('INVALID_ARGUMENT', 'An e-mail address and who erases it are both needed.');
    end if;
    v_orders := array(select id from orders where lower(customer_email) = v_email);
    v_reservations := array(select id from vip_reservations where lower(purchaser_email) = v_email);
    v_tickets := array(
        select id from tickets
        where lower(guest_email) = v_email or order_id = any (v_orders) and guest_email is null
        union
        select ticket_id from vip_linked_tickets where lower(purchased_by_email) = v_email
    );
    v_events := array(
        select event_id from orders where id = any (v_orders) and event_id is not null
        union select event_id from tickets where id = any (v_tickets)
        union select event_id from vip_reservations where id = any (v_reservations)
    );
    select string_agg(name, ', ' order by ends_at) into v_coming from events
    where id = any (v_events) and ends_at > p_now;
    if v_coming is not null then
        return refuse('EVENT_NOT_OVER', format('This person is a guest of %s. Erase them once it is over.', v_coming));
    end if;
    v_done := erase_people(v_events, v_orders, v_tickets, v_reservations);
    update payment_failures set customer_email = null, metadata = '{}' where lower(customer_email) = v_email;
    get diagnostics v_failures = row_count;
    delete from email_queue where lower(recipient) = v_email;
    get diagnostics v_mails = row_count;
    v_done := v_done || jsonb_build_object('mails', (v_done ->> 'mails')::integer + v_mails);
    if v_done <> '{"orders":0,"tickets":0,"reservations":0,"guest_passes":0,"mails":0,"feed_rows":0}' or v_failures > 0
    then
        insert into audit_log (actor, action, target, reason, details)
        values (btrim(p_actor), 'erase', hash_of_text(v_email), 'a person asked for it', v_done);
        return v_done || jsonb_build_object('success', true, 'already', false);
    end if;
    return v_done || jsonb_build_object('success', true, 'already', true);
end
$_$;
CREATE FUNCTION public.erase_personal_data(p_event_id uuid, p_actor text, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_already boolean;
    v_done jsonb;
    v_mails integer;
begin
    if coalesce(btrim(p_actor), '') = '' then
        return refuse('INVALID_ARGUMENT', 'Say who erases it; it is recorded.');
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    elsif p_now < v_event.ends_at then
        return refuse('EVENT_NOT_OVER', 'This night is not over: its guests still need their names.');
    end if;
    v_already := exists (select from audit_log where action = 'erase' and target = p_event_id::text);
    v_done := erase_people(
        array[p_event_id],
        array(select id from orders where event_id = p_event_id),
        array(select id from tickets where event_id = p_event_id),
        array(select id from vip_reservations where event_id = p_event_id)
    );
    update payment_failures set customer_email = null, metadata = '{}'
    where event_id = p_event_id and (customer_email is not null or metadata <> '{}');
    delete from email_queue where payload ->> 'event_id' = p_event_id::text;
    get diagnostics v_mails = row_count;
    v_done := v_done || jsonb_build_object('mails', (v_done ->> 'mails')::integer + v_mails);
    update admission_changes set row = without_names(row)
    where event_id = p_event_id and row <> without_names(row);
    -- a note that staff wrote on a scan may name a guest; the name of its author stays
    update scan_logs set note = ''
    where event_id = p_event_id and note <> '' and received_at > v_event.doors_open_at - interval '1 day';
    if not v_already then
        insert into audit_log (actor, action, target, reason, details)
        values (btrim(p_actor), 'erase', p_event_id::text, 'personal data of a past night', v_done);
    end if;
    return v_done || jsonb_build_object('success', true, 'already', v_already, 'event_id', p_event_id);
end
$$;
CREATE FUNCTION public.event_availability(p_event_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_sold bigint;
    v_left bigint;
    v_types jsonb;
begin
    select * into v_event from events where id = p_event_id;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select coalesce(sum(sold), 0) into v_sold from tickets_sold(p_event_id);
    v_left := case when v_event.status = 'scheduled'
        then tickets_left(nullif(v_event.venue_capacity, 0), v_sold) else 0 end;
    select coalesce(jsonb_agg(jsonb_build_object(
        'name', coalesce(t.name, s.name), 'price', t.price, 'capacity', t.capacity,
        'sold', coalesce(s.sold, 0),
        'remaining', least(tickets_left(t.capacity, coalesce(s.sold, 0)), v_left)
    ) order by t.place, s.name), '[]') into v_types
    from ticket_types_of(v_event.ticket_types) t full join tickets_sold(p_event_id) s on s.name = t.name;
    return jsonb_build_object('success', true, 'event_id', v_event.id, 'status', v_event.status,
        'capacity', nullif(v_event.venue_capacity, 0), 'sold', v_sold, 'remaining', v_left, 'types', v_types);
end
$$;
CREATE FUNCTION public.feed_append(p_events uuid[] DEFAULT '{}'::uuid[], p_reservations uuid[] DEFAULT '{}'::uuid[], p_subjects uuid[] DEFAULT '{}'::uuid[], p_removed_events uuid[] DEFAULT '{}'::uuid[], p_removed_codes text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_events uuid[];
    v_of uuid[];
    v_rows jsonb[];
begin
    select array_agg(distinct touched.event_id) into v_events from (
        select unnest(p_events || p_removed_events) as event_id
        union all select event_id from vip_reservations where id = any (p_reservations)
        union all select event_id from tickets where id = any (p_subjects)
        union all select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
            where p.id = any (p_subjects)
    ) touched;
    if v_events is null then
        return;
    end if;
    perform 1 from events where id = any (v_events) order by id for no key update;
    with change as (
        select event_id, 1 as part, ''::text as place, row from feed_events where event_id = any (p_events)
        union all
        select event_id, 2, '',
            jsonb_build_object('t', 'removed', 'code_hash', code_hash, 'event_id', event_id)
        from unnest(p_removed_events, p_removed_codes) as removed (event_id, code_hash)
        union all
        select event_id, 3, reservation_id::text, row from feed_tables
        where reservation_id = any (p_reservations)
        union all
        select event_id, 4, subject_id::text, row from feed_admissions where subject_id = any (p_subjects)
    )
    select array_agg(event_id order by part, place), array_agg(row order by part, place)
    into v_of, v_rows from change;
    perform append_rows(v_of, v_rows);
end
$$;
CREATE FUNCTION public.feed_digest(p_event uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with held as materialized (
        select row from feed_events where event_id = p_event
        union all
        select row from feed_tables where event_id = p_event
        union all
        select row from feed_admissions where event_id = p_event
    ), line as (
        select case row ->> 't'
            when 'admission' then
                'a|' || (row ->> 'code_hash') || '|' || (row ->> 'subject_id') || '|' || (row ->> 'kind')
                || '|' || (row ->> 'status') || '|' || coalesce(row ->> 'reservation_id', '')
                || '|' || coalesce(row ->> 'signature_hash', '')
                || '|' || coalesce((row #>> '{first_entry,at}') || ' ' || (row #>> '{first_entry,gate}')
                    || ' ' || coalesce(row #>> '{first_entry,scan}', ''), '')
                || '|' || coalesce((row #>> '{last_entry,at}') || ' ' || (row #>> '{last_entry,gate}')
                    || ' ' || coalesce(row #>> '{last_entry,scan}', ''), '')
            when 'table' then
                't|' || (row ->> 'reservation_id') || '|' || (row ->> 'number') || '|' || (row ->> 'status')
                || '|' || coalesce(row ->> 'seats', '0') || '|' || coalesce(row ->> 'arrived', '0')
            when 'event' then
                'e|' || (row ->> 'event_id') || '|' || (row ->> 'code') || '|' || (row ->> 'status')
                || '|' || (row ->> 'doors_open_at') || '|' || (row ->> 'ends_at')
                || '|' || coalesce(row ->> 'capacity', '0') || '|' || coalesce(row ->> 'isolation', 'admit')
                || '|' || coalesce((select string_agg(item, ',' order by place) from
                    jsonb_array_elements_text(row -> 'homes') with ordinality as listed (item, place)), '')
                || '|' || coalesce((select string_agg(item, ',' order by place) from
                    jsonb_array_elements_text(row -> 'retired') with ordinality as listed (item, place)), '')
            end as text
        from held
    )
    select lpad(to_hex((coalesce(sum(
        ('x' || encode(substr(sha256(convert_to(text, 'UTF8')), 1, 6), 'hex'))::bit(48)::bigint
    ), 0) % 9223372036854775808)::bigint), 16, '0')
    from line
$$;
CREATE FUNCTION public.feed_time(p_at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char((p_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text);
CREATE FUNCTION public.said_of(p_scan uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return coalesce((select said_id from scan_places where scan_id = p_scan and said_id is not null), p_scan);
end
$$;
CREATE FUNCTION public.feed_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (p_at IS NOT NULL) THEN jsonb_build_object('at', public.feed_time(p_at), 'gate', "left"(COALESCE(p_gate, ''::text), 64), 'scan', public.said_of(p_scan)) ELSE NULL::jsonb END;
CREATE FUNCTION public.feed_on_events() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_guest_passes() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[] := '{}';
    v_reservations uuid[] := '{}';
    v_events uuid[] := '{}';
    v_codes text[] := '{}';
begin
    if tg_op = 'INSERT' then
        select array_agg(id), array_agg(distinct reservation_id) into v_subjects, v_reservations from new_rows;
    elsif tg_op = 'DELETE' then
        select array_agg(r.event_id), array_agg(o.code_hash), array_agg(distinct r.id)
        into v_events, v_codes, v_reservations
        from old_rows o join vip_reservations r on r.id = o.reservation_id;
    else
        select array_agg(n.id) into v_subjects from new_rows n join old_rows o on o.id = n.id
        where (n.code_hash, n.reservation_id, n.status, n.guest_name, n.guest_number, n.qr_signature,
                n.checked_in_at, n.checked_in_by, n.checked_in_scan)
            is distinct from (o.code_hash, o.reservation_id, o.status, o.guest_name, o.guest_number,
                o.qr_signature, o.checked_in_at, o.checked_in_by, o.checked_in_scan);
        select array_agg(r.event_id), array_agg(o.code_hash) into v_events, v_codes
        from new_rows n join old_rows o on o.id = n.id
        join vip_reservations r on r.id = o.reservation_id
        join vip_reservations now_at on now_at.id = n.reservation_id
        where (n.code_hash, now_at.event_id) is distinct from (o.code_hash, r.event_id);
        select array_agg(touched.id) into v_reservations
        from new_rows n join old_rows o on o.id = n.id
        cross join unnest(array[n.reservation_id, o.reservation_id]) as touched (id)
        where (n.guest_name, n.guest_number, n.reservation_id, n.status = 'cancelled')
            is distinct from (o.guest_name, o.guest_number, o.reservation_id, o.status = 'cancelled');
    end if;
    perform feed_append('{}', coalesce(v_reservations, '{}'), coalesce(v_subjects, '{}'),
        coalesce(v_events, '{}'), coalesce(v_codes, '{}'));
    return null;
end
$$;
CREATE FUNCTION public.feed_on_linked_tickets() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[];
    v_reservations uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(ticket_id), array_agg(vip_reservation_id) into v_subjects, v_reservations from new_rows;
    elsif tg_op = 'DELETE' then
        select array_agg(ticket_id), array_agg(vip_reservation_id) into v_subjects, v_reservations from old_rows;
    else
        select array_agg(touched.ticket_id), array_agg(touched.reservation_id) into v_subjects, v_reservations
        from new_rows n join old_rows o on o.id = n.id
        cross join unnest(array[n.ticket_id, o.ticket_id], array[n.vip_reservation_id, o.vip_reservation_id])
            as touched (ticket_id, reservation_id)
        where (n.ticket_id, n.vip_reservation_id, n.is_booker_purchase)
            is distinct from (o.ticket_id, o.vip_reservation_id, o.is_booker_purchase);
    end if;
    if v_subjects is not null then
        perform feed_append(p_reservations => v_reservations, p_subjects => v_subjects);
        -- only now, because the events are locked: a guest may have come before the link
        perform vip_recount(v_reservations);
    end if;
    return null;
end
$$;
CREATE FUNCTION public.feed_on_reservations() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_reservations uuid[];
    v_subjects uuid[];
    v_events uuid[];
    v_codes text[];
    v_confirmed uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_reservations from new_rows;
    else
        select array_agg(n.id) into v_reservations from new_rows n join old_rows o on o.id = n.id
        where (n.event_id, n.status, n.purchaser_name, n.table_number, n.package_snapshot, n.checked_in_guests,
                n.event_vip_table_id)
            is distinct from (o.event_id, o.status, o.purchaser_name, o.table_number, o.package_snapshot,
                o.checked_in_guests, o.event_vip_table_id);
        -- A table that moves takes its passes along; a linked ticket has an event of its own.
        select array_agg(p.id), array_agg(o.event_id), array_agg(p.code_hash)
        into v_subjects, v_events, v_codes
        from new_rows n join old_rows o on o.id = n.id join vip_guest_passes p on p.reservation_id = n.id
        where n.event_id <> o.event_id;
        select array_agg(n.id) into v_confirmed from new_rows n join old_rows o on o.id = n.id
        where n.status = 'confirmed' and o.status <> 'confirmed';
    end if;
    if v_reservations is not null then
        perform feed_append('{}', v_reservations, coalesce(v_subjects, '{}'), coalesce(v_events, '{}'),
            coalesce(v_codes, '{}'));
    end if;
    if v_confirmed is not null then
        -- linked guests may have come while the table was not paid
        perform vip_recount(v_confirmed);
    end if;
    return null;
end
$$;
CREATE FUNCTION public.feed_on_tables() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_reservations uuid[];
begin
    select array_agg(r.id) into v_reservations
    from new_rows n join old_rows o on o.id = n.id join vip_reservations r on r.event_vip_table_id = n.id
    where (n.table_name, n.tier, n.capacity) is distinct from (o.table_name, o.tier, o.capacity);
    if v_reservations is not null then
        perform feed_append(p_reservations => v_reservations);
    end if;
    return null;
end
$$;
CREATE FUNCTION public.feed_on_ticket_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v record;
begin
    -- a full join is never made by comparing each with each, whatever was planned for one row
    select array_agg(n.id) as subjects, array_agg(distinct n.event_id) as events,
        array_agg(o.event_id) filter (where moved.is_so) as left_events,
        array_agg(o.code_hash) filter (where moved.is_so) as left_codes,
        array_agg(n.id) filter (where n.guest_name is distinct from o.guest_name) as renamed
    into v
    from new_rows n full join old_rows o on o.id = n.id
    cross join lateral (select (n.event_id, n.code_hash) is distinct from (o.event_id, o.code_hash) as is_so) moved
    where (n.code_hash, n.event_id, n.status, n.ticket_type, n.guest_name, n.qr_signature, n.checked_in_at,
            n.checked_in_by, n.checked_in_scan, n.last_entry_at, n.last_entry_gate, n.last_entry_scan)
        is distinct from (o.code_hash, o.event_id, o.status, o.ticket_type, o.guest_name, o.qr_signature,
            o.checked_in_at, o.checked_in_by, o.checked_in_scan, o.last_entry_at, o.last_entry_gate,
            o.last_entry_scan);
    if v.subjects is null then
        return null;
    elsif v.left_events is not null or v.renamed is not null then
        perform feed_append('{}', array(
            select vip_reservation_id from vip_linked_tickets where ticket_id = any (v.renamed)
        ), v.subjects, coalesce(v.left_events, '{}'), coalesce(v.left_codes, '{}'));
        return null;
    end if;
    perform 1 from events where id = any (v.events) order by id for no key update;
    perform append_rows(
        array_agg(n.event_id order by n.id),
        array_agg(ticket_row(n.code_hash, n.id, n.event_id, n.status, n.ticket_type, n.guest_name, n.qr_signature,
            l.is_booker_purchase, l.vip_reservation_id, e.first, case
                when n.last_entry_at is null then e.first
                when (n.last_entry_at, n.last_entry_gate, n.last_entry_scan)
                    = (n.checked_in_at, n.checked_in_by, n.checked_in_scan) then e.first
                else feed_entry(n.last_entry_at, coalesce(n.last_entry_gate, n.checked_in_by), n.last_entry_scan) end
        ) order by n.id)
    )
    from new_rows n
    left join lateral (select * from vip_linked_tickets k where k.ticket_id = n.id offset 0) l on true
    cross join lateral (
        select feed_entry(n.checked_in_at, n.checked_in_by, n.checked_in_scan) as first offset 0
    ) e
    where n.id = any (v.subjects);
    return null;
end
$$;
CREATE FUNCTION public.feed_on_tickets() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[] := '{}';
    v_events uuid[] := '{}';
    v_codes text[] := '{}';
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_subjects from new_rows;
    else
        select array_agg(event_id), array_agg(code_hash) into v_events, v_codes from old_rows;
    end if;
    perform feed_append('{}', '{}', coalesce(v_subjects, '{}'), coalesce(v_events, '{}'), coalesce(v_codes, '{}'));
    return null;
end
$$;
CREATE FUNCTION public.feed_on_vip_scan_logs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(pass_id) into v_subjects from new_rows
        where pass_id is not null and scan_type = 'reentry';
    elsif tg_op = 'DELETE' then
        select array_agg(pass_id) into v_subjects from old_rows
        where pass_id is not null and scan_type = 'reentry';
    else
        select array_agg(n.pass_id) into v_subjects from new_rows n join old_rows o on o.id = n.id
        where n.pass_id is not null and (n.scanned_at, n.scan_id) is distinct from (o.scanned_at, o.scan_id);
    end if;
    if v_subjects is not null then
        perform feed_append(p_subjects => v_subjects);
    end if;
    return null;
end
$$;
CREATE FUNCTION public.feed_restored(p_reason text, p_actor text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_events uuid[];
begin
    if coalesce(btrim(p_reason), '') = '' or coalesce(btrim(p_actor), '') = '' then
        raise exception 'who did it and why are both needed' using errcode = 'invalid_parameter_value';
    end if;
    perform 1 from events where ends_at > now() - interval '1 day' order by id for no key update;
    with raised as (
        update events
        set feed_generation = greatest(feed_generation + 1, (extract(epoch from now()) * 1000000)::bigint)
        where ends_at > now() - interval '1 day'
        returning id
    )
    select array_agg(id) into v_events from raised;
    insert into audit_log (actor, action, target, reason)
    values (p_actor, 'restored', format('the feeds of %s nights', coalesce(cardinality(v_events), 0)), p_reason);
    perform pg_notify('maguey_admissions', id::text) from unnest(v_events) as raised (id);
    return coalesce(cardinality(v_events), 0);
end
$$;
CREATE FUNCTION public.feed_text(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (length(p_text) > 40) THEN public.cut_name(p_text) ELSE p_text END;
CREATE FUNCTION public.free_grant(p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.from_start_of_boot(p_places jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_since timestamptz := received_since(p_places);
begin
    return (select jsonb_agg(jsonb_build_object('gate_id', p.gate_id, 'epoch', p.epoch,
        'seq', case when torn.is_so or before.last_seq >= p.seq and (before.is_torn or p.whole)
            then before.first_seq else p.seq end))
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint, whole boolean)
    left join lateral (
        select l.boot_id, l.corrected_at, b.first_seq, b.last_seq, b.is_torn from scan_times l
        join boots b on b.gate_id = l.gate_id and b.epoch = l.epoch and b.boot_id = l.boot_id
        where l.gate_id = p.gate_id and l.epoch = p.epoch and l.seq < p.seq
            and l.received_at >= v_since
        order by l.seq desc limit 1
    ) before on true
    left join lateral (
        select bool_or(t.at + give_or_take(t.uncertainty_ms) < greatest(t.latest, before.corrected_at)) as is_so
        from (
            select s.*, max(s.at) filter (where s.is_heard) over (order by s.seq) as latest from scan_times s
            where s.gate_id = p.gate_id and s.epoch = p.epoch and s.seq between p.seq and before.last_seq
                and s.boot_id = before.boot_id and s.received_at >= v_since
        ) t where t.is_heard
    ) torn on true);
end
$$;
CREATE FUNCTION public.gates_that_count(p_gates text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return array(
        select gate_id from gates where gate_id = any (p_gates) and status = 'active' and revoked_at is null
    );
end
$$;
CREATE FUNCTION public.give_back(p_venue text, p_gate text, p_scan uuid, p_now timestamp with time zone) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into claims (scan_id, gate_id, asked_at, released_at, released_by)
    select p_scan, p_gate, p_now, p_now, 'returned' where claim_refusal(p_venue, p_gate, null) is null
    on conflict (gate_id, scan_id) do update set released_at = p_now, released_by = 'returned'
    where claims.released_at is null and not exists (
        select from scans_of(array[scan_key(p_gate, p_scan)]) s where s.verdict = 'admit' and s.annulled_at is null
    )
$$;
CREATE FUNCTION public.give_or_take(p_uncertainty_ms bigint) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((LEAST(GREATEST(COALESCE(p_uncertainty_ms, (3600000)::bigint), (0)::bigint), (3600000)::bigint))::double precision * '00:00:00.001'::interval);
CREATE FUNCTION public.grant_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (p_at IS NOT NULL) THEN jsonb_build_object('at', public.feed_time(p_at), 'gate', "left"(COALESCE(p_gate, ''::text), 64), 'scan', COALESCE((public.said_of(p_scan))::text, ''::text)) ELSE NULL::jsonb END;
CREATE FUNCTION public.guest_list_refusal(p_event public.events, p_by_staff boolean, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    elsif has_started(p_event, p_now) and not p_by_staff then
        return refuse('GUEST_LIST_FROZEN',
            format('%s has started: ask staff at the door to change the guest list.', p_event.name));
    end if;
    return null;
end
$$;
CREATE FUNCTION public.has_started(p_event public.events, p_now timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (p_now >= COALESCE((p_event).starts_at, (p_event).doors_open_at));
CREATE FUNCTION public.hash_of_code(p_code text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(upper(p_code), 'UTF8'::name)), 'hex'::text);
CREATE FUNCTION public.hash_of_text(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(p_text, 'UTF8'::name)), 'hex'::text);
CREATE FUNCTION public.hash_pass_code() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    new.code_hash := hash_of_code(new.qr_code_token);
    return new;
end
$$;
CREATE FUNCTION public.hash_ticket_code() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    new.code_hash := hash_of_code(new.qr_code_data);
    return new;
end
$$;
CREATE FUNCTION public.home_gates_lock(p_event uuid) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('homes '::text || (p_event)::text);
CREATE FUNCTION public.home_of(p_code_hash text, p_homes text[], p_retired text[] DEFAULT '{}'::text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT homes.gate FROM unnest(home_of.p_homes) homes(gate) WHERE (homes.gate <> ALL (home_of.p_retired)) ORDER BY (sha256(convert_to(((homes.gate || ' '::text) || home_of.p_code_hash), 'UTF8'::name))) DESC, (homes.gate COLLATE "C") DESC LIMIT 1);
CREATE FUNCTION public.host_ticket_by_hand(p_event public.events, p_purchaser jsonb, p_ticket jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_id uuid;
    v_refusal jsonb;
begin
    if not p_ticket ? 'price_cents' then
        select id into v_id from tickets
        where event_id = p_event.id and upper(qr_code_data) = upper(p_ticket ->> 'code') for no key update;
        return case when v_id is null then refuse('TICKET_NOT_FOUND',
            format('%s has no ticket with this code.', p_event.name)) else jsonb_build_object('ticket_id', v_id) end;
    end if;
    v_refusal := sale_refusal(p_event, array[p_ticket ->> 'ticket_type'], now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    insert into tickets (ticket_id, event_id, event_name, ticket_type, qr_code_data, price_paid, price_paid_cents,
        guest_name, guest_email, guest_phone)
    values (p_ticket ->> 'code', p_event.id, p_event.name, p_ticket ->> 'ticket_type', p_ticket ->> 'code',
        (p_ticket ->> 'price_cents')::integer / 100.0, (p_ticket ->> 'price_cents')::integer,
        btrim(p_purchaser ->> 'name'), p_purchaser ->> 'email', p_purchaser ->> 'phone')
    returning id into v_id;
    return jsonb_build_object('ticket_id', v_id);
end
$$;
CREATE FUNCTION public.ingest_scans(p_records json, p_topics jsonb) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    v_venue text := (select split_part(value, '/', 3) from jsonb_each_text(p_topics) order by key limit 1);
    v_records scan_logs[];
    v_newest jsonb;
    v_stored scan_logs[];
    v_numberings jsonb;
begin
    perform lock_gates(array(select jsonb_object_keys(p_topics)));
    v_records := array(select r from json_populate_recordset(null::scan_logs, p_records) r);
    if not are_names_new(v_records) or cardinality(revoked_of(p_topics)) > 0 then
        p_records := without_revoked(with_hub_scan_ids(p_records), p_topics);
        v_records := array(select r from json_populate_recordset(null::scan_logs, p_records) r);
    end if;
    v_newest := newest_scans(v_records);
    v_stored := store_records(each_once(new_records(v_records)));
    if cardinality(v_stored) < cardinality(v_records) then
        perform keep_repeats(p_records::jsonb);
        perform note_clones(quarantine_misfits(p_records::jsonb, p_topics), v_venue);
    end if;
    if cardinality(v_stored) > 0 then
        v_numberings := (
            select jsonb_agg(distinct jsonb_build_object('gate_id', s.gate_id, 'epoch', s.epoch)) from unnest(v_stored) s
        );
        perform renew_settlings(v_numberings);
        perform settle_scans(v_stored, places_to_settle(v_stored, v_newest), v_venue);
        perform note_clones(numberings_of_two_machines(v_numberings), v_venue);
        perform note_alerts(v_stored, p_topics);
    end if;
    return cardinality(v_stored);
end
$$;
CREATE FUNCTION public.is_apart(p_base timestamp with time zone, p_monotonic_ms bigint, p_other timestamp with time zone, p_other_monotonic_ms bigint, p_give interval DEFAULT '00:00:00'::interval) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (GREATEST((p_base - p_other), (p_other - p_base)) > (('00:00:30'::interval + (((abs((p_monotonic_ms - p_other_monotonic_ms)) / 10))::double precision * '00:00:00.000001'::interval)) + p_give));
CREATE FUNCTION public.is_archived(p_scan uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return exists (select from scan_places where scan_id = p_scan)
        and not exists (select from scans_of(array[p_scan]));
end
$$;
CREATE FUNCTION public.is_countable(p_monotonic_ms bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((p_monotonic_ms >= 0) AND (p_monotonic_ms <= '315360000000'::bigint));
CREATE FUNCTION public.is_one_time(p_verdict text, p_record text, p_reason text, p_kind text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((p_verdict = 'admit'::text) AND (p_record = 'scan'::text) AND (p_reason = 'first_entry'::text) AND (p_kind = ANY (ARRAY['ga'::text, 'unknown'::text])));
CREATE FUNCTION public.is_owner() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select exists (select from owner_assignments where user_id = auth.uid())
        or exists (select from staff where user_id = auth.uid() and role in ('owner', 'admin'))
$$;
CREATE FUNCTION public.is_payment_used(p_intent text, p_order_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select exists (select from vip_reservations where stripe_payment_intent_id = p_intent)
        or exists (
            select from payments where stripe_payment_intent_id = p_intent and status <> 'failed'
                and order_id is distinct from p_order_id
        )
        or exists (
            select from tickets where stripe_payment_intent_id = p_intent and order_id is distinct from p_order_id
        )
$$;
CREATE FUNCTION public.is_service() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select pg_has_role(case current_setting('role') when 'none' then session_user::text
        else current_setting('role') end::name, 'service_role', 'usage')
$$;
CREATE FUNCTION public.is_staff() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ select is_owner() or exists (select from staff where user_id = auth.uid()) $$;
CREATE FUNCTION public.join_vip_by_invite(p_invite_code text, p_ticket_id uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_reservation_id uuid;
begin
    if not is_service() and not exists (
        select from tickets t left join orders o on o.id = t.order_id
        where t.id = p_ticket_id and my_email() in (lower(t.guest_email), lower(o.customer_email))
    ) then
        return refuse('TICKET_NOT_FOUND', 'You have no such ticket.');
    end if;
    select id into v_reservation_id from vip_reservations
    where invite_code = upper(btrim(p_invite_code)) and status <> 'cancelled';
    if not found then
        return refuse('INVITE_NOT_FOUND', 'No table has this invite code.');
    end if;
    return add_to_guest_list(v_reservation_id, p_ticket_id, acting_as(), false);
end
$$;
CREATE FUNCTION public.keep_repeats(p_records jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into scan_repeats (gate_id, epoch, seq, scan_id, payload_hash)
    select r.gate_id, r.epoch, r.seq, r.scan_id, r.payload_hash
    from jsonb_populate_recordset(null::scan_logs, p_records) r
    cross join lateral scans_of(array[r.scan_id]) s
    where (s.epoch, s.seq) <> (r.epoch, r.seq) and scan_content(s) = scan_content(r) and not exists (
        select from scan_places o where (o.gate_id, o.epoch, o.seq) = (r.gate_id, r.epoch, r.seq)
    )
    order by r.gate_id, r.epoch, r.seq
    on conflict do nothing
$$;
CREATE FUNCTION public.keep_revoked() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    new.revoked_at := old.revoked_at;
    return new;
end
$$;
CREATE FUNCTION public.keep_scan_places() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into scan_places (gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash)
    select gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash from new_rows;
    return null;
end
$$;
CREATE FUNCTION public.lend_taken_tickets(p_event uuid, p_homes text[], p_retired text[], p_now timestamp with time zone) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.vip_linked_tickets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    vip_reservation_id uuid NOT NULL,
    order_id uuid,
    ticket_id uuid NOT NULL,
    purchased_by_email text,
    purchased_by_name text,
    is_booker_purchase boolean DEFAULT false NOT NULL,
    linked_by text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE FUNCTION public.link_answer(p_link public.vip_linked_tickets) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_build_object('success', true, 'link_id', p_link.id,
        'vip_reservation_id', p_link.vip_reservation_id, 'ticket_id', p_link.ticket_id,
        'linked', s.linked, 'capacity', s.capacity)
    from seats_of(p_link.vip_reservation_id) s
$$;
CREATE TABLE public.tickets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    ticket_id text NOT NULL,
    order_id uuid,
    event_id uuid NOT NULL,
    event_name text DEFAULT ''::text NOT NULL,
    ticket_type text DEFAULT 'General Admission'::text NOT NULL,
    status text DEFAULT 'issued'::text NOT NULL,
    is_used boolean DEFAULT false NOT NULL,
    qr_code_data text NOT NULL,
    qr_signature text,
    code_hash text NOT NULL,
    price_paid numeric(10,2),
    price_paid_cents integer,
    stripe_payment_id text,
    stripe_payment_intent_id text,
    line_number integer,
    external_reference text,
    guest_name text,
    guest_email text,
    guest_phone text,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    checked_in_scan uuid,
    last_entry_at timestamp with time zone,
    last_entry_gate text,
    last_entry_scan uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tickets_paid_line CHECK (((stripe_payment_intent_id IS NULL) OR (line_number IS NOT NULL))),
    CONSTRAINT tickets_status CHECK ((status = ANY (ARRAY['issued'::text, 'checked_in'::text, 'cancelled'::text, 'refunded'::text]))),
    CONSTRAINT tickets_times CHECK (((checked_in_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (checked_in_at < '2200-01-01 00:00:00+00'::timestamp with time zone) AND ((last_entry_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (last_entry_at < '2200-01-01 00:00:00+00'::timestamp with time zone))))
)
WITH (fillfactor='45');
CREATE FUNCTION public.link_refusal(p_event public.events, p_reservation public.vip_reservations, p_ticket public.tickets, p_link public.vip_linked_tickets, p_by_staff boolean, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_refusal jsonb := guest_list_refusal(p_event, p_by_staff, p_now);
begin
    if v_refusal is not null then
        return v_refusal;
    elsif p_reservation.status not in ('pending', 'confirmed', 'checked_in') then
        return refuse('RESERVATION_NOT_CONFIRMED',
            format('Table %s is %s.', p_reservation.table_number, p_reservation.status));
    elsif p_ticket.event_id <> p_event.id then
        return refuse('OTHER_EVENT', format('This ticket is not for %s.', p_event.name));
    elsif p_ticket.status not in ('issued', 'checked_in') then
        return refuse('TICKET_NOT_VALID', format('This ticket is %s.', p_ticket.status));
    elsif exists (
        select from vip_reservations where id = p_link.vip_reservation_id and status <> 'cancelled'
    ) then
        return refuse('TICKET_ALREADY_LINKED', 'This ticket belongs to another table.');
    elsif (select remaining from seats_of(p_reservation.id)) < 1 then
        return refuse('CAPACITY_EXCEEDED', format('Table %s has %s seats, and all are taken.',
            p_reservation.table_number, (select capacity from seats_of(p_reservation.id))));
    end if;
    return null;
end
$$;
CREATE FUNCTION public.link_ticket_to_vip(p_reservation_id uuid, p_ticket_id uuid, p_linked_by text DEFAULT NULL::text, p_by_staff boolean DEFAULT false) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not may_edit_guest_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return add_to_guest_list(p_reservation_id, p_ticket_id, named_actor(p_linked_by),
        coalesce(p_by_staff, false) and (is_service() or is_staff()));
end
$$;
CREATE FUNCTION public.lock_codes(p_codes text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform take_locks(array(select code_lock(code) from unnest(p_codes) as c (code)));
end
$$;
CREATE FUNCTION public.lock_events_of(p_subjects uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from events where id in (
        select event_id from tickets where id = any (p_subjects)
        union
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = any (p_subjects)
    ) order by id for no key update;
end
$$;
CREATE FUNCTION public.lock_gates(p_gates text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform take_locks(array(select 'gate ' || gate from unnest(p_gates) as g (gate)));
end
$$;
CREATE FUNCTION public.log_linked_entries(p_scans uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    select t.id, r.id, 'reentry', a.gate, a.at, a.scan_id
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id
        and r.status in ('confirmed', 'checked_in', 'completed')
    order by a.at, a.gate, a.scan_id
$$;
CREATE FUNCTION public.make_scan_partition(p_month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_name text := 'scan_logs_' || to_char(p_month, 'YYYY_MM');
    v_from timestamptz := date_trunc('month', p_month::timestamp) at time zone 'UTC';
    v_to timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
    perform take_locks(array['scan partitions']);
    if to_regclass('public.' || v_name) is not null then
        return false;
    end if;
    execute format('create table public.%I (like public.scan_logs including defaults including constraints)', v_name);
    execute format('with moved as (delete from public.scan_logs_default where received_at >= %L and received_at < %L'
        ' returning *) insert into public.%I select * from moved', v_from, v_to, v_name);
    execute format('alter table public.scan_logs attach partition public.%I for values from (%L) to (%L)',
        v_name, v_from, v_to);
    execute format('alter table public.%I enable row level security', v_name);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', v_name);
    return true;
end
$$;
CREATE FUNCTION public.may_be_cancelled(p_event uuid, p_now timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select exists (
        select from events e where e.id = p_event and (e.status = 'cancelled' or not has_started(e, p_now))
    )
$$;
CREATE TABLE public.claims (
    scan_id uuid NOT NULL,
    gate_id text NOT NULL,
    epoch text,
    event_id uuid,
    code_hash text,
    answer text,
    grant_message jsonb,
    home text,
    asked_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone,
    released_at timestamp with time zone,
    released_by text,
    spent_at timestamp with time zone,
    seen_boot text,
    seen_ms bigint,
    CONSTRAINT claims_answer CHECK ((answer = ANY (ARRAY['granted'::text, 'taken'::text, 'revoked'::text, 'elsewhere'::text]))),
    CONSTRAINT claims_released CHECK ((released_by = ANY (ARRAY['returned'::text, 'superseded'::text, 'annulled'::text, 'unused'::text, 'revoked'::text, 'freed'::text, 'flooding'::text])))
);
CREATE TABLE public.scan_quarantine (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    topic text NOT NULL,
    gate_id text,
    epoch text,
    seq bigint,
    raw bytea NOT NULL,
    raw_hash text NOT NULL,
    raw_length integer NOT NULL,
    error text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE FUNCTION public.may_be_unread(p_claim public.claims) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    RETURN (EXISTS (SELECT FROM public.scan_quarantine q WHERE ((q.gate_id = (may_be_unread.p_claim).gate_id) AND (q.received_at >= (may_be_unread.p_claim).asked_at))));
CREATE FUNCTION public.may_edit_guest_list(p_reservation_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return is_service() or is_staff() or exists (
        select from vip_reservations where id = p_reservation_id and lower(purchaser_email) = my_email()
    );
end
$$;
CREATE TABLE public.gate_status (
    gate_id text NOT NULL,
    online boolean NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    event_id uuid,
    cache_version bigint,
    cache_age_s bigint,
    epoch text,
    last_seq bigint DEFAULT 0 NOT NULL,
    acked bigint DEFAULT 0 NOT NULL,
    unacked bigint DEFAULT 0 NOT NULL,
    oldest_unacked_s bigint,
    clock text DEFAULT 'untrusted'::text NOT NULL,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    boot_id text DEFAULT ''::text NOT NULL,
    monotonic_ms bigint,
    isolated boolean DEFAULT false NOT NULL,
    door boolean,
    parts jsonb DEFAULT '{}'::jsonb NOT NULL,
    way text DEFAULT ''::text NOT NULL,
    counters jsonb DEFAULT '{}'::jsonb NOT NULL,
    held jsonb DEFAULT '[]'::jsonb NOT NULL,
    flooding text[] DEFAULT '{}'::text[] NOT NULL,
    said_at timestamp with time zone,
    heard_at timestamp with time zone,
    complete_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gate_status_clock CHECK ((clock = ANY (ARRAY['synced'::text, 'untrusted'::text]))),
    CONSTRAINT gate_status_said CHECK (((said_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (said_at < '2200-01-01 00:00:00+00'::timestamp with time zone)))
);
CREATE TABLE public.gate_watermarks (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE FUNCTION public.may_still_use(p_claim public.claims, p_is_off boolean, p_now timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    RETURN (NOT (public.is_revoked((p_claim).gate_id) OR ((NOT public.may_be_unread(p_claim)) AND ((EXISTS (SELECT FROM public.gate_status s WHERE ((s.gate_id = (may_still_use.p_claim).gate_id) AND s.online AND s.door AND (s.heard_at > (may_still_use.p_claim).asked_at) AND (s.epoch <> (may_still_use.p_claim).epoch) AND (s.acked = s.last_seq) AND (s.last_seq <= COALESCE((SELECT w.seq FROM public.gate_watermarks w WHERE ((w.gate_id = s.gate_id) AND (w.epoch = s.epoch))), (0)::bigint))))) OR ((p_is_off OR (EXISTS (SELECT FROM public.events WHERE ((events.id = (may_still_use.p_claim).event_id) AND ((may_still_use.p_claim).gate_id = ANY (events.retired_gates)))))) AND (NOT (EXISTS (SELECT FROM public.gate_status s WHERE ((s.gate_id = (may_still_use.p_claim).gate_id) AND (abs(EXTRACT(epoch FROM (may_still_use.p_now - s.heard_at))) < (60)::numeric))))))))));
CREATE FUNCTION public.most_of_one_guest() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 200;
CREATE FUNCTION public.move_scans(p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.my_email() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select nullif(lower(email collate "C"), '') from auth.users
    where id = auth.uid() and email_confirmed_at is not null
$$;
CREATE FUNCTION public.named_actor(p_actor text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$ select case when is_service() then coalesce(nullif(btrim(p_actor), ''), acting_as()) else acting_as() end $$;
CREATE FUNCTION public.new_invite_code() RETURNS text
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$ select random_letters(8) $$;
CREATE FUNCTION public.new_pass_code() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_code text := 'VIP-PASS-' || random_letters(16);
begin
    return v_code || check_character(v_code);
end
$$;
CREATE FUNCTION public.new_records(p_records public.scan_logs[]) RETURNS public.scan_logs[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return array(
        with new as (
            select r as record, r.verdict = 'admit' and r.record = 'scan' as is_admission, one_time_code_of(r) as code,
                r.gate_id, r.epoch, r.seq, r.subject_id
            from unnest(p_records) r
            -- one look into the index each, whatever was planned when the table was empty
            where (select true from scan_places p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq))
                    is null
                and (select true from scan_places p where p.scan_id = r.scan_id) is null
                and (select true from scan_repeats p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq))
                    is null
        ), counted as (
            select *, row_number() over (
                partition by gate_id, coalesce(code, subject_id::text), is_admission order by epoch, seq
            ) as nth from new
        )
        select c.record from counted c
        where not c.is_admission or c.code is null and c.subject_id is null
            or c.nth <= most_of_one_guest() - case
                when (select true from scan_places p where p.one_time_code_hash = c.code limit 1) is null
                    and c.code is not null then 0
                else admitted_already(c.gate_id, c.code, c.subject_id) end
    );
end
$$;
CREATE FUNCTION public.newest_scan(p_gate text, p_epoch text, OUT seq bigint, OUT corrected_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_place scan_places;
begin
    select * into v_place from scan_places p
    where p.gate_id = p_gate and p.epoch = p_epoch order by p.seq desc limit 1;
    seq := v_place.seq;
    select l.corrected_at into corrected_at from scan_logs l
    where l.scan_id = v_place.scan_id and l.received_at = v_place.received_at;
end
$$;
CREATE FUNCTION public.newest_scans(p_records public.scan_logs[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return (
        select jsonb_agg(jsonb_build_object('gate_id', k.gate_id, 'epoch', k.epoch, 'seq', newest.seq,
            'corrected_at', newest.corrected_at))
        from (select distinct r.gate_id, r.epoch from unnest(p_records) r) k
        cross join lateral newest_scan(k.gate_id, k.epoch) newest
    );
end
$$;
CREATE FUNCTION public.next_refunds(p_limit integer DEFAULT 10, p_now timestamp with time zone DEFAULT now(), p_lease interval DEFAULT '00:10:00'::interval) RETURNS TABLE(refund_id uuid, event_id uuid, order_id uuid, reservation_id uuid, stripe_payment_intent_id text, amount_cents integer, currency text, attempts integer)
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    update refunds r set status = 'sent', attempts = r.attempts + 1, next_attempt_at = p_now + p_lease
    where r.id in (
        select d.id from refunds d where d.status in ('queued', 'sent') and d.next_attempt_at <= p_now
        order by d.next_attempt_at, d.id limit greatest(least(p_limit, 100), 0) for update skip locked
    )
    returning r.id, r.event_id, r.order_id, r.reservation_id, r.stripe_payment_intent_id, r.amount_cents,
        r.currency, r.attempts
$$;
CREATE FUNCTION public.note_alerts(p_stored public.scan_logs[], p_topics jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select s.scan_id, split_part(p_topics ->> s.gate_id, '/', 3), s.gate_id, s.reason, s.occurred_at
    from unnest(p_stored) s
    where s.record = 'event' and p_topics ? s.gate_id
        and s.reason in ('guessing', 'tamper', 'free_passage', 'intrusion', 'sensor_silent')
    order by s.gate_id, s.epoch, s.seq
    on conflict do nothing;
end
$$;
CREATE FUNCTION public.note_boot_clock(p_gate text, p_boot text, p_monotonic_ms bigint, p_wall timestamp with time zone, p_uncertainty_ms bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    v_base timestamptz;
begin
    if p_uncertainty_ms between 0 and 3600000 and is_countable(p_monotonic_ms)
            and p_wall >= '1970-01-01 00:00+00' and p_wall < '2200-01-01 00:00+00' then
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
    perform settle_scans('{}', places_of_boots(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'boot_id', p_boot)
    )), null);
end
$$;
CREATE FUNCTION public.note_boots(p_stored public.scan_logs[]) RETURNS TABLE(gate_id text, epoch text)
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
begin
    return query with spans as (
        insert into boots as known (gate_id, epoch, boot_id, first_seq, last_seq, has_untrusted)
        select s.gate_id, s.epoch, s.boot_id, min(s.seq), max(s.seq), bool_or(s.clock <> 'synced')
        from unnest(p_stored) s group by s.gate_id, s.epoch, s.boot_id
        on conflict (gate_id, epoch, boot_id) do update set
            first_seq = least(known.first_seq, excluded.first_seq),
            last_seq = greatest(known.last_seq, excluded.last_seq),
            has_untrusted = known.has_untrusted or excluded.has_untrusted
        returning gate_id, epoch, boot_id, has_untrusted, is_torn
    )
    select b.gate_id, b.epoch from spans b where b.is_torn or b.has_untrusted and (
        not exists (
            select from boots o
            where (o.gate_id, o.epoch, o.boot_id) = (b.gate_id, b.epoch, b.boot_id) and o.has_untrusted
        ) or exists (
            select from boot_clocks c join unnest(p_stored) s on (s.gate_id, s.boot_id) = (c.gate_id, c.boot_id)
            where (c.gate_id, c.boot_id) = (b.gate_id, b.boot_id)
                and s.clock = 'synced' and is_countable(s.monotonic_ms)
                and is_apart(s.occurred_at - s.monotonic_ms * interval '1 millisecond', s.monotonic_ms,
                    c.base, c.monotonic_ms)
        )
    );
end
$$;
CREATE FUNCTION public.note_clocks(p_stored public.scan_logs[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_learnt jsonb;
begin
    with clocks as (
        insert into boot_clocks as known (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
        select distinct on (gate_id, boot_id) gate_id, boot_id,
            occurred_at - monotonic_ms * interval '1 millisecond' as base, clock_uncertainty_ms, monotonic_ms
        from unnest(p_stored)
        where clock = 'synced' and clock_uncertainty_ms between 0 and 3600000 and is_countable(monotonic_ms)
        order by gate_id, boot_id, clock_uncertainty_ms, monotonic_ms, base
        on conflict (gate_id, boot_id) do update set base = excluded.base,
            uncertainty_ms = excluded.uncertainty_ms, monotonic_ms = excluded.monotonic_ms, updated_at = now()
        where (excluded.uncertainty_ms, excluded.monotonic_ms, excluded.base)
            < (known.uncertainty_ms, known.monotonic_ms, known.base)
        returning gate_id, boot_id
    )
    select jsonb_agg(clocks) into v_learnt from clocks;
    return v_learnt;
end
$$;
CREATE FUNCTION public.note_clones(p_places jsonb, p_venue text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if p_places is null or coalesce(p_venue, '') = '' then
        return;
    end if;
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select md5('cloned ' || gate_id || ' ' || epoch)::uuid, p_venue, gate_id, 'cloned', now()
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text)
    order by gate_id, epoch
    on conflict do nothing;
end
$$;
CREATE FUNCTION public.note_issued(p_request uuid, p_serial text, p_fingerprint text, p_certificate text, p_not_before timestamp with time zone, p_not_after timestamp with time zone, p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_request certificate_requests;
begin
    update certificate_requests set certificate = p_certificate, done_at = p_now
    where id = p_request returning * into v_request;
    if v_request.purpose = 'enrol' then
        update certificates set revoked_at = p_now where gate_id = v_request.gate_id and revoked_at is null;
        update gates set token_hash = v_request.token_hash where gate_id = v_request.gate_id;
    end if;
    insert into certificates (serial, kind, gate_id, fingerprint, not_before, not_after)
    values (p_serial, 'gate', v_request.gate_id, p_fingerprint, p_not_before, p_not_after);
    update gates set certificate_fingerprint = p_fingerprint where gate_id = v_request.gate_id;
    insert into audit_log (actor, action, target, reason, details)
    values ('authority', v_request.purpose, v_request.gate_id, 'requested by the gate',
        jsonb_build_object('serial', p_serial, 'fingerprint', p_fingerprint, 'not_after', p_not_after));
end
$$;
CREATE FUNCTION public.note_outcomes(p_stored public.scan_logs[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.note_refused_enrolment(p_venue text, p_gate text, p_why text, p_now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if exists (
        select from alerts
        where (venue, gate_id, reason) = (p_venue, p_gate, 'enrolment') and at > p_now - interval '10 minutes'
    ) then
        return;
    end if;
    insert into alerts (scan_id, venue, gate_id, reason, at) values (gen_random_uuid(), p_venue, p_gate, 'enrolment', p_now);
    insert into audit_log (actor, action, target, reason) values ('hub', 'enrolment refused', p_gate, p_why);
end
$$;
CREATE FUNCTION public.note_torn(p_places jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    update boots b set is_torn = true from torn_boots(p_places) t
    where (b.gate_id, b.epoch, b.boot_id) = (t.gate_id, t.epoch, t.boot_id)
$$;
CREATE FUNCTION public.numberings_of_two_machines(p_numberings jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return (
        select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from (
            select b.gate_id, b.epoch, b.last_seq,
                lead(b.first_seq) over (partition by b.gate_id, b.epoch order by b.first_seq) as next_first
            from jsonb_to_recordset(p_numberings) as n (gate_id text, epoch text)
            join boots b on b.gate_id = n.gate_id and b.epoch = n.epoch
        ) span where last_seq > next_first
    );
end
$$;
CREATE FUNCTION public.one_time_code_of(p_record public.scan_logs) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not is_one_time(p_record.verdict, p_record.record, p_record.reason, p_record.kind) then
        return null;
    end if;
    return coalesce(p_record.code_hash, (select t.code_hash from tickets t where t.id = p_record.subject_id),
        p_record.subject_id::text);
end
$$;
CREATE FUNCTION public.one_winning_admission() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.order_answer(p_order_id uuid, p_already boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_build_object('success', true, 'already', p_already, 'order_id', o.id,
        'payment_id', (select p.id from payments p where p.order_id = o.id order by p.created_at, p.id limit 1),
        'ticket_ids', (
            select coalesce(jsonb_agg(t.id order by t.line_number, t.ticket_id), '[]') from tickets t
            where t.order_id = o.id
        ),
        'ticket_count', o.ticket_count, 'total_amount_cents', o.total_amount_cents, 'currency', o.currency,
        'status', o.status)
    from orders o where o.id = p_order_id
$$;
CREATE FUNCTION public.order_refusal(p_order jsonb, p_lines jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
declare
    c_cents constant text := '^[0-9]{1,9}$';
begin
    if coalesce(p_order ->> 'event_id', '') !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return refuse('INVALID_ARGUMENT', 'event_id is the id of a night.');
    elsif coalesce(p_order ->> 'currency', 'usd') !~ '^[a-z]{3}$' then
        return refuse('INVALID_ARGUMENT', 'currency is three small letters, like usd.');
    elsif octet_length(p_order::text) > 20000 or octet_length(p_lines::text) > 200000
            or coalesce(jsonb_typeof(p_order -> 'metadata'), 'object') <> 'object' then
        return refuse('INVALID_ARGUMENT', 'This is too much for an order, or its metadata are no object.');
    elsif coalesce(jsonb_typeof(p_lines), '') <> 'array' or jsonb_array_length(p_lines) not between 1 and 100 then
        return refuse('INVALID_ARGUMENT', 'An order has 1 to 100 tickets.');
    elsif exists (
        select from jsonb_array_elements(p_lines) as l (one)
        where coalesce(length(one ->> 'ticket_id'), 0) not between 1 and 200
            or coalesce(length(one ->> 'qr_code_data'), 0) not between 1 and 200
            or coalesce(length(one ->> 'ticket_type'), 0) not between 1 and 200
            or coalesce(jsonb_typeof(one -> 'metadata'), 'object') <> 'object'
    ) then
        return refuse('INVALID_ARGUMENT', 'Each ticket has ticket_id, qr_code_data and ticket_type.');
    elsif length(p_order ->> 'customer_name') > 200 or length(p_order ->> 'customer_email') > 320 or exists (
        select from jsonb_array_elements(p_lines) as l (one)
        where length(one ->> 'guest_name') > 200 or length(one ->> 'guest_email') > 320
            or length(one ->> 'guest_phone') > 50 or length(one ->> 'qr_signature') > 1024
            or octet_length(one ->> 'metadata') > 16384
    ) or octet_length(p_order ->> 'metadata') > 16384 or greatest(length(p_order ->> 'stripe_payment_intent_id'),
        length(p_order ->> 'stripe_session_id'), length(p_order ->> 'stripe_customer_id')) > 255
    then
        return refuse('INVALID_ARGUMENT', 'Too long: a name has at most 200 characters, an email 320, a phone 50,'
            ' a signature 1024, an id of the payment service 255, metadata 16384 bytes.');
    elsif coalesce(p_order ->> 'total_amount_cents', '') !~ c_cents or exists (
        select from jsonb_array_elements(p_lines) as l (one) where coalesce(one ->> 'price_cents', '') !~ c_cents
    ) then
        return refuse('INVALID_AMOUNT', 'Amounts are whole cents, from 0 to 999999999.');
    elsif (p_order ->> 'total_amount_cents')::bigint < (
        select sum((one ->> 'price_cents')::bigint) from jsonb_array_elements(p_lines) as l (one)
    ) then
        return refuse('INVALID_AMOUNT', 'The tickets cost more than was paid.');
    end if;
    return null;
end
$_$;
CREATE FUNCTION public.pair_admissions(p_code text, p_venue text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_winner uuid;
    v_rule text;
    v_losers uuid[];
    v_scans uuid[] := array(select scan_id from scan_places where one_time_code_hash = p_code);
begin
    select w.scan_id, w.rule into v_winner, v_rule from (
        select jsonb_agg(as_admission(s)) as admissions from scans_of(v_scans) s
        where s.annulled_at is null
    ) a cross join lateral winner_of(a.admissions) w;
    select coalesce(array_agg(s.scan_id), '{}') into v_losers from scans_of(v_scans) s
    where s.annulled_at is null and s.scan_id <> v_winner;
    with pair as materialized (
        select * from pairs_of(p_code, v_losers)
    ), put_right as (
        update scan_conflicts c set
            winner_scan = case when pair.is_over then c.winner_scan else v_winner end,
            loser_scan = coalesce(pair.loser_scan, c.loser_scan),
            rule = case when pair.is_over then c.rule else v_rule end,
            withdrawn_at = case when pair.is_over then now() end,
            -- who looked at it did not see this one
            acknowledged_by = case when pair.loser_scan is null then c.acknowledged_by end,
            acknowledged_at = case when pair.loser_scan is null then c.acknowledged_at end
        from pair
        where c.id = pair.id and (pair.is_over
            or (c.winner_scan, c.loser_scan, c.rule)
                is distinct from (v_winner, coalesce(pair.loser_scan, c.loser_scan), v_rule))
    ), made as (
        insert into scan_conflicts (code_hash, ticket_id, winner_scan, loser_scan, rule)
        select p_code, (select id from tickets where code_hash = p_code order by id limit 1), v_winner,
            pair.loser_scan, v_rule
        from pair where pair.id is null
        returning id, winner_scan
    )
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select m.id, p_venue, w.gate_id, 'conflict', w.corrected_at
    from made m cross join lateral scans_of(array[m.winner_scan]) w
    where p_venue <> '';
    -- nobody needs an alert to what was over before it was sent
    delete from alerts a using scan_conflicts c
    where c.code_hash = p_code and c.withdrawn_at is not null and a.scan_id = c.id and a.sent_at is null;
end
$$;
CREATE FUNCTION public.pair_codes(p_codes text[], p_scans uuid[], p_venue text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_code text;
begin
    for v_code in
        select unnest(p_codes)
        union
        select c.code_hash from scans_of(p_scans) s join scan_conflicts c on c.code_hash = s.one_time_code_hash
        where c.withdrawn_at is null
        order by 1
    loop
        perform pair_admissions(v_code, p_venue);
    end loop;
end
$$;
CREATE FUNCTION public.pairs_of(p_code text, p_losers uuid[]) RETURNS TABLE(id uuid, loser_scan uuid, is_over boolean)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with idle as (
        select c.id, row_number() over (order by c.created_at, c.id) as place from scan_conflicts c
        where c.code_hash = p_code and c.withdrawn_at is null and c.loser_scan <> all (p_losers)
    ), unpaired as (
        select l.scan_id, row_number() over (order by l.scan_id) as place from unnest(p_losers) as l (scan_id)
        where not exists (
            select from scan_conflicts c where c.loser_scan = l.scan_id and c.withdrawn_at is null
        )
    )
    select kept.id, u.scan_id, i.id is not null and u.scan_id is null
    from scan_conflicts kept
    left join idle i on i.id = kept.id
    left join unpaired u on u.place = i.place
    where kept.code_hash = p_code and kept.withdrawn_at is null
    union all
    select null, u.scan_id, false from unpaired u where u.place > (select count(*) from idle)
$$;
CREATE FUNCTION public.places_of_boots(p_boots jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_agg(place) from (
        select b.gate_id, b.epoch, b.first_seq as seq
        from jsonb_to_recordset(p_boots) as learnt (gate_id text, boot_id text)
        cross join lateral (
            select k.gate_id, k.epoch, k.first_seq from boots k
            where k.gate_id = learnt.gate_id and k.boot_id = learnt.boot_id and k.has_untrusted
            order by k.last_seq desc, k.epoch limit 8
        ) b
    ) place
$$;
CREATE FUNCTION public.places_to_settle(p_stored public.scan_logs[], p_newest jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_contested jsonb := (select jsonb_object_agg(gate_id || ' ' || epoch, true) from note_boots(p_stored));
    v_places jsonb;
    v_learnt jsonb := note_clocks(p_stored);
begin
    with numbering as (
        select gate_id, epoch, min(seq) as seq, min(occurred_at) as first_at,
            bool_and(clock = 'synced' and occurred_at >= coalesce(before, occurred_at)) as is_ordered
        from (
            select s.gate_id, s.epoch, s.seq, s.clock, s.occurred_at,
                lag(s.occurred_at) over (partition by s.gate_id, s.epoch order by s.seq) as before
            from unnest(p_stored) s
        ) s group by gate_id, epoch
    ), place as (
        select n.gate_id, n.epoch, n.seq, coalesce(v_contested ? (n.gate_id || ' ' || n.epoch), false) as whole
        from numbering n
        left join jsonb_to_recordset(p_newest) as newest (gate_id text, epoch text, seq bigint, corrected_at timestamptz)
            on newest.gate_id = n.gate_id and newest.epoch = n.epoch
        where v_contested ? (n.gate_id || ' ' || n.epoch) or not (
            n.is_ordered and (newest.seq is null or newest.seq < n.seq and newest.corrected_at <= n.first_at)
        )
    )
    select jsonb_agg(place) into v_places from place;
    if v_learnt is not null then
        v_learnt := places_of_boots(v_learnt);
    end if;
    return nullif(coalesce(v_places, '[]') || coalesce(v_learnt, '[]'), '[]');
end
$$;
CREATE FUNCTION public.preview_event_cancellation(p_event_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_refusal jsonb;
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may cancel a night.');
    end if;
    select * into v_event from events where id = p_event_id;
    v_refusal := cancellation_refusal(v_event, now());
    if v_event.id is null then
        return v_refusal;
    end if;
    return jsonb_build_object('success', true, 'can_cancel', v_refusal is null)
        || coalesce(v_event.cancellation, cancellation_numbers(v_event))
        || coalesce(v_refusal - 'success', '{}');
end
$$;
CREATE FUNCTION public.process_vip_scan_with_reentry(p_pass_id uuid, p_scanned_by character varying DEFAULT 'system'::character varying) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not (is_service() or is_staff()) then
        return refuse('NOT_ALLOWED', 'Only staff checks guests in.');
    end if;
    return vip_pass_scan(p_pass_id,
        case when is_service() then coalesce(p_scanned_by, 'system') else acting_as() end, now());
end
$$;
CREATE FUNCTION public.purchases_of(p_event_id uuid) RETURNS TABLE(order_id uuid, reservation_id uuid, intent text, cents bigint, currency text)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select id, null::uuid, stripe_payment_intent_id, total_amount_cents::bigint, orders.currency from orders
    where event_id = p_event_id and status = 'completed'
    union all
    select null, id, stripe_payment_intent_id, amount_paid_cents, null from vip_reservations r
    where event_id = p_event_id and status in ('confirmed', 'checked_in') and refunded_at is null
        -- a table in an order is paid with it
        and (stripe_payment_intent_id is not null or not exists (
            select from vip_linked_tickets l
            where l.vip_reservation_id = r.id and l.is_booker_purchase and l.order_id is not null
        ))
    union all
    -- sold before there were orders
    select null, null, stripe_payment_intent_id,
        sum(coalesce(price_paid_cents, round(price_paid * 100), 0))::bigint, null
    from tickets where event_id = p_event_id and order_id is null and status in ('issued', 'checked_in')
    group by stripe_payment_intent_id
$$;
CREATE FUNCTION public.purge_mail(p_older interval, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_count integer;
begin
    delete from email_queue
    where sent_at < p_now - p_older or sent_at is null and attempts >= 5 and updated_at < p_now - p_older;
    get diagnostics v_count = row_count;
    return jsonb_build_object('success', true, 'purged', v_count);
end
$$;
CREATE FUNCTION public.put_off(p_places jsonb, OUT near jsonb, OUT far jsonb) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_first record;
    v_then record;
begin
    select * into v_first from within_bound(p_places);
    select * into v_then from within_bound(from_start_of_boot(v_first.near));
    near := v_then.near;
    far := nullif(coalesce(v_first.far, '[]') || coalesce(v_then.far, '[]'), '[]');
    insert into settlings as s (gate_id, epoch, seq, whole)
    select gate_id, epoch, seq, whole
    from jsonb_to_recordset(far) as p (gate_id text, epoch text, seq bigint, whole boolean)
    order by gate_id, epoch
    on conflict (gate_id, epoch) do update set seq = least(s.seq, excluded.seq),
        whole = s.whole or excluded.whole, asked = s.asked + 1;
    perform renew_settlings(near);
end
$$;
CREATE FUNCTION public.quarantine_misfits(p_records jsonb, p_topics jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with misfit as (
        select coalesce(p_topics ->> r.gate_id, '') as topic, r.gate_id, r.epoch, r.seq, r.raw, r.payload_hash,
            coalesce(o.scan_id, p.scan_id) is not null as is_taken,
            not exists (select from scan_places t where t.scan_id = r.scan_id) as is_surplus
        from (
            select e.value as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
                (e.value ->> 'seq')::bigint as seq, e.value ->> 'payload_hash' as payload_hash,
                (e.value ->> 'scan_id')::uuid as scan_id
            from jsonb_array_elements(p_records) e
        ) r
        left join scan_places o on o.gate_id = r.gate_id and o.epoch = r.epoch and o.seq = r.seq
        left join lateral scans_of(array[o.scan_id]) s on true
        left join scan_repeats p on p.gate_id = r.gate_id and p.epoch = r.epoch and p.seq = r.seq
        where coalesce(s.payload_hash, p.payload_hash) is distinct from r.payload_hash and not exists (
            select from scans_of(array[coalesce(o.scan_id, p.scan_id)]) k
            where scan_content(k) = scan_content(jsonb_populate_record(null::scan_logs, r.raw))
        )
        -- what is archived is known by its name alone
        and (o.scan_id is distinct from r.scan_id or s.scan_id is not null)
    ), kept as (
        insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
        select topic, gate_id, epoch, seq, substring(convert_to(raw::text, 'UTF8') for 65536), payload_hash,
            octet_length(raw::text),
            case when is_taken then 'another record is already kept for this gate, epoch and seq'
                when is_surplus then 'this gate has admitted this guest too often to be believed'
                else 'this scan_id belongs to another scan' end
        from misfit
        on conflict do nothing
    ), alerted as (
        insert into alerts (scan_id, venue, gate_id, reason, at)
        select distinct md5(gate_id || ' admits ' || date_trunc('hour', now()))::uuid, split_part(topic, '/', 3),
            gate_id, 'flooding', now()
        from misfit where is_surplus and not is_taken and split_part(topic, '/', 3) <> ''
        on conflict do nothing
    )
    select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from misfit where is_taken
$$;
CREATE FUNCTION public.random_letters(p_count integer) RETURNS text
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with source as materialized (
        select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes
    )
    select string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (get_byte(bytes, place) & 31) + 1, 1), ''
        order by place)
    from source, generate_series(0, p_count - 1) as place
$$;
CREATE FUNCTION public.reason_to_keep_scans(p_from timestamp with time zone, p_to timestamp with time zone, p_now timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select case
        when exists (
            select from scan_conflicts c
            join scan_places p on p.scan_id in (c.winner_scan, c.loser_scan)
            where c.withdrawn_at is null and c.acknowledged_at is null
                and p.received_at >= p_from and p.received_at < p_to
        ) then 'unacknowledged conflicts'
        when exists (
            select from events e where e.ends_at > p_now and exists (
                select from scan_logs s
                where s.event_id = e.id and s.received_at >= p_from and s.received_at < p_to
            )
        ) then 'a night that is not over'
    end
$$;
CREATE FUNCTION public.received_since(p_places jsonb) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return (
        select min(k.received_at) from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
        cross join lateral (
            select o.received_at from scan_places o
            where o.gate_id = p.gate_id and o.epoch = p.epoch and o.seq >= p.seq
            union all (
                select o.received_at from scan_places o
                where o.gate_id = p.gate_id and o.epoch = p.epoch and o.seq < p.seq order by o.seq desc limit 1
            )
        ) k
    );
end
$$;
CREATE FUNCTION public.record_payment_failure(p_stripe_event_id text, p_stripe_payment_intent_id text, p_customer_email text, p_amount_cents integer, p_error_message text, p_error_code text, p_payment_type text, p_event_id uuid DEFAULT NULL::uuid, p_metadata jsonb DEFAULT '{}'::jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_id uuid;
begin
    if coalesce(p_payment_type, '') not in ('ga_ticket', 'vip_reservation') then
        return refuse('INVALID_ARGUMENT', 'payment_type is ga_ticket or vip_reservation.');
    elsif coalesce(p_amount_cents, -1) < 0 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, 0 or more.');
    elsif p_event_id is not null and not exists (select from events where id = p_event_id) then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    elsif length(p_customer_email) > 320 or greatest(length(p_stripe_event_id), length(p_stripe_payment_intent_id)) > 255
            or octet_length(p_metadata::text) > 16384 then
        return refuse('INVALID_ARGUMENT',
            'Too long: an email has at most 320 characters, an id 255, metadata 16384 bytes.');
    end if;
    insert into payment_failures (stripe_event_id, stripe_payment_intent_id, customer_email, amount_cents,
        error_message, error_code, payment_type, event_id, metadata)
    values (nullif(p_stripe_event_id, ''), nullif(p_stripe_payment_intent_id, ''), p_customer_email, p_amount_cents,
        left(coalesce(p_error_message, ''), 2000), left(p_error_code, 200), p_payment_type, p_event_id,
        coalesce(p_metadata, '{}'))
    on conflict (stripe_event_id) do nothing returning id into v_id;
    if v_id is not null then
        return jsonb_build_object('success', true, 'already', false, 'failure_id', v_id);
    end if;
    select id into v_id from payment_failures where stripe_event_id = p_stripe_event_id;
    return jsonb_build_object('success', true, 'already', true, 'failure_id', v_id);
end
$$;
CREATE FUNCTION public.record_table_payment(p_intent text, p_amount_cents integer) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into payments (stripe_payment_intent_id, amount, amount_cents, status)
    select p_intent, p_amount_cents / 100.0, p_amount_cents, 'succeeded' where p_amount_cents > 0
    on conflict (stripe_payment_intent_id) do update set amount = excluded.amount,
        amount_cents = excluded.amount_cents, status = excluded.status
$$;
CREATE FUNCTION public.record_ticket_order(p_order jsonb, p_lines jsonb, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_refusal jsonb := order_refusal(p_order, p_lines);
    v_intent text := nullif(p_order ->> 'stripe_payment_intent_id', '');
    v_session text := nullif(p_order ->> 'stripe_session_id', '');
    v_event events;
    v_order orders;
    v_constraint text;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = (p_order ->> 'event_id')::uuid for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_order from orders
    where stripe_payment_intent_id = v_intent or stripe_session_id = v_session
    order by stripe_payment_intent_id = v_intent desc nulls last limit 1;
    if v_order.event_id <> v_event.id or v_order.stripe_payment_intent_id <> v_intent
            or v_order.stripe_session_id <> v_session then
        return refuse('ALREADY_PROCESSED', 'This payment or this session belongs to another order.');
    elsif v_order.status in ('completed', 'refunded') then
        return order_answer(v_order.id, true);
    elsif is_payment_used(v_intent, v_order.id) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    v_refusal := sale_refusal(v_event, array(
        select one ->> 'ticket_type' from jsonb_array_elements(p_lines) as l (one)
    ), p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_order.id := write_order(v_order.id, v_event, p_order, p_lines, p_now);
        return order_answer(v_order.id, false);
    exception when unique_violation then
        get stacked diagnostics v_constraint = constraint_name;
        return duplicate_refusal(v_constraint);
    end;
end
$$;
CREATE FUNCTION public.recount_after_passes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if exists (select from new_rows where status = 'cancelled') then
        perform vip_recount(array(
            select o.reservation_id from old_rows o join new_rows n on n.id = o.id
            where o.status = 'checked_in' and n.status = 'cancelled'
        ));
    end if;
    return null;
end
$$;
CREATE FUNCTION public.recount_after_tickets() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_changed uuid[];
begin
    if not exists (select from new_rows where checked_in_scan is null or status in ('cancelled', 'refunded')) then
        return null;
    end if;
    -- `except` instead of a join: a plan made for one row would compare every row with every other
    v_changed := array(
        select id from (
            select id, status = 'checked_in' as is_in from new_rows
            except
            select id, status = 'checked_in' from old_rows
        ) c where exists (select from vip_linked_tickets l where l.ticket_id = c.id)
    );
    if cardinality(v_changed) = 0 then
        return null;
    end if;
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at)
    select t.id, r.id, 'first_entry', coalesce(t.checked_in_by, ''), t.checked_in_at
    from tickets t
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id and r.status in ('confirmed', 'checked_in')
    where t.id = any (v_changed) and t.status = 'checked_in' and t.checked_in_scan is null
        and t.checked_in_at is not null;
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (v_changed)
    ));
    return null;
end
$$;
CREATE FUNCTION public.refresh_passes(p_passes uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.refresh_subjects(p_subjects uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from tickets where id = any (p_subjects) order by qr_code_data for no key update;
    perform refresh_tickets(p_subjects);
end
$$;
CREATE FUNCTION public.refresh_tickets(p_tickets uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.refund_done(p_refund_id uuid, p_stripe_refund_id text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_refund refunds;
begin
    select * into v_refund from refunds where id = p_refund_id for update;
    if not found then
        return refuse('REFUND_NOT_FOUND', 'There is no such refund.');
    elsif v_refund.status <> 'done' then
        update refunds set status = 'done', stripe_refund_id = p_stripe_refund_id, last_error = null
        where id = p_refund_id;
        update payments set status = 'refunded' where stripe_payment_intent_id = v_refund.stripe_payment_intent_id;
        update vip_reservations set refunded_at = now(), stripe_refund_id = p_stripe_refund_id,
            refund_amount_cents = v_refund.amount_cents
        where id = v_refund.reservation_id;
    end if;
    return jsonb_build_object('success', true, 'already', v_refund.status = 'done', 'refund_id', p_refund_id);
end
$$;
CREATE FUNCTION public.refund_failed(p_refund_id uuid, p_error text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_refund refunds;
begin
    update refunds set status = case when attempts >= 5 then 'failed' else 'queued' end,
        next_attempt_at = now() + interval '1 minute' * 4 ^ greatest(attempts - 1, 0),
        last_error = left(coalesce(p_error, ''), 2000)
    where id = p_refund_id and status = 'sent' returning * into v_refund;
    if found then
        return jsonb_build_object('success', true, 'refund_id', p_refund_id, 'status', v_refund.status,
            'attempts', v_refund.attempts);
    elsif exists (select from refunds where id = p_refund_id) then
        return refuse('ALREADY_PROCESSED', 'Nobody is working on this refund.');
    end if;
    return refuse('REFUND_NOT_FOUND', 'There is no such refund.');
end
$$;
CREATE FUNCTION public.refund_order(p_order_id uuid, p_reason text, p_actor text DEFAULT NULL::text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_actor text := named_actor(p_actor);
    v_order orders;
    v_refund uuid;
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may refund an order.');
    elsif coalesce(btrim(p_reason), '') = '' then
        return refuse('INVALID_ARGUMENT', 'A reason is needed.');
    end if;
    perform 1 from events where id = (select event_id from orders where id = p_order_id) for no key update;
    perform 1 from tickets where order_id = p_order_id order by id for no key update;
    select * into v_order from orders where id = p_order_id for no key update;
    if not found then
        return refuse('ORDER_NOT_FOUND', 'There is no such order.');
    elsif v_order.status not in ('completed', 'refunded') then
        return refuse('NOT_ALLOWED', format('This order is %s: nothing was paid.', v_order.status));
    elsif v_order.status = 'completed' and exists (
        select from tickets where order_id = p_order_id and status = 'checked_in'
    ) then
        return refuse('NOT_ALLOWED', 'Somebody came in with a ticket of this order.');
    elsif v_order.status = 'completed' and exists (
        select from vip_reservations where stripe_payment_intent_id = v_order.stripe_payment_intent_id
    ) then
        return refuse('NOT_ALLOWED', 'This order was paid together with a table.');
    end if;
    if v_order.status = 'completed' then
        update tickets set status = 'refunded' where order_id = p_order_id and status = 'issued';
        update orders set status = 'refunded' where id = p_order_id;
        insert into refunds (event_id, order_id, stripe_payment_intent_id, amount_cents, currency, reason)
        select v_order.event_id, v_order.id, v_order.stripe_payment_intent_id,
            coalesce(p.amount_cents, v_order.total_amount_cents), v_order.currency, p_reason
        from (select) one left join payments p on p.stripe_payment_intent_id = v_order.stripe_payment_intent_id
        where v_order.stripe_payment_intent_id is not null
            and coalesce(p.amount_cents, v_order.total_amount_cents) > 0
        on conflict (stripe_payment_intent_id) do nothing;
        insert into audit_log (actor, action, target, reason, details)
        values (v_actor, 'refund_order', p_order_id::text, p_reason,
            jsonb_build_object('event_id', v_order.event_id, 'amount_cents', v_order.total_amount_cents));
    end if;
    select id into v_refund from refunds where stripe_payment_intent_id = v_order.stripe_payment_intent_id;
    return jsonb_build_object('success', true, 'already', v_order.status = 'refunded', 'order_id', p_order_id,
        'refund_id', v_refund, 'ticket_ids', (
            select coalesce(jsonb_agg(id order by line_number, ticket_id), '[]') from tickets
            where order_id = p_order_id and status = 'refunded'
        ));
end
$$;
CREATE FUNCTION public.refundable_payments(p_event_id uuid) RETURNS TABLE(order_id uuid, reservation_id uuid, intent text, cents bigint, currency text)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select b.order_id, b.reservation_id, b.intent, coalesce(p.amount_cents, b.cents),
        coalesce(p.currency, b.currency, 'usd')
    from (
        select (array_agg(order_id) filter (where order_id is not null))[1] as order_id,
            (array_agg(reservation_id) filter (where reservation_id is not null))[1] as reservation_id,
            intent, max(cents) as cents, max(currency) as currency
        from purchases_of(p_event_id) where intent is not null group by intent
    ) b
    left join payments p on p.stripe_payment_intent_id = b.intent and p.status <> 'failed'
    where coalesce(p.amount_cents, b.cents) > 0 and p.status is distinct from 'refunded'
        and not exists (select from refunds r where r.stripe_payment_intent_id = b.intent)
$$;
CREATE FUNCTION public.refuse_too_long() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_new jsonb := to_jsonb(new);
    v_old jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
    v_column text;
    v_most integer;
    v_size integer;
begin
    for v_place in 0 .. tg_nargs / 3 - 1 loop
        v_column := tg_argv[3 * v_place];
        v_most := tg_argv[3 * v_place + 1];
        v_size := case tg_argv[3 * v_place + 2]
            when 'characters' then length(v_new ->> v_column)
            when 'bytes' then octet_length(v_new ->> v_column)
            else jsonb_array_length(nullif(v_new -> v_column, 'null'))
        end;
        if v_size > v_most and v_new -> v_column is distinct from v_old -> v_column then
            raise exception '% of % holds at most % %, not %',
                v_column, tg_table_name, v_most, tg_argv[3 * v_place + 2], v_size
                using errcode = 'check_violation', table = tg_table_name, column = v_column,
                    constraint = tg_table_name || '_' || v_column || '_bound',
                    hint = 'Shorten it; docs/security.md lists the bounds.';
        end if;
    end loop;
    return new;
end
$$;
CREATE FUNCTION public.release_expired_reservations(p_older interval DEFAULT '00:30:00'::interval, p_now timestamp with time zone DEFAULT now()) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_expired uuid[];
    v_tables uuid[];
begin
    perform 1 from events e where not has_started(e, p_now) and exists (
        select from vip_reservations r
        where r.event_id = e.id and r.status = 'pending' and not r.held_by_hand and r.created_at <= p_now - p_older
    ) order by id for no key update;
    select array_agg(r.id), array_agg(r.event_vip_table_id) into v_expired, v_tables
    from vip_reservations r join events e on e.id = r.event_id
    where r.status = 'pending' and not r.held_by_hand and r.created_at <= p_now - p_older and not has_started(e, p_now);
    perform 1 from event_vip_tables where id = any (v_tables) order by id for no key update;
    perform 1 from vip_reservations where id = any (v_expired) order by id for no key update;
    update vip_reservations set status = 'cancelled' where id = any (v_expired) and status = 'pending';
    update vip_guest_passes set status = 'cancelled'
    where reservation_id = any (v_expired) and status in ('issued', 'checked_in');
    update event_vip_tables set is_available = true where id = any (v_tables);
    return jsonb_build_object('success', true, 'released', coalesce(cardinality(v_expired), 0));
end
$$;
CREATE FUNCTION public.remove_from_guest_list(p_ticket_id uuid, p_actor text, p_by_staff boolean) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_reservation vip_reservations;
    v_link vip_linked_tickets;
    v_refusal jsonb;
begin
    select e.* into v_event from events e
    where e.id = (
        select r.event_id from vip_linked_tickets l join vip_reservations r on r.id = l.vip_reservation_id
        where l.ticket_id = p_ticket_id
    ) for no key update;
    select * into v_reservation from vip_reservations
    where id = (select vip_reservation_id from vip_linked_tickets where ticket_id = p_ticket_id)
    for no key update;
    perform 1 from tickets where id = p_ticket_id for no key update;
    if not found then
        return refuse('TICKET_NOT_FOUND', 'There is no such ticket.');
    end if;
    select * into v_link from vip_linked_tickets where ticket_id = p_ticket_id;
    if not found then
        return refuse('TICKET_NOT_LINKED', 'This ticket is not on any guest list.');
    elsif v_link.is_booker_purchase then
        return refuse('NOT_ALLOWED', 'This is the ticket of whoever bought the table: it stays with it.');
    end if;
    v_refusal := guest_list_refusal(v_event, p_by_staff, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    delete from vip_linked_tickets where id = v_link.id;
    if p_by_staff then
        perform audit_list_change('unlink', v_event, v_reservation, p_ticket_id, p_actor, now());
    end if;
    return jsonb_build_object('success', true, 'ticket_id', p_ticket_id,
        'vip_reservation_id', v_link.vip_reservation_id);
end
$$;
CREATE FUNCTION public.renew_settlings(p_numberings jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    update settlings s set asked = s.asked + 1
    from jsonb_to_recordset(p_numberings) as p (gate_id text, epoch text)
    where s.gate_id = p.gate_id and s.epoch = p.epoch;
end
$$;
CREATE FUNCTION public.reservation_answer(p_reservation_id uuid, p_already boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_build_object('success', true, 'already', p_already, 'reservation_id', r.id,
        'qr_code_token', r.qr_code_token, 'invite_code', r.invite_code, 'status', r.status,
        'pass_ids', (
            select coalesce(jsonb_agg(p.id order by p.guest_number), '[]') from vip_guest_passes p
            where p.reservation_id = r.id
        ))
    from vip_reservations r where r.id = p_reservation_id
$$;
CREATE FUNCTION public.reservation_of_table(p_event_id uuid, p_table_number integer) RETURNS uuid
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select id from vip_reservations
    where event_id = p_event_id and table_number = p_table_number and status <> 'cancelled'
    order by created_at desc limit 1
$$;
CREATE FUNCTION public.reserve_table_by_hand(p_event_id uuid, p_table_number integer, p_purchaser jsonb, p_guest_passes integer, p_ticket jsonb, p_actor text, p_reason text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_refusal jsonb := booking_refusal(p_purchaser, 0, '{}', p_guest_passes);
    v_event events;
    v_table event_vip_tables;
    v_id uuid;
    v_host jsonb;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    select * into v_table from event_vip_tables
    where event_id = p_event_id and table_number = p_table_number for no key update;
    v_refusal := table_sale_refusal(v_event, v_table, '{}', p_guest_passes + 1, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_id := write_reservation(v_table, p_purchaser, 0, 'pending', null, '{}', p_guest_passes, now());
        update vip_reservations set held_by_hand = true where id = v_id;
        v_host := host_ticket_by_hand(v_event, p_purchaser, p_ticket);
        if v_host ? 'ticket_id' then
            v_refusal := add_to_guest_list(v_id, (v_host ->> 'ticket_id')::uuid, p_actor, true);
        end if;
        if coalesce(v_refusal, v_host) -> 'success' = 'false' then
            raise exception using errcode = 'MG003', message = coalesce(v_refusal, v_host)::text;
        end if;
    exception when sqlstate 'MG003' then
        return sqlerrm::jsonb;
    end;
    -- without its order, because the table was not paid with it
    update vip_linked_tickets set is_booker_purchase = true, order_id = null where vip_reservation_id = v_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'reserve table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_id, 'guest_passes', p_guest_passes));
    return reservation_answer(v_id, false) || v_host;
end
$$;
CREATE FUNCTION public.retire_gate(p_event uuid, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.revoke_admissions_of(p_event_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from event_vip_tables where event_id = p_event_id order by id for no key update;
    perform 1 from vip_reservations where event_id = p_event_id order by id for no key update;
    perform 1 from tickets where event_id = p_event_id order by id for no key update;
    perform 1 from vip_guest_passes where reservation_id in (
        select id from vip_reservations where event_id = p_event_id
    ) order by id for no key update;
    update vip_reservations set status = 'cancelled'
    where event_id = p_event_id and status in ('pending', 'confirmed');
    update vip_guest_passes set status = 'cancelled'
    where status in ('issued', 'checked_in') and reservation_id in (
        select id from vip_reservations where event_id = p_event_id
    );
    update tickets set status = 'refunded' where event_id = p_event_id and status in ('issued', 'checked_in');
    update orders set status = 'refunded' where event_id = p_event_id and status = 'completed';
    update event_vip_tables t set is_available = true
    where not is_available and event_id = p_event_id
        and exists (select from vip_reservations r where r.event_vip_table_id = t.id);
end
$$;
CREATE FUNCTION public.revoke_gate(p_venue text, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone, p_stolen boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_free bigint;
begin
    -- after the batch that is being stored, and before the next
    perform lock_gates(array[p_gate]);
    if not exists (select from gates where gate_id = p_gate and venue = p_venue) then
        return 'no gate';
    end if;
    update gates set status = 'revoked', revoked_at = coalesce(revoked_at, p_now)
    where gate_id = p_gate and (status <> 'revoked' or revoked_at is null);
    if not found then
        update revocations set stolen = true where gate_id = p_gate and p_stolen and not stolen;
        return 'already';
    end if;
    update certificates set revoked_at = p_now where gate_id = p_gate and revoked_at is null;
    insert into revocations (gate_id, stolen) values (p_gate, p_stolen) on conflict (gate_id) do nothing;
    update claims set released_at = p_now, released_by = 'revoked'
    where gate_id = p_gate and answer = 'granted' and released_at is null
        and scan_key(p_gate, claims.scan_id) is null;
    get diagnostics v_free = row_count;
    insert into alerts (scan_id, venue, gate_id, reason, at)
    values (gen_random_uuid(), p_venue, p_gate, 'revoked', p_now);
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'revoke gate', p_gate, p_reason, jsonb_build_object('venue', p_venue, 'freed', v_free, 'stolen', p_stolen));
    return 'revoked';
end
$$;
CREATE FUNCTION public.revoked_of(p_topics jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return array(
        select gate_id from gates
        where gate_id = any (array(select jsonb_object_keys(p_topics)))
            and (status = 'revoked' or revoked_at is not null)
    );
end
$$;
CREATE FUNCTION public.sale_refusal(p_event public.events, p_types text[], p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_stock jsonb;
    v_lacking record;
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    end if;
    v_stock := event_availability(p_event.id);
    select asked.name, asked.count, t.name is null as is_unknown, (t.one ->> 'remaining')::bigint as remaining
    into v_lacking
    from (select name, count(*) from unnest(p_types) as a (name) group by name) asked
    left join (
        select one ->> 'name' as name, one from jsonb_array_elements(v_stock -> 'types') as s (one)
    ) t on t.name = asked.name
    where t.name is null and exists (select from ticket_types_of(p_event.ticket_types))
        or (t.one ->> 'remaining')::bigint < asked.count
    order by is_unknown desc, asked.name limit 1;
    if v_lacking.is_unknown then
        return refuse('INVALID_ARGUMENT',
            format('%s sells no tickets of the type %s.', p_event.name, v_lacking.name));
    elsif v_lacking.name is not null then
        return refuse('SOLD_OUT', format('%s of %s: asked for %s, left %s.', v_lacking.name, p_event.name,
            v_lacking.count, v_lacking.remaining));
    elsif (v_stock ->> 'remaining')::bigint < cardinality(p_types) then
        return refuse('SOLD_OUT', format('%s: asked for %s, left %s.', p_event.name, cardinality(p_types),
            v_stock ->> 'remaining'));
    end if;
    return null;
end
$$;
CREATE FUNCTION public.scan_content(p_scan public.scan_logs) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (to_jsonb(p_scan) - ARRAY['epoch'::text, 'seq'::text, 'payload_hash'::text, 'received_at'::text, 'actuated'::text, 'annulled_at'::text, 'corrected_at'::text, 'corrected_uncertainty_ms'::text, 'one_time_code_hash'::text]);
CREATE FUNCTION public.scan_key(p_gate text, p_said uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return coalesce(
        (select scan_id from scan_places where gate_id = p_gate and said_id = p_said),
        (select scan_id from scan_places where scan_id = p_said and gate_id = p_gate and said_id is null)
    );
end
$$;
CREATE FUNCTION public.scans_of(p_scans uuid[]) RETURNS SETOF public.scan_logs
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_since timestamptz;
    v_until timestamptz;
begin
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    return query select l.* from unnest(p_scans) as asked (scan_id) cross join lateral (
        select * from scan_logs s
        where s.scan_id = asked.scan_id and s.received_at between v_since and v_until offset 0
    ) l;
end
$$;
CREATE FUNCTION public.scans_with_outcome(p_stored public.scan_logs[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.seats_of(p_reservation_id uuid, OUT capacity integer, OUT passes integer, OUT linked integer, OUT remaining integer) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select s.capacity, s.passes, s.linked, greatest(s.capacity - s.passes - s.linked, 0)
    from (
        select vip_seats(r.package_snapshot, v.capacity) as capacity,
            (select count(*)::integer from vip_guest_passes p
                where p.reservation_id = r.id and p.status <> 'cancelled') as passes,
            (select count(*)::integer from vip_linked_tickets l where l.vip_reservation_id = r.id) as linked
        from vip_reservations r join event_vip_tables v on v.id = r.event_vip_table_id
        where r.id = p_reservation_id
    ) s
$$;
CREATE FUNCTION public.sell_table_with_ticket(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_order jsonb, p_lines jsonb, p_package jsonb, p_guest_passes integer) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_intent text := p_order ->> 'stripe_payment_intent_id';
    v_session text := p_order ->> 'stripe_session_id';
    v_event events;
    v_table event_vip_tables;
    v_known orders;
    v_order_id uuid;
    v_refusal jsonb;
    v_constraint text;
begin
    v_refusal := coalesce(booking_refusal(p_purchaser, (p_order ->> 'total_amount_cents')::integer, p_package,
        p_guest_passes), order_refusal(p_order, p_lines));
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_known from orders
    where status in ('completed', 'refunded') and (stripe_payment_intent_id = v_intent or stripe_session_id = v_session)
    limit 1;
    if found then
        return coalesce(checkout_answer(v_known.id, true),
            refuse('ALREADY_PROCESSED', 'This payment or this session has bought something else.'));
    elsif v_intent is not null and is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := coalesce(table_sale_refusal(v_event, v_table, p_package, p_guest_passes + 1, now()),
        sale_refusal(v_event, array[p_lines #>> '{0,ticket_type}'], now()));
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_order_id := write_checkout(v_event, v_table, p_order, p_lines, p_purchaser, p_package, p_guest_passes,
            now());
        return checkout_answer(v_order_id, false);
    exception when unique_violation then
        get stacked diagnostics v_constraint = constraint_name;
        return duplicate_refusal(v_constraint);
    end;
end
$$;
CREATE FUNCTION public.settle_portion(p_gate text, p_times json, p_venue text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    v_moved uuid[];
    v_at timestamptz[];
    v_ms bigint[];
begin
    perform lock_gates(array[p_gate]);
    select array_agg(t.scan_id), array_agg(t.at), array_agg(t.uncertainty_ms) into v_moved, v_at, v_ms
    from json_to_recordset(p_times) as t (scan_id uuid, at timestamptz, uncertainty_ms bigint)
    cross join lateral scans_of(array[t.scan_id]) s
    where (s.corrected_at, s.corrected_uncertainty_ms) is distinct from (t.at, t.uncertainty_ms);
    if v_moved is not null then
        perform take_effect('{}', v_moved, v_at, v_ms, null, p_venue);
    end if;
    return coalesce(cardinality(v_moved), 0);
end
$$;
CREATE FUNCTION public.settle_scans(p_stored public.scan_logs[], p_places jsonb, p_venue text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.settle_vip(p_subjects uuid[], p_fresh uuid[], p_moved uuid[], p_annulled uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.settling_done(p_gate text, p_epoch text, p_seq bigint, p_whole boolean, p_asked bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    -- before the lock: it looks at all there is
    v_torn text[] := array(
        select boot_id from torn_boots(from_start_of_boot(jsonb_build_array(
            jsonb_build_object('gate_id', p_gate, 'epoch', p_epoch, 'seq', p_seq, 'whole', p_whole)
        )))
    );
begin
    perform lock_gates(array[p_gate]);
    update boots set is_torn = true where gate_id = p_gate and epoch = p_epoch and boot_id = any (v_torn);
    delete from settlings where gate_id = p_gate and epoch = p_epoch and asked = p_asked;
    if not found then
        update settlings set since = clock_timestamp() where gate_id = p_gate and epoch = p_epoch;
    end if;
    return not exists (select from settlings where gate_id = p_gate and epoch = p_epoch);
end
$$;
CREATE FUNCTION public.store_records(p_records public.scan_logs[]) RETURNS public.scan_logs[]
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_stored scan_logs[];
begin
    with stored as (
        insert into scan_logs (scan_id, said_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,
            reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash,
            raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to, heard,
            actor, note, payload_hash, corrected_at, corrected_uncertainty_ms, one_time_code_hash)
        select r.scan_id, r.said_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms, r.verdict,
            r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
            r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
            r.released, r.record, r.refers_to, r.heard, r.actor, r.note, r.payload_hash, r.occurred_at,
            case when r.clock = 'synced' then r.clock_uncertainty_ms end, one_time_code_of(r)
        from unnest(p_records) r
        order by r.gate_id, r.epoch, r.seq
        returning scan_logs as scan
    ), tallied as (
        insert into scan_tallies as known (gate_id, record, verdict, count)
        select (scan).gate_id, (scan).record, (scan).verdict, count(*) from stored group by 1, 2, 3 order by 1, 2, 3
        on conflict (gate_id, record, verdict) do update set count = known.count + excluded.count
    )
    select array_agg(scan) into v_stored from stored;
    return coalesce(v_stored, '{}');
end
$$;
CREATE FUNCTION public.subjects_of(p_scans public.scan_logs[], OUT subjects uuid[], OUT codes text[], OUT codes_without_ticket text[], OUT first_entries public.scan_logs[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.sweep_claims(p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot_id text, p_monotonic_ms bigint, p_now timestamp with time zone, p_kept_ms bigint DEFAULT 30000) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.event_vip_tables (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    table_number integer NOT NULL,
    table_name text DEFAULT ''::text NOT NULL,
    tier text DEFAULT 'standard'::text NOT NULL,
    price numeric(10,2) DEFAULT 0 NOT NULL,
    price_cents integer DEFAULT 0 NOT NULL,
    capacity integer NOT NULL,
    bottles_included integer DEFAULT 0 NOT NULL,
    floor_section text,
    position_x integer,
    position_y integer,
    is_available boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_vip_tables_capacity CHECK ((capacity > 0)),
    CONSTRAINT event_vip_tables_tier CHECK ((tier = ANY (ARRAY['premium'::text, 'front_row'::text, 'standard'::text])))
);
CREATE FUNCTION public.table_sale_refusal(p_event public.events, p_table public.event_vip_tables, p_package jsonb, p_guests integer, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    elsif p_table.id is null or p_table.event_id <> p_event.id then
        return refuse('TABLE_NOT_FOUND', format('%s has no such table.', p_event.name));
    elsif not p_table.is_available or exists (
        select from vip_reservations
        where event_vip_table_id = p_table.id and status in ('pending', 'confirmed', 'checked_in')
    ) then
        return refuse('TABLE_NOT_AVAILABLE', format('Table %s is taken.', p_table.table_number));
    elsif vip_seats(p_package, p_table.capacity) > p_table.capacity
        or p_guests > vip_seats(p_package, p_table.capacity)
    then
        return refuse('CAPACITY_EXCEEDED',
            format('Table %s has %s seats.', p_table.table_number, p_table.capacity));
    end if;
    return null;
end
$$;
CREATE FUNCTION public.take_effect(p_stored public.scan_logs[], p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb, p_venue text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.take_enrolment(p_venue text, p_gate text, p_token_hash text, p_host_key text, p_signed boolean, p_request text, p_content text, p_new_token_hash text, p_now timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_enrolment enrolments;
    v_refused text;
    v_request uuid;
begin
    select e.* into v_enrolment from enrolments e join gates g on g.gate_id = e.gate_id and g.venue = p_venue
    where e.token_hash = p_token_hash for update of e;
    if not found then
        return jsonb_build_object('refused', 'unknown');
    end if;
    v_refused := case
        when v_enrolment.gate_id <> p_gate then 'another gate'
        when is_revoked(p_gate) then 'revoked'
        when not p_signed or v_enrolment.host_key <> p_host_key then 'another machine'
        when v_enrolment.content <> p_content then 'used'
        when p_now >= v_enrolment.expires_at then 'late'
    end;
    if v_refused is not null then
        perform note_refused_enrolment(p_venue, v_enrolment.gate_id, v_refused, p_now);
        return jsonb_build_object('refused', v_refused);
    elsif v_enrolment.content is null then
        insert into certificate_requests (gate_id, purpose, request, token_hash)
        values (p_gate, 'enrol', p_request, p_new_token_hash) returning id into v_request;
        update enrolments set used_at = p_now, content = p_content, request_id = v_request
        where token_hash = p_token_hash;
    end if;
    return jsonb_build_object('request', coalesce(v_request, v_enrolment.request_id));
end
$$;
CREATE FUNCTION public.take_lend_answer(p_venue text, p_home text, p_scan uuid, p_code_hash text, p_lent boolean, p_used boolean, p_heard text[], p_now timestamp with time zone, p_fresh interval DEFAULT '00:00:02'::interval) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.take_locks(p_names text[], p_shared boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_had bigint;
begin
    for v_round in 1..2 loop
        if p_shared then
            perform 1 from hub_locks where name = any (p_names) order by name for share;
        else
            perform 1 from hub_locks where name = any (p_names) order by name for update;
        end if;
        get diagnostics v_had = row_count;
        exit when v_had = cardinality(p_names);
        -- only the first time, or if a name is given twice; another session may have inserted it meanwhile
        insert into hub_locks (name)
        select distinct n.name from unnest(p_names) as n (name)
        where not exists (select from hub_locks k where k.name = n.name)
        order by n.name on conflict do nothing;
    end loop;
end
$$;
CREATE FUNCTION public.tell_authority_done() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform pg_notify('authority_done', '');
    return null;
end
$$;
CREATE FUNCTION public.ticket_entries(p_tickets uuid[]) RETURNS TABLE(ticket_id uuid, scan public.scan_logs)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select t.id, s from tickets t join scan_logs s on s.subject_id = t.id
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
    union all
    select t.id, s from tickets t join scan_logs s on s.subject_id is null and s.code_hash = t.code_hash
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;
CREATE FUNCTION public.ticket_row(p_code_hash text, p_id uuid, p_event uuid, p_status text, p_type text, p_holder text, p_signature text, p_is_host boolean, p_reservation uuid, p_first_entry jsonb, p_last_entry jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_strip_nulls(jsonb_build_object('t', 'admission', 'code_hash', p_code_hash, 'subject_id', p_id, 'event_id', p_event, 'kind', CASE WHEN p_is_host THEN 'vip_host'::text WHEN (p_reservation IS NOT NULL) THEN 'vip_linked'::text ELSE 'ga'::text END, 'status', p_status, 'ticket_type', public.feed_text(p_type), 'holder', public.feed_text(p_holder), 'reservation_id', p_reservation, 'signature_hash', CASE WHEN (p_signature IS NOT NULL) THEN public.hash_of_text(p_signature) ELSE NULL::text END, 'first_entry', p_first_entry, 'last_entry', p_last_entry));
CREATE FUNCTION public.ticket_types_of(p_types jsonb) RETURNS TABLE(place bigint, name text, price jsonb, capacity bigint)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
    select listed.place, listed.one ->> 'name', listed.one -> 'price',
        case when listed.one ->> 'capacity' ~ '^[0-9]{1,9}$' then (listed.one ->> 'capacity')::bigint end
    from jsonb_array_elements(case when jsonb_typeof(p_types) = 'array' then p_types else '[]' end)
        with ordinality as listed (one, place)
    where listed.one ->> 'name' <> ''
$_$;
CREATE FUNCTION public.tickets_left(p_capacity bigint, p_sold bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (p_capacity IS NOT NULL) THEN GREATEST((p_capacity - p_sold), (0)::bigint) ELSE NULL::bigint END;
CREATE FUNCTION public.tickets_sold(p_event_id uuid) RETURNS TABLE(name text, sold bigint)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select ticket_type, count(*) from tickets
    where event_id = p_event_id and status in ('issued', 'checked_in') group by ticket_type
$$;
CREATE FUNCTION public.times_by_boot(p_places jsonb) RETURNS TABLE(scan_id uuid, gate_id text, epoch text, seq bigint, boot_id text, corrected_at timestamp with time zone, corrected_uncertainty_ms bigint, is_heard boolean, at timestamp with time zone, uncertainty_ms bigint, base timestamp with time zone, monotonic_ms bigint, clock_base timestamp with time zone, clock_monotonic_ms bigint, clock_uncertainty_ms bigint, is_anchor boolean, chain bigint, common timestamp with time zone, common_monotonic_ms bigint, common_uncertainty_ms bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
    v_since timestamptz := received_since(p_places);
begin
    return query with place as (
        select gate_id, epoch, min(seq) as seq
        from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint) group by gate_id, epoch
    ), link as (
        -- offset 0: place by place, never all of the table
        select s.*, false as is_anchor from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq >= p.seq
                and t.received_at >= v_since
            order by t.seq offset 0
        ) s
        union all
        select s.scan_id, s.gate_id, s.epoch, s.seq, s.boot_id, s.corrected_at, s.corrected_uncertainty_ms,
            s.is_heard, s.corrected_at, s.corrected_uncertainty_ms, null, s.monotonic_ms, null, null, null,
            s.received_at, true
        from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq < p.seq
                and t.received_at >= v_since
            order by t.seq desc limit 1
        ) s
    ), marked as (
        select link.*, is_heard
            and boot_id is distinct from lag(boot_id) over (partition by gate_id, epoch order by seq) as is_start,
            count(base) over (
                partition by gate_id, epoch, boot_id order by base
                range between '30 seconds' preceding and '30 seconds' following
            ) as company
        from link
    )
    select m.scan_id, m.gate_id, m.epoch, m.seq, m.boot_id, m.corrected_at, m.corrected_uncertainty_ms, m.is_heard,
        m.at, m.uncertainty_ms, m.base, m.monotonic_ms, m.clock_base, m.clock_monotonic_ms, m.clock_uncertainty_ms,
        m.is_anchor, count(*) filter (where is_start) over (partition by gate_id, epoch order by seq),
        first_value(base) over best, first_value(monotonic_ms) over best, first_value(uncertainty_ms) over best
    from marked m window best as (partition by gate_id, epoch, boot_id order by company desc, uncertainty_ms, seq);
end
$$;
CREATE FUNCTION public.times_by_own_clock(p_scans uuid[], p_places jsonb) RETURNS TABLE(scan_id uuid, at timestamp with time zone, uncertainty_ms bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
    v_since timestamptz;
    v_until timestamptz;
begin
    if p_places is null then
        return;
    end if;
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    return query select t.scan_id, t.at, t.uncertainty_ms from unnest(p_scans) as asked (scan_id)
    cross join lateral (
        select s.* from scan_times s
        where s.scan_id = asked.scan_id and s.received_at between v_since and v_until offset 0
    ) t
    where (t.gate_id, t.epoch) in (
        select p.gate_id, p.epoch from jsonb_to_recordset(p_places) as p (gate_id text, epoch text)
    ) and (t.at, t.uncertainty_ms) is distinct from (t.corrected_at, t.corrected_uncertainty_ms);
end
$$;
CREATE FUNCTION public.times_to_correct(p_places jsonb) RETURNS TABLE(scan_id uuid, at timestamp with time zone, uncertainty_ms bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
begin
    return query with placed as (
        select b.scan_id, b.gate_id, b.epoch, b.seq, b.boot_id, b.corrected_at, b.corrected_uncertainty_ms,
            b.is_heard, b.is_anchor, b.chain,
            case when by_common.is_so then after_boot(b.common, b.monotonic_ms) else b.at end as at,
            case when by_common.is_so
                then b.common_uncertainty_ms + ceil(abs(b.monotonic_ms - b.common_monotonic_ms) / 10000.0)::bigint
                else b.uncertainty_ms end as uncertainty_ms,
            b.base, b.monotonic_ms, b.common, b.common_monotonic_ms
        from times_by_boot(p_places) b cross join lateral (
            select coalesce(is_apart(b.clock_base, b.clock_monotonic_ms, b.common, b.common_monotonic_ms,
                give_or_take(b.clock_uncertainty_ms)), false) as is_so
        ) by_common
    ), compared as (
        select placed.*, give_or_take(uncertainty_ms) as give, coalesce(is_apart(
            base, monotonic_ms, common, common_monotonic_ms, give_or_take(uncertainty_ms)), false) as is_apart
        from placed
    ), judged as (
        select compared.*, is_apart and coalesce(
            max(at - give) filter (where is_heard and not is_apart) over earlier > at + give
            or min(at + give) filter (where is_heard and not is_apart) over later < at - give, false) as is_wrong
        from compared
        window earlier as (partition by gate_id, epoch, boot_id order by seq
                rows between unbounded preceding and 1 preceding),
            later as (partition by gate_id, epoch, boot_id order by seq desc
                rows between unbounded preceding and 1 preceding)
    ), settled as (
        select judged.*, coalesce(
            max(at) filter (where not is_wrong) over (partition by gate_id, epoch, chain order by seq),
            min(at) filter (where is_heard and not is_wrong) over (partition by gate_id, epoch, boot_id)
        ) as settled_at
        from judged
    )
    select s.scan_id, s.settled_at, u.ms from settled s cross join lateral (
        select s.uncertainty_ms + ceil(abs(extract(epoch from s.settled_at - s.at)) * 1000)::bigint as ms
    ) u
    where not s.is_anchor
        and (s.settled_at, u.ms) is distinct from (s.corrected_at, s.corrected_uncertainty_ms);
end
$$;
CREATE FUNCTION public.times_to_settle(p_gate text, p_epoch text, p_seq bigint, p_whole boolean) RETURNS TABLE(scan_id uuid, at timestamp with time zone, uncertainty_ms bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
    return query select * from times_to_correct(from_start_of_boot(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'epoch', p_epoch, 'seq', p_seq, 'whole', p_whole)
    )));
end
$$;
CREATE FUNCTION public.torn_boots(p_places jsonb) RETURNS TABLE(gate_id text, epoch text, boot_id text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
    v_since timestamptz := received_since(p_places);
begin
    return query select b.gate_id, b.epoch, b.boot_id
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
    join boots b on b.gate_id = p.gate_id and b.epoch = p.epoch and b.last_seq >= p.seq and not b.is_torn
    where exists (
        select from scan_times t
        left join boot_clocks c on b.has_untrusted and c.gate_id = b.gate_id and c.boot_id = b.boot_id
        where t.gate_id = b.gate_id and t.epoch = b.epoch and t.boot_id = b.boot_id and t.is_heard
            and t.seq between greatest(b.first_seq, p.seq) and b.last_seq and t.received_at >= v_since
            and (is_apart(t.base, t.monotonic_ms, c.base, c.monotonic_ms)
                or abs(extract(epoch from t.corrected_at - t.at)) > extract(epoch from
                    case when t.base is null then interval '0' else give_or_take(t.uncertainty_ms) end))
    );
end
$$;
CREATE FUNCTION public.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.updated_at := pg_catalog.now();
    return new;
end
$$;
CREATE FUNCTION public.try_lock(p_name text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into hub_locks (name) select p_name
    where not exists (select from hub_locks where name = p_name) on conflict do nothing;
    perform 1 from hub_locks where name = p_name for update skip locked;
    return found;
end
$$;
CREATE FUNCTION public.unlink_ticket_from_vip(p_ticket_id uuid, p_actor text DEFAULT NULL::text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if not may_edit_guest_list((select vip_reservation_id from vip_linked_tickets where ticket_id = p_ticket_id)) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return remove_from_guest_list(p_ticket_id, named_actor(p_actor), is_service() or is_staff());
end
$$;
CREATE TABLE public.vip_guest_passes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    reservation_id uuid NOT NULL,
    guest_number integer NOT NULL,
    guest_name text,
    qr_code_token text NOT NULL,
    qr_signature text,
    code_hash text NOT NULL,
    status text DEFAULT 'issued'::text NOT NULL,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    checked_in_scan uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_guest_passes_status CHECK ((status = ANY (ARRAY['issued'::text, 'checked_in'::text, 'cancelled'::text]))),
    CONSTRAINT vip_guest_passes_times CHECK (((checked_in_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (checked_in_at < '2200-01-01 00:00:00+00'::timestamp with time zone)))
);
CREATE FUNCTION public.vip_entry_answer(p_pass public.vip_guest_passes, p_first boolean, p_last timestamp with time zone) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.vip_pass_scan(p_pass_id uuid, p_scanned_by text, p_at timestamp with time zone, p_scan uuid DEFAULT NULL::uuid) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.vip_recount(p_reservations uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.vip_relabel(p_subjects uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.vip_seats(p_package jsonb, p_capacity integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((p_package ->> 'guestCount'::text) ~ '^[0-9]{1,6}$'::text) THEN ((p_package ->> 'guestCount'::text))::integer ELSE p_capacity END;
CREATE FUNCTION public.wake_authority() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform pg_notify('authority', '');
    return null;
end
$$;
CREATE FUNCTION public.webhook_begin(p_stripe_event_id text, p_kind text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event webhook_events;
begin
    if length(coalesce(p_stripe_event_id, '')) not between 1 and 255 or length(p_kind) > 200 then
        return refuse('INVALID_ARGUMENT', 'A message has an id of at most 255 characters, and a kind of at most 200.');
    end if;
    insert into webhook_events (stripe_event_id, kind) values (p_stripe_event_id, coalesce(p_kind, ''))
    on conflict (stripe_event_id) do nothing;
    select * into v_event from webhook_events where stripe_event_id = p_stripe_event_id for update;
    return jsonb_build_object('success', true, 'already', v_event.outcome is not null, 'outcome', v_event.outcome);
end
$$;
CREATE FUNCTION public.webhook_done(p_stripe_event_id text, p_outcome text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_outcome text;
begin
    if length(coalesce(p_outcome, '')) not between 1 and 500 then
        return refuse('INVALID_ARGUMENT', 'An outcome is a word or more, and at most 500 characters.');
    end if;
    update webhook_events set processed_at = case when outcome is null then now() else processed_at end,
        outcome = coalesce(outcome, p_outcome)
    where stripe_event_id = p_stripe_event_id returning outcome into v_outcome;
    if not found then
        return refuse('INVALID_ARGUMENT', 'This message was never begun.');
    end if;
    return jsonb_build_object('success', true, 'outcome', v_outcome);
end
$$;
CREATE FUNCTION public.winner_of(p_admissions jsonb, OUT scan_id uuid, OUT rule text) RETURNS record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with admission as (
        select a.*, least(greatest(coalesce(a.uncertainty_ms, 3600000), 0), 3600000)
            * interval '1 millisecond' as give_or_take
        from jsonb_to_recordset(p_admissions) as a
            (scan_id uuid, gate_id text, epoch text, seq bigint, at timestamptz, uncertainty_ms bigint)
    )
    select a.scan_id, case when count(*) over () = 1 then 'earlier' else 'gate' end
    from admission a
    where a.at - a.give_or_take <= (select min(b.at + b.give_or_take) from admission b)
    order by a.gate_id collate "C", a.epoch collate "C", a.seq limit 1
$$;
CREATE FUNCTION public.with_hub_scan_ids(p_records json) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.within_bound(p_places jsonb, OUT near jsonb, OUT far jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    c_most constant integer := 1000;
begin
    with place as (
        select gate_id, epoch, min(seq) as seq, bool_or(coalesce(whole, false)) as whole
        from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint, whole boolean)
        group by gate_id, epoch
    ), sized as (
        select place.*, counted.rows from place cross join lateral (
            select count(*) as rows from (
                select from scan_places k
                where k.gate_id = place.gate_id and k.epoch = place.epoch and k.seq >= place.seq limit c_most + 1
            ) kept
        ) counted
    ), summed as (
        select gate_id, epoch, seq, whole, sum(rows) over (order by rows, gate_id, epoch) <= c_most as is_near
        from sized
    )
    select jsonb_agg(to_jsonb(s) - 'is_near') filter (where is_near),
        jsonb_agg(to_jsonb(s) - 'is_near') filter (where not is_near)
    into near, far from summed s;
end
$$;
CREATE FUNCTION public.without_long_texts(p_row jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select jsonb_object_agg(key, case
        when jsonb_typeof(value) = 'string' then to_jsonb(left(value #>> '{}', 80))
        when key = 'guests' then '[]'
        when value ? 'gate' then value || jsonb_build_object('gate', left(value ->> 'gate', 64))
        else value
    end)
    from jsonb_each(p_row)
$$;
CREATE FUNCTION public.without_names(p_row jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE (p_row ->> 't'::text) WHEN 'admission'::text THEN (p_row - 'holder'::text) WHEN 'table'::text THEN (p_row || '{"host": "", "guests": []}'::jsonb) ELSE p_row END;
CREATE FUNCTION public.without_people(p_package jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((SELECT jsonb_object_agg(jsonb_each.key, jsonb_each.value) AS jsonb_object_agg FROM jsonb_each(without_people.p_package) jsonb_each(key, value) WHERE (jsonb_each.key = ANY (ARRAY['guestCount'::text, 'tier'::text]))), '{}'::jsonb);
CREATE FUNCTION public.without_revoked(p_records json, p_topics jsonb) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_revoked text[] := revoked_of(p_topics);
    v_rest json;
begin
    if cardinality(v_revoked) = 0 then
        return p_records;
    end if;
    insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
    select p_topics ->> r.gate_id, r.gate_id, r.epoch, r.seq, substring(convert_to(r.raw, 'UTF8') for 65536),
        r.payload_hash, octet_length(r.raw), 'the gate was revoked before this came'
    from (
        select e.value::text as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
            (e.value ->> 'seq')::bigint as seq, (e.value ->> 'scan_id')::uuid as scan_id,
            e.value ->> 'payload_hash' as payload_hash
        from json_array_elements(p_records) e
    ) r
    where r.gate_id = any (v_revoked) and not exists (
        select from scan_places o left join lateral scans_of(array[o.scan_id]) s on true
        where (o.gate_id, o.epoch, o.seq, o.scan_id) = (r.gate_id, r.epoch, r.seq, r.scan_id)
            -- what is archived is known by its name alone
            and coalesce(s.payload_hash, r.payload_hash) = r.payload_hash
    ) and not exists (
        select from scan_repeats p
        where (p.gate_id, p.epoch, p.seq, p.payload_hash) = (r.gate_id, r.epoch, r.seq, r.payload_hash)
    )
    on conflict do nothing;
    select json_agg(e.value) into v_rest from json_array_elements(p_records) e
    where e.value ->> 'gate_id' <> all (v_revoked);
    return coalesce(v_rest, '[]');
end
$$;
CREATE FUNCTION public.write_cancellation(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_event events;
    v_refusal jsonb;
    v_numbers jsonb;
begin
    if coalesce(btrim(p_reason), '') = '' or coalesce(btrim(p_actor), '') = '' then
        return refuse('INVALID_ARGUMENT', 'Who cancels and why are both needed.');
    end if;
    -- a second click waits here
    select * into v_event from events where id = p_event_id for no key update;
    if v_event.cancellation is not null then
        return v_event.cancellation || jsonb_build_object('success', true, 'already', true);
    end if;
    v_refusal := cancellation_refusal(v_event, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    v_numbers := cancellation_numbers(v_event) || jsonb_build_object('cancelled_at', now(), 'cancelled_by', p_actor,
        'reason', p_reason);
    if p_expected_total_cents <> (v_numbers ->> 'refund_total_cents')::bigint then
        return refuse('INVALID_AMOUNT', 'What has to be refunded has changed since it was looked at: look again.')
            || jsonb_build_object('refund_total_cents', v_numbers -> 'refund_total_cents');
    end if;
    update events set status = 'cancelled', cancelled_at = now(), cancelled_by = p_actor,
        cancellation_reason = p_reason, cancellation = v_numbers
    where id = p_event_id;
    with queued as (
        insert into refunds (event_id, order_id, reservation_id, stripe_payment_intent_id, amount_cents, currency,
            reason, next_attempt_at)
        select p_event_id, order_id, reservation_id, intent, cents, currency, p_reason, now()
        from refundable_payments(p_event_id) order by intent
        on conflict (stripe_payment_intent_id) do nothing
        returning reservation_id, amount_cents
    )
    update vip_reservations r set refund_amount_cents = queued.amount_cents
    from queued where r.id = queued.reservation_id;
    perform revoke_admissions_of(p_event_id);
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'cancel_event', v_event.code, p_reason, v_numbers);
    return v_numbers || jsonb_build_object('success', true, 'already', false);
end
$$;
CREATE FUNCTION public.write_checkout(p_event public.events, p_table public.event_vip_tables, p_order jsonb, p_lines jsonb, p_purchaser jsonb, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_order_id uuid;
    v_reservation_id uuid;
begin
    v_reservation_id := write_reservation(p_table, p_purchaser,
        (p_order ->> 'total_amount_cents')::integer - (p_lines #>> '{0,price_cents}')::integer, 'confirmed',
        p_order ->> 'stripe_payment_intent_id', p_package, p_guest_passes, p_now);
    v_order_id := write_order((
        select id from orders
        where status in ('pending', 'failed') and (stripe_payment_intent_id = p_order ->> 'stripe_payment_intent_id'
            or stripe_session_id = p_order ->> 'stripe_session_id') limit 1
    ), p_event, p_order, p_lines, p_now);
    insert into vip_linked_tickets (vip_reservation_id, order_id, ticket_id, purchased_by_email, purchased_by_name,
        is_booker_purchase, linked_by)
    select v_reservation_id, v_order_id, t.id, t.guest_email, t.guest_name, true, 'checkout'
    from tickets t where t.order_id = v_order_id;
    return v_order_id;
end
$$;
CREATE FUNCTION public.write_order(p_order_id uuid, p_event public.events, p_order jsonb, p_lines jsonb, p_now timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_id uuid := coalesce(p_order_id, gen_random_uuid());
    v_intent text := nullif(p_order ->> 'stripe_payment_intent_id', '');
    v_cents integer := (p_order ->> 'total_amount_cents')::integer;
    v_currency text := coalesce(p_order ->> 'currency', 'usd');
begin
    insert into orders as o (id, stripe_payment_intent_id, stripe_session_id, stripe_customer_id, customer_email,
        customer_name, total_amount, total_amount_cents, currency, status, event_id, event_name, ticket_count,
        completed_at, metadata)
    values (v_id, v_intent, nullif(p_order ->> 'stripe_session_id', ''), p_order ->> 'stripe_customer_id',
        p_order ->> 'customer_email', p_order ->> 'customer_name', v_cents / 100.0, v_cents, v_currency,
        'completed', p_event.id, left(p_event.name, 200), jsonb_array_length(p_lines), p_now,
        coalesce(p_order -> 'metadata', '{}'))
    on conflict (id) do update set
        stripe_payment_intent_id = coalesce(excluded.stripe_payment_intent_id, o.stripe_payment_intent_id),
        stripe_session_id = coalesce(excluded.stripe_session_id, o.stripe_session_id),
        stripe_customer_id = coalesce(excluded.stripe_customer_id, o.stripe_customer_id),
        customer_email = coalesce(excluded.customer_email, o.customer_email),
        customer_name = coalesce(excluded.customer_name, o.customer_name),
        total_amount = excluded.total_amount, total_amount_cents = excluded.total_amount_cents,
        currency = excluded.currency, status = excluded.status,
        event_id = excluded.event_id, event_name = excluded.event_name, ticket_count = excluded.ticket_count,
        completed_at = excluded.completed_at,
        metadata = o.metadata || excluded.metadata;
    if v_cents > 0 then
        insert into payments as p (order_id, stripe_payment_intent_id, amount, amount_cents, currency, status)
        values (v_id, v_intent, v_cents / 100.0, v_cents, v_currency, 'succeeded')
        on conflict (stripe_payment_intent_id) do update set order_id = excluded.order_id,
            amount = excluded.amount, amount_cents = excluded.amount_cents, currency = excluded.currency,
            status = excluded.status;
    end if;
    insert into tickets (ticket_id, order_id, event_id, event_name, ticket_type, qr_code_data, qr_signature,
        price_paid, price_paid_cents, stripe_payment_intent_id, line_number, guest_name, guest_email, guest_phone,
        metadata)
    select l.one ->> 'ticket_id', v_id, p_event.id, left(p_event.name, 200), l.one ->> 'ticket_type',
        l.one ->> 'qr_code_data', l.one ->> 'qr_signature', (l.one ->> 'price_cents')::integer / 100.0,
        (l.one ->> 'price_cents')::integer, v_intent, l.place,
        coalesce(l.one ->> 'guest_name', p_order ->> 'customer_name'),
        coalesce(l.one ->> 'guest_email', p_order ->> 'customer_email'), l.one ->> 'guest_phone',
        coalesce(l.one -> 'metadata', '{}')
    from jsonb_array_elements(p_lines) with ordinality as l (one, place);
    return v_id;
end
$$;
CREATE FUNCTION public.write_reservation(p_table public.event_vip_tables, p_purchaser jsonb, p_amount_cents integer, p_status text, p_intent text, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_id uuid;
begin
    insert into vip_reservations (event_id, event_vip_table_id, table_number, purchaser_name, purchaser_email,
        purchaser_phone, amount_paid_cents, stripe_payment_intent_id, status, qr_code_token, invite_code,
        package_snapshot, special_requests, created_at)
    values (p_table.event_id, p_table.id, p_table.table_number, btrim(p_purchaser ->> 'name'),
        lower(btrim(p_purchaser ->> 'email')), p_purchaser ->> 'phone',
        case when p_status = 'confirmed' then p_amount_cents else 0 end, p_intent, p_status, random_letters(26),
        new_invite_code(), p_package, left(p_purchaser ->> 'special_requests', 2000), p_now)
    returning id into v_id;
    insert into vip_guest_passes (reservation_id, guest_number, qr_code_token)
    select v_id, number, new_pass_code() from generate_series(1, p_guest_passes) as number;
    update event_vip_tables set is_available = false where id = p_table.id;
    return v_id;
end
$$;
CREATE TABLE auth.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email text,
    email_confirmed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.active_hubs (
    venue text NOT NULL,
    pid integer,
    backend_start timestamp with time zone,
    login name,
    since timestamp with time zone
);
CREATE TABLE public.admission_changes (
    event_id uuid NOT NULL,
    version bigint NOT NULL,
    "row" jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.alerts (
    number bigint NOT NULL,
    scan_id uuid NOT NULL,
    venue text NOT NULL,
    gate_id text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    CONSTRAINT alerts_time CHECK (((at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (at < '2200-01-01 00:00:00+00'::timestamp with time zone)))
);
ALTER TABLE public.alerts ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alerts_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.applied_objects (
    "position" integer NOT NULL,
    type text NOT NULL,
    identity text NOT NULL,
    digest text NOT NULL
);
CREATE TABLE public.audit_log (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.backups (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    size_bytes bigint NOT NULL,
    row_count bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT backups_name CHECK ((length(name) <= 200))
);
CREATE TABLE public.boot_clocks (
    gate_id text NOT NULL,
    boot_id text NOT NULL,
    base timestamp with time zone NOT NULL,
    uncertainty_ms bigint NOT NULL,
    monotonic_ms bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.boots (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    boot_id text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    has_untrusted boolean NOT NULL,
    is_torn boolean DEFAULT false NOT NULL
);
CREATE TABLE public.certificate_requests (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    gate_id text NOT NULL,
    purpose text NOT NULL,
    request text NOT NULL,
    token_hash text,
    certificate text,
    refused text,
    done_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT certificate_requests_enrol CHECK (((purpose = 'enrol'::text) = (token_hash IS NOT NULL))),
    CONSTRAINT certificate_requests_length CHECK ((length(request) <= 4096)),
    CONSTRAINT certificate_requests_purpose CHECK ((purpose = ANY (ARRAY['enrol'::text, 'renew'::text]))),
    CONSTRAINT certificate_requests_token CHECK ((token_hash ~ '^[0-9a-f]{64}$'::text))
);
CREATE TABLE public.certificates (
    serial text NOT NULL,
    kind text NOT NULL,
    gate_id text,
    fingerprint text NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT certificates_fingerprint CHECK ((fingerprint ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT certificates_kind CHECK ((kind = ANY (ARRAY['gate'::text, 'take-over'::text, 'gates authority'::text, 'hub authority'::text, 'broker'::text, 'web'::text, 'hub'::text]))),
    CONSTRAINT certificates_serial CHECK ((serial ~ '^[0-9a-f]{1,40}$'::text)),
    CONSTRAINT certificates_whose CHECK (((kind = ANY (ARRAY['gate'::text, 'take-over'::text])) = (gate_id IS NOT NULL)))
);
CREATE TABLE public.commands (
    id uuid NOT NULL,
    venue text NOT NULL,
    gate_id text NOT NULL,
    action text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    key_id text NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    outcome text,
    why text DEFAULT ''::text NOT NULL,
    replied_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT commands_action CHECK ((action = ANY (ARRAY['release'::text, 'hold_open'::text, 'close'::text, 'resume'::text, 'show_text'::text, 'refetch'::text, 'restart'::text]))),
    CONSTRAINT commands_actor CHECK ((actor <> ''::text)),
    CONSTRAINT commands_life CHECK ((expires_at > issued_at)),
    CONSTRAINT commands_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'refused'::text]))),
    CONSTRAINT commands_reason CHECK ((reason <> ''::text))
);
CREATE VIEW public.command_outcomes WITH (security_invoker='true') AS
 SELECT c.id,
    c.venue,
    c.gate_id,
    c.action,
    c.text,
    c.reason,
    c.actor,
    c.key_id,
    c.issued_at,
    c.expires_at,
    c.outcome,
    c.why,
    c.replied_at,
    c.created_at,
    c.updated_at,
    s.occurred_at AS recorded_at,
    s.reason AS recorded_as,
    s.epoch AS recorded_epoch,
    s.seq AS recorded_seq,
        CASE
            WHEN (s.scan_id IS NOT NULL) THEN 'recorded'::text
            WHEN (c.outcome IS NOT NULL) THEN c.outcome
            WHEN (c.expires_at < now()) THEN 'no answer'::text
            ELSE 'waiting'::text
        END AS state
   FROM (public.commands c
     LEFT JOIN LATERAL public.scans_of(ARRAY[public.scan_key(c.gate_id, c.id)]) s(scan_id, said_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict, reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash, raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to, heard, actor, note, payload_hash, received_at, actuated, annulled_at, corrected_at, corrected_uncertainty_ms, one_time_code_hash) ON ((s.record = 'event'::text)));
CREATE TABLE public.email_queue (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    recipient text NOT NULL,
    kind text NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT email_queue_attempts CHECK (((attempts >= 0) AND (attempts <= 5)))
);
CREATE TABLE public.enrolments (
    token_hash text NOT NULL,
    gate_id text NOT NULL,
    host_key text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    content text,
    request_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT enrolments_host_key CHECK ((host_key ~ '^SHA256:[A-Za-z0-9+/]{43}$'::text)),
    CONSTRAINT enrolments_token CHECK ((token_hash ~ '^[0-9a-f]{64}$'::text))
);
CREATE TABLE public.vip_scan_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    pass_id uuid,
    ticket_id uuid,
    reservation_id uuid,
    scan_id uuid,
    scan_type text NOT NULL,
    scanned_by text DEFAULT 'system'::text NOT NULL,
    scanned_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_scan_logs_time CHECK (((scanned_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (scanned_at < '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT vip_scan_logs_type CHECK ((scan_type = ANY (ARRAY['first_entry'::text, 'reentry'::text])))
);
CREATE VIEW public.feed_admissions WITH (security_invoker='true') AS
 SELECT t.event_id,
    t.id AS subject_id,
    public.ticket_row(t.code_hash, t.id, t.event_id, t.status, t.ticket_type, t.guest_name, t.qr_signature, l.is_booker_purchase, l.vip_reservation_id, public.feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan),
        CASE
            WHEN (t.last_entry_at IS NULL) THEN public.feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan)
            ELSE public.feed_entry(t.last_entry_at, COALESCE(t.last_entry_gate, t.checked_in_by), t.last_entry_scan)
        END) AS "row"
   FROM (public.tickets t
     LEFT JOIN public.vip_linked_tickets l ON ((l.ticket_id = t.id)))
UNION ALL
 SELECT r.event_id,
    p.id AS subject_id,
    jsonb_strip_nulls(jsonb_build_object('t', 'admission', 'code_hash', p.code_hash, 'subject_id', p.id, 'event_id', r.event_id, 'kind', 'vip_pass', 'status', p.status, 'holder', public.feed_text(p.guest_name), 'reservation_id', p.reservation_id, 'guest_number', p.guest_number, 'signature_hash', public.hash_of_text(p.qr_signature), 'first_entry', public.feed_entry(p.checked_in_at, p.checked_in_by, p.checked_in_scan), 'last_entry',
        CASE
            WHEN (last.scanned_at IS NULL) THEN public.feed_entry(p.checked_in_at, p.checked_in_by, p.checked_in_scan)
            ELSE public.feed_entry(last.scanned_at, last.scanned_by, last.scan_id)
        END)) AS "row"
   FROM ((public.vip_guest_passes p
     JOIN public.vip_reservations r ON ((r.id = p.reservation_id)))
     LEFT JOIN LATERAL ( SELECT s.scanned_at,
            s.scanned_by,
            s.scan_id
           FROM public.vip_scan_logs s
          WHERE (s.pass_id = p.id)
          ORDER BY s.scanned_at DESC, s.scanned_by DESC, s.scan_id DESC
         LIMIT 1) last ON (true));
CREATE TABLE public.feed_digests (
    event_id uuid NOT NULL,
    generation bigint NOT NULL,
    version bigint NOT NULL,
    digest text NOT NULL,
    computed_at timestamp with time zone NOT NULL
);
CREATE VIEW public.feed_events WITH (security_invoker='true') AS
 SELECT e.id AS event_id,
    jsonb_build_object('t', 'event', 'event_id', e.id, 'code', e.code, 'name', public.feed_text(e.name), 'doors_open_at', public.feed_time(e.doors_open_at), 'ends_at', public.feed_time(e.ends_at), 'status', e.status, 'capacity', e.venue_capacity, 'isolation', e.isolation_policy, 'homes', e.home_gates, 'retired', e.retired_gates) AS "row"
   FROM public.events e;
CREATE VIEW public.feed_tables WITH (security_invoker='true') AS
 SELECT r.event_id,
    r.id AS reservation_id,
    jsonb_build_object('t', 'table', 'reservation_id', r.id, 'event_id', r.event_id, 'number', (r.table_number)::text, 'name', public.feed_text(v.table_name), 'tier', v.tier, 'status', r.status, 'host', public.feed_text(r.purchaser_name), 'seats', public.vip_seats(r.package_snapshot, v.capacity), 'arrived', r.checked_in_guests, 'guests', jsonb_path_query_array((COALESCE(passes.names, '[]'::jsonb) || COALESCE(linked.names, '[]'::jsonb)), '$[0 to 59]'::jsonpath)) AS "row"
   FROM (((public.vip_reservations r
     JOIN public.event_vip_tables v ON ((v.id = r.event_vip_table_id)))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(public.feed_text(first.guest_name) ORDER BY first.guest_number) AS names
           FROM ( SELECT p.guest_name,
                    p.guest_number
                   FROM public.vip_guest_passes p
                  WHERE ((p.reservation_id = r.id) AND (p.status <> 'cancelled'::text) AND (p.guest_name <> ''::text))
                  ORDER BY p.guest_number
                 LIMIT 60) first) passes ON (true))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(public.feed_text(first.guest_name) ORDER BY first.created_at, first.id) AS names
           FROM ( SELECT t.guest_name,
                    l.created_at,
                    l.id
                   FROM (public.vip_linked_tickets l
                     JOIN public.tickets t ON ((t.id = l.ticket_id)))
                  WHERE ((l.vip_reservation_id = r.id) AND (NOT l.is_booker_purchase) AND (t.guest_name <> ''::text))
                  ORDER BY l.created_at, l.id
                 LIMIT 60) first) linked ON (true));
CREATE VIEW public.gate_nights WITH (security_invoker='true') AS
 SELECT COALESCE(served.gate_id, held.gate_id) AS gate_id,
    e.id AS event_id,
    e.code,
    e.name,
    held.version,
    held.generation,
    held.count,
    e.admission_version AS hub_version,
    e.feed_generation AS hub_generation,
    late.changes AS behind,
        CASE
            WHEN (held.version IS NULL) THEN 'unknown'::text
            WHEN (ROW(held.generation, held.version) > ROW(e.feed_generation, e.admission_version)) THEN 'differs'::text
            WHEN (held.digest <> d.digest) THEN 'differs'::text
            WHEN ((held.generation < e.feed_generation) OR (late.changes > 0)) THEN 'behind'::text
            WHEN (d.digest IS NULL) THEN 'unknown'::text
            ELSE 'in sync'::text
        END AS state,
    e.doors_open_at,
    e.ends_at,
    e.isolation_policy,
    e.home_gates,
    e.retired_gates
   FROM ((((public.gate_events served
     FULL JOIN ( SELECT s.gate_id,
            h.event_id,
            h.version,
            h.generation,
            h.count,
            h.digest,
            COALESCE(s.heard_at, s.said_at, now()) AS as_of
           FROM (public.gate_status s
             CROSS JOIN LATERAL jsonb_to_recordset(s.held) h(event_id uuid, version bigint, generation bigint, count bigint, digest text))) held ON (((held.gate_id = served.gate_id) AND (held.event_id = served.event_id))))
     JOIN public.events e ON ((e.id = COALESCE(served.event_id, held.event_id))))
     LEFT JOIN LATERAL ( SELECT count(*) AS changes
           FROM ( SELECT
                   FROM public.admission_changes c
                  WHERE ((c.event_id = e.id) AND (c.version > held.version) AND (c.created_at < (held.as_of - '00:00:05'::interval)))
                 LIMIT 10000) missed) late ON (true))
     LEFT JOIN public.feed_digests d ON (((d.event_id = e.id) AND (d.generation = held.generation) AND (d.version = held.version))))
  WHERE (e.ends_at > (now() - '1 day'::interval));
CREATE TABLE public.scan_places (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    scan_id uuid NOT NULL,
    said_id uuid,
    received_at timestamp with time zone NOT NULL,
    refers_to uuid,
    one_time_code_hash text
);
CREATE TABLE public.scan_repeats (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    scan_id uuid NOT NULL,
    payload_hash text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT scan_repeats_seq_positive CHECK ((seq > 0))
);
CREATE VIEW public.gate_health WITH (security_invoker='true') AS
 SELECT g.gate_id,
    g.venue,
    g.name,
    ((g.status = 'revoked'::text) OR (g.revoked_at IS NOT NULL)) AS revoked,
        CASE
            WHEN (s.gate_id IS NULL) THEN 'never'::text
            WHEN (NOT s.online) THEN 'offline'::text
            WHEN ((s.heard_at IS NULL) OR (s.heard_at < (now() - '00:00:45'::interval))) THEN 'silent'::text
            ELSE 'online'::text
        END AS link,
    s.heard_at,
    s.said_at,
    s.version,
    s.boot_id,
    s.epoch,
    s.last_seq,
    s.acked,
    s.unacked,
    s.isolated,
    s.door,
    s.way,
    s.parts,
    s.counters,
    s.clock,
    s.clock_offset_ms,
    s.clock_uncertainty_ms,
    w.seq AS watermark,
    COALESCE(kept.lag, (0)::bigint) AS lag,
    COALESCE(above.gap, (0)::bigint) AS gap,
        CASE
            WHEN (kept.lag > 0) THEN (s.oldest_unacked_s + (GREATEST(EXTRACT(epoch FROM (now() - s.heard_at)), (0)::numeric))::bigint)
            ELSE NULL::bigint
        END AS oldest_unacked_s,
    COALESCE(nights.nights, '[]'::jsonb) AS nights
   FROM (((((public.gates g
     LEFT JOIN public.gate_status s ON ((s.gate_id = g.gate_id)))
     LEFT JOIN public.gate_watermarks w ON (((w.gate_id = s.gate_id) AND (w.epoch = s.epoch))))
     LEFT JOIN LATERAL ( SELECT GREATEST((s.last_seq - COALESCE(w.seq, (0)::bigint)), (0)::bigint) AS lag) kept ON ((s.epoch IS NOT NULL)))
     LEFT JOIN LATERAL ( SELECT count(*) AS gap
           FROM (( SELECT l.seq
                   FROM public.scan_places l
                  WHERE ((l.gate_id = s.gate_id) AND (l.epoch = s.epoch) AND (l.seq > COALESCE(w.seq, (0)::bigint)))
                 LIMIT 10000)
                UNION
                ( SELECT r.seq
                   FROM public.scan_repeats r
                  WHERE ((r.gate_id = s.gate_id) AND (r.epoch = s.epoch) AND (r.seq > COALESCE(w.seq, (0)::bigint)))
                 LIMIT 10000)
                UNION
                ( SELECT q.seq
                   FROM public.scan_quarantine q
                  WHERE ((q.gate_id = s.gate_id) AND (q.epoch = s.epoch) AND (q.seq > COALESCE(w.seq, (0)::bigint)))
                 LIMIT 10000)) waiting) above ON ((s.epoch IS NOT NULL)))
     LEFT JOIN LATERAL ( SELECT jsonb_agg((to_jsonb(n.*) - 'gate_id'::text) ORDER BY n.code) AS nights
           FROM public.gate_nights n
          WHERE (n.gate_id = g.gate_id)) nights ON (true));
CREATE TABLE public.hub_locks (
    name text NOT NULL
);
CREATE TABLE public.lends (
    code_hash text NOT NULL,
    gate_id text NOT NULL,
    event_id uuid NOT NULL,
    lent boolean,
    asked_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone
);
CREATE TABLE public.orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    stripe_payment_intent_id text,
    stripe_session_id text,
    stripe_customer_id text,
    customer_email text,
    customer_name text,
    total_amount numeric(10,2) DEFAULT 0 NOT NULL,
    total_amount_cents integer DEFAULT 0 NOT NULL,
    currency text DEFAULT 'usd'::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    event_id uuid,
    event_name text DEFAULT ''::text NOT NULL,
    ticket_count integer DEFAULT 0 NOT NULL,
    completed_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT orders_amount CHECK ((total_amount_cents >= 0)),
    CONSTRAINT orders_currency CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT orders_status CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text, 'refunded'::text]))),
    CONSTRAINT orders_ticket_count CHECK ((ticket_count >= 0))
);
CREATE TABLE public.owner_assignments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT owner_assignments_role CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text])))
);
CREATE TABLE public.payment_failures (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    stripe_event_id text,
    stripe_payment_intent_id text,
    customer_email text,
    amount_cents integer DEFAULT 0 NOT NULL,
    error_message text DEFAULT ''::text NOT NULL,
    error_code text,
    payment_type text NOT NULL,
    event_id uuid,
    resolved boolean DEFAULT false NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payment_failures_amount CHECK ((amount_cents >= 0)),
    CONSTRAINT payment_failures_resolved CHECK ((resolved = (resolved_at IS NOT NULL))),
    CONSTRAINT payment_failures_type CHECK ((payment_type = ANY (ARRAY['ga_ticket'::text, 'vip_reservation'::text])))
);
CREATE TABLE public.payments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    order_id uuid,
    stripe_payment_intent_id text,
    amount numeric(10,2) DEFAULT 0 NOT NULL,
    amount_cents integer DEFAULT 0 NOT NULL,
    currency text DEFAULT 'usd'::text NOT NULL,
    status text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payments_amount CHECK ((amount_cents >= 0)),
    CONSTRAINT payments_currency CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT payments_status CHECK ((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'refunded'::text])))
);
CREATE TABLE public.refunds (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid,
    order_id uuid,
    reservation_id uuid,
    stripe_payment_intent_id text NOT NULL,
    amount_cents integer NOT NULL,
    currency text DEFAULT 'usd'::text NOT NULL,
    reason text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    stripe_refund_id text,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT refunds_amount CHECK ((amount_cents > 0)),
    CONSTRAINT refunds_attempts CHECK ((attempts >= 0)),
    CONSTRAINT refunds_currency CHECK ((currency ~ '^[a-z]{3}$'::text)),
    CONSTRAINT refunds_status CHECK ((status = ANY (ARRAY['queued'::text, 'sent'::text, 'done'::text, 'failed'::text])))
);
CREATE TABLE public.revocations (
    gate_id text NOT NULL,
    stolen boolean NOT NULL,
    listed_at timestamp with time zone,
    thrown_out_at timestamp with time zone,
    refused_at timestamp with time zone,
    trouble text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.scan_conflicts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    code_hash text NOT NULL,
    ticket_id uuid,
    winner_scan uuid NOT NULL,
    loser_scan uuid NOT NULL,
    rule text NOT NULL,
    withdrawn_at timestamp with time zone,
    acknowledged_by text,
    acknowledged_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT scan_conflicts_rule CHECK ((rule = ANY (ARRAY['earlier'::text, 'gate'::text]))),
    CONSTRAINT scan_conflicts_two CHECK ((winner_scan <> loser_scan))
);
CREATE TABLE public.scan_counts (
    event_id uuid,
    gate_id text NOT NULL,
    day date NOT NULL,
    record text NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    kind text NOT NULL,
    count bigint NOT NULL,
    annulled bigint NOT NULL
);
CREATE TABLE public.scan_logs_default (
    scan_id uuid NOT NULL,
    said_id uuid,
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    boot_id text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    monotonic_ms bigint NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    rule integer NOT NULL,
    kind text NOT NULL,
    clock text NOT NULL,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    event_id uuid,
    subject_id uuid,
    code_hash text,
    raw_hash text,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    scan_method text NOT NULL,
    cache_version bigint,
    cache_age_s bigint,
    released boolean NOT NULL,
    record text NOT NULL,
    refers_to uuid,
    heard jsonb DEFAULT '[]'::jsonb NOT NULL,
    actor text DEFAULT ''::text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    payload_hash text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    actuated boolean,
    annulled_at timestamp with time zone,
    corrected_at timestamp with time zone,
    corrected_uncertainty_ms bigint,
    one_time_code_hash text,
    CONSTRAINT scan_logs_annulled CHECK (((annulled_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (annulled_at < '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT scan_logs_record CHECK ((record = ANY (ARRAY['scan'::text, 'passed'::text, 'annulled'::text, 'event'::text]))),
    CONSTRAINT scan_logs_seq_positive CHECK ((seq > 0)),
    CONSTRAINT scan_logs_time CHECK (((occurred_at >= '1970-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT scan_logs_verdict CHECK ((verdict = ANY (ARRAY['admit'::text, 'deny'::text, 'none'::text])))
);
CREATE TABLE public.scan_tallies (
    gate_id text NOT NULL,
    record text NOT NULL,
    verdict text NOT NULL,
    count bigint NOT NULL
);
CREATE VIEW public.scan_times WITH (security_invoker='true') AS
 SELECT p.scan_id,
    p.gate_id,
    p.epoch,
    p.seq,
    s.boot_id,
    s.corrected_at,
    s.corrected_uncertainty_ms,
    ((s.clock = 'synced'::text) OR (c.base IS NOT NULL)) AS is_heard,
        CASE
            WHEN (s.clock = 'synced'::text) THEN s.occurred_at
            WHEN (c.base IS NOT NULL) THEN public.after_boot(c.base, s.monotonic_ms)
            ELSE LEAST(s.occurred_at, s.received_at)
        END AS at,
        CASE
            WHEN (s.clock = 'synced'::text) THEN s.clock_uncertainty_ms
            WHEN (c.base IS NOT NULL) THEN (c.uncertainty_ms + (ceil(((abs((s.monotonic_ms - c.monotonic_ms)))::numeric / 10000.0)))::bigint)
            ELSE NULL::bigint
        END AS uncertainty_ms,
        CASE
            WHEN ((s.clock = 'synced'::text) AND public.is_countable(s.monotonic_ms)) THEN (s.occurred_at - ((s.monotonic_ms)::double precision * '00:00:00.001'::interval))
            ELSE NULL::timestamp with time zone
        END AS base,
    s.monotonic_ms,
    c.base AS clock_base,
    c.monotonic_ms AS clock_monotonic_ms,
    c.uncertainty_ms AS clock_uncertainty_ms,
    p.received_at
   FROM ((public.scan_places p
     JOIN public.scan_logs s ON (((s.scan_id = p.scan_id) AND (s.received_at = p.received_at))))
     LEFT JOIN public.boot_clocks c ON (((s.clock <> 'synced'::text) AND public.is_countable(s.monotonic_ms) AND (c.gate_id = s.gate_id) AND (c.boot_id = s.boot_id))));
CREATE TABLE public.settlings (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    whole boolean NOT NULL,
    asked bigint DEFAULT 1 NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.staff (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    role text DEFAULT 'staff'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT staff_role CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'staff'::text])))
);
CREATE TABLE public.state_transitions (
    machine text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    condition text DEFAULT ''::text NOT NULL,
    CONSTRAINT state_transitions_condition CHECK ((condition = ANY (ARRAY[''::text, 'before_start'::text, 'annulled'::text])))
);
CREATE TABLE public.webhook_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    stripe_event_id text NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    outcome text,
    processed_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY public.scan_logs ATTACH PARTITION public.scan_logs_default DEFAULT;
ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_email_key UNIQUE (email);
ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.active_hubs
    ADD CONSTRAINT active_hubs_pkey PRIMARY KEY (venue);
ALTER TABLE ONLY public.admission_changes
    ADD CONSTRAINT admission_changes_pkey PRIMARY KEY (event_id, version);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_scan_key UNIQUE (scan_id, gate_id, reason);
ALTER TABLE ONLY public.applied_objects
    ADD CONSTRAINT applied_objects_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.backups
    ADD CONSTRAINT backups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.boot_clocks
    ADD CONSTRAINT boot_clocks_pkey PRIMARY KEY (gate_id, boot_id);
ALTER TABLE ONLY public.boots
    ADD CONSTRAINT boots_pkey PRIMARY KEY (gate_id, epoch, boot_id);
ALTER TABLE ONLY public.certificate_requests
    ADD CONSTRAINT certificate_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_pkey PRIMARY KEY (serial);
ALTER TABLE ONLY public.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (gate_id, scan_id);
ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.email_queue
    ADD CONSTRAINT email_queue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_pkey PRIMARY KEY (token_hash);
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_number_key UNIQUE (event_id, table_number);
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_code_key UNIQUE (code);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_name_key UNIQUE (name);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.feed_digests
    ADD CONSTRAINT feed_digests_pkey PRIMARY KEY (event_id, generation, version);
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_pkey PRIMARY KEY (gate_id, event_id);
ALTER TABLE ONLY public.gate_status
    ADD CONSTRAINT gate_status_pkey PRIMARY KEY (gate_id);
ALTER TABLE ONLY public.gate_watermarks
    ADD CONSTRAINT gate_watermarks_pkey PRIMARY KEY (gate_id, epoch);
ALTER TABLE ONLY public.gates
    ADD CONSTRAINT gates_gate_id_key UNIQUE (gate_id);
ALTER TABLE ONLY public.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hub_locks
    ADD CONSTRAINT hub_locks_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.lends
    ADD CONSTRAINT lends_pkey PRIMARY KEY (code_hash, gate_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_stripe_payment_intent_id_key UNIQUE (stripe_payment_intent_id);
ALTER TABLE ONLY public.owner_assignments
    ADD CONSTRAINT owner_assignments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.owner_assignments
    ADD CONSTRAINT owner_assignments_user_key UNIQUE (user_id);
ALTER TABLE ONLY public.payment_failures
    ADD CONSTRAINT payment_failures_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.payment_failures
    ADD CONSTRAINT payment_failures_stripe_event_id_key UNIQUE (stripe_event_id);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_stripe_payment_intent_id_key UNIQUE (stripe_payment_intent_id);
ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_payment_key UNIQUE (stripe_payment_intent_id);
ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (gate_id);
ALTER TABLE ONLY public.scan_conflicts
    ADD CONSTRAINT scan_conflicts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.scan_counts
    ADD CONSTRAINT scan_counts_key UNIQUE NULLS NOT DISTINCT (event_id, gate_id, day, record, verdict, reason, kind);
ALTER TABLE ONLY public.scan_logs
    ADD CONSTRAINT scan_logs_scan_id_key PRIMARY KEY (scan_id, received_at);
ALTER TABLE ONLY public.scan_logs_default
    ADD CONSTRAINT scan_logs_default_pkey PRIMARY KEY (scan_id, received_at);
ALTER TABLE ONLY public.scan_places
    ADD CONSTRAINT scan_places_pkey PRIMARY KEY (gate_id, epoch, seq);
ALTER TABLE ONLY public.scan_places
    ADD CONSTRAINT scan_places_scan_key UNIQUE (scan_id);
ALTER TABLE ONLY public.scan_quarantine
    ADD CONSTRAINT scan_quarantine_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.scan_repeats
    ADD CONSTRAINT scan_repeats_pkey PRIMARY KEY (gate_id, epoch, seq);
ALTER TABLE ONLY public.scan_tallies
    ADD CONSTRAINT scan_tallies_pkey PRIMARY KEY (gate_id, record, verdict);
ALTER TABLE ONLY public.settlings
    ADD CONSTRAINT settlings_pkey PRIMARY KEY (gate_id, epoch);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_user_key UNIQUE (user_id);
ALTER TABLE ONLY public.state_transitions
    ADD CONSTRAINT state_transitions_pkey PRIMARY KEY (machine, from_state, to_state);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_qr_code_data_key UNIQUE (qr_code_data);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_ticket_id_key UNIQUE (ticket_id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT unique_ticket_stripe_payment UNIQUE (stripe_payment_intent_id, line_number);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_number_key UNIQUE (reservation_id, guest_number);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_qr_code_token_key UNIQUE (qr_code_token);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_ticket_key UNIQUE (ticket_id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_invite_code_key UNIQUE (invite_code);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_qr_code_token_key UNIQUE (qr_code_token);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_stripe_event_id_key UNIQUE (stripe_event_id);
CREATE INDEX alerts_sent ON public.alerts USING btree (venue, gate_id, reason, sent_at) WHERE (sent_at IS NOT NULL);
CREATE INDEX alerts_waiting ON public.alerts USING btree (venue, number) WHERE (sent_at IS NULL);
CREATE INDEX audit_log_time ON public.audit_log USING btree (created_at);
CREATE INDEX backups_taken ON public.backups USING btree (taken_at);
CREATE INDEX boots_of_gate ON public.boots USING btree (gate_id, boot_id) WHERE has_untrusted;
CREATE INDEX certificate_requests_gate ON public.certificate_requests USING btree (gate_id, created_at);
CREATE INDEX certificate_requests_waiting ON public.certificate_requests USING btree (created_at) WHERE (done_at IS NULL);
CREATE INDEX certificates_gate ON public.certificates USING btree (gate_id, not_after);
CREATE INDEX claims_asked ON public.claims USING btree (asked_at);
CREATE INDEX claims_event ON public.claims USING btree (event_id);
CREATE UNIQUE INDEX claims_one_grant ON public.claims USING btree (code_hash) WHERE ((answer = 'granted'::text) AND (released_at IS NULL));
CREATE INDEX claims_open ON public.claims USING btree (gate_id) WHERE ((answer = 'granted'::text) AND (released_at IS NULL) AND (spent_at IS NULL));
CREATE INDEX commands_gate ON public.commands USING btree (gate_id, issued_at);
CREATE INDEX email_queue_due ON public.email_queue USING btree (next_attempt_at) WHERE ((sent_at IS NULL) AND (attempts < 5));
CREATE INDEX enrolments_gate ON public.enrolments USING btree (gate_id);
CREATE INDEX lends_gate ON public.lends USING btree (gate_id, event_id);
CREATE INDEX orders_customer ON public.orders USING btree (lower(customer_email));
CREATE INDEX orders_event ON public.orders USING btree (event_id);
CREATE INDEX payment_failures_age ON public.payment_failures USING btree (created_at);
CREATE INDEX payment_failures_event ON public.payment_failures USING btree (event_id);
CREATE INDEX payment_failures_open ON public.payment_failures USING btree (resolved);
CREATE INDEX payments_order ON public.payments USING btree (order_id);
CREATE INDEX refunds_due ON public.refunds USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['queued'::text, 'sent'::text]));
CREATE INDEX refunds_event ON public.refunds USING btree (event_id);
CREATE INDEX scan_conflicts_code ON public.scan_conflicts USING btree (code_hash);
CREATE UNIQUE INDEX scan_conflicts_loser ON public.scan_conflicts USING btree (loser_scan) WHERE (withdrawn_at IS NULL);
CREATE INDEX scan_conflicts_ticket ON public.scan_conflicts USING btree (ticket_id) WHERE (ticket_id IS NOT NULL);
CREATE INDEX scan_logs_unsynced ON ONLY public.scan_logs USING btree (code_hash) WHERE ((subject_id IS NULL) AND (verdict = 'admit'::text) AND (record = 'scan'::text));
CREATE INDEX scan_logs_default_code_hash_idx ON public.scan_logs_default USING btree (code_hash) WHERE ((subject_id IS NULL) AND (verdict = 'admit'::text) AND (record = 'scan'::text));
CREATE INDEX scan_logs_subject ON ONLY public.scan_logs USING btree (subject_id, occurred_at) WHERE (subject_id IS NOT NULL);
CREATE INDEX scan_logs_default_subject_id_occurred_at_idx ON public.scan_logs_default USING btree (subject_id, occurred_at) WHERE (subject_id IS NOT NULL);
CREATE INDEX scan_places_apart ON public.scan_places USING btree (scan_id) WHERE (said_id IS NOT NULL);
CREATE INDEX scan_places_one_time ON public.scan_places USING btree (one_time_code_hash) WHERE (one_time_code_hash IS NOT NULL);
CREATE INDEX scan_places_refers_to ON public.scan_places USING btree (refers_to) WHERE (refers_to IS NOT NULL);
CREATE UNIQUE INDEX scan_places_said ON public.scan_places USING btree (gate_id, said_id) WHERE (said_id IS NOT NULL);
CREATE UNIQUE INDEX scan_quarantine_once ON public.scan_quarantine USING btree (md5(topic), raw_hash);
CREATE INDEX scan_quarantine_place ON public.scan_quarantine USING btree (gate_id, epoch, seq) WHERE (seq IS NOT NULL);
CREATE UNIQUE INDEX tickets_code_any_case ON public.tickets USING btree (upper(qr_code_data));
CREATE INDEX tickets_code_hash ON public.tickets USING btree (code_hash);
CREATE INDEX tickets_event ON public.tickets USING btree (event_id);
CREATE UNIQUE INDEX tickets_external_reference ON public.tickets USING btree (event_id, external_reference) WHERE (external_reference IS NOT NULL);
CREATE INDEX tickets_guest ON public.tickets USING btree (lower(guest_email));
CREATE INDEX tickets_order ON public.tickets USING btree (order_id);
CREATE UNIQUE INDEX unique_order_stripe_session ON public.orders USING btree (stripe_session_id) WHERE (stripe_session_id IS NOT NULL);
CREATE UNIQUE INDEX unique_vip_stripe_payment ON public.vip_reservations USING btree (stripe_payment_intent_id) WHERE (stripe_payment_intent_id IS NOT NULL);
CREATE UNIQUE INDEX vip_guest_passes_code_any_case ON public.vip_guest_passes USING btree (upper(qr_code_token));
CREATE INDEX vip_guest_passes_code_hash ON public.vip_guest_passes USING btree (code_hash);
CREATE INDEX vip_linked_tickets_reservation ON public.vip_linked_tickets USING btree (vip_reservation_id);
CREATE INDEX vip_reservations_event ON public.vip_reservations USING btree (event_id);
CREATE INDEX vip_reservations_table ON public.vip_reservations USING btree (event_vip_table_id);
CREATE INDEX vip_scan_logs_pass ON public.vip_scan_logs USING btree (pass_id, scanned_at);
CREATE INDEX vip_scan_logs_reservation ON public.vip_scan_logs USING btree (reservation_id);
CREATE UNIQUE INDEX vip_scan_logs_scan ON public.vip_scan_logs USING btree (scan_id) WHERE (scan_id IS NOT NULL);
CREATE INDEX vip_scan_logs_ticket ON public.vip_scan_logs USING btree (ticket_id, scanned_at);
CREATE INDEX webhook_events_age ON public.webhook_events USING btree (processed_at);
ALTER INDEX public.scan_logs_unsynced ATTACH PARTITION public.scan_logs_default_code_hash_idx;
ALTER INDEX public.scan_logs_scan_id_key ATTACH PARTITION public.scan_logs_default_pkey;
ALTER INDEX public.scan_logs_subject ATTACH PARTITION public.scan_logs_default_subject_id_occurred_at_idx;
CREATE TRIGGER audit_log_bounds BEFORE INSERT OR UPDATE ON public.audit_log FOR EACH ROW WHEN (((length(new.actor) > 200) OR (length(new.action) > 200) OR (length(new.target) > 500) OR (length(new.reason) > 500) OR (octet_length((new.details)::text) > 65536))) EXECUTE FUNCTION public.refuse_too_long('actor', '200', 'characters', 'action', '200', 'characters', 'target', '500', 'characters', 'reason', '500', 'characters', 'details', '65536', 'bytes');
CREATE TRIGGER certificates_stay_revoked BEFORE UPDATE ON public.certificates FOR EACH ROW WHEN ((old.revoked_at IS NOT NULL)) EXECUTE FUNCTION public.keep_revoked();
CREATE TRIGGER certificates_wake_authority AFTER UPDATE OF revoked_at ON public.certificates FOR EACH STATEMENT EXECUTE FUNCTION public.wake_authority();
CREATE TRIGGER commands_bounds BEFORE INSERT OR UPDATE ON public.commands FOR EACH ROW WHEN (((length(new.text) > 200) OR (length(new.reason) > 500) OR (length(new.actor) > 200) OR (length(new.why) > 500) OR (length(new.key_id) > 64))) EXECUTE FUNCTION public.refuse_too_long('text', '200', 'characters', 'reason', '500', 'characters', 'actor', '200', 'characters', 'why', '500', 'characters', 'key_id', '64', 'characters');
CREATE TRIGGER commands_touch BEFORE UPDATE ON public.commands FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER email_queue_bounds BEFORE INSERT OR UPDATE ON public.email_queue FOR EACH ROW WHEN (((length(new.recipient) > 320) OR (length(new.kind) > 200) OR (octet_length((new.payload)::text) > 65536) OR (length(new.last_error) > 2000))) EXECUTE FUNCTION public.refuse_too_long('recipient', '320', 'characters', 'kind', '200', 'characters', 'payload', '65536', 'bytes', 'last_error', '2000', 'characters');
CREATE TRIGGER email_queue_touch BEFORE UPDATE ON public.email_queue FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER event_vip_tables_bounds BEFORE INSERT OR UPDATE ON public.event_vip_tables FOR EACH ROW WHEN (((length(new.table_name) > 120) OR (length(new.floor_section) > 120))) EXECUTE FUNCTION public.refuse_too_long('table_name', '120', 'characters', 'floor_section', '120', 'characters');
CREATE TRIGGER event_vip_tables_feed_update AFTER UPDATE ON public.event_vip_tables REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tables();
CREATE TRIGGER event_vip_tables_touch BEFORE UPDATE ON public.event_vip_tables FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER events_bounds BEFORE INSERT OR UPDATE ON public.events FOR EACH ROW WHEN (((length(new.name) > 120) OR (length(new.description) > 5000) OR (octet_length((new.ticket_types)::text) > 16384) OR (length(new.cancelled_by) > 200) OR (length(new.cancellation_reason) > 500) OR (octet_length((new.cancellation)::text) > 65536) OR (cardinality(new.home_gates) > 256) OR (cardinality(new.retired_gates) > 256))) EXECUTE FUNCTION public.refuse_too_long('name', '120', 'characters', 'description', '5000', 'characters', 'ticket_types', '16384', 'bytes', 'cancelled_by', '200', 'characters', 'cancellation_reason', '500', 'characters', 'cancellation', '65536', 'bytes', 'home_gates', '256', 'items', 'retired_gates', '256', 'items');
CREATE TRIGGER events_feed_insert AFTER INSERT ON public.events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_events();
CREATE TRIGGER events_feed_update AFTER UPDATE ON public.events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_events();
CREATE TRIGGER events_state BEFORE UPDATE OF status ON public.events FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.enforce_transition('event');
CREATE TRIGGER events_touch BEFORE UPDATE ON public.events FOR EACH ROW WHEN ((old.admission_version = new.admission_version)) EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER gate_events_at_most AFTER INSERT ON public.gate_events FOR EACH ROW EXECUTE FUNCTION public.enforce_gate_limit();
CREATE TRIGGER gate_status_touch BEFORE UPDATE ON public.gate_status FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER gates_at_most AFTER INSERT ON public.gates FOR EACH ROW EXECUTE FUNCTION public.enforce_gate_limit();
CREATE TRIGGER gates_bounds BEFORE INSERT OR UPDATE ON public.gates FOR EACH ROW WHEN (((length(new.name) > 120) OR (length(new.venue) > 64) OR (length(new.certificate_fingerprint) > 255) OR (length(new.token_hash) > 255) OR (length(new.epoch) > 500) OR (length(new.version) > 500))) EXECUTE FUNCTION public.refuse_too_long('name', '120', 'characters', 'venue', '64', 'characters', 'certificate_fingerprint', '255', 'characters', 'token_hash', '255', 'characters', 'epoch', '500', 'characters', 'version', '500', 'characters');
CREATE TRIGGER gates_touch BEFORE UPDATE ON public.gates FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER gates_wake_authority AFTER INSERT OR UPDATE OF gate_id, status, revoked_at ON public.gates FOR EACH STATEMENT EXECUTE FUNCTION public.wake_authority();
CREATE TRIGGER orders_bounds BEFORE INSERT OR UPDATE ON public.orders FOR EACH ROW WHEN (((length(new.stripe_payment_intent_id) > 255) OR (length(new.stripe_session_id) > 255) OR (length(new.stripe_customer_id) > 255) OR (length(new.customer_email) > 320) OR (length(new.customer_name) > 200) OR (length(new.event_name) > 200) OR (octet_length((new.metadata)::text) > 16384))) EXECUTE FUNCTION public.refuse_too_long('stripe_payment_intent_id', '255', 'characters', 'stripe_session_id', '255', 'characters', 'stripe_customer_id', '255', 'characters', 'customer_email', '320', 'characters', 'customer_name', '200', 'characters', 'event_name', '200', 'characters', 'metadata', '16384', 'bytes');
CREATE TRIGGER orders_state BEFORE UPDATE OF status ON public.orders FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.enforce_transition('order');
CREATE TRIGGER orders_touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER owner_assignments_touch BEFORE UPDATE ON public.owner_assignments FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER payment_failures_bounds BEFORE INSERT OR UPDATE ON public.payment_failures FOR EACH ROW WHEN (((length(new.stripe_event_id) > 255) OR (length(new.stripe_payment_intent_id) > 255) OR (length(new.customer_email) > 320) OR (length(new.error_message) > 2000) OR (length(new.error_code) > 200) OR (length(new.resolved_by) > 200) OR (octet_length((new.metadata)::text) > 16384))) EXECUTE FUNCTION public.refuse_too_long('stripe_event_id', '255', 'characters', 'stripe_payment_intent_id', '255', 'characters', 'customer_email', '320', 'characters', 'error_message', '2000', 'characters', 'error_code', '200', 'characters', 'resolved_by', '200', 'characters', 'metadata', '16384', 'bytes');
CREATE TRIGGER payment_failures_touch BEFORE UPDATE ON public.payment_failures FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER payments_bounds BEFORE INSERT OR UPDATE ON public.payments FOR EACH ROW WHEN (((length(new.stripe_payment_intent_id) > 255) OR (octet_length((new.metadata)::text) > 16384))) EXECUTE FUNCTION public.refuse_too_long('stripe_payment_intent_id', '255', 'characters', 'metadata', '16384', 'bytes');
CREATE TRIGGER payments_touch BEFORE UPDATE ON public.payments FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER refunds_bounds BEFORE INSERT OR UPDATE ON public.refunds FOR EACH ROW WHEN (((length(new.stripe_payment_intent_id) > 255) OR (length(new.stripe_refund_id) > 255) OR (length(new.reason) > 500) OR (length(new.last_error) > 2000))) EXECUTE FUNCTION public.refuse_too_long('stripe_payment_intent_id', '255', 'characters', 'stripe_refund_id', '255', 'characters', 'reason', '500', 'characters', 'last_error', '2000', 'characters');
CREATE TRIGGER refunds_touch BEFORE UPDATE ON public.refunds FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER requests_done AFTER UPDATE ON public.certificate_requests FOR EACH STATEMENT EXECUTE FUNCTION public.tell_authority_done();
CREATE TRIGGER requests_wake_authority AFTER INSERT ON public.certificate_requests FOR EACH STATEMENT EXECUTE FUNCTION public.wake_authority();
CREATE TRIGGER revocations_done AFTER UPDATE ON public.revocations FOR EACH STATEMENT EXECUTE FUNCTION public.tell_authority_done();
CREATE TRIGGER revocations_wake_authority AFTER INSERT ON public.revocations FOR EACH STATEMENT EXECUTE FUNCTION public.wake_authority();
CREATE TRIGGER scan_conflicts_bounds BEFORE INSERT OR UPDATE ON public.scan_conflicts FOR EACH ROW WHEN ((length(new.acknowledged_by) > 200)) EXECUTE FUNCTION public.refuse_too_long('acknowledged_by', '200', 'characters');
CREATE TRIGGER scan_conflicts_touch BEFORE UPDATE ON public.scan_conflicts FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER scan_logs_places AFTER INSERT ON public.scan_logs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.keep_scan_places();
CREATE TRIGGER staff_bounds BEFORE INSERT OR UPDATE ON public.staff FOR EACH ROW WHEN ((length(new.name) > 200)) EXECUTE FUNCTION public.refuse_too_long('name', '200', 'characters');
CREATE TRIGGER staff_touch BEFORE UPDATE ON public.staff FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER tickets_bounds BEFORE INSERT OR UPDATE ON public.tickets FOR EACH ROW WHEN (((length(new.ticket_id) > 200) OR (length(new.event_name) > 200) OR (length(new.ticket_type) > 200) OR (length(new.qr_code_data) > 1024) OR (length(new.qr_signature) > 1024) OR (length(new.stripe_payment_id) > 255) OR (length(new.stripe_payment_intent_id) > 255) OR (length(new.external_reference) > 200) OR (length(new.guest_name) > 200) OR (length(new.guest_email) > 320) OR (length(new.guest_phone) > 50) OR (length(new.checked_in_by) > 200) OR (length(new.last_entry_gate) > 200) OR (octet_length((new.metadata)::text) > 16384))) EXECUTE FUNCTION public.refuse_too_long('ticket_id', '200', 'characters', 'event_name', '200', 'characters', 'ticket_type', '200', 'characters', 'qr_code_data', '1024', 'characters', 'qr_signature', '1024', 'characters', 'stripe_payment_id', '255', 'characters', 'stripe_payment_intent_id', '255', 'characters', 'external_reference', '200', 'characters', 'guest_name', '200', 'characters', 'guest_email', '320', 'characters', 'guest_phone', '50', 'characters', 'checked_in_by', '200', 'characters', 'last_entry_gate', '200', 'characters', 'metadata', '16384', 'bytes');
CREATE TRIGGER tickets_code_hash BEFORE INSERT OR UPDATE OF qr_code_data, code_hash ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.hash_ticket_code();
CREATE TRIGGER tickets_feed_delete AFTER DELETE ON public.tickets REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tickets();
CREATE TRIGGER tickets_feed_insert AFTER INSERT ON public.tickets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tickets();
CREATE TRIGGER tickets_feed_update AFTER UPDATE ON public.tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_ticket_updates();
CREATE TRIGGER tickets_one_winner BEFORE UPDATE ON public.tickets FOR EACH ROW WHEN (((old.checked_in_at IS NOT NULL) AND ((old.checked_in_at IS DISTINCT FROM new.checked_in_at) OR (old.checked_in_by IS DISTINCT FROM new.checked_in_by) OR (old.checked_in_scan IS DISTINCT FROM new.checked_in_scan)))) EXECUTE FUNCTION public.one_winning_admission();
CREATE TRIGGER tickets_state AFTER UPDATE ON public.tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_ticket_transitions();
CREATE TRIGGER tickets_table_update AFTER UPDATE ON public.tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.recount_after_tickets();
CREATE TRIGGER tickets_touch BEFORE UPDATE ON public.tickets FOR EACH ROW WHEN ((old.updated_at = new.updated_at)) EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_guest_passes_bounds BEFORE INSERT OR UPDATE ON public.vip_guest_passes FOR EACH ROW WHEN (((length(new.guest_name) > 200) OR (length(new.qr_code_token) > 1024) OR (length(new.qr_signature) > 1024) OR (length(new.checked_in_by) > 200))) EXECUTE FUNCTION public.refuse_too_long('guest_name', '200', 'characters', 'qr_code_token', '1024', 'characters', 'qr_signature', '1024', 'characters', 'checked_in_by', '200', 'characters');
CREATE TRIGGER vip_guest_passes_code_hash BEFORE INSERT OR UPDATE OF qr_code_token, code_hash ON public.vip_guest_passes FOR EACH ROW EXECUTE FUNCTION public.hash_pass_code();
CREATE TRIGGER vip_guest_passes_feed_delete AFTER DELETE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_feed_insert AFTER INSERT ON public.vip_guest_passes REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_feed_update AFTER UPDATE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_seats_insert AFTER INSERT ON public.vip_guest_passes REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_seats('reservation_id');
CREATE TRIGGER vip_guest_passes_seats_update AFTER UPDATE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_seats('reservation_id');
CREATE TRIGGER vip_guest_passes_state BEFORE UPDATE OF status ON public.vip_guest_passes FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.enforce_transition('guest_pass');
CREATE TRIGGER vip_guest_passes_table_update AFTER UPDATE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.recount_after_passes();
CREATE TRIGGER vip_guest_passes_touch BEFORE UPDATE ON public.vip_guest_passes FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_linked_tickets_bounds BEFORE INSERT OR UPDATE ON public.vip_linked_tickets FOR EACH ROW WHEN (((length(new.purchased_by_email) > 320) OR (length(new.purchased_by_name) > 200) OR (length(new.linked_by) > 200))) EXECUTE FUNCTION public.refuse_too_long('purchased_by_email', '320', 'characters', 'purchased_by_name', '200', 'characters', 'linked_by', '200', 'characters');
CREATE TRIGGER vip_linked_tickets_feed_delete AFTER DELETE ON public.vip_linked_tickets REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_feed_insert AFTER INSERT ON public.vip_linked_tickets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_feed_update AFTER UPDATE ON public.vip_linked_tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_seats_insert AFTER INSERT ON public.vip_linked_tickets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_seats('vip_reservation_id');
CREATE TRIGGER vip_linked_tickets_seats_update AFTER UPDATE ON public.vip_linked_tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.enforce_seats('vip_reservation_id');
CREATE TRIGGER vip_linked_tickets_touch BEFORE UPDATE ON public.vip_linked_tickets FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_reservations_bounds BEFORE INSERT OR UPDATE ON public.vip_reservations FOR EACH ROW WHEN (((length(new.purchaser_name) > 200) OR (length(new.purchaser_email) > 320) OR (length(new.purchaser_phone) > 50) OR (length(new.stripe_payment_intent_id) > 255) OR (length(new.stripe_refund_id) > 255) OR (length(new.qr_code_token) > 1024) OR (length(new.invite_code) > 64) OR (octet_length((new.package_snapshot)::text) > 16384) OR (length(new.special_requests) > 2000) OR (length(new.checked_in_by) > 200))) EXECUTE FUNCTION public.refuse_too_long('purchaser_name', '200', 'characters', 'purchaser_email', '320', 'characters', 'purchaser_phone', '50', 'characters', 'stripe_payment_intent_id', '255', 'characters', 'stripe_refund_id', '255', 'characters', 'qr_code_token', '1024', 'characters', 'invite_code', '64', 'characters', 'package_snapshot', '16384', 'bytes', 'special_requests', '2000', 'characters', 'checked_in_by', '200', 'characters');
CREATE TRIGGER vip_reservations_feed_insert AFTER INSERT ON public.vip_reservations REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_reservations();
CREATE TRIGGER vip_reservations_feed_update AFTER UPDATE ON public.vip_reservations REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_reservations();
CREATE TRIGGER vip_reservations_state BEFORE UPDATE OF status ON public.vip_reservations FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.enforce_transition('reservation');
CREATE TRIGGER vip_reservations_touch BEFORE UPDATE ON public.vip_reservations FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_scan_logs_bounds BEFORE INSERT OR UPDATE ON public.vip_scan_logs FOR EACH ROW WHEN ((length(new.scanned_by) > 200)) EXECUTE FUNCTION public.refuse_too_long('scanned_by', '200', 'characters');
CREATE TRIGGER vip_scan_logs_feed_delete AFTER DELETE ON public.vip_scan_logs REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_vip_scan_logs();
CREATE TRIGGER vip_scan_logs_feed_insert AFTER INSERT ON public.vip_scan_logs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_vip_scan_logs();
CREATE TRIGGER vip_scan_logs_feed_update AFTER UPDATE ON public.vip_scan_logs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_vip_scan_logs();
CREATE TRIGGER webhook_events_bounds BEFORE INSERT OR UPDATE ON public.webhook_events FOR EACH ROW WHEN (((length(new.stripe_event_id) > 255) OR (length(new.kind) > 200) OR (length(new.outcome) > 500))) EXECUTE FUNCTION public.refuse_too_long('stripe_event_id', '255', 'characters', 'kind', '200', 'characters', 'outcome', '500', 'characters');
ALTER TABLE ONLY public.certificate_requests
    ADD CONSTRAINT certificate_requests_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT certificates_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_request_fkey FOREIGN KEY (request_id) REFERENCES public.certificate_requests(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.feed_digests
    ADD CONSTRAINT feed_digests_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.gate_status
    ADD CONSTRAINT gate_status_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.payment_failures
    ADD CONSTRAINT payment_failures_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_order_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);
ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_order_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);
ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.scan_conflicts
    ADD CONSTRAINT scan_conflicts_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES public.tickets(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_order_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_order_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_reservation_fkey FOREIGN KEY (vip_reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_table_fkey FOREIGN KEY (event_vip_table_id) REFERENCES public.event_vip_tables(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_pass_fkey FOREIGN KEY (pass_id) REFERENCES public.vip_guest_passes(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE public.active_hubs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.admission_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.applied_objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.backups ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.boot_clocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.boots ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.certificate_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.certificates ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.claims ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.commands ENABLE ROW LEVEL SECURITY;
CREATE POLICY customers_see_their_own ON public.orders FOR SELECT TO authenticated USING ((lower(customer_email) = ( SELECT public.my_email() AS my_email)));
CREATE POLICY customers_see_their_own ON public.payments FOR SELECT TO authenticated USING ((order_id IN ( SELECT orders.id
   FROM public.orders
  WHERE (lower(orders.customer_email) = ( SELECT public.my_email() AS my_email)))));
CREATE POLICY customers_see_their_own ON public.tickets FOR SELECT TO authenticated USING (((lower(guest_email) = ( SELECT public.my_email() AS my_email)) OR (order_id IN ( SELECT orders.id
   FROM public.orders
  WHERE (lower(orders.customer_email) = ( SELECT public.my_email() AS my_email))))));
CREATE POLICY customers_see_their_own ON public.vip_guest_passes FOR SELECT TO authenticated USING ((reservation_id IN ( SELECT vip_reservations.id
   FROM public.vip_reservations
  WHERE (lower(vip_reservations.purchaser_email) = ( SELECT public.my_email() AS my_email)))));
CREATE POLICY customers_see_their_own ON public.vip_linked_tickets FOR SELECT TO authenticated USING ((vip_reservation_id IN ( SELECT vip_reservations.id
   FROM public.vip_reservations
  WHERE (lower(vip_reservations.purchaser_email) = ( SELECT public.my_email() AS my_email)))));
CREATE POLICY customers_see_their_own ON public.vip_reservations FOR SELECT TO authenticated USING ((lower(purchaser_email) = ( SELECT public.my_email() AS my_email)));
ALTER TABLE public.email_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.enrolments ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.event_vip_tables ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_sees_what_is_on ON public.event_vip_tables FOR SELECT TO anon, authenticated USING ((event_id IN ( SELECT events.id
   FROM public.events
  WHERE (events.status = 'scheduled'::text))));
CREATE POLICY everybody_sees_what_is_on ON public.events FOR SELECT TO anon, authenticated USING ((status = 'scheduled'::text));
ALTER TABLE public.feed_digests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.gate_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.gate_status ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.gate_watermarks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.gates ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.hub_locks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.lends ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.owner_assignments ENABLE ROW LEVEL SECURITY;
CREATE POLICY owners_manage ON public.staff TO authenticated USING (( SELECT public.is_owner() AS is_owner)) WITH CHECK (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.audit_log FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.commands FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.orders FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.owner_assignments FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.payments FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.refunds FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.scan_counts FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_see ON public.scan_quarantine FOR SELECT TO authenticated USING (( SELECT public.is_owner() AS is_owner));
CREATE POLICY owners_update_payment_failures ON public.payment_failures FOR UPDATE TO authenticated USING (public.is_owner()) WITH CHECK (public.is_owner());
CREATE POLICY owners_view_payment_failures ON public.payment_failures FOR SELECT TO authenticated USING (public.is_owner());
ALTER TABLE public.payment_failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.payments ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.refunds ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.revocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_conflicts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_places ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_repeats ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.scan_tallies ENABLE ROW LEVEL SECURITY;
CREATE POLICY service_insert_payment_failures ON public.payment_failures FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY service_works ON public.active_hubs TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.admission_changes TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.alerts TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.applied_objects TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.audit_log TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.backups TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.boot_clocks TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.boots TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.certificate_requests TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.certificates TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.claims TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.commands TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.email_queue TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.enrolments TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.event_vip_tables TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.events TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.feed_digests TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.gate_events TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.gate_status TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.gate_watermarks TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.gates TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.hub_locks TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.lends TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.orders TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.owner_assignments TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.payment_failures TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.payments TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.refunds TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.revocations TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_conflicts TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_counts TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_logs TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_places TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_quarantine TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_repeats TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.scan_tallies TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.settlings TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.staff TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.state_transitions TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.tickets TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.vip_guest_passes TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.vip_linked_tickets TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.vip_reservations TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.vip_scan_logs TO service_role USING (true) WITH CHECK (true);
CREATE POLICY service_works ON public.webhook_events TO service_role USING (true) WITH CHECK (true);
ALTER TABLE public.settlings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.staff ENABLE ROW LEVEL SECURITY;
CREATE POLICY staff_acknowledges ON public.scan_conflicts FOR UPDATE TO authenticated USING (((acknowledged_by IS NULL) AND ( SELECT public.is_staff() AS is_staff))) WITH CHECK (((acknowledged_by = ( SELECT public.acting_as() AS acting_as)) AND (acknowledged_at IS NOT NULL)));
CREATE POLICY staff_sees ON public.event_vip_tables FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.events FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.gate_status FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.gates FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.scan_conflicts FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.scan_logs FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.tickets FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.vip_guest_passes FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.vip_linked_tickets FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.vip_reservations FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
CREATE POLICY staff_sees ON public.vip_scan_logs FOR SELECT TO authenticated USING (( SELECT public.is_staff() AS is_staff));
ALTER TABLE public.state_transitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.vip_guest_passes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.vip_linked_tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.vip_reservations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.vip_scan_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.webhook_events ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA auth TO anon;
GRANT USAGE ON SCHEMA auth TO authenticated;
GRANT USAGE ON SCHEMA auth TO service_role;
GRANT USAGE ON SCHEMA public TO anon;
GRANT USAGE ON SCHEMA public TO authenticated;
GRANT USAGE ON SCHEMA public TO service_role;
REVOKE ALL ON FUNCTION public.acting_as() FROM PUBLIC;
GRANT ALL ON FUNCTION public.acting_as() TO service_role;
GRANT ALL ON FUNCTION public.acting_as() TO authenticated;
REVOKE ALL ON FUNCTION public.add_to_guest_list(p_reservation_id uuid, p_ticket_id uuid, p_actor text, p_by_staff boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.add_to_guest_list(p_reservation_id uuid, p_ticket_id uuid, p_actor text, p_by_staff boolean) TO service_role;
REVOKE ALL ON FUNCTION public.admitted_already(p_gate text, p_code text, p_subject uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.admitted_already(p_gate text, p_code text, p_subject uuid) TO service_role;
REVOKE ALL ON FUNCTION public.admitted_by(p_scans uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.admitted_by(p_scans uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.advance_watermark(p_gate text, p_epoch text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.advance_watermark(p_gate text, p_epoch text) TO service_role;
REVOKE ALL ON FUNCTION public.after_boot(p_base timestamp with time zone, p_monotonic_ms bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.after_boot(p_base timestamp with time zone, p_monotonic_ms bigint) TO service_role;
REVOKE ALL ON FUNCTION public.append_rows(p_events uuid[], p_rows jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.append_rows(p_events uuid[], p_rows jsonb[]) TO service_role;
REVOKE ALL ON FUNCTION public.archive_partition(p_part text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.archive_partition(p_part text) TO service_role;
REVOKE ALL ON FUNCTION public.archive_scans(p_before date, p_is_dry boolean, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.archive_scans(p_before date, p_is_dry boolean, p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.scan_logs TO service_role;
GRANT SELECT ON TABLE public.scan_logs TO authenticated;
REVOKE ALL ON FUNCTION public.are_names_new(p_records public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.are_names_new(p_records public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.as_admission(p_scan public.scan_logs) FROM PUBLIC;
GRANT ALL ON FUNCTION public.as_admission(p_scan public.scan_logs) TO service_role;
REVOKE ALL ON FUNCTION public.assign_home_gates(p_gate text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.assign_home_gates(p_gate text, p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.events TO service_role;
GRANT SELECT(id) ON TABLE public.events TO anon;
GRANT SELECT(id) ON TABLE public.events TO authenticated;
GRANT SELECT(name) ON TABLE public.events TO anon;
GRANT SELECT(name) ON TABLE public.events TO authenticated;
GRANT SELECT(code) ON TABLE public.events TO anon;
GRANT SELECT(code) ON TABLE public.events TO authenticated;
GRANT SELECT(description) ON TABLE public.events TO anon;
GRANT SELECT(description) ON TABLE public.events TO authenticated;
GRANT SELECT(event_date) ON TABLE public.events TO anon;
GRANT SELECT(event_date) ON TABLE public.events TO authenticated;
GRANT SELECT(doors_open_at) ON TABLE public.events TO anon;
GRANT SELECT(doors_open_at) ON TABLE public.events TO authenticated;
GRANT SELECT(starts_at) ON TABLE public.events TO anon;
GRANT SELECT(starts_at) ON TABLE public.events TO authenticated;
GRANT SELECT(ends_at) ON TABLE public.events TO anon;
GRANT SELECT(ends_at) ON TABLE public.events TO authenticated;
GRANT SELECT(venue_capacity) ON TABLE public.events TO anon;
GRANT SELECT(venue_capacity) ON TABLE public.events TO authenticated;
GRANT SELECT(ticket_types) ON TABLE public.events TO anon;
GRANT SELECT(ticket_types) ON TABLE public.events TO authenticated;
GRANT SELECT(status) ON TABLE public.events TO anon;
GRANT SELECT(status) ON TABLE public.events TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.vip_reservations TO service_role;
GRANT SELECT ON TABLE public.vip_reservations TO authenticated;
REVOKE ALL ON FUNCTION public.audit_list_change(p_action text, p_event public.events, p_reservation public.vip_reservations, p_ticket_id uuid, p_actor text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.audit_list_change(p_action text, p_event public.events, p_reservation public.vip_reservations, p_ticket_id uuid, p_actor text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.become_active(p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.become_active(p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.booking_refusal(p_purchaser jsonb, p_amount_cents integer, p_package jsonb, p_guest_passes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.booking_refusal(p_purchaser jsonb, p_amount_cents integer, p_package jsonb, p_guest_passes integer) TO service_role;
REVOKE ALL ON FUNCTION public.cancel_event(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_event(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) TO service_role;
GRANT ALL ON FUNCTION public.cancel_event(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) TO authenticated;
REVOKE ALL ON FUNCTION public.cancel_table_by_hand(p_event_id uuid, p_table_number integer, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_table_by_hand(p_event_id uuid, p_table_number integer, p_actor text, p_reason text) TO service_role;
REVOKE ALL ON FUNCTION public.cancellation_numbers(p_event public.events) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancellation_numbers(p_event public.events) TO service_role;
REVOKE ALL ON FUNCTION public.cancellation_refusal(p_event public.events, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancellation_refusal(p_event public.events, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.check_character(p_code text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_character(p_code text) TO service_role;
REVOKE ALL ON FUNCTION public.check_in(p_first_entries public.scan_logs[], p_codes_twice text[], p_annulled uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_in(p_first_entries public.scan_logs[], p_codes_twice text[], p_annulled uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.check_in_passes(p_scans uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_in_passes(p_scans uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.check_transition(p_machine text, p_from text, p_to text, p_is_annulled boolean, p_events uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_transition(p_machine text, p_from text, p_to text, p_is_annulled boolean, p_events uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.check_vip_capacity(p_reservation_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_vip_capacity(p_reservation_id uuid) TO service_role;
GRANT ALL ON FUNCTION public.check_vip_capacity(p_reservation_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.check_vip_linked_ticket_reentry(p_ticket_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_vip_linked_ticket_reentry(p_ticket_id uuid) TO service_role;
GRANT ALL ON FUNCTION public.check_vip_linked_ticket_reentry(p_ticket_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.checkout_answer(p_order_id uuid, p_already boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.checkout_answer(p_order_id uuid, p_already boolean) TO service_role;
REVOKE ALL ON FUNCTION public.claim_answer(p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_answer(p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.claim_entry(p_venue text, p_gate text, p_scan uuid, p_code_hash text, p_event uuid, p_epoch text, p_heard text[], p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_entry(p_venue text, p_gate text, p_scan uuid, p_code_hash text, p_event uuid, p_epoch text, p_heard text[], p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.claim_holder(p_gate text, p_epoch text, p_code_hash text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_holder(p_gate text, p_epoch text, p_code_hash text, p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.gates TO service_role;
GRANT SELECT(id) ON TABLE public.gates TO authenticated;
GRANT SELECT(gate_id) ON TABLE public.gates TO authenticated;
GRANT SELECT(venue) ON TABLE public.gates TO authenticated;
GRANT SELECT(name) ON TABLE public.gates TO authenticated;
GRANT SELECT(epoch) ON TABLE public.gates TO authenticated;
GRANT SELECT(version) ON TABLE public.gates TO authenticated;
GRANT SELECT(last_seen_at) ON TABLE public.gates TO authenticated;
GRANT SELECT(status) ON TABLE public.gates TO authenticated;
GRANT SELECT(revoked_at) ON TABLE public.gates TO authenticated;
GRANT SELECT(created_at) ON TABLE public.gates TO authenticated;
GRANT SELECT(updated_at) ON TABLE public.gates TO authenticated;
REVOKE ALL ON FUNCTION public.is_revoked(p_gate text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_revoked(p_gate text) TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.gate_events TO service_role;
REVOKE ALL ON FUNCTION public.claim_refusal(p_venue text, p_gate text, p_event uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_refusal(p_venue text, p_gate text, p_event uuid) TO service_role;
REVOKE ALL ON FUNCTION public.claim_subject(p_code_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_subject(p_code_hash text) TO service_role;
REVOKE ALL ON FUNCTION public.cleanup_expired_webhook_idempotency(p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cleanup_expired_webhook_idempotency(p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.code_lock(p_code text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.code_lock(p_code text) TO service_role;
REVOKE ALL ON FUNCTION public.codes_admitted_twice(p_codes text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.codes_admitted_twice(p_codes text[]) TO service_role;
REVOKE ALL ON FUNCTION public.complete_finished_events(p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.complete_finished_events(p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.confirm_table_by_hand(p_event_id uuid, p_table_number integer, p_amount_cents integer, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.confirm_table_by_hand(p_event_id uuid, p_table_number integer, p_amount_cents integer, p_actor text, p_reason text) TO service_role;
REVOKE ALL ON FUNCTION public.confirm_vip_reservation(p_reservation_id uuid, p_stripe_payment_intent_id text, p_amount_cents integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.confirm_vip_reservation(p_reservation_id uuid, p_stripe_payment_intent_id text, p_amount_cents integer, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.create_unified_vip_checkout(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_ticket jsonb, p_stripe_payment_intent_id text, p_stripe_session_id text, p_package jsonb, p_guest_passes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_unified_vip_checkout(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_ticket jsonb, p_stripe_payment_intent_id text, p_stripe_session_id text, p_package jsonb, p_guest_passes integer) TO service_role;
REVOKE ALL ON FUNCTION public.create_vip_reservation_atomic(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_stripe_payment_intent_id text, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_vip_reservation_atomic(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_stripe_payment_intent_id text, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.cut_name(p_text text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cut_name(p_text text) TO service_role;
REVOKE ALL ON FUNCTION public.dismiss_staff(p_user_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.dismiss_staff(p_user_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.refuse(p_error text, p_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse(p_error text, p_message text) TO service_role;
REVOKE ALL ON FUNCTION public.duplicate_refusal(p_constraint text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.duplicate_refusal(p_constraint text) TO service_role;
REVOKE ALL ON FUNCTION public.each_once(p_records public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.each_once(p_records public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.enforce_gate_limit() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.enforce_seats() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.enforce_ticket_transitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.enforce_transition() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.ensure_scan_partitions(p_months_ahead integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_scan_partitions(p_months_ahead integer, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.erase_names_in_feed(p_events uuid[], p_tickets uuid[], p_reservations uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_names_in_feed(p_events uuid[], p_tickets uuid[], p_reservations uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.erase_people(p_events uuid[], p_orders uuid[], p_tickets uuid[], p_reservations uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_people(p_events uuid[], p_orders uuid[], p_tickets uuid[], p_reservations uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.erase_person(p_email text, p_actor text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_person(p_email text, p_actor text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.erase_personal_data(p_event_id uuid, p_actor text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_personal_data(p_event_id uuid, p_actor text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.event_availability(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.event_availability(p_event_id uuid) TO service_role;
GRANT ALL ON FUNCTION public.event_availability(p_event_id uuid) TO anon;
GRANT ALL ON FUNCTION public.event_availability(p_event_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.feed_append(p_events uuid[], p_reservations uuid[], p_subjects uuid[], p_removed_events uuid[], p_removed_codes text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_append(p_events uuid[], p_reservations uuid[], p_subjects uuid[], p_removed_events uuid[], p_removed_codes text[]) TO service_role;
REVOKE ALL ON FUNCTION public.feed_digest(p_event uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_digest(p_event uuid) TO service_role;
REVOKE ALL ON FUNCTION public.feed_time(p_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_time(p_at timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.said_of(p_scan uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.said_of(p_scan uuid) TO service_role;
REVOKE ALL ON FUNCTION public.feed_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) TO service_role;
REVOKE ALL ON FUNCTION public.feed_on_events() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_guest_passes() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_linked_tickets() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_reservations() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_tables() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_ticket_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_tickets() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_on_vip_scan_logs() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.feed_restored(p_reason text, p_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_restored(p_reason text, p_actor text) TO service_role;
REVOKE ALL ON FUNCTION public.feed_text(p_text text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.feed_text(p_text text) TO service_role;
REVOKE ALL ON FUNCTION public.free_grant(p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.free_grant(p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.from_start_of_boot(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.from_start_of_boot(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.gates_that_count(p_gates text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.gates_that_count(p_gates text[]) TO service_role;
REVOKE ALL ON FUNCTION public.give_back(p_venue text, p_gate text, p_scan uuid, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.give_back(p_venue text, p_gate text, p_scan uuid, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.give_or_take(p_uncertainty_ms bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.give_or_take(p_uncertainty_ms bigint) TO service_role;
REVOKE ALL ON FUNCTION public.grant_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.grant_entry(p_at timestamp with time zone, p_gate text, p_scan uuid) TO service_role;
REVOKE ALL ON FUNCTION public.guest_list_refusal(p_event public.events, p_by_staff boolean, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.guest_list_refusal(p_event public.events, p_by_staff boolean, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.has_started(p_event public.events, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.has_started(p_event public.events, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.hash_of_code(p_code text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hash_of_code(p_code text) TO service_role;
REVOKE ALL ON FUNCTION public.hash_of_text(p_text text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hash_of_text(p_text text) TO service_role;
REVOKE ALL ON FUNCTION public.hash_pass_code() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hash_ticket_code() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.home_gates_lock(p_event uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.home_gates_lock(p_event uuid) TO service_role;
REVOKE ALL ON FUNCTION public.home_of(p_code_hash text, p_homes text[], p_retired text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.home_of(p_code_hash text, p_homes text[], p_retired text[]) TO service_role;
REVOKE ALL ON FUNCTION public.host_ticket_by_hand(p_event public.events, p_purchaser jsonb, p_ticket jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.host_ticket_by_hand(p_event public.events, p_purchaser jsonb, p_ticket jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.ingest_scans(p_records json, p_topics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ingest_scans(p_records json, p_topics jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.is_apart(p_base timestamp with time zone, p_monotonic_ms bigint, p_other timestamp with time zone, p_other_monotonic_ms bigint, p_give interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_apart(p_base timestamp with time zone, p_monotonic_ms bigint, p_other timestamp with time zone, p_other_monotonic_ms bigint, p_give interval) TO service_role;
REVOKE ALL ON FUNCTION public.is_archived(p_scan uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_archived(p_scan uuid) TO service_role;
REVOKE ALL ON FUNCTION public.is_countable(p_monotonic_ms bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_countable(p_monotonic_ms bigint) TO service_role;
REVOKE ALL ON FUNCTION public.is_one_time(p_verdict text, p_record text, p_reason text, p_kind text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_one_time(p_verdict text, p_record text, p_reason text, p_kind text) TO service_role;
REVOKE ALL ON FUNCTION public.is_owner() FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_owner() TO service_role;
GRANT ALL ON FUNCTION public.is_owner() TO authenticated;
REVOKE ALL ON FUNCTION public.is_payment_used(p_intent text, p_order_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_payment_used(p_intent text, p_order_id uuid) TO service_role;
REVOKE ALL ON FUNCTION public.is_service() FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_service() TO service_role;
REVOKE ALL ON FUNCTION public.is_staff() FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_staff() TO service_role;
GRANT ALL ON FUNCTION public.is_staff() TO authenticated;
REVOKE ALL ON FUNCTION public.join_vip_by_invite(p_invite_code text, p_ticket_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.join_vip_by_invite(p_invite_code text, p_ticket_id uuid) TO service_role;
GRANT ALL ON FUNCTION public.join_vip_by_invite(p_invite_code text, p_ticket_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.keep_repeats(p_records jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.keep_repeats(p_records jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.keep_revoked() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.keep_scan_places() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.lend_taken_tickets(p_event uuid, p_homes text[], p_retired text[], p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lend_taken_tickets(p_event uuid, p_homes text[], p_retired text[], p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.vip_linked_tickets TO service_role;
GRANT SELECT(id) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(vip_reservation_id) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(order_id) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(ticket_id) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(purchased_by_name) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(is_booker_purchase) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(linked_by) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(created_at) ON TABLE public.vip_linked_tickets TO authenticated;
GRANT SELECT(updated_at) ON TABLE public.vip_linked_tickets TO authenticated;
REVOKE ALL ON FUNCTION public.link_answer(p_link public.vip_linked_tickets) FROM PUBLIC;
GRANT ALL ON FUNCTION public.link_answer(p_link public.vip_linked_tickets) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.tickets TO service_role;
GRANT SELECT(id) ON TABLE public.tickets TO authenticated;
GRANT SELECT(ticket_id) ON TABLE public.tickets TO authenticated;
GRANT SELECT(order_id) ON TABLE public.tickets TO authenticated;
GRANT SELECT(event_id) ON TABLE public.tickets TO authenticated;
GRANT SELECT(event_name) ON TABLE public.tickets TO authenticated;
GRANT SELECT(ticket_type) ON TABLE public.tickets TO authenticated;
GRANT SELECT(status) ON TABLE public.tickets TO authenticated;
GRANT SELECT(is_used) ON TABLE public.tickets TO authenticated;
GRANT SELECT(qr_code_data) ON TABLE public.tickets TO authenticated;
GRANT SELECT(qr_signature) ON TABLE public.tickets TO authenticated;
GRANT SELECT(price_paid) ON TABLE public.tickets TO authenticated;
GRANT SELECT(price_paid_cents) ON TABLE public.tickets TO authenticated;
GRANT SELECT(guest_name) ON TABLE public.tickets TO authenticated;
GRANT SELECT(guest_email) ON TABLE public.tickets TO authenticated;
GRANT SELECT(guest_phone) ON TABLE public.tickets TO authenticated;
GRANT SELECT(checked_in_at) ON TABLE public.tickets TO authenticated;
GRANT SELECT(checked_in_by) ON TABLE public.tickets TO authenticated;
GRANT SELECT(last_entry_at) ON TABLE public.tickets TO authenticated;
GRANT SELECT(last_entry_gate) ON TABLE public.tickets TO authenticated;
GRANT SELECT(created_at) ON TABLE public.tickets TO authenticated;
GRANT SELECT(updated_at) ON TABLE public.tickets TO authenticated;
REVOKE ALL ON FUNCTION public.link_refusal(p_event public.events, p_reservation public.vip_reservations, p_ticket public.tickets, p_link public.vip_linked_tickets, p_by_staff boolean, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.link_refusal(p_event public.events, p_reservation public.vip_reservations, p_ticket public.tickets, p_link public.vip_linked_tickets, p_by_staff boolean, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.link_ticket_to_vip(p_reservation_id uuid, p_ticket_id uuid, p_linked_by text, p_by_staff boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.link_ticket_to_vip(p_reservation_id uuid, p_ticket_id uuid, p_linked_by text, p_by_staff boolean) TO service_role;
GRANT ALL ON FUNCTION public.link_ticket_to_vip(p_reservation_id uuid, p_ticket_id uuid, p_linked_by text, p_by_staff boolean) TO authenticated;
REVOKE ALL ON FUNCTION public.lock_codes(p_codes text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_codes(p_codes text[]) TO service_role;
REVOKE ALL ON FUNCTION public.lock_events_of(p_subjects uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_events_of(p_subjects uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.lock_gates(p_gates text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_gates(p_gates text[]) TO service_role;
REVOKE ALL ON FUNCTION public.log_linked_entries(p_scans uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.log_linked_entries(p_scans uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.make_scan_partition(p_month date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.make_scan_partition(p_month date) TO service_role;
REVOKE ALL ON FUNCTION public.may_be_cancelled(p_event uuid, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_be_cancelled(p_event uuid, p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.claims TO service_role;
GRANT SELECT,INSERT ON TABLE public.scan_quarantine TO service_role;
GRANT SELECT ON TABLE public.scan_quarantine TO authenticated;
REVOKE ALL ON FUNCTION public.may_be_unread(p_claim public.claims) FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_be_unread(p_claim public.claims) TO service_role;
REVOKE ALL ON FUNCTION public.may_edit_guest_list(p_reservation_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_edit_guest_list(p_reservation_id uuid) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.gate_status TO service_role;
GRANT SELECT ON TABLE public.gate_status TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.gate_watermarks TO service_role;
REVOKE ALL ON FUNCTION public.may_still_use(p_claim public.claims, p_is_off boolean, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_still_use(p_claim public.claims, p_is_off boolean, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.most_of_one_guest() FROM PUBLIC;
GRANT ALL ON FUNCTION public.most_of_one_guest() TO service_role;
REVOKE ALL ON FUNCTION public.move_scans(p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.move_scans(p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.my_email() FROM PUBLIC;
GRANT ALL ON FUNCTION public.my_email() TO service_role;
GRANT ALL ON FUNCTION public.my_email() TO authenticated;
REVOKE ALL ON FUNCTION public.named_actor(p_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.named_actor(p_actor text) TO service_role;
REVOKE ALL ON FUNCTION public.new_invite_code() FROM PUBLIC;
GRANT ALL ON FUNCTION public.new_invite_code() TO service_role;
REVOKE ALL ON FUNCTION public.new_pass_code() FROM PUBLIC;
GRANT ALL ON FUNCTION public.new_pass_code() TO service_role;
REVOKE ALL ON FUNCTION public.new_records(p_records public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.new_records(p_records public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.newest_scan(p_gate text, p_epoch text, OUT seq bigint, OUT corrected_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.newest_scan(p_gate text, p_epoch text, OUT seq bigint, OUT corrected_at timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.newest_scans(p_records public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.newest_scans(p_records public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.next_refunds(p_limit integer, p_now timestamp with time zone, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.next_refunds(p_limit integer, p_now timestamp with time zone, p_lease interval) TO service_role;
REVOKE ALL ON FUNCTION public.note_alerts(p_stored public.scan_logs[], p_topics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_alerts(p_stored public.scan_logs[], p_topics jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.note_boot_clock(p_gate text, p_boot text, p_monotonic_ms bigint, p_wall timestamp with time zone, p_uncertainty_ms bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_boot_clock(p_gate text, p_boot text, p_monotonic_ms bigint, p_wall timestamp with time zone, p_uncertainty_ms bigint) TO service_role;
REVOKE ALL ON FUNCTION public.note_boots(p_stored public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_boots(p_stored public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.note_clocks(p_stored public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_clocks(p_stored public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.note_clones(p_places jsonb, p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_clones(p_places jsonb, p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.note_issued(p_request uuid, p_serial text, p_fingerprint text, p_certificate text, p_not_before timestamp with time zone, p_not_after timestamp with time zone, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_issued(p_request uuid, p_serial text, p_fingerprint text, p_certificate text, p_not_before timestamp with time zone, p_not_after timestamp with time zone, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.note_outcomes(p_stored public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_outcomes(p_stored public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.note_refused_enrolment(p_venue text, p_gate text, p_why text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_refused_enrolment(p_venue text, p_gate text, p_why text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.note_torn(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_torn(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.numberings_of_two_machines(p_numberings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.numberings_of_two_machines(p_numberings jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.one_time_code_of(p_record public.scan_logs) FROM PUBLIC;
GRANT ALL ON FUNCTION public.one_time_code_of(p_record public.scan_logs) TO service_role;
REVOKE ALL ON FUNCTION public.one_winning_admission() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.order_answer(p_order_id uuid, p_already boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.order_answer(p_order_id uuid, p_already boolean) TO service_role;
REVOKE ALL ON FUNCTION public.order_refusal(p_order jsonb, p_lines jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.order_refusal(p_order jsonb, p_lines jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.pair_admissions(p_code text, p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pair_admissions(p_code text, p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.pair_codes(p_codes text[], p_scans uuid[], p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pair_codes(p_codes text[], p_scans uuid[], p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.pairs_of(p_code text, p_losers uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pairs_of(p_code text, p_losers uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.places_of_boots(p_boots jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.places_of_boots(p_boots jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.places_to_settle(p_stored public.scan_logs[], p_newest jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.places_to_settle(p_stored public.scan_logs[], p_newest jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.preview_event_cancellation(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.preview_event_cancellation(p_event_id uuid) TO service_role;
GRANT ALL ON FUNCTION public.preview_event_cancellation(p_event_id uuid) TO authenticated;
REVOKE ALL ON FUNCTION public.process_vip_scan_with_reentry(p_pass_id uuid, p_scanned_by character varying) FROM PUBLIC;
GRANT ALL ON FUNCTION public.process_vip_scan_with_reentry(p_pass_id uuid, p_scanned_by character varying) TO service_role;
GRANT ALL ON FUNCTION public.process_vip_scan_with_reentry(p_pass_id uuid, p_scanned_by character varying) TO authenticated;
REVOKE ALL ON FUNCTION public.purchases_of(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purchases_of(p_event_id uuid) TO service_role;
REVOKE ALL ON FUNCTION public.purge_mail(p_older interval, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purge_mail(p_older interval, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.put_off(p_places jsonb, OUT near jsonb, OUT far jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.put_off(p_places jsonb, OUT near jsonb, OUT far jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.quarantine_misfits(p_records jsonb, p_topics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.quarantine_misfits(p_records jsonb, p_topics jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.random_letters(p_count integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.random_letters(p_count integer) TO service_role;
REVOKE ALL ON FUNCTION public.reason_to_keep_scans(p_from timestamp with time zone, p_to timestamp with time zone, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reason_to_keep_scans(p_from timestamp with time zone, p_to timestamp with time zone, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.received_since(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.received_since(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.record_payment_failure(p_stripe_event_id text, p_stripe_payment_intent_id text, p_customer_email text, p_amount_cents integer, p_error_message text, p_error_code text, p_payment_type text, p_event_id uuid, p_metadata jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_payment_failure(p_stripe_event_id text, p_stripe_payment_intent_id text, p_customer_email text, p_amount_cents integer, p_error_message text, p_error_code text, p_payment_type text, p_event_id uuid, p_metadata jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.record_table_payment(p_intent text, p_amount_cents integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_table_payment(p_intent text, p_amount_cents integer) TO service_role;
REVOKE ALL ON FUNCTION public.record_ticket_order(p_order jsonb, p_lines jsonb, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_ticket_order(p_order jsonb, p_lines jsonb, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.recount_after_passes() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.recount_after_tickets() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.refresh_passes(p_passes uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refresh_passes(p_passes uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.refresh_subjects(p_subjects uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refresh_subjects(p_subjects uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.refresh_tickets(p_tickets uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refresh_tickets(p_tickets uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.refund_done(p_refund_id uuid, p_stripe_refund_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refund_done(p_refund_id uuid, p_stripe_refund_id text) TO service_role;
REVOKE ALL ON FUNCTION public.refund_failed(p_refund_id uuid, p_error text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refund_failed(p_refund_id uuid, p_error text) TO service_role;
REVOKE ALL ON FUNCTION public.refund_order(p_order_id uuid, p_reason text, p_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refund_order(p_order_id uuid, p_reason text, p_actor text) TO service_role;
GRANT ALL ON FUNCTION public.refund_order(p_order_id uuid, p_reason text, p_actor text) TO authenticated;
REVOKE ALL ON FUNCTION public.refundable_payments(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refundable_payments(p_event_id uuid) TO service_role;
REVOKE ALL ON FUNCTION public.refuse_too_long() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.release_expired_reservations(p_older interval, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.release_expired_reservations(p_older interval, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.remove_from_guest_list(p_ticket_id uuid, p_actor text, p_by_staff boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.remove_from_guest_list(p_ticket_id uuid, p_actor text, p_by_staff boolean) TO service_role;
REVOKE ALL ON FUNCTION public.renew_settlings(p_numberings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.renew_settlings(p_numberings jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.reservation_answer(p_reservation_id uuid, p_already boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reservation_answer(p_reservation_id uuid, p_already boolean) TO service_role;
REVOKE ALL ON FUNCTION public.reservation_of_table(p_event_id uuid, p_table_number integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reservation_of_table(p_event_id uuid, p_table_number integer) TO service_role;
REVOKE ALL ON FUNCTION public.reserve_table_by_hand(p_event_id uuid, p_table_number integer, p_purchaser jsonb, p_guest_passes integer, p_ticket jsonb, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reserve_table_by_hand(p_event_id uuid, p_table_number integer, p_purchaser jsonb, p_guest_passes integer, p_ticket jsonb, p_actor text, p_reason text) TO service_role;
REVOKE ALL ON FUNCTION public.retire_gate(p_event uuid, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retire_gate(p_event uuid, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.revoke_admissions_of(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.revoke_admissions_of(p_event_id uuid) TO service_role;
REVOKE ALL ON FUNCTION public.revoke_gate(p_venue text, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone, p_stolen boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.revoke_gate(p_venue text, p_gate text, p_actor text, p_reason text, p_now timestamp with time zone, p_stolen boolean) TO service_role;
REVOKE ALL ON FUNCTION public.revoked_of(p_topics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.revoked_of(p_topics jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.sale_refusal(p_event public.events, p_types text[], p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sale_refusal(p_event public.events, p_types text[], p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.scan_content(p_scan public.scan_logs) FROM PUBLIC;
GRANT ALL ON FUNCTION public.scan_content(p_scan public.scan_logs) TO service_role;
REVOKE ALL ON FUNCTION public.scan_key(p_gate text, p_said uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.scan_key(p_gate text, p_said uuid) TO service_role;
REVOKE ALL ON FUNCTION public.scans_of(p_scans uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.scans_of(p_scans uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.scans_with_outcome(p_stored public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.scans_with_outcome(p_stored public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.seats_of(p_reservation_id uuid, OUT capacity integer, OUT passes integer, OUT linked integer, OUT remaining integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.seats_of(p_reservation_id uuid, OUT capacity integer, OUT passes integer, OUT linked integer, OUT remaining integer) TO service_role;
REVOKE ALL ON FUNCTION public.sell_table_with_ticket(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_order jsonb, p_lines jsonb, p_package jsonb, p_guest_passes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sell_table_with_ticket(p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_order jsonb, p_lines jsonb, p_package jsonb, p_guest_passes integer) TO service_role;
REVOKE ALL ON FUNCTION public.settle_portion(p_gate text, p_times json, p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_portion(p_gate text, p_times json, p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.settle_scans(p_stored public.scan_logs[], p_places jsonb, p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_scans(p_stored public.scan_logs[], p_places jsonb, p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.settle_vip(p_subjects uuid[], p_fresh uuid[], p_moved uuid[], p_annulled uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_vip(p_subjects uuid[], p_fresh uuid[], p_moved uuid[], p_annulled uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.settling_done(p_gate text, p_epoch text, p_seq bigint, p_whole boolean, p_asked bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settling_done(p_gate text, p_epoch text, p_seq bigint, p_whole boolean, p_asked bigint) TO service_role;
REVOKE ALL ON FUNCTION public.store_records(p_records public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.store_records(p_records public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.subjects_of(p_scans public.scan_logs[], OUT subjects uuid[], OUT codes text[], OUT codes_without_ticket text[], OUT first_entries public.scan_logs[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.subjects_of(p_scans public.scan_logs[], OUT subjects uuid[], OUT codes text[], OUT codes_without_ticket text[], OUT first_entries public.scan_logs[]) TO service_role;
REVOKE ALL ON FUNCTION public.sweep_claims(p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot_id text, p_monotonic_ms bigint, p_now timestamp with time zone, p_kept_ms bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sweep_claims(p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot_id text, p_monotonic_ms bigint, p_now timestamp with time zone, p_kept_ms bigint) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.event_vip_tables TO service_role;
GRANT SELECT(id) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(id) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(event_id) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(event_id) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(table_number) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(table_number) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(table_name) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(table_name) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(tier) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(tier) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(price) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(price) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(price_cents) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(price_cents) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(capacity) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(capacity) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(bottles_included) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(bottles_included) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(floor_section) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(floor_section) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(position_x) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(position_x) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(position_y) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(position_y) ON TABLE public.event_vip_tables TO authenticated;
GRANT SELECT(is_available) ON TABLE public.event_vip_tables TO anon;
GRANT SELECT(is_available) ON TABLE public.event_vip_tables TO authenticated;
REVOKE ALL ON FUNCTION public.table_sale_refusal(p_event public.events, p_table public.event_vip_tables, p_package jsonb, p_guests integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.table_sale_refusal(p_event public.events, p_table public.event_vip_tables, p_package jsonb, p_guests integer, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.take_effect(p_stored public.scan_logs[], p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb, p_venue text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_effect(p_stored public.scan_logs[], p_moved uuid[], p_at timestamp with time zone[], p_ms bigint[], p_places jsonb, p_venue text) TO service_role;
REVOKE ALL ON FUNCTION public.take_enrolment(p_venue text, p_gate text, p_token_hash text, p_host_key text, p_signed boolean, p_request text, p_content text, p_new_token_hash text, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_enrolment(p_venue text, p_gate text, p_token_hash text, p_host_key text, p_signed boolean, p_request text, p_content text, p_new_token_hash text, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.take_lend_answer(p_venue text, p_home text, p_scan uuid, p_code_hash text, p_lent boolean, p_used boolean, p_heard text[], p_now timestamp with time zone, p_fresh interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_lend_answer(p_venue text, p_home text, p_scan uuid, p_code_hash text, p_lent boolean, p_used boolean, p_heard text[], p_now timestamp with time zone, p_fresh interval) TO service_role;
REVOKE ALL ON FUNCTION public.take_locks(p_names text[], p_shared boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_locks(p_names text[], p_shared boolean) TO service_role;
REVOKE ALL ON FUNCTION public.tell_authority_done() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.ticket_entries(p_tickets uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ticket_entries(p_tickets uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.ticket_row(p_code_hash text, p_id uuid, p_event uuid, p_status text, p_type text, p_holder text, p_signature text, p_is_host boolean, p_reservation uuid, p_first_entry jsonb, p_last_entry jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ticket_row(p_code_hash text, p_id uuid, p_event uuid, p_status text, p_type text, p_holder text, p_signature text, p_is_host boolean, p_reservation uuid, p_first_entry jsonb, p_last_entry jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.ticket_types_of(p_types jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ticket_types_of(p_types jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.tickets_left(p_capacity bigint, p_sold bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.tickets_left(p_capacity bigint, p_sold bigint) TO service_role;
REVOKE ALL ON FUNCTION public.tickets_sold(p_event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.tickets_sold(p_event_id uuid) TO service_role;
REVOKE ALL ON FUNCTION public.times_by_boot(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.times_by_boot(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.times_by_own_clock(p_scans uuid[], p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.times_by_own_clock(p_scans uuid[], p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.times_to_correct(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.times_to_correct(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.times_to_settle(p_gate text, p_epoch text, p_seq bigint, p_whole boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.times_to_settle(p_gate text, p_epoch text, p_seq bigint, p_whole boolean) TO service_role;
REVOKE ALL ON FUNCTION public.torn_boots(p_places jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.torn_boots(p_places jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.touch_updated_at() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.try_lock(p_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.try_lock(p_name text) TO service_role;
REVOKE ALL ON FUNCTION public.unlink_ticket_from_vip(p_ticket_id uuid, p_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unlink_ticket_from_vip(p_ticket_id uuid, p_actor text) TO service_role;
GRANT ALL ON FUNCTION public.unlink_ticket_from_vip(p_ticket_id uuid, p_actor text) TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.vip_guest_passes TO service_role;
GRANT SELECT ON TABLE public.vip_guest_passes TO authenticated;
REVOKE ALL ON FUNCTION public.vip_entry_answer(p_pass public.vip_guest_passes, p_first boolean, p_last timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.vip_entry_answer(p_pass public.vip_guest_passes, p_first boolean, p_last timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.vip_pass_scan(p_pass_id uuid, p_scanned_by text, p_at timestamp with time zone, p_scan uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.vip_pass_scan(p_pass_id uuid, p_scanned_by text, p_at timestamp with time zone, p_scan uuid) TO service_role;
REVOKE ALL ON FUNCTION public.vip_recount(p_reservations uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.vip_recount(p_reservations uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.vip_relabel(p_subjects uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.vip_relabel(p_subjects uuid[]) TO service_role;
REVOKE ALL ON FUNCTION public.vip_seats(p_package jsonb, p_capacity integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.vip_seats(p_package jsonb, p_capacity integer) TO service_role;
REVOKE ALL ON FUNCTION public.wake_authority() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.webhook_begin(p_stripe_event_id text, p_kind text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.webhook_begin(p_stripe_event_id text, p_kind text) TO service_role;
REVOKE ALL ON FUNCTION public.webhook_done(p_stripe_event_id text, p_outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.webhook_done(p_stripe_event_id text, p_outcome text) TO service_role;
REVOKE ALL ON FUNCTION public.winner_of(p_admissions jsonb, OUT scan_id uuid, OUT rule text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.winner_of(p_admissions jsonb, OUT scan_id uuid, OUT rule text) TO service_role;
REVOKE ALL ON FUNCTION public.with_hub_scan_ids(p_records json) FROM PUBLIC;
GRANT ALL ON FUNCTION public.with_hub_scan_ids(p_records json) TO service_role;
REVOKE ALL ON FUNCTION public.within_bound(p_places jsonb, OUT near jsonb, OUT far jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.within_bound(p_places jsonb, OUT near jsonb, OUT far jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.without_long_texts(p_row jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.without_long_texts(p_row jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.without_names(p_row jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.without_names(p_row jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.without_people(p_package jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.without_people(p_package jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.without_revoked(p_records json, p_topics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.without_revoked(p_records json, p_topics jsonb) TO service_role;
REVOKE ALL ON FUNCTION public.write_cancellation(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.write_cancellation(p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint) TO service_role;
REVOKE ALL ON FUNCTION public.write_checkout(p_event public.events, p_table public.event_vip_tables, p_order jsonb, p_lines jsonb, p_purchaser jsonb, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.write_checkout(p_event public.events, p_table public.event_vip_tables, p_order jsonb, p_lines jsonb, p_purchaser jsonb, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.write_order(p_order_id uuid, p_event public.events, p_order jsonb, p_lines jsonb, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.write_order(p_order_id uuid, p_event public.events, p_order jsonb, p_lines jsonb, p_now timestamp with time zone) TO service_role;
REVOKE ALL ON FUNCTION public.write_reservation(p_table public.event_vip_tables, p_purchaser jsonb, p_amount_cents integer, p_status text, p_intent text, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.write_reservation(p_table public.event_vip_tables, p_purchaser jsonb, p_amount_cents integer, p_status text, p_intent text, p_package jsonb, p_guest_passes integer, p_now timestamp with time zone) TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.active_hubs TO service_role;
GRANT SELECT,INSERT ON TABLE public.admission_changes TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO service_role;
GRANT SELECT,INSERT ON TABLE public.audit_log TO service_role;
GRANT SELECT ON TABLE public.audit_log TO authenticated;
GRANT SELECT ON TABLE public.backups TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.boot_clocks TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.boots TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.certificate_requests TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.certificates TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.commands TO service_role;
GRANT SELECT ON TABLE public.commands TO authenticated;
GRANT SELECT ON TABLE public.command_outcomes TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.email_queue TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.enrolments TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.vip_scan_logs TO service_role;
GRANT SELECT ON TABLE public.vip_scan_logs TO authenticated;
GRANT SELECT ON TABLE public.feed_admissions TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.feed_digests TO service_role;
GRANT SELECT ON TABLE public.feed_events TO service_role;
GRANT SELECT ON TABLE public.feed_tables TO service_role;
GRANT SELECT ON TABLE public.gate_nights TO service_role;
GRANT SELECT ON TABLE public.scan_places TO service_role;
GRANT SELECT,INSERT ON TABLE public.scan_repeats TO service_role;
GRANT SELECT ON TABLE public.gate_health TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.hub_locks TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lends TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.orders TO service_role;
GRANT SELECT(id) ON TABLE public.orders TO authenticated;
GRANT SELECT(stripe_payment_intent_id) ON TABLE public.orders TO authenticated;
GRANT SELECT(stripe_session_id) ON TABLE public.orders TO authenticated;
GRANT SELECT(customer_email) ON TABLE public.orders TO authenticated;
GRANT SELECT(customer_name) ON TABLE public.orders TO authenticated;
GRANT SELECT(total_amount) ON TABLE public.orders TO authenticated;
GRANT SELECT(total_amount_cents) ON TABLE public.orders TO authenticated;
GRANT SELECT(currency) ON TABLE public.orders TO authenticated;
GRANT SELECT(status) ON TABLE public.orders TO authenticated;
GRANT SELECT(event_id) ON TABLE public.orders TO authenticated;
GRANT SELECT(event_name) ON TABLE public.orders TO authenticated;
GRANT SELECT(ticket_count) ON TABLE public.orders TO authenticated;
GRANT SELECT(completed_at) ON TABLE public.orders TO authenticated;
GRANT SELECT(created_at) ON TABLE public.orders TO authenticated;
GRANT SELECT(updated_at) ON TABLE public.orders TO authenticated;
GRANT SELECT ON TABLE public.owner_assignments TO service_role;
GRANT SELECT ON TABLE public.owner_assignments TO authenticated;
GRANT SELECT,INSERT ON TABLE public.payment_failures TO service_role;
GRANT SELECT ON TABLE public.payment_failures TO authenticated;
GRANT UPDATE(resolved) ON TABLE public.payment_failures TO authenticated;
GRANT UPDATE(resolved_at) ON TABLE public.payment_failures TO authenticated;
GRANT UPDATE(resolved_by) ON TABLE public.payment_failures TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.payments TO service_role;
GRANT SELECT(id) ON TABLE public.payments TO authenticated;
GRANT SELECT(order_id) ON TABLE public.payments TO authenticated;
GRANT SELECT(stripe_payment_intent_id) ON TABLE public.payments TO authenticated;
GRANT SELECT(amount) ON TABLE public.payments TO authenticated;
GRANT SELECT(amount_cents) ON TABLE public.payments TO authenticated;
GRANT SELECT(currency) ON TABLE public.payments TO authenticated;
GRANT SELECT(status) ON TABLE public.payments TO authenticated;
GRANT SELECT(created_at) ON TABLE public.payments TO authenticated;
GRANT SELECT(updated_at) ON TABLE public.payments TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.refunds TO service_role;
GRANT SELECT ON TABLE public.refunds TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.revocations TO service_role;
GRANT SELECT,INSERT,UPDATE ON TABLE public.scan_conflicts TO service_role;
GRANT SELECT ON TABLE public.scan_conflicts TO authenticated;
GRANT UPDATE(acknowledged_by) ON TABLE public.scan_conflicts TO authenticated;
GRANT UPDATE(acknowledged_at) ON TABLE public.scan_conflicts TO authenticated;
GRANT SELECT ON TABLE public.scan_counts TO service_role;
GRANT SELECT ON TABLE public.scan_counts TO authenticated;
GRANT SELECT,INSERT,UPDATE ON TABLE public.scan_tallies TO service_role;
GRANT SELECT ON TABLE public.scan_times TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.settlings TO service_role;
GRANT SELECT ON TABLE public.staff TO service_role;
GRANT SELECT ON TABLE public.staff TO authenticated;
GRANT INSERT(id) ON TABLE public.staff TO authenticated;
GRANT INSERT(user_id),UPDATE(user_id) ON TABLE public.staff TO authenticated;
GRANT INSERT(name),UPDATE(name) ON TABLE public.staff TO authenticated;
GRANT INSERT(role),UPDATE(role) ON TABLE public.staff TO authenticated;
GRANT SELECT ON TABLE public.state_transitions TO service_role;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_events TO service_role;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS  FROM PUBLIC;
INSERT INTO public.state_transitions VALUES ('event', 'scheduled', 'completed', '');
INSERT INTO public.state_transitions VALUES ('event', 'scheduled', 'cancelled', 'before_start');
INSERT INTO public.state_transitions VALUES ('order', 'pending', 'completed', '');
INSERT INTO public.state_transitions VALUES ('order', 'pending', 'failed', '');
INSERT INTO public.state_transitions VALUES ('order', 'failed', 'completed', '');
INSERT INTO public.state_transitions VALUES ('order', 'completed', 'refunded', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'issued', 'checked_in', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'issued', 'cancelled', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'issued', 'refunded', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'checked_in', 'issued', 'annulled');
INSERT INTO public.state_transitions VALUES ('ticket', 'checked_in', 'cancelled', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'checked_in', 'refunded', '');
INSERT INTO public.state_transitions VALUES ('ticket', 'cancelled', 'refunded', '');
INSERT INTO public.state_transitions VALUES ('reservation', 'pending', 'confirmed', '');
INSERT INTO public.state_transitions VALUES ('reservation', 'pending', 'cancelled', 'before_start');
INSERT INTO public.state_transitions VALUES ('reservation', 'confirmed', 'checked_in', '');
INSERT INTO public.state_transitions VALUES ('reservation', 'confirmed', 'completed', '');
INSERT INTO public.state_transitions VALUES ('reservation', 'confirmed', 'cancelled', 'before_start');
INSERT INTO public.state_transitions VALUES ('reservation', 'checked_in', 'completed', '');
INSERT INTO public.state_transitions VALUES ('guest_pass', 'issued', 'checked_in', '');
INSERT INTO public.state_transitions VALUES ('guest_pass', 'issued', 'cancelled', '');
INSERT INTO public.state_transitions VALUES ('guest_pass', 'checked_in', 'issued', 'annulled');
INSERT INTO public.state_transitions VALUES ('guest_pass', 'checked_in', 'cancelled', '');
