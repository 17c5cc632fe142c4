-- keeping_is_migrated --
SELECT 'archive_scans(date, boolean, timestamptz)'::regprocedure

-- wait_briefly --
-- Whoever is in the way at the door goes first.
SELECT set_config('lock_timeout', '5s', true)
