-- Who may do what; docs/security.md is drawn from the result, and says why. First everything of ours is closed to
-- everybody but its owner, then opened by name. Only what is named here: in a Supabase project `public` holds other
-- people's tables and functions too, owned by whoever migrates and open on purpose.

do $$
declare
    c_tables constant text[] := regexp_split_to_array('
        _yoyo_log, _yoyo_migration, _yoyo_version, admission_changes, alerts, alerts_number_seq, audit_log,
        boot_clocks, boots, claims, command_outcomes, commands, email_queue, event_vip_tables, events,
        feed_admissions, feed_digests, feed_events, feed_tables, gate_events, gate_health, gate_nights,
        gate_status, gate_watermarks, gates, lends, orders, owner_assignments, payment_failures, payments,
        refunds, scan_conflicts, scan_counts, scan_logs, scan_logs_default, scan_places, scan_quarantine,
        scan_repeats, scan_times, staff, state_transitions, tickets, vip_guest_passes, vip_linked_tickets,
        vip_reservations, vip_scan_logs, webhook_events, winning_admissions, yoyo_lock
    ', '[,\s]+');
    c_functions constant text[] := regexp_split_to_array('
        acting_as, admitted_already, admitted_by, advance_watermark, after_boot, archive_scans, archive_scans_at, as_admission, booking_mistake,
        cancel_event, cancel_event_at, cancellation_numbers, check_character, check_in_fresh, check_in_passes,
        check_vip_capacity, check_vip_linked_ticket_reentry, checkout_told, claim_answer, claim_entry,
        claim_entry_of, claim_holder, claim_refusal, claim_subject, cleanup_expired_webhook_idempotency,
        cleanup_expired_webhook_idempotency_at, complete_finished_events, complete_finished_events_at,
        concerned_by, confirm_vip_reservation, confirm_vip_reservation_at, count_and_drop,
        create_unified_vip_checkout, create_unified_vip_checkout_at, create_vip_reservation_at,
        create_vip_reservation_atomic, doubled, enforce_transition, ensure_scan_partitions,
        ensure_scan_partitions_at, entangled, erase_people, erase_person, erase_person_at, erase_personal_data,
        erase_personal_data_at, erasure_refusal, event_availability, event_cancellation_at, feed_append,
        feed_digest, feed_entry, feed_on_events, feed_on_guest_passes, feed_on_linked_tickets,
        feed_on_reservations, feed_on_tables, feed_on_tickets, feed_on_vip_scan_logs, feed_restored, feed_time,
        free_grant, freeze_homes, give_back, give_or_take, has_started, hash_of_code, hash_of_text,
        hash_ticket_code, home_of, homes_key, ingest_scans, is_apart, is_archived, is_countable, is_one_time, is_owner,
        is_plausible, is_revoked, is_service, is_spent, is_staff, join_vip_by_invite, keep_passes_counted,
        keep_repeats, keep_scan_places, keep_tables_counted, keep_to_seats, keep_winning_admissions, left_of,
        lend_what_is_taken, link_ticket_at, link_ticket_to_vip, link_told, lock_codes, lock_events_of, lock_gates,
        log_linked_entries, make_scan_partition, may_be_cancelled, may_be_unread, may_keep_list, may_still_use, most_of_one_guest, my_email,
        named_actor, new_invite_code, new_pass_code, newest_scan, next_refunds, next_refunds_at, note_alerts,
        note_boot_clock, note_clones, note_list_change, note_outcomes, note_table_paid, note_torn, one_winning_admission,
        order_mistake, order_told, pair_admissions, places_of_boots, preview_event_cancellation,
        process_vip_scan_with_reentry, purchases_of, purge_mail_at, quarantine_misfits, random_letters,
        received_since, record_payment_failure, record_ticket_order, record_ticket_order_at, refresh_passes,
        refresh_tickets, refund_done, refund_failed, refund_order, refundable_of, refuse,
        release_expired_reservations, release_expired_reservations_at, reservation_told, retire_gate,
        revoke_admissions_of, scan_content, scans_of, seats_of, settle_lend, settle_scans, settle_vip, sold_of,
        store_records, sweep_claims, ticket_entries, ticket_types_of, touch_updated_at, unlink_ticket_at,
        unlink_ticket_from_vip, unsettled, vip_entry, vip_pass_scan, vip_recount, vip_refusal, vip_relabel,
        vip_seats, webhook_begin, webhook_done, why_list_is_closed, why_not_cancelled, why_not_linked,
        why_not_sold, why_scans_stay, why_table_not_sold, widened, winner_of, without_names, without_people,
        write_checkout, write_order, write_reservation
    ', '[,\s]+');
    v_name text;
    v_kind "char";
begin
    for v_kind, v_name in
        select relkind, oid::regclass from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'S')
            and (relname = any (c_tables) or relname ~ '^scan_logs_[0-9]{4}_[0-9]{2}$')
    loop
        if v_kind in ('r', 'p') then
            execute format('alter table %s enable row level security', v_name);
        elsif v_kind = 'v' then
            -- a view shows nobody more than they may see
            execute format('alter view %s set (security_invoker = true)', v_name);
        end if;
        execute format('revoke all on %s %s from public, anon, authenticated, service_role',
            case v_kind when 'S' then 'sequence' else 'table' end, v_name);
    end loop;
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname = any (c_functions)
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_name);
    end loop;

    -- THE HUB: a login that is a member of service_role and nothing more. The policy opens all rows; what may be done
    -- with them, the grants below say.
    for v_name in
        select oid::regclass from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname = any (c_tables)
            and not relispartition and relname not like '%yoyo%'
    loop
        execute format('drop policy if exists service_works on %s', v_name);
        execute format('create policy service_works on %s to service_role using (true) with check (true)', v_name);
    end loop;
    -- every function but those of triggers, which nobody calls
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname = any (c_functions)
            and prorettype <> 'trigger'::regtype
    loop
        execute format('grant execute on function %s to service_role', v_name);
    end loop;
