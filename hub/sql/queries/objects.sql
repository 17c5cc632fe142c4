-- applied_digest --
SELECT digest FROM applied_objects LIMIT 1

-- drop_objects --
-- An object that somebody else's object depends on stays, and is replaced if its signature allows it.
DO $$
DECLARE
    v_object record;
BEGIN
    FOR v_object IN SELECT type, identity FROM applied_objects ORDER BY position LOOP
        BEGIN
            EXECUTE format('DROP %s IF EXISTS %s', v_object.type, v_object.identity);
        EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
        END;
    END LOOP;
    DELETE FROM applied_objects;
END
$$

-- note_objects --
-- All objects that this transaction has created, known by the xmin of their rows in the catalog. Later ones may depend
-- on earlier ones.
INSERT INTO applied_objects (position, type, identity, digest)
SELECT row_number() OVER (ORDER BY made.is_last, made.oid DESC), named.type, named.identity, %(digest)s
FROM (
    SELECT 'pg_policy'::regclass AS class, oid, false AS is_last FROM pg_policy
    WHERE xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT 'pg_trigger'::regclass, oid, false FROM pg_trigger
    WHERE xmin = pg_current_xact_id()::xid AND NOT tgisinternal AND tgparentid = 0
    UNION ALL
    SELECT 'pg_class'::regclass, oid, true FROM pg_class
    WHERE xmin = pg_current_xact_id()::xid AND relkind = 'v' AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, true FROM pg_proc
    WHERE xmin = pg_current_xact_id()::xid AND pronamespace = 'public'::regnamespace
) made CROSS JOIN LATERAL pg_identify_object(made.class, made.oid, 0) AS named
