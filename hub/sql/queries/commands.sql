-- gate_to_order --
SELECT g.gate_id, g.name, h.link, h.heard_at, h.door, h.revoked
FROM gates g JOIN gate_health h ON h.gate_id = g.gate_id
WHERE g.venue = %(venue)s AND g.gate_id = %(gate_id)s

-- write_command --
INSERT INTO commands (id, venue, gate_id, action, text, reason, actor, key_id, issued_at, expires_at)
VALUES (%(id)s, %(venue)s, %(gate_id)s, %(action)s, %(text)s, %(reason)s, %(actor)s, %(key_id)s, %(issued_at)s,
    %(expires_at)s)

-- write_audit --
INSERT INTO audit_log (actor, action, target, reason, details)
VALUES (%(actor)s, %(action)s, %(target)s, %(reason)s, %(details)s::text::jsonb)

-- take_reply --
-- The first reply counts. Only the gate that got the order can reply, and no revoked gate.
UPDATE commands SET outcome = %(outcome)s, why = %(why)s, replied_at = %(now)s
WHERE id = %(id)s AND gate_id = %(gate_id)s AND outcome IS NULL AND NOT is_revoked(%(gate_id)s)

-- command_outcomes --
-- The newest orders to the gates of a venue, with their outcomes.
SELECT * FROM command_outcomes WHERE venue = %(venue)s ORDER BY issued_at DESC LIMIT %(limit)s

-- orders_unanswered --
-- Orders that expired within a span of time without a reply or a record.
SELECT id::text AS id, gate_id, action, actor, expires_at FROM command_outcomes
WHERE venue = %(venue)s AND expires_at > %(after)s AND expires_at <= %(until)s
    AND outcome IS NULL AND recorded_at IS NULL
ORDER BY expires_at LIMIT 100
