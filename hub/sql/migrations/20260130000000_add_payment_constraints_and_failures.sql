-- One payment, one purchase; and every failed payment where the owner sees it (domain 2.2, data model 3.1).

-- A payment buys several tickets, each a line of its own. Nulls never conflict: sold at the door, given away.
do $$
begin
    if not exists (select from pg_constraint where conname = 'unique_ticket_stripe_payment') then
        alter table tickets
            add constraint unique_ticket_stripe_payment unique (stripe_payment_intent_id, line_number);
    end if;
end
$$;

create unique index if not exists unique_vip_stripe_payment on vip_reservations (stripe_payment_intent_id)
where stripe_payment_intent_id is not null;

create unique index if not exists unique_order_stripe_session on orders (stripe_session_id)
where stripe_session_id is not null;

create table if not exists payment_failures (
    id uuid primary key default gen_random_uuid(),
    stripe_event_id text constraint payment_failures_stripe_event_id_key unique,
    stripe_payment_intent_id text,
    customer_email text,
    amount_cents integer not null default 0 constraint payment_failures_amount check (amount_cents >= 0),
    error_message text not null default '',
    error_code text,
    payment_type text not null
        constraint payment_failures_type check (payment_type in ('ga_ticket', 'vip_reservation')),
    event_id uuid constraint payment_failures_event_fkey references events (id),
    resolved boolean not null default false,
    resolved_at timestamptz,
    resolved_by text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payment_failures_resolved check (resolved = (resolved_at is not null))
);

create index if not exists payment_failures_open on payment_failures (resolved);

create index if not exists payment_failures_age on payment_failures (created_at);

create index if not exists payment_failures_event on payment_failures (event_id);

create or replace trigger payment_failures_touch before update on payment_failures
for each row execute function touch_updated_at();

alter table payment_failures enable row level security;

drop policy if exists owners_view_payment_failures on payment_failures;
create policy owners_view_payment_failures on payment_failures for select to authenticated using (is_owner());

drop policy if exists owners_update_payment_failures on payment_failures;
create policy owners_update_payment_failures on payment_failures for update to authenticated
using (is_owner()) with check (is_owner());

drop policy if exists service_insert_payment_failures on payment_failures;
create policy service_insert_payment_failures on payment_failures for insert to service_role with check (true);

grant select on payment_failures to authenticated;
-- An owner settles a failure; what failed stays as it was told.
grant update (resolved, resolved_at, resolved_by) on payment_failures to authenticated;
grant insert on payment_failures to service_role;

-- Does it hold? Each duplicate is really tried. The error that ends each block also undoes it.
do $$
declare
    v_event uuid := gen_random_uuid();
    v_table uuid := gen_random_uuid();
begin
    insert into events (id, name, code, event_date, doors_open_at, ends_at)
    values (v_event, 'verification ' || v_event, 'ZZVRFY', '2000-01-01', '2000-01-01', '2000-01-02');
    insert into event_vip_tables (id, event_id, table_number, capacity) values (v_table, v_event, 1, 1);

    -- nulls never conflict
    insert into tickets (ticket_id, event_id, qr_code_data)
    values ('verify-1', v_event, 'verify-1'), ('verify-2', v_event, 'verify-2');
    insert into vip_reservations (event_id, event_vip_table_id, table_number)
    values (v_event, v_table, 1), (v_event, v_table, 1);
    insert into orders (event_id) values (v_event), (v_event);

    begin
        insert into tickets (ticket_id, event_id, qr_code_data, stripe_payment_intent_id, line_number)
        values ('verify-3', v_event, 'verify-3', 'pi_verify', 1), ('verify-4', v_event, 'verify-4', 'pi_verify', 1);
        raise exception 'unique_ticket_stripe_payment does not hold';
    exception when unique_violation then null;
    end;
    begin
        insert into vip_reservations (event_id, event_vip_table_id, table_number, stripe_payment_intent_id)
        values (v_event, v_table, 1, 'pi_verify'), (v_event, v_table, 1, 'pi_verify');
        raise exception 'unique_vip_stripe_payment does not hold';
    exception when unique_violation then null;
    end;
    begin
        insert into orders (event_id, stripe_session_id) values (v_event, 'cs_verify'), (v_event, 'cs_verify');
        raise exception 'unique_order_stripe_session does not hold';
    exception when unique_violation then null;
    end;
    raise exception using errcode = 'MG001', message = 'verified';
exception when sqlstate 'MG001' then
    null;
end
$$;
