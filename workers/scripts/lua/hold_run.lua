-- include: workers.scripts.transitions
-- Holds a job whose run was stopped because it lost a need. Call it when the process of the run has nothing more to do for it.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id     of the job
--         fence  of the run
-- returns "held"; "queued" if all of its needs are there; "" if the run was stopped for another reason, or has the job no more
local id, fence = unpack(ARGV, OWN)
local jobs = transitions()
local now = now_ms()
local job, fields = k.job .. id, jobs.read(id)
local stop = redis.call('HMGET', job, 'stopped', 'outcome')
local readable, outcome = pcall(cjson.decode, stop[2] or '')
if fields.status ~= 'started' or stop[1] ~= fence or not readable or outcome.status ~= 'held' then return '' end
local origin = fields.origin or ''
redis.call('DEL', k.execution .. id .. ':' .. fence)
redis.call('ZREM', k.executions .. id, fence)
redis.call('ZREM', k.started .. origin, id .. ':' .. fence)
if k.worker_runs_end ~= '' then
  local worker = redis.call('HGET', job, 'worker_name') or ''
  redis.pcall('SREM', k.worker .. worker .. k.worker_runs_end, id .. ':' .. fence)
end
redis.call('HDEL', job, 'stopped', 'outcome', 'worker_name')
redis.call('HSET', job, 'status', 'queued')
fields.status = 'queued'
jobs.join_needs(id, fields, now)
local answer = jobs.apply_policy(id, fields, now)
if not answer and presence(outcome.need, now) == 'overdue' then -- nobody has withdrawn it yet
  local most_ms = whole(fields.max_hold_ms, nil, 0, YEAR_MS)
  jobs.hold(id, fields, outcome.need, most_ms and now + most_ms, now)
  answer = 'held'
end
if not answer then
  redis.call('LPUSH', k.queue .. origin, id)
  note_job('released', origin, function_of(fields.data, fields.description))
  publish_job_event(origin, id, 'released', ',"need":' .. cjson.encode(outcome.need) .. ',"at_ms":' .. text(now))
end
flush_changes(now)
return answer or 'queued'
