-- migrate_alone --
-- An advisory lock, because there may be no table of ours yet. Any session can hold it, so the wait is logged
-- (`migrating`).
SELECT pg_try_advisory_lock(hashtextextended('maguey-hub migrate', 0)) AS mine

-- migrating --
SELECT l.pid, a.usename AS login, a.application_name AS application
FROM pg_locks l
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
CROSS JOIN hashtextextended('maguey-hub migrate', 0) AS k (key)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND (l.classid::bigint << 32) + l.objid::bigint = k.key

-- may_migrate --
-- tables: may create tables and change the existing ones. roles, schemas: may create those that are missing.
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AND NOT EXISTS (
        SELECT FROM pg_class WHERE oid = to_regclass('events') AND NOT pg_has_role(relowner, 'USAGE')
    ) AS tables,
    rolsuper OR rolcreaterole OR NOT EXISTS (
        SELECT FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS r (name)
        WHERE to_regrole(name) IS NULL
    ) AS roles,
    to_regnamespace('auth') IS NOT NULL OR has_database_privilege(current_database(), 'CREATE') AS schemas
FROM pg_roles WHERE rolname = current_user
