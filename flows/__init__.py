"""WHEN and with what resources: builds, executors, Prefect flows and the command line."""
