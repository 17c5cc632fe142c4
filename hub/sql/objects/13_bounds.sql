-- Every text that a person can type is bounded where it is written, and again where it is sent to a gate, whatever the
-- rows hold (protocol 4.5; docs/security.md, Bounds of texts).

-- Called by triggers whose `when` found something too long. Arguments, in threes: column, limit, unit. Only changed
-- columns are checked. A check constraint would check the whole row at every update, so that a ticket whose name was
-- already too long could not even be cancelled.
create or replace function refuse_too_long() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_new jsonb := to_jsonb(new);
    v_old jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
    v_column text;
    v_most integer;
    v_size integer;
begin
    for v_place in 0 .. tg_nargs / 3 - 1 loop
        v_column := tg_argv[3 * v_place];
        v_most := tg_argv[3 * v_place + 1];
        v_size := case tg_argv[3 * v_place + 2]
            when 'characters' then length(v_new ->> v_column)
            when 'bytes' then octet_length(v_new ->> v_column)
            else jsonb_array_length(nullif(v_new -> v_column, 'null'))
        end;
        if v_size > v_most and v_new -> v_column is distinct from v_old -> v_column then
            raise exception '% of % holds at most % %, not %',
                v_column, tg_table_name, v_most, tg_argv[3 * v_place + 2], v_size
                using errcode = 'check_violation', table = tg_table_name, column = v_column,
                    constraint = tg_table_name || '_' || v_column || '_bound',
                    hint = 'Shorten it; docs/security.md lists the bounds.';
        end if;
    end loop;
    return new;
end
$$;

do $$
declare
    -- the limits: characters of a text, bytes of JSON as text, items of an array
    c_bounds constant text := '
        events name 120, events description 5000, events ticket_types 16384, events cancelled_by 200,
        events cancellation_reason 500, events cancellation 65536, events home_gates 256, events retired_gates 256,
        tickets ticket_id 200, tickets event_name 200, tickets ticket_type 200, tickets qr_code_data 1024,
        tickets qr_signature 1024, tickets stripe_payment_id 255, tickets stripe_payment_intent_id 255,
        tickets external_reference 200,
        tickets guest_name 200, tickets guest_email 320, tickets guest_phone 50, tickets checked_in_by 200,
        tickets last_entry_gate 200, tickets metadata 16384,
        event_vip_tables table_name 120, event_vip_tables floor_section 120,
        vip_reservations purchaser_name 200, vip_reservations purchaser_email 320,
        vip_reservations purchaser_phone 50, vip_reservations stripe_payment_intent_id 255,
        vip_reservations stripe_refund_id 255, vip_reservations qr_code_token 1024, vip_reservations invite_code 64,
        vip_reservations package_snapshot 16384, vip_reservations special_requests 2000,
        vip_reservations checked_in_by 200,
        vip_guest_passes guest_name 200, vip_guest_passes qr_code_token 1024, vip_guest_passes qr_signature 1024,
        vip_guest_passes checked_in_by 200,
        vip_linked_tickets purchased_by_email 320, vip_linked_tickets purchased_by_name 200,
        vip_linked_tickets linked_by 200,
        vip_scan_logs scanned_by 200,
        orders stripe_payment_intent_id 255, orders stripe_session_id 255, orders stripe_customer_id 255,
        orders customer_email 320, orders customer_name 200, orders event_name 200, orders metadata 16384,
        payments stripe_payment_intent_id 255, payments metadata 16384,
        payment_failures stripe_event_id 255, payment_failures stripe_payment_intent_id 255,
        payment_failures customer_email 320, payment_failures error_message 2000, payment_failures error_code 200,
        payment_failures resolved_by 200, payment_failures metadata 16384,
        refunds stripe_payment_intent_id 255, refunds stripe_refund_id 255, refunds reason 500,
        refunds last_error 2000,
        webhook_events stripe_event_id 255, webhook_events kind 200, webhook_events outcome 500,
        email_queue recipient 320, email_queue kind 200, email_queue payload 65536, email_queue last_error 2000,
        audit_log actor 200, audit_log action 200, audit_log target 500, audit_log reason 500,
        audit_log details 65536,
        commands text 200, commands reason 500, commands actor 200, commands why 500, commands key_id 64,
        gates name 120, gates venue 64, gates certificate_fingerprint 255, gates token_hash 255, gates epoch 500,
        gates version 500,
        scan_conflicts acknowledged_by 200,
        staff name 200
    ';
    v_table record;
begin
    for v_table in
        select m[1] as name,
            string_agg(
                format(case when t.typname = 'text' then 'length(new.%I) > %s'
                    when t.typname = 'jsonb' then 'octet_length(new.%I::text) > %s'
                    else 'cardinality(new.%I) > %s' end, m[2], m[3]),
                ' or ' order by place) as condition,
            string_agg(
                format('%L, %L, %L', m[2], m[3],
                    case t.typname when 'text' then 'characters' when 'jsonb' then 'bytes' else 'items' end),
                ', ' order by place) as arguments
        from regexp_matches(c_bounds, '(\w+) (\w+) (\d+)', 'g') with ordinality as b (m, place)
        join pg_attribute a on a.attrelid = ('public.' || m[1])::regclass and a.attname = m[2]
        join pg_type t on t.oid = a.atttypid
        group by m[1]
    loop
        execute format('create or replace trigger %I before insert or update on public.%I for each row when (%s)'
            ' execute function refuse_too_long(%s)',
            v_table.name || '_bounds', v_table.name, v_table.condition, v_table.arguments);
    end loop;
end
$$;
