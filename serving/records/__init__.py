"""The subject of records: taking them in, reading them back, and the facts about a lead."""
