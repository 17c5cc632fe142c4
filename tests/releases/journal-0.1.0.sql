BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'journal','first','2026-12-01 00:03:31.577641+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'journal','openings','2026-12-01 00:03:31.585028+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'journal','memory','2026-12-01 00:03:31.602595+00:00');
CREATE TABLE meta (
    key text primary key,
    value text not null
) without rowid;
INSERT INTO "meta" VALUES('epoch','epoch-1');
INSERT INTO "meta" VALUES('gate_id','gate-1');
INSERT INTO "meta" VALUES('last_seq','1');
INSERT INTO "meta" VALUES('pruned','0');
INSERT INTO "meta" VALUES('settled','2');
CREATE TABLE openings (scan_id text primary key) without rowid;
CREATE TABLE remembered (
    code_hash text not null,
    at text not null,
    primary key (code_hash, at)
) without rowid;
CREATE TABLE scans (
    scan_id text not null unique,
    gate_id text not null,
    epoch text not null,
    seq integer primary key,  -- gapless: the highest plus one, taken inside the transaction
    boot_id text not null,
    occurred_at text not null,
    monotonic_ms integer not null,
    verdict text not null,
    reason text not null,
    rule integer not null,
    kind text not null,
    clock text not null,
    clock_offset_ms integer,
    clock_uncertainty_ms integer,
    event_id text,
    subject_id text,
    code_hash text,
    raw_hash text,
    flags text not null,
    scan_method text not null,
    cache_version integer,
    cache_age_s integer,
    released integer not null,
    record text not null,
    refers_to text,
    heard text not null,  -- JSON, or empty
    actor text not null,
    note text not null
);
INSERT INTO "scans" VALUES('00000000-0000-0000-0000-000000000001','gate-1','epoch-1',1,'boot-1','2026-11-20T23:00:00Z',1001,'admit','first_entry',11,'ga','untrusted',NULL,NULL,'event-1','ticket-1','7566d0666b918d3c39bbc6d7357eb44618b9ff2bf2b854698380d4b068df2fd7',NULL,'','camera',NULL,NULL,1,'scan',NULL,'','','');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX scans_of_a_code on scans (code_hash) where verdict = 'admit' and record = 'scan';
CREATE INDEX later_records_of_a_scan on scans (refers_to) where refers_to is not null;
CREATE INDEX released_admissions on scans (scan_id) where released = 1 and record = 'scan';
COMMIT;
