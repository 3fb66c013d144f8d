"""What a try uses: read in the worker at its ends, and by a process beside it while it lasts."""
