-- Takes the right to fill, for a while.
--
-- KEYS[1]  the record (replies_put.lua). KEYS[2]  the lease.
-- ARGV     token, milliseconds, the number of fills that was seen or "": if it has changed, there may be a reply now.
-- Returns  1 taken, 0 not.

if (redis.call('HGET', KEYS[1], 'fills') or '') ~= ARGV[3] then
  return 0
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
