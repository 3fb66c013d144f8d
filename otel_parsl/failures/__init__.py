"""Why a try failed: its fate, its group, and what it goes back to."""
