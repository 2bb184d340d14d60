"""Deployment: parameters → plan → apply → verify. Resumable, and a second run changes nothing."""
