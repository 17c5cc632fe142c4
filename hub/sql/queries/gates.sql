-- gate --
SELECT gate_id, venue, name, token_hash, (status = 'revoked' OR revoked_at IS NOT NULL) AS revoked
FROM gates WHERE gate_id = %(gate_id)s

-- gate_tokens --
SELECT gate_id, token_hash FROM gates
WHERE token_hash IS NOT NULL AND status <> 'revoked' AND revoked_at IS NULL

-- gate_names --
-- At most as many as a configuration can hold (sync.wire.messages).
SELECT gate_id, left(name, 120) AS name FROM gates WHERE venue = %(venue)s AND status = 'active' ORDER BY gate_id
LIMIT 256

-- listed_gates --
-- The gates that the broker accepts: all of the venue (`enforce_gate_limit`) except revoked ones.
SELECT gate_id FROM gates WHERE venue = %(venue)s AND status <> 'revoked' AND revoked_at IS NULL
ORDER BY gate_id COLLATE "C"

-- revoked_gates --
SELECT gate_id FROM gates WHERE venue = %(venue)s AND (status = 'revoked' OR revoked_at IS NOT NULL) ORDER BY gate_id

-- gate_config_events --
-- Every night that a guest may hold a ticket for, as the JSON of the gate's Event, with whether this gate serves it. A
-- night that is over is served for a week, so that its tickets are still known, and listed for a month, so that what a
-- gate keeps does not grow with the season. Of more than 400 (`sync.wire.messages.MOST_NIGHTS`) the gate's own come
-- first, then the nearest. A night that is over is sent without its home gates, which no longer matter.
SELECT (f.row || jsonb_build_object('served', e.is_served)
    || CASE WHEN e.ends_at < now() - interval '1 day' THEN '{"homes": [], "retired": []}' ELSE '{}'::jsonb END
)::text AS event
FROM (
    SELECT n.id, n.doors_open_at, n.ends_at,
        g.event_id IS NOT NULL AND n.ends_at > now() - interval '7 days' AS is_served
    FROM events n LEFT JOIN gate_events g ON g.event_id = n.id AND g.gate_id = %(gate_id)s
    WHERE n.ends_at > now() - interval '30 days'
    ORDER BY is_served DESC, greatest(n.doors_open_at - now(), now() - n.doors_open_at) LIMIT 400
) e
JOIN feed_events f ON f.event_id = e.id
ORDER BY e.doors_open_at

-- gate_serves --
SELECT FROM gate_events WHERE gate_id = %(gate_id)s AND event_id = %(event_id)s

-- snapshot_head --
-- `changes`: how many of the versions after `since` are kept. Not counted for a whole snapshot.
SELECT e.admission_version AS version, e.feed_generation AS generation,
    CASE WHEN %(since)s > 0 THEN (
        SELECT count(*) FROM admission_changes c WHERE c.event_id = e.id AND c.version > %(since)s
            AND c.version <= e.admission_version
    ) ELSE 0 END AS changes
FROM events e WHERE e.id = %(event_id)s

-- snapshot_count --
-- How many lines `snapshot_rows` returns.
SELECT (SELECT count(*) FROM feed_events WHERE event_id = %(event_id)s)
    + (SELECT count(*) FROM feed_tables WHERE event_id = %(event_id)s)
    + (SELECT count(*) FROM feed_admissions WHERE event_id = %(event_id)s) AS count

-- ready --
SELECT count(*) FROM events WHERE false

-- snapshot_rows --
-- The night, its tables, then everybody who may enter, each ordered by key. So the same rows make the same bytes, and a
-- gate writes them in the order of its file.
SELECT line FROM (
    SELECT 1 AS part, '' AS key, row::text AS line FROM feed_events WHERE event_id = %(event_id)s
    UNION ALL
    SELECT 2, reservation_id::text, row::text FROM feed_tables WHERE event_id = %(event_id)s
    UNION ALL
    SELECT 3, row ->> 'code_hash', row::text FROM feed_admissions WHERE event_id = %(event_id)s
) listed
ORDER BY part, key COLLATE "C"

-- change_rows --
SELECT jsonb_build_object('version', version, 'row', CASE
    WHEN octet_length(row::text) > 65536 THEN without_long_texts(row) ELSE row END)::text AS line
FROM admission_changes
WHERE event_id = %(event_id)s AND version > %(since)s AND version <= %(version)s ORDER BY version

-- home_nights --
SELECT id::text AS event_id FROM events
WHERE %(gate_id)s = ANY (home_gates) AND NOT %(gate_id)s = ANY (retired_gates) AND ends_at > now()

-- add_gate --
INSERT INTO gates (gate_id, venue, name) VALUES (%(gate_id)s, %(venue)s, %(name)s) ON CONFLICT (gate_id) DO NOTHING

-- rename_gate --
UPDATE gates SET name = %(name)s WHERE gate_id = %(gate_id)s AND venue = %(venue)s AND name <> %(name)s

-- gate_serves_night --
INSERT INTO gate_events (gate_id, event_id) VALUES (%(gate_id)s, %(event_id)s) ON CONFLICT DO NOTHING
