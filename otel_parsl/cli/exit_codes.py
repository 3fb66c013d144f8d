"""What the exit code of a command says; scripts may rely on it."""

from __future__ import annotations

WELL = 0
TROUBLE = 1
USAGE = 2
UNUSABLE = 3
AT_WORK = 4
INTERRUPTED = 130

EPILOG = """\
exit code:
  0    done, and nothing is wrong
  1    done, and something is: the run has failures or is lost (status, failures, show),
       something needs doing (doctor), lines could not be read (replay),
       or not all could be delivered (flush)
  2    the command line or a configuration is wrong, or RUN names no run, or several
  3    the database cannot be read or written, the report not written, or the collector
       not started
  4    not all is delivered yet, and an agent is at work on the rest (flush)
"""
