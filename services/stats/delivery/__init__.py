"""Delivery of releases to partners: who may have which, under what terms, and who took what."""
