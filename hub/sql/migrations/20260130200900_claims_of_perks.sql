-- A gate whose list is behind asks before it admits anybody, those with the VIP perk too (domain 2.3, "A list that
-- is behind"). So the answer says what such a gate cannot know: 'reason', why a ticket is revoked, as in the
-- decision table and in its order; 'reentry', whether it has the perk. As before, a perk is granted without being
-- kept: there is nothing to claim. 'status' is what a gate of an older version goes by.
create or replace function claim_answer(
    p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subject record;
    v_event events;
    v_entry jsonb;
    v_home text;
    v_reason text;
begin
    select * into v_subject from claim_subject(p_code_hash);
    perform take_locks(array[homes_lock(p_event)], true);
    select * into v_event from events where id = p_event;
    v_reason := case
        when v_subject.event_id <> p_event then 'wrong_event'
        when v_event.status = 'cancelled' then 'event_cancelled'
        when v_subject.status in ('cancelled', 'refunded') then v_subject.status
        when v_subject.is_unpaid then 'table_not_confirmed'
    end;
    if v_reason is not null then
        return jsonb_build_object('answer', 'revoked', 'reason', v_reason, 'status',
            case v_reason when 'event_cancelled' then 'cancelled' else v_subject.status end);
    elsif v_subject.is_perk then
        return jsonb_build_object('answer', 'granted', 'perk', true, 'reentry', true);
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
    -- of a code nobody knows here the gate's own list says more
    return jsonb_strip_nulls(jsonb_build_object('answer', 'granted', 'reentry', v_subject.is_perk));
end
$$;
