-- Who asks: the roles and the `auth` schema of a Supabase project, made only where they are missing,
-- and who works at the club (data model 3.1).

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
            -- roles belong to the whole server: another database was being migrated at the same moment
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
    if to_regprocedure('auth.jwt()') is null then
        create function auth.jwt() returns jsonb language sql stable
        return coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb;
    end if;
    if to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid language sql stable
        return nullif(auth.jwt() ->> 'sub', '')::uuid;
    end if;
    if to_regprocedure('auth.role()') is null then
        create function auth.role() returns text language sql stable
        return auth.jwt() ->> 'role';
    end if;
    if has_schema_privilege(current_user, 'auth', 'usage with grant option') then
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;

-- No foreign keys to auth.users: a person who leaves stays in what was decided by them.
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

create or replace trigger owner_assignments_touch before update on owner_assignments
for each row execute function touch_updated_at();

create or replace trigger staff_touch before update on staff
for each row execute function touch_updated_at();

-- Definers: policies ask them, and a policy must not need the right to read who works here.
create or replace function is_owner() returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$
    select exists (select from owner_assignments where user_id = auth.uid())
        or exists (select from staff where user_id = auth.uid() and role in ('owner', 'admin'))
$$;

create or replace function is_staff() returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$ select is_owner() or exists (select from staff where user_id = auth.uid()) $$;

-- The address a customer has proved to be theirs; what a token merely says does not open anybody's order. Null if
-- it is empty, as many a ticket's is; in "C", where no foreign letter becomes one of ours when it is made small.
create or replace function my_email() returns text
language sql stable security definer set search_path = public, pg_temp
as $$
    select nullif(lower(email collate "C"), '') from auth.users
    where id = auth.uid() and email_confirmed_at is not null
$$;

-- The hub itself, or whoever else holds the service's rights: the role that was set counts, for a web server
-- in front may become any of them. Asks of the caller, also within a definer's function.
create or replace function is_service() returns boolean
language sql stable set search_path = public, pg_temp
as $$
    select pg_has_role(case current_setting('role') when 'none' then session_user::text
        else current_setting('role') end::name, 'service_role', 'usage')
$$;

-- Who is to be named as having done something: the person of the token, else the database's user.
create or replace function acting_as() returns text
language sql stable set search_path = public, pg_temp
as $$ select coalesce(auth.uid()::text, session_user::text) $$;
