-- What is kept of a night once it is over, and for how long (data model 3.1; docs/operations.md, Retention and erasure;
-- docs/adr/0021).

-- Why scans received in [p_from, p_to) have to stay; null if they may go. Whoever looks at a double admission needs its
-- two scans, and while a night goes on somebody may want to know who is in.
create or replace function reason_to_keep_scans(p_from timestamptz, p_to timestamptz, p_now timestamptz) returns text
language sql stable set search_path = public, pg_temp as $$
    select case
        when exists (
            select from scan_conflicts c
            join scan_places p on p.scan_id in (c.winner_scan, c.loser_scan)
            where c.withdrawn_at is null and c.acknowledged_at is null
                and p.received_at >= p_from and p.received_at < p_to
        ) then 'unacknowledged conflicts'
        when exists (
            select from events e where e.ends_at > p_now and exists (
                select from scan_logs s
                where s.event_id = e.id and s.received_at >= p_from and s.received_at < p_to
            )
        ) then 'a night that is not over'
    end
$$;

-- Archive whole months that end by p_before: count their scans and drop them. The last 60 days always stay, because a
-- gate keeps acknowledged scans for 30 (`retain_days`) and may send them again. p_is_dry: change nothing.
-- -> {months: [{month, scans}], kept: [{month, why}]}
create or replace function archive_scans(
    p_before date, p_is_dry boolean default false, p_now timestamptz default now()
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_before timestamptz := least(p_before::timestamp at time zone 'UTC', p_now - interval '60 days');
    v_month record;
    v_why text;
    v_scans bigint;
    v_gone jsonb := '[]';
    v_kept jsonb := '[]';
begin
    -- the lock that whoever makes a partition takes
    perform take_locks(array['scan partitions']);
    for v_month in
        select name, since, since + interval '1 month' as until, to_char(since, 'YYYY-MM') as label from (
            select c.relname as name, to_date(substr(c.relname, 11), 'YYYY_MM')::timestamp as since
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'public.scan_logs'::regclass and c.relname ~ '^scan_logs_\d{4}_\d{2}$'
        ) parts where (since + interval '1 month') at time zone 'UTC' <= v_before order by since
    loop
        v_why := reason_to_keep_scans(v_month.since at time zone 'UTC', v_month.until at time zone 'UTC', p_now);
        if v_why is not null then
            v_kept := v_kept || jsonb_build_object('month', v_month.label, 'why', v_why);
            continue;
        end if;
        execute format('select count(*) from public.%I', v_month.name) into v_scans;
        v_gone := v_gone || jsonb_build_object('month', v_month.label, 'scans', v_scans);
        if not p_is_dry then
            perform archive_partition(v_month.name);
        end if;
    end loop;
    if not p_is_dry and v_gone <> '[]' then
        insert into audit_log (actor, action, target, reason, details)
        values (acting_as(), 'archive', 'scan_logs', 'retention', jsonb_build_object('months', v_gone));
    end if;
    return jsonb_build_object('success', true, 'months', v_gone, 'kept', v_kept);
end
$$;

-- Count the scans of a partition into scan_counts, and drop it.
create or replace function archive_partition(p_part text) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    -- no scan may come in between counting and dropping
    execute format('lock table public.%I in access exclusive mode', p_part);
    execute format($count$
        insert into scan_counts as known (event_id, gate_id, day, record, verdict, reason, kind, count, annulled)
        select event_id, gate_id, (coalesce(corrected_at, occurred_at) at time zone 'UTC')::date, record, verdict,
            reason, kind, count(*), count(annulled_at)
        from public.%I group by 1, 2, 3, 4, 5, 6, 7
        on conflict on constraint scan_counts_key do update
        set count = known.count + excluded.count, annulled = known.annulled + excluded.annulled
    $count$, p_part);
    execute format('drop table public.%I', p_part);
end
$$;

-- Delete mail that was sent, or given up, longer than p_older ago.
create or replace function purge_mail(p_older interval, p_now timestamptz default now()) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_count integer;
begin
    delete from email_queue
    where sent_at < p_now - p_older or sent_at is null and attempts >= 5 and updated_at < p_now - p_older;
    get diagnostics v_count = row_count;
    return jsonb_build_object('success', true, 'purged', v_count);
end
$$;
