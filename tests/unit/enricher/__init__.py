"""The identity plane, part by part."""
