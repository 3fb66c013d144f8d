-- Recorded by Parsl 2023.12.25 under Python 3.11: see write.py.
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
INSERT INTO "block" VALUES('7fcebfdf-de38-4702-a6b1-2c3cd9289c05','htex','0','28227','2026-11-22 16:58:11.747170','PENDING');
INSERT INTO "block" VALUES('7fcebfdf-de38-4702-a6b1-2c3cd9289c05','htex','0','28227','2026-11-22 16:58:12.733848','RUNNING');
INSERT INTO "block" VALUES('7fcebfdf-de38-4702-a6b1-2c3cd9289c05','htex','0','28227','2026-11-22 16:58:15.423392','CANCELLED');
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
INSERT INTO "node" VALUES(1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','node1','515230523e26','0',2,25276502016,1,2,'3.11.7','2026-11-22 16:58:12.418634','2026-11-22 16:58:12.417926');
INSERT INTO "node" VALUES(2,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','node1','515230523e26','0',2,25276502016,0,2,'3.11.7','2026-11-22 16:58:15.405469','2026-11-22 16:58:12.417926');
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
	PRIMARY KEY (try_id, task_id, run_id, timestamp),
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "resource" VALUES(0,0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:12.753022',1.0,28254,5.03855034685508296199e-01,1.0,0.25,6.00000000000000047184e-02,175427584.0,127356928.0,15532376.0,7048.0,'sleeping');
INSERT INTO "resource" VALUES(0,1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:12.880491',1.0,28253,5.05329669109860435405e-01,1.0,3.50000000000000033306e-01,6.99999999999999927835e-02,176082944.0,127729664.0,15533007.0,6936.0,'sleeping');
INSERT INTO "resource" VALUES(0,4,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:12.931421',1.0,28253,5.05783402778891888473e-01,1.0,3.50000000000000033306e-01,6.99999999999999927835e-02,327188480.0,127844352.0,15937866.0,16485.0,'sleeping');
INSERT INTO "resource" VALUES(1,1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:12.978010',1.0,28253,5.05896836196149779496e-01,1.0,0.34,0.08,327196672.0,127873024.0,16342725.0,25274.0,'sleeping');
INSERT INTO "resource" VALUES(0,7,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:13.022371',1.0,28253,5.06188522126241324805e-01,1.0,0.34,0.08,327254016.0,127946752.0,16751970.0,35007.0,'sleeping');
INSERT INTO "resource" VALUES(0,7,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:13.120056',1.0,28253,5.06674665343060715017e-01,1.0,3.50000000000000033306e-01,9.00000000000000105471e-02,327254016.0,128069632.0,17144968.0,36185.0,'sleeping');
INSERT INTO "resource" VALUES(0,0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:13.748725',1.0,28254,5.06285750769605247256e-01,1.0,0.26,0.07,176123904.0,127971328.0,15912953.0,8226.0,'sleeping');
INSERT INTO "resource" VALUES(0,0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:14.754050',1.0,28254,5.06285750769605247256e-01,1.0,0.27,0.07,176123904.0,127971328.0,16293283.0,9272.0,'sleeping');
INSERT INTO "resource" VALUES(0,0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:15.240726',1.0,28254,5.06431593734651075422e-01,1.0,0.28,0.08,176123904.0,128008192.0,16673298.0,10318.0,'sleeping');
INSERT INTO "resource" VALUES(0,2,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:15.291630',1.0,28253,5.06382979412969058685e-01,1.0,3.50000000000000033306e-01,0.07,327249920.0,127995904.0,17553773.0,44972.0,'sleeping');
INSERT INTO "resource" VALUES(0,2,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','2026-11-22 16:58:15.385626',1.0,28253,5.06804303534212463588e-01,1.0,3.50000000000000033306e-01,0.08,327249920.0,128102400.0,17946306.0,46150.0,'sleeping');
CREATE TABLE status (
	task_id INTEGER NOT NULL,
	task_status_name TEXT NOT NULL,
	timestamp DATETIME NOT NULL,
	run_id TEXT NOT NULL,
	try_id INTEGER NOT NULL,
	PRIMARY KEY (task_id, run_id, task_status_name, timestamp),
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "status" VALUES(0,'pending','2026-11-22 16:58:11.754673','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(0,'launched','2026-11-22 16:58:11.764675','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:11.765902','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:11.768928','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(2,'pending','2026-11-22 16:58:11.769760','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(3,'pending','2026-11-22 16:58:11.770188','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(4,'pending','2026-11-22 16:58:11.770619','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(4,'launched','2026-11-22 16:58:11.773779','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(0,'running','2026-11-22 16:58:12.726042','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:12.853977','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(4,'running','2026-11-22 16:58:12.908154','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'running_ended','2026-11-22 16:58:12.886985','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(4,'running_ended','2026-11-22 16:58:12.937593','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(6,'running_ended','2026-11-22 16:58:12.958214','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'running_ended','2026-11-22 16:58:12.984141','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',1);
INSERT INTO "status" VALUES(7,'running_ended','2026-11-22 16:58:13.126708','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'fail_retryable','2026-11-22 16:58:12.902465','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:12.903151','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',1);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:12.905515','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',1);
INSERT INTO "status" VALUES(4,'exec_done','2026-11-22 16:58:12.950158','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(5,'pending','2026-11-22 16:58:12.952439','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(5,'memo_done','2026-11-22 16:58:12.953061','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(6,'pending','2026-11-22 16:58:12.953432','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(6,'launched','2026-11-22 16:58:12.954495','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(7,'pending','2026-11-22 16:58:12.955215','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(7,'launched','2026-11-22 16:58:12.957795','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(6,'joining','2026-11-22 16:58:12.958374','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'failed','2026-11-22 16:58:13.000006','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',1);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:13.000619','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:13.001150','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(6,'exec_done','2026-11-22 16:58:13.139429','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(7,'exec_done','2026-11-22 16:58:13.139866','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:12.952264','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',1);
INSERT INTO "status" VALUES(6,'running','2026-11-22 16:58:12.954943','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(7,'running','2026-11-22 16:58:12.997980','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(2,'running','2026-11-22 16:58:15.270196','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(0,'running_ended','2026-11-22 16:58:15.246170','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(2,'running_ended','2026-11-22 16:58:15.390983','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(2,'launched','2026-11-22 16:58:15.260644','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(0,'exec_done','2026-11-22 16:58:15.261109','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
INSERT INTO "status" VALUES(2,'exec_done','2026-11-22 16:58:15.403216','7fcebfdf-de38-4702-a6b1-2c3cd9289c05',0);
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
INSERT INTO "task" VALUES(0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:11.753971','2026-11-22 16:58:15.258617',0,0.0);
INSERT INTO "task" VALUES(1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','fail','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:11.765772','2026-11-22 16:58:12.999996',2,2.0);
INSERT INTO "task" VALUES(2,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:11.769642','2026-11-22 16:58:15.403137',0,0.0);
INSERT INTO "task" VALUES(3,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','1','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:11.770100','2026-11-22 16:58:13.001146',1,1.0);
INSERT INTO "task" VALUES(4,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','remember','1','8ffa501963ead82ff868a469f56789ed','None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:11.770530','2026-11-22 16:58:12.950012',0,0.0);
INSERT INTO "task" VALUES(5,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','remember','1','8ffa501963ead82ff868a469f56789ed','None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:12.951184','2026-11-22 16:58:12.953029',0,0.0);
INSERT INTO "task" VALUES(6,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','join','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:12.953355','2026-11-22 16:58:13.139409',0,0.0);
INSERT INTO "task" VALUES(7,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:12.955137','2026-11-22 16:58:13.139315',0,0.0);
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
INSERT INTO "try" VALUES(0,0,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:11.756959','2026-11-22 16:58:12.726042','2026-11-22 16:58:15.258555','',NULL);
INSERT INTO "try" VALUES(0,1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:11.766362','2026-11-22 16:58:12.853977','2026-11-22 16:58:12.902082','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,2,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:15.258661','2026-11-22 16:58:15.270196','2026-11-22 16:58:15.403084','',NULL);
INSERT INTO "try" VALUES(0,3,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05',NULL,NULL,'htex',NULL,NULL,'2026-11-22 16:58:13.001074','DependencyError([(ValueError(''no luck''), ''task 1'')], 3)',NULL);
INSERT INTO "try" VALUES(0,4,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:11.770997','2026-11-22 16:58:12.908154','2026-11-22 16:58:12.949952','',NULL);
INSERT INTO "try" VALUES(1,1,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:12.903429','2026-11-22 16:58:12.952264','2026-11-22 16:58:12.996765','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,5,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05',NULL,NULL,'htex','2026-11-22 16:58:12.952832',NULL,'2026-11-22 16:58:12.953007','',NULL);
INSERT INTO "try" VALUES(0,6,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05',NULL,'node1','_parsl_internal','2026-11-22 16:58:12.953627','2026-11-22 16:58:12.954943','2026-11-22 16:58:12.958358','','7');
INSERT INTO "try" VALUES(0,7,'7fcebfdf-de38-4702-a6b1-2c3cd9289c05','0','node1','htex','2026-11-22 16:58:12.955464','2026-11-22 16:58:12.997980','2026-11-22 16:58:13.139263','',NULL);
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
INSERT INTO "workflow" VALUES('7fcebfdf-de38-4702-a6b1-2c3cd9289c05','old.py','2026-11-22 16:58:11','2026-11-22 16:58:11.710355','2026-11-22 16:58:15.427957','node1','me','/home/me/runinfo/000',1,5);
CREATE INDEX ix_task_task_hashsum ON task (task_hashsum);
COMMIT;
