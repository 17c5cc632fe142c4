-- Who is calling. `auth` belongs to Supabase; its functions are created only if they are missing.

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

-- Definers, because policies call them, and their callers may not read the list of staff.
create or replace function is_owner() returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$
    select exists (select from owner_assignments where user_id = auth.uid())
        or exists (select from staff where user_id = auth.uid() and role in ('owner', 'admin'))
$$;

create or replace function is_staff() returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$ select is_owner() or exists (select from staff where user_id = auth.uid()) $$;

-- The customer's confirmed address. The address in a token is not enough to see an order. Null if it is empty, as the
-- address of many tickets is. In "C", because other collations turn some foreign letters into ASCII.
create or replace function my_email() returns text
language sql stable security definer set search_path = public, pg_temp
as $$
    select nullif(lower(email collate "C"), '') from auth.users
    where id = auth.uid() and email_confirmed_at is not null
$$;

-- Whether the caller is the hub, or has the service's rights. The role that was set counts, because a web server in
-- front sets it for each request. Within a definer's function it still means the caller.
create or replace function is_service() returns boolean
language sql stable set search_path = public, pg_temp
as $$
    select pg_has_role(case current_setting('role') when 'none' then session_user::text
        else current_setting('role') end::name, 'service_role', 'usage')
$$;

-- The name to record for an action: the person of the token, otherwise the login.
create or replace function acting_as() returns text
language sql stable set search_path = public, pg_temp
as $$ select coalesce(auth.uid()::text, session_user::text) $$;

-- The actor to record. The hub may name anybody; a person is named by their token, whatever they pass.
create or replace function named_actor(p_actor text) returns text
language sql stable set search_path = public, pg_temp
as $$ select case when is_service() then coalesce(nullif(btrim(p_actor), ''), acting_as()) else acting_as() end $$;

-- Remove somebody from the list of staff. For owners.
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
