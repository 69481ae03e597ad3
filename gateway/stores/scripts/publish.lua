-- Tells all gateways of a purge.
--
-- KEYS[1]  the mark, so that a cluster knows where to run this.
-- ARGV     channel, message.

return redis.call('PUBLISH', ARGV[1], ARGV[2])
