-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.needs
-- include: workers.scripts.lost_run
-- Checks whether a running job may continue. If it lost a need, it is marked as stopped in the same step.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id     of the job
--         fence  of the run
-- returns "go on", "grace:<ms>" if the run may continue for so long without a need, "lost:<need>" (the run is marked now),
--         "overdue:<service>" if the run may continue without a heartbeat of that service, until the service is withdrawn,
--         "stopped" (it was marked before) or "superseded" (another run has the job)
local id, fence = unpack(ARGV, OWN)
local job, now = k.job .. id, now_ms()
local known = redis.call('HMGET', job, 'fence', 'status', 'sealed', 'on_loss', 'stopped', 'needs', 'grace_ms')
local fields = {on_loss = known[4] or nil, needs = known[6] or nil}
if known[5] == fence then return 'stopped' end
if not known[2] then return 'go on' end
if known[1] ~= fence then return 'superseded' end
if known[3] or known[4] == 'drain' then return 'go on' end
local grace_ms = whole(known[7], 0, 0, YEAR_MS)
local need, lost_ms, overdue = loss_of(fields)
if need and grace_ms > 0 then
  fields.needs = up_to_date(needs_of(fields)) -- a service that returned in time was not lost
  redis.call('HSET', job, 'needs', fields.needs)
  need, lost_ms, overdue = loss_of(fields)
end
if not need then return overdue and 'overdue:' .. overdue or 'go on' end
if lost_ms and now < lost_ms + grace_ms then return 'grace:' .. text(lost_ms + grace_ms - now) end
mark_lost(id, fence, known[4] or nil, need, now)
return 'lost:' .. need
