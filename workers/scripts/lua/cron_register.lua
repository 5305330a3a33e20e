-- include: notify.server.lifetimes
-- Registers the jobs of a schedule that a worker has loaded. A job that is new, or has a new schedule, is due at its next time.
-- KEYS    cron          ns:cron
--         cron_due      ns:cron_due
--         cron_workers  ns:cron_workers
-- ARGV    worker
--         names  of all jobs of a schedule that the worker has loaded, as JSON
--         ...    for each job: name, its specification as JSON, ms at which it is due next
-- returns how many are new, or have a new schedule
local cron, cron_due, cron_workers = unpack(KEYS)
local worker, names = unpack(ARGV, 1, 2)
local FIRST_JOB = 3
local changed = 0
redis.call('HSET', cron_workers, worker, names)
for i = FIRST_JOB, #ARGV, 3 do
  local name, spec, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HGET', cron, name)
  local readable, before = pcall(cjson.decode, old or '')
  local after = cjson.decode(spec).rhythm
  local is_same = readable and type(before) == 'table' and type(before.rhythm) == 'table'
    and before.rhythm.cron == after.cron and before.rhythm.every_ms == after.every_ms
  redis.call('HSET', cron, name, spec)
  if not is_same or not redis.call('ZSCORE', cron_due, name) then
    redis.call('ZADD', cron_due, due, name)
    changed = changed + 1
  end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, WEEK_MS)
end
return changed
