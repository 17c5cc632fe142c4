-- event_availability --
SELECT event_availability(%(event_id)s::uuid)

-- record_ticket_order --
SELECT record_ticket_order(%(order)s::jsonb, %(lines)s::jsonb)

-- record_payment_failure --
SELECT record_payment_failure(%(stripe_event_id)s, %(stripe_payment_intent_id)s, %(customer_email)s,
    %(amount_cents)s::integer, %(error_message)s, %(error_code)s, %(payment_type)s, %(event_id)s::uuid,
    %(metadata)s::jsonb)

-- webhook_begin --
SELECT webhook_begin(%(stripe_event_id)s, %(kind)s)

-- webhook_done --
SELECT webhook_done(%(stripe_event_id)s, %(outcome)s)

-- preview_event_cancellation --
SELECT preview_event_cancellation(%(event_id)s::uuid)

-- cancel_event --
SELECT cancel_event(%(event_id)s::uuid, %(actor)s, %(reason)s, %(expected)s::bigint)

-- refund_order --
SELECT refund_order(%(order_id)s::uuid, %(reason)s, %(actor)s)

-- next_refunds --
SELECT refund_id::text, event_id::text, order_id::text, reservation_id::text, stripe_payment_intent_id,
    amount_cents, currency, attempts
FROM next_refunds(%(limit)s::integer)

-- refund_done --
SELECT refund_done(%(refund_id)s::uuid, %(stripe_refund_id)s)

-- refund_failed --
SELECT refund_failed(%(refund_id)s::uuid, %(reason)s)
