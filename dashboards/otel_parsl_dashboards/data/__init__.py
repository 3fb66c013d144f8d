"""
What the pages show, kept in memory: one snapshot a run, read once and followed from then on.

Flow: source -> loading -> **frames** -> snapshot -> library -> pages
"""
