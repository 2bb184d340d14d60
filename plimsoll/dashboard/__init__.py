"""Reports and pages for people."""
