-- Who may do what. docs/security.md is drawn from the result, and says why. First everything of ours is closed to all
-- but its owner, then opened by name. What is not ours is left alone: in a Supabase project `public` also holds other
-- people's tables and functions, with the same owner and open on purpose. Our tables are listed here; our functions and
-- views are those that this transaction has created (`hub.db.objects`).

do $$
declare
    c_tables constant text[] := regexp_split_to_array('
        _yoyo_log, _yoyo_migration, _yoyo_version, active_hubs, admission_changes, alerts, alerts_number_seq,
        applied_objects, audit_log, backups, boot_clocks, boots, certificate_requests, certificates, claims, command_outcomes,
        commands, email_queue, enrolments,
        event_vip_tables, events, feed_admissions, feed_digests, feed_events, feed_tables, gate_events, gate_health, gate_nights,
        gate_status, gate_watermarks, gates, hub_locks, lends, orders, owner_assignments, payment_failures, payments,
        refunds, revocations, scan_conflicts, scan_counts, scan_logs, scan_logs_default, scan_places, scan_quarantine,
        scan_repeats, scan_tallies, scan_times, settlings, staff, state_transitions, tickets, vip_guest_passes, vip_linked_tickets,
        vip_reservations, vip_scan_logs, webhook_events, yoyo_lock
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
            -- a view shows only the rows that its reader may see
            execute format('alter view %s set (security_invoker = true)', v_name);
        end if;
        execute format('revoke all on %s %s from public, anon, authenticated, service_role',
            case v_kind when 'S' then 'sequence' else 'table' end, v_name);
    end loop;
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and xmin = pg_current_xact_id()::xid
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_name);
    end loop;

    -- THE HUB: a login that is a member of service_role and nothing more. The policy opens all rows; the grants below
    -- say what may be done with them.
    for v_name in
        select oid::regclass from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname = any (c_tables)
            and not relispartition and relname not like '%yoyo%'
    loop
        execute format('create policy service_works on %s to service_role using (true) with check (true)', v_name);
    end loop;
    -- every function except those of triggers, which are never called
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and xmin = pg_current_xact_id()::xid
            and prorettype <> 'trigger'::regtype
    loop
        execute format('grant execute on function %s to service_role', v_name);
    end loop;
end
$$;

revoke create on schema public from public, anon, authenticated, service_role;
grant usage on schema public to anon, authenticated, service_role;

-- Objects created later are closed as well, until a migration opens them. Default privileges that are set already, as
-- in a Supabase project, stay as they are.
do $$
begin
    if not exists (select from pg_default_acl where defaclrole = current_user::regrole) then
        alter default privileges revoke execute on functions from public;
    end if;
end
$$;

grant select on state_transitions, owner_assignments, staff, backups,
    command_outcomes, feed_admissions, feed_events, feed_tables, gate_health, gate_nights, scan_counts, scan_places,
    scan_times
to service_role;

-- append-only
grant select, insert on admission_changes, audit_log, payment_failures, scan_quarantine, scan_repeats to service_role;

grant select, insert, update on active_hubs, boot_clocks, boots, certificates, commands, email_queue, event_vip_tables, events, gate_events,
    gate_status, gate_watermarks, gates, hub_locks, orders, payments, refunds, revocations, scan_conflicts, scan_logs,
    scan_tallies, tickets, vip_guest_passes, vip_reservations
to service_role;

grant select, insert, update, delete on alerts, certificate_requests, claims, enrolments, feed_digests, lends, settlings, vip_linked_tickets, vip_scan_logs,
    webhook_events
to service_role;

-- a gate that no longer serves a night
grant delete on gate_events to service_role;

-- EVERYBODY: coming nights, their tables, and how many tickets are left

grant select (id, name, code, description, event_date, doors_open_at, starts_at, ends_at, venue_capacity,
    ticket_types, status)
on events to anon, authenticated;

