-- due_alerts --
-- What is to be told now: all that waits of one gate and reason together, unless the same was told lately.
SELECT a.gate_id, a.reason, (array_agg(a.scan_id::text ORDER BY a.number))[1] AS id,
    min(a.at) AS at, count(*) AS count, max(a.number) AS last
FROM alerts a
WHERE a.venue = %(venue)s AND a.sent_at IS NULL AND NOT EXISTS (
    SELECT FROM alerts told
    WHERE (told.venue, told.gate_id, told.reason) = (a.venue, a.gate_id, a.reason)
        AND told.sent_at > now() - %(every_s)s * interval '1 second'
)
GROUP BY a.gate_id, a.reason
ORDER BY min(a.number)

-- alert_sent --
UPDATE alerts SET sent_at = now()
WHERE venue = %(venue)s AND gate_id = %(gate_id)s AND reason = %(reason)s AND number <= %(last)s
    AND sent_at IS NULL
