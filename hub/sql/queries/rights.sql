-- rights_on_tables --
-- What was granted on tables and views of the hub, to whom; columns: null for all of them.
WITH granted AS (
    SELECT c.oid, a.grantee, a.privilege_type, NULL::name AS attname, 0 AS attnum
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE a.grantee <> c.relowner
    UNION ALL
    SELECT c.oid, a.grantee, a.privilege_type, t.attname, t.attnum
    FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) a
    WHERE a.grantee <> c.relowner
)
SELECT c.relname AS name, coalesce(r.rolname, 'public') AS role, lower(g.privilege_type) AS action,
    string_agg(g.attname, ', ' ORDER BY g.attnum) AS columns
FROM pg_class c
LEFT JOIN granted g ON g.oid = c.oid
LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT c.relispartition
GROUP BY c.relname, 2, 3
ORDER BY c.relname, 2, 3

-- policies --
SELECT tablename AS name, policyname AS policy, array_to_string(roles, ', ') AS role, lower(cmd) AS action,
    regexp_replace(coalesce(qual, ''), '\s+', ' ', 'g') AS rows,
    regexp_replace(coalesce(with_check, ''), '\s+', ' ', 'g') AS new_rows
FROM pg_policies WHERE schemaname = 'public' AND policyname <> 'service_works'
ORDER BY tablename, policyname

-- rights_on_functions --
SELECT p.oid::regprocedure::text AS name, p.prosecdef AS definer, p.prorettype = 'trigger'::regtype AS is_trigger,
    ARRAY(
        SELECT coalesce(r.rolname, 'public') FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE a.grantee <> p.proowner ORDER BY 1
    )::text[] AS roles
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace ORDER BY 1
