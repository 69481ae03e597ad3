-- Drops all replies of a cache key, and remembers when, for those who are filling it.
--
-- KEYS[1]  the record (replies_put.lua).
-- ARGV     mark of this purge, seconds to remember it: longer than any upstream takes.

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'purged', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
