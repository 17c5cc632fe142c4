-- The hub's locks are rows that only the hub may touch (docs/security.md). Any session can take an advisory lock, and
-- one that took the right number would silently hold up the scans of every gate.

-- Take locks until the end of the transaction, always in the same order. p_shared: several sessions may share them.
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
        -- only the first time, or if a name is given twice; another session may have inserted it meanwhile
        insert into hub_locks (name)
        select distinct n.name from unnest(p_names) as n (name)
        where not exists (select from hub_locks k where k.name = n.name)
        order by n.name on conflict do nothing;
    end loop;
end
$$;

-- Take a lock until the end of the transaction, unless another session has it; returns whether it was taken.
create or replace function try_lock(p_name text) returns boolean
language plpgsql set search_path = public, pg_temp as $$
begin
    insert into hub_locks (name) select p_name
    where not exists (select from hub_locks where name = p_name) on conflict do nothing;
    perform 1 from hub_locks where name = p_name for update skip locked;
    return found;
end
$$;

-- Unknown codes share 1024 rows, because anybody can present as many codes as they like.
create or replace function code_lock(p_code text) returns text
language sql immutable parallel safe
return 'code ' || (hashtextextended(p_code, 0) & 1023)::text;

-- Keeps a night's home gates from changing while a claim reads them: claims share it. It is the last lock of all, so
-- its holder never waits.
create or replace function home_gates_lock(p_event uuid) returns text
language sql immutable parallel safe
return 'homes ' || p_event::text;

-- One writer at a time for a gate's clocks and times: a session that learns a clock has to see every record it dates,
-- and one that stores a record has to see every clock. Taken before any event, in the order of the keys.
create or replace function lock_gates(p_gates text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform take_locks(array(select 'gate ' || gate from unnest(p_gates) as g (gate)));
end
$$;

create or replace function lock_codes(p_codes text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform take_locks(array(select code_lock(code) from unnest(p_codes) as c (code)));
end
$$;

-- Everything that changes admissions locks the event first: one order, no deadlocks.
create or replace function lock_events_of(p_subjects uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from events where id in (
        select event_id from tickets where id = any (p_subjects)
        union
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = any (p_subjects)
    ) order by id for no key update;
end
$$;

-- Become the venue's active consumer unless another session is; returns whether this one is. The active session stays
-- active while it is connected. It is known by its pid, its login and the start of its session, which other logins
-- cannot see.
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