end
$$;

revoke create on schema public from public, anon, authenticated, service_role;
grant usage on schema public to anon, authenticated, service_role;

-- What is made later is closed as well, until a migration opens it; where default privileges are somebody's already,
-- as a Supabase project's are, they stay theirs.
do $$
begin
    if not exists (select from pg_default_acl where defaclrole = current_user::regrole) then
        alter default privileges revoke execute on functions from public;
    end if;
end
$$;

-- It runs with the rights and the search path of whoever updates.
create or replace function touch_updated_at() returns trigger
language plpgsql as $$
begin
    new.updated_at := pg_catalog.now();
    return new;
end
$$;

grant select on state_transitions, owner_assignments, staff,
    command_outcomes, feed_admissions, feed_events, feed_tables, gate_health, gate_nights, scan_counts, scan_places,
    scan_times
to service_role;

-- only ever added to
grant select, insert on admission_changes, audit_log, payment_failures, scan_quarantine, scan_repeats to service_role;

grant select, insert, update on boot_clocks, boots, commands, email_queue, event_vip_tables, events, gate_events,
    gate_status, gate_watermarks, gates, orders, payments, refunds, scan_conflicts, scan_logs, tickets,
    vip_guest_passes, vip_reservations
to service_role;

grant select, insert, update, delete on alerts, claims, feed_digests, lends, vip_linked_tickets, vip_scan_logs,
    webhook_events, winning_admissions
to service_role;

-- EVERYBODY: the nights to come, their tables, and what is left

grant select (id, name, code, description, event_date, doors_open_at, starts_at, ends_at, venue_capacity,
    ticket_types, status)
on events to anon, authenticated;

grant select (id, event_id, table_number, table_name, tier, price, price_cents, capacity, bottles_included,
    floor_section, position_x, position_y, is_available)
on event_vip_tables to anon, authenticated;

drop policy if exists everybody_sees_what_is_on on events;
create policy everybody_sees_what_is_on on events for select to anon, authenticated using (status = 'scheduled');

drop policy if exists everybody_sees_what_is_on on event_vip_tables;
create policy everybody_sees_what_is_on on event_vip_tables for select to anon, authenticated
using (event_id in (select id from events where status = 'scheduled'));

grant execute on function event_availability(uuid) to anon, authenticated;

-- PEOPLE WHO ARE LOGGED IN: whether one is a customer, staff or an owner, each policy and each function asks. In
-- a subselect: asked once a query, not once a row.

grant execute on function is_owner(), is_staff(), my_email(), acting_as() to authenticated;

grant select (id, stripe_payment_intent_id, stripe_session_id, customer_email, customer_name, total_amount,
    total_amount_cents, currency, status, event_id, event_name, ticket_count, completed_at, created_at, updated_at)
on orders to authenticated;

grant select (id, order_id, stripe_payment_intent_id, amount, amount_cents, currency, status, created_at, updated_at)
on payments to authenticated;

grant select (id, ticket_id, order_id, event_id, event_name, ticket_type, status, is_used, qr_code_data, qr_signature,
    price_paid, price_paid_cents, guest_name, guest_email, guest_phone, checked_in_at, checked_in_by, last_entry_at,
    last_entry_gate, created_at, updated_at)
on tickets to authenticated;

grant select on vip_reservations, vip_guest_passes to authenticated;

-- Who bought the table sees the names of who sits there, and not their addresses.
grant select (id, vip_reservation_id, order_id, ticket_id, purchased_by_name, is_booker_purchase, linked_by,
    created_at, updated_at)
on vip_linked_tickets to authenticated;

grant select on gate_status, scan_conflicts, scan_logs, vip_scan_logs to authenticated;

-- Not the hash of a gate's token.
grant select (id, gate_id, venue, name, epoch, version, last_seen_at, status, revoked_at, created_at, updated_at)
on gates to authenticated;

