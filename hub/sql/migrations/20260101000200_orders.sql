-- Orders, their payments, Stripe's messages and the queue of mail (data model 3.1).

create table if not exists orders (
    id uuid primary key default gen_random_uuid(),
    stripe_payment_intent_id text constraint orders_stripe_payment_intent_id_key unique,
    stripe_session_id text,
    stripe_customer_id text,
    customer_email text,
    customer_name text,
    total_amount decimal(10, 2) not null default 0,
    total_amount_cents integer not null default 0 constraint orders_amount check (total_amount_cents >= 0),
    currency text not null default 'usd' constraint orders_currency check (currency ~ '^[a-z]{3}$'),
    status text not null default 'pending'
        constraint orders_status check (status in ('pending', 'completed', 'failed', 'refunded')),
    event_id uuid constraint orders_event_fkey references events (id),
    event_name text not null default '',
    ticket_count integer not null default 0 constraint orders_ticket_count check (ticket_count >= 0),
    completed_at timestamptz,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists orders_event on orders (event_id);
create index if not exists orders_customer on orders (lower(customer_email));

create table if not exists payments (
    id uuid primary key default gen_random_uuid(),
    order_id uuid constraint payments_order_fkey references orders (id),
    stripe_payment_intent_id text constraint payments_stripe_payment_intent_id_key unique,
    amount decimal(10, 2) not null default 0,
    amount_cents integer not null default 0 constraint payments_amount check (amount_cents >= 0),
    currency text not null default 'usd' constraint payments_currency check (currency ~ '^[a-z]{3}$'),
    status text not null constraint payments_status check (status in ('succeeded', 'failed', 'refunded')),
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists payments_order on payments (order_id);

-- Each of Stripe's messages is handled once, however often it comes. Kept for 30 days (data model 3.1).
create table if not exists webhook_events (
    id uuid primary key default gen_random_uuid(),
    stripe_event_id text not null constraint webhook_events_stripe_event_id_key unique,
    kind text not null default '',
    outcome text,
    processed_at timestamptz not null default now(),
    created_at timestamptz not null default now()
);

create index if not exists webhook_events_age on webhook_events (processed_at);

create table if not exists email_queue (
    id uuid primary key default gen_random_uuid(),
    recipient text not null,
    kind text not null,
    payload jsonb not null default '{}',
    attempts integer not null default 0 constraint email_queue_attempts check (attempts between 0 and 5),
    next_attempt_at timestamptz not null default now(),
    sent_at timestamptz,
    last_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists email_queue_due on email_queue (next_attempt_at)
where sent_at is null and attempts < 5;
