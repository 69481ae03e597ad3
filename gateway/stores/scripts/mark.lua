-- The mark: the number of the last purge. It only grows: where it was lost, it begins again at this server's clock in
-- microseconds, which is more than it has been before.
--
-- KEYS[1]  the mark.
-- ARGV     "read", or "next" for the number of a further purge.
-- Returns  the mark, as text: 2^53 is far, but a Lua number would lose its digits on the way.

local mark = redis.call('GET', KEYS[1])
if mark and ARGV[1] == 'read' then
  return mark
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
mark = string.format('%.0f', math.max(now, (tonumber(mark) or 0) + 1))
redis.call('SET', KEYS[1], mark)
return mark
