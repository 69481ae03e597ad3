"""What the law of India takes of pay, as dated tables: of each law those that were in force, with their sources.

A table is in force from its `since` until a later one of its law. A change of the law is a further table here; pay that
was computed under an earlier one is computed so again. No database and no clock: the day is an argument.
"""
