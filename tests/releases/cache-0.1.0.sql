BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'cache','first','2026-12-01 00:03:31.641142+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'cache','annulments','2026-12-01 00:03:31.641390+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'cache','second_layout','2026-12-01 00:03:31.646480+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'cache','third_layout','2026-12-01 00:03:31.646844+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'cache','fourth_layout','2026-12-01 00:03:31.648593+00:00');
CREATE TABLE admissions (
    code_hash text primary key,
    event_id text not null,
    reservation_id text,
    entered integer not null,
    row text not null
, share integer not null default 0) without rowid;
INSERT INTO "admissions" VALUES('7566d0666b918d3c39bbc6d7357eb44618b9ff2bf2b854698380d4b068df2fd7','event-1',NULL,0,'{"t":"admission","code_hash":"7566d0666b918d3c39bbc6d7357eb44618b9ff2bf2b854698380d4b068df2fd7","subject_id":"ticket-1","event_id":"event-1","kind":"ga","status":"issued","ticket_type":"General","holder":"","reservation_id":null,"guest_number":null,"signature_hash":null,"first_entry":null,"last_entry":null}',74548404756324);
CREATE TABLE alerts (number integer primary key autoincrement, id text not null unique, row text not null);
CREATE TABLE events (event_id text primary key, row text not null, share integer not null default 0) without rowid;
INSERT INTO "events" VALUES('event-1','{"t":"event","event_id":"event-1","code":"PF","name":"Perreo Fridays","doors_open_at":"2026-11-20T22:00:00Z","ends_at":"2026-11-21T06:00:00Z","status":"scheduled","capacity":500,"served":true,"isolation":"admit","homes":[],"retired":[]}',0);
CREATE TABLE feed (
    event_id text primary key,
    version integer not null,
    fetched_at text not null,
    current_at text not null
, generation integer not null default 0, count integer not null default 0, upper integer not null default 0, lower integer not null default 0, unread text not null default '') without rowid;
INSERT INTO "feed" VALUES('event-1',1,'2026-11-20T23:00:00+00:00','2026-11-20T23:00:00+00:00',1,1,4443431,3088228,'');
CREATE TABLE gate_names (gate_id text primary key, name text not null) without rowid;
CREATE TABLE lent (
    code_hash text primary key,
    event_id text not null,
    to_gate text not null,
    at text not null
) without rowid;
CREATE TABLE link (one integer primary key check (one = 1), row text not null);
CREATE TABLE peer_annulments (
    number integer primary key autoincrement,
    gate_id text not null,
    scan_id text not null,
    noted_at text,
    unique (gate_id, scan_id)
);
CREATE TABLE peer_entries (
    number integer primary key autoincrement,
    gate_id text not null,
    scan_id text not null,
    code_hash text not null,
    at text not null,
    noted_at text,
    unique (gate_id, scan_id)
);
CREATE TABLE revoked (gate_id text primary key) without rowid;
CREATE TABLE tables (
    reservation_id text primary key,
    event_id text not null,
    row text not null
, share integer not null default 0) without rowid;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX tables_of_an_event on tables (event_id);
CREATE INDEX admissions_of_a_table on admissions (reservation_id, entered) where reservation_id is not null;
CREATE INDEX shares_of_an_event on admissions (event_id, entered, code_hash, share);
CREATE INDEX peer_entries_of_a_code on peer_entries (code_hash);
CREATE INDEX peer_entries_of_a_gate on peer_entries (gate_id);
CREATE INDEX peer_annulments_of_a_gate on peer_annulments (gate_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('peer_entries',0);
INSERT INTO "sqlite_sequence" VALUES('peer_annulments',0);
COMMIT;
