"""
Read a monitoring database: the only SQL outside the collector's store.

For the command line, the dashboards and notebooks. Everything is read-only, takes a connection of
``engine.Database.read`` and a ``runs.Run``, and returns plain rows with times in UTC.
A run that Parsl's own hub recorded has no rows in our tables: its facts come from Parsl's.
"""
