-- process_vip_scan_with_reentry --
SELECT process_vip_scan_with_reentry(%(pass_id)s::uuid, %(scanned_by)s)

-- check_vip_linked_ticket_reentry --
SELECT check_vip_linked_ticket_reentry(%(ticket_id)s::uuid)
