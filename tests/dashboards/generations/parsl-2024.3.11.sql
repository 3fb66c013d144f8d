-- Recorded by Parsl 2024.03.11 under Python 3.11: see write.py.
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
INSERT INTO "block" VALUES('d6388ff8-dff1-4fb2-b200-8bfc366888b7','htex','0','28346','2026-11-22 16:58:19.351705','PENDING');
INSERT INTO "block" VALUES('d6388ff8-dff1-4fb2-b200-8bfc366888b7','htex','0','28346','2026-11-22 16:58:23.013603','CANCELLED');
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
INSERT INTO "node" VALUES(1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','node1','1d40038c8c16','0',2,25276502016,1,2,'3.11.7','2026-11-22 16:58:20.000633','2026-11-22 16:58:20.000344');
INSERT INTO "node" VALUES(2,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','node1','1d40038c8c16','0',2,25276502016,0,2,'3.11.7','2026-11-22 16:58:22.994732','2026-11-22 16:58:20.000344');
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
INSERT INTO "resource" VALUES(0,0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.335839',1.0,28372,5.05896836196149668474e-01,1.0,0.26,0.03,176107520.0,127873024.0,15585095.0,7024.0,'sleeping','1',18.0,120.0);
INSERT INTO "resource" VALUES(0,1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.353396',1.0,28373,5.0594545051783168521e-01,1.0,2.90000000000000035527e-01,0.02,176099328.0,127885312.0,15585385.0,6926.0,'sleeping','0',11.0,121.0);
INSERT INTO "resource" VALUES(0,4,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.393673',1.0,28373,5.07047375142622325228e-01,1.0,0.28,0.03,327294976.0,128163840.0,15991719.0,16592.0,'sleeping','0',22.0,118.0);
INSERT INTO "resource" VALUES(1,1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.433444',1.0,28373,5.07128399012092168085e-01,1.0,2.90000000000000035527e-01,0.03,327282688.0,128184320.0,16398049.0,25497.0,'sleeping','0',27.0,131.0);
INSERT INTO "resource" VALUES(0,7,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.474148',1.0,28373,5.07468699263865730131e-01,1.0,0.28,0.04,327335936.0,128270336.0,16808739.0,35329.0,'sleeping','0',32.0,137.0);
INSERT INTO "resource" VALUES(0,7,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:20.567642',1.0,28373,5.08003456802367137079e-01,1.0,0.28,0.05,327335936.0,128405504.0,17203229.0,36633.0,'running','0',42.0,138.0);
INSERT INTO "resource" VALUES(0,0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:21.334969',1.0,28372,5.06301955543499215828e-01,1.0,0.27,0.04,176107520.0,127975424.0,15966876.0,8328.0,'sleeping','1',19.0,134.0);
INSERT INTO "resource" VALUES(0,0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:22.333764',1.0,28372,5.06399184186863138279e-01,1.0,0.28,0.05,176107520.0,128000000.0,16348580.0,9500.0,'sleeping','1',21.0,137.0);
INSERT INTO "resource" VALUES(0,0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:22.828260',1.0,28372,5.06577436699696903588e-01,1.0,2.90000000000000035527e-01,0.06,176107520.0,128045056.0,16729963.0,10672.0,'sleeping','1',25.0,142.0);
INSERT INTO "resource" VALUES(0,2,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:22.878754',1.0,28373,5.07663156550593575033e-01,1.0,0.29,0.04,327331840.0,128319488.0,17613321.0,45520.0,'sleeping','0',41.0,133.0);
INSERT INTO "resource" VALUES(0,2,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','2026-11-22 16:58:22.973001',1.0,28373,0.508068275897943,1.0,0.3,0.05,327331840.0,128421888.0,18007185.0,46824.0,'running','0',51.0,138.0);
CREATE TABLE status (
	task_id INTEGER NOT NULL,
	task_status_name TEXT NOT NULL,
	timestamp DATETIME NOT NULL,
	run_id TEXT NOT NULL,
	try_id INTEGER NOT NULL,
	PRIMARY KEY (task_id, run_id, task_status_name, timestamp),
	FOREIGN KEY(run_id) REFERENCES workflow (run_id)
);
INSERT INTO "status" VALUES(0,'pending','2026-11-22 16:58:19.356520','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(0,'launched','2026-11-22 16:58:19.362399','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:19.362934','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:19.364538','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(2,'pending','2026-11-22 16:58:19.364959','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(3,'pending','2026-11-22 16:58:19.365425','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(4,'pending','2026-11-22 16:58:19.366992','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(4,'launched','2026-11-22 16:58:19.369480','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(0,'running','2026-11-22 16:58:20.312777','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:20.326460','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(4,'running','2026-11-22 16:58:20.374264','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'running_ended','2026-11-22 16:58:20.360535','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(4,'running_ended','2026-11-22 16:58:20.398405','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'running_ended','2026-11-22 16:58:20.438609','d6388ff8-dff1-4fb2-b200-8bfc366888b7',1);
INSERT INTO "status" VALUES(6,'running_ended','2026-11-22 16:58:20.421094','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(7,'running_ended','2026-11-22 16:58:20.572834','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'fail_retryable','2026-11-22 16:58:20.373559','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'pending','2026-11-22 16:58:20.373975','d6388ff8-dff1-4fb2-b200-8bfc366888b7',1);
INSERT INTO "status" VALUES(1,'launched','2026-11-22 16:58:20.375792','d6388ff8-dff1-4fb2-b200-8bfc366888b7',1);
INSERT INTO "status" VALUES(5,'pending','2026-11-22 16:58:20.412055','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(5,'memo_done','2026-11-22 16:58:20.414701','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(6,'pending','2026-11-22 16:58:20.415099','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(4,'exec_done','2026-11-22 16:58:20.411598','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(6,'launched','2026-11-22 16:58:20.417057','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(7,'pending','2026-11-22 16:58:20.418760','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(7,'launched','2026-11-22 16:58:20.420665','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(6,'joining','2026-11-22 16:58:20.421473','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'failed','2026-11-22 16:58:20.455221','d6388ff8-dff1-4fb2-b200-8bfc366888b7',1);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:20.455843','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(3,'dep_fail','2026-11-22 16:58:20.456693','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(6,'exec_done','2026-11-22 16:58:20.584886','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(7,'exec_done','2026-11-22 16:58:20.585410','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(1,'running','2026-11-22 16:58:20.411424','d6388ff8-dff1-4fb2-b200-8bfc366888b7',1);
INSERT INTO "status" VALUES(6,'running','2026-11-22 16:58:20.416479','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(7,'running','2026-11-22 16:58:20.452519','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(2,'running','2026-11-22 16:58:22.857209','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(0,'running_ended','2026-11-22 16:58:22.833352','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(2,'running_ended','2026-11-22 16:58:22.978949','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(2,'launched','2026-11-22 16:58:22.847805','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(0,'exec_done','2026-11-22 16:58:22.848263','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
INSERT INTO "status" VALUES(2,'exec_done','2026-11-22 16:58:22.991809','d6388ff8-dff1-4fb2-b200-8bfc366888b7',0);
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
INSERT INTO "task" VALUES(0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:19.356278','2026-11-22 16:58:22.845667',0,0.0);
INSERT INTO "task" VALUES(1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','fail','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:19.362787','2026-11-22 16:58:20.455212',2,2.0);
INSERT INTO "task" VALUES(2,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:19.364869','2026-11-22 16:58:22.991729',0,0.0);
INSERT INTO "task" VALUES(3,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','1','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:19.365205','2026-11-22 16:58:20.456687',1,1.0);
INSERT INTO "task" VALUES(4,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','remember','1','8ffa501963ead82ff868a469f56789ed','None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:19.366910','2026-11-22 16:58:20.410623',0,0.0);
INSERT INTO "task" VALUES(5,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','remember','1','8ffa501963ead82ff868a469f56789ed','None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:20.411943','2026-11-22 16:58:20.414667',0,0.0);
INSERT INTO "task" VALUES(6,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','join','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:20.415016','2026-11-22 16:58:20.584863',0,0.0);
INSERT INTO "task" VALUES(7,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','','inc','0',NULL,'None','None',NULL,'type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','type of argument "stdfspec" must be one of (os.PathLike, str, Tuple[str, str], Tuple[os.PathLike, str]); got NoneType instead','2026-11-22 16:58:20.417373','2026-11-22 16:58:20.584762',0,0.0);
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
INSERT INTO "try" VALUES(0,0,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:19.357226','2026-11-22 16:58:20.312777','2026-11-22 16:58:22.845611','',NULL);
INSERT INTO "try" VALUES(0,1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:19.363156','2026-11-22 16:58:20.326460','2026-11-22 16:58:20.373306','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,2,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:22.845724','2026-11-22 16:58:22.857209','2026-11-22 16:58:22.991679','',NULL);
INSERT INTO "try" VALUES(0,3,'d6388ff8-dff1-4fb2-b200-8bfc366888b7',NULL,NULL,'htex',NULL,NULL,'2026-11-22 16:58:20.456594','DependencyError([(ValueError(''no luck''), ''task 1'')], 3)',NULL);
INSERT INTO "try" VALUES(0,4,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:19.367283','2026-11-22 16:58:20.374264','2026-11-22 16:58:20.410565','',NULL);
INSERT INTO "try" VALUES(1,1,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:20.374196','2026-11-22 16:58:20.411424','2026-11-22 16:58:20.451023','ValueError(''no luck'')',NULL);
INSERT INTO "try" VALUES(0,5,'d6388ff8-dff1-4fb2-b200-8bfc366888b7',NULL,NULL,'htex','2026-11-22 16:58:20.412357',NULL,'2026-11-22 16:58:20.414640','',NULL);
INSERT INTO "try" VALUES(0,6,'d6388ff8-dff1-4fb2-b200-8bfc366888b7',NULL,'node1','_parsl_internal','2026-11-22 16:58:20.415312','2026-11-22 16:58:20.416479','2026-11-22 16:58:20.421453','','7');
INSERT INTO "try" VALUES(0,7,'d6388ff8-dff1-4fb2-b200-8bfc366888b7','0','node1','htex','2026-11-22 16:58:20.419011','2026-11-22 16:58:20.452519','2026-11-22 16:58:20.584710','',NULL);
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
INSERT INTO "workflow" VALUES('d6388ff8-dff1-4fb2-b200-8bfc366888b7','old.py','2026-11-22 16:58:19','2026-11-22 16:58:19.322679','2026-11-22 16:58:23.018272','node1','me','/home/me/runinfo/000',1,5);
CREATE INDEX ix_task_task_hashsum ON task (task_hashsum);
COMMIT;
