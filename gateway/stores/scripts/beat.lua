-- A worker's heartbeat: says that it lives, and learns how many do.
--
-- KEYS[1]  a sorted set: worker -> when it last beat, in milliseconds since the epoch by this server's clock.
-- ARGV     the worker's name; after how many milliseconds of silence a worker counts as gone; 1 to beat, 0 to leave.
-- Returns  now in milliseconds, the number of live workers.
--
-- The set expires by itself when nobody beats any more.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local silence = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - silence))
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return {now, redis.call('ZCARD', KEYS[1])}
