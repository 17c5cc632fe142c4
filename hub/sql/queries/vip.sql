-- process_vip_scan_with_reentry --
SELECT process_vip_scan_with_reentry(%(pass_id)s::uuid, %(scanned_by)s)

-- check_vip_linked_ticket_reentry --
SELECT check_vip_linked_ticket_reentry(%(ticket_id)s::uuid)

-- link_ticket_to_vip --
SELECT link_ticket_to_vip(%(reservation_id)s::uuid, %(ticket_id)s::uuid, %(linked_by)s, %(by_staff)s)

-- unlink_ticket_from_vip --
SELECT unlink_ticket_from_vip(%(ticket_id)s::uuid, %(actor)s)

-- check_vip_capacity --
SELECT check_vip_capacity(%(reservation_id)s::uuid)

-- join_vip_by_invite --
SELECT join_vip_by_invite(%(invite_code)s, %(ticket_id)s::uuid)

-- create_vip_reservation_atomic --
SELECT create_vip_reservation_atomic(%(event_id)s::uuid, %(table_id)s::uuid, %(purchaser)s::text::jsonb,
    %(amount_cents)s::integer, %(intent)s, %(package)s::text::jsonb, %(guest_passes)s::integer)

-- confirm_vip_reservation --
SELECT confirm_vip_reservation(%(reservation_id)s::uuid, %(intent)s, %(amount_cents)s::integer)

-- create_unified_vip_checkout --
SELECT create_unified_vip_checkout(%(event_id)s::uuid, %(table_id)s::uuid, %(purchaser)s::text::jsonb,
    %(amount_cents)s::integer, %(ticket)s::text::jsonb, %(intent)s, %(session)s, %(package)s::text::jsonb,
    %(guest_passes)s::integer)

-- state_transitions --
SELECT machine, from_state, to_state, condition FROM state_transitions
ORDER BY machine, from_state COLLATE "C", to_state COLLATE "C"

-- first_states --
SELECT table_name, split_part(column_default, '''', 2) AS first_state FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'status' AND table_name = ANY (%(tables)s)
