"""A run in one HTML file, made of the pages' own parts."""
