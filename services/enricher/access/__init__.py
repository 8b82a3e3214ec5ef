"""Who may look at a person: policies, grants, approvals, and what stands before every look."""
