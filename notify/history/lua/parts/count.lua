-- include: notify.server.now
-- include: notify.history.first
-- Counts what happens, by the minute of the server's clock: one HINCRBY for each kind of happening.
--
-- count_up(field, n): counts n more, of at least 1
--   field   words with spaces between, see docs/history.md; each name in it is as word() returns it
local function count_up(field, n)
  if not HISTORY_MINUTE then return end
  local minute = math.floor(now_us() / 60000000)
  local key = HISTORY_MINUTE .. minute
  if redis.pcall('HINCRBY', key, field, n) == n then
    count_new(key, minute, field, n)
  end
end
