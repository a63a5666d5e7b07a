"""Import of CRM exports into records, as a mapping file says."""
