What is asked of a journal before it is used (gate/recovery/check_journal.py), and how a new one is put together
from what is left of a damaged one (gate/recovery/rebuild_journal.py).

-- integrity --
pragma integrity_check(1)

-- objects --
select type || ' ' || name, sql from sqlite_master where sql is not null and tbl_name not like '\_sqlite\_%' escape '\'

-- meta --
select key, value from meta

-- numbering --
select count(*), coalesce(min(seq), 0), coalesce(max(seq), 0), coalesce(sum(epoch <> ? or gate_id <> ?), 0)
from scans where seq > ?

-- rows --
select count(*) from scans

-- marks_of_nothing --
select count(*) from openings where scan_id not in (select scan_id from scans)

-- found_code --
create temp table found_codes (code_hash text, seq integer, primary key (code_hash, seq)) without rowid

-- put_found_code --
insert into found_codes values (?, ?) on conflict do nothing

-- indexes --
select name, sql from sqlite_master where type = 'index' and tbl_name = 'scans' and sql is not null

-- put_row --
insert or replace into scans ({columns}) values ({places})

-- drop_pruned --
delete from scans where seq <= ?

-- remember --
-- when is not known; the record before it was made a little earlier
insert into remembered
select f.code_hash, coalesce(
    (select occurred_at from scans where seq < f.seq order by seq desc limit 1),
    (select occurred_at from scans order by seq limit 1),
    :now
)
from found_codes f
where f.seq > :pruned and not exists (select 1 from scans s where s.seq = f.seq and s.code_hash = f.code_hash)
on conflict do nothing

-- put_remembered --
insert into remembered values (?, ?) on conflict do nothing

-- take_numbers_away --
update scans set epoch = :epoch, seq = -place
from (select seq as old, row_number() over (order by seq) as place from scans) where scans.seq = old

-- number_anew --
update scans set seq = -seq

-- count_all_as_opened --
-- a mark that is missing proves nothing once anything was damaged
insert into openings select scan_id from scans where released = 1 and record = 'scan' on conflict do nothing
