-- A feed has generations (docs/adr/0018), and a digest that a gate can compute as well.

-- Versions of a night are only compared within one generation. Here and not in `admission_changes`: what
-- is kept there is of the database as it is, whatever was put back.
alter table events add column if not exists feed_generation bigint not null default 1;

do $$ begin
    alter table events add constraint events_generation_positive check (feed_generation > 0);
exception when duplicate_object then null;
end $$;

-- What of a row decides at a door, as one line: `text_of` in gate/digest.py. The texts are part of the protocol.
create or replace function feed_entry_text(p_entry jsonb) returns text
language sql immutable parallel safe
return case when p_entry is null or p_entry = 'null' then ''
    else concat(p_entry ->> 'at', ' ', p_entry ->> 'gate', ' ', p_entry ->> 'scan') end;

create or replace function feed_list_text(p_list jsonb) returns text
language sql immutable parallel safe
return coalesce((
    select string_agg(item, ',' order by place)
    from jsonb_array_elements_text(coalesce(p_list, '[]')) with ordinality as listed (item, place)
), '');

create or replace function feed_text(p_row jsonb) returns text
language sql immutable parallel safe
return case p_row ->> 't'
    when 'admission' then concat_ws('|', 'a', p_row ->> 'code_hash', p_row ->> 'subject_id', p_row ->> 'kind',
        p_row ->> 'status', coalesce(p_row ->> 'reservation_id', ''), coalesce(p_row ->> 'signature_hash', ''),
        feed_entry_text(p_row -> 'first_entry'), feed_entry_text(p_row -> 'last_entry'))
    when 'table' then concat_ws('|', 't', p_row ->> 'reservation_id', p_row ->> 'number', p_row ->> 'status',
        coalesce(p_row ->> 'seats', '0'), coalesce(p_row ->> 'arrived', '0'))
    when 'event' then concat_ws('|', 'e', p_row ->> 'event_id', p_row ->> 'code', p_row ->> 'status',
        p_row ->> 'doors_open_at', p_row ->> 'ends_at', coalesce(p_row ->> 'capacity', '0'),
        coalesce(p_row ->> 'isolation', 'admit'), feed_list_text(p_row -> 'homes'),
        feed_list_text(p_row -> 'retired'))
end;

-- One row's share of the digest: the first 48 bits of the SHA-256 of its line.
create or replace function feed_share(p_row jsonb) returns bigint
language sql immutable parallel safe
return ('x' || left(encode(sha256(convert_to(feed_text(p_row), 'UTF8')), 'hex'), 12))::bit(48)::bigint;

-- The digest of all a gate holds of a night at this version: 16 hex digits (gate/digest.py).
create or replace function feed_digest(p_event uuid) returns text
language sql stable set search_path = public, pg_temp as $$
    select lpad(to_hex((coalesce(sum(feed_share(held.row)), 0) % 9223372036854775808)::bigint), 16, '0')
    from (
        select row from feed_events where event_id = p_event
        union all
        select row from feed_tables where event_id = p_event
        union all
        select row from feed_admissions where event_id = p_event
    ) held
$$;

-- The database was put back to an earlier state: every gate is to load anew what it follows. The time makes
-- a generation that was never given before, also when the same backup is put back twice.
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
        set feed_generation = greatest(feed_generation + 1, extract(epoch from now())::bigint)
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
