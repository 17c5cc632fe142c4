-- What objects/ created last, so that the next run can drop it first (`hub.db.objects`). position: the order in which
-- to drop it. digest: of the files.
create table if not exists applied_objects (
    position integer primary key,
    type text not null,
    identity text not null,
    digest text not null
);
