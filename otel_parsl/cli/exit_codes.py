"""What the exit code of a command says; scripts may rely on it."""

from __future__ import annotations

WELL = 0
TROUBLE = 1
USAGE = 2
UNUSABLE = 3
INTERRUPTED = 130

EPILOG = """\
exit code:
  0    done, and nothing is wrong
  1    done, and something is: the run has failures or is lost (status, failures, show),
       or something needs doing (doctor)
  2    the command line is wrong, or RUN names no run, or several
  3    the database cannot be read
"""
