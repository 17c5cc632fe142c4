-- The right to enter a night (data model 3.1).

-- external_reference: what whoever sold an imported ticket calls it, or what stands for that (hub/ticketing/imports.py), so
-- that a list that is imported twice makes no second ticket.
-- checked_in_scan, last_entry_scan: the scan of an entry; null if staff or a call of the contract made it without one.
-- A check-in changes no indexed column, so while its page has room it touches none of seven indexes. Guests who bought
-- together come together, so each page has room for all of its tickets to be checked in at once.
create table if not exists tickets (
    id uuid primary key default gen_random_uuid(),
    ticket_id text not null constraint tickets_ticket_id_key unique,
    order_id uuid constraint tickets_order_fkey references orders (id),
    event_id uuid not null constraint tickets_event_fkey references events (id),
    event_name text not null default '',
    ticket_type text not null default 'General Admission',
    status text not null default 'issued'
        constraint tickets_status check (status in ('issued', 'checked_in', 'cancelled', 'refunded')),
    is_used boolean not null default false,
    qr_code_data text not null constraint tickets_qr_code_data_key unique,
    qr_signature text,
    code_hash text not null,
    price_paid decimal(10, 2),
    price_paid_cents integer,
    stripe_payment_id text,
    stripe_payment_intent_id text,
    line_number integer,
    external_reference text,
    guest_name text,
    guest_email text,
    guest_phone text,
    checked_in_at timestamptz,
    checked_in_by text,
    checked_in_scan uuid,
    last_entry_at timestamptz,
    last_entry_gate text,
    last_entry_scan uuid,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint unique_ticket_stripe_payment unique (stripe_payment_intent_id, line_number),
    constraint tickets_times check (
        (checked_in_at >= '1970-01-01 00:00+00' and checked_in_at < '2200-01-01 00:00+00')
        and (last_entry_at >= '1970-01-01 00:00+00' and last_entry_at < '2200-01-01 00:00+00')
    )
) with (fillfactor = 45);

create index if not exists tickets_event on tickets (event_id);
-- Not unique: a unique index would make it a key of the ticket, and `tickets_code_any_case` already has that rule.
create index if not exists tickets_code_hash on tickets (code_hash);
create unique index if not exists tickets_code_any_case on tickets (upper(qr_code_data));
create index if not exists tickets_order on tickets (order_id);
create unique index if not exists tickets_external_reference on tickets (event_id, external_reference)
where external_reference is not null;
create index if not exists tickets_guest on tickets (lower(guest_email));
