-- include: workers.scripts.transitions
-- Sets a job aside that ran when it lost what it needs, now that the process of the run is dead.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 job  2 fence of the run
-- returns "held", "queued" if all that it needs is back, or "" if it is not for this run to say any more
local w = of_waiting()
local id, fence, now = arg(1), arg(2), now_ms()
local job, fields = k.job .. id, w.read(id)
local said = redis.call('HMGET', job, 'stopped', 'outcome')
local readable, outcome = pcall(cjson.decode, said[2] or '')
if fields.status ~= 'started' or said[1] ~= fence or not readable or outcome.status ~= 'held' then return '' end
local origin = fields.origin or ''
redis.call('DEL', k.execution .. id .. ':' .. fence)
redis.call('ZREM', k.executions .. id, fence)
redis.call('ZREM', k.started .. origin, id .. ':' .. fence)
redis.call('HDEL', job, 'stopped', 'outcome', 'worker_name')
redis.call('HSET', job, 'status', 'queued')
fields.status = 'queued'
w.join_needs(id, fields, now)
local answer = w.judge(id, fields, now)
if not answer then
  redis.call('LPUSH', k.queue .. origin, id)
  tell(origin, id, 'released', ',"need":' .. cjson.encode(outcome.need) .. ',"at_ms":' .. text(now))
end
settle(now)
return answer or 'queued'
