-- kept_status --
-- The stored status of a gate of this venue; no row if there is no such gate.
SELECT g.gate_id, is_revoked(g.gate_id) AS revoked, s.gate_id IS NOT NULL AS has_status, s.boot_id, s.monotonic_ms, s.clock, s.said_at
FROM gates g LEFT JOIN gate_status s ON s.gate_id = g.gate_id
WHERE g.gate_id = %(gate_id)s AND g.venue = %(venue)s

-- take_status --
-- A gate's whole status. A retained one does not change when the gate was heard.
INSERT INTO gate_status (gate_id, online, version, event_id, cache_version, cache_age_s, epoch, last_seq, acked,
    unacked, oldest_unacked_s, clock, clock_offset_ms, clock_uncertainty_ms, boot_id, monotonic_ms, isolated, door,
    parts, way, counters, held, flooding, said_at, heard_at)
SELECT r.gate_id, r.online, r.version, r.event_id, r.cache_version, r.cache_age_s, r.epoch, r.last_seq, r.acked,
    r.unacked, r.oldest_unacked_s, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.boot_id, r.monotonic_ms,
    r.isolated, r.door, r.parts, r.way, r.counters, r.held, coalesce(r.flooding, '{}'), %(said_at)s, %(heard_at)s
FROM jsonb_populate_record(NULL::gate_status, %(status)s::text::jsonb) r
ON CONFLICT (gate_id) DO UPDATE SET (online, version, event_id, cache_version, cache_age_s, epoch, last_seq, acked,
    unacked, oldest_unacked_s, clock, clock_offset_ms, clock_uncertainty_ms, boot_id, monotonic_ms, isolated, door,
    parts, way, counters, held, flooding, said_at, heard_at) = (excluded.online, excluded.version, excluded.event_id,
    excluded.cache_version, excluded.cache_age_s, excluded.epoch, excluded.last_seq, excluded.acked,
    excluded.unacked, excluded.oldest_unacked_s, excluded.clock, excluded.clock_offset_ms,
    excluded.clock_uncertainty_ms, excluded.boot_id, excluded.monotonic_ms, excluded.isolated, excluded.door,
    excluded.parts, excluded.way, excluded.counters, excluded.held, excluded.flooding,
    excluded.said_at,
    coalesce(excluded.heard_at, gate_status.heard_at))

-- note_complete --
-- Note that everything the gate had recorded was here when it said so, except what may be on its way.
UPDATE gate_status s SET complete_at = s.heard_at
WHERE s.gate_id = %(gate_id)s AND s.heard_at IS NOT NULL AND s.last_seq <= %(slack)s + coalesce(
    (SELECT w.seq FROM gate_watermarks w WHERE (w.gate_id, w.epoch) = (s.gate_id, s.epoch)), 0
)

-- take_goodbye --
-- A goodbye or a last will changes `online` only.
INSERT INTO gate_status (gate_id, online, version) VALUES (%(gate_id)s, false, %(version)s)
ON CONFLICT (gate_id) DO UPDATE SET online = false

-- gate_seen --
UPDATE gates SET version = %(version)s, epoch = coalesce(%(epoch)s, epoch),
    last_seen_at = coalesce(%(heard_at)s, last_seen_at)
WHERE gate_id = %(gate_id)s

-- note_boot_clock --
SELECT note_boot_clock(%(gate_id)s, %(boot_id)s, %(monotonic_ms)s, %(at)s, %(uncertainty_ms)s)

-- digests_wanted --
-- Nights that a gate holds in exactly the hub's version, if the digest of that version was not computed yet, nor
-- another one lately.
SELECT DISTINCT e.id AS event_id
FROM gate_status s
CROSS JOIN LATERAL jsonb_to_recordset(s.held) AS h (event_id uuid, version bigint, generation bigint)
JOIN events e ON e.id = h.event_id AND (e.feed_generation, e.admission_version) = (h.generation, h.version)
WHERE s.gate_id = ANY (%(gates)s) AND NOT EXISTS (
    SELECT FROM feed_digests d
    WHERE d.event_id = e.id AND (
        (d.generation, d.version) = (h.generation, h.version)
        OR d.computed_at > %(now)s::timestamptz - %(every_s)s * interval '1 second'
    )
)

-- compute_digest --
-- In one statement, so that version and rows belong together.
INSERT INTO feed_digests (event_id, generation, version, digest, computed_at)
SELECT id, feed_generation, admission_version, feed_digest(id), %(now)s FROM events WHERE id = %(event_id)s
ON CONFLICT (event_id, generation, version) DO NOTHING

-- forget_digests --
DELETE FROM feed_digests d
WHERE d.event_id = %(event_id)s AND d.computed_at < (
    SELECT computed_at FROM feed_digests k WHERE k.event_id = d.event_id
    ORDER BY computed_at DESC OFFSET %(keep)s LIMIT 1
)

-- nights_of --
SELECT gate_id, event_id::text AS event_id, code, state, version FROM gate_nights
WHERE gate_id = ANY (%(gates)s) AND version IS NOT NULL

-- gate_health --
-- evidence: how many records a revoked gate has sent since, which change nothing.
SELECT h.*, g.revoked_at, coalesce(s.flooding, '{}') AS sees_flooding, CASE WHEN h.revoked THEN (
    SELECT count(*) FROM scan_quarantine q WHERE q.gate_id = h.gate_id AND q.received_at >= g.revoked_at
) ELSE 0 END AS evidence
FROM gate_health h JOIN gates g ON g.gate_id = h.gate_id LEFT JOIN gate_status s ON s.gate_id = h.gate_id
WHERE h.venue = %(venue)s ORDER BY h.name, h.gate_id

-- cancelled_nights --
SELECT id::text AS event_id FROM events WHERE status = 'cancelled'

-- too_long --
-- Names from before they had bounds, of nights that are not over. Gates get the beginning (`feed_text`).
SELECT e.code, n.what, n.id::text AS id, n.characters, n.most FROM events e
CROSS JOIN LATERAL (
    SELECT 'the night''s name' AS what, e.id, length(e.name) AS characters, 120 AS most
    UNION ALL SELECT 'ticket: guest_name', id, length(guest_name), 200 FROM tickets WHERE event_id = e.id
    UNION ALL SELECT 'ticket: ticket_type', id, length(ticket_type), 200 FROM tickets WHERE event_id = e.id
    UNION ALL SELECT 'table: table_name', id, length(table_name), 120 FROM event_vip_tables WHERE event_id = e.id
    UNION ALL SELECT 'reservation: purchaser_name', id, length(purchaser_name), 200
        FROM vip_reservations WHERE event_id = e.id
    UNION ALL SELECT 'guest pass: guest_name', p.id, length(p.guest_name), 200
        FROM vip_guest_passes p JOIN vip_reservations r ON r.id = p.reservation_id WHERE r.event_id = e.id
) n
WHERE e.ends_at > now() - interval '1 day' AND n.characters > n.most
ORDER BY n.characters DESC LIMIT 20
