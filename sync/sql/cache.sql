The cache: written by sync only, read by the door (gate/sql/cache.sql). `row` is the JSON of a value in
gate/rules/model.py; the columns beside it are those that are looked up or counted.

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

-- one row: what the door has to know about the link
create table link (
    one integer primary key check (one = 1),
    connected integer not null,  -- to the broker
    hub_heard integer not null,  -- the hub acknowledges what it is sent
    since_ms integer not null,
    beat_ms integer not null,
    boot_id text not null,
    epoch text,
    acked_seq integer not null
)

-- annulments --
create table peer_annulments (
    scan_id text not null,
    gate_id text not null,
    primary key (scan_id, gate_id)
) without rowid

-- second_layout --
-- the link as one row, lent tickets, alerts; generations and shares of the feed.
-- Generation 0 is before any of the hub's, so everything is fetched once more, with its shares.
drop table link;
create table link (one integer primary key check (one = 1), row text not null);

-- policy home_gate: this gate's own tickets that the hub has lent to others. From then on they are admitted here
-- only with the hub's grant (docs/adr/0015)
create table lent (
    code_hash text primary key,
    event_id text not null,
    to_gate text not null,
    at text not null
) without rowid;

-- alerts of the hub; the door shows the newest
create table alerts (number integer primary key autoincrement, id text not null unique, row text not null);

alter table feed add column generation integer not null default 0;
-- how many admissions are held, and the sum of all shares. A share has 48 bits, so the sum for a large night
-- would not fit: it is kept in halves of 24 bits
alter table feed add column count integer not null default 0;
alter table feed add column upper integer not null default 0;
alter table feed add column lower integer not null default 0;
alter table events add column share integer not null default 0;
alter table tables add column share integer not null default 0;
alter table admissions add column share integer not null default 0;
drop index entered_of_an_event;
create index shares_of_an_event on admissions (event_id, entered, code_hash, share);

-- when it became known here, by the hub's clock; null until that was first measured
alter table peer_entries add column noted_at text;
alter table peer_annulments add column noted_at text

-- third_layout --
-- what could not be read of a night's list, in words
alter table feed add column unread text not null default ''

-- fourth_layout --
-- what other gates said: numbered in order of arrival, and keyed by gate, so that no gate can block another's
-- scan by using its id first. The gates whose scans are ignored
drop index peer_entries_of_a_code;
alter table peer_entries rename to older_entries;
create table peer_entries (
    number integer primary key autoincrement,
    gate_id text not null,
    scan_id text not null,
    code_hash text not null,
    at text not null,
    noted_at text,
    unique (gate_id, scan_id)
);
insert into peer_entries (gate_id, scan_id, code_hash, at, noted_at)
select gate_id, scan_id, code_hash, at, noted_at from older_entries order by at;
drop table older_entries;
create index peer_entries_of_a_code on peer_entries (code_hash);
create index peer_entries_of_a_gate on peer_entries (gate_id);

alter table peer_annulments rename to older_annulments;
create table peer_annulments (
    number integer primary key autoincrement,
    gate_id text not null,
    scan_id text not null,
    noted_at text,
    unique (gate_id, scan_id)
);
insert into peer_annulments (gate_id, scan_id, noted_at)
select gate_id, scan_id, noted_at from older_annulments order by scan_id;
drop table older_annulments;
create index peer_annulments_of_a_gate on peer_annulments (gate_id);

create table revoked (gate_id text primary key) without rowid

-- put_event --
insert into events values (?, ?, ?) on conflict (event_id) do update set row = excluded.row, share = excluded.share

-- put_table --
insert into tables values (?, ?, ?, ?) on conflict (reservation_id) do update
set event_id = excluded.event_id, row = excluded.row, share = excluded.share

-- put_admission --
insert into admissions values (?, ?, ?, ?, ?, ?) on conflict (code_hash) do update
set event_id = excluded.event_id, reservation_id = excluded.reservation_id,
    entered = excluded.entered, row = excluded.row, share = excluded.share

-- remove_admission --
delete from admissions where code_hash = ? and event_id = ?

-- spool --
-- the tables that a snapshot fills, in a file of their own (sync/cache/spool.py)
create table events (event_id text primary key, row text not null, share integer not null) without rowid;

create table tables (
    reservation_id text primary key,
    event_id text not null,
    row text not null,
    share integer not null
) without rowid;

create table admissions (
    code_hash text primary key,
    event_id text not null,
    reservation_id text,
    entered integer not null,
    row text not null,
    share integer not null
) without rowid

-- drop_admissions --
delete from main.admissions where event_id = ? and code_hash not in (select code_hash from spooled.admissions)

-- drop_tables --
delete from main.tables where event_id = ? and reservation_id not in (select reservation_id from spooled.tables)

-- take_events --
insert into main.events select * from spooled.events where true
on conflict (event_id) do update set row = excluded.row, share = excluded.share
where (row, share) is not (excluded.row, excluded.share)

-- take_tables --
insert into main.tables select * from spooled.tables where true
on conflict (reservation_id) do update
set event_id = excluded.event_id, row = excluded.row, share = excluded.share
where (event_id, row, share) is not (excluded.event_id, excluded.row, excluded.share)

-- take_admissions --
insert into main.admissions select * from spooled.admissions where true
on conflict (code_hash) do update
set event_id = excluded.event_id, reservation_id = excluded.reservation_id,
    entered = excluded.entered, row = excluded.row, share = excluded.share
