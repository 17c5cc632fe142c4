-- What each gate may send (protocol 4.5, Fairness): what one brings that was away is no flood.

-- When everything the gate had recorded was last known to be here, by the hub's clock.
alter table gate_status add column if not exists complete_at timestamptz;

-- Which gates it sees send more than their share.
alter table gate_status add column if not exists flooding text[] not null default '{}';

-- Grants of a gate that claims faster than people walk are taken back.
alter table claims drop constraint if exists claims_released;
alter table claims add constraint claims_released check (
    released_by in ('returned', 'superseded', 'annulled', 'unused', 'revoked', 'freed', 'flooding')
);
