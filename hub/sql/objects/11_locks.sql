-- The hub's locks are rows that nobody but the hub may touch (docs/security.md). An advisory lock is anybody's who can
-- connect: whoever took one of its numbers held up every gate's scans, without a word.

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

-- A code that no ticket has shares its row with others: how many there are is up to who presents them.
create or replace function code_lock(p_code text) returns text
language sql immutable parallel safe
return 'code ' || (hashtextextended(p_code, 0) & 1023)::text;

-- One writer of a night's homes and retired gates against any number of claims. Taken last of all locks, so that
-- whoever holds it waits for nobody.
create or replace function homes_lock(p_event uuid) returns text
language sql immutable parallel safe
return 'homes ' || p_event::text;

-- A gate's clocks and times are changed by one writer at a time: who learns a clock must see every record it places,
-- and who stores a record every clock. Before any event; in the order of the keys.
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

-- One order for everybody who changes admissions: the event first.
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
