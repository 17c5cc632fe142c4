-- A ticket that was granted to a gate which then died is freed by a person (docs/adr/0015).

-- Whether the scan of a grant may be here, among what its gate sent since and nobody could read.
create or replace function may_be_unread(p_claim claims) returns boolean
language sql stable set search_path = public, pg_temp
return exists (
    select from scan_quarantine q where q.gate_id = p_claim.gate_id and q.received_at >= p_claim.asked_at
);

-- Whether the scan of a grant may still come: its gate lives with the journal it was granted to, or nobody knows.
-- Not so of a gate that was revoked; of one with another journal, once that is all here (a salvaged one brings the
-- scan, a new card never does); and of one that is not heard, if a person retired it or says that it is off
-- (p_is_off). One that is heard gives its unused grants back by itself (`sweep_claims`). "Heard" is also its last
-- will: the door lives on when its line breaks. And none of it counts where something of the gate could not be read.
create or replace function may_still_use(p_claim claims, p_is_off boolean, p_now timestamptz) returns boolean
language sql stable set search_path = public, pg_temp
return not (
    is_revoked(p_claim.gate_id)
    or not may_be_unread(p_claim) and (
        exists (
            select from gate_status s where s.gate_id = p_claim.gate_id and s.online and s.door
                and s.heard_at > p_claim.asked_at and s.epoch <> p_claim.epoch and s.acked = s.last_seq
                and s.last_seq <= coalesce(
                    (select w.seq from gate_watermarks w where w.gate_id = s.gate_id and w.epoch = s.epoch), 0
                )
        )
        or (
            p_is_off
            or exists (select from events where id = p_claim.event_id and p_claim.gate_id = any (retired_gates))
        ) and not exists (
            select from gate_status s where s.gate_id = p_claim.gate_id
                and abs(extract(epoch from p_now - s.heard_at)) < 60
        )
    )
);

-- A person frees a ticket whose grant came to nothing. Returns what came of it, {"outcome": 'freed', 'no ticket',
-- 'no grant', 'used', 'unread' or 'alive', "gate": who has or had the grant}; nothing is changed unless it is 'freed'.
create or replace function free_grant(
    p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
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
    elsif exists (select from scan_logs where scan_id = v_claim.scan_id and annulled_at is null) then
        return jsonb_build_object('outcome', 'used', 'gate', v_claim.gate_id);
    elsif may_still_use(v_claim, p_is_off, p_now) then
        return jsonb_build_object('gate', v_claim.gate_id,
            'outcome', case when may_be_unread(v_claim) then 'unread' else 'alive' end);
    end if;
    update claims set released_at = p_now, released_by = 'freed' where scan_id = v_claim.scan_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'free', v_ticket.id::text, p_reason, jsonb_build_object('event_id', p_event,
        'gate_id', v_claim.gate_id, 'epoch', v_claim.epoch, 'scan_id', v_claim.scan_id, 'is_off', p_is_off));
    return jsonb_build_object('outcome', 'freed', 'gate', v_claim.gate_id);
end
$$;
