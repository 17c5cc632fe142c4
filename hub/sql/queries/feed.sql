-- listen --
LISTEN maguey_admissions

-- current_events --
-- Nights whose feed somebody may still follow.
SELECT id::text AS event_id, admission_version AS version, feed_generation AS generation FROM events
WHERE ends_at > now() - interval '1 day'
ORDER BY ends_at

-- changes_since --
-- Whole changes as JSON, in version order. What is kept from before names were cut is cut here.
SELECT version, jsonb_build_object('version', version, 'row', CASE
    WHEN octet_length(row::text) > 65536 THEN without_long_texts(row) ELSE row END)::text AS change
FROM admission_changes
WHERE event_id = %(event_id)s AND version > %(since)s
ORDER BY version LIMIT %(limit)s

-- head --
SELECT admission_version AS version, feed_generation AS generation,
    (SELECT count(*) FROM feed_admissions f WHERE f.event_id = e.id) AS count
FROM events e WHERE e.id = %(event_id)s

-- feed_restored --
SELECT feed_restored(%(reason)s, %(actor)s) AS nights
