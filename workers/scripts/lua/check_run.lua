-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.needs
-- include: workers.scripts.outcome
-- Whether a running job may go on. If it lost a service it needs, it is marked as stopped here and now.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 job  2 fence of the run
-- returns "go on", "grace:<ms>" if it may go on for so long without what it lost, "lost:<need>" (it is marked now),
--         "stopped" (it was marked before) or "superseded" (another run has the job)
local job, fence, now = k.job .. arg(1), arg(2), now_ms()
local known = redis.call('HMGET', job, 'fence', 'status', 'sealed', 'on_loss', 'stopped', 'needs', 'grace_ms')
local fields = {on_loss = known[4] or nil, needs = known[6] or nil}
if known[5] == fence then return 'stopped' end
if not known[2] then return 'go on' end
if known[1] ~= fence then return 'superseded' end
if known[3] or known[4] == 'drain' then return 'go on' end
local grace_ms = tonumber(known[7] or '') or 0
local need, lost_ms = loss_of(fields)
if need and grace_ms > 0 then
  fields.needs = up_to_date(needs_of(fields)) -- what is back in time is forgiven
  redis.call('HSET', job, 'needs', fields.needs)
  need, lost_ms = loss_of(fields)
end
if not need then return 'go on' end
if lost_ms and now < lost_ms + grace_ms then return 'grace:' .. text(lost_ms + grace_ms - now) end
local status = known[4] == 'hold' and 'held' or 'stopped'
local outcome = outcome_of(status, need .. ' is gone', now, why_lost(need, 'on_loss=' .. (known[4] or 'cancel'), now), need)
if status == 'stopped' then
  redis.call('HSET', job, 'status', 'stopped')
  redis.call('PEXPIRE', job, k.keep_ms) -- should its worker be dead and never put it away
end
redis.call('HSET', job, 'stopped', fence, 'outcome', outcome)
redis.call('HDEL', job, 'fence')
return 'lost:' .. need