grant select on audit_log, commands, owner_assignments, refunds, scan_counts, scan_quarantine to authenticated;

grant select on payment_failures to authenticated;
grant update (resolved, resolved_at, resolved_by) on payment_failures to authenticated;

-- CUSTOMERS: what is theirs by the address they have proved

drop policy if exists customers_see_their_own on orders;
create policy customers_see_their_own on orders for select to authenticated
using (lower(customer_email) = (select my_email()));

drop policy if exists customers_see_their_own on payments;
create policy customers_see_their_own on payments for select to authenticated
using (order_id in (select id from orders where lower(customer_email) = (select my_email())));

drop policy if exists customers_see_their_own on tickets;
create policy customers_see_their_own on tickets for select to authenticated
using (
    lower(guest_email) = (select my_email())
    or order_id in (select id from orders where lower(customer_email) = (select my_email()))
);

drop policy if exists customers_see_their_own on vip_reservations;
create policy customers_see_their_own on vip_reservations for select to authenticated
using (lower(purchaser_email) = (select my_email()));

drop policy if exists customers_see_their_own on vip_guest_passes;
create policy customers_see_their_own on vip_guest_passes for select to authenticated
using (reservation_id in (select id from vip_reservations where lower(purchaser_email) = (select my_email())));

drop policy if exists customers_see_their_own on vip_linked_tickets;
create policy customers_see_their_own on vip_linked_tickets for select to authenticated
using (vip_reservation_id in (select id from vip_reservations where lower(purchaser_email) = (select my_email())));

grant execute on function check_vip_capacity(uuid), join_vip_by_invite(text, uuid),
    link_ticket_to_vip(uuid, uuid, text, boolean), unlink_ticket_from_vip(uuid, text)
to authenticated;

-- STAFF AND OWNERS

do $$
declare
    v_table text;
begin
    foreach v_table in array array['events', 'event_vip_tables', 'tickets', 'vip_reservations', 'vip_guest_passes',
        'vip_linked_tickets', 'vip_scan_logs', 'scan_logs', 'scan_conflicts', 'gates', 'gate_status']
    loop
        execute format('drop policy if exists staff_sees on %I', v_table);
        execute format('create policy staff_sees on %I for select to authenticated using ((select is_staff()))', v_table);
    end loop;
    foreach v_table in array array['orders', 'payments', 'refunds', 'audit_log', 'commands', 'scan_counts',
        'scan_quarantine', 'owner_assignments']
    loop
        execute format('drop policy if exists owners_see on %I', v_table);
        execute format('create policy owners_see on %I for select to authenticated using ((select is_owner()))', v_table);
    end loop;
end
$$;

-- The first to say that a conflict was seen stays, under their own name.
grant update (acknowledged_by, acknowledged_at) on scan_conflicts to authenticated;

drop policy if exists staff_acknowledges on scan_conflicts;
create policy staff_acknowledges on scan_conflicts for update to authenticated
using (acknowledged_by is null and (select is_staff()))
with check (acknowledged_by = (select acting_as()) and acknowledged_at is not null);

grant select, insert, update, delete on staff to authenticated;

drop policy if exists owners_manage on staff;
create policy owners_manage on staff to authenticated
using ((select is_owner())) with check ((select is_owner()));

grant execute on function cancel_event(uuid, text, text, bigint), preview_event_cancellation(uuid),
    refund_order(uuid, text, text)
to authenticated;

-- At the door: staff is named by their token, the hub says which gate it was.
create or replace function process_vip_scan_with_reentry(
    p_pass_id uuid, p_scanned_by varchar default 'system'
) returns json
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not (is_service() or is_staff()) then
        return vip_refusal('NOT_ALLOWED', 'Only staff checks guests in.');
    end if;
    return vip_pass_scan(p_pass_id,
        case when is_service() then coalesce(p_scanned_by, 'system') else acting_as() end, now());
end
$$;

create or replace function check_vip_linked_ticket_reentry(p_ticket_id uuid) returns json
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    if not (is_service() or is_staff()) then
        return vip_refusal('NOT_ALLOWED', 'Only staff may ask whose table a ticket belongs to.');
    end if;
    return coalesce((
        select json_build_object(
            'is_vip_linked', true,
            'allow_reentry', r.status in ('confirmed', 'checked_in'),
            'vip_reservation_id', r.id,
            'table_number', r.table_number,
            'table_name', v.table_name,
            'reservation_status', r.status
        )
        from vip_linked_tickets l
        join vip_reservations r on r.id = l.vip_reservation_id
        join event_vip_tables v on v.id = r.event_vip_table_id
        where l.ticket_id = p_ticket_id
    ), json_build_object('is_vip_linked', false));
end
$$;

grant execute on function process_vip_scan_with_reentry(uuid, varchar), check_vip_linked_ticket_reentry(uuid)
to authenticated;
