Invariants 1 to 9 of quality 7.1, asked of the hub's database after a night. Each gives the rows that
break it. The table `journals` is filled by the test from the gates' own files.

-- views --
create temp table journals (scan_id uuid, gate_id text, epoch text, seq bigint, payload_hash text);
create temp view kept as
select gate_id, epoch, seq from scan_logs
union
select gate_id, epoch, seq from scan_repeats
union
select gate_id, epoch, seq from scan_quarantine where seq is not null;
-- entries of one-time tickets; an annulled one is none
create temp view entries as
select * from scan_logs
where verdict = 'admit' and record = 'scan' and reason = 'first_entry' and kind in ('ga', 'unknown')
    and annulled_at is null

-- 1_no_loss --
select gate_id, epoch, seq from journals except select gate_id, epoch, seq from kept

-- 2_each_place_once --
select gate_id, epoch, seq from scan_logs group by 1, 2, 3 having count(*) > 1

-- 2_each_scan_once --
select scan_id from scan_logs group by 1 having count(*) > 1

-- 3_nothing_invented --
select gate_id, epoch, seq from kept except select gate_id, epoch, seq from journals

-- 3_nothing_altered --
select j.scan_id from journals j join scan_logs s using (scan_id) where j.payload_hash <> s.payload_hash

-- 4_gapless --
select gate_id, epoch from kept group by 1, 2 having min(seq) <> 1 or max(seq) <> count(*)

-- 5_nothing_acknowledged_that_is_not_there --
select w.gate_id, w.epoch, w.seq from gate_watermarks w
where w.seq > (select count(*) from kept k where (k.gate_id, k.epoch) = (w.gate_id, w.epoch))

-- 6_no_gate_admits_twice --
select gate_id, code_hash from entries group by 1, 2 having count(*) > 1

-- 7_while_the_hub_answers_exactly_one --
select code_hash from entries where not 'unclaimed' = any (flags) group by 1 having count(*) > 1

-- 7_what_was_heard_of_is_not_repeated --
select a.scan_id, b.scan_id from entries a
join entries b on b.code_hash = a.code_hash and b.scan_id <> a.scan_id
cross join jsonb_to_recordset(b.heard) as h (gate text, epoch text, first bigint, last bigint)
where (h.gate, h.epoch) = (a.gate_id, a.epoch) and a.seq between h.first and h.last

-- 8_every_double_admission_is_a_conflict --
select code_hash, count(*) - 1 as doubles, (
    select count(*) from scan_conflicts c join scan_logs s on s.scan_id = c.loser_scan
    where s.code_hash = e.code_hash and c.withdrawn_at is null
) as conflicts
from entries e group by 1
having count(*) - 1 <> (
    select count(*) from scan_conflicts c join scan_logs s on s.scan_id = c.loser_scan
    where s.code_hash = e.code_hash and c.withdrawn_at is null
)

-- 8_each_is_reported_once --
select loser_scan from scan_conflicts where withdrawn_at is null group by 1 having count(*) > 1

-- 9_the_ticket_says_what_its_winner_says --
select t.id, t.checked_in_by, w.gate_id from scan_conflicts c
join scan_logs w on w.scan_id = c.winner_scan
join tickets t on t.code_hash = w.code_hash
where c.withdrawn_at is null and t.checked_in_by is distinct from w.gate_id
