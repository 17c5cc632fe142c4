-- The roles and the `auth` schema of a Supabase project, created only if they are missing, and the club's staff (data
-- model 3.1). The schema's functions: objects/12_people.sql.

do $$
declare
    v_role text;
begin
    foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
        begin
            if not exists (select from pg_roles where rolname = v_role) then
                execute format('create role %I nologin', v_role);
            end if;
        exception when duplicate_object or unique_violation then
            -- roles belong to the whole server, and another database was migrated at the same moment
            null;
        end;
    end loop;
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if to_regclass('auth.users') is null then
        create table auth.users (
            id uuid primary key default gen_random_uuid(),
            email text constraint users_email_key unique,
            email_confirmed_at timestamptz,
            created_at timestamptz not null default now()
        );
    end if;
    if has_schema_privilege(current_user, 'auth', 'usage with grant option') then
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;

-- No foreign keys to auth.users: when people leave, the record of what they decided stays.
create table if not exists owner_assignments (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null constraint owner_assignments_user_key unique,
    role text not null constraint owner_assignments_role check (role in ('owner', 'admin')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table if not exists staff (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null constraint staff_user_key unique,
    name text not null default '',
    role text not null default 'staff' constraint staff_role check (role in ('owner', 'admin', 'staff')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
