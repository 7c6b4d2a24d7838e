"""Writes record shards with worker processes, so that an interrupted run can continue."""
