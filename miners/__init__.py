"""HOW raw becomes signals: pure functions from Arrow tables to Arrow tables. No Prefect, no Dask, no environment."""
