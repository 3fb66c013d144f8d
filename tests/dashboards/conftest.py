"""What the tests of the pages share."""

from tests.support.browser_fixtures import browser, demo, demo_database, serve, shown

__all__ = ["browser", "demo", "demo_database", "serve", "shown"]
