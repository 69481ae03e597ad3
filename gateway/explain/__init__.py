"""Answers about a table without serving it: its tests, why a request ends as it does, what a change of it means.

Everything runs the code of the live path (router, hooks, pipeline, heads) over services that admit everybody.
"""
