-- Refunds (domain 2.2, Cancellation).

-- Payments to refund, each at most once, however often it is requested. sent: a worker has taken it. The id is the
-- idempotency key at the payment service, so a repeated request there has no effect either.
create table if not exists refunds (
    id uuid primary key default gen_random_uuid(),
    event_id uuid constraint refunds_event_fkey references events (id),
    order_id uuid constraint refunds_order_fkey references orders (id),
    reservation_id uuid constraint refunds_reservation_fkey references vip_reservations (id),
    stripe_payment_intent_id text not null constraint refunds_payment_key unique,
    amount_cents integer not null constraint refunds_amount check (amount_cents > 0),
    currency text not null default 'usd' constraint refunds_currency check (currency ~ '^[a-z]{3}$'),
    reason text not null,
    status text not null default 'queued'
        constraint refunds_status check (status in ('queued', 'sent', 'done', 'failed')),
    attempts integer not null default 0 constraint refunds_attempts check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    stripe_refund_id text,
    last_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index if not exists refunds_due on refunds (next_attempt_at) where status in ('queued', 'sent');
create index if not exists refunds_event on refunds (event_id);
