-- A payment makes one purchase, and the owner sees every failed payment (domain 2.2, data model 3.1). Who may see and
-- resolve a failure: objects/99_rights.sql.

-- A payment buys several tickets, each with a line number. Nulls never conflict: tickets sold at the door, or given
-- away.
do $$
begin
    if not exists (
        select from pg_constraint
        where conname = 'unique_ticket_stripe_payment' and conrelid = 'tickets'::regclass
    ) then
        alter table tickets
            add constraint unique_ticket_stripe_payment unique (stripe_payment_intent_id, line_number);
    end if;
end
$$;

-- Without a line number a paid ticket would never conflict, so any number of them could be made.
with numbered as (
    select t.id, coalesce(known.last, 0) + row_number() over (
        partition by t.stripe_payment_intent_id order by t.created_at, t.id
    ) as number
    from tickets t
    left join lateral (
        select max(line_number) as last from tickets o where o.stripe_payment_intent_id = t.stripe_payment_intent_id
    ) known on true
    where t.stripe_payment_intent_id is not null and t.line_number is null
)
update tickets t set line_number = numbered.number from numbered where t.id = numbered.id;

do $$
begin
    if not exists (
        select from pg_constraint where conname = 'tickets_paid_line' and conrelid = 'tickets'::regclass
    ) then
        alter table tickets add constraint tickets_paid_line
            check (stripe_payment_intent_id is null or line_number is not null);
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

-- Verify the constraints: try each duplicate, and check which constraint refuses it. The error that ends the block also
-- undoes it.
do $$
declare
    c_one constant text := 'verify ' || gen_random_uuid();
    c_two constant text := 'verify ' || gen_random_uuid();
    v_event uuid := gen_random_uuid();
    v_tables uuid[];
    v_what record;
    v_refused_by text;
begin
    insert into events (id, name, code, event_date, doors_open_at, ends_at)
    select v_event, c_one, code, current_date + 1, now() + interval '1 day', now() + interval '2 days'
    from (
        -- a code that no night has
        select translate(to_char(n, 'FM000000'), '0123456789', 'QWERTYUIOP') as code from generate_series(1, 999999) n
    ) codes where not exists (select from events e where e.code = codes.code) limit 1;
    with made as (
        insert into event_vip_tables (event_id, table_number, capacity) values (v_event, 1, 1), (v_event, 2, 1)
        returning id
    ) select array_agg(id) into v_tables from made;

    -- nulls never conflict
    insert into tickets (ticket_id, event_id, qr_code_data, code_hash)
    values (c_one || 1, v_event, c_one || 1, c_one), (c_one || 2, v_event, c_one || 2, c_one);
    insert into vip_reservations (event_id, event_vip_table_id, table_number)
    values (v_event, v_tables[1], 1), (v_event, v_tables[2], 2);
    insert into orders (event_id) values (v_event), (v_event);

    for v_what in select * from (values
        ('unique_ticket_stripe_payment', format('insert into tickets (ticket_id, event_id, qr_code_data, code_hash,
            stripe_payment_intent_id, line_number)
            values (%1$L, %3$L, %1$L, %1$L, %1$L, 1), (%2$L, %3$L, %2$L, %2$L, %1$L, 1)',
            c_one, c_two, v_event)),
        ('unique_vip_stripe_payment', format('insert into vip_reservations (event_id, event_vip_table_id,
            table_number, stripe_payment_intent_id) values (%1$L, %2$L, 1, %4$L), (%1$L, %3$L, 2, %4$L)',
            v_event, v_tables[1], v_tables[2], c_one)),
        ('unique_order_stripe_session', format('insert into orders (event_id, stripe_session_id)
            values (%1$L, %2$L), (%1$L, %2$L)', v_event, c_one))
    ) as tried (name, statement) loop
        v_refused_by := null;
        begin
            execute v_what.statement;
        exception when unique_violation then
            get stacked diagnostics v_refused_by = constraint_name;
        end;
        if v_refused_by is distinct from v_what.name then
            raise exception '% does not hold: a duplicate was %', v_what.name,
                coalesce('refused by ' || v_refused_by, 'taken')
                using errcode = 'check_violation', hint = 'Restore it, then migrate again.';
        end if;
    end loop;
    raise exception using errcode = 'MG001', message = 'verified';
exception when sqlstate 'MG001' then
    null;
end
$$;
