-- Gives the right to fill back, if it is still ours.
--
-- KEYS[1]  the lease.
-- ARGV     token, milliseconds for which nobody need wait since the reply is not kept, or 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], 'pass', 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
