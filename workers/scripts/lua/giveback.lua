-- include: workers.scripts.announce
-- include: workers.scripts.transitions
-- include: workers.scripts.wake
-- Puts jobs that a worker has claimed ahead and not begun back on the front of their queues, in their old order, and announces the run
-- behind which they would have to wait.
-- KEYS    worker_key  rq:worker:<name>
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         worker
--         id, fence  of the run that goes on, or ""
--         ttl_s      seconds within which it sends its next heartbeat
--         line       the runs that stay with the worker, see refill.lua
--         ...        the runs to put back, the oldest first: id, fence
-- returns the ids of those that are not put back: they were stopped, or the worker has them no more. Those that were stopped, or of which
--         RQ still lists the run, stay with the worker, behind the line, until it records their end: if it dies before that, a reaper
--         finds them there.
local worker_key = KEYS[1]
local worker, id, fence, ttl_s, line = unpack(ARGV, OWN, OWN + 4)
local FIRST_RUN = OWN + 5
local OF_A_RUN = 2 -- arguments
local AT_ONCE = 2 -- as in wake_idle.lua
local BASE = 24 -- characters that all fences of a process begin with, see fences.py
local refused, left, back, registered = {}, {}, {}, {} -- ids; names in a line; queue -> how many; registry -> entries
local executions, runs = {}, {} -- keys of what RQ holds of the runs that are put back; key -> {id, fence, queue}

local function put_back(job_id, job_fence)
  local job = k.job .. job_id
  local known = redis.call('HMGET', job, 'fence', 'status', 'origin', 'data', 'description', 'needs', 'stopped')
  if known[1] ~= job_fence or known[2] ~= 'started' then
    refused[#refused + 1] = job_id
    local name = job_id .. ':' .. job_fence
    if known[7] == job_fence or type(redis.pcall('ZSCORE', k.started .. (known[3] or ''), name)) == 'string' then
      table.insert(left, 1, name)
    end
    return
  end
  local origin = known[3] or ''
  redis.call('LPUSH', k.queue .. origin, job_id)
  redis.call('HSET', job, 'status', 'queued')
  redis.call('HDEL', job, 'fence', 'worker_name', 'started_at', 'last_heartbeat')
  back[origin] = (back[origin] or 0) + 1
  note_job('given_back', origin, function_of(known[4], known[5]))
  if known[6] then -- it was claimed alone: the claim has taken it out of the indexes
    transitions().join_needs(job_id, transitions().read(job_id), now_ms())
  end
  local entries = registered[k.started .. origin] or {}
  registered[k.started .. origin] = entries
  entries[#entries + 1] = job_id .. ':' .. job_fence
  table.insert(executions, 1, k.execution .. job_id .. ':' .. job_fence)
  runs[executions[1]] = {job_id, job_fence, origin}
end

-- A run that was claimed alone is announced: that is taken back, or its job would start a second time for no reason.
local function take_back_announced()
  if not executions[1] or redis.call('EXISTS', unpack(executions)) == 0 then return end
  local now = now_ms()
  for _, execution in ipairs(executions) do
    if redis.call('DEL', execution) == 1 then
      local job_id, job_fence, origin = unpack(runs[execution])
      redis.pcall('ZREM', k.executions .. job_id, job_fence)
      if k.worker_runs_end ~= '' then
        redis.pcall('SREM', worker_key .. k.worker_runs_end, job_id .. ':' .. job_fence)
      end
      publish_job_event(origin, job_id, 'enqueued', ',"at_ms":' .. text(now))
    end
  end
end

-- Whether the key of the worker is still its own: it may have been frozen, and another worker have taken its name meanwhile.
local function is_ours()
  local known = redis.call('HGET', worker_key, 'ahead')
  local own = fence ~= '' and fence or ARGV[FIRST_RUN + 1] or ''
  return not known or string.find(known, ':' .. string.sub(own, 1, BASE), 1, true) ~= nil
end

for i = #ARGV - 1, FIRST_RUN, -OF_A_RUN do -- each before the one that was put back last
  put_back(ARGV[i], ARGV[i + 1])
end
take_back_announced()
if line ~= '' then
  table.insert(left, 1, line)
end
line = table.concat(left, ' ')
for key, entries in pairs(registered) do
  redis.call('ZREM', key, unpack(entries))
end
for queue, count in pairs(back) do
  redis.call('DEL', k.served .. queue)
  wake(queue, math.min(count, AT_ONCE))
end
local may_write = is_ours()
if may_write and line == '' then
  redis.call('HDEL', worker_key, 'current_job', 'ahead')
elseif may_write and redis.call('EXISTS', worker_key) == 1 then
  redis.call('HSET', worker_key, 'current_job', string.match(line, '^[^:]*'), 'ahead', line)
end
local going = id ~= '' and redis.call('HMGET', k.job .. id, 'fence', 'status', 'stopped', 'origin') or {}
local goes_on = going[1] == fence and going[2] == 'started' or fence ~= '' and going[3] == fence
-- The horse may have recorded its failure meanwhile. A run that was stopped is announced too: nobody else does it.
if goes_on and (going[2] == 'started' or redis.call('ZSCORE', k.started .. (going[4] or ''), id .. ':' .. fence)) then
  announce(worker, id, fence, now_ms(), tonumber(ttl_s))
end
flush_changes(now_ms())
return refused
