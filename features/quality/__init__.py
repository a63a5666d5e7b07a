"""Data quality: the errors in a body of records as a whole, counted, each with a fix.

This package only reports. No record is changed or refused; `eql doctor data` and the quality page show the report.
"""
