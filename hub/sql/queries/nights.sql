-- add_night --
INSERT INTO events (name, code, description, event_date, doors_open_at, starts_at, ends_at, venue_capacity,
    ticket_types, isolation_policy)
VALUES (%(name)s, %(code)s, %(description)s, %(day)s, %(doors_open_at)s, %(starts_at)s, %(ends_at)s, %(capacity)s,
    %(types)s::text::jsonb, %(policy)s)
RETURNING id

-- nights_called --
-- Nights that have a new one's code or name already.
SELECT code, name, event_date FROM events WHERE code = %(code)s OR name = %(name)s ORDER BY code

-- lock_night --
SELECT id::text AS event_id, code, name, description, event_date, doors_open_at, starts_at, ends_at, venue_capacity,
    ticket_types, status, isolation_policy, home_gates, retired_gates, now() AS now,
    coalesce((SELECT jsonb_object_agg(s.name, s.sold) FROM tickets_sold(events.id) s), '{}') AS sold,
    array(SELECT gate_id FROM gate_events g WHERE g.event_id = events.id ORDER BY gate_id) AS gates
FROM events WHERE id = %(event_id)s FOR NO KEY UPDATE

-- change_night --
UPDATE events SET name = %(name)s, description = %(description)s, event_date = %(day)s,
    doors_open_at = %(doors_open_at)s, starts_at = %(starts_at)s, ends_at = %(ends_at)s,
    venue_capacity = %(capacity)s, ticket_types = %(types)s::text::jsonb
WHERE id = %(event_id)s

-- set_policy --
UPDATE events SET isolation_policy = %(policy)s WHERE id = %(event_id)s

-- active_gates --
SELECT gate_id FROM gates WHERE venue = %(venue)s AND status = 'active' AND revoked_at IS NULL ORDER BY gate_id

-- serve_night --
INSERT INTO gate_events (gate_id, event_id) SELECT gate, %(event_id)s FROM unnest(%(gates)s::text[]) AS g (gate)
ON CONFLICT DO NOTHING

-- leave_night --
DELETE FROM gate_events WHERE event_id = %(event_id)s AND gate_id = ANY (%(gates)s)

-- list_nights --
-- Those that are not over first, the next one on top; then the past, the latest on top.
SELECT e.id::text AS event_id, e.code, e.name, e.event_date, e.doors_open_at, e.starts_at, e.ends_at, e.status,
    e.venue_capacity AS capacity, e.ticket_types, e.isolation_policy AS policy,
    t.sold, t.arrived + p.arrived AS arrived, p.passes, e.home_gates, e.retired_gates,
    array(SELECT g.gate_id FROM gate_events g WHERE g.event_id = e.id ORDER BY g.gate_id) AS gates
FROM (
    SELECT * FROM events WHERE %(past)s OR ends_at > %(now)s
    ORDER BY ends_at > %(now)s DESC, abs(extract(epoch FROM ends_at - %(now)s)), code LIMIT %(limit)s
) e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status IN ('issued', 'checked_in')) AS sold,
        count(*) FILTER (WHERE status = 'checked_in') AS arrived
    FROM tickets WHERE event_id = e.id
) t
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE p.status IN ('issued', 'checked_in')) AS passes,
        count(*) FILTER (WHERE p.status = 'checked_in') AS arrived
    FROM vip_guest_passes p JOIN vip_reservations r ON r.id = p.reservation_id WHERE r.event_id = e.id
) p
ORDER BY e.ends_at > %(now)s DESC, abs(extract(epoch FROM e.ends_at - %(now)s)), e.code
