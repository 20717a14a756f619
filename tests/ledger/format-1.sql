-- Written by the code of format 1, and dumped by sqlite3's iterdump.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY, watch TEXT NOT NULL, target TEXT NOT NULL, severity TEXT NOT NULL,
    monitors TEXT NOT NULL, opened_at REAL NOT NULL, closed_at REAL, text TEXT NOT NULL
) STRICT;
INSERT INTO "alerts" VALUES(1,'digits','served','page','["worse"]',1800000301.5,NULL,'[page] served is worse: 50 of 600 golden examples now wrong that were right (3 the other way)
accuracy 0.952 -> 0.950, tolerance 1 point · evidence 7.9 of 5.6 needed · budget 1 false alarm a year
since    08:05:00 UTC (between the replays of 08:00:00 and 08:05:00)
errors   2 x no answer within 2 s
where    40 of the 50 are in slice digit=8 (10% of the set)
changed  08:05:00 version 1 -> 2
examples 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...');
INSERT INTO "alerts" VALUES(2,'other','served','ticket','["changed"]',1800000001.0,1800000400.0,'outputs differ');
CREATE TABLE events (
    at REAL NOT NULL, target TEXT NOT NULL, field TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1800000300.0,'served','version','1','2');
CREATE TABLE monitors (
    watch TEXT NOT NULL, target TEXT NOT NULL, monitor TEXT NOT NULL, golden_digest TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (watch, target, monitor)
) STRICT, WITHOUT ROWID;
INSERT INTO "monitors" VALUES('digits','served','worse','sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"n": 2}');
INSERT INTO "monitors" VALUES('other','served','failing','sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"n": 1}');
CREATE TABLE replays (
    id INTEGER PRIMARY KEY, watch TEXT NOT NULL, target TEXT NOT NULL, started_at REAL NOT NULL,
    validity TEXT NOT NULL, judgement TEXT NOT NULL
) STRICT;
INSERT INTO "replays" VALUES(1,'digits','served',1800000000.0,'valid','{"watch":"digits","target":"served","golden":"digits","golden_digest":"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","task":"classification","examples":600,"probe":"open-inference","started_at":1800000000.0,"duration_s":1.5,"lateness_s":0.01,"validity":"valid","reasons":[],"description":{"model":"digits","version":"1","framework":"onnxruntime","framework_version":"1.20","device":"cpu","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","inputs":[],"outputs":[]},"outcomes":{"ok":598,"timeout":2},"errors":{"no answer within 2 s":2},"open_s":0.2,"first_request_s":0.01,"latencies_s":[],"throughput":400.0,"quantiles":[{"q":0.5,"latency_s":0.002},{"q":0.99,"latency_s":null}],"scores":[{"name":"accuracy","value":0.95,"low":0.93,"high":0.97,"n":598,"reference":0.952}],"difference":null,"verdicts":[{"monitor":"worse","state":"steady","severity":"page","evidence":0.5,"threshold":5.6,"since":null,"confirm":false,"summary":"all is well"}]}');
INSERT INTO "replays" VALUES(2,'digits','served',1800000300.0,'valid','{"watch":"digits","target":"served","golden":"digits","golden_digest":"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","task":"classification","examples":600,"probe":"open-inference","started_at":1800000300.0,"duration_s":1.5,"lateness_s":0.01,"validity":"valid","reasons":[],"description":{"model":"digits","version":"2","framework":"onnxruntime","framework_version":"1.20","device":"cpu","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","inputs":[],"outputs":[]},"outcomes":{"ok":598,"timeout":2},"errors":{"no answer within 2 s":2},"open_s":0.2,"first_request_s":0.01,"latencies_s":[],"throughput":400.0,"quantiles":[{"q":0.5,"latency_s":0.002},{"q":0.99,"latency_s":null}],"scores":[{"name":"accuracy","value":0.95,"low":0.93,"high":0.97,"n":598,"reference":0.952}],"difference":{"compared":600,"moved":120,"harmful":50,"helpful":3,"neutral":2,"largest":0.9,"flips":[{"example":0,"label":"8","reference":"8","now":"1"},{"example":1,"label":"8","reference":"8","now":"1"},{"example":2,"label":"8","reference":"8","now":"1"},{"example":3,"label":"8","reference":"8","now":"1"},{"example":4,"label":"8","reference":"8","now":"1"},{"example":5,"label":"8","reference":"8","now":"1"},{"example":6,"label":"8","reference":"8","now":"1"},{"example":7,"label":"8","reference":"8","now":"1"},{"example":8,"label":"8","reference":"8","now":"1"},{"example":9,"label":"8","reference":"8","now":"1"},{"example":10,"label":"8","reference":"8","now":"1"},{"example":11,"label":"8","reference":"8","now":"1"},{"example":12,"label":"8","reference":"8","now":"1"},{"example":13,"label":"8","reference":"8","now":"1"},{"example":14,"label":"8","reference":"8","now":"1"},{"example":15,"label":"8","reference":"8","now":"1"},{"example":16,"label":"8","reference":"8","now":"1"},{"example":17,"label":"8","reference":"8","now":"1"},{"example":18,"label":"8","reference":"8","now":"1"},{"example":19,"label":"8","reference":"8","now":"1"},{"example":20,"label":"8","reference":"8","now":"1"},{"example":21,"label":"8","reference":"8","now":"1"},{"example":22,"label":"8","reference":"8","now":"1"},{"example":23,"label":"8","reference":"8","now":"1"},{"example":24,"label":"8","reference":"8","now":"1"},{"example":25,"label":"8","reference":"8","now":"1"},{"example":26,"label":"8","reference":"8","now":"1"},{"example":27,"label":"8","reference":"8","now":"1"},{"example":28,"label":"8","reference":"8","now":"1"},{"example":29,"label":"8","reference":"8","now":"1"},{"example":30,"label":"8","reference":"8","now":"1"},{"example":31,"label":"8","reference":"8","now":"1"},{"example":32,"label":"8","reference":"8","now":"1"},{"example":33,"label":"8","reference":"8","now":"1"},{"example":34,"label":"8","reference":"8","now":"1"},{"example":35,"label":"8","reference":"8","now":"1"},{"example":36,"label":"8","reference":"8","now":"1"},{"example":37,"label":"8","reference":"8","now":"1"},{"example":38,"label":"8","reference":"8","now":"1"},{"example":39,"label":"8","reference":"8","now":"1"},{"example":40,"label":"8","reference":"8","now":"1"},{"example":41,"label":"8","reference":"8","now":"1"},{"example":42,"label":"8","reference":"8","now":"1"},{"example":43,"label":"8","reference":"8","now":"1"},{"example":44,"label":"8","reference":"8","now":"1"},{"example":45,"label":"8","reference":"8","now":"1"},{"example":46,"label":"8","reference":"8","now":"1"},{"example":47,"label":"8","reference":"8","now":"1"},{"example":48,"label":"8","reference":"8","now":"1"},{"example":49,"label":"8","reference":"8","now":"1"}],"where":[{"slice":"digit","value":"8","flips":40,"examples":60}]},"verdicts":[{"monitor":"worse","state":"alerting","severity":"page","evidence":7.9,"threshold":5.6,"since":1800000300.0,"confirm":false,"summary":"all is well"}]}');
INSERT INTO "replays" VALUES(3,'other','served',1800000400.0,'valid','{"watch":"other","target":"served","golden":"digits","golden_digest":"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","task":"classification","examples":600,"probe":"open-inference","started_at":1800000400.0,"duration_s":1.5,"lateness_s":0.01,"validity":"valid","reasons":[],"description":{"model":"digits","version":"1","framework":"onnxruntime","framework_version":"1.20","device":"cpu","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","inputs":[],"outputs":[]},"outcomes":{"ok":598,"timeout":2},"errors":{"no answer within 2 s":2},"open_s":0.2,"first_request_s":0.01,"latencies_s":[],"throughput":400.0,"quantiles":[{"q":0.5,"latency_s":0.002},{"q":0.99,"latency_s":null}],"scores":[{"name":"accuracy","value":0.95,"low":0.93,"high":0.97,"n":598,"reference":0.952}],"difference":null,"verdicts":[{"monitor":"worse","state":"steady","severity":"page","evidence":0.5,"threshold":5.6,"since":null,"confirm":false,"summary":"all is well"}]}');
CREATE TABLE scores (
    replay INTEGER NOT NULL REFERENCES replays ON DELETE CASCADE, name TEXT NOT NULL,
    value REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, n INTEGER NOT NULL, reference REAL,
    PRIMARY KEY (replay, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "scores" VALUES(1,'accuracy',0.95,0.93,0.97,598,0.952);
INSERT INTO "scores" VALUES(2,'accuracy',0.95,0.93,0.97,598,0.952);
INSERT INTO "scores" VALUES(3,'accuracy',0.95,0.93,0.97,598,0.952);
CREATE TABLE verdicts (
    replay INTEGER NOT NULL REFERENCES replays ON DELETE CASCADE, monitor TEXT NOT NULL,
    state TEXT NOT NULL, evidence REAL, threshold REAL,
    PRIMARY KEY (replay, monitor)
) STRICT, WITHOUT ROWID;
INSERT INTO "verdicts" VALUES(1,'worse','steady',0.5,5.6);
INSERT INTO "verdicts" VALUES(2,'worse','alerting',7.9,5.6);
INSERT INTO "verdicts" VALUES(3,'worse','steady',0.5,5.6);
CREATE INDEX replays_by_time ON replays (started_at);
CREATE INDEX replays_by_watch ON replays (watch, target, started_at);
CREATE INDEX events_by_target ON events (target, at);
COMMIT;
