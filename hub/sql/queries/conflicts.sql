-- open_conflicts --
-- Double admissions that nobody has acknowledged, the oldest first. An archived scan has no gate and no time.
SELECT c.id::text AS id, e.code AS night, t.ticket_id AS ticket, c.rule,
    w.gate_id AS winner_gate, w.corrected_at AS winner_at, w.corrected_uncertainty_ms AS winner_uncertainty_ms,
    l.gate_id AS loser_gate, l.corrected_at AS loser_at, l.corrected_uncertainty_ms AS loser_uncertainty_ms
FROM scan_conflicts c
LEFT JOIN tickets t ON t.id = c.ticket_id
LEFT JOIN events e ON e.id = t.event_id
LEFT JOIN LATERAL scans_of(ARRAY[c.winner_scan]) w ON true
LEFT JOIN LATERAL scans_of(ARRAY[c.loser_scan]) l ON true
WHERE c.withdrawn_at IS NULL AND c.acknowledged_at IS NULL
ORDER BY c.created_at, c.id

-- acknowledge_conflicts --
UPDATE scan_conflicts SET acknowledged_at = %(now)s, acknowledged_by = %(actor)s
WHERE id = ANY(%(ids)s::uuid[]) AND withdrawn_at IS NULL AND acknowledged_at IS NULL
RETURNING id::text AS id
