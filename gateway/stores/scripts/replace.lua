-- Replaces a claimed value, if it still stands: with a longer time to renew it, with another value, with none to free the key.
--
-- KEYS[1]  the key
-- ARGV     the value that stands there; the new one, "" for none; how long that stands, in milliseconds
-- Returns  1, or 0 where another value or none stands there, which then stays.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