grant select (id, event_id, table_number, table_name, tier, price, price_cents, capacity, bottles_included,
    floor_section, position_x, position_y, is_available)
on event_vip_tables to anon, authenticated;

create policy everybody_sees_what_is_on on events for select to anon, authenticated using (status = 'scheduled');

create policy everybody_sees_what_is_on on event_vip_tables for select to anon, authenticated
using (event_id in (select id from events where status = 'scheduled'));

grant execute on function event_availability(uuid) to anon, authenticated;

-- PEOPLE WHO ARE LOGGED IN: each policy and each function checks whether they are customers, staff or owners. In a
-- subselect, so that it is checked once for each query and not for each row.

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

-- The purchaser of a table sees its guests' names, and not their addresses.
grant select (id, vip_reservation_id, order_id, ticket_id, purchased_by_name, is_booker_purchase, linked_by,
    created_at, updated_at)
on vip_linked_tickets to authenticated;

grant select on gate_status, scan_conflicts, scan_logs, vip_scan_logs to authenticated;

-- Without the hash of a gate's token.
grant select (id, gate_id, venue, name, epoch, version, last_seen_at, status, revoked_at, created_at, updated_at)
on gates to authenticated;

grant select on audit_log, commands, owner_assignments, refunds, scan_counts, scan_quarantine to authenticated;

-- An owner marks a failure as resolved; the report itself stays as it came.
grant select, update (resolved, resolved_at, resolved_by) on payment_failures to authenticated;
create policy owners_view_payment_failures on payment_failures for select to authenticated using (is_owner());
create policy owners_update_payment_failures on payment_failures for update to authenticated
using (is_owner()) with check (is_owner());
create policy service_insert_payment_failures on payment_failures for insert to service_role with check (true);

-- CUSTOMERS: what belongs to their confirmed address

create policy customers_see_their_own on orders for select to authenticated
using (lower(customer_email) = (select my_email()));

create policy customers_see_their_own on payments for select to authenticated
using (order_id in (select id from orders where lower(customer_email) = (select my_email())));

create policy customers_see_their_own on tickets for select to authenticated
using (
    lower(guest_email) = (select my_email())
    or order_id in (select id from orders where lower(customer_email) = (select my_email()))
);

create policy customers_see_their_own on vip_reservations for select to authenticated
using (lower(purchaser_email) = (select my_email()));

create policy customers_see_their_own on vip_guest_passes for select to authenticated
using (reservation_id in (select id from vip_reservations where lower(purchaser_email) = (select my_email())));

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
        execute format('create policy staff_sees on %I for select to authenticated using ((select is_staff()))', v_table);
    end loop;
    foreach v_table in array array['orders', 'payments', 'refunds', 'audit_log', 'commands', 'scan_counts',
        'scan_quarantine', 'owner_assignments']
    loop
        execute format('create policy owners_see on %I for select to authenticated using ((select is_owner()))', v_table);
    end loop;
end
$$;

-- The first acknowledgement of a conflict stays, under the name of whoever made it.
grant update (acknowledged_by, acknowledged_at) on scan_conflicts to authenticated;

create policy staff_acknowledges on scan_conflicts for update to authenticated
using (acknowledged_by is null and (select is_staff()))
with check (acknowledged_by = (select acting_as()) and acknowledged_at is not null);

-- Columns only: whoever may update or delete in a whole table may also lock it.
grant select, insert (id, user_id, name, role), update (user_id, name, role) on staff to authenticated;

create policy owners_manage on staff to authenticated
using ((select is_owner())) with check ((select is_owner()));

grant execute on function cancel_event(uuid, text, text, bigint), preview_event_cancellation(uuid),
    refund_order(uuid, text, text), dismiss_staff(uuid), process_vip_scan_with_reentry(uuid, varchar),
    check_vip_linked_ticket_reentry(uuid)
to authenticated;
revoke execute on function dismiss_staff(uuid) from service_role;
