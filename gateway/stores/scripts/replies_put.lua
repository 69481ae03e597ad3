-- Keeps a reply and gives the right to fill back.
--
-- KEYS[1]  the record of a cache key: a hash of
--            r:NAME   a reply, and from before which purge it is;
--            f:GROUP  the request fields by which the replies of the group are chosen;
--            fills    how often something was put;
--            purged   the mark of the last purge of the key itself.
-- KEYS[2]  the lease of the reply.
-- ARGV     token of the lease or "", field of the reply, the reply, field of its group, the group's request fields,
--          mark from before the upstream was asked, milliseconds to keep it, the most fields of a record.
-- Returns  1 kept, 0 the key was purged since.

if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
local purged = redis.call('HGET', KEYS[1], 'purged')
if purged and tonumber(purged) > tonumber(ARGV[6]) then
  return 0
end
-- As many replies under one key choose by a field that has a value for each client: start over.
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[8]) then
  redis.call('DEL', KEYS[1])
  if purged then
    redis.call('HSET', KEYS[1], 'purged', purged)
  end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
redis.call('HINCRBY', KEYS[1], 'fills', 1)
-- The whole record lives as long as the reply that is kept longest; each reply knows itself when it is too old.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[7]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return 1
