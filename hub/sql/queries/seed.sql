-- already_seeded --
SELECT name FROM events WHERE code = ANY (%(codes)s) ORDER BY code LIMIT 1

-- seed_events --
INSERT INTO events (id, name, code, description, event_date, doors_open_at, starts_at, ends_at, venue_capacity,
    ticket_types)
SELECT id, name, code, description, event_date, doors_open_at, doors_open_at, ends_at, venue_capacity, ticket_types
FROM jsonb_populate_recordset(NULL::events, %(rows)s::text::jsonb)

-- seed_tickets --
INSERT INTO tickets (id, ticket_id, event_id, event_name, ticket_type, status, qr_code_data, qr_signature,
    price_paid, price_paid_cents, guest_name, guest_email)
SELECT id, ticket_id, event_id, event_name, ticket_type, status, qr_code_data, qr_signature,
    price_paid, price_paid_cents, guest_name, guest_email
FROM jsonb_populate_recordset(NULL::tickets, %(rows)s::text::jsonb)

-- seed_tables --
INSERT INTO event_vip_tables (id, event_id, table_number, table_name, tier, price, price_cents, capacity,
    bottles_included, floor_section, position_x, position_y, is_available)
SELECT id, event_id, table_number, table_name, tier, price, price_cents, capacity,
    bottles_included, floor_section, position_x, position_y, is_available
FROM jsonb_populate_recordset(NULL::event_vip_tables, %(rows)s::text::jsonb)

-- seed_reservations --
INSERT INTO vip_reservations (id, event_id, event_vip_table_id, table_number, purchaser_name, purchaser_email,
    amount_paid_cents, status, qr_code_token, invite_code, package_snapshot)
SELECT id, event_id, event_vip_table_id, table_number, purchaser_name, purchaser_email,
    amount_paid_cents, status, qr_code_token, invite_code, package_snapshot
FROM jsonb_populate_recordset(NULL::vip_reservations, %(rows)s::text::jsonb)

-- seed_passes --
INSERT INTO vip_guest_passes (id, reservation_id, guest_number, guest_name, qr_code_token, qr_signature, status)
SELECT id, reservation_id, guest_number, guest_name, qr_code_token, qr_signature, status
FROM jsonb_populate_recordset(NULL::vip_guest_passes, %(rows)s::text::jsonb)

-- seed_links --
INSERT INTO vip_linked_tickets (id, vip_reservation_id, ticket_id, purchased_by_email, purchased_by_name,
    is_booker_purchase, linked_by)
SELECT id, vip_reservation_id, ticket_id, purchased_by_email, purchased_by_name, is_booker_purchase, linked_by
FROM jsonb_populate_recordset(NULL::vip_linked_tickets, %(rows)s::text::jsonb)

-- seed_gates --
INSERT INTO gates (gate_id, venue, name, token_hash)
SELECT gate_id, venue, name, token_hash FROM jsonb_populate_recordset(NULL::gates, %(rows)s::text::jsonb)

-- seed_gate_events --
INSERT INTO gate_events (gate_id, event_id)
SELECT gate_id, event_id FROM jsonb_populate_recordset(NULL::gate_events, %(rows)s::text::jsonb)
