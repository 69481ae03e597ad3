-- Claims a key: writes the value where there is none.
--
-- KEYS[1]  the key
-- ARGV     the value; how long it stands, in milliseconds
-- Returns  false where the key was free and now is the caller's, else the value that stands there.

local standing = redis.call('GET', KEYS[1])
if standing then
  return standing
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
