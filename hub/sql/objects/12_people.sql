-- Who asks. `auth` is a Supabase project's, and its functions are made only where they are missing.

do $$
begin
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
end
$$;

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

-- Who is named for what an owner's call or the hub's did: a person by their token, never by what they say.
create or replace function named_actor(p_actor text) returns text
language sql stable set search_path = public, pg_temp
as $$ select case when is_service() then coalesce(nullif(btrim(p_actor), ''), acting_as()) else acting_as() end $$;

-- Owners take somebody off the list of those who work here.
create or replace function dismiss_staff(p_user_id uuid) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not is_owner() then
        return refuse('NOT_ALLOWED', 'Only an owner says who works here.');
    end if;
    delete from staff where user_id = p_user_id;
    if not found then
        return refuse('STAFF_NOT_FOUND', 'Nobody with this id works here.');
    end if;
    return jsonb_build_object('success', true, 'message', 'Does not work here any more.');
end
$$;
