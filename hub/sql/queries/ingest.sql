-- ingest_scans --
-- One batch: every record once, with its check-in. Returns how many were new.
SELECT ingest_scans(%(records)s::text::jsonb, %(topics)s::text::jsonb)

-- quarantine --
-- What cannot be read or stored, as it came. The same bytes again change nothing.
INSERT INTO scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, error)
VALUES (%(topic)s, %(gate_id)s, %(epoch)s, %(seq)s, %(raw)s, %(raw_hash)s, %(error)s)
ON CONFLICT DO NOTHING

-- advance_watermark --
SELECT advance_watermark(%(gate_id)s, %(epoch)s)

-- become_active --
-- One consumer per venue; the lock ends with the connection, however that ends.
SELECT pg_try_advisory_lock(hashtextextended('maguey-hub ingest ' || %(venue)s, 0))

-- still_there --
SELECT 1