where (event_id, reservation_id, entered, row, share)
    is not (excluded.event_id, excluded.reservation_id, excluded.entered, excluded.row, excluded.share)

-- add_event --
insert into events (event_id, row) values (?, ?) on conflict (event_id) do nothing

-- clear_events --
delete from events where event_id not in (select value from json_each(?))

-- put_peer_entry --
insert into peer_entries (gate_id, scan_id, code_hash, at) select :gate_id, :scan_id, :code_hash, :at
where not exists (select 1 from peer_annulments where gate_id = :gate_id and scan_id = :scan_id)
on conflict (gate_id, scan_id) do nothing

-- put_peer_annulment --
insert into peer_annulments (gate_id, scan_id) values (:gate_id, :scan_id) on conflict do nothing

-- remove_peer_entry --
delete from peer_entries where gate_id = :gate_id and scan_id = :scan_id

-- known_of_peers --
-- which of these pairs of gate and scan are known, and whether as annulled
select gate_id, scan_id, 0 from peer_entries
where (gate_id, scan_id) in (select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each(:pairs))
union all
select gate_id, scan_id, 1 from peer_annulments
where (gate_id, scan_id) in (select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each(:pairs))

-- last_of_peers --
select coalesce((select max(number) from peer_entries), 0), coalesce((select max(number) from peer_annulments), 0)

-- count_peer_entries --
select count(*) from peer_entries where gate_id = :gate_id

-- count_peer_annulments --
select count(*) from peer_annulments where gate_id = :gate_id

-- crowd_peer_entries --
-- first rows of tickets unknown here, then the oldest
delete from peer_entries where number in (
    select number from peer_entries p where gate_id = :gate_id
    order by exists (select 1 from admissions a where a.code_hash = p.code_hash), number limit :most
)

-- crowd_peer_annulments --
delete from peer_annulments where number in (
    select number from peer_annulments where gate_id = :gate_id order by number limit :most
)

-- take_back_peer_entries --
delete from peer_entries where gate_id = :gate_id and number > :above

-- take_back_peer_annulments --
delete from peer_annulments where gate_id = :gate_id and number > :above

-- settle_peer_entries --
delete from peer_entries where number <= :up_to

-- settle_peer_annulments --
delete from peer_annulments where number <= :up_to

-- revoked --
select gate_id from revoked

-- clear_revoked --
delete from revoked

-- put_revoked --
insert into revoked values (?) on conflict do nothing

-- forget_entries_of_revoked --
delete from peer_entries where gate_id in (select gate_id from revoked)

-- forget_annulments_of_revoked --
delete from peer_annulments where gate_id in (select gate_id from revoked)

-- put_feed --
insert into feed (event_id, version, generation, fetched_at, current_at, unread) values (?, ?, ?, ?, ?, ?)
on conflict (event_id) do update
set version = excluded.version, generation = excluded.generation,
    fetched_at = excluded.fetched_at, current_at = iif(?, excluded.current_at, current_at),
    unread = excluded.unread

-- step_feed --
update feed set version = ?, fetched_at = ?, current_at = coalesce(?, current_at) where event_id = ?

-- feed_is_current --
update feed set current_at = ? where event_id in (select value from json_each(?))

-- feed_places --
select event_id, generation, version from feed

-- unread --
select event_id, unread from feed where unread <> ''

-- held --
-- nights that are not over first, the next one first
select event_id, version, generation, count, upper, lower
from feed left join events using (event_id)
order by coalesce(json_extract(row, '$.ends_at'), '~') < ?, coalesce(json_extract(row, '$.ends_at'), '~'), event_id
limit ?

-- count_all_admissions --
update feed set (count, upper, lower) = (
    select count(*), coalesce(sum(share >> 24), 0), coalesce(sum(share & 16777215), 0)
    from admissions a where a.event_id = feed.event_id
)

-- count_all_others --
update feed set (upper, lower) = (
    select upper + coalesce(sum(share >> 24), 0), lower + coalesce(sum(share & 16777215), 0) from (
        select share from tables t where t.event_id = feed.event_id
        union all select share from events e where e.event_id = feed.event_id
    )
)

-- count_admission --
-- :sign is 1 for a row that is there now, -1 for one about to go
update feed set count = count + :sign, upper = upper + :sign * (share >> 24),
    lower = lower + :sign * (share & 16777215)
from admissions a where a.code_hash = :key and feed.event_id = a.event_id

-- count_table --
update feed set upper = upper + :sign * (share >> 24), lower = lower + :sign * (share & 16777215)
from tables t where t.reservation_id = :key and feed.event_id = t.event_id

-- count_event --
update feed set upper = upper + :sign * (share >> 24), lower = lower + :sign * (share & 16777215)
from events e where e.event_id = :key and feed.event_id = e.event_id

-- forget_admissions --
delete from admissions where event_id not in (select value from json_each(?))

-- forget_tables --
delete from tables where event_id not in (select value from json_each(?))

-- forget_feed --
delete from feed where event_id not in (select value from json_each(?))

-- note_peer_entries --
update peer_entries set noted_at = ? where noted_at is null

-- note_peer_annulments --
update peer_annulments set noted_at = ? where noted_at is null

-- forget_peer_entries --
delete from peer_entries where noted_at < ?

-- forget_peer_annulments --
delete from peer_annulments where noted_at < ?

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
