-- Nights and the right to enter them (data model 3.1).

create or replace function hash_of_text(p_text text) returns text
language sql immutable parallel safe
return encode(sha256(convert_to(p_text, 'UTF8')), 'hex');

-- What gates call a code by: codes are compared without regard to case, so upper case is hashed.
create or replace function hash_of_code(p_code text) returns text
language sql immutable parallel safe
return encode(sha256(convert_to(upper(p_code), 'UTF8')), 'hex');

-- Gates read times as ISO 8601, years of four digits: 1970 to 2199, no infinity.
create or replace function is_plausible(p_at timestamptz) returns boolean
language sql immutable parallel safe
return p_at is null or (extract(epoch from p_at) >= 0 and extract(epoch from p_at) < 7258118400);

create or replace function touch_updated_at() returns trigger
language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;

create table if not exists events (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint events_name_key unique,
    code text not null constraint events_code_key unique
        constraint events_code_letters check (code ~ '^[A-Z]{2,6}$'),
    description text,
    event_date date not null,
    doors_open_at timestamptz not null,
    starts_at timestamptz,
    ends_at timestamptz not null,
    venue_capacity integer not null default 0 constraint events_capacity_positive check (venue_capacity >= 0),
    ticket_types jsonb not null default '[]',
    status text not null default 'scheduled'
        constraint events_status check (status in ('scheduled', 'completed', 'cancelled')),
    admission_version bigint not null default 0,
    cancelled_at timestamptz,
    cancelled_by text,
    cancellation_reason text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint events_hours check (ends_at > doors_open_at),
    constraint events_times check (is_plausible(doors_open_at) and is_plausible(starts_at) and is_plausible(ends_at))
);

-- order_id has no foreign key yet: orders come with the shop.
create table if not exists tickets (
    id uuid primary key default gen_random_uuid(),
    ticket_id text not null constraint tickets_ticket_id_key unique,
    order_id uuid,
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
    guest_name text,
    guest_email text,
    guest_phone text,
    checked_in_at timestamptz,
    checked_in_by text,
    last_entry_at timestamptz,
    last_entry_gate text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint unique_ticket_stripe_payment unique (stripe_payment_intent_id, line_number),
    constraint tickets_times check (is_plausible(checked_in_at) and is_plausible(last_entry_at))
);

create index if not exists tickets_event on tickets (event_id);

-- Not unique: in a unique index it would be a key of the ticket, and `tickets_code_any_case` says as much.
create index if not exists tickets_code_hash on tickets (code_hash);

create unique index if not exists tickets_code_any_case on tickets (upper(qr_code_data));

create or replace trigger events_touch before update on events
for each row when (old.admission_version = new.admission_version) execute function touch_updated_at();

-- What sets it itself need not be helped: a check-in is made hundreds of times a second.
create or replace trigger tickets_touch before update on tickets
for each row when (old.updated_at = new.updated_at) execute function touch_updated_at();

-- By a trigger: a generated column would be worked out again at every check-in.
create or replace function hash_ticket_code() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    new.code_hash := hash_of_code(new.qr_code_data);
    return new;
end
$$;

create or replace trigger tickets_code_hash before insert or update of qr_code_data, code_hash on tickets
for each row execute function hash_ticket_code();
