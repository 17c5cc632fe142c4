-- ingest_scans --
-- One batch: every record once, with what it does to check-ins. Returns how many were new.
SELECT ingest_scans(%(records)s::text::json, %(topics)s::text::jsonb)

-- known_scans --
-- Asked in the transaction that has just stored these records: which of them an earlier one had, by gate.
SELECT r.gate_id, array_agg(r.scan_id::text) AS scan_ids
FROM json_to_recordset(%(records)s::text::json) AS r (gate_id text, scan_id uuid)
CROSS JOIN LATERAL (SELECT scan_key(r.gate_id, r.scan_id) AS scan_id) k
JOIN scan_places p ON p.scan_id = k.scan_id
WHERE p.received_at < now()
GROUP BY r.gate_id

-- complete_gates --
-- Of each gate of this venue, how long ago everything it had recorded is known to have been here: since then it
-- may have made what it brings now. Of one that never said so, since it was made known to the hub.
SELECT g.gate_id,
    greatest(extract(epoch FROM now() - coalesce(s.complete_at, g.created_at)), 0)::float8 AS away_s
FROM gates g LEFT JOIN gate_status s ON s.gate_id = g.gate_id
WHERE g.venue = %(venue)s

-- quarantine --
-- What cannot be read or stored, as it came. The same bytes again change nothing.
INSERT INTO scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
VALUES (%(topic)s, %(gate_id)s, %(epoch)s, %(seq)s, %(raw)s, %(raw_hash)s, %(raw_length)s, %(error)s)
ON CONFLICT DO NOTHING

-- advance_watermarks --
-- Of each gate and numbering, in this order, how far its scans are now committed without a gap.
SELECT place.gate_id, place.epoch, advance_watermark(place.gate_id, place.epoch) AS seq
FROM unnest(%(gate_ids)s::text[], %(epochs)s::text[]) WITH ORDINALITY AS place (gate_id, epoch, number)
ORDER BY place.number

-- newest_watermarks --
-- Of each gate that may be of this venue, the numbering it used last.
SELECT DISTINCT ON (w.gate_id) w.gate_id, w.epoch, w.seq
FROM gate_watermarks w LEFT JOIN gates g ON g.gate_id = w.gate_id
WHERE coalesce(g.venue, %(venue)s) = %(venue)s
ORDER BY w.gate_id, w.updated_at DESC

-- is_migrated --
SELECT FROM events, scan_quarantine, alerts WHERE false

-- become_active --
-- One consumer per venue, for as long as its connection lasts, however that ends.
SELECT become_active(%(venue)s) AS mine

-- end_when_frozen --
-- A hub that is stopped keeps its connection and whatever it had locked: the server ends that for it. And it waits
-- for nobody's lock for so long that it would seem frozen: what it did not get done it tries again.
SELECT set_config('idle_session_timeout', %(frozen_s)s || 's', false),
    set_config('idle_in_transaction_session_timeout', %(frozen_s)s || 's', false),
    set_config('lock_timeout', '2s', false)

-- end_what_hangs --
-- What does not come to an end is ended: see `hub.ingest.batch.write`.
SELECT set_config('statement_timeout', %(hang_s)s || 's', false)

-- time_of_a_statement --
SELECT current_setting('statement_timeout') AS time

-- leave_what_is_left --
-- Several statements have together the time of one; 0 is no end of it.
SELECT set_config('statement_timeout', CASE
    WHEN %(time)s::interval = interval '0' THEN '0'
    ELSE greatest(1, extract(epoch FROM
        %(time)s::interval - (clock_timestamp() - transaction_timestamp())) * 1000)::bigint::text
END, true)

-- still_there --
SELECT 1
