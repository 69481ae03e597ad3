"""Jobs: what takes longer than a request, or must happen although the process dies. Theory of operation:

A job is a row in PostgreSQL, written in the transaction of what it belongs to; that row alone decides who runs it. A
broker (taskiq: in memory, or Redis streams with JOBS_URL) only rings: "there is a job". A worker claims the row by
one UPDATE, holds it by a lease that it renews, and a row whose lease has run out, or that nobody was told of, is
found by the sweep that every worker makes. So a worker that is killed loses nothing.

It does nothing twice either: each step of a job that must not be repeated is a transaction that also writes the step's
name under a unique key, and first makes sure that the job is still this worker's. What an attempt has committed, the
next one skips.
"""
