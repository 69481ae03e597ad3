-- Looks a kept reply up, with all that tells whether it still holds.
--
-- KEYS[1]  the record of a cache key: a hash; see replies_put.lua.
-- KEYS[2]  the lease of the asked reply: a token, "pass", or nothing.
-- KEYS[3]  the mark: the number of the last purge (mark.lua). On a cluster it is asked for on its own.
-- KEYS[4…] tags: the mark of the last purge of each. A missing one is made with the present mark, so that what was
--          kept before can no longer be told from what was purged, and is not found.
-- ARGV     field of the reply, field of its group, seconds that a tag is remembered.
-- Returns  reply or false, fields of the group or false, lease or false, number of fills or false, mark or false, and
--          the marks of the tags.

local record = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2], 'fills')
local result = {record[1], record[2], redis.call('GET', KEYS[2]), record[3], false}
if #KEYS > 2 then
  local mark = redis.call('GET', KEYS[3])
  result[5] = mark
  if mark then
    for i = 4, #KEYS do
      local purged = redis.call('GET', KEYS[i])
      if not purged then
        purged = mark
        redis.call('SET', KEYS[i], mark, 'EX', ARGV[3])
      end
      result[#result + 1] = purged
    end
  end
end
return result
