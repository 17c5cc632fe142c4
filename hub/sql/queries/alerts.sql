-- due_alerts --
-- The alerts to publish now. Those of one gate and reason are one message, unless one was sent lately. Each conflict is
-- a message of its own, as it stands now.
SELECT a.gate_id, a.reason, (array_agg(a.scan_id::text ORDER BY a.number))[1] AS id,
    min(a.at) AS at, count(*) AS count, array_agg(a.number) AS numbers,
    '' AS other_gate, NULL::timestamptz AS other_at, NULL::text AS subject_id
FROM alerts a
WHERE a.venue = %(venue)s AND a.sent_at IS NULL AND a.reason <> 'conflict' AND NOT EXISTS (
    SELECT FROM alerts earlier
    WHERE (earlier.venue, earlier.gate_id, earlier.reason) = (a.venue, a.gate_id, a.reason)
        AND earlier.sent_at > now() - %(every_s)s * interval '1 second'
)
GROUP BY a.gate_id, a.reason
UNION ALL (
    SELECT w.gate_id, a.reason, a.scan_id::text, w.corrected_at, 1, ARRAY[a.number], l.gate_id, l.corrected_at,
        coalesce(c.ticket_id, l.subject_id, w.subject_id)::text
    FROM alerts a
    JOIN scan_conflicts c ON c.id = a.scan_id
    JOIN scan_logs w ON w.scan_id = c.winner_scan
    JOIN scan_logs l ON l.scan_id = c.loser_scan
    WHERE a.venue = %(venue)s AND a.sent_at IS NULL AND a.reason = 'conflict'
    ORDER BY a.number
    LIMIT %(conflicts)s
)
ORDER BY numbers

-- alert_sent --
UPDATE alerts SET sent_at = now() WHERE number = ANY(%(numbers)s)

-- unused_grants --
-- Gates that were granted tickets lately and sent no scan with those grants. The newest grants do not count, because
-- their scans may be on their way, nor do returned ones, because they keep nobody out.
SELECT c.gate_id, count(*) AS unused FROM claims c JOIN gates g ON g.gate_id = c.gate_id
WHERE g.venue = %(venue)s AND c.answer = 'granted' AND coalesce(c.released_by, 'unused') = 'unused'
    AND c.asked_at > %(now)s::timestamptz - %(minutes)s * interval '1 minute'
    AND c.asked_at < %(now)s::timestamptz - interval '1 minute'
    AND scan_key(c.gate_id, c.scan_id) IS NULL
GROUP BY c.gate_id HAVING count(*) > %(most)s
ORDER BY c.gate_id

-- note_unused_grants --
-- At most once in so many minutes, as long as it goes on.
INSERT INTO alerts (scan_id, venue, gate_id, reason, at)
SELECT gen_random_uuid(), %(venue)s, %(gate_id)s, 'unused_grants', %(now)s
WHERE NOT EXISTS (
    SELECT FROM alerts a WHERE (a.venue, a.gate_id, a.reason) = (%(venue)s, %(gate_id)s, 'unused_grants')
        AND a.at > %(now)s::timestamptz - %(minutes)s * interval '1 minute'
)

-- note_flooding --
-- At most once in so many seconds, as long as it goes on, whichever part of the hub notices.
INSERT INTO alerts (scan_id, venue, gate_id, reason, at)
SELECT gen_random_uuid(), %(venue)s, %(gate_id)s, 'flooding', now()
WHERE NOT EXISTS (
    SELECT FROM alerts a WHERE (a.venue, a.gate_id, a.reason) = (%(venue)s, %(gate_id)s, 'flooding')
        AND a.at > now() - %(again_s)s * interval '1 second'
)

-- flooding_lately --
-- Gates that exceeded their budgets, and when that was last noticed.
SELECT a.gate_id, max(a.at) AS flooding_at FROM alerts a
WHERE a.venue = %(venue)s AND a.reason = 'flooding' AND a.at > now() - %(lately_s)s * interval '1 second'
GROUP BY a.gate_id
