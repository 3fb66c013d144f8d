BEGIN TRANSACTION;
CREATE TABLE block (
	run_id TEXT NOT NULL, 
	executor_label TEXT NOT NULL, 
	block_id TEXT NOT NULL, 
	job_id TEXT, 
	timestamp DATETIME NOT NULL, 
	status TEXT NOT NULL, 
	PRIMARY KEY (run_id, block_id, executor_label, timestamp)
);
INSERT INTO "block" VALUES('00000000-0000-4000-8000-000000000001','htex','0',NULL,'2026-01-15 12:00:01.123456','FAILED');
CREATE TABLE node (
	id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	hostname TEXT NOT NULL, 
	uid TEXT NOT NULL, 
	block_id TEXT NOT NULL, 
	cpu_count INTEGER NOT NULL, 
	total_memory BIGINT NOT NULL, 
	active BOOLEAN NOT NULL, 
	worker_count INTEGER NOT NULL, 
	python_v TEXT NOT NULL, 
	timestamp DATETIME NOT NULL, 
	last_heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "node" VALUES(1,'00000000-0000-4000-8000-000000000001','node-m1','m1','0',8,17179869184,1,4,'3.11.9','2026-01-15 12:00:02.123456','2026-01-15 12:00:02.123456');
CREATE TABLE otel_block (
	run_id TEXT NOT NULL, 
	executor_label TEXT NOT NULL, 
	block_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	sequence BIGINT NOT NULL, 
	changed_ns BIGINT NOT NULL, 
	job_id TEXT, 
	message TEXT, 
	exit_code INTEGER, 
	stdout_path TEXT, 
	stderr_path TEXT, 
	PRIMARY KEY (run_id, executor_label, block_id)
);
INSERT INTO "otel_block" VALUES('00000000-0000-4000-8000-000000000001','htex','0','FAILED',9,1768478401123456000,NULL,'Failed to start block 0: no such account',NULL,NULL,NULL);
CREATE TABLE otel_bucket (
	run_id TEXT NOT NULL, 
	app TEXT NOT NULL, 
	bucket_ns BIGINT NOT NULL, 
	ended INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	run_s FLOAT NOT NULL, 
	cpu_s FLOAT NOT NULL, 
	PRIMARY KEY (run_id, app, bucket_ns)
);
INSERT INTO "otel_bucket" VALUES('00000000-0000-4000-8000-000000000001','double',1768478400000000000,1,0,1.0,0.75);
CREATE TABLE otel_count (
	run_id TEXT NOT NULL, 
	app TEXT NOT NULL, 
	state TEXT NOT NULL, 
	tasks INTEGER NOT NULL, 
	PRIMARY KEY (run_id, app, state)
);
INSERT INTO "otel_count" VALUES('00000000-0000-4000-8000-000000000001','double','exec_done',1);
INSERT INTO "otel_count" VALUES('00000000-0000-4000-8000-000000000001','double','launched',1);
CREATE TABLE otel_edge (
	run_id TEXT NOT NULL, 
	task_id INTEGER NOT NULL, 
	on_task_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	PRIMARY KEY (run_id, task_id, on_task_id, kind)
);
CREATE TABLE otel_failure (
	run_id TEXT NOT NULL, 
	task_id INTEGER NOT NULL, 
	try_id INTEGER NOT NULL, 
	fate TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	exception_type TEXT, 
	message TEXT, 
	template TEXT, 
	frame TEXT, 
	stacktrace TEXT, 
	app TEXT, 
	time_ns BIGINT NOT NULL, 
	is_final BOOLEAN NOT NULL, 
	caused_by TEXT, 
	PRIMARY KEY (run_id, task_id, try_id)
);
CREATE TABLE otel_manager (
	run_id TEXT NOT NULL, 
	uid TEXT NOT NULL, 
	block_id TEXT, 
	hostname TEXT, 
	cpu_count INTEGER, 
	total_memory BIGINT, 
	worker_count INTEGER, 
	active BOOLEAN, 
	tasks INTEGER, 
	first_seen_ns BIGINT, 
	last_seen_ns BIGINT NOT NULL, 
	PRIMARY KEY (run_id, uid)
);
INSERT INTO "otel_manager" VALUES('00000000-0000-4000-8000-000000000001','m1','0','node-m1',8,17179869184,4,1,1,1768478402123456000,1768478402123456000);
CREATE TABLE otel_pending (
	run_id TEXT NOT NULL, 
	task_id INTEGER NOT NULL, 
	try_id INTEGER NOT NULL, 
	running_ns BIGINT NOT NULL, 
	hostname TEXT, 
	block_id TEXT, 
	PRIMARY KEY (run_id, task_id, try_id)
);
CREATE TABLE otel_place (
	spool TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	segment INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (spool, stream)
);
CREATE TABLE otel_run (
	run_id TEXT NOT NULL, 
	began_ns BIGINT, 
	ended_ns BIGINT, 
	outcome TEXT, 
	last_event_ns BIGINT, 
	time_zone TEXT, 
	parsl_version TEXT, 
	sequence BIGINT, 
	PRIMARY KEY (run_id)
);
INSERT INTO "otel_run" VALUES('00000000-0000-4000-8000-000000000001',1768478400123456000,NULL,NULL,1768478402123456000,'Etc/UTC','2026.10.26',8);
CREATE TABLE otel_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "otel_schema" VALUES(1);
CREATE TABLE otel_task (
	run_id TEXT NOT NULL, 
	task_id INTEGER NOT NULL, 
	app TEXT NOT NULL, 
	state TEXT NOT NULL, 
	sequence BIGINT NOT NULL, 
	changed_ns BIGINT NOT NULL, 
	PRIMARY KEY (run_id, task_id)
);
INSERT INTO "otel_task" VALUES('00000000-0000-4000-8000-000000000001',0,'double','exec_done',4,1768478401125456000);
INSERT INTO "otel_task" VALUES('00000000-0000-4000-8000-000000000001',1,'double','launched',7,1768478402124456000);
CREATE TABLE otel_try (
	run_id TEXT NOT NULL, 
	task_id INTEGER NOT NULL, 
	try_id INTEGER NOT NULL, 
	sequence BIGINT, 
	state TEXT, 
	running_ns BIGINT, 
	ended_ns BIGINT, 
	worker_rank TEXT, 
	manager_uid TEXT, 
	pid INTEGER, 
	cpu_user_s FLOAT, 
	cpu_system_s FLOAT, 
	memory_peak_bytes BIGINT, 
	read_bytes BIGINT, 
	write_bytes BIGINT, 
	exit_code INTEGER, 
	executor_task_id TEXT, 
	resource_specification TEXT, 
	PRIMARY KEY (run_id, task_id, try_id)
);
INSERT INTO "otel_try" VALUES('00000000-0000-4000-8000-000000000001',0,0,4,'exec_done',1768478401123456000,1768478402123456000,'3','0a1b2c3d4e5f',4711,0.5,0.25,67108864,2048,NULL,NULL,NULL,NULL);
INSERT INTO "otel_try" VALUES('00000000-0000-4000-8000-000000000001',1,0,7,'launched',1768478403123456000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE resource (
	try_id INTEGER NOT NULL, 
	task_id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	timestamp DATETIME NOT NULL, 
	resource_monitoring_interval FLOAT, 
	psutil_process_pid INTEGER, 
	psutil_process_memory_percent FLOAT, 
	psutil_process_children_count FLOAT, 
	psutil_process_time_user FLOAT, 
	psutil_process_time_system FLOAT, 
	psutil_process_memory_virtual FLOAT, 
	psutil_process_memory_resident FLOAT, 
	psutil_process_disk_read FLOAT, 
	psutil_process_disk_write FLOAT, 
	psutil_process_status TEXT, 
	psutil_cpu_num TEXT, 
	psutil_process_num_ctx_switches_voluntary FLOAT, 
	psutil_process_num_ctx_switches_involuntary FLOAT, 
	PRIMARY KEY (try_id, task_id, run_id, timestamp), 
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
CREATE TABLE status (
	task_id INTEGER NOT NULL, 
	task_status_name TEXT NOT NULL, 
	timestamp DATETIME NOT NULL, 
	run_id TEXT NOT NULL, 
	try_id INTEGER NOT NULL, 
	PRIMARY KEY (task_id, run_id, task_status_name, timestamp), 
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "status" VALUES(0,'pending','2026-01-15 12:00:01.123456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(0,'launched','2026-01-15 12:00:01.124456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(0,'exec_done','2026-01-15 12:00:01.125456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(1,'pending','2026-01-15 12:00:02.123456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(1,'launched','2026-01-15 12:00:02.124456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(0,'running','2026-01-15 12:00:01.123456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(0,'running_ended','2026-01-15 12:00:02.123456','00000000-0000-4000-8000-000000000001',0);
INSERT INTO "status" VALUES(1,'running','2026-01-15 12:00:03.123456','00000000-0000-4000-8000-000000000001',0);
CREATE TABLE task (
	task_id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	task_depends TEXT, 
	task_func_name TEXT NOT NULL, 
	task_memoize TEXT NOT NULL, 
	task_hashsum TEXT, 
	task_inputs TEXT, 
	task_outputs TEXT, 
	task_stdin TEXT, 
	task_stdout TEXT, 
	task_stderr TEXT, 
	task_time_invoked DATETIME, 
	task_time_returned DATETIME, 
	task_fail_count INTEGER NOT NULL, 
	task_fail_cost FLOAT NOT NULL, 
	PRIMARY KEY (task_id, run_id)
);
INSERT INTO "task" VALUES(0,'00000000-0000-4000-8000-000000000001','','double','0',NULL,'[]','None',NULL,'','','2026-01-15 12:00:01.123456',NULL,0,0.0);
INSERT INTO "task" VALUES(1,'00000000-0000-4000-8000-000000000001','','double','0',NULL,'[]','None',NULL,'','','2026-01-15 12:00:02.123456',NULL,0,0.0);
CREATE TABLE try (
	try_id INTEGER NOT NULL, 
	task_id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	block_id TEXT, 
	hostname TEXT, 
	task_executor TEXT NOT NULL, 
	task_try_time_launched DATETIME, 
	task_try_time_running DATETIME, 
	task_try_time_returned DATETIME, 
	task_fail_history TEXT, 
	task_joins TEXT, 
	PRIMARY KEY (try_id, task_id, run_id)
);
INSERT INTO "try" VALUES(0,0,'00000000-0000-4000-8000-000000000001','0','node1','htex','2026-01-15 12:00:01.125456','2026-01-15 12:00:01.123456','2026-01-15 12:00:01.125456','',NULL);
INSERT INTO "try" VALUES(0,1,'00000000-0000-4000-8000-000000000001','0','node1','htex','2026-01-15 12:00:02.124456','2026-01-15 12:00:03.123456','2026-01-15 12:00:02.124456','',NULL);
CREATE TABLE workflow (
	run_id TEXT NOT NULL, 
	workflow_name TEXT, 
	workflow_version TEXT, 
	time_began DATETIME NOT NULL, 
	time_completed DATETIME, 
	host TEXT NOT NULL, 
	user TEXT NOT NULL, 
	rundir TEXT NOT NULL, 
	tasks_failed_count INTEGER NOT NULL, 
	tasks_completed_count INTEGER NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "workflow" VALUES('00000000-0000-4000-8000-000000000001','corridor.py','1','2026-01-15 12:00:00.123456',NULL,'submit.example.org','me','/home/me/runinfo/000',0,0);
CREATE INDEX ix_task_task_hashsum ON task (task_hashsum);
CREATE INDEX otel_task_by_time ON task (run_id, task_time_invoked);
CREATE INDEX otel_try_by_task ON try (run_id, task_id);
CREATE UNIQUE INDEX otel_node_once ON node (run_id, uid, timestamp);
CREATE INDEX otel_try_running ON otel_try (run_id, task_id) WHERE running_ns IS NOT NULL AND ended_ns IS NULL;
CREATE INDEX otel_failure_by_group ON otel_failure (run_id, fingerprint);
COMMIT;
