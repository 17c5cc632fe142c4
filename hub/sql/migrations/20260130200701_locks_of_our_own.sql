-- The hub's locks are rows that nobody but the hub may touch. An advisory lock is anybody's who can connect: whoever
-- took one of its numbers held up every gate's scans, without a word.

-- name: what is locked. A row never changes; it is there to be locked.
create table if not exists hub_locks (
    name text primary key
);
insert into hub_locks (name) values ('housekeeping'), ('scan partitions') on conflict do nothing;

-- The consumer of a venue that is the active one, by its session: it is as long as that is connected. Not a lock,
-- which would take a transaction that is open for the whole night and keeps every table from being cleaned.
create table if not exists active_hubs (
    venue text primary key,
    pid integer,
    backend_start timestamptz,
    login name,
    since timestamptz
);

do $$
declare
    v_table text;
begin
    foreach v_table in array array['hub_locks', 'active_hubs'] loop
        execute format('alter table %I enable row level security', v_table);
        execute format('revoke all on %I from public, anon, authenticated, service_role', v_table);
        execute format('drop policy if exists service_works on %I', v_table);
        execute format('create policy service_works on %I to service_role using (true) with check (true)', v_table);
        execute format('grant select, insert, update on %I to service_role', v_table);
    end loop;
end
$$;

-- Until the end of the transaction, in one order. p_shared: others may share them, and nobody have them alone.
create or replace function take_locks(p_names text[], p_shared boolean default false) returns void
language plpgsql set search_path = public, pg_temp as $$
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
        -- the first time only (or a name is there twice); whoever else was faster has it first
        insert into hub_locks (name)
        select distinct n.name from unnest(p_names) as n (name)
        where not exists (select from hub_locks k where k.name = n.name)
        order by n.name on conflict do nothing;
    end loop;
end
$$;

-- Whether nobody else has it; then it is taken until the end of the transaction.
create or replace function try_lock(p_name text) returns boolean
language plpgsql set search_path = public, pg_temp as $$
begin
    insert into hub_locks (name) select p_name
    where not exists (select from hub_locks where name = p_name) on conflict do nothing;
    perform 1 from hub_locks where name = p_name for update skip locked;
    return found;
end
$$;

-- A gate's clocks and times are changed by one writer at a time, as before.
create or replace function lock_gates(p_gates text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform take_locks(array(select 'gate ' || gate from unnest(p_gates) as g (gate)));
end
$$;

-- A code that no ticket has shares its row with others: how many there are is up to who presents them.
create or replace function code_lock(p_code text) returns text
language sql immutable parallel safe
return 'code ' || (hashtextextended(p_code, 0) & 1023)::text;

create or replace function lock_codes(p_codes text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform take_locks(array(select code_lock(code) from unnest(p_codes) as c (code)));
end
$$;

-- One writer of a night's homes and retired gates against any number of claims. Taken last of all locks, so that
-- whoever holds it waits for nobody.
create or replace function homes_lock(p_event uuid) returns text
language sql immutable parallel safe
return 'homes ' || p_event::text;

-- Whether this session is the venue's active consumer, which it becomes if no other is. As long as the one that was
-- is connected it stays the active one, whatever it does; nobody can be taken for it, for its login and the
-- beginning of its session are compared (the latter is hidden from other logins).
create or replace function become_active(p_venue text) returns boolean
language plpgsql set search_path = public, pg_temp as $$
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

-- As before, on rows of our own.
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
    perform take_locks(array[code_lock(p_code_hash)]);
end
$$;

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
    perform take_locks(array[homes_lock(p_event)], true);
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
    return jsonb_build_object('answer', 'granted');
end
$$;

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
        perform take_locks(array[homes_lock(v_event)]);
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
    perform take_locks(array[homes_lock(p_event)]);
    perform lend_what_is_taken(p_event, v_event.home_gates, v_event.retired_gates || p_gate, p_now);
    update events set retired_gates = retired_gates || p_gate where id = p_event;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'retire', p_gate, p_reason, jsonb_build_object('event_id', p_event));
    return 'retired';
end
$$;

create or replace function make_scan_partition(p_month date) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
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

create or replace function archive_scans_at(p_before date, p_is_dry boolean, p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_before timestamptz := least(p_before::timestamp at time zone 'UTC', p_now - interval '60 days');
    v_month record;
    v_why text;
    v_scans bigint;
    v_gone jsonb := '[]';
    v_kept jsonb := '[]';
begin
    -- as whoever makes a part: one at a time
    perform take_locks(array['scan partitions']);
    for v_month in
        select name, since, since + interval '1 month' as until, to_char(since, 'YYYY-MM') as label from (
            select c.relname as name, to_date(substr(c.relname, 11), 'YYYY_MM')::timestamp as since
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'public.scan_logs'::regclass and c.relname ~ '^scan_logs_\d{4}_\d{2}$'
        ) parts where (since + interval '1 month') at time zone 'UTC' <= v_before order by since
    loop
        v_why := why_scans_stay(v_month.since at time zone 'UTC', v_month.until at time zone 'UTC', p_now);
        if v_why is not null then
            v_kept := v_kept || jsonb_build_object('month', v_month.label, 'why', v_why);
            continue;
        end if;
        execute format('select count(*) from public.%I', v_month.name) into v_scans;
        v_gone := v_gone || jsonb_build_object('month', v_month.label, 'scans', v_scans);
        if not p_is_dry then
            perform count_and_drop(v_month.name);
        end if;
    end loop;
    if not p_is_dry and v_gone <> '[]' then
        insert into audit_log (actor, action, target, reason, details)
        values (acting_as(), 'archive', 'scan_logs', 'retention', jsonb_build_object('months', v_gone));
    end if;
    return jsonb_build_object('success', true, 'months', v_gone, 'kept', v_kept);
end
$$;

drop function if exists homes_key(uuid);

-- Of a table that people may write to, they get the columns and no more: who may update or delete in a whole table may
-- also lock it against everybody.
revoke insert, update, delete on staff from authenticated;
grant insert (id, user_id, name, role), update (user_id, name, role) on staff to authenticated;

-- Owners take somebody off the list of those who work here.
create or replace function dismiss_staff(p_user_id uuid) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
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

do $$
declare
    v_name text;
begin
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname in ('take_locks', 'try_lock', 'code_lock', 'homes_lock',
            'become_active', 'dismiss_staff')
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_name);
        if v_name not like 'dismiss_staff%' then
            execute format('grant execute on function %s to service_role', v_name);
        end if;
    end loop;
end
$$;
grant execute on function dismiss_staff(uuid) to authenticated;
