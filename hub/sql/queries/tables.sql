-- add_table --
INSERT INTO event_vip_tables (event_id, table_number, table_name, tier, price, price_cents, capacity, bottles_included,
    floor_section)
VALUES (%(event_id)s, %(number)s, %(name)s, %(tier)s, %(price_cents)s / 100.0, %(price_cents)s, %(seats)s, %(bottles)s,
    %(section)s)
ON CONFLICT (event_id, table_number) DO NOTHING RETURNING id

-- night_for_sale --
SELECT code, name, status, ends_at <= now() AS is_over FROM events WHERE id = %(event_id)s FOR NO KEY UPDATE

-- list_tables --
-- Each table with the reservation that was not given up, if there is one.
SELECT v.table_number AS number, v.table_name AS name, v.tier, v.capacity AS seats, v.price_cents, v.bottles_included AS
    bottles, v.floor_section AS section, coalesce(r.status, CASE WHEN v.is_available THEN 'free' ELSE 'taken' END) AS state,
    r.id::text AS reservation_id, r.purchaser_name AS host, r.purchaser_email AS email, r.purchaser_phone AS phone,
    r.amount_paid_cents, s.passes, s.linked, r.checked_in_guests AS arrived
FROM event_vip_tables v
LEFT JOIN vip_reservations r ON r.id = reservation_of_table(v.event_id, v.table_number)
LEFT JOIN LATERAL seats_of(r.id) s ON r.id IS NOT NULL
WHERE v.event_id = %(event_id)s ORDER BY v.table_number

-- codes_of_reservation --
-- The host's ticket, then the passes by their numbers.
SELECT code FROM (
    SELECT 0 AS place, t.qr_code_data AS code
    FROM vip_linked_tickets l JOIN tickets t ON t.id = l.ticket_id
    WHERE l.vip_reservation_id = %(id)s AND l.is_booker_purchase
    UNION ALL
    SELECT guest_number, qr_code_token FROM vip_guest_passes WHERE reservation_id = %(id)s
) c ORDER BY place
