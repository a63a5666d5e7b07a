"""The subject of records: their ingestion, their versions, and the facts about a lead."""
