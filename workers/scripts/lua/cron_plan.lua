-- include: notify.server.now
-- include: notify.server.lifetimes
-- Sets new times at which jobs of a schedule are due, after the clock was put back. A job that another leader has dealt with keeps its time.
-- KEYS    cron_due  ns:cron_due
--         clock     ns:clock
-- ARGV    ...  for each job: name, ms at which it was due when it was read, ms at which it is due now
-- returns how many jobs have a new time
local cron_due, clock = unpack(KEYS)
local FIRST_JOB = 1
local changed = 0
for i = FIRST_JOB, #ARGV, 3 do
  local name, was_ms, due_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if tonumber(redis.call('ZSCORE', cron_due, name) or '-1') == tonumber(was_ms) then
    redis.call('ZADD', cron_due, due_ms, name)
    changed = changed + 1
  end
end
redis.call('HSET', clock, 'cron_ms', text(now_ms())) -- last: a leader that dies before is followed by one that plans anew
redis.call('PEXPIRE', clock, WEEK_MS)
return changed
