-- listen_authority --
LISTEN authority

-- listen_authority_done --
LISTEN authority_done

-- unlisten --
UNLISTEN *

-- requests_waiting --
SELECT r.id, r.gate_id, r.request, is_revoked(r.gate_id) AS revoked FROM certificate_requests r
JOIN gates g ON g.gate_id = r.gate_id
WHERE r.done_at IS NULL AND g.venue = %(venue)s ORDER BY r.created_at LIMIT 20 FOR UPDATE OF r SKIP LOCKED

-- refuse_request --
UPDATE certificate_requests SET refused = %(why)s, done_at = %(now)s WHERE id = %(id)s

-- request_outcome --
SELECT r.certificate, r.refused, r.done_at, g.name, g.venue FROM certificate_requests r
JOIN gates g ON g.gate_id = r.gate_id WHERE r.id = %(id)s

-- ask_renewal --
-- No row: the gate has asked too often today. The same request again is the same row.
WITH known AS (
    SELECT id FROM certificate_requests WHERE gate_id = %(gate_id)s AND request = %(request)s AND refused IS NULL
), made AS (
    INSERT INTO certificate_requests (gate_id, purpose, request)
    SELECT %(gate_id)s, 'renew', %(request)s WHERE NOT EXISTS (SELECT FROM known) AND (
        SELECT count(*) FROM certificate_requests
        WHERE gate_id = %(gate_id)s AND created_at > now() - interval '1 day'
    ) < %(most)s
    RETURNING id
)
SELECT id FROM known UNION ALL SELECT id FROM made LIMIT 1

-- revoked_certificates --
-- What the revocation list names: certificates that would still be good.
SELECT c.serial, c.revoked_at FROM certificates c LEFT JOIN gates g ON g.gate_id = c.gate_id
WHERE c.revoked_at IS NOT NULL AND c.not_after > %(now)s AND (g.venue = %(venue)s OR g.venue IS NULL) ORDER BY c.serial

-- note_certificate --
INSERT INTO certificates (serial, kind, gate_id, fingerprint, not_before, not_after, revoked_at)
VALUES (%(serial)s, %(kind)s, %(gate_id)s, %(fingerprint)s, %(not_before)s, %(not_after)s, %(revoked_at)s)
ON CONFLICT (serial) DO NOTHING

-- revocations_waiting --
SELECT r.gate_id FROM revocations r JOIN gates g ON g.gate_id = r.gate_id
WHERE r.refused_at IS NULL AND g.venue = %(venue)s ORDER BY r.created_at

-- note_revocation --
UPDATE revocations SET listed_at = coalesce(listed_at, %(listed_at)s),
    thrown_out_at = coalesce(thrown_out_at, %(thrown_out_at)s), refused_at = coalesce(refused_at, %(refused_at)s),
    trouble = %(trouble)s
WHERE gate_id = %(gate_id)s

-- revocation --
SELECT stolen, listed_at, thrown_out_at, refused_at, trouble FROM revocations WHERE gate_id = %(gate_id)s

-- wiped_gate --
-- If it was revoked as stolen: the certificates it has had, the newest first.
SELECT array(
    SELECT c.fingerprint FROM certificates c WHERE c.gate_id = r.gate_id AND c.kind = 'gate' ORDER BY c.created_at DESC
) AS certificates
FROM revocations r WHERE r.gate_id = %(gate_id)s AND r.stolen

-- make_enrolment --
-- A gate has one token at a time: what was not used is too late from now on.
WITH earlier AS (
    UPDATE enrolments SET expires_at = least(expires_at, %(now)s) WHERE gate_id = %(gate_id)s AND used_at IS NULL
)
INSERT INTO enrolments (token_hash, gate_id, host_key, expires_at)
VALUES (%(token_hash)s, %(gate_id)s, %(host_key)s, %(expires_at)s)

-- certificate_ends --
-- The newest of each: when it ends.
SELECT c.kind, c.gate_id, max(c.not_after) AS not_after FROM certificates c LEFT JOIN gates g ON g.gate_id = c.gate_id
WHERE c.revoked_at IS NULL AND c.kind <> 'take-over' AND (c.gate_id IS NULL OR g.venue = %(venue)s AND NOT is_revoked(g.gate_id))
GROUP BY c.kind, c.gate_id ORDER BY c.kind, c.gate_id

-- certificate_ends_everywhere --
-- The same of all venues of this database.
SELECT c.kind, c.gate_id, max(c.not_after) AS not_after FROM certificates c
WHERE c.revoked_at IS NULL AND c.kind <> 'take-over' AND (c.gate_id IS NULL OR NOT is_revoked(c.gate_id))
GROUP BY c.kind, c.gate_id ORDER BY c.kind, c.gate_id

-- forget_requests --
DELETE FROM certificate_requests WHERE created_at < %(before)s

-- forget_enrolments --
DELETE FROM enrolments WHERE created_at < %(before)s
