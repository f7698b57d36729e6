"""WHAT travels: Arrow schemas, recipes, manifests, drop reasons and errors. Imports nothing of ours."""
