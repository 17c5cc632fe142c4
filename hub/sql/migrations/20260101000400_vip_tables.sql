-- VIP tables, their reservations and their guests (data model 3.1).

create table if not exists event_vip_tables (
    id uuid primary key default gen_random_uuid(),
    event_id uuid not null constraint event_vip_tables_event_fkey references events (id),
    table_number integer not null,
    table_name text not null default '',
    tier text not null default 'standard'
        constraint event_vip_tables_tier check (tier in ('premium', 'front_row', 'standard')),
    price decimal(10, 2) not null default 0,
    price_cents integer not null default 0,
    capacity integer not null constraint event_vip_tables_capacity check (capacity > 0),
    bottles_included integer not null default 0,
    floor_section text,
    position_x integer,
    position_y integer,
    is_available boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint event_vip_tables_number_key unique (event_id, table_number)
);

-- held_by_hand: whoever reserved it at the hub waits for the money, so that it is not released by itself.
create table if not exists vip_reservations (
    id uuid primary key default gen_random_uuid(),
    event_id uuid not null constraint vip_reservations_event_fkey references events (id),
    event_vip_table_id uuid not null constraint vip_reservations_table_fkey references event_vip_tables (id),
    table_number integer not null,
    purchaser_name text not null default '',
    purchaser_email text,
    purchaser_phone text,
    amount_paid_cents integer not null default 0,
    stripe_payment_intent_id text,
    status text not null default 'pending' constraint vip_reservations_status
        check (status in ('pending', 'confirmed', 'checked_in', 'completed', 'cancelled')),
    qr_code_token text constraint vip_reservations_qr_code_token_key unique,
    invite_code text constraint vip_reservations_invite_code_key unique,
    package_snapshot jsonb not null default '{}',
    special_requests text,
    held_by_hand boolean not null default false,
    checked_in_at timestamptz,
    checked_in_by text,
    checked_in_guests integer not null default 0,
    refunded_at timestamptz,
    refund_amount_cents integer,
    stripe_refund_id text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create unique index if not exists unique_vip_stripe_payment on vip_reservations (stripe_payment_intent_id)
where stripe_payment_intent_id is not null;
create index if not exists vip_reservations_event on vip_reservations (event_id);
create index if not exists vip_reservations_table on vip_reservations (event_vip_table_id);

create table if not exists vip_guest_passes (
    id uuid primary key default gen_random_uuid(),
    reservation_id uuid not null constraint vip_guest_passes_reservation_fkey references vip_reservations (id),
    guest_number integer not null,
    guest_name text,
    qr_code_token text not null constraint vip_guest_passes_qr_code_token_key unique,
    qr_signature text,
    code_hash text not null,
    status text not null default 'issued'
        constraint vip_guest_passes_status check (status in ('issued', 'checked_in', 'cancelled')),
    checked_in_at timestamptz,
    checked_in_by text,
    checked_in_scan uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint vip_guest_passes_number_key unique (reservation_id, guest_number),
    constraint vip_guest_passes_times check (
        checked_in_at >= '1970-01-01 00:00+00' and checked_in_at < '2200-01-01 00:00+00'
    )
);

create index if not exists vip_guest_passes_code_hash on vip_guest_passes (code_hash);
create unique index if not exists vip_guest_passes_code_any_case on vip_guest_passes (upper(qr_code_token));

create table if not exists vip_linked_tickets (
    id uuid primary key default gen_random_uuid(),
    vip_reservation_id uuid not null
        constraint vip_linked_tickets_reservation_fkey references vip_reservations (id),
    order_id uuid constraint vip_linked_tickets_order_fkey references orders (id),
    ticket_id uuid not null constraint vip_linked_tickets_ticket_fkey references tickets (id)
        constraint vip_linked_tickets_ticket_key unique,
    purchased_by_email text,
    purchased_by_name text,
    is_booker_purchase boolean not null default false,
    linked_by text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists vip_linked_tickets_reservation on vip_linked_tickets (vip_reservation_id);
