-- migrate_alone --
SELECT pg_advisory_lock(hashtextextended('maguey-hub migrate', 0))

-- trust_the_dump --
-- A dump creates functions before the tables they name.
SET check_function_bodies = off

-- may_create --
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS allowed
