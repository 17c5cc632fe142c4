-- migrate_alone --
SELECT pg_advisory_lock(hashtextextended('maguey-hub migrate', 0))

-- trust_the_dump --
-- A dump creates functions before the tables they name.
SET check_function_bodies = off

-- make_roles --
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        IF to_regrole(v_role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
        END IF;
    END LOOP;
END
$$

-- may_migrate --
-- tables: may make some, and change those that are there; roles, schemas: may make those that are missing.
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AND NOT EXISTS (
        SELECT FROM pg_class WHERE oid = to_regclass('events') AND NOT pg_has_role(relowner, 'USAGE')
    ) AS tables,
    rolsuper OR rolcreaterole OR NOT EXISTS (
        SELECT FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS r (name)
        WHERE to_regrole(name) IS NULL
    ) AS roles,
    to_regnamespace('auth') IS NOT NULL OR has_database_privilege(current_database(), 'CREATE') AS schemas
FROM pg_roles WHERE rolname = current_user
