"""The bridge over HTTP, read only: metrics, health, everything as JSON, and a page for people."""
