-- next_refunds --
SELECT refund_id::text, event_id::text, order_id::text, reservation_id::text, stripe_payment_intent_id,
    amount_cents, currency, attempts
FROM next_refunds(%(limit)s::integer)
