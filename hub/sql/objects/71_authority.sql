-- The venue's authority (ADR 31). The web server writes down what is to be signed, and only the authority's own process,
-- which has the key, signs. Whatever changes wakes it.

create or replace function wake_authority() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    perform pg_notify('authority', '');
    return null;
end
$$;

create or replace trigger gates_wake_authority after insert or update of gate_id, status, revoked_at on gates
for each statement execute function wake_authority();

create or replace trigger certificates_wake_authority after update of revoked_at on certificates
for each statement execute function wake_authority();

create or replace trigger requests_wake_authority after insert on certificate_requests
for each statement execute function wake_authority();

create or replace trigger revocations_wake_authority after insert on revocations
for each statement execute function wake_authority();

-- Whoever waits for an answer.
create or replace function tell_authority_done() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    perform pg_notify('authority_done', '');
    return null;
end
$$;

create or replace trigger requests_done after update on certificate_requests
for each statement execute function tell_authority_done();

create or replace trigger revocations_done after update on revocations
for each statement execute function tell_authority_done();

-- What was revoked stays so.
create or replace function keep_revoked() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    new.revoked_at := old.revoked_at;
    return new;
end
$$;

create or replace trigger certificates_stay_revoked before update on certificates
for each row when (old.revoked_at is not null) execute function keep_revoked();

-- The authority has signed a request. A new enrolment is a new machine, or a new card: what the old one had is revoked.
create or replace function note_issued(
    p_request uuid, p_serial text, p_fingerprint text, p_certificate text, p_not_before timestamptz,
    p_not_after timestamptz, p_now timestamptz
) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- Staff is told of a refused enrolment, at most every ten minutes for each gate.
create or replace function note_refused_enrolment(p_venue text, p_gate text, p_why text, p_now timestamptz) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- Somebody shows a token. Returns {"request": id} of what the authority is to sign, or {"refused": why}: 'unknown' to a
-- stranger, and otherwise what staff is told too. The same request again gets the same answer.
-- p_host_key: the fingerprint of the machine's SSH key; p_signed: whether what it sent is signed with it. p_content: the
-- hash of the new key and token.
create or replace function take_enrolment(
    p_venue text, p_gate text, p_token_hash text, p_host_key text, p_signed boolean, p_request text, p_content text,
    p_new_token_hash text, p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
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
