-- What every other file may use: hashes of codes, refusals as JSON, `updated_at`.

-- A refusal: the code of the error, and a message for a person.
create or replace function refuse(p_error text, p_message text) returns jsonb
language sql immutable parallel safe
return jsonb_build_object('success', false, 'error', p_error, 'message', p_message);

create or replace function hash_of_text(p_text text) returns text
language sql immutable parallel safe
return encode(sha256(convert_to(p_text, 'UTF8')), 'hex');

-- The hash by which gates know a code. Codes are compared without regard to case, so the upper-case code is hashed.
create or replace function hash_of_code(p_code text) returns text
language sql immutable parallel safe
return encode(sha256(convert_to(upper(p_code), 'UTF8')), 'hex');

-- It runs with the rights and the search path of the session that updates.
create or replace function touch_updated_at() returns trigger
language plpgsql as $$
begin
    new.updated_at := pg_catalog.now();
    return new;
end
$$;

create or replace trigger events_touch before update on events
for each row when (old.admission_version = new.admission_version) execute function touch_updated_at();

-- Not if the statement sets it itself: check-ins come by the hundred per second.
create or replace trigger tickets_touch before update on tickets
for each row when (old.updated_at = new.updated_at) execute function touch_updated_at();

create or replace trigger event_vip_tables_touch before update on event_vip_tables
for each row execute function touch_updated_at();

create or replace trigger vip_reservations_touch before update on vip_reservations
for each row execute function touch_updated_at();

create or replace trigger vip_guest_passes_touch before update on vip_guest_passes
for each row execute function touch_updated_at();

create or replace trigger vip_linked_tickets_touch before update on vip_linked_tickets
for each row execute function touch_updated_at();

create or replace trigger gates_touch before update on gates
for each row execute function touch_updated_at();

create or replace trigger owner_assignments_touch before update on owner_assignments
for each row execute function touch_updated_at();

create or replace trigger staff_touch before update on staff
for each row execute function touch_updated_at();

create or replace trigger orders_touch before update on orders
for each row execute function touch_updated_at();

create or replace trigger payments_touch before update on payments
for each row execute function touch_updated_at();

create or replace trigger email_queue_touch before update on email_queue
for each row execute function touch_updated_at();

create or replace trigger payment_failures_touch before update on payment_failures
for each row execute function touch_updated_at();

create or replace trigger scan_conflicts_touch before update on scan_conflicts
for each row execute function touch_updated_at();

create or replace trigger gate_status_touch before update on gate_status
for each row execute function touch_updated_at();

create or replace trigger commands_touch before update on commands
for each row execute function touch_updated_at();

create or replace trigger refunds_touch before update on refunds
for each row execute function touch_updated_at();

-- At most 32 letters of Crockford's alphabet (no I, L, O, U), 5 bits each. The randomness is that of uuids, which comes
-- from the operating system; hashing removes their few fixed bits.
create or replace function random_letters(p_count integer) returns text
language sql volatile set search_path = public, pg_temp as $$
    with source as materialized (
        select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes
    )
    select string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (get_byte(bytes, place) & 31) + 1, 1), ''
        order by place)
    from source, generate_series(0, p_count - 1) as place
$$;

-- The check character of a code: ISO 7064 MOD 37,36 over its letters and digits (protocol 4.1).
create or replace function check_character(p_code text) returns text
language plpgsql immutable parallel safe set search_path = public, pg_temp as $$
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

-- A gate knows a code only by its hash, so the hash has to match the code, whoever writes the row. This is a trigger
-- because a generated column would be computed again at every check-in.
create or replace function hash_ticket_code() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    new.code_hash := hash_of_code(new.qr_code_data);
    return new;
end
$$;

create or replace trigger tickets_code_hash before insert or update of qr_code_data, code_hash on tickets
for each row execute function hash_ticket_code();

create or replace function hash_pass_code() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    new.code_hash := hash_of_code(new.qr_code_token);
    return new;
end
$$;

create or replace trigger vip_guest_passes_code_hash
before insert or update of qr_code_token, code_hash on vip_guest_passes
for each row execute function hash_pass_code();
