-- A run as Parsl 1.1.0 recorded it: its schema, from parsl/monitoring/db_manager.py of that release.
CREATE TABLE workflow (run_id TEXT NOT NULL PRIMARY KEY, workflow_name TEXT, workflow_version TEXT,
    time_began DATETIME NOT NULL, time_completed DATETIME, host TEXT NOT NULL, user TEXT NOT NULL,
    rundir TEXT NOT NULL, tasks_failed_count INTEGER NOT NULL, tasks_completed_count INTEGER NOT NULL);
CREATE TABLE status (task_id INTEGER NOT NULL, task_status_name TEXT NOT NULL,
    timestamp DATETIME NOT NULL, run_id TEXT NOT NULL, try_id INTEGER NOT NULL,
    PRIMARY KEY (task_id, run_id, task_status_name, timestamp));
CREATE TABLE task (task_id INTEGER NOT NULL, run_id TEXT NOT NULL, task_depends TEXT,
    task_func_name TEXT NOT NULL, task_memoize TEXT NOT NULL, task_hashsum TEXT, task_inputs TEXT,
    task_outputs TEXT, task_stdin TEXT, task_stdout TEXT, task_stderr TEXT,
    task_time_invoked DATETIME, task_time_returned DATETIME, task_fail_count INTEGER NOT NULL,
    PRIMARY KEY (task_id, run_id));
CREATE TABLE "try" (try_id INTEGER NOT NULL, task_id INTEGER NOT NULL, run_id TEXT NOT NULL,
    block_id TEXT, hostname TEXT, task_executor TEXT NOT NULL, task_try_time_launched DATETIME,
    task_try_time_running DATETIME, task_try_time_returned DATETIME, task_fail_history TEXT,
    task_joins TEXT, PRIMARY KEY (try_id, task_id, run_id));
CREATE TABLE node (id INTEGER NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, hostname TEXT NOT NULL,
    uid TEXT NOT NULL, block_id TEXT NOT NULL, cpu_count INTEGER NOT NULL,
    total_memory INTEGER NOT NULL, active BOOLEAN NOT NULL, worker_count INTEGER NOT NULL,
    python_v TEXT NOT NULL, timestamp DATETIME NOT NULL, last_heartbeat DATETIME NOT NULL);
CREATE TABLE block (run_id TEXT NOT NULL, executor_label TEXT NOT NULL, block_id TEXT NOT NULL,
    job_id TEXT, timestamp DATETIME NOT NULL, status TEXT NOT NULL,
    PRIMARY KEY (run_id, block_id, executor_label, timestamp));
CREATE TABLE resource (try_id INTEGER NOT NULL, task_id INTEGER NOT NULL, run_id TEXT NOT NULL,
    timestamp DATETIME NOT NULL, resource_monitoring_interval FLOAT, psutil_process_pid INTEGER,
    psutil_process_cpu_percent FLOAT, psutil_process_memory_percent FLOAT,
    psutil_process_children_count FLOAT, psutil_process_time_user FLOAT,
    psutil_process_time_system FLOAT, psutil_process_memory_virtual FLOAT,
    psutil_process_memory_resident FLOAT, psutil_process_disk_read FLOAT,
    psutil_process_disk_write FLOAT, psutil_process_status TEXT,
    PRIMARY KEY (try_id, task_id, run_id, timestamp));
INSERT INTO workflow VALUES ('old-run', 'old.py', '2021-04-27 10:00:00',
    '2021-04-27 10:00:00.000000', '2021-04-27 10:00:09.500000', 'login', 'me', '/home/me/runinfo/000', 1, 1);
INSERT INTO task VALUES
    (0, 'old-run', '', 'inc', 'False', NULL, '[]', 'None', NULL, NULL, NULL,
     '2021-04-27 10:00:01.000000', '2021-04-27 10:00:04.100000', 0),
    (1, 'old-run', '0', 'inc', 'False', NULL, '[]', 'None', NULL, NULL, NULL,
     '2021-04-27 10:00:01.100000', '2021-04-27 10:00:07.000000', 1);
INSERT INTO "try" VALUES
    (0, 0, 'old-run', '0', 'node1', 'htex', '2021-04-27 10:00:01.000000',
     '2021-04-27 10:00:02.000000', '2021-04-27 10:00:04.000000', '', NULL),
    (0, 1, 'old-run', '0', 'node1', 'htex', '2021-04-27 10:00:04.200000',
     '2021-04-27 10:00:05.000000', '2021-04-27 10:00:06.900000', 'ValueError(''x'')', NULL);
INSERT INTO status VALUES
    (0, 'pending', '2021-04-27 10:00:01.000000', 'old-run', 0),
    (0, 'launched', '2021-04-27 10:00:01.000100', 'old-run', 0),
    (0, 'running', '2021-04-27 10:00:02.000000', 'old-run', 0),
    (0, 'exec_done', '2021-04-27 10:00:04.100000', 'old-run', 0),
    (1, 'pending', '2021-04-27 10:00:01.100000', 'old-run', 0),
    (1, 'launched', '2021-04-27 10:00:04.200000', 'old-run', 0),
    (1, 'running', '2021-04-27 10:00:05.000000', 'old-run', 0),
    (1, 'failed', '2021-04-27 10:00:07.000000', 'old-run', 0);
INSERT INTO resource VALUES
    (0, 0, 'old-run', '2021-04-27 10:00:03.000000', 1.0, 7, 0.0, 0.1, 0, 0.5, 0.1, 1e8, 5e7, 0, 0, 'running');
