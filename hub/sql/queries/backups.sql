-- read_only_snapshot --
-- First in its transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- read_as_dumped --
-- The same rows as the dump, whatever else is written meanwhile. Rights by row are an error, instead of fewer rows.
SELECT set_config('row_security', 'off', true), pg_export_snapshot() AS snapshot,
    pg_database_size(current_database()) AS size, current_setting('server_version') AS server,
    current_database() AS database

-- dumped_tables --
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname

-- note_backup --
-- What is older than a year is forgotten.
WITH forgotten AS (DELETE FROM backups WHERE taken_at < %(taken_at)s::timestamptz - interval '400 days')
INSERT INTO backups (name, taken_at, size_bytes, row_count)
VALUES (%(name)s, %(taken_at)s, %(size)s, %(rows)s)

-- newest_backup --
SELECT max(taken_at) AS taken_at FROM backups

-- anything_there --
-- The tables and functions of a database that is to be restored into; those of extensions do not count.
SELECT (
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
) + (
    SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
) AS count

-- make_roles --
-- As the first migration does: the dump grants rights to them, and roles are not part of a database.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        BEGIN
            IF to_regrole(v_role) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$$
