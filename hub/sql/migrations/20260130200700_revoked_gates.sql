-- A gate that was revoked: from that moment on, by the hub's own time, nothing it sends counts (protocol 4.5).

-- No gate bears a name of the hub's own: a name is a certificate's, and so a user's and a client's at the broker.
-- What an older database holds stays; nothing new comes in.
do $$
begin
    if not exists (select from pg_constraint where conname = 'gates_not_the_hub') then
        alter table gates add constraint gates_not_the_hub check (gate_id !~* '^maguey-hub') not valid;
    end if;
end
$$;

-- Of a batch, what still counts. The records of gates that were revoked before it came are kept in the quarantine,
-- which also counts for how far a gate's journal is here: it has nothing to say again. What had been taken in
-- before is known, and is no evidence of anything. p_topics: as in `ingest_scans`, whose locks are held: so a gate
-- is revoked either before all of a batch or after it.
create or replace function without_revoked(p_records json, p_topics jsonb) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_revoked text[] := array(
        select gate_id from gates
        where gate_id = any (array(select jsonb_object_keys(p_topics)))
            and (status = 'revoked' or revoked_at is not null)
    );
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

-- As before, and without those that were revoked.
create or replace function ingest_scans(p_records json, p_topics jsonb) returns integer
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_venue text := (select split_part(value, '/', 3) from jsonb_each_text(p_topics) order by key limit 1);
    v_new record;
begin
    perform lock_gates(array(select jsonb_object_keys(p_topics)));
    p_records := without_revoked(with_keys(p_records), p_topics);
    select * into v_new from store_records(p_records);
    if cardinality(v_new.fresh) < json_array_length(p_records) then
        perform keep_repeats(p_records::jsonb);
        perform note_clones(quarantine_misfits(p_records::jsonb, p_topics), v_venue);
    end if;
    if cardinality(v_new.fresh) > 0 then
        perform ask_again(v_new.numberings);
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

-- Of these gates, those whose word counts.
create or replace function believed(p_gates text[]) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        select gate_id from gates where gate_id = any (p_gates) and status = 'active' and revoked_at is null
    );
end
$$;

-- From now on nothing counts that this gate sends. What it was granted and has not used is free; what it let in
-- until now stays so. Returns 'revoked', 'already', or 'no gate' of this venue.
create or replace function revoke_gate(
    p_venue text, p_gate text, p_actor text, p_reason text, p_now timestamptz
) returns text
language plpgsql set search_path = public, pg_temp as $$
declare
    v_free bigint;
begin
    -- after a batch that is being taken in, and before the next
    perform lock_gates(array[p_gate]);
    if not exists (select from gates where gate_id = p_gate and venue = p_venue) then
        return 'no gate';
    end if;
    update gates set status = 'revoked', revoked_at = coalesce(revoked_at, p_now)
    where gate_id = p_gate and (status <> 'revoked' or revoked_at is null);
    if not found then
        return 'already';
    end if;
    update claims set released_at = p_now, released_by = 'revoked'
    where gate_id = p_gate and answer = 'granted' and released_at is null
        and scan_key(p_gate, claims.scan_id) is null;
    get diagnostics v_free = row_count;
    insert into alerts (scan_id, venue, gate_id, reason, at)
    values (gen_random_uuid(), p_venue, p_gate, 'revoked', p_now);
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'revoke gate', p_gate, p_reason, jsonb_build_object('venue', p_venue, 'freed', v_free));
    return 'revoked';
end
$$;

-- Where somebody has other default privileges, what is made is everybody's at first.
revoke all on function without_revoked(json, jsonb), believed(text[]),
    revoke_gate(text, text, text, text, timestamptz)
from public, anon, authenticated, service_role;
grant execute on function without_revoked(json, jsonb), believed(text[]),
    revoke_gate(text, text, text, text, timestamptz)
to service_role;
