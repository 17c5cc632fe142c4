-- keeping_is_migrated --
SELECT 'archive_scans(date, boolean, timestamptz)'::regprocedure

-- wait_briefly --
-- Scans at the door come first.
SELECT set_config('lock_timeout', '5s', true)
