-- state_transitions --
SELECT machine, from_state, to_state, condition FROM state_transitions
ORDER BY machine, from_state COLLATE "C", to_state COLLATE "C"

-- first_states --
SELECT table_name, split_part(column_default, '''', 2) AS first_state FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'status' AND table_name = ANY (%(tables)s)
