-- Recorded by Parsl 1.2.0 under Python 3.8: see write.py.
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
INSERT INTO "block" VALUES('5069dfc4-c804-423e-aaa0-a0b273cae94f','htex','0','28115','2026-11-22 16:58:05.020493','PENDING');
INSERT INTO "block" VALUES('5069dfc4-c804-423e-aaa0-a0b273cae94f','htex','0','28115','2026-11-22 16:58:05.999608','RUNNING');
INSERT INTO "block" VALUES('5069dfc4-c804-423e-aaa0-a0b273cae94f','htex','0','28115','2026-11-22 16:58:08.122128','CANCELLED');
CREATE TABLE node (
	id INTEGER NOT NULL,
	run_id TEXT NOT NULL,
	hostname TEXT NOT NULL,
	uid TEXT NOT NULL,
	block_id TEXT NOT NULL,
	cpu_count INTEGER NOT NULL,
	total_memory INTEGER NOT NULL,
	active BOOLEAN NOT NULL,
	worker_count INTEGER NOT NULL,
	python_v TEXT NOT NULL,
	timestamp DATETIME NOT NULL,
	last_heartbeat DATETIME NOT NULL,
	PRIMARY KEY (id),
	CHECK (active IN (0, 1))
);
INSERT INTO "node" VALUES(1,'5069dfc4-c804-423e-aaa0-a0b273cae94f','node1','3c271c102c0b','0',2,25276502016,1,2,'3.8.18','2026-11-22 16:58:05.444626','2026-11-22 16:58:05.444347');
INSERT INTO "node" VALUES(2,'5069dfc4-c804-423e-aaa0-a0b273cae94f','node1','3c271c102c0b','0',2,25276502016,0,2,'3.8.18','2026-11-22 16:58:08.104418','2026-11-22 16:58:08.045098');
CREATE TABLE resource (
	try_id INTEGER NOT NULL,
	task_id INTEGER NOT NULL,
	run_id TEXT NOT NULL,
	timestamp DATETIME NOT NULL,
	resource_monitoring_interval FLOAT,
	psutil_process_pid INTEGER,
	psutil_process_cpu_percent FLOAT,
	psutil_process_memory_percent FLOAT,
	psutil_process_children_count FLOAT,
	psutil_process_time_user FLOAT,
	psutil_process_time_system FLOAT,
	psutil_process_memory_virtual FLOAT,
	psutil_process_memory_resident FLOAT,
	psutil_process_disk_read FLOAT,
	psutil_process_disk_write FLOAT,
	psutil_process_status TEXT,
	PRIMARY KEY (try_id, task_id, run_id, timestamp),
	FOREIGN KEY(try_id) REFERENCES try (try_id),
	FOREIGN KEY(task_id) REFERENCES task (task_id),
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "resource" VALUES(0,0,'5069dfc4-c804-423e-aaa0-a0b273cae94f','2026-11-22 16:58:05.483787',1.0,28138,0.0,4.07517653885799413515e-01,1.0,0.0,0.01,477392896.0,103006208.0,0.0,8192.0,'sleeping');
INSERT INTO "resource" VALUES(0,7,'5069dfc4-c804-423e-aaa0-a0b273cae94f','2026-11-22 16:58:05.621876',1.0,28139,0.0,4.08327892580498452712e-01,1.0,0.03,0.01,477802496.0,103211008.0,0.0,12288.0,'sleeping');
INSERT INTO "resource" VALUES(0,0,'5069dfc4-c804-423e-aaa0-a0b273cae94f','2026-11-22 16:58:06.502004',1.0,28138,0.0,4.07776930268103132704e-01,1.0,0.01,0.02,477540352.0,103071744.0,0.0,8192.0,'sleeping');
INSERT INTO "resource" VALUES(0,0,'5069dfc4-c804-423e-aaa0-a0b273cae94f','2026-11-22 16:58:07.522980',1.0,28138,0.0,4.08749216701741913126e-01,1.0,0.02,0.03,477802496.0,103317504.0,0.0,8192.0,'sleeping');
INSERT INTO "resource" VALUES(0,2,'5069dfc4-c804-423e-aaa0-a0b273cae94f','2026-11-22 16:58:08.008882',1.0,28139,0.0,4.08473735545544280878e-01,1.0,0.01,0.03,478068736.0,103247872.0,0.0,16384.0,'sleeping');
CREATE TABLE status (
	task_id INTEGER NOT NULL,
	task_status_name TEXT NOT NULL,
	timestamp DATETIME NOT NULL,
	run_id TEXT NOT NULL,
	try_id INTEGER NOT NULL,
	PRIMARY KEY (task_id, run_id, task_status_name, timestamp),
	FOREIGN KEY(task_id) REFERENCES task (task_id),
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "status" VALUES(0,'pending','2026-11-22 16:58:05.026259','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(0,'launched','2026-11-22 16:58:05.030358','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:05.031118','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:05.034049','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(2,'pending','2026-11-22 16:58:05.034513','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(3,'pending','2026-11-22 16:58:05.038969','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(4,'pending','2026-11-22 16:58:05.039340','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(4,'launched','2026-11-22 16:58:05.045412','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(0,'running','2026-11-22 16:58:05.452930','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:05.455464','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(4,'running','2026-11-22 16:58:05.508946','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'fail_retryable','2026-11-22 16:58:05.475610','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:05.475959','5069dfc4-c804-423e-aaa0-a0b273cae94f',1);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:05.478344','5069dfc4-c804-423e-aaa0-a0b273cae94f',1);
INSERT INTO "status" VALUES(4,'exec_done','2026-11-22 16:58:05.528703','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(5,'pending','2026-11-22 16:58:05.530389','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(5,'memo_done','2026-11-22 16:58:05.531575','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(6,'pending','2026-11-22 16:58:05.532124','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(6,'launched','2026-11-22 16:58:05.532896','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(7,'pending','2026-11-22 16:58:05.533494','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(7,'launched','2026-11-22 16:58:05.535799','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(6,'joining','2026-11-22 16:58:05.536095','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:05.552454','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:05.552862','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'failed','2026-11-22 16:58:05.553044','5069dfc4-c804-423e-aaa0-a0b273cae94f',1);
INSERT INTO "status" VALUES(6,'exec_done','2026-11-22 16:58:05.710564','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(7,'exec_done','2026-11-22 16:58:05.711098','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:05.532429','5069dfc4-c804-423e-aaa0-a0b273cae94f',1);
INSERT INTO "status" VALUES(6,'running','2026-11-22 16:58:05.533142','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(7,'running','2026-11-22 16:58:05.593710','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(2,'running','2026-11-22 16:58:07.984887','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(2,'launched','2026-11-22 16:58:07.978200','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(0,'exec_done','2026-11-22 16:58:07.978693','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
INSERT INTO "status" VALUES(2,'exec_done','2026-11-22 16:58:08.101968','5069dfc4-c804-423e-aaa0-a0b273cae94f',0);
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
INSERT INTO "task" VALUES(0,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','inc','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.025008','2026-11-22 16:58:07.973623',0,0.0);
INSERT INTO "task" VALUES(1,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','fail','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.031021','2026-11-22 16:58:05.552349',2,2.0);
INSERT INTO "task" VALUES(2,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','inc','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.034410','2026-11-22 16:58:08.101876',0,0.0);
INSERT INTO "task" VALUES(3,'5069dfc4-c804-423e-aaa0-a0b273cae94f','1','inc','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.038843','2026-11-22 16:58:05.552843',1,1.0);
INSERT INTO "task" VALUES(4,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','remember','1','9605d823849ea48b7a59c5c2ceecfc51','None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.039243','2026-11-22 16:58:05.528603',0,0.0);
INSERT INTO "task" VALUES(5,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','remember','1','9605d823849ea48b7a59c5c2ceecfc51','None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.530109','2026-11-22 16:58:05.531509',0,0.0);
INSERT INTO "task" VALUES(6,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','join','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.531984','2026-11-22 16:58:05.710538',0,0.0);
INSERT INTO "task" VALUES(7,'5069dfc4-c804-423e-aaa0-a0b273cae94f','','inc','0',NULL,'None','None',NULL,NULL,NULL,'2026-11-22 16:58:05.533416','2026-11-22 16:58:05.710475',0,0.0);
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
INSERT INTO "try" VALUES(0,0,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:05.026611','2026-11-22 16:58:05.452930','2026-11-22 16:58:07.973366','',NULL);
INSERT INTO "try" VALUES(0,1,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:05.031800','2026-11-22 16:58:05.455464','2026-11-22 16:58:05.475201','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,2,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:07.973692','2026-11-22 16:58:07.984887','2026-11-22 16:58:08.101629','',NULL);
INSERT INTO "try" VALUES(0,3,'5069dfc4-c804-423e-aaa0-a0b273cae94f',NULL,NULL,'htex',NULL,NULL,'2026-11-22 16:58:05.552780','DependencyError([(ValueError(''no luck''), 1)], 3)',NULL);
INSERT INTO "try" VALUES(0,4,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:05.039530','2026-11-22 16:58:05.508946','2026-11-22 16:58:05.528102','',NULL);
INSERT INTO "try" VALUES(1,1,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:05.476117','2026-11-22 16:58:05.532429','2026-11-22 16:58:05.550973','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,5,'5069dfc4-c804-423e-aaa0-a0b273cae94f',NULL,NULL,'htex','2026-11-22 16:58:05.530765',NULL,'2026-11-22 16:58:05.531459','',NULL);
INSERT INTO "try" VALUES(0,6,'5069dfc4-c804-423e-aaa0-a0b273cae94f',NULL,'node1','_parsl_internal','2026-11-22 16:58:05.532337','2026-11-22 16:58:05.533142','2026-11-22 16:58:05.536035','','7');
INSERT INTO "try" VALUES(0,7,'5069dfc4-c804-423e-aaa0-a0b273cae94f','0','node1','htex','2026-11-22 16:58:05.533730','2026-11-22 16:58:05.593710','2026-11-22 16:58:05.710251','',NULL);
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
INSERT INTO "workflow" VALUES('5069dfc4-c804-423e-aaa0-a0b273cae94f','old.py','2026-11-22 16:58:04','2026-11-22 16:58:04.983688','2026-11-22 16:58:08.123211','node1','me','/home/me/runinfo/000',1,5);
CREATE INDEX ix_task_task_hashsum ON task (task_hashsum);
COMMIT;
