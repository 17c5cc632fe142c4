-- next_settlings --
-- Of each gate that may be of this venue, the numbering whose times have waited longest to be settled.
SELECT DISTINCT ON (s.gate_id) s.gate_id, s.epoch, s.seq, s.whole, s.asked
FROM settlings s LEFT JOIN gates g ON g.gate_id = s.gate_id
WHERE coalesce(g.venue, %(venue)s) = %(venue)s
ORDER BY s.gate_id, s.since, s.epoch

-- settling_manners --
-- What is looked at may be much, and takes its time; what is written waits for nobody, and is tried again.
SELECT set_config('statement_timeout', '600s', false), set_config('lock_timeout', '2s', false)

-- times_to_settle --
SELECT scan_id::text AS scan_id, at::text AS at, uncertainty_ms
FROM times_to_settle(%(gate_id)s, %(epoch)s, %(seq)s, %(whole)s)

-- settle_portion --
SELECT settle_portion(%(gate_id)s, %(times)s::text::json, %(venue)s) AS moved

-- settling_done --
SELECT settling_done(%(gate_id)s, %(epoch)s, %(seq)s, %(whole)s, %(asked)s) AS done
