-- housekeeping_alone --
-- One at a time, on however many machines; the lock ends with the transaction.
SELECT try_lock('housekeeping') AS mine

-- keeping_is_migrated --
SELECT 'archive_scans(date, boolean, timestamptz)'::regprocedure

-- wait_briefly --
-- Whoever is in the way at the door goes first.
SELECT set_config('lock_timeout', '5s', true)

-- complete_nights --
SELECT complete_finished_events(%(now)s::timestamptz)

-- release_unpaid --
SELECT release_expired_reservations(make_interval(mins => %(minutes)s), %(now)s::timestamptz)

-- ensure_scan_partitions --
SELECT ensure_scan_partitions_at(%(months)s, %(now)s::timestamptz)

-- forget_webhooks --
SELECT jsonb_build_object('success', true, 'forgotten', cleanup_expired_webhook_idempotency(%(now)s::timestamptz))

-- purge_mail --
SELECT jsonb_build_object('success', true,
    'purged', purge_mail(make_interval(days => %(days)s), %(now)s::timestamptz))

-- archive_scans --
SELECT archive_scans(%(before)s::date, %(dry)s, %(now)s::timestamptz)

-- erase_personal_data --
SELECT erase_personal_data(%(event_id)s::uuid, %(actor)s)

-- erase_person --
SELECT erase_person(%(email)s, %(actor)s)
