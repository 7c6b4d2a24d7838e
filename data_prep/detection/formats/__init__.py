"""Readers of annotation formats that are not COCO's. Each gives COCO's entries."""
