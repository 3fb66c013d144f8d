"""The frame around every page: templates, style sheet, script, and words."""
