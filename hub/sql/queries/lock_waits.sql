-- blocking_sessions --
-- The sessions that block sessions of the hub. Of a chain of waiting sessions only the first, because the others can do
-- nothing about it. The hub's own sessions do not count while they work. pid 0 is a prepared transaction.
WITH RECURSIVE waiting AS (
    SELECT DISTINCT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND NOT l.granted
    WHERE a.datname = current_database() AND a.usename = current_user AND a.application_name = 'maguey-hub'
), chain AS (
    SELECT pid, pid AS waits FROM waiting
    UNION
    SELECT b.pid, c.waits FROM chain c CROSS JOIN LATERAL unnest(pg_blocking_pids(c.pid)) AS b (pid)
)
SELECT c.pid, coalesce(a.usename, '') AS login, coalesce(a.application_name, '') AS application,
    coalesce(a.client_addr::text, '') AS address, count(DISTINCT c.waits) AS waiting
FROM chain c LEFT JOIN pg_stat_activity a ON a.pid = c.pid
WHERE cardinality(pg_blocking_pids(c.pid)) = 0 AND c.pid NOT IN (SELECT pid FROM waiting)
    AND NOT coalesce(a.usename = current_user AND a.application_name = 'maguey-hub' AND a.state = 'active', false)
GROUP BY 1, 2, 3, 4
ORDER BY 1
