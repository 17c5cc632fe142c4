"""VIP tables from Python: scans of their guests, guest lists, tables sold (domain 2.1, 2.2, 2.5).

The rules are functions of the database (`sql/migrations/20260130200100`); here they are typed.
"""

from hub.db.call import RPC_ERROR
from hub.vip.guests import (
    SeatedTicket,
    TableSeats,
    UnlinkedTicket,
    check_vip_capacity,
    join_vip_by_invite,
    link_ticket_to_vip,
    unlink_ticket_from_vip,
)
from hub.vip.scan import (
    LinkedTicket,
    VipScanResult,
    check_vip_linked_ticket_reentry,
    process_vip_scan_with_reentry,
)
from hub.vip.tables import (
    Checkout,
    Completed,
    HostTicket,
    Purchaser,
    Released,
    Reservation,
    complete_finished_events,
    confirm_vip_reservation,
    create_unified_vip_checkout,
    create_vip_reservation_atomic,
    release_expired_reservations,
)

__all__ = [
    "RPC_ERROR",
    "Checkout",
    "Completed",
    "HostTicket",
    "LinkedTicket",
    "Purchaser",
    "Released",
    "Reservation",
    "SeatedTicket",
    "TableSeats",
    "UnlinkedTicket",
    "VipScanResult",
    "check_vip_capacity",
    "check_vip_linked_ticket_reentry",
    "complete_finished_events",
    "confirm_vip_reservation",
    "create_unified_vip_checkout",
    "create_vip_reservation_atomic",
    "join_vip_by_invite",
    "link_ticket_to_vip",
    "process_vip_scan_with_reentry",
    "release_expired_reservations",
    "unlink_ticket_from_vip",
]
