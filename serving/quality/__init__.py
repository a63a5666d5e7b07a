"""The subject of data quality: the last report and its page."""
