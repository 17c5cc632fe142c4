-- A feed has generations (docs/adr/0018), and a digest that a gate can compute as well.

-- Versions of a night are only compared within one generation. Here and not in `admission_changes`: what
-- is kept there is of the database as it is, whatever was put back.
alter table events add column if not exists feed_generation bigint not null default 1;

do $$ begin
    alter table events add constraint events_generation_positive check (feed_generation > 0);
exception when duplicate_object then null;
end $$;

-- The digest of all a gate holds of a night: 16 hex digits, as gate/digest.py computes them. The texts of
-- `text_of` there are part of the protocol. In one piece: a function called for each row takes ten times as long.
create or replace function feed_digest(p_event uuid) returns text
language sql stable set search_path = public, pg_temp as $$
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

-- The database was put back to an earlier state: every gate is to load anew what it follows. The time, in
-- microseconds, makes a generation that never was, also when the same backup is put back twice.
-- Returns how many nights; they are those the hub still publishes.
create or replace function feed_restored(p_reason text, p_actor text) returns integer
language plpgsql set search_path = public, pg_temp as $$
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
