"""Data quality: what is wrong with a body of records as a whole, counted, with the mend.

Nothing here mends or refuses a record; `eql doctor data` and the page tell what is found.
"""
