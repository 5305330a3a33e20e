-- include: workers.scripts.outcome
-- Marks a running job as stopped, for good: its process cannot finish it any more.
-- KEYS    job  rq:job:<id>
-- ARGV    reason
--         keep_ms  how long the job is kept in case its worker is dead and never records the end
-- returns {"stopped", "ending" if its run is recording its own end, "missing", or the status of a job that does not run;
--          the fence of the run that was stopped if it may not have begun, or ""}
local job = KEYS[1]
local reason, keep_ms = unpack(ARGV)
local known = redis.call('HMGET', job, 'status', 'sealed', 'fence', 'stopped')
if not known[1] then return {'missing', ''} end
if known[1] ~= 'started' then return {known[1], ''} end
if known[2] then return {'ending', ''} end
local outcome = outcome_of('stopped', reason, now_ms(), why_asked())
-- A job that is already being stopped, to be held, has no fence any more.
redis.call('HSET', job, 'status', 'stopped', 'stopped', known[3] or known[4] or '', 'outcome', outcome)
redis.call('HDEL', job, 'fence')
redis.call('PEXPIRE', job, keep_ms)
-- RQ's record of a run is written when it is known to have begun.
local fence = known[3] or ''
if fence ~= '' and redis.call('EXISTS', k.execution .. string.sub(job, #k.job + 1) .. ':' .. fence) == 1 then
  fence = ''
end
return {'stopped', fence}
