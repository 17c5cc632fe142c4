-- metrics_in_time --
-- Whoever watches may not hold up whoever works.
SELECT set_config('statement_timeout', '3s', true), set_config('transaction_read_only', 'on', true)

-- metrics_of_gates --
-- At most as many as a venue can have (`enforce_gate_limit`).
SELECT h.gate_id, h.revoked, h.link, h.heard_at, h.version, h.isolated, h.door, h.parts, h.clock,
    h.clock_uncertainty_ms, h.lag, h.oldest_unacked_s, h.nights, EXISTS (
        SELECT FROM gate_events s JOIN events e ON e.id = s.event_id
        WHERE s.gate_id = h.gate_id AND e.status = 'scheduled' AND now() BETWEEN e.doors_open_at AND e.ends_at
    ) AS on_duty, EXISTS (
        SELECT FROM alerts a WHERE (a.venue, a.gate_id, a.reason) = (h.venue, h.gate_id, 'flooding')
            AND a.sent_at > now() - interval '1 hour'
    ) AS flooding
FROM gate_health h WHERE h.venue = %(venue)s ORDER BY h.gate_id LIMIT 256

-- metrics_of_scans --
SELECT t.gate_id, t.record, t.verdict, t.count FROM scan_tallies t JOIN gates g ON g.gate_id = t.gate_id
WHERE g.venue = %(venue)s ORDER BY t.gate_id, t.record, t.verdict

-- metrics_of_claims --
-- How the claims of the last five minutes were answered; 'open' while a home gate is asked.
SELECT coalesce(c.answer, 'open') AS answer, count(*) AS count FROM claims c JOIN gates g ON g.gate_id = c.gate_id
WHERE g.venue = %(venue)s AND c.asked_at > now() - interval '5 minutes' GROUP BY 1 ORDER BY 1

-- metrics_of_hub --
-- Counts are bounded. Of the quarantine without what revoked gates sent, which is evidence and needs nobody.
SELECT (SELECT count(*) FROM (
        SELECT FROM scan_quarantine q WHERE q.gate_id IS NULL OR NOT is_revoked(q.gate_id) LIMIT 10000
    ) kept) AS quarantine,
    (SELECT count(*) FROM (
        SELECT FROM scan_conflicts WHERE withdrawn_at IS NULL AND acknowledged_at IS NULL LIMIT 10000
    ) open) AS conflicts,
    EXISTS (
        SELECT FROM active_hubs h JOIN pg_stat_activity a ON (a.pid, a.backend_start) = (h.pid, h.backend_start)
        WHERE h.venue = %(venue)s
    ) AS active,
    (SELECT max(taken_at) FROM backups) AS backup_at
