-- scan_history --
-- The newest scans of a venue's gates, by the hub's clock as far as known. A scan is never received long before it
-- happened, so older months are not read.
SELECT s.scan_id::text AS scan_id, s.at, s.gate_id, s.verdict, s.reason, s.kind, s.flags, s.scan_method, s.code_hash,
    s.subject_id::text AS subject_id, s.received_at, s.annulled_at, e.code AS event,
    coalesce(t.guest_name, p.guest_name, '') AS holder, coalesce(t.ticket_type, '') AS type,
    coalesce(tr.table_number, pr.table_number) AS table_number
FROM (
    SELECT l.*, coalesce(l.corrected_at, least(l.occurred_at, l.received_at)) AS at
    FROM scan_logs l JOIN gates g ON g.gate_id = l.gate_id AND g.venue = %(venue)s
    WHERE l.record = 'scan'
        AND (%(since)s::timestamptz IS NULL OR (l.received_at >= %(since)s::timestamptz - interval '1 day'
            AND coalesce(l.corrected_at, least(l.occurred_at, l.received_at)) >= %(since)s))
        AND (%(gate)s::text IS NULL OR l.gate_id = %(gate)s)
        AND (%(event_id)s::uuid IS NULL OR l.event_id = %(event_id)s)
        AND (%(reason)s::text IS NULL OR l.reason = %(reason)s)
        AND (%(verdict)s::text IS NULL OR l.verdict = %(verdict)s)
    ORDER BY at DESC, l.gate_id, l.epoch, l.seq DESC LIMIT %(limit)s
) s
LEFT JOIN events e ON e.id = s.event_id
LEFT JOIN tickets t ON t.id = s.subject_id
LEFT JOIN vip_linked_tickets k ON k.ticket_id = t.id
LEFT JOIN vip_reservations tr ON tr.id = k.vip_reservation_id
LEFT JOIN vip_guest_passes p ON p.id = s.subject_id
LEFT JOIN vip_reservations pr ON pr.id = p.reservation_id
ORDER BY s.at DESC, s.gate_id, s.epoch, s.seq DESC

-- audit_history --
SELECT created_at AS at, actor, action, target, reason, details FROM audit_log
WHERE (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
    AND (%(actor)s::text IS NULL OR lower(actor) = lower(%(actor)s))
    AND (%(target)s::text IS NULL OR lower(target) = lower(%(target)s))
ORDER BY created_at DESC, id LIMIT %(limit)s
