-- A server as a Supabase project has it, run by its superuser `supabase_admin` on the database `postgres`: its roles
-- and what they may, its schemas, people, default privileges, event triggers; and an application of somebody's that
-- was there first. Sources: the public init scripts and migrations of supabase/postgres and supabase/auth (2026).

create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
create role supabase_auth_admin login noinherit createrole;
create role supabase_storage_admin login noinherit createrole;
create role dashboard_user createdb createrole replication;
create role supabase_read_only_user login bypassrls;
grant pg_read_all_data to supabase_read_only_user;
-- whom a project's owner logs in as
create role postgres login createdb createrole replication bypassrls;
grant anon, authenticated, service_role to postgres with admin option;
alter role postgres set search_path to "$user", public, extensions;
alter role supabase_admin set search_path to "$user", public, auth, extensions;
alter role supabase_auth_admin set search_path to auth;
alter role anon set statement_timeout to '3s';
alter role authenticated set statement_timeout to '8s';
alter role authenticator set statement_timeout to '8s';
alter role authenticator set lock_timeout to '8s';
alter database postgres owner to postgres;

create publication supabase_realtime;

create schema extensions;
grant all on schema extensions to postgres, dashboard_user;
grant usage on schema extensions to anon, authenticated, service_role;
create extension "uuid-ossp" with schema extensions;
create extension pgcrypto with schema extensions;

-- Whatever is made in `public` is everybody's.
grant usage on schema public to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role postgres, supabase_admin in schema public
grant all on functions to postgres, anon, authenticated, service_role;

create schema auth;
grant all on schema auth to supabase_auth_admin, dashboard_user;
grant usage on schema auth to postgres, anon, authenticated, service_role;

create table auth.users (
    instance_id uuid,
    id uuid primary key,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    encrypted_password varchar(255),
    email_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_token varchar(255),
    confirmation_sent_at timestamptz,
    recovery_token varchar(255),
    recovery_sent_at timestamptz,
    email_change_token_new varchar(255),
    email_change varchar(255),
    email_change_sent_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin boolean,
    created_at timestamptz,
    updated_at timestamptz,
    phone text constraint users_phone_key unique,
    phone_confirmed_at timestamptz,
    phone_change text default '',
    phone_change_token varchar(255) default '',
    phone_change_sent_at timestamptz,
    confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    email_change_token_current varchar(255) default '',
    email_change_confirm_status smallint default 0 check (email_change_confirm_status between 0 and 2),
    banned_until timestamptz,
    reauthentication_token varchar(255) default '',
    reauthentication_sent_at timestamptz,
    is_sso_user boolean not null default false,
    deleted_at timestamptz,
    is_anonymous boolean not null default false
);
create unique index users_email_partial_key on auth.users (email) where not is_sso_user;
create index users_instance_id_idx on auth.users (instance_id);
create table auth.identities (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users on delete cascade,
    provider text not null,
    identity_data jsonb not null
);
create table auth.schema_migrations (version varchar(255) primary key);
-- without a policy: nobody but their owner and who bypasses it
alter table auth.users enable row level security;
alter table auth.identities enable row level security;
alter table auth.schema_migrations enable row level security;
alter table auth.users owner to supabase_auth_admin;
alter table auth.identities owner to supabase_auth_admin;
alter table auth.schema_migrations owner to supabase_auth_admin;
grant all on auth.users, auth.identities to dashboard_user, postgres;
grant select on auth.users, auth.identities, auth.schema_migrations to postgres with grant option;

create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;
create function auth.role() returns text language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;
create function auth.email() returns text language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
    )
$$;
create function auth.jwt() returns jsonb language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''), nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
alter function auth.email() owner to supabase_auth_admin;
alter function auth.jwt() owner to supabase_auth_admin;

create schema storage;
grant all on schema storage to supabase_storage_admin with grant option;
grant usage on schema storage to postgres, anon, authenticated, service_role;
create table storage.buckets (id text primary key, name text not null, public boolean default false);
create table storage.objects (
    id uuid primary key default gen_random_uuid(), bucket_id text references storage.buckets, name text, owner uuid
);
alter table storage.objects enable row level security;
alter table storage.buckets enable row level security;
alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role, postgres;

-- The web interface hears of every change of the schema.
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
declare
    v_command record;
begin
    for v_command in select * from pg_event_trigger_ddl_commands() loop
        if coalesce(v_command.schema_name, '') not in ('pg_temp', 'auth', 'storage') then
            notify pgrst, 'reload schema';
        end if;
    end loop;
end
$$;
create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
declare
    v_object record;
begin
    for v_object in select * from pg_event_trigger_dropped_objects() loop
        if not v_object.is_temporary then
            notify pgrst, 'reload schema';
        end if;
    end loop;
end
$$;
create function extensions.grant_pg_net_access() returns event_trigger language plpgsql as $$
begin
    if exists (select from pg_event_trigger_ddl_commands() c join pg_extension e on e.oid = c.objid
            where e.extname = 'pg_net') then
        grant usage on schema net to postgres, anon, authenticated, service_role;
    end if;
end
$$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
create event trigger issue_pg_net_access on ddl_command_end when tag in ('CREATE EXTENSION')
execute function extensions.grant_pg_net_access();

insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, created_at)
values
('11111111-1111-4111-8111-111111111111', 'authenticated', 'authenticated', 'Ana@Example.org', '$2a$10$x', now(),
    '{"provider": "email"}', now()),
('22222222-2222-4222-8222-222222222222', 'authenticated', 'authenticated', 'luis@example.org', '$2a$10$y', null,
    '{"provider": "email"}', now());

-- Somebody's own: a page for each person who signs up, as Supabase's guide to `auth.users` has it.
set role postgres;
create table public.profiles (id uuid primary key, nickname text);
create table public.open_notes (id bigserial primary key, note text);
alter table public.profiles enable row level security;
create policy everybody_reads on public.profiles for select using (true);
create policy each_writes_their_own on public.profiles for update to authenticated using (auth.uid() = id);
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into public.profiles (id) values (new.id);
    return new;
end
$$;
create view public.nicknames as select nickname from public.profiles;
reset role;
create trigger on_auth_user_created after insert on auth.users
for each row execute function public.handle_new_user();
alter publication supabase_realtime add table public.profiles;
