-- lock_nights --
-- Nights by their codes or ids, locked in one order.
SELECT id::text AS event_id, code, name, event_date, ticket_types
FROM events WHERE id::text = ANY (%(names)s) OR code = ANY (%(names)s) ORDER BY id FOR NO KEY UPDATE

-- known_tickets --
-- Tickets that have one of these references, or one of these codes in any night.
SELECT event_id::text AS event_id, external_reference AS reference, upper(qr_code_data) AS code, status
FROM tickets
WHERE event_id = ANY (%(events)s::uuid[]) AND external_reference = ANY (%(references)s)
    OR upper(qr_code_data) = ANY (%(codes)s)

-- sale_refusal --
SELECT sale_refusal(e, %(types)s::text[], now()) ->> 'message' AS message FROM events e WHERE e.id = %(event_id)s

-- add_tickets --
INSERT INTO tickets (ticket_id, event_id, event_name, ticket_type, qr_code_data, price_paid, price_paid_cents,
    guest_name, guest_email, guest_phone, external_reference)
SELECT r.code, e.id, e.name, r.type, r.code, r.price_cents / 100.0, r.price_cents, r.name, r.email, r.phone, r.reference
FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r (event_id uuid, type text, code text, price_cents integer, name text,
    email text, phone text, reference text)
JOIN events e ON e.id = r.event_id

-- list_tickets --
-- The newest first. `wanted`: part of a name, an address or a telephone number.
SELECT t.id::text AS id, t.qr_code_data AS code, t.ticket_type AS type, t.status, t.guest_name AS name,
    t.guest_email AS email, t.guest_phone AS phone, t.price_paid_cents AS price_cents,
    t.external_reference AS reference, t.checked_in_at, t.checked_in_by, t.created_at, r.table_number AS table_number
FROM tickets t
LEFT JOIN vip_linked_tickets l ON l.ticket_id = t.id
LEFT JOIN vip_reservations r ON r.id = l.vip_reservation_id
WHERE t.event_id = %(event_id)s
    AND (%(type)s::text IS NULL OR t.ticket_type = %(type)s)
    AND (%(status)s::text IS NULL OR t.status = %(status)s)
    AND (%(wanted)s::text IS NULL
        OR strpos(lower(concat_ws(' ', t.guest_name, t.guest_email, t.guest_phone)), lower(%(wanted)s)) > 0)
ORDER BY t.created_at DESC, t.id LIMIT %(limit)s

-- printable_codes --
-- Every ticket and guest pass of a night that may still enter.
SELECT t.id::text AS id, 'ticket' AS kind, t.qr_code_data AS code, t.ticket_type AS type, t.guest_name AS name,
    t.guest_email AS email, t.guest_phone AS phone, t.status, r.table_number AS table_number
FROM tickets t
LEFT JOIN vip_linked_tickets l ON l.ticket_id = t.id
LEFT JOIN vip_reservations r ON r.id = l.vip_reservation_id AND r.status <> 'cancelled'
WHERE t.event_id = %(event_id)s AND t.status IN ('issued', 'checked_in')
UNION ALL
SELECT p.id::text, 'pass', p.qr_code_token, 'guest pass ' || p.guest_number, coalesce(p.guest_name, ''),
    r.purchaser_email, r.purchaser_phone, p.status, r.table_number
FROM vip_guest_passes p JOIN vip_reservations r ON r.id = p.reservation_id
WHERE r.event_id = %(event_id)s AND p.status IN ('issued', 'checked_in') AND r.status <> 'cancelled'
ORDER BY kind DESC, table_number NULLS LAST, type, name, id
