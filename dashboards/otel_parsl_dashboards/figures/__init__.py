"""From a HoloViews element to a figure on a page, dressed alike and kept current."""
