-- Reads tags; touches them, which makes those that are missing and keeps all from being forgotten; or purges them.
--
-- KEYS     tags: the mark of the last purge of each.
-- ARGV     "read", "touch" or "purge", mark, seconds that a tag is remembered from now on.
-- Returns  what each was before; false where it was missing.

local before = {}
for i, key in ipairs(KEYS) do
  local purged = redis.call('GET', key)
  before[i] = purged
  if ARGV[1] ~= 'read' then
    if not purged or (ARGV[1] == 'purge' and tonumber(purged) < tonumber(ARGV[2])) then
      redis.call('SET', key, ARGV[2], 'EX', ARGV[3])
    else
      redis.call('EXPIRE', key, ARGV[3])
    end
  end
end
return before
