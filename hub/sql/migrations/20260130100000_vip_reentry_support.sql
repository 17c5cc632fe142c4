-- Guests of a table may come and go; each entry is logged (domain 2.5, data model 3.1). The functions of the contract:
-- objects/40_vip_entry.sql.

-- scan_id: the entry's scan; null if a call of the contract made it without one.
create table if not exists vip_scan_logs (
    id uuid primary key default gen_random_uuid(),
    pass_id uuid constraint vip_scan_logs_pass_fkey references vip_guest_passes (id),
    ticket_id uuid constraint vip_scan_logs_ticket_fkey references tickets (id),
    reservation_id uuid constraint vip_scan_logs_reservation_fkey references vip_reservations (id),
    scan_id uuid,
    scan_type text not null constraint vip_scan_logs_type check (scan_type in ('first_entry', 'reentry')),
    scanned_by text not null default 'system',
    scanned_at timestamptz not null default now() constraint vip_scan_logs_time check (
        scanned_at >= '1970-01-01 00:00+00' and scanned_at < '2200-01-01 00:00+00'
    ),
    created_at timestamptz not null default now()
);

create index if not exists vip_scan_logs_pass on vip_scan_logs (pass_id, scanned_at);
create index if not exists vip_scan_logs_ticket on vip_scan_logs (ticket_id, scanned_at);
create index if not exists vip_scan_logs_reservation on vip_scan_logs (reservation_id);
create unique index if not exists vip_scan_logs_scan on vip_scan_logs (scan_id) where scan_id is not null;
