-- What objects/ last made, so that the next time it can be dropped first (`hub.db.objects`). position: the order in
-- which it may be dropped. digest: of the files it was made from.
create table if not exists applied_objects (
    position integer primary key,
    type text not null,
    identity text not null,
    digest text not null
);
