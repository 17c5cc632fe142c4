-- Backups that were made and read back (`maguey-hub backup`), written by the owner of the tables. The files are on a
-- disk that the hub's own login does not see; here everybody who watches the hub learns how old the newest is.
create table if not exists backups (
    id uuid primary key default gen_random_uuid(),
    name text not null constraint backups_name check (length(name) <= 200),
    taken_at timestamptz not null,
    size_bytes bigint not null,
    row_count bigint not null,
    created_at timestamptz not null default now()
);

create index if not exists backups_taken on backups (taken_at);
