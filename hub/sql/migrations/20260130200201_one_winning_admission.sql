-- Of every ticket one admission counts, whoever writes (domain 2.2, First scan wins; data model 3.1). Which one that
-- is, the hub settles (docs/adr/0016); every other scan is kept in scan_logs, and paired in scan_conflicts.

-- The admission that counts. scan_id: null where staff let somebody in without a scan. An index on tickets
-- themselves would make every check-in touch all their indexes.
create table if not exists winning_admissions (
    ticket_id uuid primary key
        constraint winning_admissions_ticket_fkey references tickets (id) on delete cascade,
    scan_id uuid constraint winning_admissions_scan_key unique,
    entered_at timestamptz not null,
    entered_by text
);

-- Only admissions that are written down as such can take the place of another: not a second check-in by hand,
-- not a scan that was annulled or is of another ticket. And only one that was annulled leaves the place empty.
create or replace function one_winning_admission() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scan scan_logs;
begin
    -- not new.code_hash: generated columns are made after this
    select * into v_scan from scan_logs
    where scan_id = coalesce(new.checked_in_scan, old.checked_in_scan) and verdict = 'admit' and record = 'scan'
        and (subject_id = old.id or subject_id is null and code_hash = old.code_hash);
    if found and new.checked_in_scan is not null and v_scan.annulled_at is null
            and (new.checked_in_at, new.checked_in_by) = (v_scan.corrected_at, v_scan.gate_id)
        or found and new.checked_in_scan is null and new.checked_in_at is null and v_scan.annulled_at is not null
    then
        return new;
    end if;
    raise exception 'ticket % is in since % by %: only one admission counts', old.ticket_id,
        old.checked_in_at, coalesce(old.checked_in_by, 'somebody')
        using errcode = 'check_violation', constraint = 'winning_admissions_pkey',
            hint = 'Record the second admission as a scan; it will be kept as a conflict.';
end
$$;

create or replace trigger tickets_one_winner before update on tickets for each row
when (
    old.checked_in_at is not null and (
        old.checked_in_at is distinct from new.checked_in_at or old.checked_in_by is distinct from new.checked_in_by
        or old.checked_in_scan is distinct from new.checked_in_scan
    )
)
execute function one_winning_admission();

create or replace function keep_winning_admissions() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into winning_admissions (ticket_id, scan_id, entered_at, entered_by)
        select id, checked_in_scan, checked_in_at, checked_in_by from new_rows where checked_in_at is not null;
        return null;
    end if;
    -- `except` and no join: a plan made for one row would compare each with each
    with changed as materialized (
        select id, checked_in_scan, checked_in_at, checked_in_by from new_rows
        except
        select id, checked_in_scan, checked_in_at, checked_in_by from old_rows
    ), left_empty as (
        delete from winning_admissions where ticket_id in (select id from changed where checked_in_at is null)
    )
    insert into winning_admissions as w (ticket_id, scan_id, entered_at, entered_by)
    select id, checked_in_scan, checked_in_at, checked_in_by from changed where checked_in_at is not null
    on conflict (ticket_id) do update
    set scan_id = excluded.scan_id, entered_at = excluded.entered_at, entered_by = excluded.entered_by;
    return null;
end
$$;

create or replace trigger tickets_winner_insert after insert on tickets
referencing new table as new_rows for each statement execute function keep_winning_admissions();

create or replace trigger tickets_winner_update after update on tickets
referencing old table as old_rows new table as new_rows
for each statement execute function keep_winning_admissions();

-- What is in already.
insert into winning_admissions (ticket_id, scan_id, entered_at, entered_by)
select id, checked_in_scan, checked_in_at, checked_in_by from tickets where checked_in_at is not null
on conflict (ticket_id) do nothing;
