The cache: written by sync only, read by the door (gate/sql/cache.sql). Rows are the JSON of
the values in gate/model.py; the columns beside them are what is looked up or counted.

-- schema --
create table events (event_id text primary key, row text not null) without rowid;

create table tables (
    reservation_id text primary key,
    event_id text not null,
    row text not null
) without rowid;
create index tables_of_an_event on tables (event_id);

create table admissions (
    code_hash text primary key,
    event_id text not null,
    reservation_id text,
    entered integer not null,
    row text not null
) without rowid;
create index entered_of_an_event on admissions (event_id, entered);
create index admissions_of_a_table on admissions (reservation_id, entered) where reservation_id is not null;

create table peer_entries (
    scan_id text primary key,
    code_hash text not null,
    gate_id text not null,
    at text not null
) without rowid;
create index peer_entries_of_a_code on peer_entries (code_hash);

create table feed (
    event_id text primary key,
    version integer not null,
    fetched_at text not null,
    current_at text not null
) without rowid;

create table gate_names (gate_id text primary key, name text not null) without rowid;

-- one row: what the door has to know of the link, a gate.link.LinkNote
create table link (one integer primary key check (one = 1), row text not null);

-- what other gates annulled: their scan may come after it, or again
create table peer_annulments (
    scan_id text not null,
    gate_id text not null,
    primary key (scan_id, gate_id)
) without rowid;

-- policy home_gate: this gate's own tickets that the hub lends to others. Never admitted here without
-- the hub's grant again (docs/adr/0015)
create table lent (
    code_hash text primary key,
    event_id text not null,
    to_gate text not null,
    at text not null
) without rowid;

-- what the hub told everybody to look at: the door shows the newest
create table alerts (number integer primary key autoincrement, id text not null unique, row text not null)

-- put_event --
insert into events values (?, ?) on conflict (event_id) do update set row = excluded.row

-- put_table --
insert into tables values (?, ?, ?) on conflict (reservation_id) do update
set event_id = excluded.event_id, row = excluded.row

-- put_admission --
insert into admissions values (?, ?, ?, ?, ?) on conflict (code_hash) do update
set event_id = excluded.event_id, reservation_id = excluded.reservation_id,
    entered = excluded.entered, row = excluded.row

-- remove_admission --
delete from admissions where code_hash = ? and event_id = ?

-- spool --
-- what of the cache a snapshot fills, as a file of its own (sync/spool.py)
create table events (event_id text primary key, row text not null) without rowid;

create table tables (reservation_id text primary key, event_id text not null, row text not null) without rowid;

create table admissions (
    code_hash text primary key,
    event_id text not null,
    reservation_id text,
    entered integer not null,
    row text not null
) without rowid

-- drop_admissions --
delete from main.admissions where event_id = ? and code_hash not in (select code_hash from spooled.admissions)

-- drop_tables --
delete from main.tables where event_id = ? and reservation_id not in (select reservation_id from spooled.tables)

-- take_events --
insert into main.events select * from spooled.events where true
on conflict (event_id) do update set row = excluded.row where row is not excluded.row

-- take_tables --
insert into main.tables select * from spooled.tables where true
on conflict (reservation_id) do update set event_id = excluded.event_id, row = excluded.row
where (event_id, row) is not (excluded.event_id, excluded.row)

-- take_admissions --
insert into main.admissions select * from spooled.admissions where true
on conflict (code_hash) do update
set event_id = excluded.event_id, reservation_id = excluded.reservation_id,
    entered = excluded.entered, row = excluded.row
where (event_id, reservation_id, entered, row)
    is not (excluded.event_id, excluded.reservation_id, excluded.entered, excluded.row)

-- add_event --
insert into events values (?, ?) on conflict (event_id) do nothing

-- clear_events --
delete from events where event_id not in (select value from json_each(?))

-- put_peer_entry --
insert into peer_entries select ?, ?, ?, ?
where not exists (select 1 from peer_annulments where scan_id = ? and gate_id = ?)
on conflict (scan_id) do nothing

-- put_peer_annulment --
insert into peer_annulments values (?, ?) on conflict do nothing

-- remove_peer_entry --
delete from peer_entries where scan_id = ? and gate_id = ?

-- put_feed --
insert into feed values (?, ?, ?, ?) on conflict (event_id) do update
set version = excluded.version, fetched_at = excluded.fetched_at, current_at = excluded.current_at

-- feed_is_current --
update feed set current_at = ?

-- feed_versions --
select event_id, version from feed

-- clear_gate_names --
delete from gate_names

-- put_gate_name --
insert into gate_names values (?, ?)

-- served_events --
select event_id from events where json_extract(row, '$.served')

-- link --
select row from link

-- put_link --
insert into link values (1, ?) on conflict (one) do update set row = excluded.row

-- put_lent --
insert into lent values (?, ?, ?, ?) on conflict do nothing

-- drop_old_lent --
delete from lent where event_id not in (select value from json_each(?))

-- put_alert --
insert into alerts (id, row) values (?, ?) on conflict (id) do nothing

-- drop_old_alerts --
delete from alerts where number <= (select max(number) from alerts) - 100

-- integrity --
pragma integrity_check(1)

-- spoiled_rows --
select 1 from events where not json_valid(row)
union all select 1 from tables where not json_valid(row)
union all select 1 from admissions where not json_valid(row)
limit 1
