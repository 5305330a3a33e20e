-- Says which jobs of a rhythm a worker has loaded. One that nobody knew, or that has another rhythm now, is due at its next time.
-- KEYS    1 ns:cron  2 ns:cron_due  3 ns:cron_workers
-- ARGV    1 worker  2 the names, as JSON  3... of each: name, its specification as JSON, ms at which it is due next
-- returns how many names are new, or have a new rhythm
local WEEK = 7 * 86400000
local changed = 0
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
for i = 3, #ARGV, 3 do
  local name, spec, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HGET', KEYS[1], name)
  local readable, before = pcall(cjson.decode, old or '')
  local after = cjson.decode(spec).rhythm
  local is_same = readable and type(before) == 'table' and type(before.rhythm) == 'table'
    and before.rhythm.cron == after.cron and before.rhythm.every_ms == after.every_ms
  redis.call('HSET', KEYS[1], name, spec)
  if not is_same or not redis.call('ZSCORE', KEYS[2], name) then
    redis.call('ZADD', KEYS[2], due, name)
    changed = changed + 1
  end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, WEEK)
end
return changed
