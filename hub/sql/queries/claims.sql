-- take_back_grants --
-- Grants of a gate since then without a scan: as far as is known, nobody entered with them.
UPDATE claims c SET released_at = %(now)s, released_by = 'flooding'
WHERE c.gate_id = %(gate_id)s AND c.answer = 'granted' AND c.released_at IS NULL AND c.spent_at IS NULL
    AND c.asked_at >= %(since)s AND scan_key(c.gate_id, c.scan_id) IS NULL

-- claims_ready --
-- Not only that Postgres answers, but that a claim could be written.
SELECT current_setting('transaction_read_only') = 'off' AND NOT pg_is_in_recovery() AS ready
FROM (SELECT count(*) FROM claims WHERE false) AS migrated

-- claim_timeouts --
-- Claims are answered one after the other, and no guest waits longer than 0.2 s. A claim for a ticket that another
-- session is changing must not use up the time of all the others.
SELECT set_config('lock_timeout', '150ms', false), set_config('statement_timeout', '2s', false)

-- forget_claims --
-- A portion. The hub's clock may be wrong, and a grant of tonight that is deleted could be granted again. So a night
-- only counts as over when there are claims for a later one, by the nights' own hours.
WITH latest AS (
    SELECT max(e.doors_open_at) AS doors_open_at FROM events e
    WHERE EXISTS (SELECT FROM claims c WHERE c.event_id = e.id)
)
DELETE FROM claims WHERE (gate_id, scan_id) IN (
    SELECT c.gate_id, c.scan_id FROM claims c LEFT JOIN events e ON e.id = c.event_id CROSS JOIN latest
    WHERE c.asked_at < %(before)s
        AND (e.id IS NULL OR e.ends_at < %(before)s AND e.ends_at <= latest.doors_open_at)
    ORDER BY c.asked_at LIMIT %(portion)s
)

-- forget_lends --
-- A portion, by the same rule.
WITH latest AS (
    SELECT max(e.doors_open_at) AS doors_open_at FROM events e
    WHERE EXISTS (SELECT FROM claims c WHERE c.event_id = e.id)
)
DELETE FROM lends WHERE (code_hash, gate_id) IN (
    SELECT l.code_hash, l.gate_id FROM lends l LEFT JOIN events e ON e.id = l.event_id CROSS JOIN latest
    WHERE l.asked_at < %(before)s
        AND (e.id IS NULL OR e.ends_at < %(before)s AND e.ends_at <= latest.doors_open_at)
    LIMIT %(portion)s
)

-- gate_lent --
-- The tickets that this gate was asked to lend, of nights that are not over.
SELECT l.event_id::text AS event_id, array_agg(l.code_hash ORDER BY l.code_hash) AS codes
FROM lends l JOIN events e ON e.id = l.event_id
WHERE l.gate_id = %(gate_id)s AND e.ends_at > now() - interval '1 day'
GROUP BY l.event_id

-- find_event --
SELECT id AS event_id, code, name, home_gates FROM events WHERE id::text = lower(%(name)s) OR code = upper(%(name)s)
